#include "tests/e2e/world.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <stdexcept>

#include "daemon/http/token.hpp"

namespace rosterd::e2e {

using test::wait_until;

Daemon::Daemon(const test::Database& database, std::string token, DaemonOptions options) : token_(std::move(token)) {
  port_ = test::free_port();
  url_ = fmt::format("http://127.0.0.1:{}", port_);
  dir_.write("first-admin.json", json{{"email", "root@example.com"}, {"token", token_}}.dump());
  dir_.write("rosterd.toml", fmt::format(R"([server]
listen = "127.0.0.1:{}"
max_snapshot_age = "{}"
[state]
directory = "{}"
[database]
url = "{}"
owner_url = "{}"
[sync]
workers = {}
lease_heartbeat = "{}"
lease_expiry = "{}"
operation_timeout = "{}"
connect_timeout = "{}"
allowed_networks = ["127.0.0.0/8"]
shutdown_deadline = "2s"
[setup]
credential_file = "{}"
)",
                                         port_, options.max_snapshot_age, dir_.file("state"), database.app_url, database.owner_url,
                                         options.workers, options.lease_heartbeat, options.lease_expiry, options.operation_timeout,
                                         options.connect_timeout, dir_.file("first-admin.json")));
}

void Daemon::start() {
  process_.emplace(test::Argv{std::string(ROSTERD_BINARY_DIR) + "/daemon/rosterd", "--config", dir_.file("rosterd.toml")},
                   test::ProcessOptions{.output = dir_.file("log")});
  const auto ready =
      wait_until([&] { return !process_->is_running() || Api(url_, "").get("/readyz").status == 200; }, Milliseconds(30'000));
  if (!ready || !process_->is_running()) throw std::runtime_error("rosterd did not become ready:\n" + log());
}

void Daemon::kill_hard() {
  process_->kill(SIGKILL);
  if (!process_->wait(Milliseconds(10'000))) throw std::runtime_error("rosterd outlived SIGKILL");
}

int Daemon::stop() {
  process_->kill(SIGTERM);
  const auto status = process_->wait(Milliseconds(20'000));
  if (!status) throw std::runtime_error("rosterd did not stop:\n" + log());
  return *status;
}

std::string person_ldif(const std::string& uid, const std::string& suffix, const std::string& ou) {
  return fmt::format(
      "dn: uid={0},ou={1},{2}\nobjectClass: inetOrgPerson\nuid: {0}\ncn: {0}\nsn: {0}\ngivenName: {0}\nmail: {0}@acme.example\n\n", uid, ou,
      suffix);
}

std::string group_ldif(const std::string& cn, const std::vector<std::string>& uids, const std::string& suffix) {
  auto out = fmt::format("dn: cn={0},ou=groups,{1}\nobjectClass: groupOfNames\ncn: {0}\n", cn, suffix);
  for (const auto& uid : uids) out += fmt::format("member: uid={},ou=people,{}\n", uid, suffix);
  return out + "\n";
}

std::string base_ldif(const std::string& suffix) {
  auto out = test::suffix_ldif(suffix);
  if (!out.ends_with("\n\n")) out += "\n";
  for (const char* ou : {"people", "groups"})
    out += fmt::format("dn: ou={0},{1}\nobjectClass: organizationalUnit\nou: {0}\n\n", ou, suffix);
  return out;
}

World::World(Options options) {
  if (options.own_postgres) own_postgres_.emplace();
  database = postgres().fresh_database();
  token = http::make_token();

  auto ldif = options.ldif;
  if (ldif.empty()) {
    ldif = base_ldif(kSuffix);
    std::vector<std::string> everybody;
    for (int i = 0; i < options.people; ++i) {
      everybody.push_back(fmt::format("u{:04}", i));
      ldif += person_ldif(everybody.back(), kSuffix);
    }
    if (!everybody.empty()) ldif += group_ldif("staff", everybody, kSuffix);
  }
  slapd = std::make_unique<test::PrivateSlapd>(test::PrivateSlapd::Options{
      .suffixes = {kSuffix}, .ldif = ldif, .database_conf = options.database_conf, .tls = options.tls, .ca_file = options.ca_file});
  daemon = std::make_unique<Daemon>(database, token, options.daemon);
  daemon->start();

  if (const auto made = api().post("/v1/tenants", {{"id", "acme"}, {"name", "Acme"}}); made.status != 201)
    throw std::runtime_error("making the tenant: " + made.body.dump());
  json source = {{"name", "corp"},
                 {"type", "ldap"},
                 {"settings",
                  {{"url", slapd->url()},
                   {"preset", "openldap"},
                   {"users", {{"base", std::string("ou=people,") + kSuffix}}},
                   {"groups", {{"base", std::string("ou=groups,") + kSuffix}}}}},
                 {"schedule", {{"interval", "24h"}}},
                 {"role_mappings", json::array({{{"group", "staff"}, {"role", "Viewer"}}})}};
  if (!options.bind_dn.empty()) {
    source["settings"]["bind_dn"] = options.bind_dn;
    source["settings"]["bind_password"] = {{"value", options.bind_password}};
  }
  if (options.tls) {
    source["settings"]["url"] = slapd->tls_url();
    source["settings"]["ca_file"] = options.ca_file;
  }
  if (!options.source.is_null()) source.merge_patch(options.source);
  if (const auto made = api().post("/v1/tenants/acme/sources", source); made.status != 201)
    throw std::runtime_error("making the source: " + made.body.dump());
}

std::string World::start_sync(const json& request) {
  const auto started = api().post("/v1/tenants/acme/sources/corp/sync", request);
  if (started.status != 202) throw std::runtime_error(fmt::format("starting a run: {} {}", started.status, started.body.dump()));
  return started.body.at("id");
}

json World::run(const std::string& id) const { return api().get("/v1/tenants/acme/runs/" + id).body; }

json World::wait_for_run(const std::string& id, Milliseconds within) {
  json last;
  const auto over = wait_until(
      [&] {
        const auto answer = api().get("/v1/tenants/acme/runs/" + id);
        last = answer.body;
        if (answer.status != 200) return false;
        const auto outcome = last.value("outcome", "");
        return outcome != "queued" && outcome != "running";
      },
      within);
  if (!over) throw std::runtime_error("the run does not end: " + last.dump() + "\n" + daemon->log());
  return last;
}

json World::sync(const json& request, Milliseconds within) { return wait_for_run(start_sync(request), within); }

void World::first_sync() {
  const auto run = sync();
  if (run["outcome"] != "applied" && run["outcome"] != "unchanged")
    throw std::runtime_error("the first sync: " + run.dump(2) + "\n" + daemon->log());
}

json World::all_users() const {
  json all = json::array();
  std::string cursor;
  do {
    const auto page = api().get("/v1/tenants/acme/users?limit=1000" + (cursor.empty() ? "" : "&cursor=" + cursor));
    if (page.status != 200) throw std::runtime_error("listing users: " + page.body.dump());
    for (const auto& item : page.body.at("items"))
      if (item.at("origin") != "local") all.push_back(item);
    cursor = page.body.at("next").is_null() ? "" : page.body.at("next").get<std::string>();
  } while (!cursor.empty());
  return all;
}

std::size_t World::users(const std::string& state) const {
  std::size_t count = 0;
  for (const auto& user : all_users()) count += user.at("state") == state ? 1 : 0;
  return count;
}

json World::user(const std::string& username) const { return api().get("/v1/tenants/acme/users/" + username).body; }

json World::check(const std::string& subject, const std::string& permission, const std::string& action, const std::string& ns) const {
  const auto revision = api().get("/v1/tenants/acme").body.value("revision", "");
  auto path = fmt::format("/v1/tenants/acme/check?subject={}&permission={}&action={}", subject, permission, action);
  if (!ns.empty()) path += "&namespace=" + ns;
  json answer;
  // The snapshot follows the commit within a second; a revision that is not there yet is simply asked for again.
  (void)wait_until([&] {
    const auto got = api().get(path);
    answer = got.body;
    return got.status == 200 && (revision.empty() || answer.value("revision", "") == revision);
  });
  return answer;
}

void World::change_source(const json& patch) {
  const auto changed = api().patch("/v1/tenants/acme/sources/corp", patch);
  if (changed.status != 200) throw std::runtime_error("changing the source: " + changed.body.dump());
}

}  // namespace rosterd::e2e
