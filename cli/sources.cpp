// sources: list, show, apply, test, enable, disable, delete, and the tokens of those that are pushed to; and `apply` as a short way to the
// third.

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "cli/change.hpp"
#include "cli/session.hpp"
#include "cli/source_file.hpp"
#include "cli/watch.hpp"
#include "cli/words.hpp"
#include "schema/core/text.hpp"

namespace rosterd::cli {
namespace {

using nlohmann::json;

Colour colour_of_state(std::string_view state) {
  if (state == "ok") return Colour::Green;
  if (state == "failing") return Colour::Red;
  if (state == "held" || state == "incomplete" || state == "disabled") return Colour::Yellow;
  return Colour::Cyan;  // new, queued, running
}

std::size_t certificates_in(std::string_view pem) {
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
  std::size_t count = 0;
  for (auto at = pem.find(kBegin); at != std::string_view::npos; at = pem.find(kBegin, at + 1)) ++count;
  return count;
}

/// Settings as "users.base  ou=people,dc=acme" lines, so that a source can be read without counting braces.
void add_settings(Sheet& sheet, const json& settings, const std::string& prefix) {
  for (const auto& [key, value] : settings.items()) {
    const std::string name = prefix + key;
    if (value.is_object() && value.contains("set"))
      sheet.line(name, "(secret)" + (value.contains("file")  ? " from file " + text_at(value, "file")
                                     : value.contains("env") ? " from variable " + text_at(value, "env")
                                                             : ""));
    else if (key == "ca_pem" && value.is_string())
      sheet.line(name, plural(certificates_in(value.get<std::string>()), "certificate") + ", given here");
    else if (value.is_object())
      add_settings(sheet, value, name + ".");
    else
      sheet.line(name, text_at(settings, key.c_str()));
  }
}

void print_source(Session& session, const json& source) {
  if (session.json()) return session.print_json(source);
  Sheet sheet;
  sheet.line("source", text_at(source, "name"));
  sheet.line("id", text_at(source, "id"));
  sheet.line("type", text_at(source, "type"));
  sheet.line("state", Cell(text_at(source, "state"), colour_of_state(text_at(source, "state"))));
  sheet.line("interval", fmt::format("{}, complete sweep every {}", text_at(source, {"schedule", "interval"}),
                                     text_at(source, {"schedule", "full_every"})));
  sheet.line("guard", fmt::format("{} % (at least {}, at most {}) may leave in 24 h", text_at(source, {"guard", "percent"}),
                                  text_at(source, {"guard", "floor"}), text_at(source, {"guard", "ceiling"})));
  if (source.contains("settings") && source["settings"].is_object()) add_settings(sheet, source["settings"], "");
  for (const auto& mapping : list_at(source, "role_mappings"))
    sheet.line("role mapping", fmt::format("groups like {} -> {} in {}", text_at(mapping, "group"), text_at(mapping, "role"),
                                           text_at(mapping, "namespace").empty() ? "the whole tenant" : text_at(mapping, "namespace")));
  session.print(sheet);
}

/// Where the source is read from.
std::string address_of(const json& source) {
  for (const char* name : {"url", "api_url", "issuer"})
    if (auto text = text_at(source, {"settings", name}); !text.empty()) return text;
  return text_at(source, "type") == "scim_push" ? "(its provider pushes)" : std::string();
}

Try<int> list_sources(Session& session, const std::string& tenant) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto sources = (*api)->get(path({"tenants", tenant, "sources"}));
  if (!sources) return fail(sources.error());
  if (session.json()) {
    session.print_json(*sources);
    return kOk;
  }
  Table table({"SOURCE", "TYPE", "STATE", "EVERY", "ADDRESS"});
  for (const auto& source : list_at(*sources, "items"))
    table.row({text_at(source, "name"), text_at(source, "type"), Cell(text_at(source, "state"), colour_of_state(text_at(source, "state"))),
               text_at(source, {"schedule", "interval"}), address_of(source)});
  session.print(table, fmt::format("Tenant {} has no sources; add one with 'rosterctl apply -f FILE.toml'.", tenant));
  return kOk;
}

Try<int> show_source(Session& session, const std::string& tenant, const std::string& name) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto source = (*api)->get(path({"tenants", tenant, "sources", name}));
  if (!source) return fail(source.error());
  print_source(session, *source);
  return kOk;
}

struct ApplyOptions {
  std::vector<std::string> files;
  std::string tenant;
  bool sync = false;
};

Try<std::string> read_all(const Session& session, const std::string& file) {
  std::ostringstream text;
  if (file == "-") {
    text << session.world().in.rdbuf();
  } else {
    std::ifstream from(file);
    if (!from)
      return fail_with_advice(kUsage, fmt::format("{} cannot be read", file), "give the path of a TOML file, or - for standard input");
    text << from.rdbuf();
    if (from.bad() || text.fail()) return fail_with_advice(kUsage, fmt::format("{} cannot be read", file), "is it a file, and not empty?");
  }
  return text.str();
}

