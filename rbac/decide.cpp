#include "rbac/decide.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "schema/core/text.hpp"

namespace rosterd::rbac {
namespace {

constexpr std::size_t kKeyBuffer = 512;
constexpr std::uint32_t kLinear = 16;  // up to here scanning words that lie side by side beats jumping among them

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

namespace {

[[gnu::always_inline]] inline tl::expected<Asked, Reason> asked_of(const Tables& t, std::string_view permission_name,
                                                                   std::string_view action, std::optional<std::string_view> ns) noexcept {
  if (!t.enabled) return tl::unexpected(Reason::DeniedTenantDisabled);
  const Permission* permission = t.catalogue->find(permission_name);
  if (permission == nullptr) return tl::unexpected(Reason::DeniedUnknownPermission);
  const auto pair = t.catalogue->pair(*permission, action);
  if (!pair) return tl::unexpected(Reason::DeniedUnknownAction);
  // A tenant-scope pair is granted tenant-wide or not at all: the namespace is ignored (R31).
  const bool tenant_scope = permission->scope == Scope::Tenant;
  return Asked{.pair = *pair,
               .node = ns && !tenant_scope ? t.namespaces.resolve(*ns) : 0,
               .permission = static_cast<std::size_t>(permission - t.catalogue->permissions().data()),
               .iam = permission->iam,
               .tenant_scope = tenant_scope};
}

/// A key in its folded spelling, held in `buffer` or, when it is very long, in `spare`.
std::string_view folded(std::string_view key, std::span<char> buffer, std::string& spare) {
  if (is_plainly_folded(key)) return key;
  if (const auto out = fold_to(key, buffer)) return *out;
  fold_into(key, spare);
  return spare;
}

/// An exact id wins (R7); it is compared as written, ids have no other spelling.
Subject find(const Tables& t, PrincipalType type, std::string_view key, std::string_view folded_key, std::uint64_t hash) {
  if (const auto id = looks_like_an_id(key) ? parse_principal_id(type, key) : std::nullopt)
    if (const auto subject = t.find(type, *id); subject.kind == Subject::Found) return subject;
  return t.find(type, folded_key, hash);
}

}  // namespace

tl::expected<Asked, Reason> ask(const Tables& t, std::string_view permission, std::string_view action,
                                std::optional<std::string_view> ns) noexcept {
  return asked_of(t, permission, action, ns);
}

Subject subject_of(const Tables& t, PrincipalType type, std::string_view key) noexcept {
  char buffer[kKeyBuffer];
  std::string spare;
  const auto text = folded(key, buffer, spare);
  return find(t, type, key, text, t.hash_of(type, text));
}

namespace {

/// std::upper_bound without a branch on what it reads: where the words of a principal with thousands of bindings lie cannot be guessed.
const ProfileWord* behind_last_up_to(const ProfileWord* first, const ProfileWord* end, std::uint32_t node) {
  auto count = static_cast<std::size_t>(end - first);
  while (count > 1) {
    const auto half = count / 2;
    first += half * static_cast<std::size_t>(first[half].first <= node);
    count -= half;
  }
  return first + (first->first <= node ? 1 : 0);
}

Decision deny(const Tables& t, const PairMask& anywhere, const Asked& asked) {
  if (has(anywhere, asked.pair)) return {false, Reason::DeniedWrongNamespace};
  const auto& permission = t.permission_masks[asked.permission];
  for (std::size_t i = 0; i < anywhere.size(); ++i)
    if ((anywhere[i] & permission[i]) != 0) return {false, Reason::DeniedActionMissing};
  return {false, Reason::DeniedNoBinding};
}

/// The exact answer from the rows themselves, for an instant or a principal that no profile covers.
Decision walk(const Tables& t, std::uint32_t number, const Asked& asked, Micros at) {
  static thread_local Trail trail;
  if (trail.seen.size() < t.groups) trail.seen.resize(t.groups, false);
  trail.numbers.assign(1, number);
  if (t.is_group(number)) trail.seen[number - t.users] = true;
  PairMask anywhere{};
  bool found = false, admin = false;
  for (std::size_t i = 0; i < trail.numbers.size(); ++i) {
    for (const auto& binding : t.bindings_of(trail.numbers[i])) {
      if (!is_live(t, binding, at)) continue;
      const auto& role = t.roles[binding.role];
      for (std::size_t w = 0; w < anywhere.size(); ++w) anywhere[w] |= t.masks[role.mask][w];
      if (!t.namespaces.covers(binding.node, asked.node) || !has(granted(t, binding), asked.pair)) continue;
      found = true;
      admin = admin || role.admin;
    }
    for (const auto parent : t.groups_of(trail.numbers[i])) {
      if (trail.seen[parent - t.users] || (t.states[parent] & kActive) == 0) continue;
      trail.seen[parent - t.users] = true;
      trail.numbers.push_back(parent);
    }
  }
  for (const auto seen : trail.numbers)
    if (t.is_group(seen)) trail.seen[seen - t.users] = false;
  if (found) return {true, admin ? Reason::AllowedAdminRole : Reason::AllowedBinding};
  return deny(t, anywhere, asked);
}

[[gnu::always_inline]] inline Decision decided(const Tables& t, const Subject& subject, const Asked& asked, Micros at) noexcept {
  if (subject.kind == Subject::Unknown) return {false, Reason::DeniedUnknownSubject};
  if (subject.kind == Subject::Ambiguous) return {false, Reason::DeniedAmbiguousSubject};
  if ((subject.state & kActive) == 0) return kDenied[static_cast<std::size_t>(type_of(subject.state)) - 1];
  if (asked.iam && (subject.state & kSuperAdmin) != 0) return {true, Reason::AllowedSuperAdmin};

  const auto* word = t.profiles.begin() + (subject.state & kProfileBits);
  const auto head = *word++;
  if ((head.first & (kTimed | kWalk)) != 0) {
    if ((head.first & kWalk) != 0) return walk(t, subject.index, asked, at);
    const auto& validity = t.validities[head.second];
    if (at < validity.from || at >= validity.until) return walk(t, subject.index, asked, at);  // R37
  }
  const auto* bits = word;
  word += t.mask_words;
  // The node, its parent, … have falling numbers and the words are sorted: one pass from the back meets them all. The tenant is number 0,
  // so its word can only be the first.
  const auto* end = word + (head.first & kCountBits);
  bool found = false;
  for (auto node = asked.node;; node = t.namespaces.parent(node)) {
    if (node == 0)
      end = end != word && word->first == 0 ? word + 1 : word;
    else if (end - word <= kLinear)
      while (end != word && end[-1].first > node) --end;
    else
      end = behind_last_up_to(word, end, node);
    if (end != word && end[-1].first == node && has(t.masks[end[-1].second & ~kAdminGrant], asked.pair)) {
      if ((end[-1].second & kAdminGrant) != 0) return {true, Reason::AllowedAdminRole};
      found = true;
    }
    if (node == 0) break;
  }
  if (found) return {true, Reason::AllowedBinding};
  PairMask anywhere{};
  for (std::size_t i = 0; i < t.mask_words; ++i) anywhere[i] = std::bit_cast<std::uint64_t>(bits[i]);
  return deny(t, anywhere, asked);
}

}  // namespace

Decision decide(const Tables& t, const Subject& subject, const Asked& asked, Micros at) noexcept { return decided(t, subject, asked, at); }

/// The steps of R97, first hit decides.
Decision CompiledSnapshot::check(const Question& q) const noexcept {
  // The key is hashed first and its slot fetched while the rest of the question is looked up.
  char buffer[kKeyBuffer];
  std::string spare;
  const auto key = folded(q.key, buffer, spare);
  const auto hash = t_.hash_of(q.type, key);
  t_.by_key.prefetch(hash);
  const auto asked = asked_of(t_, q.permission, q.action, q.ns);
  if (!asked) return {false, asked.error()};
  return decided(t_, find(t_, q.type, q.key, key, hash), *asked, micros(q.at));
}

Decision CompiledSnapshot::check(const Principal& who, std::string_view permission, std::string_view action,
                                 std::optional<std::string_view> ns, TimePoint at) const noexcept {
  t_.by_id.prefetch(t_.hash_of(who.id.value));
  const auto asked = asked_of(t_, permission, action, ns);
  if (!asked) return {false, asked.error()};
  return decided(t_, t_.find(who.type, who.id), *asked, micros(at));
}

SnapshotStats CompiledSnapshot::stats() const noexcept {
  return {.users = t_.users,
          .groups = t_.groups,
          .service_accounts = t_.service_accounts,
          .edges = t_.parents.size(),
          .bindings = t_.bindings.size(),
          .profiles = t_.profile_count,
          .unknown_pairs = t_.unknown_pairs,
          .bytes = t_.bytes()};
}

}  // namespace rosterd::rbac
