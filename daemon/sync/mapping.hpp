#pragma once
// Role mappings (DESIGN rule 11, sync-rules S37): the directory's name of a group goes in, the roles and namespaces it earns come out.
// Patterns are PCRE2, anchored at both ends, UTF, interpreted with limits, since a tenant writes them. What is bound is the plan's
// business.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schema/core/result.hpp"
#include "schema/model/sync.hpp"

namespace rosterd::sync {

/// What one mapping gives one group.
struct Mapped {
  std::size_t mapping = 0;  ///< position of the rule
  std::optional<std::string> ns;
  bool operator==(const Mapped&) const = default;
};
struct MappingAnswer {
  std::vector<Mapped> roles;
  std::vector<std::string> invalid_namespaces;  ///< captured, but no namespace: gives nothing and is reported
  bool undecided = false;                       ///< a pattern met its limits or the name is not UTF-8: what the group has stays
};

class Mappings {
 public:
  /// InvalidInput names the rule, the place and the trouble.
  [[nodiscard]] static Result<Mappings> compile(std::span<const RoleMapping> rules);
  [[nodiscard]] MappingAnswer match(std::string_view group_name) const;
  [[nodiscard]] bool empty() const { return rules_.empty(); }
  [[nodiscard]] std::span<const RoleMapping> rules() const { return rules_; }

  Mappings();
  ~Mappings();
  Mappings(Mappings&&) noexcept;
  Mappings& operator=(Mappings&&) noexcept;

 private:
  struct Compiled;
  std::vector<RoleMapping> rules_;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace rosterd::sync
