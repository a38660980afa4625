#include "connectors/ldap/ranges.hpp"

#include <strings.h>

namespace rosterd::connectors::ldap {
namespace {

constexpr int kAttempts = 5;  // a group that changes during each of five reads is left for the next run

bool same_name(std::string_view a, std::string_view b) { return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0; }

/// One pass over all ranges. None = closed; else what is wrong.
struct Pass {
  std::optional<std::string> trouble;
  std::string stamp;  ///< uSNChanged at the beginning
};

class RangeReader {
 public:
  RangeReader(Client& client, const std::string& dn, const MemberAttribute& member, GroupDecoder& decoder)
      : client_(client), dn_(dn), member_(member), decoder_(decoder) {}

  Result<Pass> pass(ReferenceList& out) {
    out.clear();
    Pass result;
    std::uint64_t next = 0;
    for (bool closed = false; !closed;) {
      bool advanced = false, unusable = false;
      std::string wrong = "the answer holds no further range";
      const auto end = client_.search(request(next), [&](const Entry& entry) {
        if (next == 0) {
          switch (decoder_.decode(entry)) {
            case Decoded::Usable:
              break;
            case Decoded::Skipped:
              wrong = decoder_.reason();
              unusable = true;
              return true;
            case Decoded::NoId:
              wrong = "it has lost its stable id";
              unusable = true;
              return true;
          }
          const auto stamp = entry.find("uSNChanged");
          if (!stamp.empty()) result.stamp.assign(stamp.front());
        }
        for (const auto& attribute : entry.attributes) {
          const auto range = parse_ranged(attribute.name);
          const bool plain = next == 0 && !range && same_name(attribute.name, member_.name) && attribute.count > 0;  // few enough by now
          if (!plain && (!range || !same_name(range->attribute, member_.name))) continue;
          if (range && range->first != next) {
            wrong = fmt::format("asked for members from {}, got them from {}", next, range->first);
            return true;
          }
          if (range && range->last && attribute.count != *range->last - range->first + 1) {
            wrong = fmt::format("{} announces other than the {} values it holds", attribute.name, attribute.count);
            return true;
          }
          for (const auto value : entry.values(attribute)) {
            member_reference(member_.style, value, reference_);
            out.add(reference_);
          }
          closed = plain || !range->last;
          next += attribute.count;
          advanced = true;
          return true;
        }
        return true;
      });
      if (!end) return fail(end.error());
      if (end->code != code::kSuccess) wrong = in_words(end->code, end->text);
      if (end->code != code::kSuccess || unusable || !advanced) {
        result.trouble = wrong;
        return result;
      }
    }
    return result;
  }

  Result<std::string> stamp() {
    std::string now;
    const auto end = client_.search({.base = dn_, .scope = Scope::Base, .attributes = {"uSNChanged"}}, [&now](const Entry& entry) {
      const auto values = entry.find("uSNChanged");
      if (!values.empty()) now.assign(values.front());
      return true;
    });
    if (!end) return fail(end.error());
    return now;
  }

 private:
  [[nodiscard]] Search request(std::uint64_t next) const {
    Search search{.base = dn_, .scope = Scope::Base};
    if (next == 0) {
      for (const auto& name : decoder_.attributes())
        if (!same_name(name, member_.name)) search.attributes.push_back(name);
      search.attributes.emplace_back("uSNChanged");
    }
    search.attributes.push_back(fmt::format("{};range={}-*", member_.name, next));
    return search;
  }

  Client& client_;
  const std::string& dn_;
  const MemberAttribute& member_;
  GroupDecoder& decoder_;
  std::string reference_;
};

}  // namespace

void ReferenceList::clear() {
  text_.clear();
  ends_.clear();
}

void ReferenceList::add(std::string_view reference) {
  text_ += reference;
  ends_.push_back(text_.size());
}

std::string_view ReferenceList::at(std::size_t index) const {
  const auto begin = index == 0 ? 0 : ends_[index - 1];
  return std::string_view(text_).substr(begin, ends_[index] - begin);
}

Result<RangedRead> read_ranges(Client& client, const std::string& dn, const MemberAttribute& member, GroupDecoder& decoder) {
  RangedRead out;
  RangeReader reader(client, dn, member, decoder);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto pass = reader.pass(out.members);
    if (!pass) return fail(pass.error());
    if (const auto& trouble = pass->trouble) {
      out.trouble = *trouble;
      return out;
    }
    const auto after = reader.stamp();
    if (!after) return fail(after.error());
    if (*after == pass->stamp) {
      out.whole = true;
      return out;
    }
    out.trouble = "the group changed during every attempt to read it";
  }
  return out;
}

}  // namespace rosterd::connectors::ldap
