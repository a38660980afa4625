#include "tests/support/slapd.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sstream>
#include <stdexcept>

namespace rosterd::test {
namespace {

bool accepts(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  const bool open = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return open;
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

/// RFC 2307bis is nis with posixGroup as an auxiliary class, so that a groupOfNames can be a posixGroup as well. Debian ships nis only.
std::string rfc2307bis_schema() {
  std::string text = read_file("/etc/ldap/schema/nis.schema");
  const std::size_t from = text.find("NAME 'posixGroup'");
  const std::size_t to = text.find("objectclass", from);
  if (from == std::string::npos || to == std::string::npos) throw std::runtime_error("nis.schema has no posixGroup");
  std::string group = text.substr(from, to - from);
  group = replaced(replaced(group, "STRUCTURAL", "AUXILIARY"), "MUST ( cn $ gidNumber )", "MUST gidNumber");
  return text.replace(from, to - from, group);
}

std::string decode_base64(std::string_view text) {
  static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  unsigned bits = 0, count = 0;
  for (const char c : text) {
    const auto digit = kDigits.find(c);
    if (digit == std::string_view::npos) continue;
    bits = bits << 6 | static_cast<unsigned>(digit);
    if ((count += 6) < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xff);
  }
  return out;
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

/// The DN of one LDIF entry, unfolded and decoded (RFC 2849); empty when it has none (comments, "version: 1").
std::string dn_of(const std::string& entry) {
  const std::string text = replaced("\n" + entry, "\n ", "");
  const std::size_t at = text.find("\ndn:");
  if (at == std::string::npos) return {};
  std::string line = text.substr(at + 4, text.find('\n', at + 1) - at - 4);
  const bool encoded = line.starts_with(":");
  line.erase(0, line.find_first_not_of(": "));
  return lower(encoded ? decode_base64(line) : line);
}

std::vector<std::string> entries_of(const std::string& ldif) {
  std::vector<std::string> entries(1);
  std::istringstream in(ldif);
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) {
      if (!entries.back().empty()) entries.emplace_back();
    } else {
      entries.back() += line + "\n";
    }
  }
  return entries;
}

std::string first_of_file(const std::string& path) {
  std::string text = read_file(path).substr(0, 4096);
  return text.substr(0, text.find("\n\n"));
}

}  // namespace

std::string suffix_ldif(const std::string& suffix) {
  const std::string rdn = suffix.substr(0, suffix.find(','));
  const std::string type = rdn.substr(0, rdn.find('=')), value = rdn.substr(rdn.find('=') + 1);
  const std::string head = fmt::format("dn: {}\n{}: {}\n", suffix, type, value);
  if (type == "dc") return head + fmt::format("objectClass: dcObject\nobjectClass: organization\no: {}\n\n", value);
  if (type == "o") return head + "objectClass: organization\n\n";
  if (type == "ou") return head + "objectClass: organizationalUnit\n\n";
  throw std::runtime_error("no entry is known for the suffix " + suffix);
}

PrivateSlapd::PrivateSlapd(Options options) : options_(std::move(options)), temp_("rldap") {
  dir_ = options_.dir.empty() ? temp_.path().string() : options_.dir;
  port_ = options_.port != 0 ? options_.port : free_port();
  tls_port_ = free_port();
  write_conf();
  load();
  start();
}

std::string PrivateSlapd::url() const { return fmt::format("ldap://127.0.0.1:{}", port_); }
std::string PrivateSlapd::tls_url() const { return fmt::format("ldaps://127.0.0.1:{}", tls_port_); }
std::string PrivateSlapd::admin_dn(std::size_t suffix) const { return "cn=admin," + options_.suffixes.at(suffix); }

void PrivateSlapd::write_conf() {
  std::string conf;
  for (const auto& schema : options_.schema) {
    if (schema == "rfc2307bis") {
      conf += "include " + temp_.write("rfc2307bis.schema", rfc2307bis_schema()) + "\n";
    } else {
      conf += fmt::format("include /etc/ldap/schema/{}.schema\n", schema);
    }
  }
  conf += fmt::format(
      "modulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload memberof\nmoduleload syncprov\nmoduleload ppolicy\n"
      "pidfile {}\nsizelimit unlimited\ntimelimit unlimited\n",
      temp_.file("slapd.pid"));
  if (options_.tls)
    conf += fmt::format("TLSCertificateFile {}\nTLSCertificateKeyFile {}\n", options_.tls->cert_file, options_.tls->key_file);
  if (!options_.ca_file.empty()) conf += fmt::format("TLSCACertificateFile {}\n", options_.ca_file);
  conf += options_.global_conf + "\n";
  for (std::size_t i = 0; i < options_.suffixes.size(); ++i) {
    const std::string data = fmt::format("{}/db{}", dir_, i);
    std::filesystem::create_directories(data);
    conf += fmt::format(
        "\ndatabase mdb\nsuffix \"{}\"\nrootdn \"{}\"\nrootpw {}\ndirectory {}\nmaxsize 17179869184\ndbnosync\n"
        "index objectClass,entryUUID,entryCSN,uid,cn,member,memberUid eq\n",
        options_.suffixes[i], admin_dn(i), admin_password(), data);
    const std::string own = replaced(options_.database_conf, "${suffix}", options_.suffixes[i]);
    if (("\n" + own).find("\naccess ") == std::string::npos) conf += "access to * by * read\n";
    conf += own + "\n";
  }
  // A schema that is not loaded has no attribute to index.
  const auto has = [&](std::string_view name) {
    return std::find(options_.schema.begin(), options_.schema.end(), name) != options_.schema.end();
  };
  if (!has("nis") && !has("rfc2307bis")) conf = replaced(conf, ",memberUid eq", " eq");
  temp_.write("slapd.conf", conf);
}

void PrivateSlapd::load() {
  const std::string conf = temp_.file("slapd.conf");
  const auto slapadd = [&](std::size_t suffix, const std::string& file) {
    run_ok({"/usr/sbin/slapadd", "-q", "-f", conf, "-b", options_.suffixes[suffix], "-l", file}, {}, Milliseconds(1'800'000));
  };
  const auto suffix_of = [&](const std::string& dn) -> std::optional<std::size_t> {
    for (std::size_t i = 0; i < options_.suffixes.size(); ++i)
      if (dn.ends_with(lower(options_.suffixes[i]))) return i;
    return std::nullopt;
  };
  std::vector<std::string> texts(options_.suffixes.size());
  if (!options_.ldif.empty()) {
    for (const auto& entry : entries_of(options_.ldif)) {
      const std::string dn = dn_of(entry);
      if (dn.empty()) continue;
      const auto suffix = suffix_of(dn);
      if (!suffix) throw std::runtime_error("LDIF entry outside the suffixes: " + dn);
      texts[*suffix] += entry + "\n";
    }
  } else if (options_.ldif_files.empty()) {
    for (std::size_t i = 0; i < texts.size(); ++i) texts[i] = suffix_ldif(options_.suffixes[i]);
  }
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].empty() || std::filesystem::exists(fmt::format("{}/db{}/data.mdb", dir_, i))) continue;
    slapadd(i, temp_.write(fmt::format("load{}.ldif", i), texts[i]));
  }
  for (const auto& file : options_.ldif_files) {
    const auto suffix = suffix_of(dn_of(first_of_file(file)));
    if (!suffix) throw std::runtime_error("LDIF file outside the suffixes: " + file);
    // A kept database says with a mark of ours that it was loaded to the end.
    const std::string mark = fmt::format("{}/db{}/loaded-{}", dir_, *suffix, std::filesystem::path(file).filename().string());
    if (std::filesystem::exists(mark)) continue;
    if (file == options_.ldif_files.front())  // what a load that was cut off has left
      for (const char* part : {"data.mdb", "lock.mdb"}) std::filesystem::remove(fmt::format("{}/db{}/{}", dir_, *suffix, part));
    slapadd(*suffix, file);
    write_file(mark, "");
  }
}

