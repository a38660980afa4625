#include "tests/support/keycloak_server.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "schema/core/hash.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

std::string group_path(int team) { return fmt::format("/team{:02}", team); }

json password(std::string_view value) { return json::array({{{"type", "password"}, {"value", value}, {"temporary", false}}}); }

json person(const std::string& name, bool enabled = true) {
  return {{"username", name},      {"enabled", enabled}, {"email", name + "@example.test"}, {"emailVerified", true},
          {"firstName", "Person"}, {"lastName", name},   {"groups", json::array()}};
}

json mapper(std::string_view name, std::string_view kind, json config) {
  config["access.token.claim"] = "true";
  config["id.token.claim"] = "true";
  return {{"name", name}, {"protocol", "openid-connect"}, {"protocolMapper", kind}, {"config", std::move(config)}};
}

/// The realm as Keycloak imports it.
json realm_of(const KeycloakServer::Options& options) {
  json users = json::array();
  for (int i = 1; i <= options.users; ++i) users.push_back(person(fmt::format("user{:05}", i), i % 100 != 0));
  const auto join = [&](int user, const std::string& group) {
    users.at(static_cast<std::size_t>(user % options.users))["groups"].push_back(group);
  };
  for (int i = 0; i < options.big_group; ++i) join(i, "/everybody");
  json groups = json::array({{{"name", "everybody"}}});
  for (int team = 1; team <= options.groups; ++team) {
    json group{{"name", group_path(team).substr(1)}, {"attributes", {{"cost-centre", {std::to_string(100 + team)}}}}};
    for (int i = 0; i < 5; ++i) join(team * 5 + i, group_path(team));
    if (team == 1) {
      group["subGroups"] = json::array();
      for (int unit = 1; unit <= 15; ++unit) {
        json child{{"name", fmt::format("unit{:02}", unit)}};
        join(1000 + unit, fmt::format("/team01/unit{:02}", unit));
        if (unit == 1) {
          child["subGroups"] = {{{"name", "desk1"}}, {{"name", "desk2"}}};
          join(1100, "/team01/unit01/desk1");
          join(1101, "/team01/unit01/desk2");
        }
        group["subGroups"].push_back(child);
      }
    }
    groups.push_back(group);
  }
  for (const char* name : {"ada", "bob"}) {
    users.push_back(person(name));
    users.back()["credentials"] = password("secret");
    users.back()["groups"].push_back(group_path(1));
  }
  users.push_back(person("realm-admin"));
  users.back()["credentials"] = password("admin-secret");
  users.back()["clientRoles"] = {{"realm-management", {"realm-admin"}}};
  users.push_back({{"username", "service-account-rosterd"},
                   {"enabled", true},
                   {"serviceAccountClientId", KeycloakServer::client_id()},
                   {"clientRoles", {{"realm-management", {"view-users", "query-users", "query-groups", "view-realm", "view-events"}}}}});
  const json audience = mapper("audience", "oidc-audience-mapper", {{"included.custom.audience", "https://rosterd.example"}});
  const json membership = mapper("groups", "oidc-group-membership-mapper", {{"claim.name", "groups"}, {"full.path", "true"}});
  return {{"realm", options.realm},
          {"enabled", true},
          {"sslRequired", "none"},
          {"adminEventsEnabled", true},
          {"adminEventsDetailsEnabled", true},
          {"accessTokenLifespan", 300},
          {"users", std::move(users)},
          {"groups", std::move(groups)},
          {"clients",
           {{{"clientId", KeycloakServer::client_id()},
             {"secret", KeycloakServer::client_secret()},
             {"serviceAccountsEnabled", true},
             {"standardFlowEnabled", true},
             {"redirectUris", {"http://127.0.0.1:*"}},
             {"protocolMappers", {audience, membership}}},
            {{"clientId", KeycloakServer::public_client_id()},
             {"publicClient", true},
             {"directAccessGrantsEnabled", true},
             {"redirectUris", {"http://127.0.0.1:*"}},
             {"protocolMappers", {audience, membership}}}}}};
}

/// Keycloak's own launcher starts Java with these; it also waits for it as a second process, and compiles what is compiled already.
Argv java(const fs::path& home, const Argv& arguments) {
  Argv argv{"java",
            "-Xmx512m",
            "-XX:MaxMetaspaceSize=256m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",  // half the time until it answers
            "-XX:+ExitOnOutOfMemoryError",
            "-Dfile.encoding=UTF-8",
            "-Duser.language=en",
            "-Dkc.home.dir=" + home.string(),
            "-Djboss.server.config.dir=" + (home / "conf").string(),
            "-Djava.io.tmpdir=" + home.string(),
            "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
            "-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
            "-Dpicocli.disable.closures=true"};
  for (const char* package : {"java.util", "java.util.concurrent", "java.security", "java.lang"})
    argv.push_back(fmt::format("--add-opens=java.base/{}=ALL-UNNAMED", package));
  for (const char* last : {"-cp", "", "io.quarkus.bootstrap.runner.QuarkusEntryPoint"}) argv.emplace_back(last);
  argv[argv.size() - 2] = (home / "lib/quarkus-run.jar").string();
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return argv;
}

