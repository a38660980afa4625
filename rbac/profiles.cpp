#include "rbac/profiles.hpp"

#include <algorithm>
#include <bit>

namespace rosterd::rbac {
namespace {

/// Seeded, since namespaces and group sets of a profile come from outside; equality is always checked on the words themselves.
std::uint64_t mix(std::uint64_t hash, std::uint64_t word) { return std::rotl((hash ^ word) * 0x9fb21c651e98df25U, 29); }
std::uint64_t finish(std::uint64_t hash) {
  hash = (hash ^ (hash >> 32)) * 0xd6e8feb86659fd93U;
  return hash ^ (hash >> 29);
}

constexpr PairMask kNothing{};

void add(PairMask& to, const PairMask& what) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] |= what[i];
}

}  // namespace

void Interner::grow() {
  Array<std::uint64_t> next;
  const auto size = std::max<std::size_t>(64, slots_.size() * 2);
  next.reserve(size);
  next.assign(size, 0);
  for (const auto held : slots_) {
    if (held == 0) continue;
    auto slot = held >> 32 & (next.size() - 1);
    while (next[slot] != 0) slot = (slot + 1) & (next.size() - 1);
    next[slot] = held;
  }
  slots_ = std::move(next);
}

Masks::Masks(Array<PairMask>& masks) : masks_(masks) {
  for (std::uint32_t held = 0; held < this->size(); ++held)
    interner_.number(hash_of((*this)[held]), [&](std::uint32_t other) { return (*this)[other] == (*this)[held]; }, [&] { return held; });
  (void)number(kNothing);
}

std::uint64_t Masks::hash_of(const PairMask& mask) const {
  auto hash = seed_;
  for (const auto word : mask) hash = mix(hash, word);
  return finish(hash);
}

std::uint32_t Masks::number(const PairMask& mask) {
  return interner_.number(
      hash_of(mask), [&](std::uint32_t held) { return (*this)[held] == mask; },
      [&] {
        masks_.push_back(mask);
        return static_cast<std::uint32_t>(masks_.size() - 1);
      });
}

namespace {

class Flattening {
 public:
  /// Of everybody, or of some.
  Flattening(Tables& tables, Masks& masks, const std::vector<bool>* again) : t_(tables), masks_(masks), again_(again) {
    // Most tenants need a few words a principal. A directory can also ask for the impossible: 50,000 groups in one chain, each bound
    // to a namespace of its own, would be 1.2 billion words. Beyond these limits a principal gets kWalkProfile: slower, as exact.
    const std::uint64_t rows = t_.size() + t_.parents.size() + t_.bindings.size();
    most_words_ = std::min<std::uint64_t>((1U << 20) + 8 * rows, kProfileBits);
    most_work_ = (1U << 24) + 32 * rows;
    if (again_ != nullptr) return;
    t_.mask_words = static_cast<std::uint32_t>(std::max<std::size_t>(1, (t_.catalogue->pairs() + 63) / 64));
    t_.profiles.assign(kFirstProfile, {});
    t_.profiles[kWalkProfile].first = kWalk;
  }

  void run() {
    profile_of_group_.assign(t_.groups, kEmptyProfile);
    group_active_.assign(t_.groups, 0);
    for (std::uint32_t group = 0; group < t_.groups; ++group) {
      const auto state = std::as_const(t_.states)[t_.users + group];
      group_active_[group] = (state & kActive) != 0;
      if (!is_due(t_.users + group)) profile_of_group_[group] = state & kProfileBits;
    }
    knot_groups();
    for (std::uint32_t group = 0; group < t_.groups; ++group)
      if (is_due(t_.users + group)) place(t_.users + group, profile_of_group_[group]);
    const auto bindings = std::span(std::as_const(t_.bindings).begin(), t_.bindings.size());
    auto binding = bindings.begin();
    for (std::uint32_t number = 0; number < t_.size(); ++number) {
      if (t_.is_group(number) || !is_due(number)) continue;
      while (binding != bindings.end() && binding->principal < number) ++binding;
      const auto first = binding;
      while (binding != bindings.end() && binding->principal == number) ++binding;
      if ((t_.states[number] & kActive) == 0) {
        place(number, kEmptyProfile);
        continue;
      }
      begin_sum();
      add_parents(number);
      add_bindings({first, binding});
      place(number, close_sum());
    }
    t_.profiles.shrink(spare_of(t_.profiles.size()));
    t_.validities.shrink(spare_of(t_.validities.size()));
    t_.profile_count = again_ == nullptr ? interner_.size() + 1 : t_.profile_count + interner_.size();
  }

