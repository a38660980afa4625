#include "connectors/ldap/directory.hpp"

#include <nlohmann/json.hpp>

#include "connectors/ldap/dn.hpp"
#include "connectors/ldap/ldap.hpp"
#include "connectors/ldap/verify.hpp"
#include "schema/core/hash.hpp"

namespace rosterd::connectors::ldap {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kIdsPerFilter = 64;  // sync-rules §11
constexpr std::string_view kSecrets[] = {"/bind_password"};

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

/// Searches for ids, marks those found. Gives the result code; text and an error of the connection go into `trouble`.
Result<int> look_for(Client& client, const Settings& settings, Search search, std::span<const ExternalId> ids,
                     std::span<const std::size_t> which, Present found_as, std::vector<Present>& of, std::string& trouble) {
  search.attributes = {settings.id_attribute};
  std::string id;
  const auto end = client.search(search, [&](const Entry& entry) {
    const auto values = entry.find(settings.id_attribute);
    if (values.size() != 1 || !canonical_id(settings.id_encoding, values.front(), id)) return true;
    for (const auto index : which)
      if (ids[index].value == id) of[index] = found_as;
    return true;
  });
  if (!end) {
    trouble = end.error().what;
    return fail(end.error());
  }
  if (end->code != code::kSuccess) trouble = fmt::format("searching {}: {}", search.base, in_words(end->code, end->text));
  return end->code;
}

Result<std::vector<Network>> networks(const ConnectorOptions& options) {
  std::vector<Network> out;
  for (const auto& text : options.allowed_networks) {
    const auto network = parse_network(text);
    if (!network) return fail(network.error(), "allowed_networks");
    out.push_back(*network);
  }
  return out;
}

nlohmann::json scope_of(const Settings& settings) {
  const auto part = [](const Part& of) {
    return nlohmann::json{{"base", normal_dn(of.base)}, {"filter", of.filter}, {"scope", name_of(of.scope)}};
  };
  nlohmann::json out = {{"type", "ldap"},
                        {"preset", name_of(settings.preset)},
                        {"id", settings.id_attribute},
                        {"id_encoding", name_of(settings.id_encoding)},
                        {"users", part(settings.users)}};
  if (settings.groups) out["groups"] = part(*settings.groups);
  return out;
}

std::string hash_of(const nlohmann::json& json) { return hex(sha256(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace))); }

}  // namespace

std::span<const std::string_view> secrets() { return kSecrets; }

Result<void> validate(std::string_view json) {
  const auto settings = parse_settings(json, SecretRule::MayBeClosed);
  if (!settings) return fail(settings.error());
  return {};
}

Result<std::unique_ptr<Connector>> make(const ConnectorSettings& settings, const ConnectorOptions& options) {
  auto parsed = parse_settings(settings.json, SecretRule::MustBeOpen);
  if (!parsed) return fail(parsed.error());
  auto allowed = networks(options);
  if (!allowed) return fail(allowed.error());
  const auto learnt = parse_learnt(settings.learnt, whose_limits(*parsed));
  return std::make_unique<Directory>(std::move(*parsed), options, std::move(*allowed), learnt);
}

ConnectorType::Fingerprints fingerprint(std::string_view json) {
  const auto settings = parse_settings(json, SecretRule::MayBeClosed);
  // Settings that do not parse belong to no cursor: their own text tells them apart.
  if (!settings) return {.cursor = hex(sha256(json)), .scope = hex(sha256(json))};
  auto all = scope_of(*settings);
  const auto scope = hash_of(all);
  all["cursor_format"] = 1;
  all["server"] = fmt::format("{}:{}", settings->target.host, settings->target.port);
  all["bind_dn"] = normal_dn(settings->target.bind_dn);
  all["primary_group"] = static_cast<int>(settings->primary_group);
  const auto& users = settings->users;
  all["user_attributes"] = {users.username, users.email, users.first_name, users.last_name};
  if (settings->groups) {
    all["group_attributes"] = {settings->groups->name, settings->groups->description};
    for (const auto& member : settings->groups->members) all["member_attributes"].push_back(member.name);
  }
  return {.cursor = hash_of(all), .scope = scope};
}

Directory::Directory(Settings settings, ConnectorOptions options, std::vector<Network> allowed, Learnt learnt)
    : settings_(std::move(settings)), options_(std::move(options)), allowed_(std::move(allowed)), learnt_(learnt) {}

Limits Directory::limits() const {
  return {.connect = options_.connect_timeout,
          .silence = options_.operation_timeout,
          .deadline = steady_clock::now() + options_.read_deadline,
          .message_bytes = options_.max_message_bytes,
          .allowed = allowed_};
}

