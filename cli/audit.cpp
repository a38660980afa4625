// audit: who changed what, as a table or as an export.

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/session.hpp"
#include "cli/words.hpp"

namespace rosterd::cli {
namespace {

using nlohmann::json;

struct AuditOptions {
  std::string tenant, actor, type, object, action, since, until;
  std::string format = "table";
  std::size_t limit = 50;
};

Query query_of(const AuditOptions& options) {
  Query out;
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) out.emplace_back(name, value);
  };
  add("actor", options.actor);
  add("type", options.type);
  add("object", options.object);
  add("action", options.action);
  add("since", options.since);
  add("until", options.until);
  return out;
}

std::string who(const json& entry) {
  const auto name = text_at(entry, {"actor", "name"}), id = text_at(entry, {"actor", "id"}), type = text_at(entry, {"actor", "type"});
  if (type == "run") return name.empty() ? id : "sync of " + name;
  if (!name.empty()) return name;
  return id.empty() ? type : id;
}

Try<int> show_audit(Session& session, const AuditOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto where = options.tenant.empty() ? path({"audit"}) : path({"tenants", options.tenant, "audit"});
  auto query = query_of(options);
  if (options.format == "jsonl" || options.format == "csv") {
    query.emplace_back("format", options.format);
    const auto done = (*api)->download(where, query, [&](std::string_view piece) { session.world().out << piece; });
    if (!done) return fail(done.error());
    session.world().out.flush();
    return kOk;
  }
  const auto entries = (*api)->list(where, query, options.limit);
  if (!entries) return fail(entries.error());
  if (session.json() || options.format == "json") {
    session.print_json(*entries);
    return kOk;
  }
  std::vector<std::string> titles{"WHEN", "WHO", "ACTION", "OBJECT", "NAME", "REASON"};
  if (options.tenant.empty()) titles.insert(titles.begin() + 1, "TENANT");
  Table table(titles);
  for (const auto& entry : list_at(*entries, "items")) {
    std::vector<Cell> cells{text_at(entry, "at"),
                            who(entry),
                            text_at(entry, "action"),
                            text_at(entry, {"object", "type"}) + " " + text_at(entry, {"object", "id"}),
                            text_at(entry, {"object", "name"}),
                            text_at(entry, "reason")};
    if (options.tenant.empty()) cells.insert(cells.begin() + 1, Cell(text_at(entry, "tenant")));
    table.row(std::move(cells));
  }
  session.print(table, "Nothing that fits has happened.");
  if (!text_at(*entries, "next").empty()) session.note(fmt::format("Only the newest {} are shown; --limit 0 shows all.", options.limit));
  return kOk;
}

}  // namespace

void add_audit(Commands commands) {
  auto* const session = &commands.session;
  auto* const choice = &commands.chosen;
  const auto options = std::make_shared<AuditOptions>();
  auto* audit = commands.app.add_subcommand("audit", "Who changed what, newest first");
  audit->add_option("--tenant", options->tenant, "Of this tenant; without it of the whole instance (super admins)")->type_name("TENANT");
  audit->add_option("--actor", options->actor, "Who: an e-mail, the id of an account, user, service account or run, or 'rosterd'")
      ->type_name("WHO");
  audit->add_option("--type", options->type, "Type of the object: user, group, binding, source, …")->type_name("TYPE");
  audit->add_option("--object", options->object, "The history of one object, by its id")->type_name("ID");
  audit->add_option("--action", options->action, "created, changed, deleted, …")->type_name("ACTION");
  audit->add_option("--since", options->since, "From this moment on: 2027-01-31T12:00:00Z")->type_name("TIME");
  audit->add_option("--until", options->until, "Before this moment")->type_name("TIME");
  audit->add_option("--format", options->format, "table, json, jsonl or csv; the last two write everything that fits")
      ->check(CLI::IsMember({"table", "json", "jsonl", "csv"}))
      ->type_name("FORMAT");
  audit->add_option("--limit", options->limit, "How many, as table or json; 0 shows all")->type_name("N");
  audit->callback([=] { *choice = [=] { return show_audit(*session, *options); }; });
}

}  // namespace rosterd::cli