 private:
  [[nodiscard]] bool is_due(std::uint32_t number) const { return again_ == nullptr || (*again_)[number]; }
  void place(std::uint32_t number, std::uint32_t profile) { t_.states[number] = (t_.states[number] & ~kProfileBits) | profile; }

  /// Tarjan's strongly connected components over "is a member of", without recursion (a directory may nest 50,000 deep). A knot comes
  /// out after every knot above it, so what is above is known when it is summed up.
  void knot_groups() {
    struct Frame {
      std::uint32_t group, next;
    };
    std::vector<std::uint32_t> order(t_.groups, 0), low(t_.groups, 0), open;
    std::vector<bool> is_open(t_.groups, false);
    std::vector<Frame> frames;
    std::uint32_t count = 0;
    const auto enter = [&](std::uint32_t group) {
      order[group] = low[group] = ++count;
      open.push_back(group);
      is_open[group] = true;
      frames.push_back({group, 0});
    };
    for (std::uint32_t root = 0; root < t_.groups; ++root) {
      if (order[root] != 0 || !group_active_[root] || !is_due(t_.users + root)) continue;
      enter(root);
      while (!frames.empty()) {
        auto& frame = frames.back();
        const auto group = frame.group;
        const auto above = t_.groups_of(t_.users + group);
        if (frame.next < above.size()) {
          const auto parent = above[frame.next++] - t_.users;
          if (!group_active_[parent]) continue;      // a suspended group gives nothing and passes nothing on (R9)
          if (!is_due(t_.users + parent)) continue;  // what it gives stands; it is in no knot with one that is due
          if (order[parent] == 0)
            enter(parent);
          else if (is_open[parent])
            low[group] = std::min(low[group], order[parent]);
          continue;
        }
        frames.pop_back();
        if (!frames.empty()) low[frames.back().group] = std::min(low[frames.back().group], low[group]);
        if (low[group] != order[group]) continue;
        const auto first = std::find(open.rbegin(), open.rend(), group).base() - 1;
        sum_knot({first, open.end()});
        for (auto member = first; member != open.end(); ++member) is_open[*member] = false;
        open.erase(first, open.end());
      }
    }
  }

  void sum_knot(std::span<const std::uint32_t> knot) {
    begin_sum();
    for (const auto group : knot) {
      add_parents(t_.users + group);  // those of the knot itself are still empty
      add_bindings(t_.bindings_of(t_.users + group));
    }
    const auto profile = close_sum();
    for (const auto group : knot) profile_of_group_[group] = profile;
  }

  void begin_sum() {
    above_.clear();
    words_.clear();
    anywhere_ = kNothing;
    validity_ = {};
  }

  void add_parents(std::uint32_t number) {
    for (const auto parent : t_.groups_of(number))
      if (const auto profile = profile_of_group_[parent - t_.users]; profile != kEmptyProfile) above_.push_back(profile);
  }

  void add_bindings(std::span<const BindingRow> bindings) {
    for (const auto& binding : bindings) {
      const auto& role = t_.roles[binding.role];
      if (role.mask == 0) continue;  // names only pairs the catalogue no longer has: grants nothing (R15)
      const auto expires = std::as_const(t_.extras)[binding.extra].expires;
      if (expires <= t_.as_of) {
        validity_.from = std::max(validity_.from, expires);
        continue;
      }
      validity_.until = std::min(validity_.until, expires);
      add(anywhere_, masks_[role.mask]);
      const auto mask = binding.node == 0 ? role.mask : role.limited;
      if (mask != 0) words_.push_back({binding.node, mask | (role.admin ? kAdminGrant : 0)});
    }
  }

  std::uint32_t close_sum() {
    std::sort(above_.begin(), above_.end());
    above_.erase(std::unique(above_.begin(), above_.end()), above_.end());
    if (words_.empty() && anywhere_ == kNothing && validity_ == Validity{}) {
      if (above_.empty()) return kEmptyProfile;
      if (above_.size() == 1) return above_.front();
    }
    std::uint64_t work = words_.size();
    for (const auto profile : above_) {
      if (profile == kWalkProfile) return kWalkProfile;
      work += (held_profile(profile)->first & kCountBits) + 1;
    }
    work_ += work;
    if (work_ > most_work_ || t_.profiles.size() + work + 1 + t_.mask_words > most_words_) return kWalkProfile;
    for (const auto profile : above_) add_profile(profile);
    unite();
    return stored();
  }

