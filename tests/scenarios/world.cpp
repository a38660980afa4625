#include "tests/scenarios/world.hpp"

#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "rbac/catalogue.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "tests/support/postgres.hpp"

namespace rosterd::test {
namespace {

using connectors::Present;

/// Gives the value or ends the conversation with what went wrong.
template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().what);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> out;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, at);)
    if (!part.empty()) out.push_back(part);
  return out;
}

std::string joined(std::vector<std::string> lines) {
  std::sort(lines.begin(), lines.end());
  std::string out;
  for (const auto& line : lines) out += line + "\n";
  return out.empty() ? "none\n" : out;
}

/// The rest of a line behind its first `words` words.
std::string rest_of(const std::string& line, int words) {
  std::size_t at = 0;
  for (int word = 0; word < words && at != std::string::npos; ++word) at = line.find_first_not_of(' ', line.find(' ', at));
  return at == std::string::npos ? std::string() : line.substr(at);
}

std::optional<std::pair<std::string, std::string>> setting(const std::string& word) {
  const auto at = word.find('=');
  if (at == std::string::npos) return std::nullopt;
  return std::pair(word.substr(0, at), word.substr(at + 1));
}

std::string counted(const ChangeCounts& counts) {
  std::string out;
  const auto add = [&](std::uint64_t count, std::string_view what) {
    if (count > 0) out += fmt::format("{}{} {}", out.empty() ? "" : ", ", count, what);
  };
  for (const auto kind :
       {ChangeKind::Added, ChangeKind::Changed, ChangeKind::Suspended, ChangeKind::Resumed, ChangeKind::Purged, ChangeKind::Skipped}) {
    add(counts.users[static_cast<std::size_t>(kind)], fmt::format("users {}", name_of(kind)));
    add(counts.groups[static_cast<std::size_t>(kind)], fmt::format("groups {}", name_of(kind)));
  }
  add(counts.edges_added, "members added");
  add(counts.edges_removed, "members removed");
  add(counts.bindings_added, "bindings added");
  add(counts.bindings_removed, "bindings removed");
  return out;
}

/// " < ada" for a membership: the stable id of the member.
std::string member_of(const Change& change) {
  if (change.type != ObjectType::Membership) return "";
  const auto shape = nlohmann::json::parse(change.after.empty() ? change.before : change.after);
  return " < " + shape.at("member_external_id").get<std::string>();
}

std::vector<Role> managed_roles() {
  std::vector<Role> out;
  for (const auto& role : rbac::managed_roles())
    out.push_back({.id = {},
                   .name = std::string(role.name),
                   .description = std::string(role.description),
                   .managed = true,
                   .admin = role.admin,
                   .permissions = role.permissions});
  return out;
}

}  // namespace

World::World() : clock_(SystemClock().now()) {
  const auto database = PrivatePostgres::shared().fresh_database();
  StoreOptions options;
  options.url = database.app_url;
  options.owner_url = database.owner_url;
  options.pool_size = 4;
  store_ = must(PostgresStore::open(options));
  actor_.by = "scenario";
  const auto account =
      must(store_->set_up({.email = "root@acme.test", .first_name = "Root", .last_name = "Admin", .super_admin = true},
                          {.name = "first", .hash = std::string(32, 'h'), .last4 = "hhhh", .expires_at = std::nullopt}, actor_));
  admin_ = account.id;
  must(store_->create_tenant({.id = tenant_, .name = "Acme", .creator = admin_, .managed_roles = managed_roles()}, actor_));
  NewSource source;
  source.name = "corp";
  source.type = "ldap";
  source.settings = "{}";
  source_ = must(store_->create_source(tenant_, source, actor_)).value;
  engine_ = std::make_unique<sync::Engine>(*store_, clock_);
}

World::~World() = default;

std::string World::answer(const std::string& line, const std::vector<std::string>& input) {
  const auto words = split(line, ' ');
  const auto& verb = words.at(0);
  if (verb == "directory") return directory(words, input);
  if (verb == "source") return source(words, input);
  if (verb == "sync") return sync(words);
  if (verb == "approve") return approve(words);
  if (verb == "discard") return discard();
  if (verb == "users") return users();
  if (verb == "groups") return groups();
  if (verb == "members") return members(words.at(1));
  if (verb == "bindings") return bindings();
  if (verb == "bind") return bind(words);
  if (verb == "local") return local(words);
  if (verb == "suspend") return suspend(words.at(1), true);
  if (verb == "resume") return suspend(words.at(1), false);
  if (verb == "check") return check(words);
  if (verb == "changes") return changes();
  if (verb == "advance") return advance(words.at(1));
  if (verb == "status") return status();
  if (verb == "verified") return verified();
  if (verb == "asked") return asked();
  if (verb == "cursors") return cursors();
  if (verb == "plan") return plan();
  throw std::runtime_error("unknown command: " + line);
}

