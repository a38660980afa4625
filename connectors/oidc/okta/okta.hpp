#pragma once
// The dialect of Okta: its users and groups API, followed by Link headers. Members are a list of their own for each group. Later reads ask
// for what was updated since, with an overlap; who is gone for good shows only in a full read. Nobody is absent for being deactivated:
// the plain list leaves deactivated people out, so they are asked for by status and delivered as disabled.

#include "connectors/oidc/dialect.hpp"

namespace rosterd::connectors::oidc::okta {

[[nodiscard]] std::unique_ptr<Dialect> make(const Settings& settings, const ConnectorOptions& options, std::string_view learnt);
[[nodiscard]] Result<void> check(const Settings& settings);
/// The organisation's origin: the issuer without the path of an authorization server.
[[nodiscard]] std::string api_url(const std::string& issuer);
/// Only the organisation's own authorization server gives tokens for its API, whichever one is the issuer.
[[nodiscard]] std::string token_url(const std::string& issuer);

}  // namespace rosterd::connectors::oidc::okta
