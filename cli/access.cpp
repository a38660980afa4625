// permissions, roles, bindings, service-accounts, tokens: who gets which rights.

#include <CLI/CLI.hpp>

#include "cli/change.hpp"
#include "cli/words.hpp"
#include "schema/core/clock.hpp"

namespace rosterd::cli {
namespace {

using nlohmann::json;

struct AccessOptions {
  std::string tenant, key, role, principal, ns, expires;
  std::optional<std::string> name, description;
  std::vector<std::string> permissions, drop;
  TokenOptions token;
  std::size_t limit = 100;
  bool force = false, yes = false, tenant_wide = false;
};

// ---- roles --------------------------------------------------------------------------------------------------------------------------

/// "FLOW:READ,CREATE" -> {"FLOW": ["READ", "CREATE"]}.
Try<json> parse_permissions(const std::vector<std::string>& texts) {
  json out = json::object();
  for (const auto& text : texts) {
    const auto colon = text.rfind(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == text.size())
      return fail_with_advice(kUsage, fmt::format("'{}' names no permission and actions", text), "write it as FLOW:READ,CREATE");
    auto& actions = out[text.substr(0, colon)];
    if (actions.is_null()) actions = json::array();
    std::string rest = text.substr(colon + 1);
    for (std::size_t comma = 0; !rest.empty(); rest = comma == std::string::npos ? "" : rest.substr(comma + 1)) {
      comma = rest.find(',');
      actions.push_back(rest.substr(0, comma));
    }
  }
  return out;
}

Try<int> list_permissions(Session& session, const AccessOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto answer = (*api)->get(path({"tenants", options.tenant, "permissions"}));
  if (!answer) return fail(answer.error());
  if (session.json()) {
    session.print_json(*answer);
    return kOk;
  }
  Table table({"PERMISSION", "SCOPE", "ACTIONS", "ENFORCED BY"});
  for (const auto& one : list_at(*answer, "items")) {
    std::vector<std::string> actions;
    for (const auto& action : list_at(one, "actions")) actions.push_back(action.get<std::string>());
    table.row({text_at(one, "name"), text_at(one, "scope"), joined(actions, " "), flag_at(one, "iam") ? "rosterd" : "the application"});
  }
  session.print(table, "The catalogue is empty.");
  return kOk;
}

Try<int> list_roles(Session& session, const AccessOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto answer = (*api)->get(path({"tenants", options.tenant, "roles"}));
  if (!answer) return fail(answer.error());
  if (session.json()) {
    session.print_json(*answer);
    return kOk;
  }
  Table table({"ROLE", "ID", "KIND", "DESCRIPTION"});
  for (const auto& role : list_at(*answer, "items"))
    table.row(
        {text_at(role, "name"), text_at(role, "id"), flag_at(role, "managed") ? "of the release" : "own", text_at(role, "description")});
  session.print(table, "No roles.");
  return kOk;
}

Try<int> show_role(Session& session, const AccessOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto role = (*api)->get(path({"tenants", options.tenant, "roles", options.key}));
  if (!role) return fail(role.error());
  if (session.json()) {
    session.print_json(*role);
    return kOk;
  }
  Sheet sheet;
  sheet.line("role", text_at(*role, "name"));
  sheet.line("id", text_at(*role, "id"));
  sheet.line("description", text_at(*role, "description"));
  sheet.line("kind", flag_at(*role, "managed") ? "of the release: read-only, copy it to change it" : "own");
  const auto& permissions = (*role)["permissions"];
  if (permissions.is_string()) sheet.line("permits", Cell("everything, now and in future", Colour::Yellow));
  bool first = true;
  if (permissions.is_object())
    for (const auto& [name, actions] : permissions.items()) {
      std::vector<std::string> names;
      for (const auto& action : actions) names.push_back(action.get<std::string>());
      sheet.line(first ? "permits" : "", name + ": " + joined(names, " "));
      first = false;
    }
  for (const auto& pair : list_at(*role, "unknown_pairs"))
    sheet.line("grants nothing",
               Cell(text_at(pair, "permission") + " " + text_at(pair, "action") + " is not in the catalogue", Colour::Red));
  session.print(sheet);
  return kOk;
}

Try<int> create_role(Session& session, const AccessOptions& options) {
  auto permissions = parse_permissions(options.permissions);
  if (!permissions) return fail(permissions.error());
  const auto api = session.api();
  if (!api) return fail(api.error());
  json body = {{"name", options.key}, {"permissions", std::move(*permissions)}};
  if (options.description) body["description"] = *options.description;
  const auto made = (*api)->post(path({"tenants", options.tenant, "roles"}), body);
  return told(session, made, made ? fmt::format("role {} created: {}", text_at(*made, "name"), text_at(*made, "id")) : "");
}

Try<int> edit_role(Session& session, const AccessOptions& options) {
  auto permissions = parse_permissions(options.permissions);
  if (!permissions) return fail(permissions.error());
  for (const auto& name : options.drop) (*permissions)[name] = nullptr;
  const auto api = session.api();
  if (!api) return fail(api.error());
  json body = json::object();
  if (!permissions->empty()) body["permissions"] = std::move(*permissions);
  if (options.name) body["name"] = *options.name;
  if (options.description) body["description"] = options.description->empty() ? json(nullptr) : json(*options.description);
  if (body.empty()) return fail_with_advice(kUsage, "there is nothing to change", "name what is to change, such as --permission FLOW:READ");
  const auto done = (*api)->patch(path({"tenants", options.tenant, "roles", options.key}), body);
  return told(session, done, fmt::format("role {} changed", options.key));
}

Try<int> delete_role(Session& session, const AccessOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto asked = sure(session, options.yes,
                          options.force ? fmt::format("Deleting role {} takes every binding to it along.", options.key)
                                        : fmt::format("Deleting role {} cannot be undone.", options.key),
                          options.key);
  if (!asked) return fail(asked.error());
  const auto gone =
      (*api)->remove(path({"tenants", options.tenant, "roles", options.key}), options.force ? Query{{"force", "true"}} : Query{});
  return told(session, gone, fmt::format("role {} is deleted", options.key));
}

// ---- bindings -----------------------------------------------------------------------------------------------------------------------

Try<int> list_bindings(Session& session, const AccessOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  Query query;
  if (!options.role.empty()) query.emplace_back("role", options.role);
  if (!options.principal.empty()) query.emplace_back("principal", principal_key(options.principal));
  if (!options.ns.empty() || options.tenant_wide) query.emplace_back("namespace", options.tenant_wide ? "null" : options.ns);
  const auto answer = (*api)->list(path({"tenants", options.tenant, "bindings"}), query, options.limit);
  if (!answer) return fail(answer.error());
  if (session.json()) {
    session.print_json(*answer);
    return kOk;
  }
  Table table({"BINDING", "ROLE", "FOR", "NAMESPACE", "EXPIRES", "FROM"});
  for (const auto& one : list_at(*answer, "items")) {
    const auto principal = text_at(one, "principal"), name = text_at(one, "principal_name"), expires = text_at(one, "expires_at");
    const bool expired = text_at(one, "state") == "expired";
    table.row({text_at(one, "id"), text_at(one, "role_name"), principal.substr(0, principal.find(':') + 1) + name,
               text_at(one, "namespace").empty() ? "(whole tenant)" : text_at(one, "namespace"),
               expires.empty() ? Cell("") : Cell(age_of(expires), expired ? Colour::Red : Colour::Yellow),
               text_at(one, {"origin", "source"}).empty() ? text_at(one, "created_by") : text_at(one, {"origin", "source"})});
  }
  session.print(table, "No bindings like that.");
  if (!text_at(*answer, "next").empty()) session.note(fmt::format("Only the first {} are shown; --limit 0 shows all.", options.limit));
  return kOk;
}

Try<int> create_binding(Session& session, const AccessOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  json body = {{"role", options.role}, {"principal", principal_key(options.principal)}};
  if (!options.ns.empty()) body["namespace"] = options.ns;
  if (!options.expires.empty()) {
    const auto in = parse_duration(options.expires);
    body["expires_at"] = in ? rfc3339(SystemClock().now() + *in) : options.expires;
  }
  const auto made = (*api)->post(path({"tenants", options.tenant, "bindings"}), body);
  return told(session, made,
              made ? fmt::format("{} is bound to {} in {}: {}", text_at(*made, "role_name"), text_at(*made, "principal_name"),
                                 options.ns.empty() ? "the whole tenant" : options.ns + " and below", text_at(*made, "id"))
                   : "");
}

Try<int> delete_binding(Session& session, const AccessOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto gone =
      (*api)->remove(path({"tenants", options.tenant, "bindings", options.key}), options.force ? Query{{"force", "true"}} : Query{});
  return told(session, gone, fmt::format("binding {} is deleted", options.key));
}

// ---- service accounts ---------------------------------------------------------------------------------------------------------------

Try<int> list_service_accounts(Session& session, const AccessOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto answer = (*api)->list(path({"tenants", options.tenant, "service-accounts"}), {}, options.limit);
  if (!answer) return fail(answer.error());
  if (session.json()) {
    session.print_json(*answer);
    return kOk;
  }
  Table table({"SERVICE ACCOUNT", "STATE", "CREATED", "DESCRIPTION"});
  for (const auto& one : list_at(*answer, "items"))
    table.row({text_at(one, "name"), flag_at(one, "enabled") ? Cell("enabled", Colour::Green) : Cell("disabled", Colour::Red),
               age_of(text_at(one, "created_at")), text_at(one, "description")});
  session.print(table, "No service accounts.");
  return kOk;
}

Try<int> create_service_account(Session& session, const AccessOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  json body = {{"name", options.key}};
  if (options.description) body["description"] = *options.description;
  const auto made = (*api)->post(path({"tenants", options.tenant, "service-accounts"}), body);
  return told(session, made, made ? fmt::format("service account {} created: {}", text_at(*made, "name"), text_at(*made, "id")) : "");
}

Try<int> switch_service_account(Session& session, const AccessOptions& options, bool enabled) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto done = (*api)->patch(path({"tenants", options.tenant, "service-accounts", options.key}), {{"enabled", enabled}},
                                  options.force ? Query{{"force", "true"}} : Query{});
  return told(session, done,
              fmt::format("service account {} is {}", options.key, enabled ? "enabled" : "disabled: its tokens are refused"));
}

Try<int> delete_service_account(Session& session, const AccessOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto asked = sure(session, options.yes,
                          fmt::format("Deleting service account {} ends its tokens and takes its bindings.", options.key), options.key);
  if (!asked) return fail(asked.error());
  const auto gone = (*api)->remove(path({"tenants", options.tenant, "service-accounts", options.key}),
                                   options.force ? Query{{"force", "true"}} : Query{});
  return told(session, gone, fmt::format("service account {} is deleted", options.key));
}

// ---- tokens: of a service account where the command names one, else one's own ---------------------------------------------------------

std::string tokens_of(const AccessOptions& options, const std::string& token = {}) {
  if (options.tenant.empty()) return token.empty() ? path({"me", "tokens"}) : path({"me", "tokens", token});
  return token.empty() ? path({"tenants", options.tenant, "service-accounts", options.key, "tokens"})
                       : path({"tenants", options.tenant, "service-accounts", options.key, "tokens", token});
}

Try<int> list_tokens(Session& session, const AccessOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  return told_tokens(session, (*api)->get(tokens_of(options)));
}

Try<int> create_token(Session& session, const AccessOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  return told_token(session, (*api)->post(tokens_of(options), token_body(options.token)));
}

Try<int> revoke_token(Session& session, const AccessOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto gone = (*api)->remove(tokens_of(options, options.token.name));
  return told(session, gone, fmt::format("token {} is revoked", options.token.name));
}

}  // namespace

