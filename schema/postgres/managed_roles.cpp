#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <tuple>

#include "schema/core/text.hpp"
#include "schema/postgres/grants.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// The managed roles of every tenant follow the release and its catalogue (R23).

namespace rosterd {

using namespace postgres;

namespace {

using nlohmann::json;

constexpr std::int64_t kRenewalLock = 0x726f73746572646d;  // "rosterdm": any number that nobody else uses

/// "1.10.2" is newer than "1.9".
std::vector<std::uint64_t> numbers_of(std::string_view release) {
  std::vector<std::uint64_t> out;
  for (const auto* at = release.data(); at < release.data() + release.size();) {
    std::uint64_t number = 0;
    const auto [end, problem] = std::from_chars(at, release.data() + release.size(), number);
    if (problem != std::errc{}) break;
    out.push_back(number);
    at = end + 1;
  }
  return out;
}

json content_of(const Role& role) {
  auto parsed = json::parse(role.permissions, nullptr, false);
  return parsed.is_discarded() ? json(role.permissions) : std::move(parsed);
}

/// Whether anything was different.
bool renew_tenant(Tenancy& inside, const std::vector<Role>& wanted, std::string_view release) {
  std::vector<Role> all;
  inside.db.each(fmt::format("SELECT {} FROM role WHERE tenant_id = $1", kRoleColumns), {inside.number},
                 [&](Row& row) { all.push_back(read_role(row)); });
  auto before = json::object(), after = json::object();
  for (const auto& role : wanted) {
    const auto held = std::find_if(all.begin(), all.end(), [&](const Role& one) { return fold(one.name) == fold(role.name); });
    if (held == all.end()) {
      inside.db.run(
          "INSERT INTO role (tenant_id, name, name_key, description, managed, admin, permissions) VALUES ($1, $2, $3, $4, true, $5, $6)",
          {inside.number, role.name, fold(role.name), role.description, role.admin, role.permissions});
      before[role.name] = nullptr;
    } else if (!held->managed ||
               std::tie(held->description, held->admin, held->permissions) == std::tie(role.description, role.admin, role.permissions)) {
      continue;  // a role of the tenant's own under that name was there first
    } else {
      inside.db.run("UPDATE role SET description = $3, admin = $4, permissions = $5 WHERE tenant_id = $1 AND role_id = $2",
                    {inside.number, held->id, role.description, role.admin, role.permissions});
      before[role.name] = content_of(*held);
    }
    after[role.name] = content_of(role);
  }
  if (after.empty()) return false;
  const auto revision = inside.bump();
  inside.audit({.account = {}, .by = fmt::format("release {}", release), .ip = {}, .request_id = {}}, {.action = "managed_roles_updated",
                                                                                                       .object_type = "tenant",
                                                                                                       .object_id = inside.id.value,
                                                                                                       .object_name = {},
                                                                                                       .before = audit_text(before),
                                                                                                       .after = audit_text(after),
                                                                                                       .run = {},
                                                                                                       .revision = revision});
  return true;
}

}  // namespace

Result<RenewedRoles> PostgresStore::renew_managed_roles(const ManagedRoles& wanted) {
  // The lock is this transaction's; every tenant has one of its own, short as any other change. The fact is written last: a renewal that
  // was cut off is begun again and finds what is done.
  return pool_->run(Mode::Write, "renewing the managed roles", [&](Db& db) -> Result<RenewedRoles> {
    RenewedRoles out;
    db.number(fmt::format("SELECT 1 FROM (SELECT pg_advisory_xact_lock({})) mine", kRenewalLock));
    const auto fact = db.first("SELECT value FROM instance_fact WHERE name = 'managed_roles'", {}, [](Row& row) { return row.text(); });
    const auto own = fmt::format("{} {}", wanted.release, wanted.hash);
    if (fact == own) return out;
    if (fact) {
      const auto theirs = fact->substr(0, fact->find(' '));
      if (numbers_of(theirs) > numbers_of(wanted.release)) {
        out.newer = theirs;
        return out;
      }
    }
    out.renewed = true;
    const auto tenants = revisions();
    if (!tenants) return fail(tenants.error());
    for (const auto& one : *tenants) {
      const auto done = in_tenant(*pool_, Mode::Write, one.tenant, "renewing a tenant's managed roles",
                                  [&](Tenancy& inside) -> Result<bool> { return renew_tenant(inside, wanted.roles, wanted.release); });
      if (!done && done.error().code == Errc::NotFound) continue;  // deleted meanwhile
      if (!done) return fail(done.error(), "tenant {}", one.tenant.value);
      if (*done) ++out.tenants;
    }
    db.run(
        "INSERT INTO instance_fact (name, value) VALUES ('managed_roles', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value, "
        "changed_at = now()",
        {own});
    return out;
  });
}

}  // namespace rosterd
