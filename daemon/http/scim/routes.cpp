#include <algorithm>

#include "daemon/http/handlers.hpp"
#include "daemon/http/json.hpp"
#include "daemon/http/scim/patch.hpp"
#include "daemon/http/scim/pusher.hpp"
#include "daemon/http/scim/query.hpp"
#include "daemon/http/scim/resource.hpp"

// The doormen of a tenant's SCIM: who pushes is known by now, and sees his own source's users and groups alone.

namespace rosterd::http {
namespace {

using nlohmann::json;
using namespace scim;

Reply scim_reply(int status, const json& body) { return {.status = status, .body = dump(body), .content_type = "application/scim+json"}; }

Result<PrincipalId> id_of(const Call& call, PrincipalType type) {
  const auto given = call.param("id");
  if (const auto id = parse_principal_id(type, given)) return *id;
  return fail(Errc::NotFound, "no {} \"{}\"", type == PrincipalType::User ? "User" : "Group", given.substr(0, 100));
}

/// Weak or strong, one or several, or "*".
bool lists_tag(std::string_view header, const std::string& tag) {
  const auto plain = [](std::string_view one) { return one.starts_with("W/") ? one.substr(2) : one; };
  while (!header.empty()) {
    const auto comma = header.find(',');
    auto one = header.substr(0, comma);
    header = comma == std::string_view::npos ? std::string_view{} : header.substr(comma + 1);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (one == "*" || plain(one) == plain(tag)) return true;
  }
  return false;
}

Condition<Pushed> if_match(const Call& call) {
  const auto header = call.request.headers.if_match;
  if (header.empty()) return {};
  return [header = std::string(header)](const Pushed& now) -> Result<void> {
    if (lists_tag(header, etag(now))) return {};
    return fail_as("stale_version", Errc::Conflict, "the resource has changed since: it is at {}", etag(now));
  };
}

Result<Wanted> wanted_of(const Call& call) {
  const auto text = [&](std::string_view name) -> std::string {
    for (const auto& [key, value] : call.target.query)
      if (same_name(key, name)) return value;
    return {};
  };
  return parse_wanted(text("attributes"), text("excludedAttributes"));
}

Result<json> whole(Call& call, const Pushed& one, const Wanted& wanted) {
  auto out = to_resource(base_of(call), one);
  if (one.type == PrincipalType::User) {
    if (!wanted.asks_for("groups")) return out;
    const auto groups = call.store().pushed(call.tenant, call.pusher->pusher.source, groups_of(one.id));
    if (!groups) return tl::unexpected(groups.error());
    add_groups(out, base_of(call), *groups);
    return out;
  }
  if (!wanted.wants("members")) return out;
  const PrincipalId only[] = {one.id};
  const auto found = call.store().pushed_members(call.tenant, call.pusher->pusher.source, only);
  if (!found) return tl::unexpected(found.error());
  add_members(out, base_of(call), *found);
  return out;
}

Result<Reply> shown(Call& call, int status, const Pushed& one) {
  const auto wanted = wanted_of(call);
  if (!wanted) return tl::unexpected(wanted.error());
  auto body = whole(call, one, *wanted);
  if (!body) return tl::unexpected(body.error());
  auto out = scim_reply(status, cut(std::move(*body), *wanted));
  out.headers.emplace_back("ETag", etag(one));
  return out;
}

Result<json> body_of(const Call& call) {
  auto body = parse_json(call.request.body);
  if (!body) {
    auto error = body.error();
    error.slug = "invalidSyntax";
    return tl::unexpected(std::move(error));
  }
  if (!body->is_object()) return fail_as("invalidSyntax", Errc::InvalidInput, "the body must be a JSON object");
  return body;
}

/// What a POST or PUT wants: the content, and whether it names members.
struct Given {
  json document;
  std::optional<std::vector<Principal>> members;
};
Result<Given> given_by(const Call& call, PrincipalType type) {
  const auto body = body_of(call);
  if (!body) return tl::unexpected(body.error());
  auto document = normalized(type, *body);
  if (!document) return tl::unexpected(document.error());
  Given out{.document = std::move(*document), .members = {}};
  if (const auto found = out.document.find("members"); type == PrincipalType::Group && found != out.document.end()) {
    const auto ids = member_ids(*found);
    if (!ids) return tl::unexpected(ids.error());
    auto who = to_principals(*ids, false);
    if (!who) return tl::unexpected(who.error());
    out.members = std::move(*who);
    out.document.erase("members");
  }
  return out;
}

Actor actor_of(const Call& call) {
  auto out = call.actor();
  out.by = "token " + text(call.pusher->pusher.token);
  return out;
}

Result<PushAnswer> pushed(Call& call, Push request) {
  request.actor = actor_of(call);
  return call.app.batchers.push(call.store(), call.pusher->pusher, call.pusher->rules, std::move(request));
}

void mark(Reply& reply, const PushAnswer& done) {
  reply.revision = done.revision;
  reply.changed = done.changed;
  reply.unlogged = reply.status < 400;  // a provider sends tens a second; each is in the audit log and in a run
}

Result<Reply> create(Call& call, PrincipalType type) {
  auto given = given_by(call, type);
  if (!given) return tl::unexpected(given.error());
  Push request;
  request.kind = Push::Kind::Create;
  request.type = type;
  auto content = to_content(type, given->document);
  if (!content) return tl::unexpected(content.error());
  request.made.content = std::move(*content);
  if (auto& members = given->members; members && !members->empty()) {
    request.mentions = *members;
    request.made.steps.push_back({.kind = MemberStep::Kind::Add, .who = std::move(*members)});
  }
  const auto done = pushed(call, std::move(request));
  if (!done) return tl::unexpected(done.error());
  auto out = shown(call, 201, done->now);
  if (!out) return out;
  out->headers.emplace_back("Location", location(base_of(call), type, done->now.id));
  mark(*out, *done);
  out->gives_only = true;
  return out;
}

Result<Reply> replace(Call& call, PrincipalType type) {
  const auto id = id_of(call, type);
  if (!id) return tl::unexpected(id.error());
  auto given = given_by(call, type);
  if (!given) return tl::unexpected(given.error());
  Push request;
  request.kind = Push::Kind::Edit;
  request.type = type;
  request.id = *id;
  request.only_if = if_match(call);
  if (const auto& members = given->members) request.mentions = *members;
  request.edit = [&](const Pushed& now) -> Result<PushedEdit> {
    PushedEdit out;
    auto document = given->document;
    // What a PUT does not speak of is gone, but nobody is resumed by silence.
    if (type == PrincipalType::User && !document.contains("active")) document["active"] = now.active;
    auto content = to_content(type, document);
    if (!content) return tl::unexpected(content.error());
    out.content = std::move(*content);
    if (given->members) out.steps.push_back({.kind = MemberStep::Kind::Replace, .who = *given->members});
    return out;
  };
  const auto done = pushed(call, std::move(request));
  if (!done) return tl::unexpected(done.error());
  auto out = shown(call, 200, done->now);
  if (out) mark(*out, *done);
  return out;
}

Result<Reply> patch(Call& call, PrincipalType type) {
  const auto id = id_of(call, type);
  if (!id) return tl::unexpected(id.error());
  const auto body = body_of(call);
  if (!body) return tl::unexpected(body.error());
  const auto operations = parse_patch(*body);
  if (!operations) return tl::unexpected(operations.error());
  Push request;
  request.kind = Push::Kind::Edit;
  request.type = type;
  request.id = *id;
  request.only_if = if_match(call);
  if (type == PrincipalType::Group) {
    // Whom the operations name does not depend on what the group is now: one look-up for all requests of a transaction.
    auto nobody = json{{"displayName", "x"}};
    std::vector<MemberChange> changes;
    if (apply(type, *operations, nobody, changes))
      for (const auto& change : changes)
        if (const auto who = to_principals(change.ids, true)) request.mentions.insert(request.mentions.end(), who->begin(), who->end());
  }
  bool adds_only = false;  // members, and nothing else: a group's name may have roles mapped to it
  request.edit = [&](const Pushed& now) -> Result<PushedEdit> {
    auto document = json::parse(now.document, nullptr, false);
    if (!document.is_object()) document = json::object();
    if (type == PrincipalType::User) document["active"] = now.active;
    std::vector<MemberChange> changes;
    if (const auto good = apply(type, *operations, document, changes); !good) return tl::unexpected(good.error());
    if (type == PrincipalType::User && !document.contains("active")) document["active"] = now.active;
    PushedEdit out;
    auto content = to_content(type, document);
    if (!content) return tl::unexpected(content.error());
    out.content = std::move(*content);
    adds_only = type == PrincipalType::Group && out.content.document == now.document &&
                std::all_of(changes.begin(), changes.end(), [](const MemberChange& one) { return one.kind == MemberChange::Kind::Add; });
    auto steps = to_steps(changes);
    if (!steps) return tl::unexpected(steps.error());
    out.steps = std::move(*steps);
    return out;
  };
  const auto done = pushed(call, std::move(request));
  if (!done) return tl::unexpected(done.error());
  const auto wanted = wanted_of(call);
  if (!wanted) return tl::unexpected(wanted.error());
  // A group of 50,000 is not read back for one member more.
  const bool silent = type == PrincipalType::Group && wanted->only.empty();
  auto out = silent ? Result<Reply>(Reply{.status = 204, .body = {}, .content_type = {}}) : shown(call, 200, done->now);
  if (!out) return out;
  if (silent) out->headers.emplace_back("ETag", etag(done->now));
  mark(*out, *done);
  out->gives_only = adds_only;
  return out;
}

Result<Reply> remove(Call& call, PrincipalType type) {
  const auto id = id_of(call, type);
  if (!id) return tl::unexpected(id.error());
  Push request;
  request.kind = Push::Kind::Delete;
  request.type = type;
  request.id = *id;
  request.only_if = if_match(call);
  const auto done = pushed(call, std::move(request));
  if (!done) return tl::unexpected(done.error());
  Reply out{.status = 204, .body = {}, .content_type = {}};
  mark(out, *done);
  return out;
}

Result<Reply> get(Call& call, PrincipalType type) {
  const auto id = id_of(call, type);
  if (!id) return tl::unexpected(id.error());
  PushedQuery where;
  where.type = type;
  where.id = *id;
  const auto found = call.store().pushed(call.tenant, call.pusher->pusher.source, where);
  if (!found) return tl::unexpected(found.error());
  if (found->empty()) return fail(Errc::NotFound, "no {} {}", type == PrincipalType::User ? "User" : "Group", text(type, *id));
  const auto& one = found->front();
  if (!call.request.headers.if_none_match.empty() && lists_tag(call.request.headers.if_none_match, etag(one))) {
    Reply out{.status = 304, .body = {}, .content_type = {}};
    out.headers.emplace_back("ETag", etag(one));
    return out;
  }
  return shown(call, 200, one);
}

Result<Reply> listed(Call& call, const Result<Query>& query, const std::vector<PrincipalType>& types) {
  if (!query) return tl::unexpected(query.error());
  auto body = scim::answer(call, *query, types);
  if (!body) return tl::unexpected(body.error());
  return scim_reply(200, *body);
}

/// A list of documents that are part of the program. RFC 7644 §4: a filter is refused here.
Result<Reply> documents(Call& call, json all) {
  for (const auto& [name, value] : call.target.query)
    if (same_name(name, "filter")) return fail(Errc::Forbidden, "discovery documents are not filtered");
  const auto count = all.size();
  return scim_reply(
      200,
      {{"schemas", {kListResponse}}, {"totalResults", count}, {"itemsPerPage", count}, {"startIndex", 1}, {"Resources", std::move(all)}});
}

Result<Reply> document(Call& call, const json& all) {
  for (const auto& one : all)
    if (same_name(one["id"].get_ref<const std::string&>(), call.param("id"))) return scim_reply(200, one);
  return fail(Errc::NotFound, "no \"{}\"", call.param("id").substr(0, 100));
}

}  // namespace

Result<Reply> scim_list_users(Call& call) { return listed(call, query_of_parameters(call), {PrincipalType::User}); }
Result<Reply> scim_create_user(Call& call) { return create(call, PrincipalType::User); }
Result<Reply> scim_search_users(Call& call) { return listed(call, query_of_body(call), {PrincipalType::User}); }
Result<Reply> scim_get_user(Call& call) { return get(call, PrincipalType::User); }
Result<Reply> scim_replace_user(Call& call) { return replace(call, PrincipalType::User); }
Result<Reply> scim_patch_user(Call& call) { return patch(call, PrincipalType::User); }
Result<Reply> scim_delete_user(Call& call) { return remove(call, PrincipalType::User); }

Result<Reply> scim_list_groups(Call& call) { return listed(call, query_of_parameters(call), {PrincipalType::Group}); }
Result<Reply> scim_create_group(Call& call) { return create(call, PrincipalType::Group); }
Result<Reply> scim_search_groups(Call& call) { return listed(call, query_of_body(call), {PrincipalType::Group}); }
Result<Reply> scim_get_group(Call& call) { return get(call, PrincipalType::Group); }
Result<Reply> scim_replace_group(Call& call) { return replace(call, PrincipalType::Group); }
Result<Reply> scim_patch_group(Call& call) { return patch(call, PrincipalType::Group); }
Result<Reply> scim_delete_group(Call& call) { return remove(call, PrincipalType::Group); }

Result<Reply> scim_search(Call& call) { return listed(call, query_of_body(call), {PrincipalType::User, PrincipalType::Group}); }
Result<Reply> scim_config(Call& call) { return scim_reply(200, service_provider_config(base_of(call))); }
Result<Reply> scim_schemas(Call& call) { return documents(call, schema_documents(base_of(call))); }
Result<Reply> scim_schema(Call& call) { return document(call, schema_documents(base_of(call))); }
Result<Reply> scim_resource_types(Call& call) { return documents(call, resource_types(base_of(call))); }
Result<Reply> scim_resource_type(Call& call) { return document(call, resource_types(base_of(call))); }
Result<Reply> scim_bulk(Call&) {
  return fail_as("not_implemented", Errc::InvalidInput,
                 "Bulk is not offered (see ServiceProviderConfig): send one request for each change");
}

}  // namespace rosterd::http
