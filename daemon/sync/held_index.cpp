#include "daemon/sync/held_index.hpp"

namespace rosterd::sync {
namespace {

/// What an ambiguous reference points at: no table ever gets that long.
const Target kNobody(PrincipalType::Group, (1U << 31) - 1);

}  // namespace

Hash128 key_of(std::string_view external_id) { return digest128(external_id); }

ReferenceHash ReferenceTable::hash(std::string_view reference) const {
  const auto whole = hash_(reference);
  return {.high = whole.high, .low = static_cast<std::uint32_t>(whole.low)};
}

void ReferenceTable::add(const ReferenceHash& reference, Target target) {
  const auto same = [&](std::uint32_t at) { return entries_[at].high == reference.high && entries_[at].low == reference.low; };
  if (const auto known = slots_.find(reference.high, same)) {
    auto& named = entries_[*known];
    if (named.target == target || named.target == kNobody) return;
    named.target = kNobody;
    ++ambiguous_;
    return;
  }
  const auto at = static_cast<std::uint32_t>(entries_.size());
  entries_.push_back({.high = reference.high, .low = reference.low, .target = target});
  slots_.insert(at, [&](std::uint32_t position) { return entries_[position].high; });
}

std::optional<Target> ReferenceTable::find(const ReferenceHash& reference) const {
  const auto at = slots_.find(reference.high, [&](std::uint32_t position) {
    return entries_[position].high == reference.high && entries_[position].low == reference.low;
  });
  if (!at || entries_[*at].target == kNobody) return std::nullopt;
  return entries_[*at].target;
}

}  // namespace rosterd::sync
