#pragma once
// What the author of a change may give away (rbac.md §10), and what becomes of the last Admin (R89). Rows are read in the transaction
// that writes (R82); the judgement itself is rbac's (schema/model/granting.hpp).

#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <vector>

#include "schema/model/granting.hpp"
#include "schema/postgres/pool.hpp"
#include "schema/store/administration.hpp"

namespace rosterd::postgres {

class Grants {
 public:
  Grants(Tenancy& inside, const Actor& actor, const GrantJudge& judge) : inside_(inside), actor_(actor), judge_(judge) {}

  /// Rosterd itself, or a super admin at this moment.
  [[nodiscard]] bool is_exempt();
  /// Everything a principal has, or would have once it is active: its live bindings and those of all groups above it.
  [[nodiscard]] std::vector<RoleAt> of(PrincipalId principal);
  /// Reads what the author holds, once: to be called before a change that could add to it, since judge() would take that for held.
  void look();
  /// Throws Abort "escalation" when the author does not hold it. `had`: what is given already and not anew.
  void judge(std::vector<RoleAt> wanted, std::vector<RoleAt> had = {});

 private:
  [[nodiscard]] std::vector<RoleAt> reached(PrincipalId from, bool only_active);
  [[nodiscard]] std::optional<PrincipalId> author();

  Tenancy& inside_;
  const Actor& actor_;
  const GrantJudge& judge_;
  std::optional<bool> exempt_;
  std::optional<std::vector<RoleAt>> held_;
};

/// Watches over the last Admin during one change: made before it, asked after it.
class LastAdmin {
 public:
  explicit LastAdmin(Tenancy& inside);
  /// Throws Abort "last_admin" when there was an active Admin and is none any more. `forced`: by a super admin (Abort Forbidden for
  /// others); that it was needed is written down (R107).
  void stays(Grants& grants, bool forced, const Actor& actor);

 private:
  Tenancy& inside_;
  bool before_;
};

/// As audit rows hold it.
[[nodiscard]] std::string audit_text(const nlohmann::json& object);
/// Who made something, as its `created_by`: an id text, or what rosterd did it for.
[[nodiscard]] std::string author_text(const Actor& actor);
/// 1 to 255 bytes of UTF-8 without control characters; throws Abort InvalidInput that names the field.
void need_text(std::string_view field, std::string_view value);
/// At most 1024 bytes of UTF-8 without control characters, or none; throws as above.
void need_description(std::string_view description);
/// Whether the principal is one of the tenant.
[[nodiscard]] bool exists(Tenancy& inside, const Principal& principal);

/// In a transaction of its own, since the refused one is rolled back (R107).
void note_refusal(Pool& pool, const TenantId& tenant, const Actor& actor, std::string_view doing, const Error& why);

/// One change of a tenant by `actor`: `work(Tenancy&, Grants&)` in a transaction that has locked the tenant.
template <class Work>
auto administer(Pool& pool, const GrantJudge& judge, const TenantId& tenant, const Actor& actor, std::string_view doing, Work work)
    -> decltype(work(std::declval<Tenancy&>(), std::declval<Grants&>())) {
  auto done = in_tenant(pool, Mode::Write, tenant, doing, [&](Tenancy& inside) {
    Grants grants(inside, actor, judge);
    return work(inside, grants);
  });
  if (!done && done.error().slug == "escalation") note_refusal(pool, tenant, actor, doing, done.error());
  return done;
}

}  // namespace rosterd::postgres
