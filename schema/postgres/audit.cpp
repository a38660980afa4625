#include <algorithm>
#include <charconv>
#include <functional>
#include <limits>

#include "schema/core/text.hpp"
#include "schema/postgres/changes.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// The audit log, read backwards: audit rows in the order of their numbers, and behind the row of an applied run what the run did
// (docs/decisions/0002). A page looks at a bounded number of rows, runs and packs; where it has not found enough by then, its `next` goes
// on.

namespace rosterd {

using namespace postgres;

namespace {

constexpr std::uint64_t kMostScanned = 20'000;  // audit rows, whether they fit or not
constexpr std::size_t kMostLooks = 64;          // into runs
constexpr auto kNewest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

/// A filter with its keys looked up.
struct Wanted {
  const AuditFilter& filter;
  bool nothing = false;  ///< it names somebody who does not exist
  std::optional<AccountId> account;
  std::optional<PrincipalId> service, user;
  std::optional<RunId> run;
  bool rosterd = false;
  bool into_runs = true;  ///< changes of runs can fit
  ChangeFilter changes;
};

template <class Enum>
std::optional<Enum> by_name(std::string_view name, int last) {
  for (int i = 1; i <= last; ++i)
    if (name_of(static_cast<Enum>(i)) == name) return static_cast<Enum>(i);
  return std::nullopt;
}

void read_actor(Db& db, const Tenancy* inside, Wanted& wanted) {
  const auto& key = wanted.filter.actor;
  const auto id = [](Row& row) { return row.id<AccountId>(); };
  if (key.empty()) return;
  if (key == "rosterd") {
    wanted.rosterd = true;
  } else if (const auto account = parse_account_id(key)) {
    wanted.account = *account;
  } else if (const auto service = parse_principal_id(PrincipalType::ServiceAccount, key)) {
    wanted.service = *service;
  } else if (const auto run = parse_run_id(key)) {
    wanted.run = *run;
  } else if (const auto user = parse_principal_id(PrincipalType::User, key); user && inside != nullptr) {
    wanted.user = *user;  // what he did without an account, and what the account that he is linked to did
    wanted.account = db.first("SELECT account_id FROM tenant_user WHERE tenant_id = $1 AND id = $2 AND account_id IS NOT NULL",
                              {inside->number, *user}, id);
  } else {
    wanted.account = db.first("SELECT account_id FROM account WHERE email = $1", {fold(key)}, id);
    wanted.nothing = !wanted.account;
  }
}

Wanted read_filter(Db& db, const Tenancy* inside, const AuditFilter& filter) {
  Wanted out{.filter = filter, .account = {}, .service = {}, .user = {}, .run = {}, .changes = {}};
  read_actor(db, inside, out);
  if (!filter.type.empty()) {
    out.changes.type = by_name<ObjectType>(filter.type, 5);
    out.into_runs = out.into_runs && out.changes.type;
  }
  if (!filter.action.empty()) {
    out.changes.kind = by_name<ChangeKind>(filter.action, static_cast<int>(kChangeKinds) - 1);
    out.into_runs = out.into_runs && out.changes.kind;
  }
  if (!filter.object.empty()) {
    for (const auto type : {PrincipalType::User, PrincipalType::Group, PrincipalType::ServiceAccount})
      if (const auto id = parse_principal_id(type, filter.object)) out.changes.principal = *id;
    out.changes.binding = parse_binding_id(filter.object);
    out.into_runs = out.into_runs && (out.changes.principal || out.changes.binding);
  }
  out.into_runs = out.into_runs && !out.account && !out.service && !out.user && !out.rosterd;
  return out;
}

/// An audit row, and what of it fits.
struct Found {
  AuditEntry entry;
  int tenant = 0;
  bool fits = false;
  bool run_applied = false;
};

Found read_found(Row& row) {
  Found out;
  auto& entry = out.entry;
  out.tenant = static_cast<int>(row.number());
  if (auto slug = row.text(); out.tenant != 0) entry.tenant = TenantId{std::move(slug)};
  entry.id = row.id<AuditId>();
  entry.at = row.time();
  const auto account = row.maybe_id<AccountId>();
  auto email = row.text();
  const auto service = row.maybe_id<PrincipalId>();
  auto service_name = row.text();
  const auto user = row.maybe_id<PrincipalId>();
  auto username = row.text();
  entry.run = row.maybe_id<RunId>();
  auto source = row.text();
  if (account)
    entry.actor = {.type = AuditActor::Type::Account, .id = text(*account), .name = std::move(email)};
  else if (service)
    entry.actor = {
        .type = AuditActor::Type::ServiceAccount, .id = text(PrincipalType::ServiceAccount, *service), .name = std::move(service_name)};
  else if (user)
    entry.actor = {.type = AuditActor::Type::User, .id = text(PrincipalType::User, *user), .name = std::move(username)};
  else if (entry.run)
    entry.actor = {.type = AuditActor::Type::Run, .id = text(*entry.run), .name = std::move(source)};
  entry.by = row.text();
  entry.ip = row.text();
  entry.request_id = row.text();
  entry.action = row.text();
  entry.object_type = row.text();
  entry.object_id = row.text();
  entry.object_name = row.text();
  entry.before = row.text();
  entry.after = row.text();
  const auto epoch = row.maybe_number(), revision = row.maybe_number();
  if (epoch && revision)
    entry.revision = Revision{.epoch = static_cast<std::uint32_t>(*epoch), .number = static_cast<std::uint64_t>(*revision)};
  out.fits = row.flag();
  out.run_applied = entry.action == "run_applied";
  return out;
}

/// One page on its way.
class Reading {
 public:
  Reading(Db& db, std::optional<Tenancy> inside, const AuditFilter& filter, std::uint32_t limit)
      : db_(db), inside_(std::move(inside)), wanted_(read_filter(db, inside_ ? &*inside_ : nullptr, filter)), limit_(limit) {}

