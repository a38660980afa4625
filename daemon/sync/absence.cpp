#include "daemon/sync/absence.hpp"

namespace rosterd::sync {
namespace {

using connectors::Present;

constexpr std::size_t kBatch = 512;             // ids a store query or a verify call takes
constexpr std::uint64_t kContainerMembers = 5;  // S4
constexpr std::size_t kContainersAsked = 64;    // the topmost first; beyond so many the percentages trip anyway

/// Calls `use(targets, entries)` for batches of absent objects of one type, `entries` in the order of `targets` (empty id: no such row any
/// more).
template <class Use>
Result<void> each_batch(const PlanInputs& inputs, const HeldIndex& index, PrincipalType type, std::span<const Absent> absent, Use&& use) {
  std::vector<const Absent*> batch;
  std::vector<PrincipalId> rows;
  const auto flush = [&]() -> Result<void> {
    if (batch.empty()) return {};
    auto entries = inputs.store.held_entries(inputs.work.lease.tenant, inputs.work.source.id, type, rows);
    if (!entries) return fail(entries.error(), "looking up missing {}s", name_of(type));
    std::unordered_map<std::uint64_t, HeldEntry*> by_row;
    for (auto& entry : *entries) by_row.emplace(entry.id.value, &entry);
    std::vector<HeldEntry> ordered(rows.size());
    for (std::size_t at = 0; at < rows.size(); ++at)
      if (const auto found = by_row.find(rows[at].value); found != by_row.end()) ordered[at] = std::move(*found->second);
    auto ok = use(std::span<const Absent* const>(batch), std::span<const HeldEntry>(ordered));
    batch.clear();
    rows.clear();
    return ok;
  };
  for (const auto& one : absent) {
    if (one.target.type() != type) continue;
    batch.push_back(&one);
    rows.push_back(index[one.target].id());
    if (batch.size() == kBatch)
      if (auto ok = flush(); !ok) return ok;
  }
  return flush();
}

/// Whether so many are missing that the guard trips whatever verifying says: then a sample is enough for now.
bool beyond_guard(const PlanInputs& inputs, const EntryTable& table, std::uint64_t missing_active, std::uint64_t recent) {
  return missing_active + recent > limit(inputs.work.source.guard, table.active() + recent);
}

/// Which of `candidates` are verified now: all of them, or as many as the sample takes, evenly spread.
std::vector<bool> chosen(std::size_t candidates, std::size_t sample) {
  std::vector<bool> out(candidates, sample >= candidates);
  if (sample < candidates)
    for (std::size_t at = 0; at < sample; ++at) out[at * candidates / sample] = true;
  return out;
}

/// A container and what is below it.
struct Container {
  std::uint64_t held = 0, missing = 0;
};

/// Counts an entry for every container above it, the topmost of which is the directory's root.
template <class Use>
void each_container(const connectors::Connector& directory, std::string_view entry, Use&& use) {
  std::string container = directory.container_of(entry);
  while (!container.empty()) {
    auto above = directory.container_of(container);
    use(container);
    if (above.size() >= container.size()) break;  // a connector whose containers do not get shorter would never end
    container = std::move(above);
  }
}

Result<std::optional<std::string>> vanished_container(const PlanInputs& inputs, const HeldIndex& index, connectors::Connector& directory,
                                                      const std::vector<Absent>& absent, std::string& trouble, std::stop_token stop) {
  std::map<std::string, Container, std::less<>> containers;
  std::set<PrincipalId> missing;
  for (const auto& one : absent)
    if (index[one.target].active()) missing.insert(index[one.target].id());
  if (missing.size() < kContainerMembers) return std::nullopt;
  for (const auto type : {PrincipalType::User, PrincipalType::Group}) {
    const auto collected = each_batch(inputs, index, type, absent, [&](auto batch, auto entries) -> Result<void> {
      for (std::size_t at = 0; at < batch.size(); ++at)
        if (index[batch[at]->target].active())
          each_container(directory, entries[at].entry, [&](const std::string& name) { ++containers[name].missing; });
      return {};
    });
    if (!collected) return fail(collected.error());
  }
  std::erase_if(containers, [](const auto& item) { return item.second.missing < kContainerMembers; });
  for (const auto type : {PrincipalType::User, PrincipalType::Group}) {
    if (containers.empty()) return std::nullopt;
    const auto counted =
        inputs.store.each_held_entry(inputs.work.lease.tenant, inputs.work.source.id, type, [&](PrincipalId id, std::string_view entry) {
          if (containers.empty() || missing.contains(id)) return;
          // Somebody is still there: whatever contains him has not vanished.
          each_container(directory, entry, [&](const std::string& name) { containers.erase(name); });
        });
    if (!counted) return fail(counted.error(), "looking for vanished containers");
  }
  std::vector<std::string> order;
  for (const auto& [name, container] : containers) order.push_back(name);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return std::pair(a.size(), a) < std::pair(b.size(), b); });
  if (order.size() > kContainersAsked) order.resize(kContainersAsked);
  for (const auto& name : order) {
    const auto readable = directory.readable(name, stop);
    if (!readable) {
      trouble = fmt::format("whether {} is still there could not be told: {}", name, readable.error().what);
      return std::nullopt;
    }
    if (!*readable) return name;
  }
  return std::nullopt;
}

}  // namespace

