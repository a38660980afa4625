#pragma once
// A rosterd whose tenants have issuers: sources of type oidc that sign people in, on providers of this machine.

#include <atomic>
#include <stdexcept>

#include "daemon/issuers/issuers.hpp"
#include "tests/http/fake_issuer.hpp"
#include "tests/http/world.hpp"

namespace rosterd::test {

inline constexpr const char* kPublic = "https://authz.example.org";

/// What an IssuerWorld needs before it is there.
struct Outside {
  FakeIssuer instance;
  std::atomic<std::int64_t> ahead{0};  ///< nanoseconds
};

class IssuerWorld : public World {
 public:
  IssuerWorld() : IssuerWorld(options()) {}
  explicit IssuerWorld(http::HttpOptions options) : IssuerWorld(std::make_shared<Outside>(), std::move(options)) {}
  static IssuerWorld& shared() {
    static IssuerWorld world;
    return world;
  }

  static http::HttpOptions options() {
    http::HttpOptions out;
    out.public_url = kPublic;
    out.accounts.cost = {.passes = 1, .memory = 64 << 10};
    return out;
  }

  FakeIssuer& instance() { return outside_->instance; }
  /// Moves the time by which keys grow old.
  void later(std::chrono::seconds by) { outside_->ahead += std::chrono::duration_cast<std::chrono::nanoseconds>(by).count(); }

  static nlohmann::json settings_for(const FakeIssuer& issuer, const nlohmann::json& more = nlohmann::json::object()) {
    nlohmann::json out{{"issuer", issuer.url()},    {"dialect", "scim"}, {"api_url", issuer.url() + "/scim"}, {"auth", "static"},
                       {"token", {{"value", "x"}}}, {"sign_in", true},   {"audiences", {"rosterd"}},          {"groups_claim", "groups"}};
    out.merge_patch(more);
    return out;
  }
  /// A source of that issuer, written past the API: what the API takes is the settings' own test.
  SourceId source(const std::string& tenant, const FakeIssuer& issuer, const nlohmann::json& more = nlohmann::json::object(),
                  const std::string& name = "idp") {
    NewSource made;
    made.name = name;
    made.type = "oidc";
    made.settings = settings_for(issuer, more).dump();
    const auto done = store->create_source(TenantId{tenant}, made, {});
    EXPECT_TRUE(done.has_value()) << (done ? "" : done.error().what);
    return done ? done->value.id : SourceId{};
  }
  /// A user that the source has read.
  PrincipalId user(const std::string& tenant, SourceId source, const std::string& external_id, const std::string& username) {
    const auto made = store->create_issuer_user(
        TenantId{tenant}, {.source = source, .version = 1, .record = record(external_id, username), .default_role = {}}, {});
    EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().what);
    control->changed(TenantId{tenant});
    return made ? made->user.id : PrincipalId{};
  }
  static UserRecord record(const std::string& external_id, const std::string& username) {
    UserRecord out;
    out.id = ExternalId{external_id};
    out.username = username;
    return out;
  }
  Answer me(const std::string& token) { return as(token).get("/v1/me"); }

 private:
  IssuerWorld(const std::shared_ptr<Outside>& outside, http::HttpOptions options)
      : World(std::move(options), [outside](World& world) { return make(world, outside); }), outside_(outside) {
    set_up();
  }
  static std::unique_ptr<http::Issuers> make(World& world, const std::shared_ptr<Outside>& outside) {
    const nlohmann::json instance{{"issuer", outside->instance.url()},
                                  {"sign_in", true},
                                  {"audiences", {"rosterd"}},
                                  {"sign_in_options", {{"client_id", "browser"}, {"client_secret", {{"value", "s3cret"}}}}}};
    issuers::IssuersOptions options;
    options.instance = {.settings = instance.dump(), .create_accounts = true};
    options.public_url = kPublic;
    options.connections = [] {
      connectors::ConnectorOptions out;
      out.allowed_networks = {"127.0.0.0/8"};
      return out;
    };
    options.moved = [&world](const TenantId& tenant) { world.control->changed(tenant); };
    options.ticks = [outside] { return std::chrono::steady_clock::now() + std::chrono::nanoseconds(outside->ahead.load()); };
    auto made = issuers::make_issuers(*world.store, *world.secrets, world.clock, std::move(options));
    if (!made) throw std::runtime_error(made.error().what);
    return std::move(*made);
  }

  std::shared_ptr<Outside> outside_;
};

}  // namespace rosterd::test
