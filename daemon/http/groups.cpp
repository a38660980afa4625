#include "daemon/http/etag.hpp"
#include "daemon/http/handlers.hpp"
#include "daemon/http/principals.hpp"
#include "daemon/http/render.hpp"

namespace rosterd::http {
namespace {

constexpr std::size_t kMostMembers = 10'000;  // of a list in one request; the body's limit comes first for most

Reply group_reply(int status, const Group& group) {
  auto out = reply(status, to_json(group));
  out.headers.emplace_back("ETag", etag(group));
  return out;
}

Reply changed(int status, const Written<Group>& done) {
  auto out = group_reply(status, done.value);
  out.revision = done.revision;
  out.changed = true;
  return out;
}

Result<Group> named_group(Call& call) { return call.store().group(call.tenant, call.param("g")); }

Result<std::vector<Principal>> parse_members(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  const auto* members = fields->value("members");
  if (members == nullptr || !members->is_array() || members->size() > kMostMembers)
    fields->problem("members", fmt::format("must be a list of at most {} texts like \"user:usr_…\"", kMostMembers));
  else
    for (std::size_t i = 0; i < members->size(); ++i)
      if (!(*members)[i].is_string()) fields->problem(fmt::format("members[{}]", i), "must be a text like \"user:usr_…\"");
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  std::vector<Principal> out;
  for (const auto& member : *members) {
    auto one = principal_of(call, member.get_ref<const std::string&>());
    if (!one) return fail(one.error(), "members[{}]", out.size());
    out.push_back(*one);
  }
  return out;
}

}  // namespace

Result<Reply> list_groups(Call& call) {
  const auto page = call.page();
  if (!page) return fail(page.error());
  const auto found = call.store().groups(call.tenant, *page);
  if (!found) return fail(found.error());
  return ok(list(*found, [](const Group& group) { return to_json(group); }));
}

Result<Reply> create_group(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  NewGroup group{.name = fields->text("name"), .description = fields->optional_text("description", 1024).value_or("")};
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  const auto made = call.store().create_group(call.tenant, group, call.actor());
  if (!made) return fail(made.error());
  auto out = changed(201, *made);
  out.headers.emplace_back("Location",
                           fmt::format("/v1/tenants/{}/groups/{}", call.tenant.value, text(PrincipalType::Group, made->value.id)));
  return out;
}

Result<Reply> get_group(Call& call) {
  const auto group = named_group(call);
  if (!group) return fail(group.error());
  return group_reply(200, *group);
}

Result<Reply> change_group(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  std::optional<std::string> name, description;
  if (fields->has("name")) name = fields->text("name");
  if (fields->has("description")) description = fields->optional_text("description", 1024).value_or("");
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  const auto group = named_group(call);
  if (!group) return fail(group.error());
  const auto edit = edit_if_match<Group>(call, [&](const Group& now) -> Result<Group> {
    auto next = now;
    if (name) next.name = *name;
    if (description) next.description = *description;
    return next;
  });
  const auto done = call.store().change_group(call.tenant, group->id, edit, call.actor());
  if (!done) return fail(done.error());
  return changed(200, *done);
}

Result<Reply> delete_group(Call& call) {
  const auto force = call.query_flag("force");
  if (!force) return fail(force.error());
  const auto group = named_group(call);
  if (!group) return fail(group.error());
  const auto done = call.store().delete_group(call.tenant, group->id, if_match<Group>(call), *force, call.actor());
  if (!done) return fail(done.error());
  return gone(*done);
}

Result<Reply> list_members(Call& call) {
  const auto page = call.page();
  if (!page) return fail(page.error());
  const auto group = named_group(call);
  if (!group) return fail(group.error());
  const auto found = call.store().members(call.tenant, group->id, *page);
  if (!found) return fail(found.error());
  const auto local = call.store().local_members(call.tenant, group->id);
  if (!local) return fail(local.error());
  auto out = ok(list(*found, [](const Member& member) { return to_json(member); }));
  out.headers.emplace_back("ETag", etag(*local));  // of what a PUT would replace
  return out;
}

Result<Reply> replace_members(Call& call) {
  if (call.request.headers.if_match.empty())
    return fail_as("if_match_required", Errc::InvalidInput,
                   "replacing the whole list needs If-Match with the ETag of GET …/members, so that nobody's change is undone unseen");
  const auto force = call.query_flag("force");
  if (!force) return fail(force.error());
  const auto group = named_group(call);
  if (!group) return fail(group.error());
  auto members = parse_members(call);
  if (!members) return fail(members.error());
  const auto done = call.store().replace_members(call.tenant, group->id, std::move(*members), if_match<std::vector<Principal>>(call),
                                                 *force, call.actor());
  if (!done) return fail(done.error());
  const auto local = call.store().local_members(call.tenant, group->id);
  if (!local) return fail(local.error());
  auto out = gone(*done);
  out.headers.emplace_back("ETag", etag(*local));
  return out;
}

Result<Reply> add_member(Call& call) {
  const auto fields = Fields::of(call.request.body);  // there is nothing to say but the path
  if (!fields) return fail(fields.error());
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  const auto group = named_group(call);
  if (!group) return fail(group.error());
  const auto member = principal_of(call, call.param("m"));
  if (!member) return fail(member.error());
  const auto done = call.store().add_member(call.tenant, group->id, *member, call.actor());
  if (!done) return fail(done.error());
  auto out = reply(done->value ? 201 : 200, {{"type", name_of(member->type)}, {"id", text(*member)}, {"origin", "local"}});
  out.revision = done->revision;
  out.changed = done->value;
  return out;
}

Result<Reply> remove_member(Call& call) {
  const auto force = call.query_flag("force");
  if (!force) return fail(force.error());
  const auto group = named_group(call);
  if (!group) return fail(group.error());
  const auto member = principal_of(call, call.param("m"));
  if (!member) return fail(Errc::NotFound, "{}", member.error().what);
  const auto done = call.store().remove_member(call.tenant, group->id, *member, *force, call.actor());
  if (!done) return fail(done.error());
  return gone(*done);
}

}  // namespace rosterd::http
