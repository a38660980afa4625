#include "connectors/connector.hpp"
#include "connectors/ldap/ldap.hpp"
#include "connectors/oidc/oidc.hpp"
#include "connectors/push/push.hpp"

namespace rosterd::connectors {
namespace {

// Every kind of directory there is. A new kind is a row here.
const ConnectorType kTypes[] = {
    {.name = "oidc", .make = oidc::make, .validate = oidc::validate, .fingerprint = oidc::fingerprint, .secrets = oidc::secrets()},
    {.name = "scim_push", .make = push::make, .validate = push::validate, .fingerprint = push::fingerprint, .secrets = {}},
    {.name = "ldap", .make = ldap::make, .validate = ldap::validate, .fingerprint = ldap::fingerprint, .secrets = ldap::secrets()},
};

}  // namespace

Result<const ConnectorType*> find_connector_type(std::string_view name) {
  std::string known;
  for (const auto& type : kTypes) {
    if (type.name == name) return &type;
    if (!known.empty()) known += ", ";
    known += type.name;
  }
  return fail(Errc::NotFound, "there is no source type \"{}\"; known types: {}", name, known);
}

}  // namespace rosterd::connectors
