#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/config.hpp"
#include "config/settings.hpp"

namespace rosterd::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

Environment environment(std::map<std::string, std::string, std::less<>> variables = {}) {
  return [variables = std::move(variables)](std::string_view name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

Result<Config> read(std::string_view text, Environment variables = environment()) {
  return parse(text, "/etc/rosterd/rosterd.toml", variables);
}

std::string trouble(std::string_view text, Environment variables = environment()) {
  const auto config = read(text, variables);
  return config ? "" : config.error().what;
}

TEST(Config, AnEmptyFileGivesTheDefaults) {
  const auto config = read("");
  ASSERT_TRUE(config) << config.error().what;
  EXPECT_EQ(text(config->server.listen), "127.0.0.1:8480");
  EXPECT_TRUE(config->database.is_embedded());
  EXPECT_EQ(config->embedded.directory, "/var/lib/rosterd/postgres");
  EXPECT_EQ(config->secrets.key_file, "/var/lib/rosterd/secret.key");
  EXPECT_EQ(config->setup.secret_file, "/var/lib/rosterd/setup-secret");
  EXPECT_THAT(config->sync.allowed_networks, IsEmpty());
}

TEST(Config, EverySettingIsTakenFromTheFile) {
  const auto config = read(R"(
[server]
listen = "[::1]:9000"
unix_socket = "/run/rosterd/api.sock"
unix_socket_mode = "666"
threads = 8
max_connections = 500
max_body = "2MiB"
max_wait = "250ms"
[database]
url = "postgresql://rosterd@db.example/rosterd"
owner_url = "postgresql://owner@db.example/rosterd"
connections = 20
[state]
directory = "/srv/rosterd"
[sync]
workers = 9
read_deadline = "2h"
allowed_networks = ["10.0.0.0/8", "fd00::/8", "192.168.7.1/32"]
[log]
level = "debug"
format = "journald"
)");
  ASSERT_TRUE(config) << config.error().what;
  EXPECT_EQ(config->server.listen, (Address{"::1", 9000}));
  EXPECT_EQ(config->server.unix_socket, "/run/rosterd/api.sock");
  EXPECT_EQ(config->server.unix_socket_mode, 0666u);
  EXPECT_EQ(config->server.threads, 8u);
  EXPECT_EQ(config->server.max_connections, 500u);
  EXPECT_EQ(config->server.max_wait, Millis(250));
  EXPECT_EQ(config->server.max_body, 2u << 20);
  EXPECT_FALSE(config->database.is_embedded());
  EXPECT_EQ(config->database.owner_url, "postgresql://owner@db.example/rosterd");
  EXPECT_EQ(config->database.connections, 20u);
  EXPECT_EQ(config->sync.workers, 9u);
  EXPECT_EQ(config->sync.read_deadline, std::chrono::hours(2));
  EXPECT_THAT(config->sync.allowed_networks, ElementsAre("10.0.0.0/8", "fd00::/8", "192.168.7.1/32"));
  EXPECT_EQ(config->log.level, log::Level::Debug);
  EXPECT_EQ(config->log.format, LogFormat::Journald);
  EXPECT_EQ(config->setup.secret_file, "/srv/rosterd/setup-secret");
}

TEST(Config, AllProblemsAreReportedTogetherWithTheirLines) {
  EXPECT_EQ(trouble("[server]\n"
                    "listn = \"127.0.0.1:8480\"\n"
                    "threads = \"many\"\n"
                    "\n"
                    "[sync]\n"
                    "workers = 0\n"
                    "read_deadline = \"1 hour\"\n"
                    "allowed_networks = [\"10.0.0.1/8\"]\n"
                    "lease_expiry = \"5s\"\n"
                    "[log]\n"
                    "level = \"loud\"\n"
                    "[tls]\n"
                    "x = 1\n"),
            "/etc/rosterd/rosterd.toml:2: server.listn: there is no such setting; did you mean server.listen?\n"
            "/etc/rosterd/rosterd.toml:3: server.threads: is a string; write a whole number from 2 to 4096\n"
            "/etc/rosterd/rosterd.toml:6: sync.workers: 0 is out of range; write a number from 1 to 256\n"
            "/etc/rosterd/rosterd.toml:7: sync.read_deadline: '1 hour' is not a duration such as 250ms, 90s, 15m, 24h or 30d; write a "
            "number with ms, s, m, h or d\n"
            "/etc/rosterd/rosterd.toml:8: sync.allowed_networks: '10.0.0.1/8' has bits set below its prefix; write \"10.0.0.0/8\" for the "
            "network or "
            "\"10.0.0.1/32\" for the one address\n"
            "/etc/rosterd/rosterd.toml:9: sync.lease_expiry, sync.lease_heartbeat: an expiry of 5s is less than three heartbeats of 5s; "
            "write an expiry of 15s or more, or a heartbeat of 1666ms or less\n"
            "/etc/rosterd/rosterd.toml:11: log.level: 'loud' is unknown; write one of \"debug\", \"info\", \"warning\", \"error\"\n"
            "/etc/rosterd/rosterd.toml:12: tls: there is no such section; take it out (docs/configuration.md lists them)");
}

TEST(Config, RatesAreANumberEachSecondMinuteOrHourAndABurst) {
  const auto config = read(
      "[server]\nrate_limit = \"600/m burst 50\"\ncheck_rate_limit = \"off\"\nexplain_rate_limit = \"7/h\"\nfailure_rate_limit = \"1/s "
      "burst 1\"\n");
  ASSERT_TRUE(config) << config.error().what;
  EXPECT_EQ(config->server.rate_limit, (Rate{.count = 600, .per = std::chrono::minutes(1), .burst = 50}));
  EXPECT_EQ(config->server.check_rate_limit.count, 0u);
  EXPECT_EQ(config->server.explain_rate_limit, (Rate{.count = 7, .per = std::chrono::hours(1), .burst = 7}));
  EXPECT_THAT(effective(*config),
              HasSubstr("rate_limit = \"600/m burst 50\"\ncheck_rate_limit = \"off\"\nexplain_rate_limit = \"7/h burst 7\""));
  for (const char* bad : {"", "5", "5/", "5/d", "x/s", "-1/s", "5/s burst", "5/s burst x", "5/s, burst 6", "5 /s", "5/s burst 6 "})
    EXPECT_THAT(trouble(fmt::format("[server]\nrate_limit = \"{}\"\n", bad)), HasSubstr("server.rate_limit: '")) << bad;
  for (const char* bad : {"0/s", "5/s burst 0", "20000000/s"})
    EXPECT_THAT(trouble(fmt::format("[server]\nrate_limit = \"{}\"\n", bad)), HasSubstr("out of range")) << bad;
  EXPECT_THAT(trouble("[server]\nrate_limit = 5\n"), HasSubstr("server.rate_limit: is an integer; write a rate in quotes"));
}

TEST(Config, CertificatesOfClientsNeedAServerThatShowsOneAndAnAuthority) {
  EXPECT_THAT(trouble("[server]\ntrusted_proxies = [\"cert:edge.example.org\"]\n"),
              HasSubstr("server.trusted_proxies: names a certificate, and without server.tls_client_ca_file"));
  EXPECT_THAT(trouble(fmt::format("[server]\ntls_client_ca_file = \"{}/CMakeLists.txt\"\n", ROSTERD_SOURCE_DIR)),
              HasSubstr("server.tls_client_ca_file: stands without server.tls_certificate_file"));
  EXPECT_TRUE(read("[server]\ntrusted_proxies = [\"unix\"]\n"));
}

TEST(Config, ThePublicAddressIsAnHttpsOriginAndRoutesAreKeptAsTheyAre) {
  const auto config =
      read("[server]\npublic_url = \"https://authz.example.org/rosterd\"\nproxy_routes = [\"GET /a/{ns} FLOW READ {ns}\"]\n");
  ASSERT_TRUE(config) << config.error().what;
  EXPECT_EQ(config->server.public_url, "https://authz.example.org/rosterd");
  EXPECT_THAT(config->server.proxy_routes, ElementsAre("GET /a/{ns} FLOW READ {ns}"));
  for (const char* bad : {"http://a", "https://", "https://a/", "https://a?x", "https://a#x", "https://u@a", "a", "https://a b"})
    EXPECT_THAT(trouble(fmt::format("[server]\npublic_url = \"{}\"\n", bad)), HasSubstr("server.public_url: is not the address")) << bad;
}

TEST(Config, HowPeopleSignInIsConfigured) {
  const auto config = read(R"(
[server]
max_token_age = "90d"
[accounts]
super_admins = ["ada@example.org", "grace@example.org"]
session_lifetime = "8h"
session_idle = "30m"
lockout_attempts = 5
[passwords]
min_length = 12
other = false
memory = "64MiB"
)");
  ASSERT_TRUE(config) << config.error().what;
  EXPECT_EQ(config->server.max_token_age, Millis(90LL * 24 * 3'600'000));
  EXPECT_THAT(config->accounts.super_admins, ElementsAre("ada@example.org", "grace@example.org"));
  EXPECT_EQ(config->accounts.session_idle, Millis(30 * 60'000));
  EXPECT_EQ(config->accounts.lockout_attempts, 5u);
  EXPECT_EQ(config->passwords.min_length, 12u);
  EXPECT_FALSE(config->passwords.other);
  EXPECT_EQ(config->passwords.memory, 64u << 20);
  EXPECT_EQ(read("[server]\nmax_token_age = \"\"\n")->server.max_token_age, std::nullopt);

  EXPECT_THAT(trouble("[accounts]\nsuper_admins = [\"ada\"]\n"), HasSubstr("'ada' is not an e-mail address"));
  EXPECT_THAT(trouble("[accounts]\nsuper_admins = \"ada@example.org\"\n"), HasSubstr("write a list of e-mail addresses"));
  EXPECT_THAT(trouble("[passwords]\ndigit = \"yes\"\n"), HasSubstr("write true or false"));
  EXPECT_THAT(trouble("[accounts]\nsession_lifetime = \"1h\"\nsession_idle = \"2h\"\n"), HasSubstr("may idle for 2h ends after 1h anyway"));
  EXPECT_THAT(trouble("[passwords]\nmin_length = 64\nmax_length = 32\n"), HasSubstr("at least 64 and at most 32"));
  EXPECT_THAT(trouble("[server]\nmax_token_age = \"1s\"\n"), HasSubstr("out of range"));
}

TEST(Config, TextThatIsNotTomlIsReportedWithItsLine) {
  EXPECT_THAT(trouble("[server]\nlisten = \n"), StartsWith("/etc/rosterd/rosterd.toml:2: not TOML: "));
  EXPECT_THAT(trouble("[log]\nlevel = \"info\"\nlevel = \"info\"\n"), StartsWith("/etc/rosterd/rosterd.toml:3: not TOML: "));
}

TEST(Config, AMissingFileSaysHowToGetOne) {
  const auto config = load("/nonexistent/rosterd.toml");
  ASSERT_FALSE(config);
  EXPECT_THAT(config.error().what, HasSubstr("/nonexistent/rosterd.toml: cannot be read: No such file or directory"));
  EXPECT_THAT(config.error().what, HasSubstr("--config"));
  EXPECT_FALSE(load("/"));
}

TEST(Config, ANearlyRightNameIsGuessed) {
  EXPECT_EQ(nearest_setting("sync.wrokers"), "sync.workers");
  EXPECT_EQ(nearest_setting("server.workers"), "sync.workers") << "the right name in the wrong section";
  EXPECT_EQ(nearest_setting("database.embeded.run_as"), "database.embedded.run_as");
  EXPECT_EQ(nearest_setting("entirely.different"), "");
}

TEST(Config, RelativePathsStartAtTheFolderOfTheFile) {
  const auto config = read("[state]\ndirectory = \"state\"\n[secrets]\nkey_file = \"../keys/rosterd.key\"\n");
  ASSERT_TRUE(config) << config.error().what;
  EXPECT_EQ(config->state.directory, "/etc/rosterd/state");
  EXPECT_EQ(config->secrets.key_file, "/etc/keys/rosterd.key");
  EXPECT_EQ(config->embedded.directory, "/etc/rosterd/state/postgres");
}

TEST(Config, PathsMayNameTheEnvironment) {
  const auto variables = environment({{"CREDENTIALS_DIRECTORY", "/run/credentials/rosterd.service"}});
  const auto config = read("[setup]\ncredential_file = \"${CREDENTIALS_DIRECTORY}/first-admin\"\n", variables);
  ASSERT_TRUE(config) << config.error().what;
  EXPECT_EQ(config->setup.credential_file, "/run/credentials/rosterd.service/first-admin");
  EXPECT_EQ(trouble("[setup]\ncredential_file = \"${CREDENTIALS_DIRECTORY}/first-admin\"\n"),
            "/etc/rosterd/rosterd.toml:2: setup.credential_file: the environment has no variable CREDENTIALS_DIRECTORY; systemd sets it "
            "when the unit has a "
            "LoadCredential= line");
  EXPECT_THAT(trouble("[setup]\ncredential_file = \"${BROKEN\"\n"), HasSubstr("no closing brace"));
}

TEST(Config, FilesThatAreOnlyReadMustExist) {
  EXPECT_THAT(trouble("[server]\ntls_certificate_file = \"/nonexistent/a.pem\"\ntls_key_file = \"/nonexistent/b.pem\"\n"),
              testing::AllOf(HasSubstr(":2: server.tls_certificate_file: /nonexistent/a.pem does not exist"),
                             HasSubstr(":3: server.tls_key_file: /nonexistent/b.pem does not exist")));
}

TEST(Config, AModeIsWrittenAsChmodTakesIt) {
  for (const char* bad : {"\"\"", "\"66\"", "\"0680\"", "\"1660\"", "\"00660\"", "\"rw-rw----\"", "660"})
    EXPECT_THAT(trouble(fmt::format("[server]\nunix_socket_mode = {}\n", bad)), HasSubstr("server.unix_socket_mode: ")) << bad;
  EXPECT_THAT(effective(*read("[server]\nunix_socket_mode = \"600\"\n")), HasSubstr("unix_socket_mode = \"0600\""));
}

TEST(Config, SettingsThatContradictEachOtherAreRefused) {
  EXPECT_THAT(trouble(fmt::format("[server]\ntls_certificate_file = \"{}\"\n", __FILE__)), HasSubstr("stands without server.tls_key_file"));
  EXPECT_THAT(trouble("[database]\nowner_url = \"postgresql://o@h/d\"\n"), HasSubstr("has no meaning with the embedded PostgreSQL"));
  EXPECT_THAT(trouble("[sync]\nconnect_timeout = \"2m\"\nread_deadline = \"1m\"\n"),
              HasSubstr(":2: sync.connect_timeout, sync.read_deadline: 2m is longer than the 1m of the whole read"));
  EXPECT_THAT(trouble("[state]\ndirectory = \"\"\n"), HasSubstr(":2: state.directory: is empty"));
}

TEST(Config, AContradictionWithADefaultIsReportedAtTheLineThatIsThere) {
  EXPECT_EQ(
      trouble("[sync]\n\nlease_heartbeat = \"20s\"\n"),
      "/etc/rosterd/rosterd.toml:3: sync.lease_expiry, sync.lease_heartbeat: an expiry of 30s is less than three heartbeats of 20s; write "
      "an expiry of 1m or more, or a heartbeat of 10s or less");
  EXPECT_EQ(
      trouble("[sync]\nread_deadline = \"5s\"\n"),
      "/etc/rosterd/rosterd.toml:2: sync.connect_timeout, sync.read_deadline: 10s is longer than the 5s of the whole read; make the first "
      "shorter or the second longer\n"
      "/etc/rosterd/rosterd.toml:2: sync.operation_timeout, sync.read_deadline: 30s is longer than the 5s of the whole read; make the "
      "first shorter or the second longer");
  EXPECT_EQ(
      trouble("[sync]\nlease_heartbeat = \"20s\"\nlease_expiry = \"soon\"\n"),
      "/etc/rosterd/rosterd.toml:3: sync.lease_expiry: 'soon' is not a duration such as 250ms, 90s, 15m, 24h or 30d; write a number with "
      "ms, s, m, h or d")
      << "what cannot be read contradicts nothing";
}

TEST(Config, PostgresSettingsThatDecideWhoMayConnectAreNotTaken) {
  const auto config = read("[database.embedded]\nsettings = { shared_buffers = \"1GB\", max_connections = 50, fsync = true }\n");
  ASSERT_TRUE(config) << config.error().what;
  EXPECT_EQ(config->embedded.settings,
            (std::map<std::string, std::string>{{"fsync", "on"}, {"max_connections", "50"}, {"shared_buffers", "1GB"}}));
  EXPECT_THAT(trouble("[database.embedded.settings]\nlisten_addresses = \"*\"\n"),
              HasSubstr("listen_addresses is rosterd's own to decide"));
  EXPECT_THAT(trouble("[database.embedded.settings]\n\"archive_command\\n\" = \"x\"\n"), HasSubstr("not the name of a PostgreSQL setting"));
  EXPECT_THAT(trouble("[database.embedded.settings]\nshared_buffers = \"1\\nhba_file=x\"\n"), HasSubstr("holds a line break"));
}

TEST(Config, PasswordsAreNeitherShownNorRepeatedInErrors) {
  const auto config = read(
      "[database]\nurl = \"postgresql://rosterd:hunter2@db/rosterd?sslpassword=x\"\nowner_url = "
      "\"postgresql://o@db/d?password=hunter2&x=1\"\n");
  ASSERT_TRUE(config) << config.error().what;
  EXPECT_THAT(effective(*config), Not(HasSubstr("hunter2")));
  EXPECT_THAT(effective(*config), HasSubstr("postgresql://rosterd:***@db/rosterd"));
  EXPECT_EQ(warnings(*config).size(), 2u);
  EXPECT_THAT(trouble("[database]\nurl = \"mysql://rosterd:hunter2@db\"\n"),
              testing::AllOf(HasSubstr("is not a PostgreSQL URL"), Not(HasSubstr("hunter2"))));
}

TEST(Config, PlainHttpOnAnOutsideAddressIsAllowedWithAWarning) {
  EXPECT_THAT(warnings(*read("[server]\nlisten = \"0.0.0.0:8480\"\n")), ElementsAre(HasSubstr("plain HTTP")));
  EXPECT_THAT(warnings(*read("")), IsEmpty());
  EXPECT_THAT(warnings(*read("[database.embedded]\nsettings = { max_connections = \"20\" }\n[sync]\nworkers = 9\n")),
              ElementsAre(HasSubstr("max_connections = 20 is less than the 31")));
  EXPECT_THAT(warnings(*read("[database.embedded]\nsettings = { max_connections = \"31\" }\n[sync]\nworkers = 9\n")), IsEmpty());
}

TEST(Config, WhatIsInEffectReadsBackAsTheSame) {
  const auto config = read(
      "[server]\nlisten = \"[::1]:0\"\n[sync]\nallowed_networks = [\"10.0.0.0/8\"]\n[database.embedded.settings]\nmax_wal_size = "
      "\"4GB\"\n");
  ASSERT_TRUE(config) << config.error().what;
  const auto again = read(effective(*config));
  ASSERT_TRUE(again) << again.error().what;
  EXPECT_EQ(effective(*again), effective(*config));
}

TEST(Config, AReloadTellsWhatItCannotChange) {
  const auto before = read("[log]\nlevel = \"info\"\n[server]\nthreads = 4\n[database]\nurl = \"postgresql://a:one@h/d\"\n");
  const auto after = read("[log]\nlevel = \"debug\"\n[server]\nthreads = 8\n[database]\nurl = \"postgresql://a:two@h/d\"\n");
  const auto found = changes(*before, *after);
  EXPECT_THAT(found.reloaded, ElementsAre("log.level"));
  EXPECT_THAT(found.need_restart, ElementsAre("server.threads", "database.url"));
  EXPECT_THAT(changes(*before, *before).need_restart, IsEmpty());
}

TEST(Values, AddressesNeedAPort) {
  for (const char* good : {"127.0.0.1:8480", "[::1]:0", "localhost:80", "0.0.0.0:65535"}) EXPECT_TRUE(parse_address(good)) << good;
  for (const char* bad : {"", "127.0.0.1", ":80", "::1:80", "[::1]", "a:b", "a:65536", "[::1:80", "a b:80", "http://a:80", "a:-1"})
    EXPECT_FALSE(parse_address(bad)) << bad;
}

TEST(Values, NetworksAreStrict) {
  for (const char* good : {"0.0.0.0/0", "127.0.0.1/32", "fe80::/10", "::1/128"}) EXPECT_TRUE(check_network(good)) << good;
  for (const char* bad : {"", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/8 ", "fd00::/129", "host/8", "10.0.0.1/24", "fd00::1/64"})
    EXPECT_FALSE(check_network(bad)) << bad;
}

TEST(Values, SizesHaveBinaryUnits) {
  EXPECT_EQ(parse_bytes("1024").value(), 1024u);
  EXPECT_EQ(parse_bytes("1kib").value(), 1024u);
  EXPECT_EQ(parse_bytes("3 MiB").value(), 3u << 20);
  for (const char* bad : {"", "MiB", "1MB", "-1", "1.5MiB", "99999999999GiB"}) EXPECT_FALSE(parse_bytes(bad)) << bad;
  EXPECT_EQ(bytes_text(3u << 20), "3MiB");
  EXPECT_EQ(bytes_text(1500), "1500");
}

}  // namespace
}  // namespace rosterd::config
