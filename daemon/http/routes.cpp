#include "daemon/http/handlers.hpp"

namespace rosterd::http {
namespace {

using enum Access;

constexpr std::string_view kPage = "limit cursor q";
constexpr std::string_view kAudit = "actor type object action since until limit cursor format";

// The table of rbac.md §16, as far as this release answers it. Whatever is not here is 404.
constexpr Route kRoutes[] = {
    {"GET", "/healthz", Open, {}, {}, healthz},
    {"GET", "/readyz", Open, {}, {}, readyz},
    {"GET", "/version", Open, {}, {}, version},
    {"GET", "/metrics", Open, {}, {}, metrics},
    {"GET", "/openapi.json", Open, {}, {}, openapi},
    {"POST", "/v1/setup", Open, {}, {}, set_up},
    {"GET", "/v1/me", SignedIn, {}, {}, me},
    {"GET", "/v1/me/tokens", Account, {}, {}, list_tokens},
    {"POST", "/v1/me/tokens", Account, {}, {}, create_token},
    {"DELETE", "/v1/me/tokens/{id}", Account, {}, {}, revoke_token},
    {"GET", "/v1/audit", SuperAdmin, {}, {}, instance_audit, kAudit},
    {"GET", "/v1/tenants", SignedIn, {}, {}, list_tenants, kPage},
    {"POST", "/v1/tenants", SuperAdmin, {}, {}, create_tenant},
    {"GET", "/v1/tenants/{t}", Standing, {}, {}, get_tenant},
    {"PATCH", "/v1/tenants/{t}", SuperAdmin, {}, {}, change_tenant},
    {"DELETE", "/v1/tenants/{t}", SuperAdmin, {}, {}, delete_tenant},
    {"GET", "/v1/tenants/{t}/users", Pair, "USER", "READ", list_users, kPage},
    {"POST", "/v1/tenants/{t}/users", Pair, "USER", "CREATE", create_user},
    {"GET", "/v1/tenants/{t}/users/{u}", PairOrSelf, "USER", "READ", get_user},
    {"PATCH", "/v1/tenants/{t}/users/{u}", Pair, "USER", "UPDATE", change_user, "force"},
    {"DELETE", "/v1/tenants/{t}/users/{u}", Pair, "USER", "DELETE", delete_user, "force"},
    {"GET", "/v1/tenants/{t}/users/{u}/account", PairOrSelf, "TENANT_ACCESS", "READ", get_user_account},
    {"PUT", "/v1/tenants/{t}/users/{u}/account", Pair, "TENANT_ACCESS", "CREATE", link_user_account},
    {"DELETE", "/v1/tenants/{t}/users/{u}/account", Pair, "TENANT_ACCESS", "DELETE", unlink_user_account},
    {"GET", "/v1/tenants/{t}/users/{u}/groups", PairOrSelf, "GROUP_MEMBERSHIP", "READ", groups_of_user},
    {"GET", "/v1/tenants/{t}/users/{u}/effective", PairOrSelf, "BINDING", "READ", effective, "limit cursor"},
    {"GET", "/v1/tenants/{t}/groups", Pair, "GROUP", "READ", list_groups, kPage},
    {"POST", "/v1/tenants/{t}/groups", Pair, "GROUP", "CREATE", create_group},
    {"GET", "/v1/tenants/{t}/groups/{g}", Pair, "GROUP", "READ", get_group},
    {"PATCH", "/v1/tenants/{t}/groups/{g}", Pair, "GROUP", "UPDATE", change_group},
    {"DELETE", "/v1/tenants/{t}/groups/{g}", Pair, "GROUP", "DELETE", delete_group, "force"},
    {"GET", "/v1/tenants/{t}/groups/{g}/members", Pair, "GROUP_MEMBERSHIP", "READ", list_members, kPage},
    {"PUT", "/v1/tenants/{t}/groups/{g}/members", Pair, "GROUP_MEMBERSHIP", "UPDATE", replace_members, "force"},
    {"PUT", "/v1/tenants/{t}/groups/{g}/members/{m}", Pair, "GROUP_MEMBERSHIP", "CREATE", add_member},
    {"DELETE", "/v1/tenants/{t}/groups/{g}/members/{m}", Pair, "GROUP_MEMBERSHIP", "DELETE", remove_member, "force"},
    {"GET", "/v1/tenants/{t}/service-accounts", Pair, "SERVICE_ACCOUNT", "READ", list_service_accounts, kPage},
    {"POST", "/v1/tenants/{t}/service-accounts", Pair, "SERVICE_ACCOUNT", "CREATE", create_service_account},
    {"GET", "/v1/tenants/{t}/service-accounts/{s}", Pair, "SERVICE_ACCOUNT", "READ", get_service_account},
    {"PATCH", "/v1/tenants/{t}/service-accounts/{s}", Pair, "SERVICE_ACCOUNT", "UPDATE", change_service_account, "force"},
    {"DELETE", "/v1/tenants/{t}/service-accounts/{s}", Pair, "SERVICE_ACCOUNT", "DELETE", delete_service_account, "force"},
    {"GET", "/v1/tenants/{t}/service-accounts/{s}/tokens", Pair, "SERVICE_ACCOUNT", "READ", list_service_tokens},
    {"POST", "/v1/tenants/{t}/service-accounts/{s}/tokens", Pair, "SERVICE_ACCOUNT", "UPDATE", create_service_token},
    {"DELETE", "/v1/tenants/{t}/service-accounts/{s}/tokens/{id}", Pair, "SERVICE_ACCOUNT", "UPDATE", revoke_service_token},
    {"GET", "/v1/tenants/{t}/permissions", Standing, {}, {}, list_permissions},
    {"GET", "/v1/tenants/{t}/roles", Pair, "ROLE", "READ", list_roles},
    {"POST", "/v1/tenants/{t}/roles", Pair, "ROLE", "CREATE", create_role},
    {"GET", "/v1/tenants/{t}/roles/{r}", Pair, "ROLE", "READ", get_role},
    {"PUT", "/v1/tenants/{t}/roles/{r}", Pair, "ROLE", "UPDATE", replace_role},
    {"PATCH", "/v1/tenants/{t}/roles/{r}", Pair, "ROLE", "UPDATE", patch_role},
    {"DELETE", "/v1/tenants/{t}/roles/{r}", Pair, "ROLE", "DELETE", delete_role, "force"},
    {"GET", "/v1/tenants/{t}/bindings", Pair, "BINDING", "READ", list_bindings, "limit cursor role principal namespace"},
    {"POST", "/v1/tenants/{t}/bindings", Pair, "BINDING", "CREATE", create_bindings},
    {"GET", "/v1/tenants/{t}/bindings/{b}", Pair, "BINDING", "READ", get_binding},
    {"PUT", "/v1/tenants/{t}/bindings/{b}", Standing, {}, {}, refuse_binding_change},
    {"PATCH", "/v1/tenants/{t}/bindings/{b}", Standing, {}, {}, refuse_binding_change},
    {"DELETE", "/v1/tenants/{t}/bindings/{b}", Pair, "BINDING", "DELETE", delete_binding, "force"},
    {"GET", "/v1/tenants/{t}/sources", Pair, "SOURCE", "READ", list_sources},
    {"POST", "/v1/tenants/{t}/sources", Pair, "SOURCE", "CREATE", create_source},
    {"GET", "/v1/tenants/{t}/sources/{s}", Pair, "SOURCE", "READ", get_source},
    {"PUT", "/v1/tenants/{t}/sources/{s}", Pair, "SOURCE", "UPDATE", replace_source},
    {"PATCH", "/v1/tenants/{t}/sources/{s}", Pair, "SOURCE", "UPDATE", patch_source},
    {"DELETE", "/v1/tenants/{t}/sources/{s}", Pair, "SOURCE", "DELETE", delete_source, "force"},
    {"POST", "/v1/tenants/{t}/sources/{s}/test", Pair, "SOURCE", "UPDATE", test_source},
    {"POST", "/v1/tenants/{t}/sources/{s}/sync", Pair, "SYNC_RUN", "CREATE", sync_source},
    {"GET", "/v1/tenants/{t}/sources/{s}/runs", Pair, "SYNC_RUN", "READ", list_source_runs, "limit cursor"},
    {"GET", "/v1/tenants/{t}/runs", Pair, "SYNC_RUN", "READ", list_runs, "limit cursor"},
    {"GET", "/v1/tenants/{t}/runs/{r}", Pair, "SYNC_RUN", "READ", get_run},
    {"GET", "/v1/tenants/{t}/runs/{r}/changes", Pair, "SYNC_RUN", "READ", list_changes, "limit cursor"},
    {"POST", "/v1/tenants/{t}/runs/{r}/approve", Pair, "SYNC_RUN", "UPDATE", approve_run},
    {"POST", "/v1/tenants/{t}/runs/{r}/discard", Pair, "SYNC_RUN", "UPDATE", discard_run},
    {"GET", "/v1/tenants/{t}/status", Pair, "SYNC_RUN", "READ", status},
    {"GET", "/v1/tenants/{t}/audit", Pair, "AUDITLOG", "READ", tenant_audit, kAudit},
    // CHECK READ is asked for inside: a check about oneself is free.
    {"GET", "/v1/tenants/{t}/check", Standing, "CHECK", "READ", check_one, "subject permission action namespace explain"},
    {"POST", "/v1/tenants/{t}/check", Standing, "CHECK", "READ", check_body},
    {"GET", "/.well-known/authzen-configuration/t/{t}", Open, {}, {}, authzen_metadata},
    {"POST", "/t/{t}/access/v1/evaluation", Pair, "CHECK", "READ", authzen_evaluation},
    {"POST", "/t/{t}/access/v1/evaluations", Pair, "CHECK", "READ", authzen_evaluations},
    {"POST", "/t/{t}/access/v1/search/subject", Pair, "CHECK", "READ", authzen_subjects},
    {"POST", "/t/{t}/access/v1/search/resource", Pair, "CHECK", "READ", authzen_resources},
    {"POST", "/t/{t}/access/v1/search/action", Pair, "CHECK", "READ", authzen_actions},
    {"GET", "/t/{t}/authz/proxy", Proxied, {}, {}, proxy},  // stands for every method, and every path below it
};

}  // namespace

std::span<const Route> routes() { return kRoutes; }

}  // namespace rosterd::http
