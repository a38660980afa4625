#pragma once
// The doormen: parse, call, render. One file per resource; the wrapper (app.cpp) has authenticated, found the tenant and checked the
// right before any of them runs.

#include "daemon/http/app.hpp"

namespace rosterd::http {

Result<Reply> set_up(Call& call);  // setup.cpp

Result<Reply> me(Call& call);  // me.cpp
Result<Reply> list_tokens(Call& call);
Result<Reply> create_token(Call& call);
Result<Reply> revoke_token(Call& call);

Result<Reply> log_in(Call& call);  // login.cpp
Result<Reply> log_out(Call& call);
Result<Reply> begin_instance_login(Call& call);  // login_oidc.cpp
Result<Reply> finish_instance_login(Call& call);
Result<Reply> begin_tenant_login(Call& call);
Result<Reply> finish_tenant_login(Call& call);
Result<Reply> get_identity(Call& call);
Result<Reply> set_identity(Call& call);
Result<Reply> remove_identity(Call& call);
Result<Reply> change_own_password(Call& call);

Result<Reply> change_me(Call& call);  // accounts.cpp
Result<Reply> list_accounts(Call& call);
Result<Reply> create_account(Call& call);
Result<Reply> get_account(Call& call);
Result<Reply> change_account(Call& call);
Result<Reply> delete_account(Call& call);
Result<Reply> reset_password(Call& call);
Result<Reply> grant_super_admin(Call& call);
Result<Reply> revoke_super_admin(Call& call);
Result<Reply> unlock_account(Call& call);

Result<Reply> list_invitations(Call& call);  // invitations.cpp
Result<Reply> create_invitation(Call& call);
Result<Reply> get_invitation(Call& call);
Result<Reply> delete_invitation(Call& call);
Result<Reply> accept_invitation(Call& call);
Result<Reply> show_invite_page(Call& call);

Result<Reply> list_tenants(Call& call);  // tenants.cpp
Result<Reply> create_tenant(Call& call);
Result<Reply> get_tenant(Call& call);
Result<Reply> change_tenant(Call& call);
Result<Reply> delete_tenant(Call& call);

Result<Reply> list_users(Call& call);  // users.cpp
Result<Reply> create_user(Call& call);
Result<Reply> get_user(Call& call);
Result<Reply> change_user(Call& call);
Result<Reply> delete_user(Call& call);
Result<Reply> get_user_account(Call& call);
Result<Reply> link_user_account(Call& call);
Result<Reply> unlink_user_account(Call& call);
Result<Reply> groups_of_user(Call& call);
Result<Reply> effective(Call& call);  // effective.cpp

Result<Reply> list_groups(Call& call);  // groups.cpp
Result<Reply> create_group(Call& call);
Result<Reply> get_group(Call& call);
Result<Reply> change_group(Call& call);
Result<Reply> delete_group(Call& call);
Result<Reply> list_members(Call& call);
Result<Reply> replace_members(Call& call);
Result<Reply> add_member(Call& call);
Result<Reply> remove_member(Call& call);

Result<Reply> list_service_accounts(Call& call);  // service_accounts.cpp
Result<Reply> create_service_account(Call& call);
Result<Reply> get_service_account(Call& call);
Result<Reply> change_service_account(Call& call);
Result<Reply> delete_service_account(Call& call);
Result<Reply> list_service_tokens(Call& call);
Result<Reply> create_service_token(Call& call);
Result<Reply> revoke_service_token(Call& call);

Result<Reply> list_permissions(Call& call);  // roles.cpp
Result<Reply> list_roles(Call& call);
Result<Reply> create_role(Call& call);
Result<Reply> get_role(Call& call);
Result<Reply> replace_role(Call& call);
Result<Reply> patch_role(Call& call);
Result<Reply> delete_role(Call& call);

Result<Reply> list_bindings(Call& call);  // bindings.cpp
Result<Reply> create_bindings(Call& call);
Result<Reply> get_binding(Call& call);
Result<Reply> delete_binding(Call& call);
Result<Reply> refuse_binding_change(Call& call);

Result<Reply> list_sources(Call& call);  // sources.cpp
Result<Reply> create_source(Call& call);
Result<Reply> get_source(Call& call);
Result<Reply> replace_source(Call& call);
Result<Reply> patch_source(Call& call);
Result<Reply> delete_source(Call& call);
Result<Reply> test_source(Call& call);

/// R81: whoever decides what a source says can grant anything through it.
[[nodiscard]] Result<void> may_grant_everything(Call& call);

Result<Reply> list_source_tokens(Call& call);  // source_tokens.cpp
Result<Reply> create_source_token(Call& call);
Result<Reply> revoke_source_token(Call& call);

Result<Reply> scim_list_users(Call& call);  // scim/routes.cpp
Result<Reply> scim_create_user(Call& call);
Result<Reply> scim_search_users(Call& call);
Result<Reply> scim_get_user(Call& call);
Result<Reply> scim_replace_user(Call& call);
Result<Reply> scim_patch_user(Call& call);
Result<Reply> scim_delete_user(Call& call);
Result<Reply> scim_list_groups(Call& call);
Result<Reply> scim_create_group(Call& call);
Result<Reply> scim_search_groups(Call& call);
Result<Reply> scim_get_group(Call& call);
Result<Reply> scim_replace_group(Call& call);
Result<Reply> scim_patch_group(Call& call);
Result<Reply> scim_delete_group(Call& call);
Result<Reply> scim_search(Call& call);
Result<Reply> scim_config(Call& call);
Result<Reply> scim_schemas(Call& call);
Result<Reply> scim_schema(Call& call);
Result<Reply> scim_resource_types(Call& call);
Result<Reply> scim_resource_type(Call& call);
Result<Reply> scim_bulk(Call& call);

Result<Reply> sync_source(Call& call);  // runs.cpp
Result<Reply> list_source_runs(Call& call);
Result<Reply> list_runs(Call& call);
Result<Reply> get_run(Call& call);
Result<Reply> list_changes(Call& call);
Result<Reply> approve_run(Call& call);
Result<Reply> discard_run(Call& call);

Result<Reply> status(Call& call);  // status.cpp

Result<Reply> tenant_audit(Call& call);  // audit.cpp
Result<Reply> instance_audit(Call& call);

Result<Reply> check_one(Call& call);  // check.cpp
Result<Reply> check_body(Call& call);

Result<Reply> authzen_evaluation(Call& call);  // authzen_routes.cpp
Result<Reply> authzen_evaluations(Call& call);
Result<Reply> authzen_subjects(Call& call);
Result<Reply> authzen_resources(Call& call);
Result<Reply> authzen_actions(Call& call);
Result<Reply> authzen_metadata(Call& call);

/// A request's path taken apart when it is one of a proxy: /t/{tenant}/authz/proxy and whatever follows, which is not looked at here.
struct ProxyTarget {
  std::string_view tenant;  ///< may be anything
  std::string_view path;    ///< what follows, without the query
};
[[nodiscard]] std::optional<ProxyTarget> proxy_target(std::string_view target);
Result<Reply> proxy(Call& call);  // proxy.cpp
/// X4: whether this is a request of a proxy that takes a fault for a denial. Any target may be asked about.
[[nodiscard]] bool faults_are_denials(const HttpOptions& options, std::string_view target);

Result<Reply> healthz(Call& call);  // meta.cpp
Result<Reply> readyz(Call& call);
Result<Reply> version(Call& call);
Result<Reply> metrics(Call& call);
Result<Reply> openapi(Call& call);

}  // namespace rosterd::http
