// accounts, me, passwd, invitations: people at instance level, oneself, and how people come into a tenant.

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/session.hpp"
#include "cli/words.hpp"

namespace rosterd::cli {
namespace {

using nlohmann::json;

struct AccountFields {
  std::string key, email, first_name, last_name, query, subject;
  bool no_identity = false;
  bool super_admin = false, with_password = false, password_stdin = false, yes = false;
  std::size_t limit = 100;
};

std::string name_of(const json& account) {
  const auto first = text_at(account, "first_name"), last = text_at(account, "last_name");
  return first.empty() || last.empty() ? first + last : first + " " + last;
}

Cell state_of(const json& account) {
  if (!flag_at(account, "enabled")) return {"disabled", Colour::Red};
  if (!text_at(account, "locked_until").empty()) return {"locked", Colour::Yellow};
  return {"enabled", Colour::Green};
}

void show(const Session& session, const json& account) {
  Sheet sheet;
  sheet.line("account", text_at(account, "email"));
  sheet.line("id", text_at(account, "id"));
  sheet.line("name", name_of(account));
  sheet.line("state", state_of(account));
  sheet.line("locked until", text_at(account, "locked_until"));
  sheet.line("super admin", flag_at(account, "super_admin") ? "yes" : "no");
  sheet.line("password", !flag_at(account, "has_password")          ? "none"
                         : flag_at(account, "must_change_password") ? "to be changed at the next sign-in"
                                                                    : "set");
  if (account.contains("preferences"))
    for (const auto& [name, value] : account["preferences"].items())
      sheet.line(name, value.is_string() ? value.get<std::string>() : value.dump());
  session.print(sheet);
}

/// A new password: twice on a terminal, once from standard input.
Try<std::string> new_password(const Session& session, bool from_stdin) {
  const auto password = session.password("new password", from_stdin);
  if (!password || from_stdin || !session.world().in_is_terminal) return password;
  const auto again = session.password("the same again", false);
  if (!again) return again;
  if (*password != *again) return fail(kUsage, "the two are not the same; nothing was changed");
  return password;
}

/// Prints what a call about one account answered.
Try<int> answered(Session& session, const Try<json>& account, std::string_view note) {
  if (!account) return fail(account.error());
  if (session.json())
    session.print_json(*account);
  else
    session.note(fmt::format("{} {}", text_at(*account, "email"), note));
  return kOk;
}

Try<int> list_accounts(Session& session, const AccountFields& fields) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  Query query;
  if (!fields.query.empty()) query.emplace_back("q", fields.query);
  const auto answer = (*api)->list(path({"accounts"}), query, fields.limit);
  if (!answer) return fail(answer.error());
  if (session.json()) {
    session.print_json(*answer);
    return kOk;
  }
  Table table({"E-MAIL", "NAME", "STATE", "SUPER ADMIN", "ID"});
  for (const auto& account : list_at(*answer, "items"))
    table.row({text_at(account, "email"), name_of(account), state_of(account), flag_at(account, "super_admin") ? "yes" : "",
               text_at(account, "id")});
  session.print(table, "No accounts.");
  if (!text_at(*answer, "next").empty()) session.note(fmt::format("Only the first {} are shown; --limit 0 shows all.", fields.limit));
  return kOk;
}

Try<int> show_account(Session& session, const AccountFields& fields) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto account = (*api)->get(path({"accounts", fields.key}));
  if (!account) return fail(account.error());
  if (session.json())
    session.print_json(*account);
  else
    show(session, *account);
  return kOk;
}

Try<int> create_account(Session& session, const AccountFields& fields) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  json body = {{"email", fields.email}};
  if (!fields.first_name.empty()) body["first_name"] = fields.first_name;
  if (!fields.last_name.empty()) body["last_name"] = fields.last_name;
  if (fields.super_admin) body["super_admin"] = true;
  if (fields.with_password || fields.password_stdin) {
    const auto password = new_password(session, fields.password_stdin);
    if (!password) return fail(password.error());
    body["password"] = *password;
  }
  return answered(session, (*api)->post(path({"accounts"}), body), "is made.");
}

