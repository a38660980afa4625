#include "rbac/paths.hpp"

#include <algorithm>
#include <tuple>

#include "rbac/decide.hpp"

namespace rosterd::rbac {
namespace {

using Place = std::uint32_t;

constexpr Place kNone = ~Place{0};
constexpr std::uint64_t kMostCounted = 1ULL << 53;  // what JSON readers hold exactly; beyond, `more`
constexpr std::uint64_t kMostTangled = 1'000;       // chains of one set through loops of groups
constexpr std::uint64_t kMostSteps = 200'000;  // looks at memberships while finding one's way through loops, in one listing: a millisecond

}  // namespace

Above::Above(const Tables& t, std::uint32_t from) : slots_(32, 0) {
  place_of(from, 0);
  for (Place at = 0; at < numbers_.size(); ++at) {
    rows_.push_back(static_cast<std::uint32_t>(edges_.size()));
    for (const auto parent : t.groups_of(numbers_[at])) {
      if ((t.states[parent] & kActive) == 0 || parent == numbers_[at]) continue;  // a suspended group passes nothing on (R9)
      edges_.push_back(place_of(parent, at));
    }
  }
  rows_.push_back(static_cast<std::uint32_t>(edges_.size()));
}

std::size_t Above::slot_of(std::uint32_t number) const {
  const auto mask = slots_.size() - 1;
  auto slot = number * 0x9e3779b97f4a7c15U >> 32 & mask;
  while (slots_[slot] != 0 && slots_[slot] >> 32 != number) slot = (slot + 1) & mask;
  return slot;
}

Place Above::place_of(std::uint32_t number, Place from) {
  if (const auto held = slots_[slot_of(number)]; held != 0) return static_cast<Place>(held) - 1;
  if ((numbers_.size() + 1) * 2 > slots_.size()) {
    const auto old = std::exchange(slots_, std::vector<std::uint64_t>(slots_.size() * 4, 0));
    for (const auto held : old)
      if (held != 0) slots_[slot_of(static_cast<std::uint32_t>(held >> 32))] = held;
  }
  const auto place = static_cast<Place>(numbers_.size());
  slots_[slot_of(number)] = static_cast<std::uint64_t>(number) << 32 | (place + 1);
  numbers_.push_back(number);
  came_from_.push_back(from);
  return place;
}

std::vector<Place> Above::chain_to(Place place) const {
  std::vector<Place> out;
  for (; place != 0; place = came_from_[place]) out.push_back(place);
  std::reverse(out.begin(), out.end());
  return out;
}

void sort_for_show(const Tables& t, std::vector<Reaching>& bindings) {
  const auto key = [&](const Reaching& r) {
    const auto& b = *r.binding;
    return std::tuple(std::string_view(t.roles[b.role].name), b.role, b.node == 0 ? std::string_view{} : t.namespaces.text(b.node), r.place,
                      b.id);
  };
  std::sort(bindings.begin(), bindings.end(), [&](const Reaching& a, const Reaching& b) { return key(a) < key(b); });
}

Grant grant_of(const Tables& t, const Above& above, const BindingRow& binding, std::span<const Place> chain) {
  const auto& role = t.roles[binding.role];
  const auto& extra = t.extras[binding.extra];
  Grant out{.binding = binding.id,
            .role = role.id,
            .role_name = role.name,
            .admin = role.admin,
            .ns = {},
            .expires_at = {},
            .source = {},
            .pairs = granted(t, binding),
            .via = {}};
  if (binding.node != 0) out.ns = std::string(t.namespaces.text(binding.node));
  if (extra.expires != kNever) out.expires_at = TimePoint(std::chrono::microseconds(extra.expires));
  if (extra.source) out.source = extra.source;
  out.via.reserve(chain.size());
  for (const auto place : chain) {
    const auto number = above.numbers()[place];
    out.via.push_back({.group = PrincipalId{t.ids[number]}, .name = std::string(t.record(number).second)});
  }
  return out;
}

namespace {

/// The chains to one set of bindings after the other. Bindings of one role in one namespace are a set: its chains come out sorted, since
/// groups are tried in the order of their names and a chain is longer than its beginnings.
///
/// Only ways that lead to a holder are gone. Where no loop of groups is in reach, the chains from a group on are counted from what stands
/// above it, so a page far down the list costs no more than the first one. Inside a loop a group on the chain may block what was a way;
/// there each step is proved first, within the loop alone, and both the chains and the steps are limited.
class Ways {
 public:
  Ways(const Tables& tables, const Above& above, std::span<const Reaching> bindings, std::uint64_t skip, std::size_t limit)
      : t_(tables), above_(above), skip_(skip), limit_(limit) {
    const auto places = above_.numbers().size();
    rank_.assign(places, 0);
    knot_.assign(places, kNone);
    first_.assign(places, kNone);
    count_.assign(places, 0);
    on_chain_.assign(places, false);
    is_goal_.assign(places, false);
    seen_.assign(places, 0);
    turn_round();
    mark(bindings);  // everything that leads to any of them
    rank_by_name();
    find_knots();
    forget();
  }

