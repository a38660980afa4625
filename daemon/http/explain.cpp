#include "daemon/http/explain.hpp"

#include <set>

#include "daemon/http/render.hpp"

namespace rosterd::http {
namespace {

using nlohmann::json;
using Edge = std::pair<PrincipalId, PrincipalId>;  // group, member

json edge_origin(const EdgeOrigin& edge) {
  if (!edge.source) return {{"origin", "local"}, {"since", rfc3339(edge.since)}};
  return {{"origin", origin(edge.source)},
          {"source_name", edge.source_name},
          {"entry", text_or_null(edge.entry)},
          {"run", edge.run ? json(text(*edge.run)) : json(nullptr)},
          {"since", rfc3339(edge.since)}};
}

/// Where the memberships on some chains come from, read at once.
class Origins {
 public:
  void ask(PrincipalId member, const rbac::Grant& grant) {
    for (const auto& hop : grant.via) {
      asked_.emplace(hop.group, member);
      member = hop.group;
    }
  }
  Result<void> read(Call& call) {
    if (asked_.empty()) return {};
    const std::vector<Edge> edges(asked_.begin(), asked_.end());
    const auto found = call.store().edge_origins(call.tenant, edges);
    if (!found) return fail(found.error(), "reading where memberships come from");
    for (const auto& edge : *found) found_.emplace(Edge(edge.group, edge.member.id), edge_origin(edge));
    return {};
  }
  [[nodiscard]] json of(const Edge& edge) const {
    auto out = json::array();
    const auto [first, last] = found_.equal_range(edge);
    for (auto it = first; it != last; ++it) out.push_back(it->second);
    return out;
  }

 private:
  std::set<Edge> asked_;
  std::multimap<Edge, json> found_;
};

json named(std::string id, std::string_view name) { return {{"id", std::move(id)}, {"name", name}}; }

json grant_json(const Call& call, PrincipalId member, const rbac::Grant& grant, const Origins& origins) {
  auto via = json::array();
  for (const auto& hop : grant.via) {
    auto here = origins.of(Edge(hop.group, member));
    const bool gone = here.empty();
    via.push_back({{"group", named(text(PrincipalType::Group, hop.group), hop.name)}, {"origins", std::move(here)}, {"gone", gone}});
    member = hop.group;
  }
  return {{"binding", text(grant.binding)},
          {"role", named(text(grant.role), grant.role_name)},
          {"namespace", grant.ns ? json(*grant.ns) : json(nullptr)},
          {"origin", origin(grant.source)},
          {"via", std::move(via)},
          {"expires_at", time_or_null(grant.expires_at)},
          {"permissions", grant.admin ? json("ALL") : json::parse(call.app.services.catalogue->content(grant.pairs))}};
}

json grants_with(const Call& call, PrincipalId who, std::span<const rbac::Grant> grants, const Origins& origins) {
  auto out = json::array();
  for (const auto& grant : grants) out.push_back(grant_json(call, who, grant, origins));
  return out;
}

std::string_view state_of(const rbac::Resolved& subject) {
  switch (subject.kind) {
    case rbac::Resolved::Unknown:
      return "unknown";
    case rbac::Resolved::Ambiguous:
      return "ambiguous";
    case rbac::Resolved::Found:
      break;
  }
  if (subject.known.active) return "active";
  return subject.known.who.type == PrincipalType::ServiceAccount ? "disabled" : "suspended";
}

}  // namespace

Result<json> grants_json(Call& call, const Principal& who, std::span<const rbac::Grant> grants) {
  Origins origins;
  for (const auto& grant : grants) origins.ask(who.id, grant);
  if (const auto read = origins.read(call); !read) return fail(read.error());
  return grants_with(call, who.id, grants, origins);
}

Result<json> explanation_json(Call& call, const rbac::Explanation& why) {
  const auto taken = call.snapshot();
  if (!taken) return fail(taken.error());
  const auto& snapshot = **taken;
  const auto who = why.subject.known.who.id;
  Origins origins;
  const auto ask = [&](const std::vector<rbac::Grant>& grants) {
    for (const auto& grant : grants) origins.ask(who, grant);
  };
  ask(why.paths);
  if (why.near)
    for (const auto* kind : {&why.near->elsewhere, &why.near->without_action, &why.near->tenant_scope, &why.near->expired}) ask(*kind);
  if (const auto read = origins.read(call); !read) return fail(read.error());

  const auto grants = [&](const std::vector<rbac::Grant>& some) { return grants_with(call, who, some, origins); };
  json body = {{"allowed", why.decision.allowed},
               {"reason", rbac::name_of(why.decision.reason)},
               {"revision", text(snapshot.revision())},
               {"paths", grants(why.paths)},
               {"paths_total", why.paths_total},
               {"paths_more", why.paths_more},
               {"matched_namespace", why.matched_namespace ? json(*why.matched_namespace) : json(nullptr)},
               {"state", {{"tenant", snapshot.tenant_enabled() ? "active" : "disabled"}, {"subject", state_of(why.subject)}}}};
  if (why.near) {
    auto groups = json::array();
    for (const auto& joining : why.near->groups)
      groups.push_back({{"group", named(text(PrincipalType::Group, joining.group), joining.name)},
                        {"role", named(text(joining.grant.role), joining.grant.role_name)},
                        {"namespace", joining.grant.ns ? json(*joining.grant.ns) : json(nullptr)}});
    body["near_misses"] = {{"elsewhere", grants(why.near->elsewhere)},
                           {"without_action", grants(why.near->without_action)},
                           {"tenant_scope", grants(why.near->tenant_scope)},
                           {"expired", grants(why.near->expired)},
                           {"groups", std::move(groups)},
                           {"more", why.near->more}};
  }
  return body;
}

}  // namespace rosterd::http
