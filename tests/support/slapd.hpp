#pragma once
// A private OpenLDAP slapd on a free port of 127.0.0.1, its database in a temporary folder: loaded with LDIF, stopped, killed, restarted
// and changed by tests. Indexed on objectClass, entryUUID, entryCSN, uid, cn, member, memberUid; modules memberof, syncprov, ppolicy at
// hand.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/process.hpp"
#include "tests/support/tls.hpp"

namespace rosterd::test {

class PrivateSlapd {
 public:
  struct Options {
    /// One database each. Admin DN of a suffix: "cn=admin,<suffix>", password "secret".
    std::vector<std::string> suffixes = {"dc=example,dc=com"};
    std::string ldif{};                     ///< text loaded by slapadd before the start; must hold the suffix entries
    std::vector<std::string> ldif_files{};  ///< further files, loaded after the text
    /// The suffix entry is made by us when no LDIF is given (suffixes of dc=…, ou=… or o=…).
    std::vector<std::string> schema = {"core", "cosine", "inetorgperson", "nis"};  ///< of /etc/ldap/schema, or "rfc2307bis" (our own file)
    std::string global_conf{};  ///< lines of slapd.conf before the databases ("sizelimit 100", "threads 2", "sockbuf_max_incoming 65536")
    /// Lines inside every database (${suffix} stands for its own): "limits …", "access …", "overlay memberof", "overlay syncprov",
    /// "sizelimit …". Without an access line everybody may read.
    std::string database_conf{};
    std::optional<Certificate> tls{};  ///< adds ldaps:// and StartTLS
    std::string ca_file{};             ///< with tls: the authority the server shows along with its certificate
    int port = 0;                      ///< 0 = a free one
    std::string dir{};                 ///< keep the database in this folder (ldif_files are loaded into it once): for benches
    std::string debug = "none";        ///< slapd -d: "stats" logs every operation with its attributes
  };
  PrivateSlapd() : PrivateSlapd(Options{}) {}
  explicit PrivateSlapd(Options options);  ///< loads and starts

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] int tls_port() const { return tls_port_; }
  [[nodiscard]] std::string url() const;      ///< ldap://127.0.0.1:port
  [[nodiscard]] std::string tls_url() const;  ///< ldaps://127.0.0.1:port
  [[nodiscard]] std::string admin_dn(std::size_t suffix = 0) const;
  [[nodiscard]] static std::string admin_password() { return "secret"; }

  void start();
  void stop();       ///< SIGTERM, waits
  void kill_hard();  ///< SIGKILL
  void restart() {
    stop();
    start();
  }
  void freeze();  ///< SIGSTOP: connections are accepted by the kernel, nobody answers
  void thaw();
  /// Stops, changes global or database lines, starts again.
  void reconfigure(std::string global_conf, std::string database_conf);
  /// The server certificate from now on (restarts).
  void use_certificate(const Certificate& certificate);

  /// ldapmodify -x -D admin of `suffix`: LDIF changes ("dn: …\nchangetype: modify\n…"); throws with the tool's output when refused.
  void modify(const std::string& ldif, std::size_t suffix = 0);
  /// Entries added after the start (ldapadd).
  void add(const std::string& ldif, std::size_t suffix = 0);
  /// ldapsearch -LLL as admin; the LDIF text.
  [[nodiscard]] std::string search(const std::string& base, const std::string& filter, const Argv& attributes = {}, std::size_t suffix = 0);

  [[nodiscard]] pid_t pid() const { return server_ ? server_->pid() : -1; }
  [[nodiscard]] std::string log() const;

 private:
  void write_conf();
  void load();
  Options options_;
  TempDir temp_;
  std::string dir_;
  int port_ = 0, tls_port_ = 0;
  std::optional<Process> server_;
};

/// The entry of a suffix itself: "dc=example,dc=com" -> its dcObject/organization, "ou=x" -> organizationalUnit, "o=x" -> organization.
[[nodiscard]] std::string suffix_ldif(const std::string& suffix);

}  // namespace rosterd::test
