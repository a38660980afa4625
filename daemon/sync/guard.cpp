#include "daemon/sync/guard.hpp"

#include <cmath>

namespace rosterd::sync {
namespace {

/// S16: n is what was active when the last 24 hours began, and what left since counts as if it left now. A plan that takes nothing
/// away never trips.
std::optional<GuardTrip> counted(const Guard& guard, std::string_view reason, std::string_view what, std::string_view verb,
                                 std::uint64_t leaving, std::uint64_t active, std::uint64_t recent) {
  const auto base = active + recent;
  const auto most = limit(guard, base);
  if (leaving == 0 || leaving + recent <= most) return std::nullopt;
  auto detail = fmt::format("would {} {} of {} {}", verb, leaving, active, what);
  if (recent > 0) detail += fmt::format(" after {} in the last 24 hours", recent);
  return GuardTrip{.reason = std::string(reason), .detail = detail + fmt::format("; at most {} may go within 24 hours", most)};
}

}  // namespace

std::uint64_t limit(const Guard& guard, std::uint64_t active) {
  // The small addend keeps 5 % of 1000 at 50 whatever the binary fraction of 0.05 is.
  const auto share = static_cast<std::uint64_t>(std::floor(guard.percent * static_cast<double>(active) / 100.0 + 1e-9));
  return std::min<std::uint64_t>(guard.ceiling, std::max(share, std::min<std::uint64_t>(guard.floor, active / 3)));
}

bool empties_too_many(std::uint64_t emptied, std::uint64_t of) { return emptied >= 3 && emptied * 2 >= of; }

bool loses_too_many(std::uint64_t lost, std::uint64_t of) { return of >= 20 && lost * 2 > of; }

std::optional<GuardTrip> trip(const Guard& guard, const GuardInput& plan) {
  if (plan.complete && plan.users_read == 0 && plan.users_active > 0)
    return GuardTrip{.reason = "guard_empty_users",
                     .detail = fmt::format("the directory delivered no user at all, {} are known", plan.users_active)};
  if (plan.complete && plan.groups_read == 0 && plan.groups_active > 0)
    return GuardTrip{.reason = "guard_empty_groups",
                     .detail = fmt::format("the directory delivered no group at all, {} are known", plan.groups_active)};
  if (auto found = counted(guard, "guard_users", "users", "suspend", plan.users_leaving, plan.users_active, plan.recent.users))
    return found;
  if (auto found = counted(guard, "guard_groups", "groups", "suspend", plan.groups_leaving, plan.groups_active, plan.recent.groups))
    return found;
  if (plan.complete && empties_too_many(plan.groups_emptied, plan.groups_listing))
    return GuardTrip{
        .reason = "guard_groups_emptied",
        .detail = fmt::format("{} of {} groups that had members arrived without any: most likely the bind account has lost the "
                              "right to read the member attribute",
                              plan.groups_emptied, plan.groups_listing)};
  if (plan.halved_groups > 0)
    return GuardTrip{
        .reason = "guard_group_half",
        .detail = fmt::format(
            "{} would lose {} of its {} members{}", text(PrincipalType::Group, plan.worst.group), plan.worst.lost, plan.worst.of,
            plan.halved_groups > 1 ? fmt::format(", and {} more groups over half of theirs", plan.halved_groups - 1) : std::string())};
  if (plan.admin_bindings_removed > 0)
    return GuardTrip{.reason = "guard_admin_binding",
                     .detail = fmt::format("would take the Admin role from {} groups", plan.admin_bindings_removed)};
  return counted(guard, "guard_bindings", "mapped role bindings", "remove", plan.bindings_removed, plan.bindings_held,
                 plan.recent.bindings);
}

}  // namespace rosterd::sync
