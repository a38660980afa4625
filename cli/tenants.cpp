// tenants: list, create, show, enable, disable, delete.

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/session.hpp"
#include "cli/words.hpp"

namespace rosterd::cli {
namespace {

using nlohmann::json;

void print_tenant(Session& session, const json& tenant) {
  if (session.json()) return session.print_json(tenant);
  Sheet sheet;
  sheet.line("tenant", text_at(tenant, "id"));
  sheet.line("name", text_at(tenant, "name"));
  sheet.line("state", flag_at(tenant, "enabled") ? Cell("enabled", Colour::Green) : Cell("disabled", Colour::Red));
  sheet.line("created", text_at(tenant, "created_at"));
  sheet.line("created by", text_at(tenant, "created_by"));
  sheet.line("revision", text_at(tenant, "revision"));
  session.print(sheet);
}

Try<int> list_tenants(Session& session) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto tenants = (*api)->list(path({"tenants"}));
  if (!tenants) return fail(tenants.error());
  if (session.json()) {
    session.print_json(*tenants);
    return kOk;
  }
  Table table({"TENANT", "NAME", "STATE", "CREATED"});
  for (const auto& tenant : (*tenants)["items"])
    table.row({text_at(tenant, "id"), text_at(tenant, "name"),
               flag_at(tenant, "enabled") ? Cell("enabled", Colour::Green) : Cell("disabled", Colour::Red),
               age_of(text_at(tenant, "created_at"))});
  session.print(table, "No tenants yet; make one with 'rosterctl tenants create ID --name NAME'.");
  return kOk;
}

struct NewTenantOptions {
  std::string id, name, creator;
};

Try<int> create_tenant(Session& session, const NewTenantOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  json body = {{"id", options.id}, {"name", options.name.empty() ? options.id : options.name}};
  if (!options.creator.empty()) body["creator"] = options.creator;
  const auto tenant = (*api)->post(path({"tenants"}), body);
  if (!tenant) return fail(tenant.error());
  print_tenant(session, *tenant);
  return kOk;
}

Try<int> show_tenant(Session& session, const std::string& id) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto tenant = (*api)->get(path({"tenants", id}));
  if (!tenant) return fail(tenant.error());
  print_tenant(session, *tenant);
  return kOk;
}

Try<int> switch_tenant(Session& session, const std::string& id, bool enabled) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto tenant = (*api)->patch(path({"tenants", id}), {{"enabled", enabled}});
  if (!tenant) return fail(tenant.error());
  print_tenant(session, *tenant);
  if (!enabled && !session.json()) session.note("Every check of this tenant is denied now; nothing was deleted.");
  return kOk;
}

Try<int> delete_tenant(Session& session, const std::string& id, bool yes) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto tenant = (*api)->get(path({"tenants", id}));
  if (!tenant) return fail(tenant.error());
  if (!yes) {
    const auto sure =
        session.confirm(fmt::format("Deleting tenant {} ({}) removes its users, groups, roles, bindings and sources for good.", id,
                                    harmless(text_at(*tenant, "name"))),
                        id);
    if (!sure) return fail(sure.error());
  }
  const auto gone = (*api)->remove(path({"tenants", id}));
  if (!gone) return fail(gone.error());
  session.note(fmt::format("Tenant {} is deleted.", id));
  return kOk;
}

}  // namespace

void add_tenants(Commands commands) {
  auto* const session = &commands.session;
  auto* const choice = &commands.chosen;
  auto* tenants = commands.app.add_subcommand("tenants", "List, make, switch and delete tenants");
  tenants->require_subcommand(1);

  tenants->add_subcommand("list", "List the tenants you may see")->callback([=] { *choice = [=] { return list_tenants(*session); }; });

  const auto made = std::make_shared<NewTenantOptions>();
  auto* create = tenants->add_subcommand("create", "Make a tenant; its creator holds Admin in it");
  create->add_option("id", made->id, "Lower-case id such as acme; never changes")->required()->type_name("");
  create->add_option("--name", made->name, "Name for people (default: the id)")->type_name("NAME");
  create->add_option("--creator", made->creator, "Account (id or e-mail) that gets Admin instead of you")->type_name("ACCOUNT");
  create->callback([=] { *choice = [=] { return create_tenant(*session, *made); }; });

  const auto id = std::make_shared<std::string>();
  const auto with_id = [&](const char* name, const char* what) {
    auto* command = tenants->add_subcommand(name, what);
    command->add_option("tenant", *id, "Tenant")->required()->type_name("");
    return command;
  };
  with_id("show", "Show one tenant")->callback([=] { *choice = [=] { return show_tenant(*session, *id); }; });
  with_id("enable", "Let a disabled tenant's checks and syncs go on")->callback([=] {
    *choice = [=] { return switch_tenant(*session, *id, true); };
  });
  with_id("disable", "Deny every check of a tenant and stop its syncs; nothing is deleted")->callback([=] {
    *choice = [=] { return switch_tenant(*session, *id, false); };
  });
  const auto yes = std::make_shared<bool>(false);
  auto* remove = with_id("delete", "Delete a tenant with everything in it, for good");
  remove->add_flag("--yes", *yes, "Do not ask");
  remove->callback([=] { *choice = [=] { return delete_tenant(*session, *id, *yes); }; });
}

}  // namespace rosterd::cli
