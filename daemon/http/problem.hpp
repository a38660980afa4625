#pragma once
// The one table from errors to answers: an Error goes in, a status and an RFC 9457 problem document with a stable code come out.

#include "daemon/http/request.hpp"
#include "schema/core/clock.hpp"
#include "schema/core/result.hpp"

namespace rosterd::http {

/// HTTP status of an error: that of its slug where one has a status of its own, else that of its code.
[[nodiscard]] int status_of(const Error& error);
/// The stable code: the slug, or the default of the error's code ("not_found").
[[nodiscard]] std::string_view code_of(const Error& error);
[[nodiscard]] std::string_view title_of(int status);
/// problem+json. What went wrong inside (Internal, Unavailable) is for the log and is not told.
[[nodiscard]] Reply problem(const Error& error);
/// A path of a tenant's SCIM, whatever follows.
[[nodiscard]] bool is_scim_target(std::string_view target);
/// The same answer in the words of SCIM (RFC 7644 §3.12).
[[nodiscard]] Reply as_scim(Reply problem);
/// 429 with the time after which it makes sense to ask again (R63).
[[nodiscard]] Reply too_many_attempts(Millis locked_for);

/// Below /tenants/{t}, who has no standing hears exactly what he would hear about a tenant that does not exist (R4).
[[nodiscard]] Error no_such_tenant();
/// Every failed authentication looks the same (R59).
[[nodiscard]] Error unauthenticated();
/// What a proxy hears as a "no". Why is told to nobody there: decisions could be probed for the policy behind them (check-api.md §7).
[[nodiscard]] Error denied();

}  // namespace rosterd::http