/// directory           replaces what stands there; lines:
///   user ID [username=… email=… ou=… disabled=WHY ref=NAME]      users PREFIX COUNT [ou=…]
///   group ID [name=… members=a,b members=PREFIX1..N complete=no ref=NAME]
///   groups PREFIX COUNT: a chain, PREFIX2 has the member PREFIX1 and so on; PREFIX1 has whom the next word names
///   skip user|group ID WHY          hide ID            presence ID out_of_scope|gone|unknown|in_scope
///   renamed ID NAME (members are listed as NAME by now)          listed-error WHY
///   cursor TEXT                     refuses-cursors
///   unreadable CONTAINER            broken WHY         error unauthorized|unavailable|invalid WHY      verify-error WHY
std::string World::directory(const Words&, const std::vector<std::string>& input) {
  directory_.clear();
  directory_.verified = 0;
  for (const auto& line : input) {
    const auto words = split(line, ' ');
    const auto& what = words.at(0);
    if (what == "user") {
      auto user = ScriptedDirectory::person(words.at(1));
      std::string ou = "people";
      for (const auto& word : words) {
        const auto pair = setting(word);
        if (!pair) continue;
        if (pair->first == "username") user.username = pair->second;
        if (pair->first == "email") user.email = pair->second;
        if (pair->first == "ou") ou = pair->second;
        if (pair->first == "ref") user.references = {"id:" + pair->second};
        if (pair->first == "disabled") user.enabled = false, user.disabled_reason = pair->second;
      }
      user.entry = "uid=" + user.username + ",ou=" + ou + ",dc=acme";
      directory_.users.push_back(user);
    } else if (what == "users") {
      const auto count = std::stoi(words.at(2));
      for (int at = 1; at <= count; ++at) {
        auto user = ScriptedDirectory::person(words.at(1) + std::to_string(at));
        if (words.size() > 3) user.entry = "uid=" + user.username + "," + words[3] + ",dc=acme";
        directory_.users.push_back(user);
      }
    } else if (what == "group") {
      auto group = ScriptedDirectory::team(words.at(1), {});
      for (const auto& word : words) {
        const auto pair = setting(word);
        if (!pair) continue;
        if (pair->first == "name") group.record.name = pair->second;
        if (pair->first == "complete") group.complete = pair->second != "no";
        if (pair->first == "ref") group.record.references = {"id:" + pair->second};
        if (pair->first != "members") continue;
        for (const auto& member : split(pair->second, ',')) {
          const auto dots = member.find("..");
          if (dots == std::string::npos) {
            group.members.push_back("id:" + member);
            continue;
          }
          const auto digits = member.find_first_of("0123456789");
          const auto last = std::stoi(member.substr(dots + 2));
          for (int at = std::stoi(member.substr(digits)); at <= last; ++at)
            group.members.push_back("id:" + member.substr(0, digits) + std::to_string(at));
        }
      }
      directory_.groups.push_back(group);
    } else if (what == "groups") {
      const auto count = std::stoi(words.at(2));
      for (int at = 1; at <= count; ++at)
        directory_.groups.push_back(
            ScriptedDirectory::team(words.at(1) + std::to_string(at), {at == 1 ? words.at(3) : words.at(1) + std::to_string(at - 1)}));
    } else if (what == "renamed") {
      directory_.renamed[words.at(1)] = "id:" + words.at(2);
    } else if (what == "listed-error") {
      directory_.listed_error = Error{.code = Errc::Unavailable, .what = rest_of(line, 1), .slug = {}};
    } else if (what == "skip") {
      directory_.skipped.push_back({.type = words.at(1) == "user" ? PrincipalType::User : PrincipalType::Group,
                                    .id = {words.at(2)},
                                    .entry = {},
                                    .reason = rest_of(line, 3)});
    } else if (what == "hide") {
      directory_.hidden.insert(words.at(1));
      directory_.presence.emplace(words.at(1), Present::Gone);  // what may not be read is said not to be there
    } else if (what == "presence") {
      const auto& said = words.at(2);
      directory_.presence[words.at(1)] = said == "out_of_scope" ? Present::OutOfScope
                                         : said == "unknown"    ? Present::Unknown
                                         : said == "in_scope"   ? Present::InScope
                                                                : Present::Gone;
    } else if (what == "unreadable") {
      directory_.unreadable.insert(words.at(1));
    } else if (what == "broken") {
      directory_.broken = rest_of(line, 1);
    } else if (what == "error") {
      const auto& code = words.at(1);
      directory_.read_error = Error{.code = code == "unauthorized" ? Errc::Unauthorized
                                            : code == "invalid"    ? Errc::InvalidInput
                                                                   : Errc::Unavailable,
                                    .what = rest_of(line, 2),
                                    .slug = {}};
    } else if (what == "cursor") {
      directory_.cursor = words.at(1);
    } else if (what == "refuses-cursors") {
      directory_.refuses_cursors = true;
    } else if (what == "verify-error") {
      directory_.verify_error = Error{.code = Errc::Unavailable, .what = rest_of(line, 1), .slug = {}};
    } else {
      throw std::runtime_error("unknown line of a directory: " + line);
    }
  }
  return "";
}