Try<int> patch_account(Session& session, const std::string& key, const json& body, std::string_view note) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  return answered(session, (*api)->patch(path({"accounts", key}), body), note);
}

Try<int> edit_account(Session& session, const AccountFields& fields) {
  json body = json::object();
  if (!fields.email.empty()) body["email"] = fields.email;
  if (!fields.first_name.empty()) body["first_name"] = fields.first_name;
  if (!fields.last_name.empty()) body["last_name"] = fields.last_name;
  if (body.empty()) return fail(kUsage, "nothing to change: give --email, --first-name or --last-name");
  return patch_account(session, fields.key, body, "is changed.");
}

Try<int> delete_account(Session& session, const AccountFields& fields) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto account = (*api)->get(path({"accounts", fields.key}));
  if (!account) return fail(account.error());
  const auto email = text_at(*account, "email");
  if (!fields.yes) {
    const auto sure = session.confirm(
        fmt::format("This deletes the account {} with its tokens for good; its users in tenants stay, without it.", harmless(email)),
        email);
    if (!sure) return fail(sure.error());
  }
  const auto gone = (*api)->remove(path({"accounts", fields.key}));
  if (!gone) return fail(gone.error());
  session.note(fmt::format("{} is deleted.", harmless(email)));
  return kOk;
}

Try<int> reset_password(Session& session, const AccountFields& fields) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto password = new_password(session, fields.password_stdin);
  if (!password) return fail(password.error());
  return answered(session, (*api)->put(path({"accounts", fields.key, "password"}), {{"password", *password}}, ""),
                  "has a new password, to be changed at the next sign-in.");
}

Try<int> switch_super_admin(Session& session, const AccountFields& fields, bool granted) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto where = path({"accounts", fields.key, "super-admin"});
  return answered(session, granted ? (*api)->put(where, json::object(), "") : (*api)->remove(where),
                  granted ? "is a super admin." : "is no super admin any more.");
}

Try<int> unlock(Session& session, const AccountFields& fields) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  return answered(session, (*api)->post(path({"accounts", fields.key, "unlock"}), json::object()), "may sign in again.");
}

/// Who the account is at the issuer that accounts sign in through.
Try<int> identity(Session& session, const AccountFields& fields) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto where = path({"accounts", fields.key, "identity"});
  if (fields.no_identity) {
    const auto gone = (*api)->remove(where);
    if (!gone) return fail(gone.error());
    session.note("The account has no identity at the issuer any more.");
    return kOk;
  }
  const auto shown = fields.subject.empty() ? (*api)->get(where) : (*api)->put(where, {{"subject", fields.subject}}, "");
  if (!shown) return fail(shown.error());
  if (session.json()) {
    session.print_json(*shown);
    return kOk;
  }
  const auto subject = text_at(*shown, "subject");
  Sheet sheet;
  sheet.line("issuer", text_at(*shown, "issuer"));
  sheet.line("subject", subject.empty() ? "none; --subject gives one" : subject);
  session.print(sheet);
  return kOk;
}

struct OwnFields {
  std::string first_name, last_name;
  std::vector<std::string> preferences;
  bool password_stdin = false;
};

/// "timezone=Europe/Berlin"; the value is JSON where it reads as such, else a text; an empty one takes the preference away.
Try<json> preferences_of(const std::vector<std::string>& given) {
  json out = json::object();
  for (const auto& one : given) {
    const auto equals = one.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(kUsage, "'{}' is no preference; write NAME=VALUE, such as timezone=Europe/Berlin", one);
    const auto value = one.substr(equals + 1);
    auto parsed = json::parse(value, nullptr, false);
    out[one.substr(0, equals)] = value.empty() ? json(nullptr) : parsed.is_discarded() ? json(value) : std::move(parsed);
  }
  return out;
}

