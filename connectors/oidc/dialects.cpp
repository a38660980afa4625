#include "connectors/http/url.hpp"
#include "connectors/oidc/dialect.hpp"
#include "connectors/oidc/entra/entra.hpp"
#include "connectors/oidc/keycloak/keycloak.hpp"
#include "connectors/oidc/okta/okta.hpp"
#include "connectors/oidc/scim/scim.hpp"

namespace rosterd::connectors::oidc {
namespace {

// Every dialect there is, in the order of DialectName.
const DialectType kDialects[] = {
    {.name = "scim",
     .make = scim::make,
     .throttle = {},
     .api_url = nullptr,
     .scope = {},
     .accept = "application/scim+json, application/json"},
    {.name = "keycloak",
     .make = keycloak::make,
     .throttle = {},
     .api_url = keycloak::api_url,
     .scope = {},
     .accept = "application/json",
     .check = keycloak::check},
    {.name = "entra",
     .make = entra::make,
     .throttle = {},
     .api_url = entra::api_url,
     .scope = "https://graph.microsoft.com/.default",
     .accept = "application/json",
     .check = entra::check},
    {.name = "okta",
     .make = okta::make,
     .throttle = {.reset_header = "x-rate-limit-reset", .remaining_header = "x-rate-limit-remaining"},
     .api_url = okta::api_url,
     .scope = "okta.users.read okta.groups.read",
     .accept = "application/json",
     .check = okta::check,
     .token_url = okta::token_url},
};

}  // namespace

const DialectType& dialect_type(DialectName name) {
  for (const auto& type : kDialects)
    if (type.name == name_of(name)) return type;
  return kDialects[0];
}

Result<FeedEnd> broken_off(const Error& error, bool delivered_something, std::string_view what) {
  if (error.code == Errc::Stopped || error.code == Errc::CursorExpired || !delivered_something) return fail(error, "{}", what);
  return FeedEnd{.absence = KeepAbsent{},
                 .to = {},
                 .proof = {.evidence = {{.what = std::string(what), .good = false, .detail = error.what}}},
                 .cursor_kind = "full",
                 .learnt = {}};
}

Result<Presence> verify_each(std::span<const ExternalId> ids, const std::function<Result<Present>(const ExternalId&)>& ask) {
  Presence out;
  for (const auto& id : ids) {
    const auto present = ask(id);
    if (!present && present.error().code == Errc::Stopped) return fail(present.error());
    if (!present && out.trouble.empty()) out.trouble = present.error().what;
    out.of.push_back(present.value_or(Present::Unknown));
    if (!present) {  // the rest would hardly be told either
      out.of.resize(ids.size(), Present::Unknown);
      break;
    }
  }
  return out;
}

}  // namespace rosterd::connectors::oidc
