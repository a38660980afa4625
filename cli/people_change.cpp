// users and groups: create, edit, suspend, delete, link, members. The listing halves are in people.cpp.

#include <CLI/CLI.hpp>

#include "cli/change.hpp"
#include "cli/words.hpp"

namespace rosterd::cli {
namespace {

using nlohmann::json;

struct ChangeOptions {
  std::string tenant, key, account;
  std::optional<std::string> name, email, first_name, last_name, description;
  std::vector<std::string> members;
  bool force = false, yes = false;
};

Query forced(const ChangeOptions& options) { return options.force ? Query{{"force", "true"}} : Query{}; }

/// An empty text on the command line takes a value away.
void put_optional(json& body, const char* field, const std::optional<std::string>& value) {
  if (value) body[field] = value->empty() ? json(nullptr) : json(*value);
}

json person_fields(const ChangeOptions& options) {
  json body = json::object();
  put_optional(body, "email", options.email);
  put_optional(body, "first_name", options.first_name);
  put_optional(body, "last_name", options.last_name);
  return body;
}

Try<int> create_user(Session& session, const ChangeOptions& options) {
  if (options.key.empty() == options.account.empty())
    return fail_with_advice(kUsage, "a user is made of a name or of an account", "give USERNAME, or --account ACCOUNT");
  const auto api = session.api();
  if (!api) return fail(api.error());
  auto body = options.account.empty() ? person_fields(options) : json{{"account", options.account}};
  if (options.account.empty()) body["username"] = options.key;
  const auto made = (*api)->post(path({"tenants", options.tenant, "users"}), body);
  return told(session, made, made ? fmt::format("user {} created: {}", text_at(*made, "username"), text_at(*made, "id")) : "");
}

Try<int> edit_user(Session& session, const ChangeOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  auto body = person_fields(options);
  if (options.name) body["username"] = *options.name;
  if (body.empty()) return fail_with_advice(kUsage, "there is nothing to change", "name what is to change, such as --email");
  const auto done = (*api)->patch(path({"tenants", options.tenant, "users", options.key}), body);
  return told(session, done, fmt::format("user {} changed", options.key));
}

Try<int> set_state(Session& session, const ChangeOptions& options, bool suspended) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto done = (*api)->patch(path({"tenants", options.tenant, "users", options.key}), {{"state", suspended ? "suspended" : "active"}},
                                  forced(options));
  if (!done) return fail(done.error());
  const auto state = text_at(*done, "state");
  if (!suspended && state != "active" && !session.json())
    session.note("The administrator's mark is gone, but the source still suspends this user: " + text_at(*done, "state_reason"));
  return told(session, done, fmt::format("user {} is {}", options.key, state));
}

Try<int> delete_person(Session& session, const ChangeOptions& options, bool group) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto what = group ? "groups" : "users";
  const auto asked = sure(session, options.yes,
                          group ? fmt::format("Deleting group {} takes the rights it gave; its members stay.", options.key)
                                : fmt::format("Deleting user {} takes its memberships and bindings.", options.key),
                          options.key);
  if (!asked) return fail(asked.error());
  const auto gone = (*api)->remove(path({"tenants", options.tenant, what, options.key}), forced(options));
  return told(session, gone, fmt::format("{} {} is deleted", group ? "group" : "user", options.key));
}

Try<int> link(Session& session, const ChangeOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto done = (*api)->put(path({"tenants", options.tenant, "users", options.key, "account"}), {{"account", options.account}}, "");
  return told(session, done, fmt::format("user {} is linked to account {}", options.key, options.account));
}

Try<int> unlink(Session& session, const ChangeOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto done = (*api)->remove(path({"tenants", options.tenant, "users", options.key, "account"}));
  return told(session, done, fmt::format("user {} is linked to no account", options.key));
}

Try<int> create_group(Session& session, const ChangeOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  json body = {{"name", options.key}};
  put_optional(body, "description", options.description);
  const auto made = (*api)->post(path({"tenants", options.tenant, "groups"}), body);
  return told(session, made, made ? fmt::format("group {} created: {}", text_at(*made, "name"), text_at(*made, "id")) : "");
}

Try<int> edit_group(Session& session, const ChangeOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  json body = json::object();
  if (options.name) body["name"] = *options.name;
  put_optional(body, "description", options.description);
  if (body.empty()) return fail_with_advice(kUsage, "there is nothing to change", "name what is to change: --name, --description");
  const auto done = (*api)->patch(path({"tenants", options.tenant, "groups", options.key}), body);
  return told(session, done, fmt::format("group {} changed", options.key));
}

