#include <charconv>

#include "daemon/http/handlers.hpp"
#include "daemon/http/render.hpp"
#include "daemon/http/scim/pusher.hpp"
#include "daemon/http/source_state.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http {
namespace {

using nlohmann::json;

/// Settings that decide which server hears the secret.
constexpr std::string_view kServerSettings[] = {"/url", "/issuer", "/start_tls", "/allow_plaintext", "/ca_file", "/ca_pem"};
/// Settings that name a file of rosterd's host, in the clear.
constexpr std::string_view kHostFiles[] = {"/ca_file"};
constexpr int kMostTests = 4;  // each may hold a thread for as long as a mute server is given

json masked_settings(const Source& source) {
  const auto type = connectors::find_connector_type(source.type);
  if (!type) return json::object();  // a kind this build does not know: its secrets are not known either, so nothing is shown
  return json::parse(Secrets::mask(source.settings, (*type)->secrets), nullptr, false);
}

json source_json(const Source& source, std::string_view state) {
  auto out = to_json(source);
  out["settings"] = masked_settings(source);
  out["state"] = state;
  return out;
}

Result<std::string> state_in(Call& call, SourceId id) {
  const auto all = call.store().status(call.tenant);
  if (!all) return fail(all.error());
  for (const auto& status : *all)
    if (status.source.id == id) return std::string(state_of(status));
  return std::string("new");
}

Result<Reply> shown(Call& call, int http_status, const Source& source) {
  const auto state = state_in(call, source.id);
  if (!state) return fail(state.error());
  auto answer = reply(http_status, source_json(source, *state));
  answer.headers.emplace_back("ETag", fmt::format("\"{}\"", source.version));
  return answer;
}

/// If-Match: 0 = none or "*".
Result<std::uint64_t> wanted_version(const Call& call) {
  auto given = call.request.headers.if_match;
  if (given.empty() || given == "*") return std::uint64_t{0};
  std::uint64_t version = 0;
  if (given.size() > 2 && given.front() == '"' && given.back() == '"') {
    given = given.substr(1, given.size() - 2);
    const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), version);
    if (error == std::errc{} && end == given.data() + given.size() && version != 0) return version;
  }
  return fail_as("stale_version", Errc::Conflict, "If-Match: is not an ETag of this source");
}

const json* at(const json& settings, std::string_view path) {
  const json::json_pointer pointer{std::string(path)};
  return settings.is_object() && settings.contains(pointer) ? &settings[pointer] : nullptr;
}

/// Three ways of reading what one should not: naming a file or variable of the daemon's host and sending it to a server of one's own as
/// a password, naming any file as ca_file and learning from `test` whether it is there, or keeping a stored secret while pointing the
/// source at another server.
Result<void> secrets_stay_home(Call& call, const json& settings, const connectors::ConnectorType& type, const Source* before) {
  if (call.super_admin()) return {};
  const auto old = before != nullptr ? json::parse(before->settings, nullptr, false) : json::object();
  bool moved = false;
  for (const auto path : kServerSettings) {
    const auto *was = at(old, path), *is = at(settings, path);
    moved = moved || (was == nullptr) != (is == nullptr) || (was != nullptr && *was != *is);
  }
  for (const auto path : kHostFiles) {
    const auto *was = at(old, path), *is = at(settings, path);
    if (is != nullptr && !is->is_null() && (was == nullptr || *was != *is))
      return fail(Errc::Forbidden, "settings{}: only a super admin may name a file of rosterd's host; give the text itself as ca_pem",
                  path);
  }
  for (const auto path : type.secrets) {
    const auto* secret = at(settings, path);
    if (secret == nullptr || !secret->is_object()) continue;
    const bool kept = secret->contains("set");
    if (!kept && (secret->contains("file") || secret->contains("env")))
      return fail(Errc::Forbidden, "settings{}: only a super admin may name a file or variable of rosterd's host", path);
    if (kept && moved)
      return fail_as("secret_required", Errc::InvalidInput, "settings{}: the server changes, so the secret must be given again", path);
  }
  return {};
}

