// setup, login, logout, profiles, whoami: who I am and where rosterd is.

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/session.hpp"
#include "cli/words.hpp"

namespace rosterd::cli {
namespace {

using nlohmann::json;

/// The name under which this sign-in is stored.
std::string profile_name(const Session& session, const Profiles& profiles) {
  if (const auto& asked = session.options().wanted.profile; !asked.empty()) return asked;
  const auto& environment = session.world().environment;
  const auto found = environment.find("ROSTERCTL_PROFILE");
  return found != environment.end() && !found->second.empty() ? found->second : profiles.current;
}

/// Stores the token under the profile's name and makes that profile the current one.
Try<std::string> remember(const Session& session, const Target& target, const std::string& token) {
  const auto path = profiles_path(session.world().environment);
  if (!path) return fail(path.error());
  auto profiles = load_profiles(*path);
  if (!profiles) return fail(profiles.error());
  const std::string name = profile_name(session, *profiles);
  Profile stored = target.profile;
  stored.token = token;
  profiles->by_name[name] = stored;
  profiles->current = name;
  if (const auto saved = save_profiles(*path, *profiles); !saved) return fail(saved.error());
  return fmt::format("profile '{}' in {}", name, *path);
}

/// A way to talk to the chosen address before there is a token for it: the token of the profile is set aside.
Try<Target> target_without_token(Session& session) {
  Wanted wanted = session.options().wanted;
  Profiles profiles;
  if (const auto path = profiles_path(session.world().environment)) {
    auto loaded = load_profiles(*path);
    if (!loaded) return fail(loaded.error());
    profiles = std::move(*loaded);
  }
  if (!wanted.profile.empty() && !profiles.by_name.contains(wanted.profile)) wanted.profile.clear();  // about to be made
  auto environment = session.world().environment;
  environment.erase("ROSTERCTL_TOKEN");
  if (const auto found = environment.find("ROSTERCTL_PROFILE"); found != environment.end() && !profiles.by_name.contains(found->second))
    environment.erase(found);
  auto target = resolve(wanted, environment, profiles);
  if (target) target->profile.token.clear();
  return target;
}

struct SetupOptions {
  std::string secret_file, email, first_name, last_name;
  bool with_password = false;
};

Try<int> set_up(Session& session, const SetupOptions& options) {
  const auto target = target_without_token(session);
  if (!target) return fail(target.error());
  const auto secret = session.secret("one-time setup secret", options.secret_file);
  if (!secret) return fail(secret.error());
  json body = {{"secret", *secret}, {"email", options.email}};
  if (!options.first_name.empty()) body["first_name"] = options.first_name;
  if (!options.last_name.empty()) body["last_name"] = options.last_name;
  if (options.with_password) {
    const auto password = session.password("password of the first account", !session.world().in_is_terminal);
    if (!password) return fail(password.error());
    body["password"] = *password;
  }
  Api api(*target);
  auto answer = api.post(path({"setup"}), body);
  if (!answer) {
    auto failure = answer.error();
    if (api.status() == 401) {  // the server's words speak of a bearer token, and this is none
      failure.what = fmt::format("{} does not take this as its one-time secret", target->profile.url);
      failure.mend =
          "rosterd writes the secret to its log and to 'setup-secret' in its state directory; a start without any account makes a new one";
    } else if (api.status() == 409) {
      failure.mend = "sign in with 'rosterctl login'; new accounts are made by a super admin with 'rosterctl accounts create'";
    }
    return fail(failure);
  }
  const std::string token = text_at(*answer, "token");
  if (token.empty()) return fail(kRefused, "rosterd made the account but gave no token");
  const auto stored = remember(session, *target, token);
  if (!stored) return fail(stored.error());
  if (session.json()) {
    answer->erase("token");  // it is in the profile; printing it would put it into logs
    session.print_json(*answer);
  } else {
    session.print_line(fmt::format("{} is the first super admin of {}.", options.email, target->profile.url), Colour::Green);
    session.print_line(fmt::format("The token is stored as {}.", *stored));
  }
  return kOk;
}

struct LoginOptions {
  std::string email, token_file;
  bool password_stdin = false;
};

Try<int> signed_in(Session& session, const Target& target, const std::string& secret, const json& account) {
  const auto stored = remember(session, target, secret);
  if (!stored) return fail(stored.error());
  if (session.json())
    session.print_json(account);
  else
    session.print_line(
        fmt::format("Signed in to {} as {}, stored as {}.", target.profile.url, harmless(text_at(account, "email")), *stored));
  return kOk;
}

Try<int> log_in_with_password(Session& session, const LoginOptions& options) {
  const auto target = target_without_token(session);
  if (!target) return fail(target.error());
  const auto password = session.password("password", options.password_stdin);
  if (!password) return fail(password.error());
  Api api(*target);
  const auto answer = api.post(path({"login"}), {{"email", options.email}, {"password", *password}});
  if (!answer) {
    auto failure = answer.error();
    if (failure.code == kSignIn) failure.mend = "nothing has been stored";
    return fail(failure);
  }
  const auto done = signed_in(session, *target, text_at(*answer, "token"), answer->at("account"));
  if (done && flag_at(*answer, "must_change_password"))
    session.note("Somebody else has set this password: change it with 'rosterctl passwd', until then nothing else answers.");
  return done;
}

Try<int> log_in_with_token(Session& session, const LoginOptions& options) {
  auto target = target_without_token(session);
  if (!target) return fail(target.error());
  const auto token = session.secret("API token", options.token_file);
  if (!token) return fail(token.error());
  target->profile.token = *token;
  Api api(*target);
  const auto me = api.get(path({"me"}));
  if (!me) {
    auto failure = me.error();
    if (failure.code == kSignIn) failure.mend = "the token was not accepted and has not been stored";
    return fail(failure);
  }
  return signed_in(session, *target, *token, *me);
}

Try<int> log_in(Session& session, const LoginOptions& options) {
  if (options.email.empty() && options.password_stdin) return fail(kUsage, "--password-stdin needs --email");
  return options.email.empty() ? log_in_with_token(session, options) : log_in_with_password(session, options);
}

Try<int> who_am_i(Session& session) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto me = (*api)->get(path({"me"}));
  if (!me) return fail(me.error());
  if (session.json()) {
    session.print_json(*me);
    return kOk;
  }
  const json& account = me->contains("account") && (*me)["account"].is_object() ? (*me)["account"] : *me;
  Sheet sheet;
  sheet.line("account", text_at(account, "email"));
  sheet.line("name", text_at(account, "first_name") + " " + text_at(account, "last_name"));
  sheet.line("id", text_at(account, "id"));
  sheet.line("super admin", flag_at(account, "super_admin") ? "yes" : "no");
  sheet.line("rosterd", (*api)->target().profile.url);
  sheet.line("profile", (*api)->target().name);
  session.print(sheet);
  return kOk;
}

/// Loads, lets `change` act, saves.
Try<int> change_profiles(Session& session, const std::function<Try<std::string>(Profiles&)>& change) {
  const auto path = profiles_path(session.world().environment);
  if (!path) return fail(path.error());
  auto profiles = load_profiles(*path);
  if (!profiles) return fail(profiles.error());
  const auto said = change(*profiles);
  if (!said) return fail(said.error());
  if (const auto saved = save_profiles(*path, *profiles); !saved) return fail(saved.error());
  session.note(*said);
  return kOk;
}

Try<int> log_out(Session& session) {
  // A session ends on the server too; when it cannot be reached, it ends by itself, and here it is forgotten in any case.
  if (const auto api = session.api(false); api && (*api)->target().profile.token.starts_with("rss_"))
    if (const auto ended = (*api)->post(path({"logout"}), json::object()); !ended && ended.error().code != kSignIn)
      session.note(fmt::format("The session could not be ended on the server ({}); it ends by itself.", harmless(ended.error().what)));
  return change_profiles(session, [&](Profiles& profiles) -> Try<std::string> {
    const auto name = profile_name(session, profiles);
    if (profiles.by_name.erase(name) == 0) return fail(kSignIn, "there is no profile '{}'", name);
    return fmt::format("Profile '{}' is forgotten.", name);
  });
}

Try<int> list_profiles(Session& session) {
  const auto path = profiles_path(session.world().environment);
  if (!path) return fail(path.error());
  const auto profiles = load_profiles(*path);
  if (!profiles) return fail(profiles.error());
  json document = {{"items", json::array()}, {"next", nullptr}};
  Table table({"", "PROFILE", "URL", "SIGNED IN"});
  for (const auto& [name, profile] : profiles->by_name) {
    const bool current = name == profiles->current;
    document["items"].push_back({{"name", name}, {"url", profile.url}, {"current", current}, {"signed_in", !profile.token.empty()}});
    table.row({current ? "*" : "", name, profile.url, profile.token.empty() ? "no" : "yes"});
  }
  if (session.json())
    session.print_json(document);
  else
    session.print(table, "No profiles yet; 'rosterctl login' makes one.");
  return kOk;
}

}  // namespace