/// A mapping to a role that is not there binds nobody: allowed, since the role may come later, and easily a slip.
void note_missing_roles(const Session& session, Api& api, const SourceFile& source, const json& body) {
  if (!body.contains("role_mappings") || body["role_mappings"].empty()) return;
  const auto roles = api.get(path({"tenants", source.tenant, "roles"}));
  if (!roles) return;  // it may be applied by who may not read roles
  std::set<std::string> known;
  for (const auto& role : list_at(*roles, "items")) known.insert(fold(text_at(role, "name")));
  std::set<std::string> said;
  for (const auto& mapping : list_at(body, "role_mappings")) {
    const auto role = text_at(mapping, "role");
    if (role.empty() || role.find("${") != std::string::npos || known.contains(fold(role)) || !said.insert(role).second) continue;
    session.note(fmt::format("Tenant {} has no role {}: its role mapping binds nobody until there is one ('rosterctl roles create').",
                             source.tenant, harmless(role)));
  }
}

Try<int> apply(Session& session, const ApplyOptions& options) {
  // Every file is parsed before the first one is sent: a slip in the second must not leave half of the work done.
  std::vector<SourceFile> sources;
  for (const auto& file : options.files) {
    const auto text = read_all(session, file);
    if (!text) return fail(text.error());
    auto source = parse_source(*text, file);
    if (!source) return fail(source.error());
    if (!options.tenant.empty()) source->tenant = options.tenant;
    if (source->tenant.empty())
      return fail_with_advice(kUsage, fmt::format("{} does not say which tenant the source belongs to", file),
                              "add tenant = \"…\" at the top, or pass --tenant");
    sources.push_back(std::move(*source));
  }
  const auto api = session.api();
  if (!api) return fail(api.error());
  json answers = {{"items", json::array()}, {"next", nullptr}};
  int code = kOk;
  for (const auto& source : sources) {
    json body = json::parse(source.json);
    const auto place = path({"tenants", source.tenant, "sources", source.name});
    const auto held = (*api)->get(place);
    if (!held && (*api)->status() != 404) return fail(held.error());
    if (held && !body.contains("enabled"))
      body["enabled"] = flag_at(*held, "enabled");  // a switch that operators turn, not the file's business then
    const auto before = held && options.sync ? newest_run(**api, source.tenant, source.name) : std::string();
    const auto answer = held ? (*api)->put(place, body, (*api)->etag()) : (*api)->post(path({"tenants", source.tenant, "sources"}), body);
    if (!answer) {
      auto failure = answer.error();
      failure.what = fmt::format("source {} of tenant {}: {}", source.name, source.tenant, failure.what);
      return fail(failure);
    }
    if (session.json())
      answers["items"].push_back(*answer);
    else
      session.print_line(fmt::format("source {} of tenant {} {}", source.name, source.tenant, held ? "updated" : "created"), Colour::Green);
    note_missing_roles(session, **api, source, body);
    if (!options.sync || !flag_at(*answer, "enabled")) continue;
    auto runs = held ? next_run(**api, source.tenant, source.name, before) : first_run(**api, source.tenant, source.name);
    if (!runs) return fail(runs.error());
    const auto watched = watch(session, source.tenant, std::move(*runs), {});
    if (!watched) return watched;
    if (*watched != kOk) code = *watched;
  }
  if (session.json() && !options.sync) session.print_json(answers);  // with --sync the runs are the answer
  return code;
}

Try<int> test_source(Session& session, const std::string& tenant, const std::string& name) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto found = (*api)->post(path({"tenants", tenant, "sources", name, "test"}), json::object());
  if (!found) return fail(found.error());
  const bool good = flag_at(*found, "ok");
  if (session.json()) {
    session.print_json(*found);
    return good ? kOk : kNo;
  }
  Table table({"", "STEP", "FOUND"});
  for (const auto& finding : list_at(*found, "findings"))
    table.row(
        {flag_at(finding, "ok") ? Cell("ok", Colour::Green) : Cell("no", Colour::Red), text_at(finding, "step"), text_at(finding, "text")});
  session.print(table, "The test found nothing to say.");
  return good ? kOk : kNo;
}

Try<int> switch_source(Session& session, const std::string& tenant, const std::string& name, bool enabled) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto source = (*api)->patch(path({"tenants", tenant, "sources", name}), {{"enabled", enabled}});
  if (!source) return fail(source.error());
  if (session.json())
    session.print_json(*source);
  else
    session.print_line(fmt::format("source {} of tenant {} {}", name, tenant,
                                   enabled ? "enabled" : "disabled: it is not synced any more; what it brought stays"));
  return kOk;
}