/// The POST shape of DESIGN §6.1 -> what the store takes. `before` lends its secrets.
Result<NewSource> parse_source(Call& call, json document, const Source* before) {
  Fields fields(std::move(document));
  NewSource out;
  out.name = fields.text("name", 63);
  out.type = fields.text("type", 63);
  out.enabled = fields.flag("enabled").value_or(true);
  if (!out.name.empty() && !is_slug(out.name)) fields.problem("name", "must match ^[a-z0-9][a-z0-9_-]{0,62}$");
  const auto take = [&](std::string_view name, auto parse, auto& into) {
    const auto* value = fields.value(name);
    if (value == nullptr) return;
    auto parsed = parse(*value);
    if (parsed)
      into = std::move(*parsed);
    else
      fields.problems(parsed.error());
  };
  take("schedule", schedule_from_json, out.schedule);
  take("guard", guard_from_json, out.guard);
  take("role_mappings", role_mappings_from_json, out.role_mappings);
  const auto* given = fields.value("settings");
  const auto settings = given != nullptr        ? *given
                        : out.type == kPushType ? json::object()  // it has none
                                                : json();
  if (!settings.is_object()) fields.problem("settings", given == nullptr ? "is missing" : "must be an object");
  if (const auto valid = fields.done(); !valid) return fail(valid.error());

  if (out.type == kPushType)
    if (const auto good = scim::rules_of(out.guard, out.role_mappings); !good) return fail(good.error());
  const auto type = connectors::find_connector_type(out.type);
  if (!type) return fail_as("unknown_source_type", Errc::InvalidInput, "type: {}", type.error().what);
  if (before != nullptr && before->type != out.type) return fail(Errc::InvalidInput, "type: a source keeps its type; make another source");
  if (const auto home = secrets_stay_home(call, settings, **type, before); !home) return fail(home.error());
  auto sealed = call.app.services.secrets.seal(settings.dump(), (*type)->secrets, before != nullptr ? before->settings : std::string());
  if (!sealed) return fail(sealed.error());
  // Checked as the connector will get them: with the secrets opened, a missing file is found now and not at the first run.
  const auto opened = call.app.services.secrets.open_settings(*sealed, (*type)->secrets);
  if (!opened) return fail(opened.error());
  if (const auto valid = (*type)->validate(*opened); !valid) return fail(valid.error());
  out.settings = std::move(*sealed);
  return out;
}

Result<Reply> stored(Call& call, const Source& before, json document, std::uint64_t if_version) {
  auto source = parse_source(call, std::move(document), &before);
  if (!source) return fail(source.error());
  const auto changed = call.store().change_source(call.tenant, before.id, *source, if_version, call.actor());
  if (!changed) return fail(changed.error());
  call.app.services.sync.wake();
  call.app.pushers.clear();
  auto revision = changed->revision;
  if (source->type == kPushType && source->role_mappings != before.role_mappings) {
    const auto rules = scim::rules_of(source->guard, source->role_mappings);
    if (!rules) return fail(rules.error());
    const auto bound = call.store().remap_pushed(call.tenant, before.id, *rules, call.actor());
    if (!bound) return fail(bound.error(), "the source is changed, but its groups are not bound anew");
    revision = *bound;
  }
  auto answer = shown(call, 200, changed->value);
  if (!answer) return answer;
  answer->revision = revision;
  answer->changed = true;
  return answer;
}