/// source [guard=PERCENT,FLOOR,CEILING] [scope=TEXT] [settings=TEXT]; lines: map PATTERN ROLE [NAMESPACE]   ("map none" removes all)
std::string World::source(const Words& words, const std::vector<std::string>& input) {
  NewSource changed{.name = source_.name,
                    .type = source_.type,
                    .enabled = true,
                    .settings = source_.settings,
                    .schedule = source_.schedule,
                    .guard = source_.guard,
                    .role_mappings = source_.role_mappings};
  for (const auto& word : words) {
    const auto pair = setting(word);
    if (!pair) continue;
    if (pair->first == "scope") fingerprints_.scope = pair->second;
    if (pair->first == "settings") fingerprints_.cursor = pair->second;
    if (pair->first == "guard") {
      const auto numbers = split(pair->second, ',');
      changed.guard = {.percent = std::stod(numbers.at(0)),
                       .floor = static_cast<std::uint32_t>(std::stoul(numbers.at(1))),
                       .ceiling = static_cast<std::uint32_t>(std::stoul(numbers.at(2)))};
    }
  }
  if (!input.empty()) changed.role_mappings.clear();
  for (const auto& line : input) {
    const auto rule = split(line, ' ');
    if (rule.at(0) != "map") throw std::runtime_error("unknown line of a source: " + line);
    if (rule.at(1) == "none") continue;
    changed.role_mappings.push_back(
        {.group = rule.at(1), .role = rule.at(2), .ns = rule.size() > 3 ? std::optional(rule[3]) : std::nullopt});
  }
  source_ = must(store_->change_source(tenant_, source_.id, changed, 0, actor_)).value;
  return "";
}

