#include "tests/http/world.hpp"

#include <thread>

#include "daemon/http/token.hpp"
#include "rbac/escalation.hpp"
#include "rbac/snapshot.hpp"
#include "schema/postgres/postgres_store.hpp"

namespace rosterd::test {
namespace {

template <class T>
T must(Result<T> result, std::string_view doing) {
  if (!result) throw std::runtime_error(fmt::format("{}: {}", doing, result.error().what));
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace

void DirectControl::changed(const TenantId& tenant) {
  if (asleep) return;
  const auto builder = rbac::make_builder(catalogue_);
  const auto loaded = store_.load_authorization(tenant, *builder);
  if (!loaded) {
    if (loaded.error().code == Errc::NotFound) snapshots_.forget(tenant);
    return;
  }
  snapshots_.publish(tenant, must(builder->finish(), "compiling a snapshot"));
}

std::optional<std::string> DirectControl::progress(RunId) const {
  auto text = live.with([](const std::string& value) { return value; });
  return text.empty() ? std::nullopt : std::optional(std::move(text));
}

World::World(http::HttpOptions options, const MakeIssuers& make_issuers) : database(PrivatePostgres::shared().fresh_database()) {
  catalogue = rbac::Catalogue::built_in();
  store = must(PostgresStore::open({.url = database.app_url, .owner_url = database.owner_url, .judge = rbac::make_judge(catalogue)}),
               "opening the store");
  secrets = Secrets::ephemeral();
  control = std::make_unique<DirectControl>(*store, snapshots, catalogue);
  setup_secret = must(gate.open(dir.file("setup-secret")), "opening the setup gate");
  connectors::ConnectorOptions connector_options;
  connector_options.connect_timeout = std::chrono::milliseconds(500);
  if (make_issuers) issuers = make_issuers(*this);
  server = must(http::Server::start(std::move(options), {.store = *store,
                                                         .snapshots = snapshots,
                                                         .sync = *control,
                                                         .catalogue = catalogue,
                                                         .secrets = *secrets,
                                                         .connector_options = connector_options,
                                                         .clock = clock,
                                                         .setup = gate,
                                                         .token_pepper = "pepper",
                                                         .issuers = issuers.get()}),
                "starting the server");
  server->set_ready(true);
}

World::~World() = default;

World& World::shared() {
  static World world;
  static const bool ready = !world.set_up().empty();
  (void)ready;
  return world;
}

const std::string& World::set_up() {
  if (root_token.empty()) {
    const auto made = nobody().post("/v1/setup", {{"secret", setup_secret}, {"email", root_email}});
    if (made.status != 201) throw std::runtime_error("setup: " + made.text);
    root_token = made.body["token"];
  }
  return root_token;
}

Person World::person(const std::string& name) {
  Person out{.account = {}, .email = fmt::format("{}{}@example.org", name, ++next_), .token = http::make_token()};
  const auto account =
      must(store->create_account({.email = out.email, .first_name = name, .last_name = {}, .super_admin = false}, {}), "making an account");
  out.account = account.id;
  must(
      store->create_token(
          account.id, {.name = "test", .hash = http::token_hash(out.token, "pepper"), .last4 = out.token.substr(36), .expires_at = {}}, {}),
      "making a token");
  return out;
}

std::string World::tenant(const Person* creator) {
  const auto id = fmt::format("t{}", ++next_);
  nlohmann::json body = {{"id", id}, {"name", "Tenant " + id}};
  if (creator != nullptr) body["creator"] = creator->email;
  const auto made = root().post("/v1/tenants", body);
  if (made.status != 201) throw std::runtime_error("making a tenant: " + made.text);
  return id;
}

PrincipalId World::user_of(const Person& person, const std::string& tenant) {
  return must(store->linked_user(TenantId{tenant}, person.account), "looking up the linked user").value();
}

std::string World::tenant_where(const Person& person, const std::string& permissions_json) {
  const auto id = tenant(&person);
  const TenantId key{id};
  const auto self = user_of(person, id);
  // Somebody else becomes Admin, so that the creator can lose it.
  UserRecord other;
  other.username = "keeper";
  const auto keeper = must(store->create_user(key, other, {}), "making another user").value;
  RoleId admin;
  for (const auto& role : must(store->roles(key), "reading roles"))
    if (role.admin) admin = role.id;
  must(store->create_binding(key, {.role = admin, .principal = {PrincipalType::User, keeper.id}, .ns = {}, .expires_at = {}}, {}),
       "binding Admin");
  for (const auto& binding : must(store->bindings(key), "reading bindings"))
    if (binding.principal.id == self) must(store->delete_binding(key, binding.id, false, {}), "taking Admin away");
  if (!permissions_json.empty()) {
    const auto role =
        must(store->create_role(
                 key, {.id = {}, .name = "Some", .description = {}, .managed = false, .admin = false, .permissions = permissions_json}, {}),
             "making a role")
            .value;
    must(store->create_binding(key, {.role = role.id, .principal = {PrincipalType::User, self}, .ns = {}, .expires_at = {}}, {}),
         "binding a role");
  }
  control->changed(key);
  return id;
}

// What was revoked is gone within a second; that second is the promise under test, and there is no event to wait for.
void outlast_caches() { std::this_thread::sleep_for(std::chrono::milliseconds(1000)); }

}  // namespace rosterd::test