Try<int> me(Session& session, const OwnFields& fields) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  json body = json::object();
  if (!fields.first_name.empty()) body["first_name"] = fields.first_name;
  if (!fields.last_name.empty()) body["last_name"] = fields.last_name;
  if (!fields.preferences.empty()) {
    auto preferences = preferences_of(fields.preferences);
    if (!preferences) return fail(preferences.error());
    body["preferences"] = std::move(*preferences);
  }
  const auto account = body.empty() ? (*api)->get(path({"me"})) : (*api)->patch(path({"me"}), body);
  if (!account) return fail(account.error());
  if (session.json())
    session.print_json(*account);
  else
    show(session, *account);
  return kOk;
}

/// Two lines on standard input where nobody is asked: the old password, then the new one.
Try<int> change_password(Session& session, bool from_stdin) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto account = (*api)->get(path({"me"}));
  if (!account) return fail(account.error());
  json body = json::object();
  if (flag_at(*account, "has_password")) {
    const auto old = session.password("old password", from_stdin);
    if (!old) return fail(old.error());
    body["old"] = *old;
  }
  const auto fresh = new_password(session, from_stdin);
  if (!fresh) return fail(fresh.error());
  body["new"] = *fresh;
  const auto done = (*api)->put(path({"me", "password"}), body, "");
  if (!done) return fail(done.error());
  session.note("The password is changed; other sessions have ended.");
  return kOk;
}

struct InvitationFields {
  std::string tenant, id, email, expires_at, token_file, first_name, last_name;
  std::vector<std::string> roles, groups;
  bool make_account = false;
};

Try<int> list_invitations(Session& session, const InvitationFields& fields) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto answer = (*api)->list(path({"tenants", fields.tenant, "invitations"}));
  if (!answer) return fail(answer.error());
  if (session.json()) {
    session.print_json(*answer);
    return kOk;
  }
  Table table({"E-MAIL", "STATE", "EXPIRES", "ID"});
  for (const auto& one : list_at(*answer, "items")) {
    const auto state = text_at(one, "state");
    table.row({text_at(one, "email"),
               {state, state == "PENDING"    ? Colour::Yellow
                       : state == "ACCEPTED" ? Colour::Green
                                             : Colour::Dim},
               age_of(text_at(one, "expires_at")),
               text_at(one, "id")});
  }
  session.print(table, fmt::format("Nobody is invited to tenant {}.", fields.tenant));
  return kOk;
}

Try<int> invite(Session& session, const InvitationFields& fields) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  json body = {{"email", fields.email}, {"roles", json::array()}, {"groups", fields.groups}};
  for (const auto& role : fields.roles) {
    const auto at = role.find('@');
    body["roles"].push_back(
        {{"role", role.substr(0, at)}, {"namespace", at == std::string::npos ? json(nullptr) : json(role.substr(at + 1))}});
  }
  if (!fields.expires_at.empty()) body["expires_at"] = fields.expires_at;
  const auto made = (*api)->post(path({"tenants", fields.tenant, "invitations"}), body);
  if (!made) return fail(made.error());
  if (session.json()) {
    session.print_json(*made);
    return kOk;
  }
  const auto link = text_at(*made, "link");
  session.note(fmt::format("Hand this to {}; it is shown this once.", harmless(fields.email)));
  session.print_line(link.empty() ? text_at(*made, "token") : link);
  return kOk;
}

Try<int> revoke(Session& session, const InvitationFields& fields) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto gone = (*api)->remove(path({"tenants", fields.tenant, "invitations", fields.id}));
  if (!gone) return fail(gone.error());
  session.note("The invitation is revoked, and its link is worthless.");
  return kOk;
}