/// A home folder with the distribution's parts and a database of its own.
void furnish(const fs::path& home, const fs::path& distribution) {
  for (const char* part : {"lib", "conf", "providers", "themes"}) fs::create_directory_symlink(distribution / part, home / part);
}

/// The database with this realm: imported once, then kept beside the distribution under the realm's hash.
fs::path imported(const fs::path& distribution, const json& realm) {
  const std::string text = realm.dump();
  const fs::path kept = distribution / "realms" / hex(sha256(text)).substr(0, 16);
  if (fs::exists(kept)) return kept;
  const TempDir dir("rkcin");
  furnish(dir.path(), distribution);
  run_ok(java(dir.path(), {"import", "--optimized", "--file", dir.write("realm.json", text)}), {}, Milliseconds(300'000));
  fs::create_directories(kept.parent_path());
  const fs::path made = kept.string() + fmt::format(".{}", getpid());
  fs::copy(dir.path() / "data", made, fs::copy_options::recursive);
  std::error_code lost;  // somebody else was quicker with the same realm
  fs::rename(made, kept, lost);
  if (lost) fs::remove_all(made);
  return kept;
}

std::string token_from(const WebAnswer& answer) {
  if (answer.status != 200) throw std::runtime_error(fmt::format("no token from Keycloak: {} {}", answer.status, answer.body));
  return json::parse(answer.body).at("access_token");
}

WebAnswer post_form(const std::string& url, const std::string& body) {
  return web({.method = "POST", .url = url, .headers = {{"Content-Type", "application/x-www-form-urlencoded"}}, .body = body});
}

}  // namespace

KeycloakServer::KeycloakServer(Options options) : options_(std::move(options)), dir_("rkc"), port_(free_port()) {
  const auto distribution = fetched("keycloak");
  const auto database = imported(distribution, realm_of(options_));
  furnish(dir_.path(), distribution);
  fs::copy(database, dir_.path() / "data", fs::copy_options::recursive);
  start();
}

std::string KeycloakServer::origin() const { return fmt::format("http://127.0.0.1:{}", port_); }

void KeycloakServer::start() {
  if (server_ && server_->is_running()) return;
  const auto begun = std::chrono::steady_clock::now();
  const bool first = !server_;
  for (int attempt = 0;; ++attempt) {
    server_.emplace(java(dir_.path(), {"start", "--optimized", "--http-enabled=true", "--hostname-strict=false", "--http-host=127.0.0.1",
                                       fmt::format("--http-port={}", port_)}),
                    ProcessOptions{.cwd = dir_.path().string(), .output = dir_.file("log")});
    const auto ready = [&] { return web({.url = issuer() + "/.well-known/openid-configuration"}).status == 200; };
    if (wait_until([&] { return !server_->is_running() || ready(); }, Milliseconds(180'000)) && server_->is_running()) break;
    if (!first || attempt > 2 || log().find("in use") == std::string::npos) throw std::runtime_error("Keycloak does not start: " + log());
    port_ = free_port();  // somebody took it between the look and the bind
  }
  start_time_ = std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - begun);
}

void KeycloakServer::stop() {
  server_->kill(SIGCONT);
  server_->kill(SIGTERM);
  if (!server_->wait(Milliseconds(60'000))) throw std::runtime_error("Keycloak does not stop: " + log());
}

void KeycloakServer::kill_hard() {
  server_->kill(SIGKILL);
  server_->wait(Milliseconds(10'000));
}

void KeycloakServer::freeze() { server_->kill(SIGSTOP); }
void KeycloakServer::thaw() { server_->kill(SIGCONT); }
std::string KeycloakServer::log() const { return fs::exists(dir_.file("log")) ? read_file(dir_.file("log")) : ""; }

std::string KeycloakServer::service_token() const {
  return token_from(post_form(issuer() + "/protocol/openid-connect/token",
                              fmt::format("grant_type=client_credentials&client_id={}&client_secret={}", client_id(), client_secret())));
}

std::string KeycloakServer::person_token(std::string_view username, std::string_view password) const {
  return token_from(post_form(
      issuer() + "/protocol/openid-connect/token",
      fmt::format("grant_type=password&scope=openid&client_id={}&username={}&password={}", public_client_id(), username, password)));
}

std::string KeycloakServer::admin_token() const { return person_token("realm-admin", "admin-secret"); }

WebAnswer KeycloakServer::admin(const std::string& method, const std::string& path, const std::string& body) const {
  auto answer = web({.method = method,
                     .url = admin_url() + path,
                     .headers = {{"Authorization", "Bearer " + admin_token()}, {"Content-Type", "application/json"}},
                     .body = body});
  if (answer.status / 100 != 2) throw std::runtime_error(fmt::format("{} {}: {} {}", method, path, answer.status, answer.body));
  return answer;
}

}  // namespace rosterd::test
