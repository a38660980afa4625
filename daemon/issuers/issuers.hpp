#pragma once
// Sign-in through issuers, put together: the sources whose issuers sign people in, their keys, what their tokens must be, and who is then
// somebody. Bearer tokens are judged in bearer.cpp, browsers are sent to a provider and taken back in login.cpp.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "connectors/connector.hpp"
#include "daemon/http/issuers.hpp"
#include "daemon/secrets.hpp"
#include "schema/core/clock.hpp"

namespace rosterd::issuers {

/// The issuer that accounts sign in through, in the shape of a source's settings (connectors/oidc/sign_in_settings.hpp).
struct InstanceIssuer {
  std::string settings;  ///< JSON; empty = none
  bool create_accounts = false;
};

struct IssuersOptions {
  InstanceIssuer instance;
  std::string public_url;                                               ///< of rosterd, where browsers come back to; empty = none can
  std::function<connectors::ConnectorOptions()> connections;            ///< allowed networks and time-outs, as they are now
  std::function<void(const TenantId&)> moved = [](const TenantId&) {};  ///< a tenant's revision has moved
  std::function<std::chrono::steady_clock::time_point()> ticks = [] { return std::chrono::steady_clock::now(); };  ///< for the age of keys
};

/// InvalidInput for settings of the instance's issuer that are not right. What is borrowed outlives it.
[[nodiscard]] Result<std::unique_ptr<http::Issuers>> make_issuers(Store& store, const Secrets& secrets, const Clock& clock,
                                                                  IssuersOptions options);

}  // namespace rosterd::issuers