  /// Profiles that others share are read, never written.
  [[nodiscard]] const ProfileWord* held_profile(std::uint32_t at) const { return std::as_const(t_.profiles).data() + at; }
  [[nodiscard]] const Validity& held_validity(std::uint32_t at) const { return std::as_const(t_.validities)[at]; }

  void add_profile(std::uint32_t profile) {
    const auto* word = held_profile(profile);
    const auto head = *word++;
    if ((head.first & kTimed) != 0) {
      const auto& held = held_validity(head.second);
      validity_ = {.from = std::max(validity_.from, held.from), .until = std::min(validity_.until, held.until)};
    }
    for (std::size_t i = 0; i < t_.mask_words; ++i) anywhere_[i] |= std::bit_cast<std::uint64_t>(*word++);
    words_.insert(words_.end(), word, word + (head.first & kCountBits));
  }

  /// One word a node.
  void unite() {
    if (words_.size() < 2) return;
    std::sort(words_.begin(), words_.end(),
              [](const ProfileWord& a, const ProfileWord& b) { return a.first != b.first ? a.first < b.first : a.second < b.second; });
    std::size_t kept = 0;
    for (std::size_t i = 0; i < words_.size();) {
      auto word = words_[i];
      std::size_t next = i + 1;
      if (next < words_.size() && words_[next].first == word.first) {
        auto mask = masks_[word.second & ~kAdminGrant];
        auto admin = word.second & kAdminGrant;
        for (; next < words_.size() && words_[next].first == word.first; ++next) {
          add(mask, masks_[words_[next].second & ~kAdminGrant]);
          admin |= words_[next].second & kAdminGrant;
        }
        word.second = masks_.number(mask) | admin;
      }
      words_[kept++] = word;
      i = next;
    }
    words_.resize(kept);
  }

  std::uint32_t stored() {
    const bool timed = validity_ != Validity{};
    const auto count = static_cast<std::uint32_t>(words_.size()) | (timed ? kTimed : 0);
    ProfileWord bits[std::tuple_size_v<PairMask>];
    for (std::size_t i = 0; i < t_.mask_words; ++i) bits[i] = std::bit_cast<ProfileWord>(anywhere_[i]);
    auto hash = mix(seed_, count);
    if (timed) hash = mix(mix(hash, std::bit_cast<std::uint64_t>(validity_.from)), std::bit_cast<std::uint64_t>(validity_.until));
    for (std::size_t i = 0; i < t_.mask_words; ++i) hash = mix(hash, anywhere_[i]);
    for (const auto word : words_) hash = mix(hash, std::bit_cast<std::uint64_t>(word));
    const auto is_same = [&](std::uint32_t held) {
      const auto* at = held_profile(held);
      return at->first == count && (!timed || held_validity(at->second) == validity_) && std::equal(bits, bits + t_.mask_words, at + 1) &&
             std::equal(words_.begin(), words_.end(), at + 1 + t_.mask_words);
    };
    return interner_.number(finish(hash), is_same, [&] {
      const auto at = static_cast<std::uint32_t>(t_.profiles.size());
      t_.profiles.push_back({count, timed ? static_cast<std::uint32_t>(t_.validities.size()) : 0});
      if (timed) t_.validities.push_back(validity_);
      std::copy(bits, bits + t_.mask_words, t_.profiles.extend(t_.mask_words));
      std::copy(words_.begin(), words_.end(), t_.profiles.extend(words_.size()));
      return at;
    });
  }

  Tables& t_;
  Masks& masks_;
  const std::vector<bool>* const again_;
  const std::uint64_t seed_ = random_u64();
  std::uint64_t most_words_ = 0, most_work_ = 0, work_ = 0;
  Interner interner_;
  std::vector<std::uint32_t> profile_of_group_;
  std::vector<char> group_active_;
  // the sum at hand
  std::vector<std::uint32_t> above_;
  std::vector<ProfileWord> words_;
  PairMask anywhere_{};
  Validity validity_;
};

}  // namespace

void flatten(Tables& tables, Masks& masks) { Flattening(tables, masks, nullptr).run(); }
void flatten_again(Tables& tables, Masks& masks, const std::vector<bool>& again) { Flattening(tables, masks, &again).run(); }

}  // namespace rosterd::rbac
