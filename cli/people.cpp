// users, groups, effective: who is there, and what reaches whom.

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/people.hpp"
#include "cli/session.hpp"
#include "cli/words.hpp"

namespace rosterd::cli {
namespace {

using nlohmann::json;

struct PeopleOptions {
  std::string tenant, key, query;
  std::size_t limit = 100;
};

std::string full_name(const json& user) {
  const auto first = text_at(user, "first_name"), last = text_at(user, "last_name");
  return first.empty() || last.empty() ? first + last : first + " " + last;
}

Cell state_cell(const json& object) {
  const auto state = text_at(object, "state");
  return {state, state == "active" ? Colour::Green : Colour::Red};
}

/// "local", or the source's name where it is known, else its id.
std::string origin_of(const json& object, const std::map<std::string, std::string>& sources) {
  const auto id = text_at(object, {"origin", "source"});
  if (id.empty()) return text_at(object, "origin");
  const auto found = sources.find(id);
  return found == sources.end() ? id : found->second;
}

/// Source names by id. Who may not read sources sees their ids.
std::map<std::string, std::string> source_names(Api& api, const std::string& tenant) {
  std::map<std::string, std::string> out;
  const auto sources = api.get(path({"tenants", tenant, "sources"}));
  if (!sources) return out;
  for (const auto& source : list_at(*sources, "items")) out[text_at(source, "id")] = text_at(source, "name");
  return out;
}

Try<int> list_people(Session& session, const PeopleOptions& options, bool groups) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  Query query;
  if (!options.query.empty()) query.emplace_back("q", options.query);
  const auto answer = (*api)->list(path({"tenants", options.tenant, groups ? "groups" : "users"}), query, options.limit);
  if (!answer) return fail(answer.error());
  if (session.json()) {
    session.print_json(*answer);
    return kOk;
  }
  const auto sources = source_names(**api, options.tenant);
  Table table(groups ? std::vector<std::string>{"GROUP", ">MEMBERS", "STATE", "FROM", "ENTRY"}
                     : std::vector<std::string>{"USER", "NAME", "E-MAIL", "STATE", "FROM"});
  for (const auto& item : list_at(*answer, "items")) {
    if (groups)
      table.row({text_at(item, "name"), grouped(number_at(item, {"member_count"})), state_cell(item), origin_of(item, sources),
                 text_at(item, "entry")});
    else
      table.row({text_at(item, "username"), full_name(item), text_at(item, "email"), state_cell(item), origin_of(item, sources)});
  }
  session.print(table, fmt::format("No {} {}.", groups ? "groups" : "users",
                                   options.query.empty() ? "in tenant " + options.tenant : "whose name begins with " + options.query));
  if (!text_at(*answer, "next").empty())
    session.note(fmt::format("Only the first {} are shown; --limit 0 shows all, --query narrows down.", options.limit));
  return kOk;
}

Try<int> show_person(Session& session, const PeopleOptions& options, bool group) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  auto object = (*api)->get(path({"tenants", options.tenant, group ? "groups" : "users", options.key}));
  if (!object) return fail(object.error());
  if (session.json()) {
    session.print_json(*object);
    return kOk;
  }
  const auto sources = source_names(**api, options.tenant);
  Sheet sheet;
  sheet.line(group ? "group" : "user", text_at(*object, group ? "name" : "username"));
  sheet.line("id", text_at(*object, "id"));
  if (!group) sheet.line("name", full_name(*object));
  sheet.line("e-mail", text_at(*object, "email"));
  sheet.line("description", text_at(*object, "description"));
  sheet.line("state", state_cell(*object));
  sheet.line("why", text_at(*object, "state_reason"));
  sheet.line("from", origin_of(*object, sources));
  sheet.line("entry", text_at(*object, "entry"));
  sheet.line("stable id", text_at(*object, "external_id"));
  sheet.line("account", text_at(*object, "account"));
  if (group) sheet.line("members", grouped(number_at(*object, {"member_count"})));
  if (!group) {
    const auto memberships = (*api)->get(path({"tenants", options.tenant, "users", options.key, "groups"}));
    if (memberships) {
      std::vector<std::string> names;
      for (const auto& item : list_at(*memberships, "items")) names.push_back(text_at(item, "name"));
      sheet.line("member of", joined(names, ", "));
    }
  }
  session.print(sheet);
  return kOk;
}

