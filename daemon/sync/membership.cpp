#include "daemon/sync/membership.hpp"

#include <unordered_set>

namespace rosterd::sync {
namespace {

bool before(Target a, Target b) { return std::pair(a.type(), a.at()) < std::pair(b.type(), b.at()); }

void sort_unique(std::vector<Target>& members) {
  std::sort(members.begin(), members.end(), before);
  members.erase(std::unique(members.begin(), members.end()), members.end());
}

}  // namespace

Hash128 Membership::hash_of(PrincipalId member) const { return hash_({reinterpret_cast<const char*>(&member.value), sizeof member.value}); }

Membership::Group& Membership::group(std::uint32_t at) {
  if (at >= groups_.size()) groups_.resize(std::max<std::size_t>(at + 1, index_.groups.size()));
  return groups_[at];
}

void Membership::prepare_lookups() {
  looked_up_ = true;
  group_of_row_.reserve(index_.groups.size());
  for (const auto type : {PrincipalType::User, PrincipalType::Group}) {
    const auto& table = index_.of(type);
    for (std::uint32_t at = 0; at < table.size(); ++at) {
      if (type == PrincipalType::Group) group_of_row_.emplace(table[at].id().value, at);
      if (table[at].away()) away_.emplace_back(table[at].id().value, Target(type, at));
    }
  }
  std::sort(away_.begin(), away_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
}

std::optional<std::uint32_t> Membership::group_at(PrincipalId group) {
  const auto found = group_of_row_.find(group.value);
  return found == group_of_row_.end() ? std::nullopt : std::optional(found->second);
}

void Membership::held_edge(PrincipalId group_row, PrincipalId member) {
  if (!looked_up_) prepare_lookups();
  const auto at = group_at(group_row);
  if (!at) return;  // a group of another origin: nothing of ours
  auto& state = group(*at);
  const auto gone =
      std::lower_bound(away_.begin(), away_.end(), member.value, [](const auto& pair, std::uint64_t row) { return pair.first < row; });
  if (gone != away_.end() && gone->first == member.value) {
    // Whoever is away keeps his edges and cannot be found in the feed: counting him would make the group differ in every run.
    state.has_absent = true;
    absent_edges_.push_back({.group = *at, .member = gone->second});
    return;
  }
  state.held.add(hash_of(member));
}

void Membership::user_is_member_of(std::uint32_t user, std::string_view reference) {
  from_users_.push_back({.reference = references_.hash(reference), .user = user});
}

void Membership::open(std::uint32_t group_position, std::span<const Reference> references) {
  open_ = group_position;
  members_.clear();
  open_pending_ = pending_.size();
  open_listed_ = 0;
  if (from_users_.empty()) return;
  if (!from_users_sorted_) std::sort(from_users_.begin(), from_users_.end());  // users come before groups: it is complete now
  from_users_sorted_ = true;
  for (const auto& reference : references) {
    const auto hash = references_.hash(reference);
    for (auto at = std::lower_bound(from_users_.begin(), from_users_.end(), FromUser{.reference = hash, .user = 0});
         at != from_users_.end() && at->reference == hash; ++at)
      members_.emplace_back(PrincipalType::User, at->user);
  }
}

/// Some directories name members by their stable ids: whoever is held under it need not be in this feed, which may be incremental.
std::optional<Target> Membership::held_by_id(std::string_view reference) const {
  for (const auto& [prefix, type] :
       {std::pair(std::string_view("user:"), PrincipalType::User), std::pair(std::string_view("group:"), PrincipalType::Group)}) {
    if (!reference.starts_with(prefix)) continue;
    const auto& table = index_.of(type);
    const auto at = table.find(key_of(reference.substr(prefix.size())));
    if (at && table[*at].held() && !table[*at].away()) return Target(type, *at);
  }
  return std::nullopt;
}

void Membership::member(std::string_view reference) {
  ++open_listed_;
  const auto hash = references_.hash(reference);
  if (const auto target = references_.find(hash)) {
    members_.push_back(*target);
  } else if (const auto held = held_by_id(reference)) {
    members_.push_back(*held);
  } else {
    pending_.push_back({.reference = hash, .group = open_});
  }
}

std::span<const Target> Membership::close(bool complete) {
  sort_unique(members_);
  auto& state = group(open_);
  if (!complete) {
    state.incomplete = true;
    ++incomplete_;
  }
  for (const auto member : members_)
    if (member.type() == PrincipalType::Group) nested_.emplace_back(open_, member.at());
  if (!index_.groups[open_].held()) return members_;
  MemberSum sum;
  for (const auto member : members_) sum.add(hash_of(index_[member].id()));
  if (complete && index_.groups[open_].active() && state.held.count > 0) {
    // Whoever is a member by his own word only (a primary group) shows nothing of what the group's attribute held.
    listing_ += open_listed_ > 0 ? 1 : 0;
    emptied_ += open_listed_ == 0 && sum != state.held ? 1 : 0;
  }
  if (sum != state.held || state.has_absent || pending_.size() != open_pending_) fed_[open_] = members_;
  return {};
}

void Membership::resolve_pending(std::vector<std::pair<std::uint32_t, Target>>& added_to_new) {
  std::sort(pending_.begin(), pending_.end());
  pending_.erase(std::unique(pending_.begin(), pending_.end()), pending_.end());
  for (const auto& one : pending_) {
    const auto target = references_.find(one.reference);
    if (!target) {
      ++dangling_;
      // A name that two have is known, and names nobody on purpose.
      if (index_.groups[one.group].held() && !references_.is_ambiguous(one.reference)) with_strangers_.push_back(one.group);
      continue;
    }
    if (target->type() == PrincipalType::Group) nested_.emplace_back(one.group, target->at());
    if (index_.groups[one.group].held()) {
      fed_[one.group].push_back(*target);
    } else {
      added_to_new.emplace_back(one.group, *target);
    }
  }
  pending_ = {};
  std::sort(with_strangers_.begin(), with_strangers_.end());
  with_strangers_.erase(std::unique(with_strangers_.begin(), with_strangers_.end()), with_strangers_.end());
  const auto less = [](const auto& a, const auto& b) {
    return std::tuple(a.first, a.second.type(), a.second.at()) < std::tuple(b.first, b.second.type(), b.second.at());
  };
  std::sort(added_to_new.begin(), added_to_new.end(), less);  // two references may name one group
  added_to_new.erase(std::unique(added_to_new.begin(), added_to_new.end()), added_to_new.end());
}

/// The second look at what is held: only edges of the groups that differ.
class Membership::Fetch final : public HeldSink {
 public:
  explicit Fetch(Membership& members) : members_(members) {}
  void user(PrincipalId, std::string_view, std::uint64_t, Leaving, bool) override {}
  void group(PrincipalId, std::string_view, std::uint64_t, Leaving, bool, std::string_view) override {}
  void edge(PrincipalId group, PrincipalId member) override {
    const auto at = members_.group_at(group);
    if (at && members_.fed_.contains(*at)) edges.push_back({.group = *at, .member = member.value});
  }
  void binding(const Binding&) override {}
  std::vector<HeldEdge> edges;

 private:
  Membership& members_;
};

Result<void> Membership::finish(Store& store, const TenantId& tenant, SourceId source, TimePoint purge_before, bool may_remove,
                                const StillListed& still_listed, const std::function<Result<void>(const EdgeStep&)>& use) {
  if (!looked_up_) prepare_lookups();
  std::vector<std::pair<std::uint32_t, Target>> added_to_new;
  resolve_pending(added_to_new);
  for (const auto& [group_position, member] : added_to_new)
    if (auto ok = use({.kind = ChangeKind::EdgeAdded, .group = group_position, .member = member, .held = 0}); !ok) return ok;
  for (const auto& edge : absent_edges_)
    if (index_[edge.member].read()) group(edge.group).held.add(hash_of(index_[edge.member].id()));  // has come back
  for (auto at = fed_.begin(); at != fed_.end();) {
    sort_unique(at->second);
    MemberSum sum;
    for (const auto member : at->second) sum.add(hash_of(index_[member].id()));
    at = sum == group(at->first).held ? fed_.erase(at) : std::next(at);
  }
  if (fed_.empty()) return {};
  Fetch fetch(*this);
  if (auto ok = store.load_held(tenant, source, purge_before, fetch); !ok)
    return fail(ok.error(), "reading the members of {} groups", fed_.size());
  return compare(fetch.edges, may_remove, still_listed, use);
}

Result<void> Membership::compare(std::vector<HeldEdge>& held, bool may_remove, const StillListed& still_listed,
                                 const std::function<Result<void>(const EdgeStep&)>& use) {
  const auto unlisted = add_missing(held, use);
  if (!unlisted) return fail(unlisted.error());
  if (!may_remove || unlisted->empty()) return {};
  const auto steps = removals(*unlisted);
  if (const auto doubts = doubtful(steps); !doubts.empty()) {
    const auto listed = still_listed(doubts);
    if (!listed) return fail(listed.error());
    contradicted_ = *listed;
    if (contradicted_) return {};
  }
  for (const auto& step : steps)
    if (auto ok = use(step); !ok) return ok;
  return {};
}

/// Gives what is held and not listed.
Result<std::vector<Membership::HeldEdge>> Membership::add_missing(std::vector<HeldEdge>& held,
                                                                  const std::function<Result<void>(const EdgeStep&)>& use) {
  std::sort(held.begin(), held.end());
  std::vector<std::uint32_t> order;
  for (const auto& [position, members] : fed_) order.push_back(position);
  std::sort(order.begin(), order.end());
  std::vector<HeldEdge> unlisted;
  for (const auto position : order) {
    auto& members = fed_[position];
    std::sort(members.begin(), members.end(), [&](Target a, Target b) { return index_[a].id() < index_[b].id(); });
    auto at = std::lower_bound(held.begin(), held.end(), HeldEdge{.group = position, .member = 0});
    for (const auto member : members) {
      const auto row = index_[member].id().value;
      for (; at != held.end() && at->group == position && at->member < row; ++at) unlisted.push_back(*at);
      if (at != held.end() && at->group == position && at->member == row) {
        ++at;
      } else if (auto ok = use({.kind = ChangeKind::EdgeAdded, .group = position, .member = member, .held = 0}); !ok) {
        return fail(ok.error());
      }
    }
    for (; at != held.end() && at->group == position; ++at) unlisted.push_back(*at);
  }
  return unlisted;
}

std::vector<EdgeStep> Membership::removals(const std::vector<HeldEdge>& unlisted) {
  // From rows back to entries: one walk over the index beats a table of a million rows that is hardly ever needed.
  std::unordered_map<std::uint64_t, Target> entries;
  for (const auto& edge : unlisted) entries.emplace(edge.member, Target());
  std::unordered_set<std::uint64_t> known;
  for (const auto type : {PrincipalType::User, PrincipalType::Group})
    for (std::uint32_t at = 0; at < index_.of(type).size(); ++at)
      if (const auto found = entries.find(index_.of(type)[at].id().value); found != entries.end()) {
        found->second = Target(type, at);
        known.insert(found->first);
      }
  std::vector<EdgeStep> out;
  for (const auto& edge : unlisted) {
    if (!known.contains(edge.member)) continue;  // not of this source (S33)
    const auto member = entries[edge.member];
    const auto& entry = index_[member];
    const bool counts = entry.read() || (incremental_ && !entry.away() && !entry.dropped());  // S23: edges of the absent stay
    if (!counts || group(edge.group).incomplete) continue;
    out.push_back({.kind = ChangeKind::EdgeRemoved, .group = edge.group, .member = member, .held = group(edge.group).held.count});
  }
  return out;
}

/// Those from groups that list a stranger, who may be the very member under another name. Not those whose own name is another's too: the
/// directory lists them by it for as long as it likes.
std::vector<EdgeStep> Membership::doubtful(const std::vector<EdgeStep>& removals) const {
  std::vector<EdgeStep> out;
  auto namesakes = references_.namesakes();
  sort_unique(namesakes);
  for (const auto& step : removals)
    if (std::binary_search(with_strangers_.begin(), with_strangers_.end(), step.group) &&
        !std::binary_search(namesakes.begin(), namesakes.end(), step.member, before))
      out.push_back(step);
  return out;
}

/// Tarjan's strongly connected components without recursion, since chains may be as deep as somebody likes.
std::uint64_t Membership::groups_in_loops() const {
  auto edges = nested_;
  std::sort(edges.begin(), edges.end());
  constexpr std::uint32_t kNew = 0xffffffff;
  struct Node {
    std::uint32_t number = kNew;
    std::uint32_t low = 0;
    bool on_stack = false;
  };
  std::unordered_map<std::uint32_t, Node> nodes;
  std::uint64_t in_loops = 0;
  for (const auto& [from, to] : edges) {
    nodes.try_emplace(from);
    nodes.try_emplace(to);
  }
  const auto first_edge = [&](std::uint32_t of) {
    return static_cast<std::size_t>(std::lower_bound(edges.begin(), edges.end(), std::pair(of, 0U)) - edges.begin());
  };
  struct Frame {
    std::uint32_t node;
    std::size_t edge;
  };
  std::vector<Frame> frames;
  std::vector<std::uint32_t> stack;
  std::uint32_t next = 0;
  const auto enter = [&](std::uint32_t at) {
    auto& node = nodes[at];
    node = {.number = next, .low = next, .on_stack = true};
    ++next;
    stack.push_back(at);
    frames.push_back({.node = at, .edge = first_edge(at)});
  };
  for (const auto& edge : edges) {
    if (nodes[edge.first].number != kNew) continue;
    enter(edge.first);
    while (!frames.empty()) {
      const auto at = frames.back().node;
      if (auto& position = frames.back().edge; position < edges.size() && edges[position].first == at) {
        const auto to = edges[position++].second;
        if (nodes[to].number == kNew) {
          enter(to);
        } else if (nodes[to].on_stack) {
          nodes[at].low = std::min(nodes[at].low, nodes[to].number);
        }
        continue;
      }
      frames.pop_back();
      if (!frames.empty()) nodes[frames.back().node].low = std::min(nodes[frames.back().node].low, nodes[at].low);
      if (nodes[at].low != nodes[at].number) continue;
      std::uint64_t size = 0;
      for (bool more = true; more; ++size) {
        more = stack.back() != at;
        nodes[stack.back()].on_stack = false;
        stack.pop_back();
      }
      if (size > 1 || std::binary_search(edges.begin(), edges.end(), std::pair(at, at))) in_loops += size;
    }
  }
  return in_loops;
}

std::size_t Membership::bytes() const {
  std::size_t total = references_.bytes() + groups_.capacity() * sizeof(Group) + away_.capacity() * sizeof(away_[0]) +
                      absent_edges_.capacity() * sizeof(AbsentEdge) + from_users_.capacity() * sizeof(FromUser) +
                      pending_.capacity() * sizeof(Pending) + nested_.capacity() * sizeof(nested_[0]) + group_of_row_.size() * 48;
  total += with_strangers_.capacity() * sizeof(std::uint32_t);
  for (const auto& [position, members] : fed_) total += 64 + members.capacity() * sizeof(Target);
  return total;
}

}  // namespace rosterd::sync
