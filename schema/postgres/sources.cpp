#include <nlohmann/json.hpp>

#include "schema/core/text.hpp"
#include "schema/postgres/admin_guard.hpp"
#include "schema/postgres/grants.hpp"
#include "schema/postgres/pool.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// Sources: configured, shown with their state, deleted with what becomes of their objects.

namespace rosterd {

using namespace postgres;

namespace {

std::optional<Source> find_source(Tenancy& inside, SourceId id) {
  return inside.db.first(fmt::format("SELECT {} FROM source s WHERE s.tenant_id = $1 AND s.source_id = $2", kSourceColumns),
                         {inside.number, id}, read_source);
}

/// Sealed secrets in settings, which nobody needs a copy of, not even sealed.
void mask_secrets(nlohmann::json& settings) {
  if (settings.is_object() && settings.contains("sealed")) settings = {{"set", true}};
  if (settings.is_structured())
    for (auto& inner : settings) mask_secrets(inner);
}

/// What the audit log shows of a source.
std::string audit_shape(const Source& source) {
  auto settings = nlohmann::json::parse(source.settings, nullptr, false);
  if (settings.is_discarded()) settings = nullptr;
  mask_secrets(settings);
  auto mappings = nlohmann::json::array();
  for (const auto& mapping : source.role_mappings) mappings.push_back(to_json(mapping));
  return audit_text({{"name", source.name},
                     {"type", source.type},
                     {"enabled", source.enabled},
                     {"settings", std::move(settings)},
                     {"schedule", to_json(source.schedule)},
                     {"guard", to_json(source.guard)},
                     {"role_mappings", std::move(mappings)},
                     {"version", source.version}});
}

Result<void> check_name(const NewSource& source) {
  if (is_slug(source.name)) return {};
  return fail(Errc::InvalidInput, "name: '{}' is not of the form ^[a-z0-9][a-z0-9_-]{{0,62}}$", source.name);
}

}  // namespace

Result<std::vector<Source>> PostgresStore::sources(const TenantId& tenant) {
  return in_tenant(*pool_, Mode::Read, tenant, "listing sources", [](Tenancy& inside) -> Result<std::vector<Source>> {
    std::vector<Source> out;
    inside.db.each(fmt::format("SELECT {} FROM source s WHERE s.tenant_id = $1 ORDER BY s.name", kSourceColumns), {inside.number},
                   [&](Row& row) { out.push_back(read_source(row)); });
    return out;
  });
}

Result<Source> PostgresStore::source(const TenantId& tenant, std::string_view key) {
  return in_tenant(*pool_, Mode::Read, tenant, "reading a source", [&](Tenancy& inside) -> Result<Source> {
    const auto id = parse_source_id(key);
    auto found = id ? find_source(inside, *id)
                    : inside.db.first(fmt::format("SELECT {} FROM source s WHERE s.tenant_id = $1 AND s.name = $2", kSourceColumns),
                                      {inside.number, key}, read_source);
    if (!found) return fail(Errc::NotFound, "no source {}", key);
    return std::move(*found);
  });
}

Result<Written<Source>> PostgresStore::create_source(const TenantId& tenant, const NewSource& source, const Actor& actor) {
  if (const auto good = check_name(source); !good) return fail(good.error());
  return in_tenant(*pool_, Mode::Write, tenant, "creating a source", [&](Tenancy& inside) -> Result<Written<Source>> {
    static constexpr std::string_view kInsert =
        "INSERT INTO source AS s (tenant_id, name, type, enabled, settings, interval_ms, full_every_ms, live, guard_percent, guard_floor, "
        "guard_ceiling, role_mappings) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT ON CONSTRAINT source_name DO "
        "NOTHING "
        "RETURNING {}";
    const auto made = inside.db.first(fmt::format(kInsert, kSourceColumns),
                                      {inside.number, source.name, source.type, source.enabled, source.settings,
                                       source.schedule.interval.count(), source.schedule.full_every.count(), source.schedule.live,
                                       source.guard.percent, source.guard.floor, source.guard.ceiling, mappings_text(source.role_mappings)},
                                      read_source);
    if (!made) return fail_as("name_taken", Errc::Conflict, "there is a source {} already", source.name);
    inside.db.run("INSERT INTO source_state (tenant_id, source_id) VALUES ($1, $2)", {inside.number, made->id});
    inside.db.run("INSERT INTO source_lease (tenant_id, source_id) VALUES ($1, $2)", {inside.number, made->id});
    const auto revision = inside.revision();  // no check can notice a source before it has synced
    inside.audit(actor, {.action = "created",
                         .object_type = "source",
                         .object_id = text(made->id),
                         .object_name = made->name,
                         .before = {},
                         .after = audit_shape(*made),
                         .run = {},
                         .revision = revision});
    return Written<Source>{.value = *made, .revision = revision};
  });
}

Result<Written<Source>> PostgresStore::change_source(const TenantId& tenant, SourceId id, const NewSource& source, std::uint64_t if_version,
                                                     const Actor& actor) {
  if (const auto good = check_name(source); !good) return fail(good.error());
  return in_tenant(*pool_, Mode::Write, tenant, "changing a source", [&](Tenancy& inside) -> Result<Written<Source>> {
    const auto before = find_source(inside, id);
    if (!before) return fail(Errc::NotFound, "no source {}", text(id));
    if (if_version != 0 && if_version != before->version)
      return fail_as("stale_version", Errc::Conflict, "source {} is at version {}, not {}", before->name, before->version, if_version);
    if (inside.db.number("SELECT count(*) FROM source WHERE tenant_id = $1 AND name = $2 AND source_id <> $3",
                         {inside.number, source.name, id}) > 0)
      return fail_as("name_taken", Errc::Conflict, "there is a source {} already", source.name);
    static constexpr std::string_view kUpdate =
        "UPDATE source AS s SET name = $3, type = $4, enabled = $5, settings = $6, interval_ms = $7, full_every_ms = $8, live = $9, "
        "guard_percent = $10, guard_floor = $11, guard_ceiling = $12, role_mappings = $13, version = version + 1 "
        "WHERE s.tenant_id = $1 AND s.source_id = $2 RETURNING {}";
    const auto after =
        inside.db.first(fmt::format(kUpdate, kSourceColumns),
                        {inside.number, id, source.name, source.type, source.enabled, source.settings, source.schedule.interval.count(),
                         source.schedule.full_every.count(), source.schedule.live, source.guard.percent, source.guard.floor,
                         source.guard.ceiling, mappings_text(source.role_mappings)},
                        read_source);
    // Whoever corrects a password wants to see it work: the source is due now, and its back-off is forgotten.
    inside.db.run("UPDATE source_state SET next_due = least(next_due, now()), failures = 0 WHERE tenant_id = $1 AND source_id = $2",
                  {inside.number, id});
    const auto revision = inside.revision();
    inside.audit(actor, {.action = "changed",
                         .object_type = "source",
                         .object_id = text(id),
                         .object_name = after->name,
                         .before = audit_shape(*before),
                         .after = audit_shape(*after),
                         .run = {},
                         .revision = revision});
    return Written<Source>{.value = *after, .revision = revision};
  });
}

Result<Revision> PostgresStore::delete_source(const TenantId& tenant, SourceId id, Force force, const Actor& actor) {
  return in_tenant(*pool_, Mode::Write, tenant, "deleting a source", [&](Tenancy& inside) -> Result<Revision> {
    Db& db = inside.db;
    const auto before = find_source(inside, id);
    if (!before) return fail(Errc::NotFound, "no source {}", text(id));
    db.allow(std::chrono::minutes(10));
    // Lease before runs, as everybody else locks them.
    db.number("SELECT 1 FROM source_lease WHERE tenant_id = $1 AND source_id = $2 FOR UPDATE", {inside.number, id});
    const auto active = db.number(
        "SELECT (SELECT count(*) FROM tenant_user WHERE tenant_id = $1 AND source_id = $2 AND leaving = 0) + "
        "(SELECT count(*) FROM tenant_group WHERE tenant_id = $1 AND source_id = $2 AND leaving = 0)",
        {inside.number, id});
    if (active > 0 && force == Force::No)
      return fail_as("owns_active_objects", Errc::Conflict,
                     "source {} owns {} active users and groups; with force they are suspended at once", before->name, active);
    const bool had_admin = has_active_admin(inside);
    // Those it had suspended before start their 30 days only where nothing was counting yet (disabled at the source is never purged).
    static constexpr std::string_view kSuspend =
        "UPDATE {} SET leaving = 5, state_reason = 'its source was deleted', {} suspended_at = CASE WHEN leaving IN (0, 4) THEN now() "
        "ELSE suspended_at END WHERE tenant_id = $1 AND source_id = $2 AND leaving <> 5";
    const auto users = db.run(fmt::format(kSuspend, "tenant_user", ""), {inside.number, id});
    const auto groups = db.run(fmt::format(kSuspend, "tenant_group", "name_key = NULL,"), {inside.number, id});
    const auto kept = keep_an_admin(inside, had_admin);
    if (!kept && force != Force::EvenLastAdmin) return fail(kept.error());
    db.run(
        "UPDATE run SET outcome = $3, reason = 'source_deleted', detail = 'the source was deleted; nothing was applied', "
        "finished_at = clock_timestamp(), progress = '' WHERE tenant_id = $1 AND source_id = $2 AND outcome IN (1, 2)",
        {inside.number, id, Outcome::Abandoned});
    db.run(
        "UPDATE run SET approval_expires_at = NULL, reason = 'source_deleted' WHERE tenant_id = $1 AND source_id = $2 AND "
        "approval_expires_at IS NOT NULL",
        {inside.number, id});
    db.run("DELETE FROM source WHERE tenant_id = $1 AND source_id = $2", {inside.number, id});
    const auto revision = users + groups > 0 ? inside.bump() : inside.revision();
    inside.audit(actor, {.action = active > 0 ? "deleted_by_force" : "deleted",
                         .object_type = "source",
                         .object_id = text(id),
                         .object_name = before->name,
                         .before = audit_shape(*before),
                         .after = object_text({{"users_suspended", std::to_string(users)}, {"groups_suspended", std::to_string(groups)}}),
                         .run = {},
                         .revision = revision});
    return revision;
  });
}

Result<std::vector<SourceStatus>> PostgresStore::status(const TenantId& tenant) {
  return in_tenant(*pool_, Mode::Steady, tenant, "reading the status", [](Tenancy& inside) -> Result<std::vector<SourceStatus>> {
    Db& db = inside.db;
    std::vector<SourceStatus> out;
    db.each(fmt::format("SELECT {}, micros(st.last_complete_read), micros(st.next_due), st.failures, st.cursor_kind "
                        "FROM source s JOIN source_state st ON st.tenant_id = s.tenant_id AND st.source_id = s.source_id "
                        "WHERE s.tenant_id = $1 ORDER BY s.name",
                        kSourceColumns),
            {inside.number}, [&](Row& row) {
              SourceStatus one;
              one.source = read_source(row);
              one.last_complete_read = row.maybe_time();
              const auto next = row.maybe_time();
              if (one.source.enabled && inside.enabled && one.source.type != kPushType) one.next_run = next;
              one.failures = static_cast<std::uint32_t>(row.number());
              one.cursor_kind = row.text();
              out.push_back(std::move(one));
            });
    for (auto& one : out) {
      const auto latest = [&](std::string_view which) {
        return db.first(
            fmt::format("SELECT {} FROM run r WHERE r.tenant_id = $1 AND r.source_id = $2 AND {} ORDER BY r.run_id DESC LIMIT 1",
                        kRunColumns, which),
            {inside.number, one.source.id}, read_run);
      };
      // A dry run says nothing about how the source is: the read before it counts.
      one.last_run = db.first(fmt::format("SELECT {} FROM run r WHERE r.tenant_id = $1 AND r.source_id = $2 AND r.outcome > 2 AND NOT "
                                          "r.dry_run AND r.finished_at IS NOT NULL ORDER BY r.finished_at DESC, r.run_id DESC LIMIT 1",
                                          kRunColumns),
                              {inside.number, one.source.id}, read_run);
      one.held = latest("r.approval_expires_at IS NOT NULL");
      one.current = latest("r.outcome = 2");
      if (!one.current) one.current = latest("r.outcome = 1");
      const auto count = [&](const char* table, const char* active) {
        return *db.first(
            fmt::format(
                "SELECT count(*) FILTER (WHERE {0}), count(*) FILTER (WHERE NOT ({0})) FROM {1} WHERE tenant_id = $1 AND source_id = $2",
                active, table),
            {inside.number, one.source.id}, [](Row& row) {
              const auto good = static_cast<std::uint64_t>(row.number());
              return std::pair(good, static_cast<std::uint64_t>(row.number()));
            });
      };
      std::tie(one.users_active, one.users_suspended) = count("tenant_user", "leaving = 0 AND NOT admin_suspended");
      std::tie(one.groups_active, one.groups_suspended) = count("tenant_group", "leaving = 0");
    }
    return out;
  });
}

Result<SourceState> PostgresStore::source_state(const TenantId& tenant, SourceId id) {
  return in_tenant(*pool_, Mode::Read, tenant, "reading a source's state", [&](Tenancy& inside) -> Result<SourceState> {
    auto found = inside.db.first(fmt::format("SELECT {} FROM source_state st WHERE st.tenant_id = $1 AND st.source_id = $2", kStateColumns),
                                 {inside.number, id}, read_state);
    if (!found) return fail(Errc::NotFound, "no source {}", text(id));
    return std::move(*found);
  });
}

}  // namespace rosterd
