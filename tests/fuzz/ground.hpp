#pragma once
// A rosterd for fuzz targets: the real endpoints over a published snapshot, and a store that holds one tenant, one source and nothing
// else. No database, no sockets, a clock that stands still: the same request has the same answer. And the rules of any answer.

#include <memory>
#include <string>
#include <string_view>

#include "daemon/http/app.hpp"

namespace rosterd::fuzz {

inline constexpr std::string_view kTenant = "acme";
// Tokens with a right checksum; the targets' inputs hold them.
inline constexpr std::string_view kRoot = "rst_0000000000000000000000000000000c4uOO";   ///< a super admin, nobody in the tenant
inline constexpr std::string_view kAdmin = "rst_11111111111111111111111111111131yj2I";  ///< ada, who holds Admin in the tenant
inline constexpr std::string_view kAsker = "rst_2222222222222222222222222222224Rr37t";  ///< carl, who may ask and nothing else
inline constexpr std::string_view kPepper = "pepper";

/// One for the whole program: making it costs more than a thousand requests.
[[nodiscard]] http::App& app();
/// To be called before each input: what has an age is young again.
void freshen();

/// Answers through the whole wrapper, and holds the answer against the rules.
[[nodiscard]] http::Reply answer(const http::Request& request);
/// The same for a JSON body and a token.
[[nodiscard]] http::Reply ask(std::string_view method, const std::string& target, std::string_view body, std::string_view token);

/// Of every answer: a status that is documented for that route (routes() index, -1 = none), nothing of our own fault, problem+json for
/// errors, JSON that our own strict parser takes, headers that fit on their line.
enum class Freshness { Any, Demanded };  ///< Demanded: the request has Rosterd-Min-Revision or Rosterd-Max-Age
void judge(int route, int status, std::string_view content_type, std::string_view body, std::string_view about,
           Freshness freshness = Freshness::Any);
/// The row that answers it; -1 = none.
[[nodiscard]] int route_of(std::string_view method, std::string_view target);

}  // namespace rosterd::fuzz
