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
  if (const auto known = position(reference)) {
    auto& named = entries_[*known];
    if (named.target == target) return;
    namesakes_.push_back(target);
    if (named.target == kNobody) return;
    namesakes_.push_back(named.target);
    named.target = kNobody;
    ++ambiguous_;
    return;
  }
  const auto at = static_cast<std::uint32_t>(entries_.size());
  entries_.push_back({.high = reference.high, .low = reference.low, .target = target});
  slots_.insert(at, [&](std::uint32_t position) { return entries_[position].high; });
}

std::optional<std::uint32_t> ReferenceTable::position(const ReferenceHash& reference) const {
  return slots_.find(reference.high,
                     [&](std::uint32_t at) { return entries_[at].high == reference.high && entries_[at].low == reference.low; });
}

bool ReferenceTable::is_ambiguous(const ReferenceHash& reference) const {
  const auto at = position(reference);
  return at && entries_[*at].target == kNobody;
}

std::optional<Target> ReferenceTable::find(const ReferenceHash& reference) const {
  const auto at = position(reference);
  if (!at || entries_[*at].target == kNobody) return std::nullopt;
  return entries_[*at].target;
}

}  // namespace rosterd::sync
