#pragma once
// The dialect of SCIM 2.0 servers that are asked (RFC 7643, 7644, 9865): paging as the server honours it, tolerant parsing, memberships as
// the server shows them, changes since a moment where probing shows that its filter works.

#include "connectors/oidc/dialect.hpp"

namespace rosterd::connectors::oidc::scim {

[[nodiscard]] std::unique_ptr<Dialect> make(const Settings& settings, const ConnectorOptions& options, std::string_view learnt);

}  // namespace rosterd::connectors::oidc::scim