/// Nothing can be asked of a provider that pushes; what is known is whether it could, and when it last did.
Result<std::vector<connectors::Finding>> test_of_pushing(Call& call, const Source& source) {
  const auto tokens = call.store().source_tokens(call.tenant, source.id);
  if (!tokens) return fail(tokens.error());
  const auto now = call.app.services.clock.now();
  std::size_t live = 0;
  std::optional<TimePoint> used, ends;
  for (const auto& token : *tokens) {
    if (token.last_used_at && (!used || *used < *token.last_used_at)) used = token.last_used_at;
    if (token.expires_at && *token.expires_at <= now) continue;
    ++live;
    if (token.expires_at && (!ends || *ends < *token.expires_at)) ends = token.expires_at;
  }
  std::vector<connectors::Finding> out;
  out.push_back({.step = "token",
                 .good = live > 0,
                 .text = live == 0 ? std::string("the source has no token that is good now: make one (POST …/tokens, or rosterctl sources "
                                                 "create-token) and give it to the provider")
                                   : fmt::format("{} live token{}{}", live, live > 1 ? "s" : "",
                                                 ends ? ", the last of which expires at " + rfc3339(*ends) : std::string())});
  out.push_back({.step = "last request",
                 .good = used.has_value(),
                 .text = used ? "the provider last called at about " + rfc3339(*used)
                              : std::string("the provider has not called yet: start its provisioning, or its connection test")});
  out.push_back({.step = "enabled",
                 .good = source.enabled,
                 .text = source.enabled ? "the source takes what is pushed" : "the source is disabled, and every push is answered 403"});
  return out;
}

/// What a PATCH starts from: the POST shape, secrets as {"set": true}.
json post_shape(const Source& source) {
  auto out = to_json(source);
  for (const char* read_only : {"id", "created_at"}) out.erase(read_only);
  out["settings"] = masked_settings(source);
  return out;
}

}  // namespace

/// Whoever chooses the directory chooses the members (R81). Holding tenant-wide Admin covers whatever a source could grant, now and
/// later; it is asked of the newest revision, not of a snapshot that may be older (R82).
Result<void> may_grant_everything(Call& call) {
  if (call.super_admin()) return {};
  const auto tenant = call.store().tenant(call.tenant);
  if (!tenant) return fail(tenant.error());
  auto& services = call.app.services;
  services.sync.changed(call.tenant);
  const auto newest =
      services.snapshots.wait_for(call.tenant, tenant->revision, std::chrono::steady_clock::now() + call.app.options.revision_wait);
  if (!newest)
    return fail_as("not_yet_at_revision", Errc::Unavailable, "the caller's rights at revision {} are not known yet",
                   text(tenant->revision));
  const auto& who = call.self;
  const auto now = services.clock.now();
  if (who && newest->snapshot->check(*who, "SOURCE", "UPDATE", std::nullopt, now).allowed)
    for (const auto& grant : newest->snapshot->grants(*who, now, 0))
      if (grant.admin && !grant.ns) return {};
  return fail_as(
      "escalation", Errc::Forbidden,
      "who decides what a source reads can grant anything through it: this needs tenant-wide Admin (missing: every pair, whole tenant)");
}

Result<Reply> list_sources(Call& call) {
  const auto all = call.store().status(call.tenant);
  if (!all) return fail(all.error());
  auto items = json::array();
  for (const auto& status : *all) items.push_back(source_json(status.source, state_of(status)));
  return ok(list(std::move(items)));
}

Result<Reply> create_source(Call& call) {
  auto document = parse_json(call.request.body);
  if (!document) return fail(document.error());
  if (!document->is_object()) return fail(Errc::InvalidInput, "the body must be a JSON object");
  if (const auto granted = may_grant_everything(call); !granted) return fail(granted.error());
  auto source = parse_source(call, std::move(*document), nullptr);
  if (!source) return fail(source.error());
  const auto made = call.store().create_source(call.tenant, *source, call.actor());
  if (!made) return fail(made.error());
  call.app.services.sync.wake();
  auto answer = shown(call, 201, made->value);
  if (!answer) return answer;
  answer->headers.emplace_back("Location", fmt::format("/v1/tenants/{}/sources/{}", call.tenant.value, made->value.name));
  answer->revision = made->revision;
  answer->changed = true;
  return answer;
}

Result<Reply> get_source(Call& call) {
  const auto source = call.store().source(call.tenant, call.param("s"));
  if (!source) return fail(source.error());
  return shown(call, 200, *source);
}

Result<Reply> replace_source(Call& call) {
  auto document = parse_json(call.request.body);
  if (!document) return fail(document.error());
  if (!document->is_object()) return fail(Errc::InvalidInput, "the body must be a JSON object");
  const auto version = wanted_version(call);
  if (!version) return fail(version.error());
  const auto before = call.store().source(call.tenant, call.param("s"));
  if (!before) return fail(before.error());
  if (const auto granted = may_grant_everything(call); !granted) return fail(granted.error());
  return stored(call, *before, std::move(*document), *version != 0 ? *version : before->version);
}