/// One request a member, so that each is judged and told by itself.
Try<int> change_members(Session& session, const ChangeOptions& options, bool add) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  for (const auto& member : options.members) {
    const auto place = path({"tenants", options.tenant, "groups", options.key, "members", principal_key(member)});
    const auto done = add ? (*api)->put(place, json::object(), "") : (*api)->remove(place, forced(options));
    if (!done) return fail(done.error());
    const bool is_new = !add || (*api)->status() == 201;
    if (!session.json())
      session.print_line(fmt::format("{} {} {}", harmless(member),
                                     add ? (is_new ? "is a member of" : "was a member already of") : "is no local member any more of",
                                     harmless(options.key)));
  }
  if (session.json()) session.print_json(json{{"group", options.key}, {add ? "added" : "removed", options.members}});
  return kOk;
}

}  // namespace

void add_people_changes(Commands commands) {
  auto* const session = &commands.session;
  auto* const choice = &commands.chosen;
  const auto options = std::make_shared<ChangeOptions>();
  const auto make = [&](CLI::App* where, const char* name, const char* what, const char* key, bool required) {
    auto* command = where->add_subcommand(name, what);
    command->add_option("tenant", options->tenant, "Tenant")->required()->type_name("");
    command->add_option(key, options->key, std::string(key) == "username" ? "Name of the new user" : "Name or id")
        ->required(required)
        ->type_name("");
    return command;
  };
  const auto on = [&](CLI::App* command, auto verb) { command->callback([=] { *choice = [=] { return verb(*session, *options); }; }); };
  const auto person = [&](CLI::App* command) {
    command->add_option("--email", options->email, "E-mail address; empty takes it away")->type_name("EMAIL");
    command->add_option("--first-name", options->first_name, "First name")->type_name("NAME");
    command->add_option("--last-name", options->last_name, "Last name")->type_name("NAME");
  };
  const auto force = [&](CLI::App* command) {
    command->add_flag("--force", options->force, "Also when no active Admin would be left (super admins)");
    return command;
  };

  auto* users = commands.app.get_subcommand("users");
  auto* create = make(users, "create", "Create a local user", "username", false);
  person(create);
  create->add_option("--account", options->account, "Make it of this account (id or e-mail) and link the two")->type_name("ACCOUNT");
  on(create, create_user);
  auto* edit = make(users, "edit", "Change a local user", "user", true);
  edit->add_option("--username", options->name, "New name")->type_name("NAME");
  person(edit);
  on(edit, edit_user);
  on(force(make(users, "suspend", "Deny every check of a user; nothing is taken away", "user", true)),
     [](Session& s, const ChangeOptions& o) { return set_state(s, o, true); });
  on(make(users, "resume", "Let a suspended user go on", "user", true),
     [](Session& s, const ChangeOptions& o) { return set_state(s, o, false); });
  auto* remove = force(make(users, "delete", "Delete a local user", "user", true));
  remove->add_flag("--yes", options->yes, "Do not ask");
  on(remove, [](Session& s, const ChangeOptions& o) { return delete_person(s, o, false); });
  auto* linking = make(users, "link", "Link a user to an account, whose owner is that user then", "user", true);
  linking->add_option("account", options->account, "Account: id or e-mail")->required()->type_name("");
  on(linking, link);
  on(make(users, "unlink", "Take the link to an account away", "user", true), unlink);

  auto* groups = commands.app.get_subcommand("groups");
  auto* new_group = make(groups, "create", "Create a local group", "group", true);
  new_group->add_option("--description", options->description, "What it is for")->type_name("TEXT");
  on(new_group, create_group);
  auto* edited = make(groups, "edit", "Change a local group", "group", true);
  edited->add_option("--name", options->name, "New name")->type_name("NAME");
  edited->add_option("--description", options->description, "What it is for; empty takes it away")->type_name("TEXT");
  on(edited, edit_group);
  auto* gone = force(make(groups, "delete", "Delete a local group with the rights it gives", "group", true));
  gone->add_flag("--yes", options->yes, "Do not ask");
  on(gone, [](Session& s, const ChangeOptions& o) { return delete_person(s, o, true); });
  for (const bool add : {true, false}) {
    auto* command =
        make(groups, add ? "add" : "remove", add ? "Add members to a group" : "Take local members out of a group", "group", true);
    command->add_option("members", options->members, "ada (a user), group:NAME or service_account:NAME")->required()->type_name("");
    if (!add) force(command);
    on(command, [add](Session& s, const ChangeOptions& o) { return change_members(s, o, add); });
  }
}

}  // namespace rosterd::cli
