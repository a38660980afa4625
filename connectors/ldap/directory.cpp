#include "connectors/ldap/directory.hpp"

#include <nlohmann/json.hpp>

#include "connectors/ldap/dn.hpp"
#include "connectors/ldap/ldap.hpp"
#include "connectors/ldap/verify.hpp"
#include "schema/core/hash.hpp"

namespace rosterd::connectors::ldap {
namespace {

using std::chrono::steady_clock;

constexpr std::string_view kSecrets[] = {"/bind_password"};

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
  if (const auto& groups = settings->groups) {
    all["group_attributes"] = {groups->name, groups->description};
    for (const auto& member : groups->members) all["member_attributes"].push_back(member.name);
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

Result<Presence> Directory::verify(PrincipalType type, std::span<const ExternalId> ids, std::stop_token stop) {
  const Part* part = nullptr;
  if (type == PrincipalType::User) part = &settings_.users;
  if (type == PrincipalType::Group && settings_.groups) part = &*settings_.groups;
  // Groups that were taken out of the settings: whether they exist or not, the source is no longer about them.
  if (ids.empty() || part == nullptr) return Presence{.of = std::vector<Present>(ids.size(), Present::OutOfScope), .trouble = {}};
  const auto client = Client::open(settings_.target, limits(), std::move(stop));
  if (!client) return fail(client.error(), "verifying");
  auto presence = ldap::verify(**client, settings_, *part, ids);
  if (!presence) return fail(presence.error(), "verifying");
  return presence;
}

Result<std::optional<std::size_t>> Directory::still_listed(std::span<const Unlisted> groups, std::stop_token stop) {
  if (groups.empty()) return std::nullopt;
  const auto client = Client::open(settings_.target, limits(), std::move(stop));
  if (!client) return fail(client.error(), "asking for members");
  auto listed = ldap::still_listed(**client, settings_, groups);
  if (!listed) return fail(listed.error(), "asking for members");
  return listed;
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

/// What the test of a source shows of one entry: `sample` where all is well with it, else `trouble`.
struct Directory::Looked {
  Decoded decoded;
  std::string entry, sample, trouble;
};

Directory::Looked Directory::look_at_user(UserDecoder& users, const Entry& entry) {
  const auto decoded = users.decode(entry);
  const auto& user = users.record();
  Looked out{.decoded = decoded, .entry = user.entry, .sample = {}, .trouble = {}};
  if (decoded == Decoded::Skipped)
    out.trouble = fmt::format("{}: {}", out.entry, users.reason());
  else if (!users.hidden().empty())
    out.trouble = fmt::format("{} shows no {}; grant the bind account read access to it", out.entry, users.hidden());
  else
    out.sample = fmt::format("{} is {} {} <{}>, username {}{}", out.entry, user.first_name, user.last_name,
                             user.email.value_or("no e-mail"), user.username, user.enabled ? "" : ", disabled: " + user.disabled_reason);
  return out;
}

Directory::Looked Directory::look_at_group(GroupDecoder& groups, const Entry& entry) {
  const auto decoded = groups.decode(entry);
  Looked out{.decoded = decoded, .entry = groups.record().entry, .sample = {}, .trouble = {}};
  if (decoded == Decoded::Skipped) {
    out.trouble = fmt::format("{}: {}", out.entry, groups.reason());
  } else if (groups.members_hidden()) {
    out.trouble =
        fmt::format("{} must have members by its object class but shows none; grant the bind account read access to them", out.entry);
  } else if (!groups.hidden_number().empty()) {
    out.trouble = fmt::format("{} shows no {}; grant the bind account read access to it", out.entry, groups.hidden_number());
  } else if (decoded == Decoded::Usable) {
    std::uint64_t members = 0;
    (void)groups.each_members(entry, [&members](std::span<const Reference> batch) {
      members += batch.size();
      return true;
    });
    out.sample = fmt::format("{} is the group {} with {}{} members", out.entry, groups.record().name,
                             groups.ranged() == nullptr ? "" : "more than ", members);
  }
  return out;
}

void Directory::test_part(Client& client, std::string_view name, const Part& part, const std::vector<std::string>& attributes,
                          const std::function<Looked(const Entry&)>& look, std::vector<Finding>& findings, bool& any_id) {
  std::string sample, trouble, without_id;
  const Search search{.base = part.base, .scope = part.scope, .filter = part.filter, .attributes = attributes, .size_limit = 1};
  const auto end = client.search(search, [&](const Entry& entry) {
    auto looked = look(entry);
    if (looked.decoded == Decoded::NoId) {
      without_id = std::move(looked.entry);
      return true;
    }
    if (looked.decoded == Decoded::Usable) any_id = true;
    if (looked.trouble.empty())
      sample = std::move(looked.sample);
    else
      trouble = std::move(looked.trouble);
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
  UserDecoder users(settings_);
  test_part(
      **client, "users", settings_.users, users.attributes(), [&users](const Entry& entry) { return look_at_user(users, entry); }, findings,
      any_id);
  if (const auto& part = settings_.groups; part && !(*client)->is_lost()) {
    GroupDecoder groups(settings_);
    test_part(
        **client, "groups", *part, groups.attributes(), [&groups](const Entry& entry) { return look_at_group(groups, entry); }, findings,
        any_id);
  }
  if (any_id) findings.push_back({.step = "stable id", .good = true, .text = fmt::format("{} can be read", settings_.id_attribute)});
  return findings;
}

}  // namespace rosterd::connectors::ldap
