#include "connectors/ldap/verify.hpp"

#include "connectors/ldap/dn.hpp"
#include "connectors/ldap/filter.hpp"
#include "connectors/ldap/reader.hpp"

namespace rosterd::connectors::ldap {
namespace {

constexpr std::size_t kPerFilter = 64;  // ids or names, sync-rules §11

std::string id_filter(const Settings& settings, std::span<const ExternalId> ids, std::span<const std::size_t> which) {
  std::string out = "(|";
  for (const auto index : which) {
    const auto raw = server_id(settings.id_encoding, ids[index].value);
    if (!raw) continue;
    switch (settings.id_encoding) {
      case IdEncoding::Text:
        out += equals(settings.id_attribute, *raw);
        break;
      case IdEncoding::Raw16Be:
      case IdEncoding::Raw16Ms:
        out += equals_binary(settings.id_attribute, *raw);
        break;
    }
  }
  return out += ')';
}

using OnFound = std::function<void(std::size_t index, const Entry& entry)>;

/// Searches for ids, tells which were found. Gives the result code; text and an error of the connection go into `trouble`.
Result<int> look_for(Client& client, const Settings& settings, Search search, std::span<const ExternalId> ids,
                     std::span<const std::size_t> which, const OnFound& found, std::string& trouble) {
  search.attributes.push_back(settings.id_attribute);
  std::string id;
  const auto end = client.search(search, [&](const Entry& entry) {
    const auto values = entry.find(settings.id_attribute);
    if (values.size() != 1 || !canonical_id(settings.id_encoding, values.front(), id)) return true;
    for (const auto index : which)
      if (ids[index].value == id) found(index, entry);
    return true;
  });
  if (!end) {
    trouble = end.error().what;
    return fail(end.error());
  }
  if (end->code != code::kSuccess) trouble = fmt::format("searching {}: {}", search.base, in_words(end->code, end->text));
  return end->code;
}

std::vector<std::string> wider_bases(const Settings& settings, const Part& part) {
  std::vector<std::string> out{part.base};
  const auto add = [&out](const std::string& base) {
    const auto normal = normal_dn(base);
    // A base inside one that is searched anyway adds nothing; a wider one replaces what lies in it.
    for (const auto& have : out)
      if (is_within(normal, normal_dn(have))) return;
    std::erase_if(out, [&normal](const std::string& have) { return is_within(normal_dn(have), normal); });
    out.push_back(base);
  };
  add(settings.users.base);
  if (settings.groups) add(settings.groups->base);
  return out;
}

/// How groups name this entry at present: "(member=uid=ada,…)(memberUid=ada)".
std::string listed_as(const GroupPart& groups, const Entry& entry) {
  std::string out;
  for (const auto& member : groups.members) {
    switch (member.style) {
      case MemberStyle::Dn:
      case MemberStyle::DnAndUid:
        out += equals(member.name, entry.dn);
        break;
      case MemberStyle::UserName:
        for (const auto uid : entry.find("uid")) out += equals(member.name, uid);
        break;
    }
  }
  return out;
}

}  // namespace

Result<Presence> verify(Client& client, const Settings& settings, const Part& part, std::span<const ExternalId> ids) {
  Presence out;
  out.of.assign(ids.size(), Present::Unknown);
  const auto server = read_root_dse(client);
  if (!server) return fail(server.error());
  const auto bases = wider_bases(settings, part);
  const auto as = [&out](Present present) { return [&out, present](std::size_t index, const Entry&) { out.of[index] = present; }; };

  for (std::size_t begin = 0; begin < ids.size(); begin += kPerFilter) {
    std::vector<std::size_t> batch;
    for (std::size_t i = begin; i < std::min(ids.size(), begin + kPerFilter); ++i) {
      if (server_id(settings.id_encoding, ids[i].value)) {
        batch.push_back(i);
      } else {
        out.trouble = fmt::format("\"{}\" can not be an id of {}", ids[i].value, settings.id_attribute);
      }
    }
    if (batch.empty()) continue;
    const auto filter = id_filter(settings, ids, batch);
    std::string trouble;
    const auto own = look_for(client, settings, {.base = part.base, .scope = part.scope, .filter = both(part.filter, filter)}, ids, batch,
                              as(Present::InScope), trouble);
    if (!own && own.error().code == Errc::Stopped) return fail(own.error());
    bool certain = own && *own == code::kSuccess;
    const auto missing = [&] {
      std::erase_if(batch, [&](std::size_t i) { return out.of[i] != Present::Unknown; });
      return !batch.empty();
    };
    for (const auto& base : bases) {
      if (!missing() || client.is_lost()) break;
      const auto wide = look_for(client, settings, {.base = base, .scope = Scope::Subtree, .filter = filter}, ids, batch,
                                 as(Present::OutOfScope), trouble);
      if (!wide && wide.error().code == Errc::Stopped) return fail(wide.error());
      certain = certain && wide && *wide == code::kSuccess;
    }
    // The naming contexts tell "moved away" from "deleted". Where the account may not search them, both leave all the same.
    for (const auto& context : server->naming_contexts) {
      if (!certain || !missing() || client.is_lost()) break;
      if (!is_within(normal_dn(part.base), normal_dn(context))) continue;
      std::string hidden;
      const auto wide = look_for(client, settings, {.base = context, .scope = Scope::Subtree, .filter = filter}, ids, batch,
                                 as(Present::OutOfScope), hidden);
      if (!wide && wide.error().code == Errc::Stopped) return fail(wide.error());
      const bool tolerable = wide && (*wide == code::kSuccess || *wide == code::kNoSuchObject || *wide == code::kInsufficientAccess);
      if (!tolerable) {
        certain = false;
        trouble = hidden;
      }
    }
    if (missing() && certain)
      for (const auto i : batch) out.of[i] = Present::Gone;
    if (!certain && out.trouble.empty()) out.trouble = trouble;
  }
  return out;
}

Result<std::optional<std::size_t>> still_listed(Client& client, const Settings& settings, std::span<const Unlisted> groups) {
  if (!settings.groups) return std::nullopt;  // nothing lists anybody
  std::vector<ExternalId> ids;
  std::unordered_map<std::string, std::string> names;  // by stable id: how groups name it now; empty = it is nowhere to be found
  for (const auto& group : groups)
    for (const auto& member : group.members)
      if (names.try_emplace(member.value).second) ids.push_back(member);

  std::string trouble;
  for (std::size_t begin = 0; begin < ids.size(); begin += kPerFilter) {
    std::vector<std::size_t> batch;
    for (std::size_t i = begin; i < std::min(ids.size(), begin + kPerFilter); ++i)
      if (server_id(settings.id_encoding, ids[i].value)) batch.push_back(i);
    if (batch.empty()) continue;
    const auto filter = id_filter(settings, ids, batch);
    // Wherever it stands: somebody moved out of the base is a member under his new name all the same.
    for (const auto& base : wider_bases(settings, settings.users)) {
      Search search{.base = base, .scope = Scope::Subtree, .filter = filter};
      if (settings.has_style(MemberStyle::UserName)) search.attributes.emplace_back("uid");
      const auto end = look_for(
          client, settings, std::move(search), ids, batch,
          [&](std::size_t index, const Entry& entry) { names[ids[index].value] = listed_as(*settings.groups, entry); }, trouble);
      if (!end) return fail(end.error());
      if (*end != code::kSuccess) return fail(Errc::Unavailable, "{}", trouble);
    }
  }

  for (std::size_t at = 0; at < groups.size(); ++at) {
    const auto raw = server_id(settings.id_encoding, groups[at].group.value);
    if (!raw) continue;
    constexpr std::size_t kGroup[] = {0};
    const auto itself = id_filter(settings, std::span(&groups[at].group, 1), kGroup);
    const auto& members = groups[at].members;
    for (std::size_t begin = 0; begin < members.size(); begin += kPerFilter) {
      std::string any;
      for (std::size_t i = begin; i < std::min(members.size(), begin + kPerFilter); ++i) any += names[members[i].value];
      if (any.empty()) continue;
      const auto end = client.search({.base = settings.groups->base,
                                      .scope = settings.groups->scope,
                                      .filter = both(itself, fmt::format("(|{})", any)),
                                      .attributes = {"1.1"}},
                                     [](const Entry&) { return true; });
      if (!end) return fail(end.error());
      if (end->code != code::kSuccess)
        return fail(Errc::Unavailable, "searching {}: {}", settings.groups->base, in_words(end->code, end->text));
      if (end->entries > 0) return at;
    }
  }
  return std::nullopt;
}

}  // namespace rosterd::connectors::ldap
