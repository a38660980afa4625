#include <algorithm>
#include <bit>
#include <cstring>

#include "rbac/tables.hpp"
#include "schema/core/text.hpp"

namespace rosterd::rbac {
namespace {

constexpr std::size_t kKeyBuffer = 512;
constexpr std::uint32_t kLinear = 16;  // up to here scanning words that lie side by side beats jumping among them

bool has(const PairMask& mask, std::uint32_t pair) { return (mask[pair / 64] >> (pair % 64) & 1) != 0; }

/// True for a text that folding leaves as it is and that needs no look at the rest: ASCII without capitals or spaces. Eight bytes at a
/// time.
bool is_plainly_folded(std::string_view text) {
  constexpr std::uint64_t kOnes = 0x0101010101010101U, kHigh = 0x8080808080808080U;
  const auto suspicious = [](std::uint64_t w) {
    const auto low = w & ~kHigh;
    const auto from_a = low + kOnes * (0x80 - 'A'), past_z = low + kOnes * (0x80 - 'Z' - 1);  // high bit: at least 'A', more than 'Z'
    const auto space = (low ^ (kOnes * ' ')) + kOnes * 0x7f;                                  // no high bit: is a space
    return (w | (from_a & ~past_z) | ~space) & kHigh;
  };
  std::uint64_t found = 0, word = 0;
  const char* at = text.data();
  std::size_t left = text.size();
  for (; left >= sizeof word; left -= sizeof word, at += sizeof word) {
    std::memcpy(&word, at, sizeof word);
    found |= suspicious(word);
  }
  if (text.size() >= sizeof word) {
    std::memcpy(&word, text.data() + text.size() - sizeof word, sizeof word);
    return (found | suspicious(word)) == 0;
  }
  word = kOnes * '0';
  for (std::size_t i = 0; i < left; ++i) word = word << 8 | static_cast<unsigned char>(at[i]);
  return suspicious(word) == 0;
}

/// What a walk through the graph needs; kept by the thread, so that a walk allocates once in a while and not each time.
struct Trail {
  std::vector<std::uint32_t> numbers;
  std::vector<bool> seen;  ///< by group
};

/// "usr_" and thirteen digits: all others are spared the parsing.
bool looks_like_an_id(std::string_view key) { return key.size() == 17 && key[3] == '_'; }

constexpr Decision kDenied[] = {
    {false, Reason::DeniedUserSuspended}, {false, Reason::DeniedGroupSuspended}, {false, Reason::DeniedServiceAccountDisabled}};

}  // namespace

struct CompiledSnapshot::Asked {
  std::uint32_t pair = 0;
  std::uint32_t node = 0;
  std::size_t permission = 0;  ///< position in the catalogue
  bool iam = false;
};

std::string_view name_of(Reason reason) {
  switch (reason) {
    case Reason::DeniedTenantDisabled:
      return "denied_tenant_disabled";
    case Reason::DeniedUnknownPermission:
      return "denied_unknown_permission";
    case Reason::DeniedUnknownAction:
      return "denied_unknown_action";
    case Reason::DeniedUnknownSubject:
      return "denied_unknown_subject";
    case Reason::DeniedAmbiguousSubject:
      return "denied_ambiguous_subject";
    case Reason::DeniedUserSuspended:
      return "denied_user_suspended";
    case Reason::DeniedServiceAccountDisabled:
      return "denied_service_account_disabled";
    case Reason::DeniedGroupSuspended:
      return "denied_group_suspended";
    case Reason::DeniedNoTenantAccess:
      return "denied_no_tenant_access";
    case Reason::AllowedSuperAdmin:
      return "allowed_super_admin";
    case Reason::AllowedAdminRole:
      return "allowed_admin_role";
    case Reason::AllowedBinding:
      return "allowed_binding";
    case Reason::DeniedWrongNamespace:
      return "denied_wrong_namespace";
    case Reason::DeniedActionMissing:
      return "denied_action_missing";
    case Reason::DeniedNoBinding:
      return "denied_no_binding";
  }
  return "";
}

/// The steps of R97, first hit decides.
template <class Find>
Decision CompiledSnapshot::answer(std::string_view permission_name, std::string_view action, std::optional<std::string_view> ns,
                                  TimePoint at, Find&& find) const noexcept {
  if (!t_.enabled) return {false, Reason::DeniedTenantDisabled};
  const Permission* permission = t_.catalogue->find(permission_name);
  if (permission == nullptr) return {false, Reason::DeniedUnknownPermission};
  const auto pair = t_.catalogue->pair(*permission, action);
  if (!pair) return {false, Reason::DeniedUnknownAction};
  // A tenant-scope pair is granted tenant-wide or not at all: the namespace is ignored (R31).
  const bool local = ns && permission->scope == Scope::Namespace;
  const Asked asked{.pair = *pair,
                    .node = local ? t_.namespaces.resolve(*ns) : 0,
                    .permission = static_cast<std::size_t>(permission - t_.catalogue->permissions().data()),
                    .iam = permission->iam};
  return decide(find(), asked, micros(at));
}

Decision CompiledSnapshot::check(const Question& q) const noexcept {
  // The key is hashed first and its slot fetched while the rest of the question is looked up: the answer's order is that of answer().
  char buffer[kKeyBuffer];
  std::string long_key;
  std::string_view key = q.key;
  if (!is_plainly_folded(key)) {
    if (const auto folded = fold_to(key, buffer)) {
      key = *folded;
    } else {
      fold_into(q.key, long_key);
      key = long_key;
    }
  }
  const auto hash = t_.hash_of(q.type, key);
  t_.by_key.prefetch(hash);
  return answer(q.permission, q.action, q.ns, q.at, [&] {
    // An exact id wins (R7); it is compared as written, ids have no other spelling.
    if (const auto id = looks_like_an_id(q.key) ? parse_principal_id(q.type, q.key) : std::nullopt)
      if (const auto subject = t_.find(q.type, *id); subject.kind == Subject::Found) return subject;
    return t_.find(q.type, key, hash);
  });
}

Decision CompiledSnapshot::check(const Principal& who, std::string_view permission, std::string_view action,
                                 std::optional<std::string_view> ns, TimePoint at) const noexcept {
  t_.by_id.prefetch(t_.hash_of(who.id.value));
  return answer(permission, action, ns, at, [&] { return t_.find(who.type, who.id); });
}

Decision CompiledSnapshot::decide(const Subject& subject, const Asked& asked, Micros at) const noexcept {
  if (subject.kind == Subject::Unknown) return {false, Reason::DeniedUnknownSubject};
  if (subject.kind == Subject::Ambiguous) return {false, Reason::DeniedAmbiguousSubject};
  if ((subject.state & kActive) == 0) return kDenied[static_cast<std::size_t>(type_of(subject.state)) - 1];
  if (asked.iam && (subject.state & kSuperAdmin) != 0) return {true, Reason::AllowedSuperAdmin};

  const auto* word = t_.profiles.begin() + (subject.state & kProfileBits);
  const auto head = *word++;
  if ((head.first & (kTimed | kWalk)) != 0) {
    if ((head.first & kWalk) != 0) return walk(subject.index, asked, at);
    const auto& validity = t_.validities[head.second];
    if (at < validity.from || at >= validity.until) return walk(subject.index, asked, at);  // R37
  }
  const auto* bits = word;
  word += t_.mask_words;
  // The node, its parent, …, the tenant have falling numbers and the words are sorted: one pass from the back meets them all.
  const auto* end = word + (head.first & kCountBits);
  bool granted = false;
  for (auto node = asked.node;; node = t_.namespaces.parent(node)) {
    if (end - word <= kLinear)
      while (end != word && end[-1].first > node) --end;
    else
      end = std::upper_bound(word, end, node, [](std::uint32_t n, const ProfileWord& w) { return n < w.first; });
    if (end != word && end[-1].first == node && has(t_.masks[end[-1].second & ~kAdminGrant], asked.pair)) {
      if ((end[-1].second & kAdminGrant) != 0) return {true, Reason::AllowedAdminRole};
      granted = true;
    }
    if (node == 0) break;
  }
  if (granted) return {true, Reason::AllowedBinding};
  PairMask anywhere{};
  for (std::size_t i = 0; i < t_.mask_words; ++i) anywhere[i] = std::bit_cast<std::uint64_t>(bits[i]);
  return deny(anywhere, asked);
}

Decision CompiledSnapshot::deny(const PairMask& anywhere, const Asked& asked) const noexcept {
  if (has(anywhere, asked.pair)) return {false, Reason::DeniedWrongNamespace};
  const auto& permission = t_.permission_masks[asked.permission];
  for (std::size_t i = 0; i < anywhere.size(); ++i)
    if ((anywhere[i] & permission[i]) != 0) return {false, Reason::DeniedActionMissing};
  return {false, Reason::DeniedNoBinding};
}

/// The exact answer from the rows themselves, for an instant or a principal that no profile covers.
Decision CompiledSnapshot::walk(std::uint32_t number, const Asked& asked, Micros at) const noexcept {
  static thread_local Trail trail;
  if (trail.seen.size() < t_.groups) trail.seen.resize(t_.groups, false);
  trail.numbers.assign(1, number);
  if (t_.is_group(number)) trail.seen[number - t_.users] = true;
  PairMask anywhere{};
  bool granted = false, admin = false;
  for (std::size_t i = 0; i < trail.numbers.size(); ++i) {
    for (const auto& binding : t_.bindings_of(trail.numbers[i])) {
      if (t_.extras[binding.extra].expires <= at) continue;
      const auto& role = t_.roles[binding.role];
      for (std::size_t w = 0; w < anywhere.size(); ++w) anywhere[w] |= t_.masks[role.mask][w];
      if (!t_.namespaces.covers(binding.node, asked.node) || !has(t_.masks[binding.node == 0 ? role.mask : role.limited], asked.pair))
        continue;
      granted = true;
      admin = admin || role.admin;
    }
    for (const auto parent : t_.groups_of(trail.numbers[i])) {
      if (trail.seen[parent - t_.users] || (t_.states[parent] & kActive) == 0) continue;
      trail.seen[parent - t_.users] = true;
      trail.numbers.push_back(parent);
    }
  }
  for (const auto seen : trail.numbers)
    if (t_.is_group(seen)) trail.seen[seen - t_.users] = false;
  if (granted) return {true, admin ? Reason::AllowedAdminRole : Reason::AllowedBinding};
  return deny(anywhere, asked);
}

SnapshotStats CompiledSnapshot::stats() const noexcept {
  return {.users = t_.users,
          .groups = t_.groups,
          .service_accounts = t_.service_accounts,
          .edges = t_.parents.size(),
          .bindings = t_.bindings.size(),
          .profiles = t_.profile_count,
          .bytes = t_.bytes()};
}

}  // namespace rosterd::rbac