Try<int> list_members(Session& session, const PeopleOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto members = (*api)->list(path({"tenants", options.tenant, "groups", options.key, "members"}), {}, options.limit);
  if (!members) return fail(members.error());
  if (session.json()) {
    session.print_json(*members);
    return kOk;
  }
  const auto sources = source_names(**api, options.tenant);
  Table table({"MEMBER", "TYPE", "STATE", "FROM"});
  for (const auto& member : list_at(*members, "items"))
    table.row({text_at(member, "name"), text_at(member, "type"), state_cell(member), origin_of(member, sources)});
  session.print(table, fmt::format("Group {} has no members.", options.key));
  if (!text_at(*members, "next").empty()) session.note(fmt::format("Only the first {} are shown; --limit 0 shows all.", options.limit));
  return kOk;
}

/// {"FLOW": ["READ"]} -> "FLOW: READ".
std::string pairs_of(const json& permissions) {
  if (!permissions.is_object()) return permissions.is_string() ? "every permission" : "";
  std::vector<std::string> parts;
  for (const auto& [permission, actions] : permissions.items()) {
    std::vector<std::string> names;
    for (const auto& action : actions)
      if (action.is_string()) names.push_back(action.get<std::string>());
    parts.push_back(permission + ": " + joined(names, " "));
  }
  return joined(parts, "; ");
}

}  // namespace

/// Under each grant, one line per step of its chain: which group, and which entry of which source made the user (or group) a member.
std::string grant_text(const json& grant, const std::string& subject, const std::map<std::string, std::string>& sources, bool colours) {
  const auto ns = text_at(grant, "namespace");
  std::string out = painted(harmless(text_at(grant, {"role", "name"})), Colour::Bold, colours) + " in " +
                    (ns.empty() ? "the whole tenant" : painted(harmless(ns), Colour::Cyan, colours) + " and below");
  const auto from =
      text_at(grant, "origin") == "local" ? std::string("bound in rosterd") : "bound by a role mapping of " + origin_of(grant, sources);
  out += painted("  (" + harmless(from) + ")", Colour::Dim, colours);
  if (const auto expires = text_at(grant, "expires_at"); !expires.empty())
    out += painted("  expires " + age_of(expires), Colour::Yellow, colours);
  out += "\n";
  if (list_at(grant, "via").empty()) out += "    directly\n";
  std::string member = subject;
  for (const auto& hop : list_at(grant, "via")) {
    const auto group = harmless(text_at(hop, {"group", "name"}));
    std::vector<std::string> origins;
    for (const auto& origin : list_at(hop, "origins")) {
      if (text_at(origin, "origin") == "local") {
        origins.emplace_back("added in rosterd");
        continue;
      }
      auto name = text_at(origin, "source_name");
      if (name.empty()) name = origin_of(origin, sources);
      const auto entry = text_at(origin, "entry");
      origins.push_back(harmless("source " + name + (entry.empty() ? "" : ", " + entry)));
    }
    if (flag_at(hop, "gone")) origins.emplace_back("ended since this revision");
    out += fmt::format("    {} is a member of {}", member, group) + painted("  " + joined(origins, "; "), Colour::Dim, colours) + "\n";
    member = group;
  }
  return out;
}