Result<Verified> verify(connectors::Connector& directory, PrincipalType type, std::span<const ExternalId> ids, std::stop_token stop) {
  Verified out;
  if (ids.empty()) return out;
  const auto presence = directory.verify(type, ids, stop);
  if (!presence) {
    if (presence.error().code == Errc::Stopped) return fail(presence.error(), "verifying missing {}s", name_of(type));
    out.trouble = fmt::format("missing {}s could not be verified: {}", name_of(type), presence.error().what);
    return out;
  }
  if (presence->of.size() != ids.size()) {
    out.trouble =
        fmt::format("missing {}s could not be verified: {} answers to {} questions", name_of(type), presence->of.size(), ids.size());
    return out;
  }
  for (std::size_t at = 0; at < ids.size(); ++at) {
    if (presence->of[at] == Present::InScope) {
      out.trouble = fmt::format("{} was not delivered, but is there: the read was not complete", ids[at].value);
      out.in_scope = true;
      return out;
    }
    if (presence->of[at] == Present::Unknown) {
      out.trouble = fmt::format("whether {} still exists could not be told{}{}", ids[at].value, presence->trouble.empty() ? "" : ": ",
                                presence->trouble);
      return out;
    }
    out.of.push_back(presence->of[at]);
  }
  return out;
}

Result<Absence> examine(const PlanInputs& inputs, const HeldIndex& index, connectors::Connector& directory, bool complete_feed,
                        std::stop_token stop) {
  Absence out;
  inputs.control.phase("verifying what is missing");
  for (const auto type : {PrincipalType::User, PrincipalType::Group}) {
    const auto& table = index.of(type);
    const auto first = out.of.size();
    std::uint64_t missing_active = 0;
    for (std::uint32_t at = 0; at < table.size(); ++at) {
      const auto& entry = table[at];
      if (!entry.held() || entry.seen() || (entry.away() && !entry.purge_due())) continue;
      if (!complete_feed && !entry.dropped()) continue;
      missing_active += entry.active() ? 1 : 0;
      out.of.push_back({.target = Target(type, at), .present = Present::Gone});
    }
    const auto candidates = std::span(out.of).subspan(first);
    const auto recent = type == PrincipalType::User ? inputs.recent.users : inputs.recent.groups;
    const auto sample = beyond_guard(inputs, table, missing_active, recent) ? std::size_t{inputs.sample} : candidates.size();
    const auto now = chosen(candidates.size(), sample);
    std::size_t position = 0;
    const auto verified = each_batch(inputs, index, type, candidates, [&](auto batch, auto entries) -> Result<void> {
      if (!out.trouble.empty()) return {};
      std::vector<ExternalId> ids;
      std::vector<std::size_t> places;
      for (std::size_t at = 0; at < batch.size(); ++at) {
        const auto here = position + at;
        if (!now[here]) {
          ++out.unverified;
        } else if (entries[at].id) {
          ids.push_back({entries[at].external_id});
          places.push_back(first + here);
        }
      }
      position += batch.size();
      auto answer = verify(directory, type, ids, stop);
      if (!answer) return fail(answer.error());
      out.trouble = std::move(answer->trouble);
      for (std::size_t at = 0; at < answer->of.size(); ++at) out.of[places[at]].present = answer->of[at];
      return {};
    });
    if (!verified) return fail(verified.error());
    if (!out.trouble.empty()) return out;
  }
  auto vanished = vanished_container(inputs, index, directory, out.of, out.trouble, stop);
  if (!vanished) return fail(vanished.error());
  out.vanished = std::move(*vanished);
  return out;
}

Result<void> stage_absent(const PlanInputs& inputs, const HeldIndex& index, const std::vector<Absent>& absent, PlanWriter& writer) {
  for (const auto type : {PrincipalType::User, PrincipalType::Group}) {
    auto staged = each_batch(inputs, index, type, absent, [&](auto batch, auto entries) -> Result<void> {
      for (std::size_t at = 0; at < batch.size(); ++at) {
        const auto& held = index[batch[at]->target];
        const auto step = diff_absent(held, batch[at]->present);
        if (!step || !entries[at].id) continue;
        const StagedPrincipal change{.kind = step->kind,
                                     .id = held.id(),
                                     .external_id = entries[at].external_id,
                                     .content_hash = held.content,
                                     .before_hash = held.content,
                                     .leaving = step->leaving,
                                     .reason = step->reason,
                                     .user = nullptr,
                                     .group = nullptr};
        if (auto ok = writer.principal(type, change, held.key, {}, held.active()); !ok) return ok;
      }
      return {};
    });
    if (!staged) return staged;
  }
  return {};
}

}  // namespace rosterd::sync
