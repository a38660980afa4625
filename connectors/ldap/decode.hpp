#pragma once
// From an LDAP entry to a record: which attributes to ask for, what they mean, what makes an entry unusable. No I/O. One record is
// reused for a whole read, so that a million entries cost no million allocations.

#include "connectors/ldap/settings.hpp"
#include "schema/model/records.hpp"

namespace rosterd::connectors::ldap {

enum class Decoded {
  Usable,
  Skipped,  ///< has a stable id, but attributes that cannot be used: see reason()
  NoId,     ///< no usable stable id: the read can not be complete
};

class UserDecoder {
 public:
  explicit UserDecoder(const Settings& settings);
  [[nodiscard]] const std::vector<std::string>& attributes() const { return attributes_; }
  [[nodiscard]] Decoded decode(const Entry& entry);
  [[nodiscard]] const UserRecord& record() const { return record_; }
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  void read_state(const Entry& entry);
  void add_reference(std::vector<Reference>& list, std::size_t& used, std::string_view kind, std::string_view value);

  const Settings& settings_;
  std::vector<std::string> attributes_;
  bool dn_reference_, uid_reference_;
  std::int64_t now_;  ///< seconds since the epoch, when the read began
  UserRecord record_;
  std::string reason_;
};

class GroupDecoder {
 public:
  explicit GroupDecoder(const Settings& settings);
  [[nodiscard]] const std::vector<std::string>& attributes() const { return attributes_; }
  [[nodiscard]] Decoded decode(const Entry& entry);
  [[nodiscard]] const GroupRecord& record() const { return record_; }
  [[nodiscard]] const std::string& reason() const { return reason_; }
  /// The member attribute that came in ranges (`member;range=0-1499`) and must be read on; null when all came.
  [[nodiscard]] const MemberAttribute* ranged() const { return ranged_; }
  /// The schema wants a member, and none came: it was hidden (S7).
  [[nodiscard]] bool members_hidden() const { return members_hidden_; }
  /// Calls `use` with spans of references until it says false; false then.
  [[nodiscard]] bool each_members(const Entry& entry, const std::function<bool(std::span<const Reference>)>& use);

 private:
  const Settings& settings_;
  const GroupPart& part_;
  std::vector<std::string> attributes_;
  GroupRecord record_;
  std::string reason_;
  const MemberAttribute* ranged_ = nullptr;
  bool members_hidden_ = false;
  std::vector<Reference> batch_;
};

/// Writes the reference that a member value is: "dn:…" or "uid:…". `out` is reused.
void member_reference(MemberStyle style, std::string_view value, std::string& out);

/// `member;range=0-1499`: the parts of a ranged attribute name.
struct RangedName {
  std::string_view attribute;
  std::uint64_t first = 0;
  std::optional<std::uint64_t> last;  ///< none = `*`, the final range
};
[[nodiscard]] std::optional<RangedName> parse_ranged(std::string_view name);

}  // namespace rosterd::connectors::ldap
