#pragma once
// scim2-tester (PyPI): walks a SCIM 2.0 server through discovery, creation, reading, replacing, patching and deleting of every resource
// type it announces.

#include <string>

#include "tests/support/fetched.hpp"

namespace rosterd::test {

struct Scim2Finding {
  std::string status;  ///< SUCCESS, COMPLIANT, ACCEPTABLE, DEVIATION, ERROR, CRITICAL or SKIPPED
  std::string title;   ///< of the check
  std::string reason;
  std::string tags;  ///< joined by ","
  std::string resource_type;
};
/// ROSTERD_NEEDS("scim2-tester") before it. `url`: the base ("…/scim/v2"). Throws when the tester itself could not run.
[[nodiscard]] std::vector<Scim2Finding> run_scim2_tester(const std::string& url, const std::string& token, const std::string& ca_file = {});

}  // namespace rosterd::test
