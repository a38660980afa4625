#pragma once
// Who pushes: the token of a source is looked up, first in a short cache, then in the store, and what the store asks of rules that live in
// daemon/sync is put together for it.

#include <memory>

#include "daemon/http/request.hpp"
#include "schema/store/scim.hpp"

namespace rosterd::http {
struct App;
struct Call;
}  // namespace rosterd::http

namespace rosterd::http::scim {

struct KnownPusher {
  Pusher pusher;
  PushRules rules;
};

[[nodiscard]] Result<PushRules> rules_of(const Guard& guard, const std::vector<RoleMapping>& mappings);
/// Sets the call's pusher and tenant. Unauthorized for whatever is no token of a source of this path's tenant, another tenant's too;
/// Forbidden "source_disabled". Some: the answer for whoever has failed to say who he is too often.
[[nodiscard]] Result<std::optional<Reply>> recognize(Call& call);

}  // namespace rosterd::http::scim