Try<int> delete_source(Session& session, const std::string& tenant, const std::string& name, bool force, bool yes) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  if (!yes) {
    const auto sure =
        session.confirm(force ? fmt::format("Deleting source {} of tenant {} suspends every user and group it brought.", name, tenant)
                              : fmt::format("Source {} of tenant {} will be deleted.", name, tenant),
                        name);
    if (!sure) return fail(sure.error());
  }
  const auto gone = (*api)->remove(path({"tenants", tenant, "sources", name}), force ? Query{{"force", "true"}} : Query{});
  if (!gone) {
    auto failure = gone.error();
    if ((*api)->status() == 409 && !force) failure.mend = "--force deletes it all the same and suspends what it brought";
    return fail(failure);
  }
  session.note(fmt::format("Source {} of tenant {} is deleted.", name, tenant));
  return kOk;
}

std::string tokens_of(const std::string& tenant, const std::string& name) { return path({"tenants", tenant, "sources", name, "tokens"}); }

Try<int> list_tokens(Session& session, const std::string& tenant, const std::string& name) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  return told_tokens(session, (*api)->get(tokens_of(tenant, name)));
}

Try<int> create_token(Session& session, const std::string& tenant, const std::string& name, const TokenOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  return told_token(session, (*api)->post(tokens_of(tenant, name), token_body(options)));
}

Try<int> revoke_token(Session& session, const std::string& tenant, const std::string& name, const std::string& token) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto gone = (*api)->remove(path({"tenants", tenant, "sources", name, "tokens", token}));
  return told(session, gone, fmt::format("token {} is revoked", token));
}

}  // namespace

void add_sources(Commands commands) {
  auto* const session = &commands.session;
  auto* const choice = &commands.chosen;
  auto* sources = commands.app.add_subcommand("sources", "Add, test and manage the directories of a tenant");
  sources->require_subcommand(1);

  const auto tenant = std::make_shared<std::string>();
  const auto name = std::make_shared<std::string>();
  auto* list = sources->add_subcommand("list", "List the sources of a tenant");
  list->add_option("tenant", *tenant, "Tenant")->required()->type_name("");
  list->callback([=] { *choice = [=] { return list_sources(*session, *tenant); }; });

  const auto add_apply = [&](CLI::App& where, const char* what) {
    const auto options = std::make_shared<ApplyOptions>();
    auto* command = where.add_subcommand("apply", what);
    command->add_option("-f,--file", options->files, "TOML file of one source; '-' reads standard input; may be repeated")
        ->required()
        ->type_name("FILE");
    command->add_option("--tenant", options->tenant, "Tenant, instead of the one the file names")->type_name("TENANT");
    command->add_flag("--sync", options->sync, "Sync it afterwards and show what changed");
    command->callback([=] { *choice = [=] { return apply(*session, *options); }; });
  };
  add_apply(*sources, "Create a source from a TOML file, or bring it in line with the file");
  add_apply(commands.app, "Short for 'sources apply'");

  const auto with_source = [&](const char* command_name, const char* what) {
    auto* command = sources->add_subcommand(command_name, what);
    command->add_option("tenant", *tenant, "Tenant")->required()->type_name("");
    command->add_option("source", *name, "Source, by name or id")->required()->type_name("");
    return command;
  };
  with_source("show", "Show one source with its settings")->callback([=] {
    *choice = [=] { return show_source(*session, *tenant, *name); };
  });
  with_source("test", "Connect, sign in and read one entry of each kind; says in words what is wrong; changes nothing")->callback([=] {
    *choice = [=] { return test_source(*session, *tenant, *name); };
  });
  with_source("enable", "Sync a source again")->callback([=] { *choice = [=] { return switch_source(*session, *tenant, *name, true); }; });
  with_source("disable", "Stop syncing a source; what it brought stays")->callback([=] {
    *choice = [=] { return switch_source(*session, *tenant, *name, false); };
  });
  with_source("tokens", "List the tokens with which a provider pushes (sources of type scim_push)")->callback([=] {
    *choice = [=] { return list_tokens(*session, *tenant, *name); };
  });
  const auto token = std::make_shared<TokenOptions>();
  auto* make = with_source("create-token", "Make a token for the provider that pushes; the secret is printed this once");
  add_token_options(*make, *token);
  make->callback([=] { *choice = [=] { return create_token(*session, *tenant, *name, *token); }; });
  const auto token_id = std::make_shared<std::string>();
  auto* revoke = with_source("revoke-token", "Revoke one of its tokens");
  revoke->add_option("token", *token_id, "Token id")->required()->type_name("");
  revoke->callback([=] { *choice = [=] { return revoke_token(*session, *tenant, *name, *token_id); }; });
  const auto force = std::make_shared<bool>(false), yes = std::make_shared<bool>(false);
  auto* remove = with_source("delete", "Delete a source");
  remove->add_flag("--force", *force, "Also when it owns active users or groups: they are suspended");
  remove->add_flag("--yes", *yes, "Do not ask");
  remove->callback([=] { *choice = [=] { return delete_source(*session, *tenant, *name, *force, *yes); }; });
}

}  // namespace rosterd::cli
