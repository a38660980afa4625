#include "daemon/http/principals.hpp"

namespace rosterd::http {
namespace {

Result<Principal> found(Call& call, PrincipalType type, std::string_view key) {
  // An id is looked for by the change itself.
  if (const auto id = parse_principal_id(type, key)) return Principal{type, *id};
  const auto as = [&](const auto& one) { return Principal{type, one.id}; };
  switch (type) {
    case PrincipalType::User:
      return call.store().user(call.tenant, key).map(as);
    case PrincipalType::Group:
      return call.store().group(call.tenant, key).map(as);
    case PrincipalType::ServiceAccount:
      return call.store().service_account(call.tenant, key).map(as);
  }
  return fail(Errc::Internal, "a principal of no type");
}

}  // namespace

Result<Principal> principal_of(Call& call, std::string_view key) {
  const auto colon = key.find(':');
  const auto type = parse_principal_type(key.substr(0, colon));
  if (colon == std::string_view::npos || !type)
    return fail_as("unknown_principal", Errc::InvalidInput,
                   "'{}' is not of the form user:KEY, group:KEY or service_account:KEY, with an id or a name as the key",
                   key.substr(0, 300));
  auto one = found(call, *type, key.substr(colon + 1));
  if (one || one.error().code == Errc::Unavailable) return one;
  return fail_as("unknown_principal", Errc::InvalidInput, "{}", one.error().what);
}

}  // namespace rosterd::http