Result<FeedEnd> Directory::read(const Cursor& from, FeedSink& sink, std::stop_token stop) {
  // This release reads in full only; a cursor can come from a newer one alone.
  if (!from.value.empty()) return fail(Errc::CursorExpired, "this cursor is of a kind this release does not know");
  sink.phase("connecting");
  const auto client = Client::open(settings_.target, limits(), std::move(stop));
  if (!client) return fail(client.error());
  auto end = FullRead(**client, settings_, options_, learnt_, sink).run();
  if (end && !end->learnt.empty()) learnt_ = parse_learnt(end->learnt, whose_limits(settings_));
  return end;
}

std::vector<std::string> Directory::wider_bases(const Part& part) const {
  std::vector<std::string> out{part.base};
  const auto add = [&out](const std::string& base) {
    const auto normal = normal_dn(base);
    // A base inside one that is searched anyway adds nothing; a wider one replaces what lies in it.
    for (const auto& have : out)
      if (is_within(normal, normal_dn(have))) return;
    std::erase_if(out, [&normal](const std::string& have) { return is_within(normal_dn(have), normal); });
    out.push_back(base);
  };
  add(settings_.users.base);
  if (settings_.groups) add(settings_.groups->base);
  return out;
}

Result<Presence> Directory::verify(PrincipalType type, std::span<const ExternalId> ids, std::stop_token stop) {
  Presence out;
  out.of.assign(ids.size(), Present::Unknown);
  if (ids.empty()) return out;
  if (type != PrincipalType::User && !(type == PrincipalType::Group && settings_.groups)) {
    out.trouble = "the source reads no objects of this kind";
    return out;
  }
  const Part& part = type == PrincipalType::User ? static_cast<const Part&>(settings_.users) : *settings_.groups;
  const auto client = Client::open(settings_.target, limits(), std::move(stop));
  if (!client) return fail(client.error(), "verifying");
  const auto server = read_root_dse(**client);
  if (!server) return fail(server.error(), "verifying");
  const auto bases = wider_bases(part);

  for (std::size_t begin = 0; begin < ids.size(); begin += kIdsPerFilter) {
    std::vector<std::size_t> batch;
    for (std::size_t i = begin; i < std::min(ids.size(), begin + kIdsPerFilter); ++i) {
      if (server_id(settings_.id_encoding, ids[i].value)) {
        batch.push_back(i);
      } else {
        out.trouble = fmt::format("\"{}\" can not be an id of {}", ids[i].value, settings_.id_attribute);
      }
    }
    if (batch.empty()) continue;
    const auto filter = id_filter(settings_, ids, batch);
    std::string trouble;
    const auto own = look_for(**client, settings_, {.base = part.base, .scope = part.scope, .filter = both(part.filter, filter)}, ids,
                              batch, Present::InScope, out.of, trouble);
    if (!own && own.error().code == Errc::Stopped) return fail(own.error(), "verifying");
    bool certain = own && *own == code::kSuccess;
    const auto missing = [&] {
      std::erase_if(batch, [&](std::size_t i) { return out.of[i] != Present::Unknown; });
      return !batch.empty();
    };
    for (const auto& base : bases) {
      if (!missing() || client.value()->is_lost()) break;
      const auto wide = look_for(**client, settings_, {.base = base, .scope = Scope::Subtree, .filter = filter}, ids, batch,
                                 Present::OutOfScope, out.of, trouble);
      if (!wide && wide.error().code == Errc::Stopped) return fail(wide.error(), "verifying");
      certain = certain && wide && *wide == code::kSuccess;
    }
    // The naming contexts tell "moved away" from "deleted". Where the account may not search them, both leave all the same.
    for (const auto& context : server->naming_contexts) {
      if (!certain || !missing() || client.value()->is_lost()) break;
      if (!is_within(normal_dn(part.base), normal_dn(context))) continue;
      std::string hidden;
      const auto wide = look_for(**client, settings_, {.base = context, .scope = Scope::Subtree, .filter = filter}, ids, batch,
                                 Present::OutOfScope, out.of, hidden);
      if (!wide && wide.error().code == Errc::Stopped) return fail(wide.error(), "verifying");
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

Result<bool> Directory::readable(std::string_view entry, std::stop_token stop) {
  const auto client = Client::open(settings_.target, limits(), std::move(stop));
  if (!client) return fail(client.error(), "reading {}", entry);
  const auto end =
      (*client)->search({.base = std::string(entry), .scope = Scope::Base, .attributes = {"1.1"}}, [](const Entry&) { return true; });
  if (!end) return fail(end.error(), "reading {}", entry);
  if (end->code == code::kSuccess) return end->entries == 1;
  if (end->code == code::kNoSuchObject || end->code == code::kInsufficientAccess) return false;
  return fail(Errc::Unavailable, "reading {}: {}", entry, in_words(end->code, end->text));
}

std::string Directory::container_of(std::string_view entry) const { return parent_dn(entry); }

void Directory::test_part(Client& client, std::string_view name, const Part& part, std::vector<Finding>& findings, bool& any_id) {
  UserDecoder users(settings_);
  std::optional<GroupDecoder> groups;
  if (settings_.groups) groups.emplace(settings_);
  const bool is_users = name == "users";
  std::string sample, trouble, without_id;
  Search search{.base = part.base,
                .scope = part.scope,
                .filter = part.filter,
                .attributes = is_users ? users.attributes() : groups->attributes(),
                .size_limit = 1};
  const auto end = client.search(search, [&](const Entry& entry) {
    const auto decoded = is_users ? users.decode(entry) : groups->decode(entry);
    const auto& dn = is_users ? users.record().entry : groups->record().entry;
    switch (decoded) {
      case Decoded::NoId:
        without_id = dn;
        break;
      case Decoded::Skipped:
        trouble = fmt::format("{}: {}", dn, is_users ? users.reason() : groups->reason());
        break;
      case Decoded::Usable:
        any_id = true;
        if (is_users && !users.hidden().empty()) {
          trouble = fmt::format("{} shows no {}; grant the bind account read access to it", dn, users.hidden());
        } else if (is_users) {
          const auto& user = users.record();
          sample = fmt::format("{} is {} {} <{}>, username {}{}", dn, user.first_name, user.last_name, user.email.value_or("no e-mail"),
                               user.username, user.enabled ? "" : ", disabled: " + user.disabled_reason);
        } else if (groups->members_hidden()) {
          trouble = fmt::format("{} must have members by its object class but shows none; grant the bind account read access to them", dn);
        } else if (!groups->hidden_number().empty()) {
          trouble = fmt::format("{} shows no {}; grant the bind account read access to it", dn, groups->hidden_number());
        } else {
          std::uint64_t members = 0;
          (void)groups->each_members(entry, [&members](std::span<const Reference> batch) {
            members += batch.size();
            return true;
          });
          sample = fmt::format("{} is the group {} with {}{} members", dn, groups->record().name,
                               groups->ranged() == nullptr ? "" : "more than ", members);
        }
    }
    return true;
  });
  const auto add = [&](bool good, std::string text) {
    findings.push_back({.step = std::string(name), .good = good, .text = std::move(text)});
  };
  if (!end) return add(false, end.error().what);
  if (end->code != code::kSuccess && !(end->code == code::kSizeLimit && end->entries > 0))
    return add(false, fmt::format("searching {}: {}", part.base, in_words(end->code, end->text)));
  if (!without_id.empty()) {
    findings.push_back({.step = "stable id",
                        .good = false,
                        .text = fmt::format("{} has no usable {}; choose another preset or id_attribute, or grant read access to it",
                                            without_id, settings_.id_attribute)});
    return add(true, fmt::format("{} was read", without_id));
  }
  if (end->entries == 0)
    return add(false, fmt::format("no entry below {} matches {}; check base and filter, and whether the bind account may read there",
                                  part.base, part.filter));
  if (!trouble.empty()) return add(false, trouble);
  add(true, sample);
}

std::vector<Finding> Directory::test(std::stop_token stop) {
  std::vector<Finding> findings{
      {.step = "settings", .good = true, .text = fmt::format("understood, preset {}", name_of(settings_.preset))}};
  Steps steps;
  const auto client = Client::open(settings_.target, limits(), std::move(stop), &steps);
  for (auto& step : steps.done) findings.push_back({.step = step.name, .good = true, .text = step.text});
  if (!client) {
    findings.push_back({.step = steps.current, .good = false, .text = client.error().what});
    return findings;
  }
  if (const auto server = read_root_dse(**client); server && server->active_directory && settings_.preset != Preset::ActiveDirectory)
    findings.push_back({.step = "settings", .good = false, .text = "the server is an Active Directory; set preset to active_directory"});
  bool any_id = false;
  test_part(**client, "users", settings_.users, findings, any_id);
  if (settings_.groups && !(*client)->is_lost()) test_part(**client, "groups", *settings_.groups, findings, any_id);
  if (any_id) findings.push_back({.step = "stable id", .good = true, .text = fmt::format("{} can be read", settings_.id_attribute)});
  return findings;
}

}  // namespace rosterd::connectors::ldap