void PrivateSlapd::start() {
  if (server_ && server_->is_running()) return;
  for (int attempt = 0;; ++attempt) {
    std::string listen = url() + "/";
    if (options_.tls) listen += " " + tls_url() + "/";
    // -d keeps it in the foreground; "none" logs errors only.
    server_.emplace(Argv{"/usr/sbin/slapd", "-f", temp_.file("slapd.conf"), "-h", listen, "-d", options_.debug},
                    ProcessOptions{.output = temp_.file("log"), .death_signal = SIGKILL});
    const bool up =
        wait_until([&] { return !server_->is_running() || (accepts(port_) && std::filesystem::exists(temp_.file("slapd.pid"))); },
                   Milliseconds(60'000));
    if (up && server_->is_running()) return;
    // Somebody may have taken a port between the look and the bind; a server that was up before must come back where it was.
    if (attempt > 3 || options_.port != 0 || log().find("in use") == std::string::npos)
      throw std::runtime_error("private slapd does not start: " + log());
    port_ = free_port();
    tls_port_ = free_port();
  }
}

void PrivateSlapd::stop() {
  server_->kill(SIGCONT);
  server_->kill(SIGTERM);
  if (!server_->wait(Milliseconds(60'000))) throw std::runtime_error("private slapd does not stop: " + log());
}

void PrivateSlapd::kill_hard() {
  server_->kill(SIGKILL);
  server_->wait(Milliseconds(10'000));
}

void PrivateSlapd::freeze() { server_->kill(SIGSTOP); }
void PrivateSlapd::thaw() { server_->kill(SIGCONT); }

void PrivateSlapd::reconfigure(std::string global_conf, std::string database_conf) {
  stop();
  options_.global_conf = std::move(global_conf);
  options_.database_conf = std::move(database_conf);
  write_conf();
  start();
}

void PrivateSlapd::use_certificate(const Certificate& certificate) {
  stop();
  options_.tls = certificate;
  write_conf();
  start();
}

void PrivateSlapd::modify(const std::string& ldif, std::size_t suffix) {
  run_ok({"ldapmodify", "-x", "-H", url(), "-D", admin_dn(suffix), "-w", admin_password()}, {.env = {{"LDAPNOINIT", "1"}}, .input = ldif});
}

void PrivateSlapd::add(const std::string& ldif, std::size_t suffix) {
  run_ok({"ldapadd", "-x", "-H", url(), "-D", admin_dn(suffix), "-w", admin_password()}, {.env = {{"LDAPNOINIT", "1"}}, .input = ldif});
}

std::string PrivateSlapd::search(const std::string& base, const std::string& filter, const Argv& attributes, std::size_t suffix) {
  Argv argv = {"ldapsearch", "-LLL",           "-x", "-o", "ldif-wrap=no", "-H", url(), "-D", admin_dn(suffix),
               "-w",         admin_password(), "-b", base, filter};
  argv.insert(argv.end(), attributes.begin(), attributes.end());
  return run_ok(argv, {.env = {{"LDAPNOINIT", "1"}}});
}

std::string PrivateSlapd::log() const { return std::filesystem::exists(temp_.file("log")) ? read_file(temp_.file("log")) : ""; }

}  // namespace rosterd::test
