#pragma once
// canaille (PyPI), an OpenID provider and SCIM 2.0 server in one, with its memory backend, on a free port of 127.0.0.1: people "user0001" …
// and the groups "everybody" and "few" (the first three). It knows neither filters nor sorting, uses names as ids and gives opaque access
// tokens.

#include <optional>
#include <string>

#include "tests/support/fetched.hpp"

namespace rosterd::test {

class CanailleServer {
 public:
  /// A SCIM server that it tells of every change.
  struct Pushes {
    std::string url;  ///< "http://…/scim/v2/"
    std::string token;
  };
  explicit CanailleServer(int people = 25) : CanailleServer(people, std::nullopt) {}  ///< ROSTERD_NEEDS("canaille") before it
  CanailleServer(int people, const std::optional<Pushes>& pushes);

  [[nodiscard]] std::string issuer() const;
  [[nodiscard]] std::string scim_url() const { return issuer() + "/scim/v2"; }
  [[nodiscard]] static std::string client_id() { return "rosterd"; }
  [[nodiscard]] static std::string client_secret() { return "rosterd-secret"; }
  /// By client_credentials (client_secret_basic); good for the SCIM server.
  [[nodiscard]] std::string token() const;
  [[nodiscard]] std::string log() const;

 private:
  TempDir dir_;
  int port_ = 0;
  std::optional<Process> server_;
};

}  // namespace rosterd::test