void add_setup(Commands commands) {
  auto& [app, session, chosen] = commands;
  auto* const current = &session;
  auto* const choice = &chosen;

  const auto setup = std::make_shared<SetupOptions>();
  auto* command = app.add_subcommand("setup", "Make the first super admin of a new installation and sign in");
  command
      ->add_option("--secret-file", setup->secret_file, "File with the one-time secret; '-' reads standard input; without it you are asked")
      ->type_name("FILE");
  command->add_option("--email", setup->email, "E-mail address of the first account")->required()->type_name("ADDRESS");
  command->add_option("--first-name", setup->first_name, "First name")->type_name("NAME");
  command->add_option("--last-name", setup->last_name, "Last name")->type_name("NAME");
  command->add_flag("--with-password", setup->with_password, "Also ask for a password to sign in with");
  command->callback([=] { *choice = [=] { return set_up(*current, *setup); }; });

  const auto login = std::make_shared<LoginOptions>();
  command = app.add_subcommand("login",
                               "Sign in with e-mail and password, or store an API token, as a profile; secrets are read from a prompt, "
                               "standard input or a file, never from the command line");
  auto* email = command->add_option("--email", login->email, "Sign in with this e-mail and its password")->type_name("ADDRESS");
  command->add_flag("--password-stdin", login->password_stdin, "Read the password from standard input instead of asking");
  command->add_option("--token-file", login->token_file, "File with an API token; '-' reads standard input; without it you are asked")
      ->type_name("FILE")
      ->excludes(email);
  command->callback([=] { *choice = [=] { return log_in(*current, *login); }; });

  command =
      app.add_subcommand("logout", "End the current profile's session, if it is one, and forget the profile; an API token stays valid");
  command->callback([=] { *choice = [=] { return log_out(*current); }; });

  app.add_subcommand("whoami", "Show the account behind the token")->callback([=] { *choice = [=] { return who_am_i(*current); }; });

  auto* profiles = app.add_subcommand("profiles", "List and choose profiles");
  profiles->require_subcommand(1);
  profiles->add_subcommand("list", "List the profiles; * marks the current one")->callback([=] {
    *choice = [=] { return list_profiles(*current); };
  });
  const auto name = std::make_shared<std::string>();
  auto* use = profiles->add_subcommand("use", "Make a profile the current one");
  use->add_option("name", *name, "Profile")->required()->type_name("");
  use->callback([=] {
    *choice = [=] {
      return change_profiles(*current, [&](Profiles& all) -> Try<std::string> {
        if (!all.by_name.contains(*name)) return fail(kUsage, "there is no profile '{}'", *name);
        all.current = *name;
        return fmt::format("Profile '{}' is the current one.", *name);
      });
    };
  });
}

}  // namespace rosterd::cli
