// check: may this subject do that, here?

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/people.hpp"
#include "cli/session.hpp"
#include "cli/words.hpp"

namespace rosterd::cli {
namespace {

using nlohmann::json;

struct CheckOptions {
  std::string tenant, subject, permission, action, ns;
  bool explain = false, quiet = false;
};

/// The codes of the API in words; an unknown one is shown as it is.
std::string_view meaning(std::string_view code) {
  constexpr std::pair<std::string_view, std::string_view> kMeanings[] = {
      {"allowed_super_admin", "a super admin manages every tenant"},
      {"allowed_admin_role", "an Admin role covers it"},
      {"allowed_binding", "a role covers it"},
      {"denied_tenant_disabled", "the tenant is disabled"},
      {"denied_unknown_permission", "there is no such permission"},
      {"denied_unknown_action", "the permission has no such action"},
      {"denied_unknown_subject", "nobody goes by that name"},
      {"denied_ambiguous_subject", "more than one goes by that name; ask with the id"},
      {"denied_user_suspended", "the user is suspended"},
      {"denied_service_account_disabled", "the service account is disabled"},
      {"denied_group_suspended", "the group is suspended"},
      {"denied_no_tenant_access", "the account has no user in this tenant"},
      {"denied_wrong_namespace", "granted in another namespace, not here"},
      {"denied_action_missing", "other actions of the permission are granted, not this one"},
      {"denied_no_binding", "no role grants anything of the permission"},
  };
  for (const auto& [known, words] : kMeanings)
    if (known == code) return words;
  return "";
}

/// Why not: what comes nearest, for those who may see it.
void print_near_misses(const Session& session, const json& misses, const std::string& name) {
  constexpr std::pair<const char*, const char*> kKinds[] = {
      {"elsewhere", "has it elsewhere:"},
      {"without_action", "has a role here without this action:"},
      {"tenant_scope", "has it below a namespace only, where this permission cannot be given:"},
      {"expired", "had it until it expired:"}};
  const bool colours = session.colours();
  for (const auto& [kind, words] : kKinds) {
    const auto& grants = list_at(misses, kind);
    if (!grants.empty()) session.print_line(words, Colour::Yellow);
    for (const auto& grant : grants) session.print("  " + grant_text(grant, name, {}, colours));
  }
  const auto& groups = list_at(misses, "groups");
  if (!groups.empty()) session.print_line("would have it as a member of:", Colour::Yellow);
  for (const auto& group : groups) {
    const auto ns = text_at(group, "namespace");
    session.print_line(fmt::format("  {}, which has {} in {}", harmless(text_at(group, {"group", "name"})),
                                   harmless(text_at(group, {"role", "name"})),
                                   ns.empty() ? "the whole tenant" : harmless(ns) + " and below"));
  }
  if (flag_at(misses, "more")) session.print_line("and more like these", Colour::Dim);
}

Try<int> check(Session& session, const CheckOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto subject = options.subject.find(':') == std::string::npos ? "user:" + options.subject : options.subject;
  Query query{{"subject", subject}, {"permission", options.permission}, {"action", options.action}};
  if (!options.ns.empty()) query.emplace_back("namespace", options.ns);
  if (options.explain) query.emplace_back("explain", "true");
  const auto answer = (*api)->get(path({"tenants", options.tenant, "check"}), query);
  if (!answer) return fail(answer.error());
  const bool allowed = flag_at(*answer, "allowed");
  const int code = allowed ? kOk : kNo;
  if (options.quiet) return code;
  if (session.json()) {
    session.print_json(*answer);
    return code;
  }
  const bool colours = session.colours();
  const auto reason = text_at(*answer, "reason");
  const auto words = meaning(reason);
  session.print_line(fmt::format(
      "{}  {} {} {} {}{}", painted(allowed ? "allowed" : "denied ", allowed ? Colour::Green : Colour::Red, colours), harmless(subject),
      harmless(options.permission), harmless(options.action), options.ns.empty() ? "" : "in " + harmless(options.ns) + " ",
      painted(fmt::format("({}{}{})", harmless(reason), words.empty() ? "" : ": ", words), Colour::Dim, colours)));
  if (!options.explain) return code;
  const auto name = harmless(subject.substr(subject.find(':') + 1));
  for (const auto& grant : list_at(*answer, "paths")) session.print("  " + grant_text(grant, name, {}, colours));
  if (answer->contains("near_misses")) print_near_misses(session, (*answer)["near_misses"], name);
  return code;
}

}  // namespace

void add_check(Commands commands) {
  auto* const session = &commands.session;
  auto* const choice = &commands.chosen;
  const auto options = std::make_shared<CheckOptions>();
  auto* command = commands.app.add_subcommand("check", "Ask whether a subject may do something; exit code 0 = allowed, 1 = denied");
  command->add_option("tenant", options->tenant, "Tenant")->required()->type_name("");
  command->add_option("subject", options->subject, "Who: ada, user:ada, group:editors, service_account:ci, or an id")
      ->required()
      ->type_name("");
  command->add_option("permission", options->permission, "Permission such as FLOW")->required()->type_name("");
  command->add_option("action", options->action, "Action such as READ")->required()->type_name("");
  command->add_option("-n,--namespace", options->ns, "Where, such as company.team (default: the whole tenant)")->type_name("NAMESPACE");
  command->add_flag("--explain", options->explain, "Show the grants that decide");
  command->add_flag("--quiet", options->quiet, "Print nothing, only set the exit code");
  command->callback([=] { *choice = [=] { return check(*session, *options); }; });
}

}  // namespace rosterd::cli