/// The secret is the link, or what stands behind its '#'.
Try<int> accept(Session& session, const InvitationFields& fields) {
  const auto api = session.api(!fields.make_account);
  if (!api) return fail(api.error());
  const auto given = session.secret("invitation (link or token)", fields.token_file);
  if (!given) return fail(given.error());
  json body = {{"token", given->substr(given->find('#') == std::string::npos ? 0 : given->find('#') + 1)}};
  if (fields.make_account) {
    const auto password = new_password(session, !session.world().in_is_terminal);
    if (!password) return fail(password.error());
    body["password"] = *password;
    if (!fields.first_name.empty()) body["first_name"] = fields.first_name;
    if (!fields.last_name.empty()) body["last_name"] = fields.last_name;
  }
  const auto done = fields.make_account ? (*api)->post_as_nobody(path({"invitations", "accept"}), body)
                                        : (*api)->post(path({"invitations", "accept"}), body);
  if (!done) return fail(done.error());
  if (session.json())
    session.print_json(*done);
  else
    session.print_line(fmt::format("{} is in tenant {} now.", harmless(text_at(*done, {"account", "email"})), text_at(*done, "tenant")),
                       Colour::Green);
  return kOk;
}

void add_own(Commands commands) {
  auto* const session = &commands.session;
  auto* const choice = &commands.chosen;
  const auto own = std::make_shared<OwnFields>();
  auto* command = commands.app.add_subcommand("me", "Show your account and preferences, or change them");
  command->add_option("--first-name", own->first_name, "New first name")->type_name("NAME");
  command->add_option("--last-name", own->last_name, "New last name")->type_name("NAME");
  command
      ->add_option("--set", own->preferences, "A preference: theme=dark, timezone=Europe/Berlin, language=de; an empty value takes it away")
      ->type_name("NAME=VALUE");
  command->callback([=] { *choice = [=] { return me(*session, *own); }; });
  command = commands.app.add_subcommand("passwd", "Change your own password");
  command->add_flag("--password-stdin", own->password_stdin, "Read the old and the new password from standard input, a line each");
  command->callback([=] { *choice = [=] { return change_password(*session, own->password_stdin); }; });
}

void add_invitations(Commands commands) {
  auto* const session = &commands.session;
  auto* const choice = &commands.chosen;
  const auto fields = std::make_shared<InvitationFields>();
  auto* invitations = commands.app.add_subcommand("invitations", "Invite people into a tenant, and accept invitations");
  invitations->require_subcommand(1);
  const auto in_tenant = [&](const char* name, const char* what) {
    auto* command = invitations->add_subcommand(name, what);
    command->add_option("tenant", fields->tenant, "Tenant")->required()->type_name("");
    return command;
  };
  in_tenant("list", "List a tenant's invitations")->callback([=] { *choice = [=] { return list_invitations(*session, *fields); }; });
  auto* create = in_tenant("create", "Invite somebody; prints the link to hand over");
  create->add_option("email", fields->email, "E-mail address of the person")->required()->type_name("");
  create->add_option("--role", fields->roles, "Role he gets, tenant-wide or ROLE@NAMESPACE; may be repeated")->type_name("ROLE");
  create->add_option("--group", fields->groups, "Group he joins; may be repeated")->type_name("GROUP");
  create->add_option("--expires-at", fields->expires_at, "Time such as 2027-01-31T12:00:00Z (default: in 7 days)")->type_name("TIME");
  create->callback([=] { *choice = [=] { return invite(*session, *fields); }; });
  auto* revoked = in_tenant("revoke", "Make an invitation's link worthless");
  revoked->add_option("id", fields->id, "Invitation")->required()->type_name("");
  revoked->callback([=] { *choice = [=] { return revoke(*session, *fields); }; });
  auto* accepted = invitations->add_subcommand("accept", "Accept an invitation, signed in or with a new account");
  accepted
      ->add_option("--token-file", fields->token_file, "File with the link or token; '-' reads standard input; without it you are asked")
      ->type_name("FILE");
  accepted->add_flag("--new-account", fields->make_account, "Make the account it is for, with a password you are asked for");
  accepted->add_option("--first-name", fields->first_name, "First name of the new account")->type_name("NAME");
  accepted->add_option("--last-name", fields->last_name, "Last name of the new account")->type_name("NAME");
  accepted->callback([=] { *choice = [=] { return accept(*session, *fields); }; });
}

}  // namespace