  void list(std::span<const Reaching> set) {
    mark(set);
    order_ways();
    set_ = set;
    listed_ = 0;
    if (tangled_) {
      chains_left_ = kMostTangled;
      walk();
      if (listed_ == 0) show_nearest();
      out_.total += listed_;
    } else {
      out_.total = std::min(kMostCounted, out_.total + count_chains());
      if (skip_ >= count_[0])
        skip_ -= count_[0];
      else if (out_.items.size() < limit_)
        walk();
    }
    forget();
  }

  Grants take() {
    out_.more = out_.more || out_.total >= kMostCounted;
    return std::move(out_);
  }

 private:
  struct Way {
    Place lower, upper;
  };
  struct Frame {
    Place at;
    std::size_t next;
  };

  /// Who is a direct member of a place.
  void turn_round() {
    const auto places = static_cast<Place>(above_.numbers().size());
    below_rows_.assign(places + 1U, 0);
    for (Place at = 0; at < places; ++at)
      for (const auto up : above_.next(at)) ++below_rows_[up];
    std::uint32_t start = 0;
    for (auto& row : below_rows_) start += std::exchange(row, start);
    below_.resize(start);
    auto at_row = below_rows_;
    for (Place at = 0; at < places; ++at)
      for (const auto up : above_.next(at)) below_[at_row[up]++] = at;
  }

  /// Collects the places that lead to a holder of the bindings, and the ways between them.
  void mark(std::span<const Reaching> bindings) {
    for (const auto& reaching : bindings) {
      is_goal_[reaching.place] = true;
      meet(reaching.place);
    }
    for (std::size_t i = 0; i < led_.size(); ++i) {
      const auto upper = led_[i];
      for (auto row = below_rows_[upper]; row < below_rows_[upper + 1]; ++row) {
        ways_.push_back({below_[row], upper});
        meet(below_[row]);
      }
    }
  }
  void meet(Place place) {
    if (first_[place] != kNone) return;
    first_[place] = 0;
    led_.push_back(place);
  }
  void forget() {
    for (const auto place : led_) {
      first_[place] = kNone;
      is_goal_[place] = false;
      count_[place] = 0;
    }
    led_.clear();
    ways_.clear();
  }

  void rank_by_name() {
    std::vector<std::pair<std::string_view, Place>> names;
    names.reserve(led_.size());
    for (const auto place : led_) names.emplace_back(t_.record(above_.numbers()[place]).second, place);
    std::sort(names.begin(), names.end(), [&](const auto& a, const auto& b) {
      return a.first != b.first ? a.first < b.first : above_.numbers()[a.second] < above_.numbers()[b.second];
    });
    for (Place i = 0; i < names.size(); ++i) rank_[names[i].second] = i;
  }

  /// Tarjan's strongly connected components, without recursion. A knot is numbered after every knot above it.
  void find_knots() {
    order_ways();
    std::vector<Place> order(rank_.size(), 0), low(rank_.size(), 0), open;
    Place count = 0;
    knots_ = 0;
    for (const auto root : led_) {
      if (order[root] != 0) continue;
      const auto enter = [&](Place place) {
        order[place] = low[place] = ++count;
        open.push_back(place);
        frames_.push_back({place, first_[place]});
      };
      enter(root);
      while (!frames_.empty()) {
        auto& [at, next] = frames_.back();
        if (next < ways_.size() && ways_[next].lower == at) {
          const auto up = ways_[next++].upper;
          if (order[up] == 0)
            enter(up);
          else if (knot_[up] == kNone)
            low[at] = std::min(low[at], order[up]);
          continue;
        }
        const auto done = at;
        frames_.pop_back();
        if (!frames_.empty()) low[frames_.back().at] = std::min(low[frames_.back().at], low[done]);
        if (low[done] != order[done]) continue;
        const auto size = static_cast<std::size_t>(open.end() - std::find(open.rbegin(), open.rend(), done).base()) + 1;
        for (std::size_t i = 0; i < size; ++i, open.pop_back()) knot_[open.back()] = knots_;
        is_loop_.push_back(size > 1);
        ++knots_;
      }
    }
  }

  /// By the lower place, then in the order of names; first_ says where a place's ways start.
  void order_ways() {
    std::sort(ways_.begin(), ways_.end(),
              [&](const Way& a, const Way& b) { return a.lower != b.lower ? a.lower < b.lower : rank_[a.upper] < rank_[b.upper]; });
    tangled_ = false;
    for (const auto place : led_) {
      first_[place] = static_cast<Place>(ways_.size());
      tangled_ = tangled_ || (knot_[place] != kNone && is_loop_[knot_[place]]);
    }
    for (auto i = ways_.size(); i-- > 0;) first_[ways_[i].lower] = static_cast<Place>(i);
  }

  [[nodiscard]] std::span<const Reaching> held_by(Place place) const {
    const auto [first, last] = std::equal_range(set_.begin(), set_.end(), Reaching{.binding = nullptr, .place = place},
                                                [](const Reaching& a, const Reaching& b) { return a.place < b.place; });
    return {first, last};
  }