  Page<AuditEntry> page(const PagePlace& place) {
    if (wanted_.nothing) return {};
    bound();
    auto at = std::min(place.id == 0 ? kNewest : place.id, newest_);
    if (!place.text.empty() && place.id <= newest_) {
      go_on(place);
      at = place.id - 1;
    }
    while (next_.empty() && !full() && at > oldest_ - 1) at = step(at);
    if (full() && next_.empty()) {  // one more than was asked for tells that there is more
      page_.items.pop_back();
      const auto& last = page_.items.back();
      next_ = cursor_text(fmt::format("{}", last.seq), last.id.value);
    }
    page_.next = next_;
    return std::move(page_);
  }

 private:
  [[nodiscard]] bool full() const { return page_.items.size() > limit_; }
  [[nodiscard]] bool by_object() const { return inside_ && !wanted_.filter.object.empty(); }

  /// The numbers between which entries can lie.
  void bound() {
    const auto span = [](Row& row) {
      const auto low = static_cast<std::uint64_t>(row.number());
      return std::pair(low, static_cast<std::uint64_t>(row.number()));
    };
    const auto found = inside_ ? db_.first("SELECT min(audit_id), max(audit_id) FROM audit WHERE tenant_id = $1", {inside_->number}, span)
                               : db_.first("SELECT oldest, newest FROM door_audit_span()", {}, span);
    oldest_ = std::max<std::uint64_t>(1, found ? found->first : 1);
    newest_ = found ? found->second : 0;
    // A row's time is when its transaction began, its number when it was written: nearly the same order.
    constexpr auto kLongTransaction = std::chrono::hours(6);
    const auto& filter = wanted_.filter;
    if (filter.until) newest_ = std::min(newest_, first_since(*filter.until + kLongTransaction));
    if (filter.since) oldest_ = std::max(oldest_, first_since(*filter.since - kLongTransaction));
  }

  /// The first number from `time` on, by halving; the newest where there is none.
  std::uint64_t first_since(TimePoint time) {
    static constexpr std::string_view kOwn =
        "SELECT (at >= $3)::int FROM audit WHERE tenant_id = $1 AND audit_id >= $2 ORDER BY audit_id LIMIT 1";
    static constexpr std::string_view kAll =
        "SELECT (min(at) >= $3)::int FROM door_audit($2::bigint - 1, $2::bigint + 200) WHERE $1::int = 0";
    auto low = oldest_, high = newest_;
    while (low < high) {
      const auto middle = low + (high - low) / 2;
      if (db_.number(inside_ ? kOwn : kAll, {number(), middle, time}) != 0)
        high = middle;
      else
        low = middle + 1;
    }
    return low;
  }

  [[nodiscard]] int number() const { return inside_ ? inside_->number : 0; }

  /// Down to which number the next step looks.
  std::uint64_t floor_of(std::uint64_t at) {
    if (by_object()) return oldest_ - 1;  // found through indexes
    if (!inside_) {
      const auto low = at > window_ ? at - window_ : 0;
      window_ = std::min<std::uint64_t>(2 * window_, kMostScanned);
      scanned_ += at - low;
      return std::max(low, oldest_ - 1);
    }
    static constexpr std::string_view kFloor =
        "SELECT count(*), coalesce(min(audit_id), 0) FROM (SELECT audit_id FROM audit WHERE tenant_id = $1 AND audit_id <= $2 "
        "ORDER BY audit_id DESC LIMIT $3) newest";
    std::uint64_t low = 0;
    db_.each(kFloor, {inside_->number, at, kMostScanned}, [&](Row& row) {
      scanned_ += static_cast<std::uint64_t>(row.number());
      low = static_cast<std::uint64_t>(row.number());
    });
    return low == 0 ? oldest_ - 1 : std::max(low, oldest_) - 1;
  }

