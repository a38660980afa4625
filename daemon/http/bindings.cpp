#include "daemon/http/handlers.hpp"
#include "daemon/http/principals.hpp"
#include "daemon/http/render.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http {
namespace {

using nlohmann::json;

constexpr std::size_t kMostAtOnce = 1'000;

json to_json(const ListedBinding& listed) {
  const auto& binding = listed.binding;
  return {{"id", text(binding.id)},
          {"role", text(binding.role)},
          {"role_name", listed.role_name},
          {"principal", fmt::format("{}:{}", name_of(binding.principal.type), text(binding.principal))},
          {"principal_name", listed.principal_name},
          {"namespace", binding.ns ? json(*binding.ns) : json(nullptr)},
          {"expires_at", time_or_null(binding.expires_at)},
          {"state", listed.expired ? "expired" : "active"},
          {"origin", origin(binding.source)},
          {"created_at", rfc3339(binding.created_at)},
          {"created_by", binding.created_by}};
}

Result<RoleId> role_of(Call& call, std::string_view key) {
  const auto role = call.store().role(call.tenant, key);
  if (role) return role->id;
  if (role.error().code == Errc::NotFound) return fail_as("unknown_role", Errc::InvalidInput, "role: no role {}", key);
  return fail(role.error());
}

/// Of {role, principal, namespace?, expires_at?}.
Result<NewBinding> parse_binding(Call& call, json body) {
  if (!body.is_object()) return fail(Errc::InvalidInput, "must be an object {{role, principal, namespace?, expires_at?}}");
  Fields fields(std::move(body));
  const auto role = fields.text("role"), principal = fields.text("principal", 300);
  NewBinding out;
  // An empty text is an error and never the whole tenant (R27).
  if (const auto* ns = fields.value("namespace")) {
    if (ns->is_string())
      out.ns = ns->get<std::string>();
    else
      fields.problem("namespace", "must be a text, or null for the whole tenant");
  }
  if (const auto expires = fields.optional_text("expires_at", 40)) {
    const auto at = parse_rfc3339(*expires);
    if (at)
      out.expires_at = *at;
    else
      fields.problem("expires_at", "must be a time like 2027-01-31T12:00:00Z");
  }
  if (const auto valid = fields.done(); !valid) return fail(valid.error());
  const auto who = principal_of(call, principal);
  if (!who) return fail(who.error(), "principal");
  const auto what = role_of(call, role);
  if (!what) return fail(what.error());
  out.principal = *who;
  out.role = *what;
  return out;
}

Result<std::vector<NewBinding>> parse_many(Call& call, const json& list) {
  if (!list.is_array() || list.empty() || list.size() > kMostAtOnce)
    return fail(Errc::InvalidInput, "bindings: must be a list of 1 to {} objects", kMostAtOnce);
  std::vector<NewBinding> out;
  for (const auto& one : list) {
    auto binding = parse_binding(call, one);
    if (!binding) return fail(binding.error(), "bindings[{}]", out.size());
    out.push_back(std::move(*binding));
  }
  return out;
}

Result<json> shown(Call& call, const Binding& binding) {
  const auto listed = call.store().binding(call.tenant, text(binding.id));
  if (!listed) return fail(listed.error());
  return to_json(*listed);
}

Result<Reply> made_reply(Call& call, const Written<std::vector<Binding>>& made, bool many) {
  auto items = json::array();
  for (const auto& binding : made.value) {
    auto one = shown(call, binding);
    if (!one) return fail(one.error());
    items.push_back(std::move(*one));
  }
  auto out = reply(201, many ? json{{"bindings", std::move(items)}} : std::move(items[0]));
  if (!many) out.headers.emplace_back("Location", fmt::format("/v1/tenants/{}/bindings/{}", call.tenant.value, text(made.value[0].id)));
  out.revision = made.revision;
  out.changed = true;
  return out;
}

/// What ?role=&principal=&namespace= leave. A role or principal that does not exist has no bindings.
Result<std::optional<BindingFilter>> parse_filter(Call& call) {
  BindingFilter out;
  if (const auto* role = call.query("role")) {
    const auto id = role_of(call, *role);
    if (!id && id.error().slug != "unknown_role") return fail(id.error());
    if (!id) return std::optional<BindingFilter>();
    out.role = *id;
  }
  if (const auto* principal = call.query("principal")) {
    const auto who = principal_of(call, *principal);
    if (!who && who.error().slug != "unknown_principal") return fail(who.error());
    if (!who) return std::optional<BindingFilter>();
    out.principal = who->id;
  }
  if (const auto* ns = call.query("namespace")) {
    if (*ns != "null" && !is_namespace(*ns))
      return fail_as("invalid_namespace", Errc::InvalidInput, "namespace: '{}' is no namespace, nor null for the whole tenant", *ns);
    out.ns = *ns == "null" ? "" : *ns;
  }
  return std::optional(out);
}

}  // namespace

Result<Reply> list_bindings(Call& call) {
  const auto page = call.page();
  if (!page) return fail(page.error());
  const auto filter = parse_filter(call);
  if (!filter) return fail(filter.error());
  const auto& wanted = *filter;
  if (!wanted) return ok(list(json::array()));
  const auto found = call.store().list_bindings(call.tenant, *wanted, *page);
  if (!found) return fail(found.error());
  return ok(list(*found, [](const ListedBinding& one) { return to_json(one); }));
}

Result<Reply> create_bindings(Call& call) {
  auto body = parse_json(call.request.body);
  if (!body) return fail(body.error());
  const bool many = body->is_object() && body->contains("bindings");
  if (many && body->size() > 1) return fail(Errc::InvalidInput, "beside \"bindings\" there can be nothing else");
  std::vector<NewBinding> wanted;
  if (many) {
    auto list = parse_many(call, (*body)["bindings"]);
    if (!list) return fail(list.error());
    wanted = std::move(*list);
  } else {
    auto one = parse_binding(call, std::move(*body));
    if (!one) return fail(one.error());
    wanted.push_back(std::move(*one));
  }
  const auto made = call.store().create_bindings(call.tenant, wanted, call.actor());
  if (!made) return fail(made.error());
  return made_reply(call, *made, many);
}

Result<Reply> get_binding(Call& call) {
  const auto found = call.store().binding(call.tenant, call.param("b"));
  if (!found) return fail(found.error());
  return ok(to_json(*found));
}

Result<Reply> delete_binding(Call& call) {
  const auto force = call.query_flag("force");
  if (!force) return fail(force.error());
  const auto id = parse_binding_id(call.param("b"));
  if (!id) return fail(Errc::NotFound, "no binding {}", call.param("b"));
  const auto done = call.store().delete_binding(call.tenant, *id, *force, call.actor());
  if (!done) return fail(done.error());
  return gone(*done);
}

/// R39: a right that changes under somebody's hands is worse than two steps.
Result<Reply> refuse_binding_change(Call&) {
  return fail_as("binding_immutable", Errc::InvalidInput,
                 "a binding is never changed, so that no right changes unnoticed: delete it and create another");
}

}  // namespace rosterd::http
