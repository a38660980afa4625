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
  /// The attribute that every account of this kind has and this entry does not show: it was hidden (S7), so what follows from it is not
  /// known. Memberships only when the entry is Usable, the state too when it is Skipped. Empty when nothing was hidden.
  [[nodiscard]] std::string_view hidden() const { return hidden_; }

 private:
  /// Attributes that an object class always brings with it, so that their absence means something.
  struct Kind {
    std::string_view object_class;
    bool demanded = false;  ///< by the filter: all entries are of it
  };
  void read_memberships(const Entry& entry);
  [[nodiscard]] bool read_state(const Entry& entry);
  /// The attribute is missing: whether the entry is one that always has it.
  [[nodiscard]] static bool is_of(const Entry& entry, const Kind& kind);
  void add_reference(std::vector<Reference>& list, std::size_t& used, std::string_view kind, std::string_view value);

  const Settings& settings_;
  std::vector<std::string> attributes_;
  bool dn_reference_, uid_reference_;
  Kind posix_account_, domain_user_;
  std::int64_t now_;  ///< seconds since the epoch, when the read began
  UserRecord record_;
  std::string reason_;
  std::string_view hidden_;
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
  /// The schema wants a member, or it cannot be seen whether it does, and none came: it was hidden (S7).
  [[nodiscard]] bool members_hidden() const { return members_hidden_; }
  /// The number by which people name their primary group, which every group of this kind has and this one does not show. Else empty.
  [[nodiscard]] std::string_view hidden_number() const { return hidden_number_; }
  /// All who are members can be told from this entry, and from those of the people.
  [[nodiscard]] bool is_whole() const { return !members_hidden_ && hidden_number_.empty(); }
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
  bool always_numbered_ = false;  ///< the filter selects only groups that have the number
  std::string_view hidden_number_;
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
