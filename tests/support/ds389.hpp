#pragma once
// A private 389 Directory Server in a network namespace, on 127.0.0.1:3893 and :6363 there, suffix dc=example,dc=com with the sample
// entries ou=people and ou=groups. The instance is made new for each object and removed with it.

#include <optional>
#include <string>

#include "tests/support/netns.hpp"
#include "tests/support/process.hpp"

namespace rosterd::test {

class Private389 {
 public:
  Private389();
  ~Private389();
  /// Empty when it can run here, else why not.
  [[nodiscard]] static std::string unavailable();

  void run(const std::function<void()>& use) const { namespace_.run(use); }
  [[nodiscard]] static std::string url() { return "ldap://127.0.0.1:3893"; }
  [[nodiscard]] static std::string base_dn() { return "dc=example,dc=com"; }
  [[nodiscard]] static std::string admin_dn() { return "cn=Directory Manager"; }
  [[nodiscard]] static std::string admin_password() { return "Passw0rd.123"; }

  void start();
  void stop();
  void modify(const std::string& ldif);  ///< ldapmodify as Directory Manager
  [[nodiscard]] std::string search(const std::string& base, const std::string& filter, const Argv& attributes = {});
  [[nodiscard]] std::string log() const;

 private:
  std::string instance_;
  TempDir dir_;
  NetworkNamespace namespace_;
  std::optional<Process> server_;
};

}  // namespace rosterd::test