void add_access(Commands commands) {
  auto* const session = &commands.session;
  auto* const choice = &commands.chosen;
  const auto options = std::make_shared<AccessOptions>();
  const auto branch = [&](const char* name, const char* what) {
    auto* command = commands.app.add_subcommand(name, what);
    command->require_subcommand(1);
    return command;
  };
  const auto in_tenant = [&](CLI::App* where, const char* name, const char* what) {
    auto* command = where->add_subcommand(name, what);
    command->add_option("tenant", options->tenant, "Tenant")->required()->type_name("");
    return command;
  };
  const auto keyed = [&](CLI::App* where, const char* name, const char* what, const char* key) {
    auto* command = in_tenant(where, name, what);
    command->add_option(key, options->key, "Name or id")->required()->type_name("");
    return command;
  };
  const auto on = [&](CLI::App* command, auto verb) { command->callback([=] { *choice = [=] { return verb(*session, *options); }; }); };
  const auto described = [&](CLI::App* command) {
    command->add_option("--description", options->description, "What it is for")->type_name("TEXT");
    return command;
  };
  const auto limited = [&](CLI::App* command) {
    command->add_option("--limit", options->limit, "How many; 0 shows all")->type_name("N");
    return command;
  };
  const auto force = [&](CLI::App* command, const char* what) {
    command->add_flag("--force", options->force, what);
    return command;
  };
  constexpr const char* kLastAdmin = "Also when no active Admin would be left (super admins)";

  on(in_tenant(branch("permissions", "The catalogue of permissions"), "list", "List permissions, their scope and actions"),
     list_permissions);

  auto* roles = branch("roles", "Named sets of permissions; a binding gives one to somebody");
  on(in_tenant(roles, "list", "List roles"), list_roles);
  on(keyed(roles, "show", "Show what a role permits", "role"), show_role);
  auto* create = described(keyed(roles, "create", "Create a role", "name"));
  create->add_option("-p,--permission", options->permissions, "FLOW:READ,CREATE; may be given again")->required()->type_name("PAIRS");
  on(create, create_role);
  auto* edit = described(keyed(roles, "edit", "Change a role; what is not named stays", "role"));
  edit->add_option("--name", options->name, "New name")->type_name("NAME");
  edit->add_option("-p,--permission", options->permissions, "FLOW:READ,CREATE: all actions of this permission from now on")
      ->type_name("PAIRS");
  edit->add_option("--drop", options->drop, "A permission to take out")->type_name("PERMISSION");
  on(edit, edit_role);
  auto* remove = force(keyed(roles, "delete", "Delete a role", "role"), "Take the bindings to it along");
  remove->add_flag("--yes", options->yes, "Do not ask");
  on(remove, delete_role);

  auto* bindings = branch("bindings", "Who has which role, and where");
  auto* list = limited(in_tenant(bindings, "list", "List bindings"));
  list->add_option("--role", options->role, "Only of this role")->type_name("ROLE");
  list->add_option("--for", options->principal, "Only of this one: ada, group:NAME, service_account:NAME")->type_name("PRINCIPAL");
  list->add_option("-n,--namespace", options->ns, "Only of exactly this namespace")->type_name("NAMESPACE");
  list->add_flag("--tenant-wide", options->tenant_wide, "Only those without a namespace");
  on(list, list_bindings);
  auto* bind = in_tenant(bindings, "create", "Give somebody a role");
  bind->add_option("role", options->role, "Role: name or id")->required()->type_name("");
  bind->add_option("principal", options->principal, "ada (a user), group:NAME or service_account:NAME")->required()->type_name("");
  bind->add_option("-n,--namespace", options->ns, "There and below (default: the whole tenant)")->type_name("NAMESPACE");
  bind->add_option("--expires", options->expires, "When it ends: in 30d, or at a time like 2027-01-31T12:00:00Z")->type_name("WHEN");
  on(bind, create_binding);
  on(force(keyed(bindings, "delete", "Take a role away; bindings are never changed, only made and deleted", "binding"), kLastAdmin),
     delete_binding);

  auto* services = branch("service-accounts", "Applications of a tenant and their tokens");
  on(limited(in_tenant(services, "list", "List service accounts")), list_service_accounts);
  on(described(keyed(services, "create", "Create a service account", "name")), create_service_account);
  on(keyed(services, "enable", "Let a disabled service account go on", "name"),
     [](Session& s, const AccessOptions& o) { return switch_service_account(s, o, true); });
  on(force(keyed(services, "disable", "Refuse its tokens and deny its checks; nothing is taken away", "name"), kLastAdmin),
     [](Session& s, const AccessOptions& o) { return switch_service_account(s, o, false); });
  auto* gone = force(keyed(services, "delete", "Delete a service account and its tokens", "name"), kLastAdmin);
  gone->add_flag("--yes", options->yes, "Do not ask");
  on(gone, delete_service_account);
  on(keyed(services, "tokens", "List its tokens", "name"), list_tokens);
  auto* make = in_tenant(services, "create-token", "Make a token of it; the secret is printed this once");
  make->add_option("account", options->key, "Service account")->required()->type_name("");
  add_token_options(*make, options->token);
  on(make, create_token);
  auto* revoke = in_tenant(services, "revoke-token", "Revoke one of its tokens");
  revoke->add_option("account", options->key, "Service account")->required()->type_name("");
  revoke->add_option("token", options->token.name, "Token id")->required()->type_name("");
  on(revoke, revoke_token);

  auto* tokens = branch("tokens", "Your own API tokens");
  on(tokens->add_subcommand("list", "List your tokens"), list_tokens);
  auto* own = tokens->add_subcommand("create", "Make a token; the secret is printed this once");
  add_token_options(*own, options->token);
  on(own, create_token);
  auto* end = tokens->add_subcommand("revoke", "Revoke one of your tokens");
  end->add_option("token", options->token.name, "Token id")->required()->type_name("");
  on(end, revoke_token);
}

}  // namespace rosterd::cli