namespace {

Try<int> effective(Session& session, const PeopleOptions& options, bool pairs) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto place = path({"tenants", options.tenant, "users", options.key, "effective"});
  auto answer = (*api)->get(place, {{"limit", "1000"}});
  for (std::string next = answer ? text_at(*answer, "next") : ""; !next.empty();) {
    const auto more = (*api)->get(place, {{"limit", "1000"}, {"cursor", next}});
    if (!more) return fail(more.error());
    for (const auto& item : list_at(*more, "items")) (*answer)["items"].push_back(item);
    next = text_at(*more, "next");
    (*answer)["next"] = nullptr;
  }
  if (!answer) return fail(answer.error());
  if (session.json()) {
    session.print_json(*answer);
    return kOk;
  }
  const bool colours = session.colours();
  const auto sources = source_names(**api, options.tenant);
  const auto username = harmless(text_at(*answer, {"user", "username"}));
  const auto count = list_at(*answer, "items").size();
  session.print_line(
      fmt::format("{} in {}: {}, {}", painted(username, Colour::Bold, colours), options.tenant,
                  painted(text_at(*answer, "state"), text_at(*answer, "state") == "active" ? Colour::Green : Colour::Red, colours),
                  plural(count, "grant")));
  if (const auto why = text_at(*answer, "state_reason"); !why.empty())
    session.print_line("suspended, so every check is denied: " + harmless(why), Colour::Red);
  if (flag_at(*answer, "super_admin")) session.print_line("super admin: may manage this tenant without any role", Colour::Yellow);
  for (const auto& grant : list_at(*answer, "items")) {
    session.print(grant_text(grant, username, sources, colours));
    if (pairs && grant.contains("permissions")) session.print_line("    " + harmless(pairs_of(grant["permissions"])), Colour::Dim);
  }
  return kOk;
}

}  // namespace

void add_people(Commands commands) {
  auto* const session = &commands.session;
  auto* const choice = &commands.chosen;
  const auto options = std::make_shared<PeopleOptions>();
  const auto add_list = [&](CLI::App* where, const char* what, bool groups) {
    auto* command = where->add_subcommand("list", what);
    command->add_option("tenant", options->tenant, "Tenant")->required()->type_name("");
    command->add_option("-q,--query", options->query, "Only names (or e-mails) that begin like this")->type_name("TEXT");
    command->add_option("--limit", options->limit, "How many; 0 shows all")->type_name("N");
    command->callback([=] { *choice = [=] { return list_people(*session, *options, groups); }; });
  };
  const auto with_key = [&](CLI::App* where, const char* name, const char* key, const char* what) {
    auto* command = where->add_subcommand(name, what);
    command->add_option("tenant", options->tenant, "Tenant")->required()->type_name("");
    command->add_option(key, options->key, std::string(key) == "user" ? "User: name, e-mail or id" : "Group: name or id")
        ->required()
        ->type_name("");
    return command;
  };

  auto* users = commands.app.add_subcommand("users", "A tenant's users");
  users->require_subcommand(1);
  add_list(users, "List users", false);
  with_key(users, "show", "user", "Show one user")->callback([=] { *choice = [=] { return show_person(*session, *options, false); }; });

  auto* groups = commands.app.add_subcommand("groups", "A tenant's groups and their members");
  groups->require_subcommand(1);
  add_list(groups, "List groups", true);
  with_key(groups, "show", "group", "Show one group")->callback([=] { *choice = [=] { return show_person(*session, *options, true); }; });
  auto* members = with_key(groups, "members", "group", "List a group's direct members");
  members->add_option("--limit", options->limit, "How many; 0 shows all")->type_name("N");
  members->callback([=] { *choice = [=] { return list_members(*session, *options); }; });

  const auto pairs = std::make_shared<bool>(false);
  auto* command =
      with_key(&commands.app, "effective", "user", "Show which roles a user has, and through which groups, sources and entries");
  command->add_flag("--permissions", *pairs, "Also list what each role permits");
  command->callback([=] { *choice = [=] { return effective(*session, *options, *pairs); }; });
}

}  // namespace rosterd::cli
