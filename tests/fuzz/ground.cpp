#include "tests/fuzz/ground.hpp"

#include <absent_store.hpp>  // made from schema/store/store.hpp by absent_store.cmake
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "daemon/http/handlers.hpp"
#include "daemon/http/json.hpp"
#include "daemon/http/openapi.hpp"
#include "daemon/http/problem.hpp"
#include "daemon/http/router.hpp"
#include "daemon/http/token.hpp"
#include "schema/core/log.hpp"
#include "schema/core/text.hpp"
#include "tests/fuzz/target.hpp"

namespace rosterd::fuzz {
namespace {

using http::routes;
using nlohmann::json;

constexpr Revision kRevision{.epoch = 1, .number = 7};
constexpr TimePoint kNow{std::chrono::seconds(1'770'000'000)};
constexpr PrincipalId kAda{1}, kCarl{2};
constexpr AccountId kRootAccount{1}, kAdaAccount{2}, kCarlAccount{3};
constexpr const char* kSettings =
    R"({"url":"ldaps://127.0.0.1","bind_dn":"cn=reader","bind_password":{"env":"NOT_SET_ANYWHERE"},"base":"dc=x"})";

/// What is looked up on the way to a handler, and what is written, given back as a store would.
class SmallStore final : public AbsentStore {
 public:
  Result<void> ping() override { return {}; }
  Result<bool> setup_done() override { return true; }
  Result<std::optional<Caller>> find_caller(std::string_view token_hash) override {
    for (const auto& [token, account] : {std::pair{kRoot, kRootAccount}, {kAdmin, kAdaAccount}, {kAsker, kCarlAccount}})
      if (token_hash == http::token_hash(token, kPepper)) {
        Caller out;
        out.account.id = account;
        out.account.email = fmt::format("account{}@example.org", account.value);
        out.account.super_admin = account == kRootAccount;
        out.token = TokenId{account.value};
        return std::optional(std::move(out));
      }
    return std::optional<Caller>();
  }
  Result<std::optional<PrincipalId>> linked_user(const TenantId& tenant, AccountId account) override {
    if (tenant.value != kTenant) return fail(Errc::NotFound, "no such tenant");
    if (account == kRootAccount) return std::optional<PrincipalId>();
    return std::optional(account == kAdaAccount ? kAda : kCarl);
  }
  Result<Tenant> tenant(const TenantId& tenant) override {
    Tenant out;
    out.id = tenant;
    out.name = "Acme";
    out.revision = kRevision;
    return out;
  }
  Result<Written<Tenant>> create_tenant(const NewTenant& asked, const Actor&) override { return written(*tenant(asked.id)); }
  Result<Written<Tenant>> change_tenant(const TenantId& id, const TenantPatch& patch, const Actor&) override {
    auto out = *tenant(id);
    out.name = patch.name.value_or(out.name);
    return written(std::move(out));
  }
  Result<TokenInfo> create_token(AccountId, const NewToken& asked, const Actor&) override {
    TokenInfo out;
    out.id = TokenId{9};
    out.name = asked.name;
    out.last4 = asked.last4;
    out.expires_at = asked.expires_at;
    return out;
  }
  Result<Source> source(const TenantId&, std::string_view) override {
    NewSource out;
    out.name = "corp";
    out.type = "ldap";
    out.settings = kSettings;
    return source_of(out);
  }
  Result<Written<Source>> create_source(const TenantId&, const NewSource& asked, const Actor&) override {
    return written(source_of(asked));
  }
  Result<Written<Source>> change_source(const TenantId&, SourceId, const NewSource& asked, std::uint64_t, const Actor&) override {
    return written(source_of(asked));
  }
  Result<std::vector<SourceStatus>> status(const TenantId&) override { return std::vector<SourceStatus>(); }
  Result<Run> request_run(const TenantId&, SourceId source, RunMode mode, bool dry_run, const Actor&) override {
    Run out;
    out.id = RunId{1};
    out.source = source;
    out.mode = mode;
    out.dry_run = dry_run;
    return out;
  }
  Result<std::vector<EdgeOrigin>> edge_origins(const TenantId&, std::span<const std::pair<PrincipalId, PrincipalId>>) override {
    return std::vector<EdgeOrigin>();
  }

 private:
  template <class T>
  static Written<T> written(T value) {
    return {.value = std::move(value), .revision = kRevision};
  }
  static Source source_of(const NewSource& asked) {
    Source out;
    out.id = SourceId{1};
    out.name = asked.name;
    out.type = asked.type;
    out.enabled = asked.enabled;
    out.settings = asked.settings;
    out.schedule = asked.schedule;
    out.guard = asked.guard;
    out.role_mappings = asked.role_mappings;
    out.version = 1;
    return out;
  }
};

class NoSync final : public sync::SyncControl {
 public:
  void wake() override {}
  void changed(const TenantId&) override {}
  [[nodiscard]] std::optional<std::string> progress(RunId) const override { return std::nullopt; }
};

/// Names that two have, that JSON cannot carry or must escape, a loop of groups, suspended ones, bindings before and behind their end.
std::shared_ptr<const rbac::Snapshot> snapshot_of(const std::shared_ptr<const rbac::Catalogue>& catalogue) {
  const auto builder = rbac::make_builder(catalogue, kNow);
  builder->begin(kRevision, true, 9, 4, 6);
  builder->user(kAda, "ada", "ada@example.org", true, false);
  builder->user(kCarl, "carl", "", true, false);
  builder->user({3}, "grace", "grace@example.org", true, false);
  builder->user({4}, "linus", "", false, false);
  builder->user({5}, "twin", "", true, false);
  builder->user({6}, "twin", "other@example.org", true, false);
  builder->user({7},
                "z\xc3\xbc"
                "rich \"quoted\" \\",
                "", true, false);
  builder->user({8},
                "bad\xff"
                "bytes",
                "", true, false);
  builder->user({9}, "root", "root@example.org", true, true);
  builder->group({20}, "staff", "Staff", true);
  builder->group({21}, "team", "Team", true);
  builder->group({22}, "gone", "Gone", false);
  builder->group({23}, "empty", "Empty", true);
  builder->service_account({30}, "deployer", true);
  builder->edge({20}, {3});
  builder->edge({20}, {8});
  builder->edge({21}, {20});
  builder->edge({20}, {21});
  builder->edge({22}, {3});
  builder->edge({21}, {7});
  const auto role = [&](std::uint64_t id, std::string name, bool admin, std::string permissions) {
    builder->role(
        {.id = {id}, .name = std::move(name), .description = {}, .managed = false, .admin = admin, .permissions = std::move(permissions)});
  };
  role(1, "Admin", true, {});
  role(2, "Asker", false, R"({"CHECK":["READ"]})");
  role(3, "Reader", false, R"({"FLOW":["READ"],"USER":["READ"]})");
  role(4, "Everything", false, catalogue->content(catalogue->all()));  // more than 64 pairs, and tenant-scope ones
  role(5, "Nothing", false, "{}");
  std::uint64_t id = 0;
  const auto bind = [&](std::uint64_t to, PrincipalType type, std::uint64_t who, const char* ns, std::optional<TimePoint> end = {}) {
    builder->binding({.id = {++id},
                      .role = {to},
                      .principal = {type, {who}},
                      .ns = ns == nullptr ? std::nullopt : std::optional<std::string>(ns),
                      .expires_at = end,
                      .source = {},
                      .created_at = {},
                      .created_by = {}});
  };
  bind(1, PrincipalType::User, 1, nullptr);
  bind(2, PrincipalType::User, 2, nullptr);
  bind(3, PrincipalType::User, 3, "a.b");
  bind(3, PrincipalType::User, 4, "a");
  bind(4, PrincipalType::Group, 21, "a.bc");
  bind(4, PrincipalType::Group, 22, "b");
  bind(5, PrincipalType::User, 3, "b");
  bind(3, PrincipalType::User, 5, "c", kNow);
  bind(3, PrincipalType::User, 6, "c.d", kNow + Seconds(1));
  bind(3, PrincipalType::ServiceAccount, 30, "a.b.c");
  bind(3, PrincipalType::Group, 20, nullptr, kNow + Seconds(60));
  auto made = builder->finish();
  require(made.has_value(), "the snapshot compiles", made ? "" : made.error().what);
  return *made;
}

/// Owns what an App borrows.
struct World {
  SmallStore store;
  sync::Snapshots snapshots;
  NoSync sync;
  std::shared_ptr<const rbac::Catalogue> catalogue = rbac::Catalogue::built_in();
  std::unique_ptr<Secrets> secrets = Secrets::ephemeral();
  ManualClock clock{kNow};
  http::SetupGate setup;
  std::unique_ptr<http::App> app;

  World() {
    // Where an exception was caught there is an event: nothing else may tell.
    log::set_sink([](log::Level, std::string_view event, std::span<const log::Field> fields) {
      require(event != "http.unanswered", "no request throws", log::text(event, fields));
    });
    snapshots.publish(TenantId{std::string(kTenant)}, snapshot_of(catalogue));
    http::HttpOptions options;
    options.public_url = "https://authz.example.org";
    options.revision_wait = Millis(0);
    options.threads = 8;
    const std::string lines[] = {"GET /flows/{ns}/{rest...} FLOW READ {ns}", "* /apps/{team} APP UPDATE a.{team}", "POST /all FLOW CREATE"};
    options.proxy_routes = *http::parse_proxy_routes(lines);
    app = std::make_unique<http::App>(std::move(options), http::HttpServices{.store = store,
                                                                             .snapshots = snapshots,
                                                                             .sync = sync,
                                                                             .catalogue = catalogue,
                                                                             .secrets = *secrets,
                                                                             .connector_options = {},
                                                                             .clock = clock,
                                                                             .setup = setup,
                                                                             .token_pepper = std::string(kPepper)});
    std::size_t index = 0;
    for (const auto& route : routes()) app->metrics.name_route(index++, route.method, route.path);
    app->ready = true;
  }
};

World& world() {
  static World made;
  return made;
}

/// What the API description promises: "POST /v1/tenants" -> {201}. Errors are described once for all.
const std::map<std::string, std::set<int>, std::less<>>& documented() {
  static const auto made = [] {
    std::map<std::string, std::set<int>, std::less<>> out;
    const auto document = json::parse(http::openapi_document());
    for (const auto& [path, operations] : document["paths"].items())
      for (const auto& [method, operation] : operations.items()) {
        if (!operation.is_object() || !operation.contains("responses")) continue;
        std::string key = method + " " + path;
        for (auto& c : std::span(key).first(method.size())) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
        for (const auto& [status, response] : operation["responses"].items())
          if (status != "default") out[key].insert(std::stoi(status));
      }
    return out;
  }();
  return made;
}

}  // namespace

http::App& app() { return *world().app; }

void freshen() { world().snapshots.confirm(TenantId{std::string(kTenant)}); }

int route_of(std::string_view method, std::string_view target) {
  static const auto router = [] {
    http::Router out;
    int index = 0;
    for (const auto& route : routes()) out.add(route.method, route.path, index++);
    return out;
  }();
  if (http::proxy_target(target))
    for (std::size_t i = 0; i < routes().size(); ++i)
      if (routes()[i].access == http::Access::Proxied) return static_cast<int>(i);
  const auto parsed = http::parse_target(target);
  return parsed ? router.find(method, parsed->segments).route : -1;
}

void judge(int route, int status, std::string_view content_type, std::string_view body, std::string_view about, Freshness freshness) {
  // K4, K6: whoever asks for something newer than there is hears that there is none yet.
  const bool too_new = freshness == Freshness::Demanded && status == 503 &&
                       (body.find(R"("code":"not_yet_at_revision")") != std::string_view::npos ||
                        body.find(R"("code":"snapshot_too_old")") != std::string_view::npos);
  require(status < 500 || too_new, "nothing that a client sends is our fault", fmt::format("{} {}\n{}", status, body, about));
  if (status < 400) {
    require(route >= 0, "only a route succeeds", about);
    const auto& row = routes()[static_cast<std::size_t>(route)];
    const auto described = documented().find(fmt::format("{} {}", row.method, row.path));
    require(described != documented().end() && described->second.contains(status), "the status is described in openapi.json",
            fmt::format("{} {} {}", row.method, row.path, status));
  } else {
    require(http::title_of(status) != http::title_of(500), "the status is one of the documented errors", std::to_string(status));
    require(content_type == "application/problem+json" || content_type == "application/scim+json", "an error is problem+json, or SCIM's",
            content_type);
  }
  if (!content_type.ends_with("json")) return;
  const auto parsed = http::parse_json(body);
  require(parsed && parsed->is_object(), "an answer is an object in strict JSON", body);
  if (status < 400) return;
  if (content_type == "application/scim+json") {  // RFC 7644 §3.12: the status is a text there
    require((*parsed).value("status", "") == std::to_string(status) && parsed->contains("schemas"), "a SCIM error has its members", body);
    return;
  }
  for (const char* name : {"type", "title", "code", "detail"})
    require(parsed->contains(name) && (*parsed)[name].is_string(), "a problem has its members (RFC 9457)", body);
  require((*parsed)["status"] == status, "a problem names its status", body);
}

http::Reply answer(const http::Request& request) {
  auto reply = http::answer(app(), request);
  const auto about = fmt::format("{} {}\n{}", request.method, request.target, request.body);
  std::string body = reply.body;
  for (bool more = reply.stream != nullptr; more;) {
    const auto piece = reply.stream(body);
    require(piece.has_value(), "a stream ends well", about);
    more = *piece;
  }
  judge(route_of(request.method, request.target), reply.status, body.empty() ? std::string_view{} : reply.content_type, body, about);
  for (const auto& [name, value] : reply.headers)
    require(!has_control_characters(value) && is_utf8(value), "a header fits on its line", fmt::format("{}: {}\n{}", name, value, about));
  return reply;
}

http::Reply ask(std::string_view method, const std::string& target, std::string_view body, std::string_view token) {
  const auto authorization = fmt::format("Bearer {}", token);
  return answer({.method = method,
                 .target = target,
                 .headers = {.authorization = authorization,
                             .content_type = method == "PATCH" ? "application/merge-patch+json" : "application/json",
                             .content_encoding = {},
                             .if_match = {},
                             .request_id = "fuzz",
                             .min_revision = {},
                             .max_age = {}},
                 .body = body,
                 .remote = "127.0.0.1"});
}

}  // namespace rosterd::fuzz
