#include "cli/cli.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/session.hpp"
#include "cli/words.hpp"

namespace rosterd::cli {
namespace {

constexpr const char* kFooter = R"(
Exit codes: 0 done, or allowed · 1 a negative answer: denied; a sync held, partial or failed; a test that found something
            2 the command line or a file on it is wrong · 3 rosterd answered with an error · 4 no answer from rosterd
            5 not signed in · 6 --timeout passed
Where and who: --url, ROSTERCTL_URL or the profile; ROSTERCTL_TOKEN or the profile ('rosterctl login').
Examples:   rosterctl apply -f acme.toml            rosterctl sync acme --dry-run
            rosterctl effective acme ada            rosterctl check acme ada FLOW READ --namespace company.team)";

void add_version(Commands commands) {
  auto* const session = &commands.session;
  auto* const choice = &commands.chosen;
  commands.app.add_subcommand("version", "Print the version of rosterctl and, when it can be reached, of rosterd")->callback([=] {
    *choice = [=]() -> Try<int> {
      const auto api = session->api(false);
      const auto server = api ? (*api)->get("/version") : Try<nlohmann::json>(fail(api.error()));
      if (session->json()) {
        session->print_json({{"rosterctl", ROSTERD_VERSION}, {"rosterd", server ? *server : nlohmann::json(nullptr)}});
        return kOk;
      }
      session->print_line("rosterctl " ROSTERD_VERSION);
      if (server)
        session->print_line(fmt::format("rosterd   {} at {}", harmless(text_at(*server, "version")), (*api)->target().profile.url));
      return kOk;
    };
  });
}

int complain(const Session& session, const Failure& failure) {
  session.world().err << painted("rosterctl: ", Colour::Red, session.colours_on_errors()) << harmless(failure.what) << "\n";
  if (!failure.mend.empty()) session.world().err << "  " << harmless(failure.mend) << "\n";
  session.world().err << std::flush;
  return failure.code;
}

}  // namespace

int run(const std::vector<std::string>& arguments, const World& world) {
  GlobalOptions options;
  Session session(world, options);
  std::function<Try<int>()> chosen;

  CLI::App app("rosterctl: manage a rosterd and ask it who may do what", "rosterctl");
  app.fallthrough();  // the options below are taken before and behind a command
  app.require_subcommand(1);
  app.add_option("--profile", options.wanted.profile, "Profile to use (see 'rosterctl profiles list')")->type_name("NAME");
  app.add_option("--url", options.wanted.url, "Address of rosterd")->type_name("URL");
  app.add_option("--ca-file", options.wanted.ca_file, "Certificates to trust for https, PEM")->type_name("FILE");
  app.add_flag("--allow-plaintext", options.wanted.allow_plaintext, "Accept http:// to another machine");
  app.add_flag("--json", options.json, "Print the API's JSON");
  app.add_option("--color", options.colour, "auto, always or never")->type_name("WHEN")->check(CLI::IsMember({"auto", "always", "never"}));
  const Commands commands{app, session, chosen};
  add_setup(commands);
  add_tenants(commands);
  add_sources(commands);
  add_sync(commands);
  add_runs(commands);
  add_audit(commands);
  add_people(commands);
  add_people_changes(commands);
  add_access(commands);
  add_accounts(commands);
  add_check(commands);
  add_completion(commands);
  add_version(commands);
  app.footer(kFooter);  // after the commands, which would inherit it

  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error, world.out, world.err);  // --help is an answer
    const CLI::App* where = &app;
    std::string command = "rosterctl";
    for (auto deeper = where->get_subcommands(); !deeper.empty(); deeper = where->get_subcommands()) {
      where = deeper.front();
      command += " " + where->get_name();
    }
    return complain(session, {kUsage, error.what(), fmt::format("see '{} --help'", command)});
  }
  try {
    const auto code = chosen();
    return code ? *code : complain(session, code.error());
  } catch (const nlohmann::json::exception& error) {
    return complain(session, {kRefused, fmt::format("rosterd's answer has an unexpected shape: {}", error.what()),
                              "do rosterctl and rosterd have the same version?"});
  }
}

}  // namespace rosterd::cli
