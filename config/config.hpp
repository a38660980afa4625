#pragma once
// A TOML file comes in, one plain struct per section goes out: checked, completed with defaults, paths made absolute. Everything that is
// wrong with a file is reported together, each line as `file:line: setting: what is wrong; how to mend it`. What the settings bring about
// lives with those who take the structs; docs/configuration.md describes every setting.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/core/clock.hpp"
#include "schema/core/log.hpp"
#include "schema/core/result.hpp"

namespace rosterd::config {

using Path = std::filesystem::path;  ///< empty = not set; absolute after load

/// "127.0.0.1:8480", "[::1]:8480"; port 0 = any free one.
struct Address {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8480;
  bool operator==(const Address&) const = default;
};
[[nodiscard]] std::string text(const Address& address);
[[nodiscard]] bool is_loopback(const Address& address);

/// "2000/s burst 4000": so many each `per`, and after a pause so many at once. A count of 0 is no limit, "off".
struct Rate {
  std::uint32_t count = 0;
  Millis per{1'000};
  std::uint32_t burst = 0;
  bool operator==(const Rate&) const = default;
};

struct Server {
  Address listen;
  Path unix_socket;                                           ///< a socket beside the port
  std::uint32_t unix_socket_mode = 0660;                      ///< who may connect there, as for chmod
  std::string public_url;                                     ///< what clients call us: "https://authz.example.org"
  std::vector<std::string> proxy_routes;                      ///< one line each, read by daemon/http
  std::vector<std::string> trusted_proxies;                   ///< one line each, read by daemon/http
  Rate rate_limit{.count = 2'000, .burst = 4'000};            ///< of one caller, decisions not counted
  Rate check_rate_limit{.count = 100'000, .burst = 200'000};  ///< of one caller
  Rate explain_rate_limit{.count = 20, .burst = 200};         ///< of one caller
  Rate failure_rate_limit{.count = 20, .burst = 400};         ///< of one address: requests without a valid token
  std::uint32_t threads = 32;
  std::uint32_t max_connections = 10'000;
  Path tls_certificate_file;
  Path tls_key_file;
  Path tls_client_ca_file;  ///< authorities of the certificates that clients may show
  std::uint64_t max_body = 64ull << 10;
  std::uint64_t max_batch_body = 1ull << 20;
  Millis request_timeout{10'000};
  Millis keep_alive{60'000};
  Millis max_wait{1'000};  ///< for a thread, then 503
  Millis revision_wait{1'000};
  std::optional<Millis> max_token_age;  ///< none = tokens may live for ever
  Millis max_snapshot_age{60'000};
};

struct Database {
  std::string url = "embedded";  ///< or a postgresql:// URL of the daemon's own role
  std::string owner_url;         ///< of the role that owns the tables and migrates; empty = the schema must be there already
  Path password_file;            ///< password of `url`, so that it need not stand in this file
  Path owner_password_file;
  std::uint32_t connections = 8;
  Millis connect_timeout{5'000};
  Millis statement_timeout{60'000};
  [[nodiscard]] bool is_embedded() const { return url == "embedded"; }
};

struct Embedded {
  Path directory;                   ///< default: <state.directory>/postgres
  Path bin_directory;               ///< default: the newest PostgreSQL >= 15 of the machine
  std::string run_as = "postgres";  ///< when rosterd itself runs as root, which PostgreSQL refuses
  Millis start_timeout{60'000};
  std::map<std::string, std::string> settings;  ///< PostgreSQL's own, over rosterd's defaults
};

struct State {
  Path directory = "/var/lib/rosterd";
};

struct Sync {
  std::uint32_t workers = 4;
  Millis lease_heartbeat{5'000};
  Millis lease_expiry{30'000};
  Millis connect_timeout{10'000};
  Millis operation_timeout{30'000};
  Millis read_deadline{3'600'000};
  std::uint32_t page_size = 1000;
  std::uint64_t max_message = 256ull << 20;
  std::vector<std::string> allowed_networks;
  std::string http_proxy;  ///< for sources that are read over HTTP
  Millis shutdown_deadline{20'000};
};

struct SecretsSection {
  Path key_file;           ///< default: <state.directory>/secret.key
  Path token_pepper_file;  ///< API tokens are hashed under its content; empty = without
};

struct Setup {
  Path secret_file;      ///< default: <state.directory>/setup-secret
  Path credential_file;  ///< {"email": …, "token": …} of the first super admin, for unattended installs
};

struct Rbac {
  Path catalogue_file;  ///< the permissions instead of the built-in ones, read by daemon/catalogue_file
};

struct Accounts {
  std::vector<std::string> super_admins;  ///< e-mails: exactly these, as of each start; empty = whoever it is
  Millis session_lifetime{std::chrono::hours(12)};
  Millis session_idle{std::chrono::hours(1)};
  std::uint32_t lockout_attempts = 10;
  Millis lockout_window{std::chrono::minutes(5)};
  Millis lockout_duration{std::chrono::minutes(30)};
};

/// The issuer that accounts sign in through; without an issuer, none.
struct SignIn {
  std::string issuer;
  std::vector<std::string> audiences;  ///< what `aud` of bearer tokens holds; empty = no bearer tokens
  std::string token_type = "rfc9068";
  std::string subject_claim = "sub";
  std::string client_id;    ///< for browsers; empty = no browsers
  Path client_secret_file;  ///< empty = a public client
  bool create_accounts = false;
  Path ca_file;
};

struct Passwords {
  std::uint32_t min_length = 8;
  std::uint32_t max_length = 128;
  bool digit = true;
  bool lower_case = true;
  bool upper_case = true;
  bool other = true;  ///< neither a-z, A-Z nor 0-9
  std::uint32_t passes = 2;
  std::uint64_t memory = 19ull << 20;
};

struct Audit {
  Millis retention{std::chrono::hours(400 * 24)};  ///< audit rows and runs older than this are forgotten
};

enum class LogFormat { Auto, Text, Journald };

struct Log {
  log::Level level = log::Level::Info;
  LogFormat format = LogFormat::Auto;
};

struct Config {
  Server server;
  Database database;
  Embedded embedded;  ///< [database.embedded]
  State state;
  Sync sync;
  SecretsSection secrets;
  Setup setup;
  Rbac rbac;
  Accounts accounts;
  SignIn sign_in;
  Passwords passwords;
  Audit audit;
  Log log;
  std::string file;  ///< where it was read from; no setting
};

/// Looks up an environment variable; none = not set.
using Environment = std::function<std::optional<std::string>(std::string_view name)>;
[[nodiscard]] Environment process_environment();

/// Reads and checks a file. The error holds every problem, one a line. `${NAME}` in a path is an environment variable, so that
/// systemd's ${CREDENTIALS_DIRECTORY} can be named; other relative paths start at the folder of the file.
[[nodiscard]] Result<Config> load(const Path& file, const Environment& environment = process_environment());
/// The same from text; `file` names it in messages and places relative paths. No I/O but looking whether named files exist.
[[nodiscard]] Result<Config> parse(std::string_view text, const Path& file, const Environment& environment = process_environment());

/// All settings as TOML, defaults included, passwords left out: what `rosterd --check-config` prints.
[[nodiscard]] std::string effective(const Config& config);
/// What is allowed but deserves a look, such as plain HTTP on an outside address.
[[nodiscard]] std::vector<std::string> warnings(const Config& config);

/// Connections one rosterd opens to PostgreSQL at most: for requests, two a sync, one for leases, three for snapshots.
[[nodiscard]] std::uint32_t connections_needed(const Config& config);

/// Which settings differ between two configurations, sorted into those a reload can change and those that need a restart.
struct Changes {
  std::vector<std::string> reloaded;
  std::vector<std::string> need_restart;
};
[[nodiscard]] Changes changes(const Config& from, const Config& to);

/// Every setting's path ("sync.workers"), in the order of the example; with its default as `effective` prints it.
struct SettingInfo {
  std::string path;
  std::string default_value;
  bool reloadable = false;
};
[[nodiscard]] std::vector<SettingInfo> all_settings();

}  // namespace rosterd::config
