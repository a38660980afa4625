// Every grant that reaches a user, from one snapshot (rbac.md R102, R103, R105).

#include <charconv>

#include "daemon/http/explain.hpp"
#include "daemon/http/handlers.hpp"
#include "daemon/http/page_token.hpp"
#include "daemon/http/render.hpp"

namespace rosterd::http {
namespace {

/// Why a user is suspended stands in the store alone; a user who has gone there since has no reason any more.
Result<std::string> suspension_of(Call& call, const Principal& who) {
  const auto user = call.store().user(call.tenant, text(who));
  if (user) return user->state_reason;
  if (user.error().code == Errc::NotFound) return std::string();
  return fail(user.error(), "reading why the user is suspended");
}

}  // namespace

Result<Reply> effective(Call& call) {
  const auto page = call.page();
  if (!page) return fail(page.error());
  const auto taken = call.snapshot();
  if (!taken) return fail(taken.error());
  const auto& snapshot = **taken;
  const auto key = call.param("u");
  const auto found = snapshot.resolve(PrincipalType::User, key);
  if (found.kind == rbac::Resolved::Unknown) return fail(Errc::NotFound, "there is no user {}", key);
  if (found.kind == rbac::Resolved::Ambiguous)
    return fail_as("ambiguous", Errc::Conflict, "{} is the name of more than one user; use the id", key);
  const auto& user = found.known;

  const auto& pepper = call.app.services.token_pepper;
  const auto question = "effective " + call.tenant.value + " " + text(user.who);
  PagePlace place{.revision = snapshot.revision(), .at = call.app.services.clock.now(), .position = {}};
  std::uint64_t skip = 0;
  if (!page->cursor.empty()) {
    auto given = read_page_token(pepper, page->cursor, question);
    if (!given) return fail(given.error(), "cursor");
    if (given->revision != place.revision)
      return fail(Errc::CursorExpired, "the tenant has moved on to revision {}: start from the first page", text(place.revision));
    place = std::move(*given);
    const auto& position = place.position;
    if (std::from_chars(position.data(), position.data() + position.size(), skip).ec != std::errc{})
      return fail(Errc::InvalidInput, "cursor: is not one that rosterd gave");
  }
  const auto grants = snapshot.effective(user.who, place.at, skip, page->limit);
  auto items = grants_json(call, user.who, grants.items);
  if (!items) return fail(items.error());
  std::string reason;
  if (!user.active) {
    auto read = suspension_of(call, user.who);
    if (!read) return fail(read.error());
    reason = std::move(*read);
  }
  const auto end = skip + grants.items.size();
  place.position = std::to_string(end);
  auto body = list(std::move(*items), end < grants.total ? page_token(pepper, place, question) : std::string());
  body["user"] = {{"id", text(user.who)}, {"username", user.name}};
  body["state"] = user.active ? "active" : "suspended";
  body["state_reason"] = text_or_null(reason);
  body["super_admin"] = user.super_admin;
  body["revision"] = text(snapshot.revision());
  body["total"] = grants.total;
  body["more"] = grants.more;
  return decided(call, dump(body));
}

}  // namespace rosterd::http
