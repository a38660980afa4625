#include "config/settings.hpp"

#include <array>
#include <charconv>
#include <limits>
#include <numeric>

namespace rosterd::config {
namespace {

std::string toml_string(std::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    else
      out += c;
  }
  return out + '"';
}

std::string_view kind_of(const Value& value) {
  constexpr std::array<std::string_view, 6> kinds{"a boolean", "an integer", "a number", "a string", "a list of strings", "a table"};
  return kinds.at(value.index());
}

tl::unexpected<Error> wrong_kind(const Value& value, std::string_view wanted) {
  return fail(Errc::InvalidInput, "is {}; write {}", kind_of(value), wanted);
}

// ---- one pair of functions (read, show) for each kind of member -------------------------------------------------------------------

struct Count {
  std::uint32_t least, most;
  Result<std::uint32_t> read(const Value& value) const {
    const auto* number = std::get_if<std::int64_t>(&value);
    if (number == nullptr) return wrong_kind(value, fmt::format("a whole number from {} to {}", least, most));
    if (*number < least || *number > most)
      return fail(Errc::InvalidInput, "{} is out of range; write a number from {} to {}", *number, least, most);
    return static_cast<std::uint32_t>(*number);
  }
  static std::string show(std::uint32_t value) { return fmt::format("{}", value); }
};

struct Duration {
  Millis least, most;
  Result<Millis> read(const Value& value) const {
    const auto* given = std::get_if<std::string>(&value);
    if (given == nullptr) return wrong_kind(value, "a duration with its unit in quotes, such as \"30s\"");
    const auto parsed = parse_duration(*given);
    if (!parsed) return fail(Errc::InvalidInput, "{}; write a number with ms, s, m, h or d", parsed.error().what);
    if (*parsed < least || *parsed > most)
      return fail(Errc::InvalidInput, "{} is out of range; write a duration from {} to {}", *given, duration_text(least),
                  duration_text(most));
    return *parsed;
  }
  static std::string show(Millis value) { return toml_string(duration_text(value)); }
};

/// A duration that may be missing: "" = none.
struct MaybeDuration {
  Duration given;
  Result<std::optional<Millis>> read(const Value& value) const {
    if (const auto* text = std::get_if<std::string>(&value); text != nullptr && text->empty()) return std::optional<Millis>();
    return given.read(value).map([](Millis length) { return std::optional(length); });
  }
  static std::string show(const std::optional<Millis>& value) { return value ? Duration::show(*value) : toml_string(""); }
};

struct Flag {
  Result<bool> read(const Value& value) const {
    const auto* flag = std::get_if<bool>(&value);
    if (flag == nullptr) return wrong_kind(value, "true or false");
    return *flag;
  }
  static std::string show(bool value) { return value ? "true" : "false"; }
};

struct Bytes {
  std::uint64_t least, most;
  Result<std::uint64_t> read(const Value& value) const {
    Result<std::uint64_t> parsed = wrong_kind(value, "a size such as \"1MiB\"");
    if (const auto* number = std::get_if<std::int64_t>(&value); number != nullptr && *number >= 0)
      parsed = static_cast<std::uint64_t>(*number);
    if (const auto* given = std::get_if<std::string>(&value); given != nullptr) parsed = parse_bytes(*given);
    if (parsed && (*parsed < least || *parsed > most))
      return fail(Errc::InvalidInput, "{} is out of range; write a size from {} to {}", bytes_text(*parsed), bytes_text(least),
                  bytes_text(most));
    return parsed;
  }
  static std::string show(std::uint64_t value) { return toml_string(bytes_text(value)); }
};

struct Text {
  Result<std::string> read(const Value& value) const {
    const auto* given = std::get_if<std::string>(&value);
    if (given == nullptr) return wrong_kind(value, "a string in quotes");
    return *given;
  }
  static std::string show(const std::string& value) { return toml_string(value); }
};

/// Rights of a file, written as chmod takes them.
struct Mode {
  Result<std::uint32_t> read(const Value& value) const {
    constexpr std::string_view kWanted = "the mode in quotes as chmod takes it, such as \"0660\"";
    const auto* given = std::get_if<std::string>(&value);
    if (given == nullptr) return wrong_kind(value, kWanted);
    if (given->size() < 3 || given->size() > 4 || given->find_first_not_of("01234567") != std::string::npos ||
        (given->size() == 4 && !given->starts_with('0')))
      return fail(Errc::InvalidInput, "'{}' is no mode; write {}", *given, kWanted);
    std::uint32_t mode = 0;
    for (const char c : *given) mode = mode * 8 + static_cast<std::uint32_t>(c - '0');
    return mode;
  }
  static std::string show(std::uint32_t value) { return fmt::format("\"{:04o}\"", value); }
};

struct File {
  Result<Path> read(const Value& value) const {
    const auto* given = std::get_if<std::string>(&value);
    if (given == nullptr) return wrong_kind(value, "a path in quotes");
    return Path(*given);
  }
  static std::string show(const Path& value) { return toml_string(value.string()); }
};

struct Listen {
  Result<Address> read(const Value& value) const {
    const auto* given = std::get_if<std::string>(&value);
    if (given == nullptr) return wrong_kind(value, "an address in quotes, such as \"127.0.0.1:8480\"");
    return parse_address(*given);
  }
  static std::string show(const Address& value) { return toml_string(text(value)); }
};

struct RateOf {
  static Result<Rate> read(const Value& value) {
    const auto* given = std::get_if<std::string>(&value);
    if (given == nullptr) return wrong_kind(value, "a rate in quotes, such as \"2000/s burst 4000\", or \"off\"");
    return parse_rate(*given);
  }
  static std::string show(const Rate& value) { return toml_string(rate_text(value)); }
};

struct DatabaseUrl {
  bool embedded_allowed;
  Result<std::string> read(const Value& value) const {
    const auto* given = std::get_if<std::string>(&value);
    if (given == nullptr) return wrong_kind(value, "a URL in quotes");
    if (embedded_allowed && *given == "embedded") return *given;
    if (!embedded_allowed && given->empty()) return *given;
    // The URL itself may hold a password and is not repeated in the message.
    if (!given->starts_with("postgresql://") && !given->starts_with("postgres://"))
      return fail(Errc::InvalidInput, "is not a PostgreSQL URL; write {}postgresql://user@host:5432/database",
                  embedded_allowed ? "\"embedded\" or " : "");
    return *given;
  }
  static std::string show(const std::string& value) { return toml_string(without_password(value)); }
};

/// The address clients use: only what may stand before a path.
struct PublicUrl {
  Result<std::string> read(const Value& value) const {
    const auto* given = std::get_if<std::string>(&value);
    if (given == nullptr) return wrong_kind(value, "a URL in quotes, such as \"https://authz.example.org\"");
    if (given->empty()) return *given;
    const std::string_view scheme = "https://";
    if (!given->starts_with(scheme) || given->size() == scheme.size() || given->ends_with('/') ||
        given->find_first_of("?#\\\"<> \t\r\n@") != std::string::npos)
      return fail(Errc::InvalidInput, "is not the address clients use; write https://HOST without a query or a slash at the end");
    return *given;
  }
  static std::string show(const std::string& value) { return toml_string(value); }
};

/// A list of lines whose meaning somebody else knows.
struct Lines {
  std::string_view example;
  Result<std::vector<std::string>> read(const Value& value) const {
    const auto* list = std::get_if<std::vector<std::string>>(&value);
    if (list == nullptr) return wrong_kind(value, fmt::format("a list of lines, such as [\"{}\"]", example));
    return *list;
  }
  static std::string show(const std::vector<std::string>& value) {
    std::string out = "[";
    for (const auto& line : value) out += (out.size() > 1 ? ", " : "") + toml_string(line);
    return out + "]";
  }
};

struct Networks {
  Result<std::vector<std::string>> read(const Value& value) const {
    const auto* list = std::get_if<std::vector<std::string>>(&value);
    if (list == nullptr) return wrong_kind(value, "a list of networks, such as [\"10.0.0.0/8\"]");
    std::string wrong;
    for (const auto& network : *list)
      if (const auto good = check_network(network); !good) wrong += (wrong.empty() ? "" : "; ") + good.error().what;
    if (!wrong.empty()) return fail(Errc::InvalidInput, "{}", wrong);
    return *list;
  }
  static std::string show(const std::vector<std::string>& value) {
    std::string out = "[";
    for (const auto& network : value) out += (out.size() > 1 ? ", " : "") + toml_string(network);
    return out + "]";
  }
};

struct Emails {
  Result<std::vector<std::string>> read(const Value& value) const {
    const auto* list = std::get_if<std::vector<std::string>>(&value);
    if (list == nullptr) return wrong_kind(value, "a list of e-mail addresses, such as [\"ada@example.org\"]");
    std::string wrong;
    for (const auto& address : *list)
      if (const auto good = check_email(address); !good) wrong += (wrong.empty() ? "" : "; ") + good.error().what;
    if (!wrong.empty()) return fail(Errc::InvalidInput, "{}", wrong);
    return *list;
  }
  static std::string show(const std::vector<std::string>& value) { return Lines::show(value); }
};

struct PostgresSettings {
  Result<std::map<std::string, std::string>> read(const Value& value) const {
    const auto* table = std::get_if<std::map<std::string, std::string>>(&value);
    if (table == nullptr) return wrong_kind(value, "a table of PostgreSQL settings, such as { shared_buffers = \"256MB\" }");
    // These decide who can reach the private cluster and how it is supervised.
    constexpr std::array<std::string_view, 9> kOurs{
        "listen_addresses", "port",        "unix_socket_directories", "unix_socket_permissions", "data_directory", "hba_file",
        "ident_file",       "config_file", "external_pid_file"};
    for (const auto& [name, setting] : *table) {
      if (name.empty() || name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.") != std::string::npos)
        return fail(Errc::InvalidInput, "'{}' is not the name of a PostgreSQL setting; names are lower case, such as shared_buffers", name);
      if (std::find(kOurs.begin(), kOurs.end(), name) != kOurs.end())
        return fail(Errc::InvalidInput, "{} is rosterd's own to decide for the embedded PostgreSQL; take it out", name);
      if (setting.find_first_of("\r\n") != std::string::npos || setting.find('\0') != std::string::npos)
        return fail(Errc::InvalidInput, "{} holds a line break; write it in one line", name);
    }
    return *table;
  }
  static std::string show(const std::map<std::string, std::string>& value) {
    if (value.empty()) return "{}";
    std::string out = "{ ";
    for (const auto& [name, setting] : value)
      out += fmt::format("{}{} = {}", out.size() > 2 ? ", " : "", name.find('.') == std::string::npos ? name : toml_string(name),
                         toml_string(setting));
    return out + " }";
  }
};

/// A value out of a short list of words.
template <class Enum, std::size_t N>
struct Word {
  std::array<std::pair<std::string_view, Enum>, N> words;
  Result<Enum> read(const Value& value) const {
    std::string all;
    for (const auto& [word, meaning] : words) all += fmt::format("{}\"{}\"", all.empty() ? "" : ", ", word);
    const auto* given = std::get_if<std::string>(&value);
    if (given == nullptr) return wrong_kind(value, "one of " + all);
    for (const auto& [word, meaning] : words)
      if (*given == word) return meaning;
    return fail(Errc::InvalidInput, "'{}' is unknown; write one of {}", *given, all);
  }
  std::string show(Enum value) const {
    for (const auto& [word, meaning] : words)
      if (value == meaning) return toml_string(word);
    return toml_string("");
  }
};
template <class Enum, std::size_t N>
Word(std::array<std::pair<std::string_view, Enum>, N>) -> Word<Enum, N>;

template <class Kind, class Member>
Setting row(std::string_view path, When when, Kind kind, Member member) {
  Setting setting{.path = path, .when = when, .read = {}, .show = {}, .path_of = {}};
  setting.read = [kind, member](Config& config, const Value& value) -> Result<void> {
    auto parsed = kind.read(value);
    if (!parsed) return fail(parsed.error());
    member(config) = std::move(*parsed);
    return {};
  };
  setting.show = [kind, member](const Config& config) { return kind.show(member(config)); };
  if constexpr (std::is_same_v<Kind, File>) setting.path_of = [member](Config& config) { return &member(config); };
  return setting;
}

#define MEMBER(name) [](auto& config) -> auto& { return config.name; }

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

std::vector<Setting> make_settings() {
  using enum When;
  using log::Level;
  constexpr Word kLevels{std::array<std::pair<std::string_view, Level>, 4>{
      {{"debug", Level::Debug}, {"info", Level::Info}, {"warning", Level::Warning}, {"error", Level::Error}}}};
  constexpr Word kFormats{std::array<std::pair<std::string_view, LogFormat>, 3>{
      {{"auto", LogFormat::Auto}, {"text", LogFormat::Text}, {"journald", LogFormat::Journald}}}};
  return {
      row("server.listen", Restart, Listen{}, MEMBER(server.listen)),
      row("server.unix_socket", Restart, File{}, MEMBER(server.unix_socket)),
      row("server.unix_socket_mode", Restart, Mode{}, MEMBER(server.unix_socket_mode)),
      row("server.threads", Restart, Count{2, 4096}, MEMBER(server.threads)),
      row("server.max_connections", Restart, Count{16, 1'000'000}, MEMBER(server.max_connections)),
      row("server.tls_certificate_file", Reload, File{}, MEMBER(server.tls_certificate_file)),
      row("server.tls_key_file", Reload, File{}, MEMBER(server.tls_key_file)),
      row("server.tls_client_ca_file", Reload, File{}, MEMBER(server.tls_client_ca_file)),
      row("server.public_url", Restart, PublicUrl{}, MEMBER(server.public_url)),
      row("server.proxy_routes", Restart, Lines{"GET /flows/{ns}/{rest...} FLOW READ {ns}"}, MEMBER(server.proxy_routes)),
      row("server.trusted_proxies", Restart, Lines{"cert:edge.example.org"}, MEMBER(server.trusted_proxies)),
      row("server.rate_limit", Reload, RateOf{}, MEMBER(server.rate_limit)),
      row("server.check_rate_limit", Reload, RateOf{}, MEMBER(server.check_rate_limit)),
      row("server.explain_rate_limit", Reload, RateOf{}, MEMBER(server.explain_rate_limit)),
      row("server.failure_rate_limit", Reload, RateOf{}, MEMBER(server.failure_rate_limit)),
      row("server.max_body", Restart, Bytes{1 << 10, 1 << 30}, MEMBER(server.max_body)),
      row("server.max_batch_body", Restart, Bytes{1 << 10, 1 << 30}, MEMBER(server.max_batch_body)),
      row("server.request_timeout", Restart, Duration{seconds(1), minutes(10)}, MEMBER(server.request_timeout)),
      row("server.keep_alive", Restart, Duration{seconds(1), minutes(10)}, MEMBER(server.keep_alive)),
      row("server.max_wait", Restart, Duration{Millis(100), minutes(1)}, MEMBER(server.max_wait)),
      row("server.revision_wait", Restart, Duration{Millis(0), minutes(1)}, MEMBER(server.revision_wait)),
      row("server.max_token_age", Restart, MaybeDuration{{minutes(1), days(3650)}}, MEMBER(server.max_token_age)),
      row("server.max_snapshot_age", Restart, Duration{seconds(1), days(30)}, MEMBER(server.max_snapshot_age)),

      row("database.url", Restart, DatabaseUrl{true}, MEMBER(database.url)),
      row("database.owner_url", Restart, DatabaseUrl{false}, MEMBER(database.owner_url)),
      row("database.password_file", Restart, File{}, MEMBER(database.password_file)),
      row("database.owner_password_file", Restart, File{}, MEMBER(database.owner_password_file)),
      row("database.connections", Restart, Count{2, 500}, MEMBER(database.connections)),
      row("database.connect_timeout", Restart, Duration{seconds(1), minutes(5)}, MEMBER(database.connect_timeout)),
      row("database.statement_timeout", Restart, Duration{seconds(1), hours(1)}, MEMBER(database.statement_timeout)),
      row("database.embedded.directory", Restart, File{}, MEMBER(embedded.directory)),
      row("database.embedded.bin_directory", Restart, File{}, MEMBER(embedded.bin_directory)),
      row("database.embedded.run_as", Restart, Text{}, MEMBER(embedded.run_as)),
      row("database.embedded.start_timeout", Restart, Duration{seconds(1), hours(1)}, MEMBER(embedded.start_timeout)),
      row("database.embedded.settings", Restart, PostgresSettings{}, MEMBER(embedded.settings)),

      row("state.directory", Restart, File{}, MEMBER(state.directory)),

      row("sync.workers", Restart, Count{1, 256}, MEMBER(sync.workers)),
      row("sync.lease_heartbeat", Restart, Duration{Millis(100), minutes(1)}, MEMBER(sync.lease_heartbeat)),
      row("sync.lease_expiry", Restart, Duration{Millis(300), minutes(10)}, MEMBER(sync.lease_expiry)),
      row("sync.connect_timeout", Reload, Duration{Millis(100), minutes(10)}, MEMBER(sync.connect_timeout)),
      row("sync.operation_timeout", Reload, Duration{Millis(100), hours(1)}, MEMBER(sync.operation_timeout)),
      row("sync.read_deadline", Reload, Duration{seconds(1), days(2)}, MEMBER(sync.read_deadline)),
      row("sync.page_size", Reload, Count{1, 100'000}, MEMBER(sync.page_size)),
      row("sync.max_message", Reload, Bytes{1 << 20, 2ull << 30}, MEMBER(sync.max_message)),
      row("sync.allowed_networks", Reload, Networks{}, MEMBER(sync.allowed_networks)),
      row("sync.http_proxy", Reload, Text{}, MEMBER(sync.http_proxy)),
      row("sync.shutdown_deadline", Reload, Duration{Millis(0), minutes(10)}, MEMBER(sync.shutdown_deadline)),

      row("secrets.key_file", Restart, File{}, MEMBER(secrets.key_file)),
      row("secrets.token_pepper_file", Restart, File{}, MEMBER(secrets.token_pepper_file)),

      row("setup.secret_file", Restart, File{}, MEMBER(setup.secret_file)),
      row("setup.credential_file", Restart, File{}, MEMBER(setup.credential_file)),

      row("rbac.catalogue_file", Restart, File{}, MEMBER(rbac.catalogue_file)),

      row("accounts.super_admins", Restart, Emails{}, MEMBER(accounts.super_admins)),
      row("accounts.session_lifetime", Restart, Duration{minutes(5), days(365)}, MEMBER(accounts.session_lifetime)),
      row("accounts.session_idle", Restart, Duration{minutes(5), days(365)}, MEMBER(accounts.session_idle)),
      row("accounts.lockout_attempts", Restart, Count{1, 1000}, MEMBER(accounts.lockout_attempts)),
      row("accounts.lockout_window", Restart, Duration{seconds(10), days(1)}, MEMBER(accounts.lockout_window)),
      row("accounts.lockout_duration", Restart, Duration{seconds(10), days(30)}, MEMBER(accounts.lockout_duration)),

      row("sign_in.issuer", Restart, Text{}, MEMBER(sign_in.issuer)),
      row("sign_in.audiences", Restart, Lines{"https://authz.example.org"}, MEMBER(sign_in.audiences)),
      row("sign_in.token_type", Restart, Text{}, MEMBER(sign_in.token_type)),
      row("sign_in.subject_claim", Restart, Text{}, MEMBER(sign_in.subject_claim)),
      row("sign_in.client_id", Restart, Text{}, MEMBER(sign_in.client_id)),
      row("sign_in.client_secret_file", Restart, File{}, MEMBER(sign_in.client_secret_file)),
      row("sign_in.create_accounts", Restart, Flag{}, MEMBER(sign_in.create_accounts)),
      row("sign_in.ca_file", Restart, File{}, MEMBER(sign_in.ca_file)),

      row("passwords.min_length", Restart, Count{1, 128}, MEMBER(passwords.min_length)),
      row("passwords.max_length", Restart, Count{16, 256}, MEMBER(passwords.max_length)),
      row("passwords.digit", Restart, Flag{}, MEMBER(passwords.digit)),
      row("passwords.lower_case", Restart, Flag{}, MEMBER(passwords.lower_case)),
      row("passwords.upper_case", Restart, Flag{}, MEMBER(passwords.upper_case)),
      row("passwords.other", Restart, Flag{}, MEMBER(passwords.other)),
      row("passwords.passes", Restart, Count{1, 100}, MEMBER(passwords.passes)),
      row("passwords.memory", Restart, Bytes{8 << 10, 1 << 30}, MEMBER(passwords.memory)),

      row("audit.retention", Restart, Duration{days(7), days(36'500)}, MEMBER(audit.retention)),

      row("log.level", Reload, kLevels, MEMBER(log.level)),
      row("log.format", Restart, kFormats, MEMBER(log.format)),
  };
}

#undef MEMBER

/// Edit distance with transpositions, since swapped letters are the commonest slip.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  std::iota(cost[0].begin(), cost[0].end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i)
    for (std::size_t j = 1; j <= b.size(); ++j) {
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  return cost[a.size()][b.size()];
}

std::string_view last_part(std::string_view path) { return path.substr(path.rfind('.') + 1); }

}  // namespace

const std::vector<Setting>& settings() {
  static const auto table = make_settings();
  return table;
}

const Setting* find_setting(std::string_view path) {
  for (const auto& setting : settings())
    if (setting.path == path) return &setting;
  return nullptr;
}

std::string nearest_setting(std::string_view path) {
  std::string_view nearest;
  auto least = std::numeric_limits<std::size_t>::max();
  for (const auto& setting : settings()) {
    // The same name in another section is as likely meant as a misspelling.
    const auto d = last_part(setting.path) == last_part(path) ? 1 : distance(setting.path, path);
    if (d < least) {
      least = d;
      nearest = setting.path;
    }
  }
  return least <= std::max<std::size_t>(2, path.size() / 4) ? std::string(nearest) : std::string();
}

std::vector<Problem> contradictions(const Config& config) {
  std::vector<Problem> problems;
  const auto& [server, database, embedded, state, sync, secrets, setup, rbac, accounts, sign_in, passwords, audit, log, file] = config;
  if (server.tls_certificate_file.empty() != server.tls_key_file.empty()) {
    const bool key_missing = server.tls_key_file.empty();
    problems.push_back(
        {{key_missing ? "server.tls_certificate_file" : "server.tls_key_file"},
         fmt::format("stands without server.{}; name both for HTTPS or neither", key_missing ? "tls_key_file" : "tls_certificate_file")});
  }
  if (!server.tls_client_ca_file.empty() && server.tls_certificate_file.empty())
    problems.push_back({{"server.tls_client_ca_file"},
                        "stands without server.tls_certificate_file; clients show certificates to a server that shows one"});
  if (server.tls_client_ca_file.empty() && std::any_of(server.trusted_proxies.begin(), server.trusted_proxies.end(),
                                                       [](const std::string& line) { return line.starts_with("cert:"); }))
    problems.push_back({{"server.trusted_proxies"},
                        "names a certificate, and without server.tls_client_ca_file nobody is asked for one; name the authority's file"});
  // A heartbeat or two may be lost without the source changing hands.
  if (sync.lease_expiry < 3 * sync.lease_heartbeat)
    problems.push_back(
        {{"sync.lease_expiry", "sync.lease_heartbeat"},
         fmt::format("an expiry of {} is less than three heartbeats of {}; write an expiry of {} or more, or a heartbeat of {} or less",
                     duration_text(sync.lease_expiry), duration_text(sync.lease_heartbeat), duration_text(3 * sync.lease_heartbeat),
                     duration_text(sync.lease_expiry / 3))});
  for (const auto& [path, time] :
       {std::pair{"sync.connect_timeout", sync.connect_timeout}, std::pair{"sync.operation_timeout", sync.operation_timeout}})
    if (time > sync.read_deadline)
      problems.push_back({{path, "sync.read_deadline"},
                          fmt::format("{} is longer than the {} of the whole read; make the first shorter or the second longer",
                                      duration_text(time), duration_text(sync.read_deadline))});
  if (database.is_embedded()) {
    for (const auto& [path, is_set] : {std::pair{"database.owner_url", !database.owner_url.empty()},
                                       std::pair{"database.password_file", !database.password_file.empty()},
                                       std::pair{"database.owner_password_file", !database.owner_password_file.empty()}})
      if (is_set)
        problems.push_back({{path}, "has no meaning with the embedded PostgreSQL; take it out, or set database.url to a server's URL"});
  } else if (!database.owner_password_file.empty() && database.owner_url.empty()) {
    problems.push_back({{"database.owner_password_file"}, "stands without database.owner_url; add the URL or take the file out"});
  }
  if (embedded.run_as.empty())
    problems.push_back({{"database.embedded.run_as"}, "is empty; name the user PostgreSQL runs as when rosterd is started as root"});
  if (accounts.session_idle > accounts.session_lifetime)
    problems.push_back({{"accounts.session_idle", "accounts.session_lifetime"},
                        fmt::format("a session that may idle for {} ends after {} anyway; make the first shorter or the second longer",
                                    duration_text(accounts.session_idle), duration_text(accounts.session_lifetime))});
  if (sign_in.issuer.empty()) {
    for (const auto& [path, is_set] :
         {std::pair{"sign_in.audiences", !sign_in.audiences.empty()}, std::pair{"sign_in.client_id", !sign_in.client_id.empty()},
          std::pair{"sign_in.client_secret_file", !sign_in.client_secret_file.empty()},
          std::pair{"sign_in.create_accounts", sign_in.create_accounts}})
      if (is_set) problems.push_back({{path}, "stands without sign_in.issuer; name the issuer or take it out"});
  } else {
    if (sign_in.audiences.empty() && sign_in.client_id.empty())
      problems.push_back(
          {{"sign_in.issuer"}, "lets nobody in yet; set sign_in.audiences for bearer tokens, or sign_in.client_id for browsers"});
    if (!sign_in.client_id.empty() && server.public_url.empty())
      problems.push_back({{"sign_in.client_id"}, "needs server.public_url, which is where the provider sends browsers back to"});
    if (sign_in.token_type != "rfc9068" && sign_in.token_type != "jwt" && sign_in.token_type != "absent")
      problems.push_back({{"sign_in.token_type"}, "must be rfc9068, jwt or absent"});
  }
  if (passwords.min_length > passwords.max_length)
    problems.push_back({{"passwords.min_length", "passwords.max_length"},
                        fmt::format("no password has at least {} and at most {} characters; make the first smaller or the second larger",
                                    passwords.min_length, passwords.max_length)});
  if (state.directory.empty()) problems.push_back({{"state.directory"}, "is empty; name the folder rosterd keeps its own files in"});
  return problems;
}

void complete(Config& config) {
  const auto under_state = [&](Path& path, const char* name) {
    if (path.empty()) path = config.state.directory / name;
  };
  under_state(config.embedded.directory, "postgres");
  under_state(config.secrets.key_file, "secret.key");
  under_state(config.setup.secret_file, "setup-secret");
}

std::vector<std::string> warnings(const Config& config) {
  std::vector<std::string> found;
  if (!is_loopback(config.server.listen) && config.server.tls_certificate_file.empty())
    found.push_back(
        fmt::format("server.listen: {} answers plain HTTP to other machines: tokens travel readable; set server.tls_certificate_file and "
                    "server.tls_key_file, or listen on 127.0.0.1 behind a proxy that speaks TLS",
                    text(config.server.listen)));
  for (const auto& [path, url, file] : {std::tuple{"database.url", &config.database.url, "database.password_file"},
                                        std::tuple{"database.owner_url", &config.database.owner_url, "database.owner_password_file"}})
    if (without_password(*url) != *url) found.push_back(fmt::format("{}: holds a password; {} keeps it out of this file", path, file));
  if (const auto own = config.embedded.settings.find("max_connections");
      config.database.is_embedded() && own != config.embedded.settings.end()) {
    std::uint32_t count = 0;
    const auto& text = own->second;
    const bool is_number = std::from_chars(text.data(), text.data() + text.size(), count).ec == std::errc();
    if (is_number && count < connections_needed(config))
      found.push_back(
          fmt::format("database.embedded.settings: max_connections = {} is less than the {} that database.connections and sync.workers "
                      "come to; take it "
                      "out, and rosterd chooses",
                      count, connections_needed(config)));
  }
  return found;
}

std::uint32_t connections_needed(const Config& config) { return config.database.connections + 2 * config.sync.workers + 1 + 3 + 1; }

std::string effective(const Config& config) {
  std::string out, section;
  for (const auto& setting : settings()) {
    const auto dot = setting.path.rfind('.');
    if (const auto here = setting.path.substr(0, dot); here != section) {
      out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", here);
      section = here;
    }
    out += fmt::format("{} = {}\n", setting.path.substr(dot + 1), setting.show(config));
  }
  return out;
}

Changes changes(const Config& from, const Config& to) {
  Changes found;
  for (const auto& setting : settings())
    if (setting.show(from) != setting.show(to))
      (setting.when == When::Reload ? found.reloaded : found.need_restart).emplace_back(setting.path);
  // `show` hides passwords, so that a changed one would go unnoticed.
  if (from.database.url != to.database.url && without_password(from.database.url) == without_password(to.database.url))
    found.need_restart.emplace_back("database.url");
  if (from.database.owner_url != to.database.owner_url &&
      without_password(from.database.owner_url) == without_password(to.database.owner_url))
    found.need_restart.emplace_back("database.owner_url");
  return found;
}

std::vector<SettingInfo> all_settings() {
  std::vector<SettingInfo> all;
  const Config defaults;
  for (const auto& setting : settings())
    all.push_back({.path = std::string(setting.path), .default_value = setting.show(defaults), .reloadable = setting.when == When::Reload});
  return all;
}

}  // namespace rosterd::config
