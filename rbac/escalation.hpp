#pragma once
// Nobody can grant what he does not hold (rbac.md §10). Pure: rows come in, what is missing goes out. Which rows a change amounts to, and
// reading them in the transaction that writes, is the store's part.

#include <memory>
#include <span>
#include <vector>

#include "rbac/catalogue.hpp"
#include "schema/model/granting.hpp"

namespace rosterd::rbac {

/// A pair that would be given at a scope in which it is not held. Admin is more than its pairs (R80): it is missing as "ALL", "ALL".
struct Missing {
  std::string permission, action;
  std::optional<std::string> ns;  ///< none = tenant-wide
  bool operator==(const Missing&) const = default;
};

/// Sorted by scope (the tenant first), then in catalogue order; empty = it may be given. Internal when a stored role cannot be read.
[[nodiscard]] Result<std::vector<Missing>> missing(const Catalogue& catalogue, const Granting& granting);
/// {"missing":[{"permission","action","namespace"}…],"missing_total":n}: the first hundred of them.
[[nodiscard]] std::string to_json(std::span<const Missing> missing);
/// missing() as the store asks it.
[[nodiscard]] GrantJudge make_judge(std::shared_ptr<const Catalogue> catalogue);

}  // namespace rosterd::rbac