  std::uint64_t count_chains() {
    // A knot of one place is numbered after all that stand above it.
    std::sort(led_.begin(), led_.end(), [&](Place a, Place b) { return knot_[a] < knot_[b]; });
    for (const auto place : led_) {
      auto count = is_goal_[place] ? static_cast<std::uint64_t>(held_by(place).size()) : 0;
      for (std::size_t way = first_[place]; way < ways_.size() && ways_[way].lower == place; ++way)
        count = std::min(kMostCounted, count + count_[ways_[way].upper]);
      count_[place] = count;
    }
    return count_[0];
  }

  /// Whether a holder can be reached from here beside the chain. What stands above the loop is never on the chain, so the look stays
  /// within the loop.
  [[nodiscard]] bool leads_on(Place start) {
    if (!is_loop_[knot_[start]]) return true;
    ++look_;
    open_.assign(1, start);
    seen_[start] = look_;
    while (!open_.empty()) {
      const auto at = open_.back();
      open_.pop_back();
      if (is_goal_[at]) return true;
      for (std::size_t way = first_[at]; way < ways_.size() && ways_[way].lower == at; ++way) {
        const auto up = ways_[way].upper;
        ++steps_;
        if (knot_[up] != knot_[at]) return true;
        if (seen_[up] == look_ || on_chain_[up]) continue;
        seen_[up] = look_;
        open_.push_back(up);
      }
    }
    return false;
  }

  /// Depth first and without recursion: a chain may be as long as the directory nests.
  void walk() {
    chain_.clear();
    frames_.assign(1, {0, first_[0]});
    on_chain_[0] = true;
    bool on = arrive(0);
    while (on && !frames_.empty()) {
      auto& [at, next] = frames_.back();
      if (next >= ways_.size() || ways_[next].lower != at) {
        leave();
        continue;
      }
      const auto up = ways_[next++].upper;
      if (tangled_) {
        if (++steps_ > kMostSteps) break;
        if (on_chain_[up] || !leads_on(up)) continue;
      } else if (skip_ >= count_[up]) {
        skip_ -= count_[up];
        continue;
      }
      on_chain_[up] = true;
      chain_.push_back(up);
      frames_.push_back({up, first_[up]});
      on = arrive(up);
    }
    if (tangled_ && !frames_.empty()) out_.more = true;  // ended by a limit
    while (!frames_.empty()) leave();
  }
  void leave() {
    on_chain_[frames_.back().at] = false;
    frames_.pop_back();
    if (!chain_.empty()) chain_.pop_back();
  }

  /// False ends the walk.
  bool arrive(Place place) {
    if (!is_goal_[place]) return true;
    for (const auto& reaching : held_by(place)) show(*reaching.binding, chain_);
    if (tangled_) return --chains_left_ > 0;
    return out_.items.size() < limit_;
  }
  void show(const BindingRow& binding, std::span<const Place> chain) {
    ++listed_;
    if (skip_ > 0)
      --skip_;
    else if (out_.items.size() < limit_)
      out_.items.push_back(grant_of(t_, above_, binding, chain));
  }
  /// The steps were used up before any chain was found: a shortest one is better than none.
  void show_nearest() {
    const auto nearest = std::min_element(set_.begin(), set_.end(), [](const Reaching& a, const Reaching& b) { return a.place < b.place; });
    show(*nearest->binding, above_.chain_to(nearest->place));
  }

  const Tables& t_;
  const Above& above_;
  std::uint64_t skip_;
  const std::size_t limit_;
  Grants out_;
  // of the whole graph, by place
  std::vector<std::uint32_t> below_rows_, below_;
  std::vector<Place> rank_;    ///< in the order of names
  std::vector<Place> knot_;    ///< knots above have smaller numbers
  std::vector<bool> is_loop_;  ///< by knot
  Place knots_ = 0;
  // of the set at hand
  std::span<const Reaching> set_;
  std::vector<Place> led_;    ///< places that lead to a holder
  std::vector<Way> ways_;     ///< between them
  std::vector<Place> first_;  ///< by place: its first way; kNone = does not lead there
  std::vector<bool> is_goal_;
  std::vector<std::uint64_t> count_;
  bool tangled_ = false;
  std::uint64_t listed_ = 0, chains_left_ = 0, steps_ = 0;
  // of a walk
  std::vector<Frame> frames_;
  std::vector<Place> chain_, open_;
  std::vector<bool> on_chain_;
  std::vector<std::uint32_t> seen_;
  std::uint32_t look_ = 0;
};

}  // namespace

Grants list_paths(const Tables& t, const Above& above, std::vector<Reaching> bindings, std::uint64_t skip, std::size_t limit) {
  if (bindings.empty()) return {};
  sort_for_show(t, bindings);
  Ways ways(t, above, bindings, skip, limit);
  for (auto first = bindings.begin(); first != bindings.end();) {
    const auto last = std::find_if(first, bindings.end(), [&](const Reaching& r) {
      return r.binding->role != first->binding->role || r.binding->node != first->binding->node;
    });
    ways.list({first, last});
    first = last;
  }
  return ways.take();
}

}  // namespace rosterd::rbac
