#include "daemon/http/handlers.hpp"
#include "daemon/http/render.hpp"

namespace rosterd::http {

Result<Reply> list_groups(Call& call) {
  const auto page = call.page();
  if (!page) return fail(page.error());
  const auto found = call.store().groups(call.tenant, *page);
  if (!found) return fail(found.error());
  return ok(list(*found, [](const Group& group) { return to_json(group); }));
}

Result<Reply> get_group(Call& call) {
  const auto group = call.store().group(call.tenant, call.param("g"));
  if (!group) return fail(group.error());
  return ok(to_json(*group));
}

Result<Reply> list_members(Call& call) {
  const auto page = call.page();
  if (!page) return fail(page.error());
  const auto group = call.store().group(call.tenant, call.param("g"));
  if (!group) return fail(group.error());
  const auto found = call.store().members(call.tenant, group->id, *page);
  if (!found) return fail(found.error());
  return ok(list(*found, [](const Member& member) { return to_json(member); }));
}

}  // namespace rosterd::http
