#pragma once
// What a change would give away, what its author holds, and who judges it (rbac.md R75-R82). The rows are read inside the writing
// transaction by the store (R82); the judgement is rbac's, which the store does not know.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "schema/core/result.hpp"
#include "schema/model/access.hpp"

namespace rosterd {

/// A role at a place: held there, or to be given there.
struct RoleAt {
  Role role;
  std::optional<std::string> ns = {};  ///< none = tenant-wide
};

struct Granting {
  std::vector<RoleAt> held = {};    ///< live bindings of who asks, and of the active groups above him; none when he is suspended (R82)
  std::vector<RoleAt> wanted = {};  ///< everything the change would give
  /// What the thing that is changed gives already, such as the old content of a role where it is bound: it is not given anew (R77).
  std::vector<RoleAt> had = {};
};

/// Forbidden, "escalation", when something wanted is neither held nor had; the text names what is missing. Super admins are not judged.
using GrantJudge = std::function<Result<void>(const Granting&)>;

}  // namespace rosterd
