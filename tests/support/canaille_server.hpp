#pragma once
// canaille (PyPI), an OpenID provider and SCIM 2.0 server in one, with its memory backend, on a free port of 127.0.0.1.

#include <optional>
#include <string>
#include <string_view>

#include "tests/support/fetched.hpp"

namespace rosterd::test {

class CanailleServer {
 public:
  CanailleServer();  ///< ROSTERD_NEEDS("canaille") before it

  [[nodiscard]] std::string issuer() const;
  [[nodiscard]] std::string scim_url() const { return issuer() + "/scim/v2"; }
  [[nodiscard]] static std::string client_id() { return "rosterd"; }
  [[nodiscard]] static std::string client_secret() { return "rosterd-secret"; }
  /// By client_credentials; good for the SCIM server.
  [[nodiscard]] std::string token() const;
  [[nodiscard]] std::string log() const;

 private:
  TempDir dir_;
  int port_ = 0;
  std::optional<Process> server_;
};

}  // namespace rosterd::test
