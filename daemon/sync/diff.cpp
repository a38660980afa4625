#include "daemon/sync/diff.hpp"

#include <cstring>

namespace rosterd::sync {
namespace {

void append(std::string& out, std::string_view text) {
  const auto size = static_cast<std::uint32_t>(text.size());
  char bytes[sizeof size];
  for (unsigned at = 0; at < sizeof size; ++at) bytes[at] = static_cast<char>(size >> (8 * at));  // the same on every machine
  out.append(bytes, sizeof bytes);
  out.append(text);
}

void append(std::string& out, const Hash128& hash) {
  char bytes[sizeof hash];
  std::memcpy(bytes, &hash, sizeof bytes);
  out.append(bytes, sizeof bytes);
}

std::string head(ObjectType type, ChangeKind kind, const Hash128& key) {
  std::string out;
  out += static_cast<char>(type);
  out += static_cast<char>(kind);
  append(out, key);
  return out;
}

}  // namespace

void encode(const UserRecord& record, std::string& out) {
  out.assign("u1");
  append(out, record.username);
  out += record.email ? '+' : '-';  // no e-mail is not the same as an empty one
  append(out, record.email ? std::string_view(*record.email) : std::string_view());
  append(out, record.first_name);
  append(out, record.last_name);
  append(out, record.entry);
  out += record.enabled ? '+' : '-';
}

void encode(const GroupRecord& record, std::string& out) {
  out.assign("g1");
  append(out, record.name);
  append(out, record.description);
  append(out, record.entry);
}

std::optional<Step> diff(const std::optional<Held>& held, const UserRecord& record, std::uint64_t content_hash) {
  const auto after = record.enabled ? Leaving::None : Leaving::DisabledAtSource;
  const std::string_view disabled = record.disabled_reason.empty() ? "disabled in the directory" : std::string_view(record.disabled_reason);
  if (!held) return Step{ChangeKind::Added, after, record.enabled ? "new in the directory" : disabled};
  if (held->leaving == after) {
    if (held->content_hash == content_hash) return std::nullopt;
    return Step{ChangeKind::Changed, after, "changed in the directory"};
  }
  if (after == Leaving::None)
    return Step{ChangeKind::Resumed, after,
                held->leaving == Leaving::DisabledAtSource ? "enabled again in the directory" : "back in the directory"};
  if (held->leaving == Leaving::None) return Step{ChangeKind::Suspended, after, disabled};
  return Step{ChangeKind::Changed, after, disabled};
}

std::optional<Step> diff(const std::optional<Held>& held, const GroupRecord&, std::uint64_t content_hash) {
  if (!held) return Step{ChangeKind::Added, Leaving::None, "new in the directory"};
  if (held->leaving != Leaving::None) return Step{ChangeKind::Resumed, Leaving::None, "back in the directory"};
  if (held->content_hash == content_hash) return std::nullopt;
  return Step{ChangeKind::Changed, Leaving::None, "changed in the directory"};
}

std::optional<Step> diff_absent(const Entry& held, connectors::Present present) {
  if (held.away()) {
    if (!held.purge_due()) return std::nullopt;
    return Step{ChangeKind::Purged, held.leaving(), "away for longer than suspended objects are kept"};
  }
  if (present == connectors::Present::OutOfScope)
    return Step{ChangeKind::Suspended, Leaving::OutOfScope, "exists in the directory, but base or filter no longer selects it"};
  if (held.dropped()) return Step{ChangeKind::Suspended, Leaving::DeletedAtSource, "the directory names it as deleted"};
  return Step{ChangeKind::Suspended, Leaving::Missing, "a complete read did not find it"};
}

Hash128 digest_of(ObjectType type, ChangeKind kind, const Hash128& key, Leaving leaving, std::string_view content) {
  auto text = head(type, kind, key);
  text += static_cast<char>(leaving);
  text += content;
  return digest128(text);
}

Hash128 digest_of_edge(ChangeKind kind, const Hash128& group, const Target& member, const Hash128& member_key) {
  auto text = head(ObjectType::Membership, kind, group);
  text += static_cast<char>(member.type());
  append(text, member_key);
  return digest128(text);
}

Hash128 digest_of_binding(ChangeKind kind, const Hash128& group, std::string_view role, const std::optional<std::string>& ns) {
  auto text = head(ObjectType::Binding, kind, group);
  append(text, role);
  text += ns ? '+' : '-';
  if (ns) append(text, *ns);
  return digest128(text);
}

std::string plan_hash(Chunked<Hash128>& digests) {
  std::vector<Hash128> sorted;
  sorted.reserve(digests.size());
  for (std::size_t at = 0; at < digests.size(); ++at) sorted.push_back(digests[at]);
  digests.clear();
  std::sort(sorted.begin(), sorted.end());
  return hex(sha256({reinterpret_cast<const char*>(sorted.data()), sorted.size() * sizeof(Hash128)}));
}

}  // namespace rosterd::sync