Result<Reply> patch_source(Call& call) {
  const auto patch = parse_json(call.request.body);
  if (!patch) return fail(patch.error());
  if (!patch->is_object()) return fail(Errc::InvalidInput, "the body must be a JSON object");
  const auto version = wanted_version(call);
  if (!version) return fail(version.error());
  const auto before = call.store().source(call.tenant, call.param("s"));
  if (!before) return fail(before.error());
  if (*version != 0 && *version != before->version)
    return fail_as("stale_version", Errc::Conflict, "the source has changed since: it is at \"{}\"", before->version);
  if (const auto granted = may_grant_everything(call); !granted) return fail(granted.error());
  auto document = post_shape(*before);
  // A secret is replaced as a whole: {"value": …} must not be merged into {"set": true}.
  if (const auto type = connectors::find_connector_type(before->type))
    for (const auto path : (*type)->secrets)
      if (const auto pointer = json::json_pointer("/settings" + std::string(path)); patch->contains(pointer) && document.contains(pointer))
        document[pointer] = nullptr;
  document.merge_patch(*patch);
  return stored(call, *before, std::move(document), before->version);
}

Result<Reply> delete_source(Call& call) {
  const auto force = call.query_flag("force");
  if (!force) return fail(force.error());
  const auto version = wanted_version(call);
  if (!version) return fail(version.error());
  const auto source = call.store().source(call.tenant, call.param("s"));
  if (!source) return fail(source.error());
  if (*version != 0 && *version != source->version)
    return fail_as("stale_version", Errc::Conflict, "the source has changed since: it is at \"{}\"", source->version);
  const auto how_far = !*force ? Force::No : call.super_admin() ? Force::EvenLastAdmin : Force::Suspend;
  const auto revision = call.store().delete_source(call.tenant, source->id, how_far, call.actor());
  if (!revision) return fail(revision.error());
  call.app.services.sync.wake();
  return gone(*revision);
}

Result<Reply> test_source(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  const auto source = call.store().source(call.tenant, call.param("s"));
  if (!source) return fail(source.error());

  struct Slot {
    std::atomic<int>& running;
    bool taken;
    explicit Slot(std::atomic<int>& counter) : running(counter), taken(counter.fetch_add(1) < kMostTests) {}
    ~Slot() { running.fetch_sub(1); }
  } const slot(call.app.tests);
  if (!slot.taken) return fail_as("busy", Errc::Unavailable, "{} source tests are running already; try again", kMostTests);

  std::vector<connectors::Finding> findings;
  const auto failed = [&](const Error& error) { findings.push_back({.step = "settings", .good = false, .text = error.what}); };
  const auto type = connectors::find_connector_type(source->type);
  const auto opened =
      type ? call.app.services.secrets.open_settings(source->settings, (*type)->secrets) : Result<std::string>(fail(type.error()));
  const auto state = call.store().source_state(call.tenant, source->id);
  if (source->type == kPushType) {
    auto pushing = test_of_pushing(call, *source);
    if (!pushing) return fail(pushing.error());
    findings = std::move(*pushing);
  } else if (!opened) {
    failed(opened.error());
  } else {
    const auto& services = call.app.services;
    auto connector = (*type)->make({.json = *opened, .learnt = state ? state->learnt : std::string()},
                                   services.reloaded_options ? services.reloaded_options() : services.connector_options);
    if (connector)
      findings = (*connector)->test(call.app.stopping.get_token());
    else
      failed(connector.error());
  }
  bool good = !findings.empty();
  auto items = json::array();
  for (const auto& finding : findings) {
    good = good && finding.good;
    items.push_back({{"step", finding.step}, {"ok", finding.good}, {"text", finding.text}});
  }
  return ok({{"ok", good}, {"findings", std::move(items)}});
}

}  // namespace rosterd::http