  std::vector<Found> rows(std::uint64_t above, std::uint64_t up_to, std::uint64_t how_many) {
    static constexpr std::string_view kRows =
        "SELECT a.tenant_id, a.tenant, a.audit_id, micros(a.at), a.account_id, c.email, a.service_account_id, s.name, a.user_id, "
        "u.username, a.run_id, "
        "r.source_name, a.actor, a.ip, a.request_id, a.action, a.object_type, a.object_id, a.object_name, a.before, a.after, a.epoch, "
        "a.revision, a.fits::int FROM ("
        "  SELECT l.*, ($10::text IS NULL OR l.object_type = $10) AND ($11::text IS NULL OR l.action = $11) AND "
        "         ($12::text IS NULL OR l.object_id = $12 COLLATE \"C\" OR l.about_id = $12{purged}) IS TRUE AS fits "
        "  FROM {from} AND (($4::bigint IS NULL AND $15::bigint IS NULL) OR l.account_id = $4 OR l.user_id = $15) AND ($5::bigint IS NULL "
        "OR l.service_account_id = $5) "
        "  AND ($6::bigint IS NULL OR (l.run_id = $6 AND l.account_id IS NULL)) "
        "  AND (NOT $7::boolean OR (l.account_id IS NULL AND l.service_account_id IS NULL AND l.user_id IS NULL AND l.run_id IS NULL)) "
        "  AND ($8::timestamptz IS NULL OR l.at >= $8) AND ($9::timestamptz IS NULL OR l.at < $9)"
        ") a LEFT JOIN account c ON c.account_id = a.account_id "
        "LEFT JOIN service_account s ON s.tenant_id = a.tenant_id AND s.id = a.service_account_id "
        "LEFT JOIN tenant_user u ON u.tenant_id = a.tenant_id AND u.id = a.user_id "
        "LEFT JOIN run r ON r.tenant_id = a.tenant_id AND r.run_id = a.run_id "
        "WHERE a.fits OR ($13::boolean AND a.action = 'run_applied') ORDER BY a.audit_id DESC LIMIT $14";
    const auto from = !inside_      ? std::string("door_audit($2, $3) l WHERE $1::int = 0")
                      : by_object() ? "audit l WHERE l.tenant_id = $1 AND l.audit_id > $2 AND l.audit_id <= $3 AND " + of_object()
                                    : std::string("audit l WHERE l.tenant_id = $1 AND l.audit_id > $2 AND l.audit_id <= $3");
    const auto& filter = wanted_.filter;
    const auto given = [](const std::string& text) { return text.empty() ? Value(std::nullopt) : Value(text); };
    std::vector<Found> out;
    const auto purged = wanted_.changes.principal ? " OR " + names_purged("l", *wanted_.changes.principal) : std::string();
    db_.each(fmt::format(kRows, fmt::arg("from", from), fmt::arg("purged", purged)),
             {number(), above, up_to, wanted_.account, wanted_.service, wanted_.run, wanted_.rosterd, filter.since, filter.until,
              given(filter.type), given(filter.action), given(filter.object), wanted_.into_runs, how_many, wanted_.user},
             [&](Row& row) { out.push_back(read_found(row)); });
    return out;
  }

  /// Whether a row of the sweep has the principal in its list.
  static std::string names_purged(std::string_view row, PrincipalId id) {
    return fmt::format(
        "({0}.action = 'purged' AND {0}.object_type = 'principal' AND CASE WHEN {0}.action = 'purged' THEN {0}.after::jsonb -> 'ids' @> "
        "'{1}' END)",
        row, id.value);
  }

