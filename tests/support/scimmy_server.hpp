#pragma once
// scimmy (npm), a SCIM 2.0 server, on a free port of 127.0.0.1, its users and groups in memory. Index paging only, pages in the order of
// creation; filters, sorting, PATCH and ETags as scimmy has them.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/fetched.hpp"
#include "tests/support/tls.hpp"

namespace rosterd::test {

class ScimmyServer : public NodeServer {
 public:
  struct Options {
    std::string token = "scim-secret";             ///< the static bearer token; empty = none is taken
    std::string jwks_url{}, issuer{}, audience{};  ///< an OidcProvider whose access tokens are taken too (jwks_url empty = none)
    int users =
        0;  ///< generated at the start: id "u-000001", userName "user000001", name, e-mail, externalId "x-000001"; every 50th inactive
    int groups = 0;         ///< id "g-0001", displayName "Group 0001", with
    int members = 10;       ///< that many members each, spread evenly; group 1 holds
    int big_group = 0;      ///< that many instead (0 = as the others)
    bool nested = false;    ///< every tenth group also holds the next one as a member of type Group
    int max_results = 200;  ///< largest page; 200 is also announced in ServiceProviderConfig
    std::optional<Certificate> tls{};
    std::string ca_file{};
  };
  ScimmyServer() : ScimmyServer(Options{}) {}
  explicit ScimmyServer(Options options);  ///< starts; ROSTERD_NEEDS("node") before it

  [[nodiscard]] std::string url() const { return origin() + "/scim/v2"; }
  [[nodiscard]] const std::string& token() const { return options_.token; }

  /// Behind the API, so that meta.lastModified moves but no request is counted. `resource` is SCIM JSON with an "id".
  void put_user(const std::string& resource) const;
  void put_group(const std::string& resource) const;
  void remove_user(std::string_view id) const;
  void remove_group(std::string_view id) const;
  /// {"users": […], "groups": […]} instead of everything that was there.
  void load(const std::string& everything) const;

 private:
  Options options_;
};

}  // namespace rosterd::test
