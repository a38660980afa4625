#include <array>

#include "daemon/http/handlers.hpp"
#include "daemon/http/invite_page.hpp"
#include "daemon/http/new_token.hpp"
#include "daemon/http/principals.hpp"
#include "daemon/http/problem.hpp"
#include "daemon/http/render.hpp"
#include "daemon/http/sign_in.hpp"
#include "daemon/http/token.hpp"
#include "schema/core/hash.hpp"

namespace rosterd::http {
namespace {

using nlohmann::json;

constexpr std::size_t kMostGrants = 100;

std::string_view name_of(InvitationState state) {
  switch (state) {
    case InvitationState::Pending:
      return "PENDING";
    case InvitationState::Accepted:
      return "ACCEPTED";
    case InvitationState::Expired:
      return "EXPIRED";
  }
  return "";
}

json to_json(const Invitation& one) {
  auto roles = json::array(), groups = json::array();
  for (const auto& role : one.roles) roles.push_back({{"role", text(role.role)}, {"namespace", role.ns ? json(*role.ns) : json(nullptr)}});
  for (const auto group : one.groups) groups.push_back(text(PrincipalType::Group, group));
  return {{"id", text(one.id)},
          {"email", one.email},
          {"state", name_of(one.state)},
          {"roles", std::move(roles)},
          {"groups", std::move(groups)},
          {"created_at", rfc3339(one.created_at)},
          {"created_by", text_or_null(one.created_by)},
          {"expires_at", rfc3339(one.expires_at)},
          {"accepted_at", time_or_null(one.accepted_at)}};
}

Result<InvitedRole> parse_role(Call& call, const json& object) {
  if (!object.is_object()) return fail(Errc::InvalidInput, "must be an object {{\"role\": …, \"namespace\": …}}");
  Fields fields(object);
  const auto role = fields.text("role");
  InvitedRole out;
  if (const auto* ns = fields.value("namespace")) {  // an empty text is an error and never the whole tenant (R27)
    if (ns->is_string())
      out.ns = ns->get<std::string>();
    else
      fields.problem("namespace", "must be a text, or null for the whole tenant");
  }
  if (const auto valid = fields.done(); !valid) return fail(valid.error());
  const auto found = call.store().role(call.tenant, role);
  if (!found && found.error().code == Errc::NotFound) return fail_as("unknown_role", Errc::InvalidInput, "{}", found.error().what);
  if (!found) return fail(found.error());
  out.role = found->id;
  return out;
}

/// The items of a list; an absent one has none.
Result<json> items_of(Fields& fields, std::string_view name) {
  const auto* list = fields.value(name);
  if (list == nullptr) return json::array();
  if (list->is_array() && list->size() <= kMostGrants) return *list;
  return fail(Errc::InvalidInput, "{}: must be a list of at most {}", name, kMostGrants);
}

Result<NewInvitation> parse_invitation(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  NewInvitation out;
  out.email = fields->text("email", 254);
  if (const auto expires = fields->optional_text("expires_at", 40)) {
    if (const auto at = parse_rfc3339(*expires))
      out.expires_at = *at;
    else
      fields->problem("expires_at", "must be a time like 2027-01-31T12:00:00Z");
  }
  const auto roles = items_of(*fields, "roles"), groups = items_of(*fields, "groups");
  for (const auto* list : {&roles, &groups})
    if (!*list) fields->problems(list->error());
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  for (const auto& one : *roles) {
    auto role = parse_role(call, one);
    if (!role) return fail(role.error(), "roles[{}]", out.roles.size());
    out.roles.push_back(std::move(*role));
  }
  for (const auto& one : *groups) {
    if (!one.is_string()) return fail(Errc::InvalidInput, "groups[{}]: must be a text, the id or name of a group", out.groups.size());
    const auto group = principal_of(call, "group:" + one.get<std::string>());
    if (!group) return fail(group.error(), "groups[{}]", out.groups.size());
    out.groups.push_back(group->id);
  }
  return out;
}

}  // namespace

Result<Reply> list_invitations(Call& call) {
  const auto page = call.page();
  if (!page) return fail(page.error());
  const auto found = call.store().invitations(call.tenant, *page);
  if (!found) return fail(found.error());
  return ok(list(*found, [](const Invitation& one) { return to_json(one); }));
}

Result<Reply> create_invitation(Call& call) {
  auto wanted = parse_invitation(call);
  if (!wanted) return fail(wanted.error());
  const auto secret = make_token(SecretKind::Invitation);
  wanted->hash = token_hash(secret, call.app.services.token_pepper);
  const auto made = call.store().invite(call.tenant, *wanted, call.actor());
  if (!made) return fail(made.error());
  auto body = to_json(made->value);
  body["token"] = secret;  // this once
  // Behind the '#', where no browser sends it to a server and no log sees it.
  body["link"] = call.app.options.public_url.empty() ? json(nullptr) : json(call.app.options.public_url + "/invite#" + secret);
  auto out = reply(201, body);
  out.headers.emplace_back("Location", fmt::format("/v1/tenants/{}/invitations/{}", call.tenant.value, text(made->value.id)));
  out.headers.emplace_back("Cache-Control", "no-store");
  out.revision = made->revision;
  out.changed = true;
  return out;
}

Result<Reply> get_invitation(Call& call) {
  const auto found = call.store().invitation(call.tenant, call.param("i"));
  if (!found) return fail(found.error());
  return ok(to_json(*found));
}

Result<Reply> delete_invitation(Call& call) {
  const auto done = call.store().delete_invitation(call.tenant, call.param("i"), call.actor());
  if (!done) return fail(done.error());
  return gone(*done);
}

/// R94: by whoever is signed in, or by making the account it is for.
Result<Reply> accept_invitation(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  const bool signed_in = call.caller != nullptr;
  if (signed_in && !call.caller->account.id) return fail(Errc::Forbidden, "invitations are for accounts");
  const auto secret = fields->text("token", 64);
  std::string password;
  NewAccount made;
  if (!signed_in) {
    password = fields->text("password", kMostPassword);
    made.first_name = fields->optional_text("first_name").value_or("");
    made.last_name = fields->optional_text("last_name").value_or("");
  }
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  if (!plausible(secret, SecretKind::Invitation)) return fail(Errc::NotFound, "there is no such invitation, or none any more");
  const auto hash = token_hash(secret, call.app.services.token_pepper);
  Accepting who = signed_in ? Accepting(call.caller->account.id) : Accepting(NewAccount{});
  if (!signed_in) {
    const auto email = call.store().invited_email(hash);
    if (!email) return fail(email.error());
    auto hashed = hash_of_new(call.app, password, *email);
    if (!hashed) return fail(hashed.error());
    made.password_hash = std::move(*hashed);
    who = std::move(made);
  }
  const auto done = call.store().accept_invitation(hash, who, call.actor());
  if (!done) return fail(done.error());
  call.tenant = done->tenant;  // so that its snapshot is published now
  auto out = reply(signed_in ? 200 : 201,
                   {{"tenant", done->tenant.value}, {"user", http::to_json(done->user)}, {"account", http::to_json(done->account)}});
  out.revision = done->revision;
  out.changed = true;
  return out;
}

/// R93: where the link leads. What it runs and how it looks is in it, and nothing else may be: a nonce that nobody can guess says so.
Result<Reply> show_invite_page(Call&) {
  std::array<unsigned char, 16> random{};
  random_bytes(random);
  const auto nonce = hex(random);
  constexpr std::string_view kPlace = "@NONCE@";
  Reply out;
  out.content_type = "text/html; charset=utf-8";
  out.body = invite_page();
  for (auto at = out.body.find(kPlace); at != std::string::npos; at = out.body.find(kPlace, at)) out.body.replace(at, kPlace.size(), nonce);
  out.headers.emplace_back(
      "Content-Security-Policy",
      fmt::format("default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; connect-src 'self'; base-uri 'none'; "
                  "form-action 'none'; frame-ancestors 'none'",
                  nonce));
  out.headers.emplace_back("Referrer-Policy", "no-referrer");
  return out;
}

}  // namespace rosterd::http