  /// Rows that name the object, and those of runs that may have touched it: each through an index, but for packs, which have none.
  [[nodiscard]] std::string of_object() const {
    const auto& changes = wanted_.changes;
    std::string runs;
    if (changes.principal)
      runs = fmt::format(
          "SELECT run_id FROM run_change WHERE tenant_id = $1 AND object_id = {0} UNION "
          "SELECT run_id FROM run_change WHERE tenant_id = $1 AND member_id = {0} UNION SELECT run_id FROM run_change_pack WHERE "
          "tenant_id = $1",
          changes.principal->value);
    if (changes.binding)
      runs = fmt::format("SELECT run_id FROM run_change WHERE tenant_id = $1 AND binding_id = {}", changes.binding->value);
    return fmt::format(
        "l.audit_id IN (SELECT audit_id FROM audit WHERE tenant_id = $1 AND object_id = $12 COLLATE \"C\" "
        "UNION SELECT audit_id FROM audit WHERE tenant_id = $1 AND about_id = $12{}{})",
        changes.principal ? " UNION SELECT p.audit_id FROM audit p WHERE p.tenant_id = $1 AND " + names_purged("p", *changes.principal)
                          : "",
        runs.empty() || !wanted_.into_runs
            ? ""
            : fmt::format(" UNION SELECT o.audit_id FROM ({}) t JOIN audit o ON o.tenant_id = $1 AND o.run_id = t.run_id AND o.action = "
                          "'run_applied'",
                          runs));
  }

  /// One round: the entries of some rows from `at` downwards; gives where to go on.
  std::uint64_t step(std::uint64_t at) {
    const auto low = floor_of(at);
    const auto how_many = limit_ + 1 - page_.items.size();
    const auto found = rows(low, at, how_many);
    for (const auto& one : found) {
      if (one.fits) page_.items.push_back(one.entry);
      if (one.run_applied && wanted_.into_runs && !full()) look_into(one, 0);
      if (full() || !next_.empty()) return one.entry.id.value - 1;
    }
    const auto reached = found.size() == how_many ? found.back().entry.id.value - 1 : low;
    if (scanned_ >= kMostScanned && reached >= oldest_) next_ = cursor_text("", reached);
    return reached;
  }

  /// The rest of a run in the middle of which the page before ended.
  void go_on(const PagePlace& place) {
    std::uint64_t after = 0;
    const auto [end, problem] = std::from_chars(place.text.data(), place.text.data() + place.text.size(), after);
    if (problem != std::errc{} || end != place.text.data() + place.text.size() || after > kNewest)
      abort_with("", Errc::InvalidInput, "cursor: not one that this list has given out");
    if (!wanted_.into_runs) return;
    for (const auto& one : rows(place.id - 1, place.id, 1))
      if (one.run_applied) look_into(one, after);
  }

  /// What the run did, behind position `after`.
  void look_into(const Found& run, std::uint64_t after) {
    auto place = inside_ ? *inside_ : enter_number(db_, run.tenant, run.entry.tenant.value_or(TenantId{}), true);
    for (bool over = false; !over && !full();) {
      if (++looks_ > kMostLooks) {
        next_ = cursor_text(fmt::format("{}", after), run.entry.id.value);
        return;
      }
      auto some = some_changes(place, run.entry.run.value_or(RunId{}), after, static_cast<std::uint32_t>(limit_ + 1 - page_.items.size()),
                               wanted_.changes);
      for (auto& change : some.items) page_.items.push_back(entry_of(run, std::move(change)));
      after = some.reached;
      over = some.over;
    }
  }

  static AuditEntry entry_of(const Found& run, Change change) {
    auto out = run.entry;
    out.seq = change.seq;
    out.action = name_of(change.kind);
    out.object_type = name_of(change.type);
    out.object_id = std::move(change.id);
    out.object_name = std::move(change.name);
    out.before = std::move(change.before);
    out.after = std::move(change.after);
    out.reason = std::move(change.reason);
    return out;
  }

  Db& db_;
  std::optional<Tenancy> inside_;  ///< none = the whole instance
  const Wanted wanted_;
  const std::size_t limit_;
  Page<AuditEntry> page_;
  std::string next_;
  std::uint64_t oldest_ = 1, newest_ = 0;
  std::uint64_t window_ = 256, scanned_ = 0;
  std::size_t looks_ = 0;
};

}  // namespace

Result<Page<AuditEntry>> PostgresStore::audit(const std::optional<TenantId>& tenant, const AuditFilter& filter, const PageRequest& page) {
  return pool_->run(Mode::Read, "reading the audit log", [&](Db& db) -> Result<Page<AuditEntry>> {
    std::optional<Tenancy> inside;
    if (tenant) {
      auto entered = enter(db, *tenant);
      if (!entered) return fail(entered.error());
      inside.emplace(*entered);
    }
    const auto limit = page_limit(page);
    const auto place = parse_cursor(page.cursor);
    if (!page.cursor.empty() && place.id == 0) return Page<AuditEntry>{};
    return Reading(db, std::move(inside), filter, limit).page(place);
  });
}

}  // namespace rosterd
