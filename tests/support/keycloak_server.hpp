#pragma once
// Keycloak (Maven Central) on a free port of 127.0.0.1 with a realm of its own: people, a group tree, a client with a service account that
// may read both, a public client, admin events. The first start of a realm imports it and keeps the database (about a minute); every later
// one begins with a copy of that, about 15 s. A test program makes one and shares it.

#include <filesystem>
#include <string>
#include <string_view>

#include "tests/support/fetched.hpp"

namespace rosterd::test {

class KeycloakServer {
 public:
  struct Options {
    int users =
        5000;  ///< "user00001" …, first and last name, e-mail; every 100th disabled; "ada" and "bob" (password "secret") beside them
    int big_group = 3000;  ///< members of the top-level group "everybody" (the first of the users)
    int groups = 40;  ///< top-level groups "team01" … with 5 members each; "team01" has 15 children "unit01" … (more than a page of 10),
                      ///< and "unit01" two more below it: "/team01/unit01/desk1", with a member each
    std::string realm = "acme";
  };
  KeycloakServer() : KeycloakServer(Options{}) {}
  explicit KeycloakServer(Options options);  ///< ROSTERD_NEEDS("keycloak") before it

  [[nodiscard]] std::string origin() const;
  [[nodiscard]] std::string issuer() const { return origin() + "/realms/" + options_.realm; }
  [[nodiscard]] std::string admin_url() const { return origin() + "/admin/realms/" + options_.realm; }
  [[nodiscard]] const Options& options() const { return options_; }
  /// The confidential client with a service account: view-users, query-users, query-groups, view-realm, view-events of realm-management.
  [[nodiscard]] static std::string client_id() { return "rosterd"; }
  [[nodiscard]] static std::string client_secret() { return "rosterd-secret"; }
  /// A public client with direct access grants, for people's tokens.
  [[nodiscard]] static std::string public_client_id() { return "app"; }

  /// Access token of rosterd's client, or of the realm's administrator (manage-users; for changes made by tests).
  [[nodiscard]] std::string service_token() const;
  [[nodiscard]] std::string admin_token() const;
  [[nodiscard]] std::string person_token(std::string_view username, std::string_view password = "secret") const;
  /// A call to the admin REST API as administrator; `path` begins behind admin_url(). Throws unless 2xx.
  WebAnswer admin(const std::string& method, const std::string& path, const std::string& body = {}) const;

  [[nodiscard]] Milliseconds start_time() const { return start_time_; }  ///< what the last start took
  [[nodiscard]] std::string log() const;
  void start();
  void stop();
  void kill_hard();
  void freeze();
  void thaw();

 private:
  Options options_;
  TempDir dir_;
  int port_ = 0;
  Milliseconds start_time_{0};
  std::optional<Process> server_;
};

}  // namespace rosterd::test
