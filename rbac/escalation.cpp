#include "rbac/escalation.hpp"

#include <map>

namespace rosterd::rbac {
namespace {

constexpr std::size_t kMostNamed = 100;  // of what is missing, in an answer
constexpr std::size_t kMostTold = 10;    // in its sentence

/// What roles give at one scope.
struct Sum {
  PairMask pairs{};
  bool admin = false;
};
using Scopes = std::map<std::string, Sum, std::less<>>;  ///< by namespace; "" = tenant-wide

void add(Sum& to, const Sum& what) {
  for (std::size_t i = 0; i < to.pairs.size(); ++i) to.pairs[i] |= what.pairs[i];
  to.admin = to.admin || what.admin;
}

class Reader {
 public:
  explicit Reader(const Catalogue& catalogue) : catalogue_(catalogue) {}

  Result<Scopes> sum(std::span<const RoleAt> roles) {
    Scopes out;
    for (const auto& [role, ns] : roles) {
      auto content = content_of(role);
      if (!content) return fail(content.error(), "reading role {}", role.name);
      if (ns)  // a namespace-limited binding grants no tenant-scope pair: neither given nor held (R76, R30)
        for (std::size_t i = 0; i < content->pairs.size(); ++i) content->pairs[i] &= ~catalogue_.tenant_scope()[i];
      add(out[ns.value_or("")], *content);
    }
    return out;
  }

 private:
  Result<Sum> content_of(const Role& role) {
    if (role.admin) return Sum{.pairs = catalogue_.all(), .admin = true};
    // A group may have thousands of bindings and a tenant a handful of roles: each content is read once.
    if (const auto known = contents_.find(role.permissions); known != contents_.end()) return Sum{.pairs = known->second, .admin = false};
    const auto mask = catalogue_.mask(role.permissions);
    if (!mask) return fail(Errc::Internal, "{}", mask.error().what);
    contents_.emplace(role.permissions, *mask);
    return Sum{.pairs = *mask, .admin = false};
  }

  const Catalogue& catalogue_;
  std::map<std::string, PairMask, std::less<>> contents_;
};

/// Everything that holds at a namespace: its own, that of its ancestors, that of the tenant.
Sum at(const Scopes& scopes, std::string_view ns) {
  Sum out;
  if (const auto whole = scopes.find(""); whole != scopes.end()) add(out, whole->second);
  for (std::size_t dot = 0; dot < ns.size();) {
    dot = std::min(ns.find('.', dot + 1), ns.size());
    if (const auto covering = scopes.find(ns.substr(0, dot)); covering != scopes.end()) add(out, covering->second);
  }
  return out;
}

}  // namespace

Result<std::vector<Missing>> missing(const Catalogue& catalogue, const Granting& granting) {
  Reader reader(catalogue);
  const auto held = reader.sum(granting.held), had = reader.sum(granting.had), wanted = reader.sum(granting.wanted);
  for (const auto* sum : {&held, &had, &wanted})
    if (!*sum) return fail(sum->error());
  std::vector<Missing> out;
  for (const auto& [name, want] : *wanted) {
    auto covered = at(*held, name);
    add(covered, at(*had, name));
    if (covered.admin) continue;
    const auto ns = name.empty() ? std::nullopt : std::optional(name);
    if (want.admin) {
      out.push_back({.permission = "ALL", .action = "ALL", .ns = ns});
      continue;
    }
    auto open = want.pairs;
    for (std::size_t i = 0; i < open.size(); ++i) open[i] &= ~covered.pairs[i];
    for (auto& [permission, action] : catalogue.names(open))
      out.push_back({.permission = std::move(permission), .action = std::move(action), .ns = ns});
  }
  return out;
}

std::string to_json(std::span<const Missing> missing) {
  std::string out = R"({"missing":[)";
  for (const auto& one : missing.first(std::min(missing.size(), kMostNamed))) {
    // Names of pairs and namespaces hold nothing that JSON escapes (R14, R26).
    out += fmt::format(R"({}{{"permission":"{}","action":"{}","namespace":)", out.back() == '[' ? "" : ",", one.permission, one.action);
    out += one.ns ? fmt::format(R"("{}"}})", *one.ns) : "null}";
  }
  return out + fmt::format(R"(],"missing_total":{}}})", missing.size());
}

GrantJudge make_judge(std::shared_ptr<const Catalogue> catalogue) {
  return [catalogue = std::move(catalogue)](const Granting& granting) -> Result<void> {
    const auto open = missing(*catalogue, granting);
    if (!open) return fail(open.error(), "judging what a change would grant");
    if (open->empty()) return {};
    std::string what;
    for (const auto& one : std::span(*open).first(std::min(open->size(), kMostTold)))
      what += fmt::format("{}{} {} in {}", what.empty() ? "" : ", ", one.permission, one.action, one.ns ? *one.ns : "the whole tenant");
    if (open->size() > kMostTold) what += fmt::format(" and {} more", open->size() - kMostTold);
    return fail_as("escalation", Errc::Forbidden, "this would grant what you do not hold: {}", what);
  };
}

}  // namespace rosterd::rbac
