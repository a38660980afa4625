#pragma once
// A token to be made, of an account or of a service account (rbac.md R56, R57): the request's body goes in, what is stored and the secret
// that is shown this once come out.

#include <string>

#include "daemon/http/app.hpp"
#include "schema/store/administration.hpp"

namespace rosterd::http {

struct MadeToken {
  NewToken token;
  std::string secret;
};
/// Of {name, description?, max_age?, sliding?}. An age is an ISO 8601 duration or one like "90d"; none is for ever, unless the daemon's
/// configuration sets a longest one.
[[nodiscard]] Result<MadeToken> parse_new_token(Call& call);
/// 201 with the secret. `list`: path of the list it is in.
[[nodiscard]] Reply token_reply(const TokenInfo& token, const std::string& secret, const std::string& list);

}  // namespace rosterd::http