std::string World::execute() {
  auto work = must(store_->claim("scenario", Millis{60'000}, clock_.now()));
  if (!work) return "nothing to do\n";
  last_run_ = work->run.id;
  ScriptedConnector connector(directory_);
  sync::RunControl control;
  const auto finished = engine_->run(*work, connector, fingerprints_, control, {});
  if (!finished.recorded) return "not recorded: " + finished.end.detail + "\n";
  return told(must(store_->run(tenant_, last_run_)));
}

std::string World::told(const Run& run) {
  std::string out(name_of(run.outcome));
  if (!run.reason.empty()) out += " " + run.reason;
  if (!run.detail.empty()) {
    auto detail = run.detail;
    for (std::size_t at = 0; (at = detail.find("run_")) != std::string::npos || (at = detail.find("grp_")) != std::string::npos;)
      detail.replace(at, 17, "<id>");  // ids differ from one database to the next
    out += ": " + detail;
  }
  out += "\n";
  if (run.plan && !counted(run.plan->counts).empty()) out += "  " + counted(run.plan->counts) + "\n";
  for (const auto& notice : run.notices) out += fmt::format("  {} x{}: {}\n", notice.code, notice.count, notice.text);
  return out;
}

std::string World::sync(const Words& words) {
  bool dry_run = false, automatic = false;
  for (const auto& word : words) dry_run = dry_run || word == "--dry-run", automatic = automatic || word == "--auto";
  must(store_->request_run(tenant_, source_.id, automatic ? RunMode::Auto : RunMode::Full, dry_run, actor_));
  return execute();
}

std::string World::approve(const Words& words) {
  for (const auto& status : must(store_->status(tenant_))) {
    if (!status.held) continue;
    const auto hash = words.size() > 1 ? words[1] : status.held->plan->hash;
    const auto queued = store_->approve_run(tenant_, status.held->id, hash, actor_);
    if (!queued) return "refused " + queued.error().slug + "\n";
    return execute();
  }
  return "nothing is held\n";
}

std::string World::discard() {
  for (const auto& status : must(store_->status(tenant_)))
    if (status.held) {
      must(store_->discard_run(tenant_, status.held->id, actor_));
      return "discarded\n";
    }
  return "nothing is held\n";
}

std::string World::number(const Principal& principal) {
  const auto found = numbers_.try_emplace(principal, static_cast<int>(numbers_.size()) + 1).first;
  return "#" + std::to_string(found->second);
}

std::string World::name(const Principal& principal) {
  if (principal.type == PrincipalType::Group) return must(store_->group(tenant_, text(principal))).name;
  return must(store_->user(tenant_, text(principal))).username;
}

/// By stable id, or by name for what is local.
PrincipalId World::find(PrincipalType type, const std::string& name) {
  if (type == PrincipalType::User) {
    for (const auto& user : must(store_->users(tenant_, {.limit = 1000, .cursor = {}, .query = {}})).items)
      if (user.external_id == name || (!user.source && user.username == name)) return user.id;
  } else {
    for (const auto& group : must(store_->groups(tenant_, {.limit = 1000, .cursor = {}, .query = {}})).items)
      if (group.external_id == name || (!group.source && group.name == name)) return group.id;
  }
  throw std::runtime_error("nobody is called " + name);
}

std::string World::users() {
  std::vector<std::pair<std::string, User>> all;
  for (auto& user : must(store_->users(tenant_, {.limit = 1000, .cursor = {}, .query = {}})).items)
    if (user.source) all.emplace_back(user.external_id, user);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  if (all.size() > 20) {
    std::size_t active = 0;
    for (const auto& [id, user] : all) active += user.active() ? 1 : 0;
    return fmt::format("{} users, {} active\n", all.size(), active);
  }
  std::string out;
  for (const auto& [id, user] : all) {
    std::string state = user.active() ? "active" : "suspended";
    if (user.admin_suspended) state += " by an administrator";
    if (user.source_suspended != Leaving::None) state += fmt::format(" {}", name_of(user.source_suspended));
    out += fmt::format("{} {} {} {} {}\n", id, number({.type = PrincipalType::User, .id = user.id}), user.username,
                       user.email.value_or("-"), state);
  }
  return out.empty() ? "none\n" : out;
}

std::string World::groups() {
  std::vector<std::pair<std::string, Group>> all;
  for (auto& group : must(store_->groups(tenant_, {.limit = 1000, .cursor = {}, .query = {}})).items)
    if (group.source) all.emplace_back(group.external_id, group);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string out;
  for (const auto& [id, group] : all)
    out += fmt::format("{} {} {} {}\n", id, number({.type = PrincipalType::Group, .id = group.id}), group.name,
                       group.source_suspended == Leaving::None ? "active" : fmt::format("suspended {}", name_of(group.source_suspended)));
  return out.empty() ? "none\n" : out;
}

std::string World::members(const std::string& group) {
  std::vector<std::string> lines;
  std::string cursor;
  do {
    auto page = must(store_->members(tenant_, find(PrincipalType::Group, group), {.limit = 1000, .cursor = cursor, .query = {}}));
    for (const auto& member : page.items) lines.push_back(fmt::format("{}{}", member.name, member.source ? "" : " (local)"));
    cursor = page.next;
  } while (!cursor.empty());
  if (lines.size() > 20) return fmt::format("{} members\n", lines.size());
  return joined(lines);
}

std::string World::bindings() {
  std::map<RoleId, std::string> roles;
  for (const auto& role : must(store_->roles(tenant_))) roles.emplace(role.id, role.name);
  std::vector<std::string> lines;
  for (const auto& binding : must(store_->bindings(tenant_)))
    lines.push_back(fmt::format("{} {} to {}{}", name_of(binding.principal.type), name(binding.principal), roles[binding.role],
                                binding.ns ? " in " + *binding.ns : "") +
                    (binding.source ? " (mapped)" : ""));
  return joined(lines);
}

/// bind user|group ID ROLE [NAMESPACE]
std::string World::bind(const Words& words) {
  const auto type = words.at(1) == "user" ? PrincipalType::User : PrincipalType::Group;
  for (const auto& role : must(store_->roles(tenant_)))
    if (role.name == words.at(3))
      must(store_->create_binding(tenant_,
                                  {.role = role.id,
                                   .principal = {.type = type, .id = find(type, words.at(2))},
                                   .ns = words.size() > 4 ? std::optional(words[4]) : std::nullopt,
                                   .expires_at = std::nullopt},
                                  actor_));
  return "";
}

/// local user NAME · local group NAME · local member GROUP USER · local unbind NAME
std::string World::local(const Words& words) {
  if (words.at(1) == "user") {
    UserRecord user;
    user.username = words.at(2);
    must(store_->create_user(tenant_, user, actor_));
  } else if (words.at(1) == "group") {
    must(store_->create_group(tenant_, {.name = words.at(2)}, actor_));
  } else if (words.at(1) == "member") {
    must(store_->add_member(tenant_, find(PrincipalType::Group, words.at(2)),
                            {.type = PrincipalType::User, .id = find(PrincipalType::User, words.at(3))}, actor_));
  } else if (words.at(1) == "unbind-creator") {
    const auto creator = must(store_->linked_user(tenant_, admin_));
    for (const auto& binding : must(store_->bindings(tenant_)))
      if (creator && binding.principal.id == *creator) must(store_->delete_binding(tenant_, binding.id, false, actor_));
  }
  return "";
}

std::string World::suspend(const std::string& name, bool suspended) {
  must(store_->set_user_suspended(tenant_, find(PrincipalType::User, name), suspended, actor_));
  return "";
}

/// check USER PERMISSION ACTION [NAMESPACE]: USER is a stable id
std::string World::check(const Words& words) {
  const auto builder = rbac::make_builder(rbac::Catalogue::built_in());
  must(store_->load_authorization(tenant_, *builder));
  const auto snapshot = must(builder->finish());
  const Principal who{.type = PrincipalType::User, .id = find(PrincipalType::User, words.at(1))};
  const auto decision = snapshot->check(who, words.at(2), words.at(3),
                                        words.size() > 4 ? std::optional<std::string_view>(words[4]) : std::nullopt, clock_.now());
  auto out = fmt::format("{}\n", rbac::name_of(decision.reason));
  for (const auto& grant : snapshot->grants(who, clock_.now(), 0)) {
    out += "  " + grant.role_name + (grant.ns ? " in " + *grant.ns : "");
    if (grant.via.size() > 6) {
      out += fmt::format(" via {} groups", grant.via.size());
    } else {
      for (const auto& hop : grant.via) out += " < " + hop.name;
    }
    out += "\n";
  }
  return out;
}

std::string World::changes() {
  std::vector<std::string> lines;
  std::string cursor;
  do {
    auto page = must(store_->changes(tenant_, last_run_, {.limit = 1000, .cursor = cursor, .query = {}}));
    for (const auto& change : page.items)
      lines.push_back(
          fmt::format("{} {}{} {}: {}", name_of(change.type), change.external_id, member_of(change), name_of(change.kind), change.reason));
    cursor = page.next;
  } while (!cursor.empty());
  return joined(lines);
}

std::string World::advance(const std::string& duration) {
  clock_.advance(must(parse_duration(duration)));
  return "";
}

/// What a run may or may not have moved since it was last asked for.
std::string World::status() {
  std::string out;
  for (const auto& status : must(store_->status(tenant_))) {
    const auto state = must(store_->source_state(tenant_, status.source.id));
    out += fmt::format("failures {}, cursor \"{}\", complete read {}, held {}\n", status.failures, state.cursor,
                       status.last_complete_read ? "known" : "never", status.held ? status.held->reason : "nothing");
  }
  const auto revision = must(store_->tenant(tenant_)).revision;
  out += revision_ && *revision_ == revision ? "revision as before\n" : "revision moved\n";
  revision_ = revision;
  return out;
}

/// The cursors that reads have begun with since it was last asked for.
std::string World::cursors() {
  std::string out;
  for (const auto& cursor : std::exchange(directory_.asked_from, {})) out += cursor.empty() ? "from the start\n" : "from " + cursor + "\n";
  return out.empty() ? "none\n" : out;
}

/// Whether the last run's plan has the hash of the one asked about before.
std::string World::plan() {
  const auto run = must(store_->run(tenant_, last_run_));
  const auto hash = run.plan ? run.plan->hash : std::string("none");
  const auto before = std::exchange(plan_, hash);
  return before == hash ? "the same plan as before\n" : "another plan\n";
}

std::string World::asked() { return fmt::format("{} memberships asked for\n", directory_.asked.exchange(0)); }

std::string World::verified() { return fmt::format("{} ids asked for\n", directory_.verified.exchange(0)); }

}  // namespace rosterd::test
