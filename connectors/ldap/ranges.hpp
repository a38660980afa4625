#pragma once
// Members that come in ranges (Active Directory, [MS-ADTS] 3.1.1.3.1.3.3): read to the closing `*`, all of one state of the group.

#include "connectors/ldap/client.hpp"
#include "connectors/ldap/decode.hpp"

namespace rosterd::connectors::ldap {

/// References in one piece of memory: a group may have a million of them.
class ReferenceList {
 public:
  void clear();
  void add(std::string_view reference);
  [[nodiscard]] std::size_t size() const { return ends_.size(); }
  [[nodiscard]] std::string_view at(std::size_t index) const;

 private:
  std::string text_;
  std::vector<std::size_t> ends_;
};

struct RangedRead {
  bool whole = false;   ///< closed, and the group did not change meanwhile
  std::string trouble;  ///< in words, when not whole
  ReferenceList members;
};

/// Reads the group again with all ranges of `member`; `decoder` then holds its record. Other searches of the connection must be over:
/// some servers drop a paging cookie when another search comes in between. Error: connection lost or stopped.
[[nodiscard]] Result<RangedRead> read_ranges(Client& client, const std::string& dn, const MemberAttribute& member, GroupDecoder& decoder);

}  // namespace rosterd::connectors::ldap
