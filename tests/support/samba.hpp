#pragma once
// A private Samba Active Directory domain controller (realm EXAMPLE.TEST) in a network namespace, on 127.0.0.1:389 and :636 there.
// Provisioning takes some seconds; a test program makes one and shares it.

#include <optional>
#include <string>

#include "tests/support/netns.hpp"
#include "tests/support/process.hpp"

namespace rosterd::test {

class PrivateSamba {
 public:
  PrivateSamba();
  ~PrivateSamba();
  /// Empty when it can run here, else why not (not root, no samba package): GTEST_SKIP with it.
  [[nodiscard]] static std::string unavailable();

  /// Runs a callable where the server is reachable.
  void run(const std::function<void()>& use) const { namespace_.run(use); }
  [[nodiscard]] static std::string url() { return "ldap://127.0.0.1"; }
  [[nodiscard]] static std::string tls_url() { return "ldaps://127.0.0.1"; }
  [[nodiscard]] static std::string base_dn() { return "DC=example,DC=test"; }
  [[nodiscard]] static std::string admin_dn() { return "administrator@example.test"; }
  [[nodiscard]] static std::string admin_password() { return "Passw0rd.123"; }
  /// The server's own certificate is for dc1.example.test.
  [[nodiscard]] std::string ca_file() const;

  void start();
  void stop();
  /// samba-tool against the local database: {"user", "add", "ada", "Passw0rd.123"}.
  std::string tool(Argv arguments);
  /// LDIF changes through ldapmodify as administrator; LDIF entries need "changetype: add".
  void modify(const std::string& ldif);
  [[nodiscard]] std::string search(const std::string& base, const std::string& filter, const Argv& attributes = {});
  [[nodiscard]] std::string log() const;

 private:
  TempDir dir_;
  NetworkNamespace namespace_;
  std::optional<Process> server_;
};

}  // namespace rosterd::test
