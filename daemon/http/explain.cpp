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

}  // namespace

Result<json> grants_json(Call& call, const Principal& who, std::span<const rbac::Grant> grants, std::span<const Role> roles) {
  std::set<Edge> edges;
  for (const auto& grant : grants) {
    auto member = who.id;
    for (const auto& hop : grant.via) {
      edges.emplace(hop.group, member);
      member = hop.group;
    }
  }
  std::multimap<Edge, json> origins;
  if (!edges.empty()) {
    const std::vector<Edge> asked(edges.begin(), edges.end());
    const auto found = call.store().edge_origins(call.tenant, asked);
    if (!found) return fail(found.error(), "reading where memberships come from");
    for (const auto& edge : *found) origins.emplace(Edge(edge.group, edge.member.id), edge_origin(edge));
  }

  auto out = json::array();
  for (const auto& grant : grants) {
    auto via = json::array();
    auto member = who.id;
    for (const auto& hop : grant.via) {
      auto hop_origins = json::array();
      const auto [first, last] = origins.equal_range(Edge(hop.group, member));
      for (auto it = first; it != last; ++it) hop_origins.push_back(it->second);
      via.push_back({{"group", {{"id", text(PrincipalType::Group, hop.group)}, {"name", hop.name}}}, {"origins", std::move(hop_origins)}});
      member = hop.group;
    }
    json permissions = nullptr;  // the role was deleted after the snapshot was made
    if (grant.admin) permissions = "ALL";
    for (const auto& role : roles)
      if (!grant.admin && role.id == grant.role) permissions = json::parse(role.permissions, nullptr, false);
    out.push_back({{"binding", text(grant.binding)},
                   {"role", {{"id", text(grant.role)}, {"name", grant.role_name}}},
                   {"namespace", grant.ns ? json(*grant.ns) : json(nullptr)},
                   {"origin", origin(grant.source)},
                   {"via", std::move(via)},
                   {"expires_at", time_or_null(grant.expires_at)},
                   {"permissions", std::move(permissions)}});
  }
  return out;
}

}  // namespace rosterd::http
