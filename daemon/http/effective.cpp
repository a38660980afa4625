#include <charconv>

#include "daemon/http/explain.hpp"
#include "daemon/http/handlers.hpp"
#include "daemon/http/render.hpp"

namespace rosterd::http {
namespace {

/// A page position inside one revision's list: "7.1042:100".
Result<std::size_t> offset_of(const std::string& cursor, const Revision& revision) {
  if (cursor.empty()) return std::size_t{0};
  const auto colon = cursor.find(':');
  std::size_t offset = 0;
  const auto* last = cursor.data() + cursor.size();
  const auto at = colon == std::string::npos ? Result<Revision>(fail(Errc::InvalidInput, "no colon"))
                                             : parse_revision(std::string_view(cursor).substr(0, colon));
  if (!at) return fail(Errc::InvalidInput, "cursor: is not one that rosterd gave");
  const auto [end, error] = std::from_chars(cursor.data() + colon + 1, last, offset);
  if (error != std::errc{} || end != last) return fail(Errc::InvalidInput, "cursor: is not one that rosterd gave");
  if (*at != revision)
    return fail(Errc::CursorExpired, "the tenant has moved on to revision {}: start from the first page", text(revision));
  return offset;
}

}  // namespace

Result<Reply> effective(Call& call) {
  const auto page = call.page();
  if (!page) return fail(page.error());
  const auto user = call.store().user(call.tenant, call.param("u"));
  if (!user) return fail(user.error());
  const auto taken = call.snapshot();
  if (!taken) return fail(taken.error());
  const auto& snapshot = **taken;
  const auto offset = offset_of(page->cursor, snapshot.revision());
  if (!offset) return fail(offset.error());
  const auto roles = call.store().roles(call.tenant);
  if (!roles) return fail(roles.error());

  const Principal who{PrincipalType::User, user->id};
  const auto now = call.app.services.clock.now();
  const auto all = snapshot.grants(who, now, 0);
  const auto first = std::min(*offset, all.size());
  const auto count = std::min<std::size_t>(page->limit, all.size() - first);
  auto items = grants_json(call, who, std::span(all).subspan(first, count), *roles);
  if (!items) return fail(items.error());
  const auto end = first + count;
  auto body = list(std::move(*items), end < all.size() ? fmt::format("{}:{}", text(snapshot.revision()), end) : std::string());
  body["user"] = {{"id", text(who)}, {"username", user->username}};
  body["state"] = user->active() ? "active" : "suspended";
  body["state_reason"] = text_or_null(user->state_reason);
  body["super_admin"] = snapshot.check(who, "USER", "READ", std::nullopt, now).reason == rbac::Reason::AllowedSuperAdmin;
  body["revision"] = text(snapshot.revision());
  body["total"] = all.size();
  return ok(body);
}

}  // namespace rosterd::http
