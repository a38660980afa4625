// The life of the real daemon on its embedded PostgreSQL, as its service manager sees it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <regex>

#include "daemon/http/token.hpp"
#include "daemon/service.hpp"
#include "tests/daemon/daemon_process.hpp"
#include "tests/e2e/sql_session.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/tls.hpp"

namespace rosterd::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

/// The process id of the embedded PostgreSQL, from its own pid file.
pid_t postgres_of(const DaemonProcess& daemon) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(daemon.file("state")))
    if (entry.path().filename() == "postmaster.pid") return static_cast<pid_t>(std::stol(read_file(entry.path())));
  return -1;
}

std::size_t position(const std::vector<std::string>& heard, std::string_view part) {
  const auto found =
      std::find_if(heard.begin(), heard.end(), [&](const std::string& message) { return message.find(part) != std::string::npos; });
  return static_cast<std::size_t>(found - heard.begin());
}

TEST(Life, StartsServesReloadsAndStopsOnItsEmbeddedPostgres) {
  DaemonProcess daemon;
  daemon.start_ready({{"WATCHDOG_USEC", "3000000"}});

  // start
  EXPECT_THAT(daemon.get("/healthz"), StartsWith("200 "));
  EXPECT_THAT(daemon.get("/readyz"), StartsWith("200 "));
  EXPECT_LT(position(daemon.notify.heard, "STATUS=starting the embedded PostgreSQL"), position(daemon.notify.heard, "READY=1"));
  EXPECT_THAT(daemon.notify.next_with("WATCHDOG=1"), HasSubstr("WATCHDOG=1"));
  EXPECT_THAT(daemon.log(), HasSubstr("daemon.ready port="));

  // the setup secret: in the log, and in a file nobody else reads
  struct stat about{};
  ASSERT_EQ(::stat(daemon.file("state/setup-secret").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 07777, 0600u);
  auto secret = read_file(daemon.file("state/setup-secret"));
  secret.erase(secret.find_last_not_of("\r\n") + 1);
  EXPECT_THAT(daemon.log(), HasSubstr("setup.open secret=" + secret));
  ASSERT_EQ(::stat(daemon.file("state/secret.key").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 07777, 0600u);

  // a second daemon on the same state directory
  const auto second = run({kRosterd, "--config", daemon.file("rosterd.toml")});
  EXPECT_EQ(second.status, 69) << second.output;
  EXPECT_THAT(second.output, HasSubstr(fmt::format("another rosterd (process {}) uses the state directory", daemon.process().pid())));

  // reload: what can change changes, what cannot is named, errors change nothing
  daemon.configure("[log]\nlevel = \"debug\"\n[sync]\nworkers = 7\nallowed_networks = [\"10.0.0.0/8\"]");
  daemon.process().kill(SIGHUP);
  EXPECT_THAT(daemon.notify.next_with("RELOADING=1"), HasSubstr("MONOTONIC_USEC="));
  EXPECT_THAT(daemon.notify.next_with("READY=1"), HasSubstr("STATUS=serving 0 tenants"));
  EXPECT_THAT(daemon.log(), AllOf(HasSubstr("config.needs_restart setting=sync.workers"),
                                  HasSubstr("config.reloaded changed=sync.allowed_networks,log.level")));
  // limits count from the next request on, for callers who are known already, too
  for (int i = 0; i < 8; ++i) EXPECT_THAT(daemon.get("/version"), StartsWith("200 "));
  daemon.configure("", "rate_limit = \"1/s burst 2\"");
  daemon.process().kill(SIGHUP);
  EXPECT_FALSE(daemon.notify.next_with("READY=1").empty());
  EXPECT_THAT(daemon.log(), HasSubstr("server.rate_limit"));
  std::string limited;
  for (int i = 0; i < 8 && !limited.starts_with("429 "); ++i) limited = daemon.get("/version");
  EXPECT_THAT(limited, StartsWith("429 "));
  EXPECT_THAT(daemon.get("/healthz"), StartsWith("200 ")) << "whoever watches over it is not limited";
  daemon.configure("");
  daemon.process().kill(SIGHUP);
  EXPECT_FALSE(daemon.notify.next_with("READY=1").empty());
  EXPECT_THAT(daemon.get("/version"), StartsWith("200 "));
  daemon.configure("[log]\nlevel = \"loud\"");
  daemon.process().kill(SIGHUP);
  EXPECT_FALSE(daemon.notify.next_with("READY=1").empty());
  EXPECT_THAT(daemon.log(), HasSubstr("config.refused"));
  EXPECT_THAT(daemon.get("/readyz"), StartsWith("200 "));

  // stop
  const auto postgres = postgres_of(daemon);
  ASSERT_GT(postgres, 0);
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_FALSE(daemon.notify.next_with("STOPPING=1").empty());
  EXPECT_THAT(daemon.log(), testing::ContainsRegex("http.stopped(.|\n)*daemon.parts_stopped(.|\n)*postgres.stopped(.|\n)*daemon.stopped"));
  EXPECT_EQ(::kill(postgres, 0), -1) << "the embedded PostgreSQL has ended before its daemon";

  // and again, on what the first life left
  daemon.configure("");
  daemon.start_ready();
  EXPECT_THAT(daemon.get("/readyz"), StartsWith("200 "));
  EXPECT_EQ(daemon.stop(), 0);
}

TEST(Life, ARenewedCertificateIsTakenUpByAReloadAndABadOneIsNot) {
  const TempDir certificates;
  const PrivateCa first(certificates.file("first")), second(certificates.file("second"), "a later CA");
  const auto before = first.good(), after = second.good();
  const auto install = [&](const Certificate& certificate) {
    std::filesystem::copy_file(certificate.cert_file, certificates.file("cert.pem"), std::filesystem::copy_options::overwrite_existing);
    std::filesystem::copy_file(certificate.key_file, certificates.file("key.pem"), std::filesystem::copy_options::overwrite_existing);
  };
  install(before);
  const auto server =
      fmt::format("tls_certificate_file = \"{}\"\ntls_key_file = \"{}\"\nunix_socket = \"api.sock\"\nunix_socket_mode = \"0600\"",
                  certificates.file("cert.pem"), certificates.file("key.pem"));
  DaemonProcess daemon({}, server);
  const auto answers = [&](const PrivateCa& ca) {
    return run({"curl", "-s", "--max-time", "20", "--cacert", ca.ca_file(), fmt::format("https://127.0.0.1:{}/healthz", daemon.port())})
               .output == R"({"status":"ok"})";
  };
  daemon.start_ready();
  EXPECT_TRUE(answers(first));
  EXPECT_FALSE(answers(second));
  EXPECT_EQ(run({"curl", "-s", "--max-time", "20", "--unix-socket", daemon.file("api.sock"), "http://localhost/healthz"}).output,
            R"({"status":"ok"})");

  install(after);  // under the same names, as renewals do
  daemon.process().kill(SIGHUP);
  ASSERT_TRUE(daemon.logs("http.tls_reloaded"));
  EXPECT_TRUE(answers(second));
  EXPECT_FALSE(answers(first));

  certificates.write("cert.pem", "no certificate");
  daemon.process().kill(SIGHUP);
  ASSERT_TRUE(daemon.logs("http.tls_refused"));
  EXPECT_TRUE(answers(second)) << "the one before goes on";
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_FALSE(std::filesystem::exists(daemon.file("api.sock")));
}

TEST(Life, AnUnattendedInstallHasItsSuperAdminAndTokenAfterTheFirstStart) {
  DaemonProcess daemon("[setup]\ncredential_file = \"${CREDENTIALS_DIRECTORY}/first-admin\"");
  const auto credential = run_ok({kRosterd, "--new-credential", "ada@example.org"});
  daemon.dir().write("credentials/first-admin", credential, 0400);
  const auto token = credential.substr(credential.find("rst_"), 40);
  const std::map<std::string, std::string> environment{{"CREDENTIALS_DIRECTORY", daemon.file("credentials")}};
  daemon.start_ready(environment);
  EXPECT_THAT(daemon.get("/v1/me", token), AllOf(StartsWith("200 "), HasSubstr("ada@example.org")));
  EXPECT_THAT(daemon.get("/v1/me", http::make_token()), StartsWith("401 "));
  EXPECT_THAT(daemon.log(), AllOf(HasSubstr("setup.done account=acc_"), Not(HasSubstr("setup.open")), Not(HasSubstr(token))));
  EXPECT_EQ(daemon.stop(), 0);
  // Afterwards the file is of no interest any more.
  std::filesystem::remove(daemon.file("credentials/first-admin"));
  daemon.start_ready(environment);
  EXPECT_THAT(daemon.get("/v1/me", token), StartsWith("200 "));
  EXPECT_EQ(daemon.stop(), 0);
}

// R13: R15: R23:
TEST(Life, ACatalogueOfItsOwnIsUsedEverywhereAndRenewsTheManagedRolesOnce) {
  DaemonProcess daemon("[setup]\ncredential_file = \"first-admin\"");
  const auto credential = run_ok({kRosterd, "--new-credential", "ada@example.org"});
  daemon.dir().write("first-admin", credential, 0400);
  const auto token = credential.substr(credential.find("rst_"), 40);
  const auto renewals = [&] {
    const auto log = daemon.log();
    std::size_t count = 0;
    for (auto at = log.find("roles.renewed"); at != std::string::npos; at = log.find("roles.renewed", at + 1)) ++count;
    return count;
  };
  daemon.start_ready();
  ASSERT_THAT(daemon.post("/v1/tenants", token, R"({"id":"acme","name":"Acme"})"), StartsWith("201 "));
  EXPECT_THAT(daemon.post("/v1/tenants/acme/roles", token, R"({"name":"Flows","permissions":{"FLOW":["READ"]}})"), StartsWith("201 "));
  EXPECT_EQ(renewals(), 1u) << "the first start of all says what the roles come from";
  EXPECT_EQ(daemon.stop(), 0);
  daemon.start_ready();
  EXPECT_EQ(renewals(), 1u) << "nothing has changed";
  EXPECT_EQ(daemon.stop(), 0);

  std::filesystem::copy_file(std::string(ROSTERD_SOURCE_DIR) + "/config/catalogue.example.json", daemon.file("catalogue.json"));
  daemon.configure("[rbac]\ncatalogue_file = \"catalogue.json\"");
  daemon.start_ready();
  EXPECT_EQ(renewals(), 2u);
  EXPECT_THAT(daemon.log(), HasSubstr("tenants=1"));
  EXPECT_THAT(daemon.get("/v1/tenants/acme/permissions", token), AllOf(HasSubstr("INVOICE"), HasSubstr("SOURCE"), Not(HasSubstr("FLOW"))));
  EXPECT_THAT(daemon.get("/v1/tenants/acme/roles/Viewer", token), AllOf(HasSubstr("INVOICE"), Not(HasSubstr("FLOW"))));
  EXPECT_THAT(daemon.get("/v1/tenants/acme/roles/Flows", token), HasSubstr(R"("unknown_pairs":[{"action":"READ","permission":"FLOW"}])"));
  EXPECT_THAT(daemon.get("/v1/tenants/acme/audit?action=managed_roles_updated", token), HasSubstr("INVOICE"));
  EXPECT_THAT(daemon.get("/v1/tenants/acme/check?subject=user:ada%40example.org&permission=INVOICE&action=APPROVE&namespace=a", token),
              HasSubstr("allowed_admin_role"));
  EXPECT_THAT(daemon.get("/metrics", token), HasSubstr("rosterd_role_unknown_pairs{tenant=\"acme\"} 1"));
  EXPECT_THAT(daemon.post("/v1/tenants", token, R"({"id":"beta","name":"Beta"})"), StartsWith("201 "));
  EXPECT_THAT(daemon.get("/v1/tenants/beta/roles/Viewer", token), HasSubstr("INVOICE")) << "born with it";
  EXPECT_EQ(daemon.stop(), 0);
}

// R69
TEST(Life, TheConfigurationNamesTheSuperAdminsAndOneThatLeavesNoneIsRefused) {
  DaemonProcess daemon("[setup]\ncredential_file = \"first-admin\"\n[accounts]\nsuper_admins = [\"ada@example.org\"]");
  const auto credential = run_ok({kRosterd, "--new-credential", "ada@example.org"});
  daemon.dir().write("first-admin", credential, 0400);
  const auto token = credential.substr(credential.find("rst_"), 40);
  daemon.start_ready();
  EXPECT_THAT(daemon.post("/v1/accounts", token, R"({"email": "grace@example.org"})"), StartsWith("201 "));
  EXPECT_EQ(daemon.stop(), 0);
  daemon.configure("[accounts]\nsuper_admins = [\"Grace@example.org\", \"nobody@example.org\"]");
  daemon.start_ready();
  EXPECT_TRUE(daemon.logs("accounts.super_admins_set granted=grace@example.org revoked=ada@example.org"));
  EXPECT_TRUE(daemon.logs("accounts.unknown_super_admin email=nobody@example.org"));
  EXPECT_THAT(daemon.get("/v1/accounts", token), StartsWith("403 "));
  EXPECT_EQ(daemon.stop(), 0);
  daemon.configure("[accounts]\nsuper_admins = [\"nobody@example.org\"]");
  daemon.start();
  std::optional<int> status;
  EXPECT_TRUE(daemon.listening_until([&] { return (status = daemon.process().wait(Milliseconds(10))).has_value(); }, Milliseconds(60'000)));
  EXPECT_EQ(status, 78);
  EXPECT_TRUE(daemon.logs("would be left without a super admin"));
}

TEST(Life, AnEmbeddedPostgresThatIsKilledComesBackAndSoDoesTheDaemon) {
  DaemonProcess daemon;
  daemon.start_ready();
  const auto before = postgres_of(daemon);
  ASSERT_GT(before, 0);
  ASSERT_EQ(::kill(before, SIGKILL), 0);
  EXPECT_TRUE(daemon.logs("postgres.died"));
  EXPECT_TRUE(wait_until([&] { return daemon.get("/readyz").starts_with("200 "); }, Milliseconds(60'000))) << daemon.log();
  EXPECT_NE(postgres_of(daemon), before);
  EXPECT_TRUE(daemon.process().is_running());
  EXPECT_THAT(daemon.get("/healthz"), StartsWith("200 "));
  EXPECT_EQ(daemon.stop(), 0);
}

TEST(Life, APostgresThatIsAwayAtTheStartIsWaitedFor) {
  PrivatePostgres server;
  const auto database = server.fresh_database();
  server.stop();
  DaemonProcess daemon(fmt::format("[database]\nurl = \"{}\"\nowner_url = \"{}\"", database.app_url, database.owner_url));
  daemon.start();
  EXPECT_FALSE(daemon.notify.next_with("STATUS=waiting for PostgreSQL").empty()) << daemon.log();
  EXPECT_TRUE(daemon.logs("store.away"));
  EXPECT_TRUE(daemon.process().is_running());
  server.start();
  EXPECT_FALSE(daemon.notify.next_with("READY=1").empty()) << daemon.log();
  EXPECT_THAT(daemon.log(), HasSubstr("store.back"));

  // Away and back while serving, without a restart.
  server.stop();
  EXPECT_TRUE(wait_until([&] { return daemon.get("/readyz").starts_with("503 "); }, Milliseconds(30'000)));
  EXPECT_THAT(daemon.get("/healthz"), StartsWith("200 "));
  EXPECT_FALSE(daemon.notify.next_with("store away").empty());
  server.start();
  EXPECT_TRUE(wait_until([&] { return daemon.get("/readyz").starts_with("200 "); }, Milliseconds(60'000))) << daemon.log();
  EXPECT_EQ(daemon.stop(), 0);
}

TEST(Life, AStartThatWaitsForPostgresEndsAtSigterm) {
  PrivatePostgres server;
  const auto database = server.fresh_database();
  server.stop();
  DaemonProcess daemon(fmt::format("[database]\nurl = \"{}\"\nowner_url = \"{}\"", database.app_url, database.owner_url));
  daemon.start();
  ASSERT_FALSE(daemon.notify.next_with("STATUS=waiting for PostgreSQL").empty()) << daemon.log();
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_THAT(daemon.log(), HasSubstr("daemon.stopped"));
}

std::string on_server(const Database& database) {
  return fmt::format("[database]\nurl = \"{}\"\nowner_url = \"{}\"\n", database.app_url, database.owner_url);
}

/// What stops a start at a step of it: a lock that somebody else holds.
struct StopsAt {
  const char* name;
  std::string lock;
};
class SigtermDuringTheStart : public testing::TestWithParam<StopsAt> {};

TEST_P(SigtermDuringTheStart, EndsItAtOnceAndIsNeverLost) {
  const auto database = PrivatePostgres::shared().fresh_database();
  DaemonProcess daemon(on_server(database));
  daemon.start_ready();  // migrates
  ASSERT_EQ(daemon.stop(), 0);
  const auto waiting = [&] { return PrivatePostgres::shared().query(database, "SELECT count(*) FROM pg_locks WHERE NOT granted"); };
  for (const bool goes_on : {false, true}) {
    e2e::SqlSession somebody(database.superuser_url);
    somebody.execute("BEGIN");
    somebody.execute(GetParam().lock);
    daemon.start();
    ASSERT_TRUE(daemon.listening_until([&] { return waiting() != "0"; })) << daemon.log();
    daemon.process().kill(SIGTERM);
    if (goes_on) somebody.execute("COMMIT");  // and the start could go on to its end
    std::optional<int> status;
    EXPECT_TRUE(daemon.listening_until([&] { return (status = daemon.process().wait(Milliseconds(10))).has_value(); }, Milliseconds(8'000)))
        << daemon.log();
    EXPECT_EQ(status, 0) << daemon.log();
    EXPECT_THAT(daemon.log(), AllOf(HasSubstr("daemon.stopping"), HasSubstr("daemon.stopped")));
  }
}
INSTANTIATE_TEST_SUITE_P(At, SigtermDuringTheStart,
                         testing::Values(StopsAt{"Migrating", fmt::format("SELECT pg_advisory_xact_lock({})", 0x726f7374657264)},
                                         StopsAt{"SettingUp", "LOCK TABLE rosterd.account"},
                                         StopsAt{"Publishing", "LOCK TABLE rosterd.tenant"}),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(Life, AStopThatWasAskedForBeforeTheEndOfTheStartIsTheResultOfTheStart) {
  const auto database = PrivatePostgres::shared().fresh_database();
  const TempDir dir;
  config::Config config;
  config.server.listen.port = 0;
  config.state.directory = dir.path() / "state";
  config.secrets.key_file = dir.path() / "state/key";
  config.setup.secret_file = dir.path() / "state/setup-secret";
  config.database.url = database.app_url;
  config.database.owner_url = database.owner_url;
  std::stop_source stop;
  stop.request_stop();
  const auto service = Service::start(config, stop.get_token());
  ASSERT_FALSE(service) << "nothing that could be waited for was in its way";
  EXPECT_EQ(service.error().code, Errc::Stopped) << service.error().what;
}

/// A directory that takes connections (the kernel does, for a listening socket) and never says a word.
class MuteDirectory {
 public:
  MuteDirectory() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(fd_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd_, 16) != 0)
      throw std::runtime_error("making a mute directory");
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
  }
  ~MuteDirectory() { ::close(fd_); }
  int port = 0;

 private:
  int fd_;
};

/// A daemon in the middle of a sync that would go on for an hour.
void start_syncing_from(DaemonProcess& daemon, const MuteDirectory& directory, std::string& token) {
  const auto credential = run_ok({kRosterd, "--new-credential", "ada@example.org"});
  daemon.dir().write("first-admin", credential, 0400);
  token = credential.substr(credential.find("rst_"), 40);
  daemon.start_ready();
  ASSERT_THAT(daemon.post("/v1/tenants", token, R"({"id":"acme","name":"Acme"})"), StartsWith("201 "));
  ASSERT_THAT(daemon.post("/v1/tenants/acme/sources", token,
                          fmt::format(R"({{"name":"corp","type":"ldap","settings":{{"url":"ldap://127.0.0.1:{}","preset":"openldap",)"
                                      R"("users":{{"base":"ou=people,dc=acme"}},"groups":{{"base":"ou=groups,dc=acme"}}}}}})",
                                      directory.port)),
              StartsWith("201 "));
  ASSERT_TRUE(daemon.logs("sync.started tenant=acme")) << daemon.log();
}
void start_syncing_from(DaemonProcess& daemon, const MuteDirectory& directory) {
  std::string token;
  start_syncing_from(daemon, directory, token);
}

std::string slow_settings(const DaemonProcess& daemon, std::string_view shutdown_deadline) {
  return fmt::format(
      "[setup]\ncredential_file = \"{}\"\n[sync]\nallowed_networks = [\"127.0.0.0/8\"]\noperation_timeout = \"1h\"\nshutdown_deadline = "
      "\"{}\"",
      daemon.file("first-admin"), shutdown_deadline);
}

TEST(Life, SigtermAbandonsARunningSyncWithinTheDeadline) {
  const MuteDirectory directory;
  DaemonProcess daemon;
  daemon.configure(slow_settings(daemon, "1s"));
  start_syncing_from(daemon, directory);
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(10));
  EXPECT_THAT(daemon.log(), testing::AnyOf(HasSubstr("sync.abandoned tenant=acme"), HasSubstr("daemon.left_behind")));
  EXPECT_THAT(daemon.log(), testing::ContainsRegex("postgres.stopped(.|\n)*daemon.stopped"));
}

TEST(Life, ARequestThatTakesLongDelaysTheEndNoLongerThanTheDeadline) {
  const auto database = PrivatePostgres::shared().fresh_database();
  const MuteDirectory directory;
  DaemonProcess daemon;
  daemon.configure(on_server(database) + slow_settings(daemon, "2s"));
  std::string token;
  start_syncing_from(daemon, directory, token);
  ASSERT_THAT(daemon.post("/v1/tenants", token, R"({"id":"vast","name":"Vast"})"), StartsWith("201 "));
  // A tenant of millions, without the millions.
  PrivatePostgres::shared().query(database,
                                  "CREATE FUNCTION rosterd.dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); "
                                  "RETURN OLD; END $$; CREATE TRIGGER dawdle BEFORE DELETE ON rosterd.tenant FOR EACH ROW EXECUTE FUNCTION "
                                  "rosterd.dawdle()");
  Process deleting({"curl", "-s", "--max-time", "60", "-w", "%{http_code}", "-X", "DELETE", "-H", "Authorization: Bearer " + token,
                    fmt::format("http://127.0.0.1:{}/v1/tenants/vast", daemon.port())});
  const auto sleeping = [&] {
    return PrivatePostgres::shared().query(database, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
  };
  ASSERT_TRUE(wait_until([&] { return sleeping() == "1"; })) << daemon.log();
  const auto begun = std::chrono::steady_clock::now();
  daemon.process().kill(SIGTERM);
  EXPECT_FALSE(daemon.notify.next_with("EXTEND_TIMEOUT_USEC", Milliseconds(1'000)).empty()) << "before anything is waited for";
  EXPECT_EQ(daemon.process().wait(Milliseconds(12'000)), 0) << daemon.log();
  const auto took = std::chrono::steady_clock::now() - begun;
  EXPECT_GE(took, std::chrono::seconds(2)) << "request and sync have their time";
  EXPECT_LT(took, std::chrono::seconds(8));
  EXPECT_THAT(daemon.log(), AllOf(HasSubstr("sync.abandoned tenant=acme"), HasSubstr("daemon.parts_stopped")));
  ASSERT_TRUE(deleting.wait(Milliseconds(10'000)));
  EXPECT_THAT(deleting.output(), testing::EndsWith("503"));
  EXPECT_TRUE(wait_until([&] { return sleeping() == "0"; }, Milliseconds(15'000))) << "nor does the server go on with it";
  EXPECT_EQ(PrivatePostgres::shared().query(database, "SELECT count(*) FROM rosterd.tenant"), "2");
}

TEST(Life, AFrozenPostgresDelaysTheEndNoLongerThanTheDeadline) {
  PrivatePostgres server;
  const auto database = server.fresh_database();
  const MuteDirectory directory;
  DaemonProcess daemon;
  daemon.configure(on_server(database) + slow_settings(daemon, "2s"));
  std::string token;
  start_syncing_from(daemon, directory, token);
  server.freeze();
  Process asking({"curl", "-s", "--max-time", "60", "-w", "%{http_code}", "-H", "Authorization: Bearer " + token,
                  fmt::format("http://127.0.0.1:{}/v1/tenants/acme/sources", daemon.port())});
  EXPECT_FALSE(asking.wait(Milliseconds(500)).has_value());
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(15));
  EXPECT_THAT(daemon.log(),
              AllOf(testing::AnyOf(HasSubstr("sync.abandoned tenant=acme"), HasSubstr("daemon.left_behind")), HasSubstr("daemon.stopped")));
  server.thaw();
}

TEST(Life, ASecondSigtermEndsASlowRequestToo) {
  const auto database = PrivatePostgres::shared().fresh_database();
  DaemonProcess daemon;
  daemon.configure(on_server(database) + slow_settings(daemon, "10m"));
  const MuteDirectory directory;
  std::string token;
  start_syncing_from(daemon, directory, token);
  e2e::SqlSession somebody(database.superuser_url);
  somebody.execute("BEGIN");
  somebody.execute("LOCK TABLE rosterd.source");
  Process asking({"curl", "-s", "--max-time", "60", "-H", "Authorization: Bearer " + token,
                  fmt::format("http://127.0.0.1:{}/v1/tenants/acme/sources", daemon.port())});
  ASSERT_TRUE(
      wait_until([&] { return PrivatePostgres::shared().query(database, "SELECT count(*) FROM pg_locks WHERE NOT granted") != "0"; }));
  daemon.process().kill(SIGTERM);
  ASSERT_FALSE(daemon.notify.next_with("1 running syncs may finish").empty()) << daemon.log();
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(10));
}

TEST(Life, ASecondSigtermMakesTheEndQuick) {
  const MuteDirectory directory;
  DaemonProcess daemon;
  daemon.configure(slow_settings(daemon, "10m"));
  start_syncing_from(daemon, directory);
  daemon.process().kill(SIGTERM);
  ASSERT_FALSE(daemon.notify.next_with("1 running syncs may finish").empty()) << daemon.log();
  EXPECT_FALSE(daemon.process().wait(Milliseconds(1'000)).has_value()) << "it gives the sync its time";
  EXPECT_EQ(daemon.stop(), 0) << daemon.log();
  EXPECT_THAT(daemon.log(), HasSubstr("sync.abandoned tenant=acme"));
}

TEST(Life, ARoleThatCouldBypassRowLevelSecurityIsAConfigurationError) {
  const auto database = PrivatePostgres::shared().fresh_database();
  DaemonProcess daemon(fmt::format("[database]\nurl = \"{}\"\nowner_url = \"{}\"", database.superuser_url, database.owner_url));
  daemon.start();
  EXPECT_EQ(daemon.process().wait(Milliseconds(30'000)), 78) << daemon.log();
  EXPECT_THAT(daemon.log(), HasSubstr("daemon.failed"));
}

TEST(Life, APortThatIsTakenIsSaidWith69) {
  const auto database = PrivatePostgres::shared().fresh_database();
  const auto settings = fmt::format("[database]\nurl = \"{}\"\nowner_url = \"{}\"", database.app_url, database.owner_url);
  DaemonProcess first(settings);
  first.start_ready();
  DaemonProcess second;
  second.dir().write("rosterd.toml",
                     fmt::format("{}\n[server]\nlisten = \"127.0.0.1:{}\"\n[state]\ndirectory = \"state\"\n", settings, first.port()));
  second.start();
  EXPECT_EQ(second.process().wait(Milliseconds(30'000)), 69) << second.log();
  EXPECT_THAT(second.log(), HasSubstr("server.listen"));
  EXPECT_EQ(first.stop(), 0);
}

}  // namespace
}  // namespace rosterd::test