void add_accounts(Commands commands) {
  auto* const session = &commands.session;
  auto* const choice = &commands.chosen;
  const auto fields = std::make_shared<AccountFields>();
  auto* accounts = commands.app.add_subcommand("accounts", "List, make, change and delete accounts (super admins)");
  accounts->require_subcommand(1);
  const auto add = [&](const char* name, const char* what, Try<int> (*act)(Session&, const AccountFields&)) {
    auto* command = accounts->add_subcommand(name, what);
    command->callback([=] { *choice = [=] { return act(*session, *fields); }; });
    return command;
  };
  const auto add_for = [&](const char* name, const char* what, Try<int> (*act)(Session&, const AccountFields&)) {
    auto* command = add(name, what, act);
    command->add_option("account", fields->key, "Account: e-mail or id")->required()->type_name("");
    return command;
  };
  const auto names = [&](CLI::App* command) {
    command->add_option("--first-name", fields->first_name, "First name")->type_name("NAME");
    command->add_option("--last-name", fields->last_name, "Last name")->type_name("NAME");
  };

  auto* list = add("list", "List accounts", list_accounts);
  list->add_option("-q,--query", fields->query, "Only e-mails that begin like this")->type_name("TEXT");
  list->add_option("--limit", fields->limit, "How many; 0 shows all")->type_name("N");
  add_for("show", "Show one account", show_account);
  auto* create = add("create", "Make an account", create_account);
  create->add_option("email", fields->email, "E-mail address")->required()->type_name("");
  names(create);
  create->add_flag("--super-admin", fields->super_admin, "Make it a super admin");
  create->add_flag("--with-password", fields->with_password, "Ask for a password, to be changed at the first sign-in");
  create->add_flag("--password-stdin", fields->password_stdin, "Read that password from standard input");
  auto* edit = add_for("edit", "Change an account's e-mail or names", edit_account);
  edit->add_option("--email", fields->email, "New e-mail address")->type_name("ADDRESS");
  names(edit);
  add_for("enable", "Let a disabled account sign in again",
          [](Session& on, const AccountFields& of) { return patch_account(on, of.key, {{"enabled", true}}, "is enabled."); });
  add_for("disable", "End an account's sessions, tokens and super admin right",
          [](Session& on, const AccountFields& of) { return patch_account(on, of.key, {{"enabled", false}}, "is disabled."); });
  add_for("delete", "Delete an account for good", delete_account)->add_flag("--yes", fields->yes, "Do not ask");
  add_for("password", "Set somebody's password; he has to change it at the next sign-in", reset_password)
      ->add_flag("--password-stdin", fields->password_stdin, "Read it from standard input instead of asking");
  add_for("grant-super-admin", "Make an account a super admin",
          [](Session& on, const AccountFields& of) { return switch_super_admin(on, of, true); });
  add_for("revoke-super-admin", "Take that away; never from the last one",
          [](Session& on, const AccountFields& of) { return switch_super_admin(on, of, false); });
  add_for("unlock", "End a lock that failed sign-ins have led to", unlock);
  auto* who = add_for("identity", "Show, give or take away who an account is at the issuer of [sign_in]", identity);
  auto* given = who->add_option("--subject", fields->subject, "The subject (claim sub) to give it")->type_name("SUBJECT");
  who->add_flag("--remove", fields->no_identity, "Take it away: the account signs in through the issuer no more")->excludes(given);
  add_own(commands);
  add_invitations(commands);
}

}  // namespace rosterd::cli
