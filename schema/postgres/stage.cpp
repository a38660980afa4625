#include "schema/postgres/stage.hpp"

#include <libpq-fe.h>

#include <charconv>
#include <numeric>

#include "schema/core/log.hpp"
#include "schema/core/text.hpp"
#include "schema/postgres/postgres_store.hpp"

namespace rosterd {

Result<std::unique_ptr<Stage>> PostgresStore::begin_stage(const Lease& lease, const StageOptions& options) {
  return postgres::PostgresStage::begin(pool_, lease, options);
}

namespace postgres {
namespace {

// COPY refuses tables under row-level security, so changes go into temporary tables first. They live as long as their connection and are
// emptied by the next stage. "behind": rows on their way into the real tables while the directory is still being read.
constexpr const char* kTables =
    "SET temp_buffers = '32MB';"  // more than a chunk, so that what is emptied behind the read never meets a disk
    "CREATE TEMP TABLE IF NOT EXISTS stage_user (seq int8, kind int2, id int8, external_id text, content_hash int8, before_hash int8, "
    "leaving int2, "
    "has_record bool, name text, name_key text, email text, first_name text, last_name text, entry text, state_reason text, after text, "
    "reason text);"
    "CREATE TEMP TABLE IF NOT EXISTS stage_user_behind (id int8, external_id text, content_hash int8, leaving int2, name text, email text, "
    "first_name text, last_name text, entry text, state_reason text);"
    "CREATE TEMP TABLE IF NOT EXISTS stage_group (LIKE stage_user);"
    "CREATE TEMP TABLE IF NOT EXISTS stage_group_behind (id int8, external_id text, content_hash int8, name text, name_key text, "
    "description text, entry text);"
    "CREATE TEMP TABLE IF NOT EXISTS stage_edge (seq int8, kind int2, group_id int8, member_id int8, member_type int2, external_id text, "
    "member_external_id text, reason text);"
    "CREATE TEMP TABLE IF NOT EXISTS stage_edge_behind (group_id int8, member_id int8, member_type int2);"
    "CREATE TEMP TABLE IF NOT EXISTS stage_binding (seq int8, kind int2, binding_id int8, role_id int8, role_name text, group_id int8, "
    "external_id text, ns text, shape text, reason text);"
    "CREATE TEMP TABLE IF NOT EXISTS stage_newcomer (id int8);"
    "TRUNCATE stage_user, stage_user_behind, stage_group, stage_group_behind, stage_edge, stage_edge_behind, stage_binding, stage_newcomer";

constexpr std::size_t kChunk =
    6 << 20;  // bytes a COPY at most: large enough that its round trips and truncations vanish, small enough for a bounded queue
constexpr std::size_t kQueue = 3;  // chunks that may wait: 18 MiB at most

std::size_t index(ChangeKind kind) { return static_cast<std::size_t>(kind); }

constexpr std::uint64_t kPack = 4096;  // changes a row of run_change_pack; more than a page of changes (store.hpp: 1000)

/// NUL is no text for PostgreSQL, not even escaped inside of JSON.
void append_escaped(std::string& out, std::string_view value) {
  for (auto nul = value.find('\0'); nul != std::string_view::npos; nul = value.find('\0')) {
    append_json_escaped(out, value.substr(0, nul));
    out += "\xEF\xBF\xBD";
    value.remove_prefix(nul + 1);
  }
  append_json_escaped(out, value);
}

void member(std::string& out, std::string_view key, std::string_view value) {
  out += out.size() > 1 ? ",\"" : "\"";
  out += key;
  out += "\":\"";
  append_escaped(out, value);
  out += '"';
}

template <class Number>
void number_item(std::string& out, std::string_view key, Number value) {
  char digits[21];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out += key;
  out.append(digits, static_cast<std::size_t>(end - digits));
}

void text_item(std::string& out, std::string_view key, std::string_view value) {
  out += key;
  append_escaped(out, value);
  out += '"';
}

/// Why somebody is suspended, for his row; empty while he is not. `user` when the change carries his record.
std::string_view state_reason(const StagedPrincipal& change, const UserRecord* user) {
  if (change.leaving == Leaving::None) return {};
  return user != nullptr && !user->enabled && !user->disabled_reason.empty() ? std::string_view(user->disabled_reason) : change.reason;
}

}  // namespace

bool StagedCounts::takes_away() const {
  for (const auto kind : {ChangeKind::Suspended, ChangeKind::Purged, ChangeKind::Changed})
    if (users[index(kind)] + groups[index(kind)] > 0) return true;
  return edges_removed + bindings_removed > 0;
}

bool StagedCounts::is_empty() const {
  const auto total = [](const auto& kinds) { return std::accumulate(kinds.begin(), kinds.end(), std::uint64_t{0}); };
  const auto skipped = index(ChangeKind::Skipped);
  return total(users) == users[skipped] && total(groups) == groups[skipped] &&
         edges_added + edges_removed + bindings_added + bindings_removed == 0;
}

Result<std::unique_ptr<Stage>> PostgresStage::begin(std::shared_ptr<Pool> pool, const Lease& lease, const StageOptions& options) {
  auto taken = pool->take_apart("opening a connection for a run");
  if (!taken) return tl::unexpected(taken.error());
  auto db = std::move(*taken);
  try {
    db->simple(kTables);
    // An eager stage keeps this transaction open until apply or keep; another one stages outside of any, so that what is staged outlives
    // an apply that was refused.
    db->simple("BEGIN");
    auto inside = enter(*db, lease.tenant);
    if (!inside) {
      db->simple("ROLLBACK");
      pool->give_back(std::move(db));
      return fail_as("stale_fence", Errc::Conflict, "{}", inside.error().what);
    }
    const int tenant = inside->number;
    // Looked at without a lock: a heartbeat must be able to pass for as long as the read takes.
    static constexpr std::string_view kFence =
        "SELECT 1 FROM source_lease WHERE tenant_id = $1 AND source_id = $2 AND fence = $3 AND holder = $4 AND run_id = $5";
    if (db->number(kFence, {tenant, lease.source, lease.fence, lease.holder, lease.run}) == 0) {
      db->simple("ROLLBACK");
      pool->give_back(std::move(db));
      return fail_as("stale_fence", Errc::Conflict, "the lease of {} has gone to somebody else", text(lease.source));
    }
    if (!options.eager) db->simple("COMMIT");
    return std::make_unique<PostgresStage>(std::move(pool), std::move(db), tenant, lease, options.eager);
  } catch (const DbError& error) {
    return fail(to_error(error), "opening a stage");
  }
}

PostgresStage::PostgresStage(std::shared_ptr<Pool> pool, std::unique_ptr<Db> db, int tenant, const Lease& lease, bool eager)
    : pool_(std::move(pool)), db_(std::move(db)), tenant_(tenant), lease_(lease), eager_(eager) {
  writer_ = std::make_unique<StageWriter>(*db_, kQueue);
}

PostgresStage::~PostgresStage() {
  writer_.reset();  // joins: from here on the connection is ours
  try {
    // Whatever is still open was never asked to be applied.
    if (db_->is_open() && PQtransactionStatus(db_->raw()) != PQTRANS_IDLE) db_->simple("ROLLBACK");
    if (db_->is_open()) pool_->give_back(std::move(db_));
  } catch (const DbError& error) {
    log::debug("store.stage_dropped", {log::field("error", error.what())});  // the server rolls back by itself when the connection ends
  }
}

// ---- staging --------------------------------------------------------------------------------------------------------------------

Result<void> PostgresStage::send(Lane& lane) {
  if (lane.rows.rows() == 0) return {};
  lane.sent += lane.rows.rows();
  auto sent = writer_->submit(
      [this, &lane, statement = fmt::format("COPY {} FROM STDIN (FORMAT binary)", lane.table), data = lane.rows.finish()](Db& db) {
        db.copy_in(statement, data);
        if (lane.after_chunk) (this->*lane.after_chunk)(db);
      });
  lane.chunk = std::min(lane.chunk * 2, kChunk);
  lane.rows.reserve(lane.chunk + lane.chunk / 8);
  return sent;
}

Result<void> PostgresStage::send_if_full(Lane& lane) {
  if (lane.rows.size() < lane.chunk) return {};
  return send(lane);
}

std::string& PostgresStage::open_item(Pack& pack, std::string_view reason) {
  if (pack.count == 0) {
    pack.first_seq = seq_;
    pack.reason = reason;
  }
  if (pack.count++ > 0) pack.changes += ',';
  return pack.changes;
}

Result<void> PostgresStage::close_item(Pack& pack) {
  if (pack.count < kPack) return {};
  return send(pack);
}

Result<void> PostgresStage::send(Pack& pack) {
  if (pack.count == 0) return {};
  pack.changes += ']';
  auto sent = writer_->submit([this, type = pack.type, kind = pack.kind, first = pack.first_seq, last = seq_,
                               reason = std::move(pack.reason), changes = std::move(pack.changes)](Db& db) {
    db.run(
        "INSERT INTO run_change_pack (tenant_id, run_id, first_seq, last_seq, type, kind, reason, changes) VALUES ($1, $2, $3, $4, $5, $6, "
        "$7, $8)",
        {tenant_, lease_.run, first, last, type, kind, reason, changes});
  });
  pack = Pack{.type = pack.type, .kind = pack.kind};
  pack.changes.reserve(kPack * 224);
  return sent;
}

Result<void> PostgresStage::flush() {
  for (auto* pack : {&user_pack_, &group_pack_, &edge_pack_})
    if (const auto sent = send(*pack); !sent) return sent;
  for (auto* lane : {&users_, &groups_, &edges_, &bindings_, &new_users_, &new_groups_, &new_edges_})
    if (const auto sent = send(*lane); !sent) return sent;
  return writer_->drain();
}

/// Fields that users and groups share, in the order of stage_user. json_ holds the state after the change.
void PostgresStage::principal_fields(Lane& lane, const StagedPrincipal& change) {
  auto& row = lane.rows;
  row.row(17);
  row.int8(++seq_);
  row.int2(static_cast<std::int16_t>(change.kind));
  row.int8(change.id.value);
  row.text(change.external_id);
  row.int8(change.content_hash);
  row.int8(change.before_hash);
  row.int2(static_cast<std::int16_t>(change.leaving));
}

Result<void> PostgresStage::user(const StagedPrincipal& change) {
  ++counts_.users[index(change.kind)];
  const auto* user = change.user;
  if (eager_ && change.kind == ChangeKind::Added && user != nullptr) return new_user(change, *user);
  principal_fields(users_, change);
  auto& row = users_.rows;
  const bool has_record = user != nullptr && change.kind != ChangeKind::Skipped;
  row.flag(has_record);
  json_ = "{";
  if (has_record) {
    row.text(user->username);
    row.null();  // name_key: groups only
    row.maybe_text(user->email);
    row.text(user->first_name);
    row.text(user->last_name);
    row.text(user->entry);
    user_members(*user);
  } else {
    for (int i = 0; i < 6; ++i) row.null();
  }
  if (change.leaving != Leaving::None) member(json_, "leaving", name_of(change.leaving));
  json_ += '}';
  row.text(state_reason(change, has_record ? user : nullptr));
  if (change.kind == ChangeKind::Purged || change.kind == ChangeKind::Skipped)
    row.null();
  else
    row.text(std::string_view(json_));
  row.text(change.reason);
  return send_if_full(users_);
}

/// Somebody a first load brings: the row goes into its table behind the read, the record of it into a pack.
Result<void> PostgresStage::new_user(const StagedPrincipal& change, const UserRecord& user) {
  ++seq_;
  auto& row = new_users_.rows;
  row.row(10);
  row.int8(change.id.value);
  row.text(change.external_id);
  row.int8(change.content_hash);
  row.int2(static_cast<std::int16_t>(change.leaving));
  row.text(user.username);
  row.maybe_text(user.email);
  row.text(user.first_name);
  row.text(user.last_name);
  row.text(user.entry);
  row.text(state_reason(change, &user));

  json_ = "{";
  user_members(user);
  if (const auto sent = pack_item(user_pack_, change); !sent) return sent;
  return send_if_full(new_users_);
}

/// The members of json_ that say what a user is.
void PostgresStage::user_members(const UserRecord& user) {
  member(json_, "username", user.username);
  if (user.email) member(json_, "email", *user.email);
  member(json_, "first_name", user.first_name);
  member(json_, "last_name", user.last_name);
  member(json_, "entry", user.entry);
  json_ += user.enabled ? ",\"enabled\":true" : ",\"enabled\":false";
  if (!user.enabled) member(json_, "disabled_reason", user.disabled_reason);
}

Result<void> PostgresStage::group(const StagedPrincipal& change) {
  ++counts_.groups[index(change.kind)];
  const auto* group = change.group;
  if (eager_ && change.kind == ChangeKind::Added && group != nullptr) return new_group(change, *group);
  principal_fields(groups_, change);
  auto& row = groups_.rows;
  const bool has_record = group != nullptr && change.kind != ChangeKind::Skipped;
  row.flag(has_record);
  json_ = "{";
  if (has_record) {
    fold_into(group->name, folded_);
    row.text(std::string_view(group->name));
    row.text(std::string_view(folded_));
    row.null();                                      // email
    row.text(std::string_view(group->description));  // in the place of first_name
    row.null();                                      // last_name
    row.text(std::string_view(group->entry));
    group_members(*group);
  } else {
    for (int i = 0; i < 6; ++i) row.null();
  }
  if (change.leaving != Leaving::None) member(json_, "leaving", name_of(change.leaving));
  json_ += '}';
  row.text(change.leaving == Leaving::None ? std::string_view() : change.reason);
  if (change.kind == ChangeKind::Purged || change.kind == ChangeKind::Skipped)
    row.null();
  else
    row.text(std::string_view(json_));
  row.text(change.reason);
  return send_if_full(groups_);
}

Result<void> PostgresStage::new_group(const StagedPrincipal& change, const GroupRecord& group) {
  ++seq_;
  auto& row = new_groups_.rows;
  row.row(7);
  row.int8(change.id.value);
  row.text(change.external_id);
  row.int8(change.content_hash);
  fold_into(group.name, folded_);
  row.text(group.name);
  row.text(std::string_view(folded_));
  row.text(group.description);
  row.text(group.entry);

  json_ = "{";
  group_members(group);
  if (const auto sent = pack_item(group_pack_, change); !sent) return sent;
  return send_if_full(new_groups_);
}

/// The members of json_ that say what a group is.
void PostgresStage::group_members(const GroupRecord& group) {
  member(json_, "name", group.name);
  member(json_, "description", group.description);
  member(json_, "entry", group.entry);
}

/// The record of somebody new; json_ holds what he is, without its end.
Result<void> PostgresStage::pack_item(Pack& pack, const StagedPrincipal& change) {
  if (change.leaving != Leaving::None) member(json_, "leaving", name_of(change.leaving));
  auto& item = open_item(pack, change.reason);
  number_item(item, R"({"s":)", seq_);
  number_item(item, R"(,"o":)", change.id.value);
  number_item(item, R"(,"h":)", static_cast<std::int64_t>(change.content_hash));  // signed, as bigint is
  if (change.leaving != Leaving::None) number_item(item, R"(,"l":)", static_cast<std::uint64_t>(change.leaving));
  text_item(item, R"(,"x":")", change.external_id);
  if (change.reason != pack.reason) text_item(item, R"(,"r":")", change.reason);
  item += R"(,"a":)";
  item += json_;
  item += "}}";
  return close_item(pack);
}

Result<void> PostgresStage::edge(const StagedEdge& change) {
  const bool adds = change.kind == ChangeKind::EdgeAdded;
  ++(adds ? counts_.edges_added : counts_.edges_removed);
  if (eager_ && adds) return new_edge(change);
  auto& row = edges_.rows;
  row.row(8);
  row.int8(++seq_);
  row.int2(static_cast<std::int16_t>(change.kind));
  row.int8(change.group.value);
  row.int8(change.member.id.value);
  row.int2(static_cast<std::int16_t>(change.member.type));
  row.text(change.group_external_id);
  row.text(change.member_external_id);
  row.text(change.reason);
  return send_if_full(edges_);
}

Result<void> PostgresStage::new_edge(const StagedEdge& change) {
  ++seq_;
  auto& row = new_edges_.rows;
  row.row(3);
  row.int8(change.group.value);
  row.int8(change.member.id.value);
  row.int2(static_cast<std::int16_t>(change.member.type));

  auto& item = open_item(edge_pack_, change.reason);
  number_item(item, R"({"s":)", seq_);
  number_item(item, R"(,"o":)", change.group.value);
  number_item(item, R"(,"m":)", change.member.id.value);
  if (change.member.type != PrincipalType::User) number_item(item, R"(,"t":)", static_cast<std::uint64_t>(change.member.type));
  text_item(item, R"(,"x":")", change.group_external_id);
  text_item(item, R"(,"y":")", change.member_external_id);
  if (change.reason != edge_pack_.reason) text_item(item, R"(,"r":")", change.reason);
  item += '}';
  if (const auto sent = close_item(edge_pack_); !sent) return sent;
  return send_if_full(new_edges_);
}

Result<void> PostgresStage::binding(const StagedBinding& change) {
  ++(change.kind == ChangeKind::BindingAdded ? counts_.bindings_added : counts_.bindings_removed);
  auto& row = bindings_.rows;
  row.row(10);
  row.int8(++seq_);
  row.int2(static_cast<std::int16_t>(change.kind));
  if (change.id)
    row.int8(change.id.value);
  else
    row.null();
  row.int8(change.role.value);
  row.text(change.role_name);
  row.int8(change.group.value);
  row.text(change.group_external_id);
  row.maybe_text(change.ns);
  json_ = "{";
  member(json_, "role", change.role_name);
  if (change.group) member(json_, "principal", text(PrincipalType::Group, change.group));
  member(json_, "group_external_id", change.group_external_id);
  if (change.ns) member(json_, "namespace", *change.ns);
  json_ += '}';
  row.text(std::string_view(json_));
  row.text(change.reason);
  return send_if_full(bindings_);
}

// ---- behind the read: on the writer thread, inside the open transaction -----------------------------------------------------------

void PostgresStage::insert_users_behind(Db& db) {
  insert_users(db, "stage_user_behind", tenant_, lease_);
  db.simple("TRUNCATE stage_user_behind");
}

void PostgresStage::insert_groups_behind(Db& db) {
  insert_groups(db, "stage_group_behind", tenant_, lease_);
  db.simple("TRUNCATE stage_group_behind");
}

void PostgresStage::insert_edges_behind(Db& db) {
  eager_edges_inserted_ += insert_edges(db, "stage_edge_behind", tenant_, lease_, OnConflict::Fail);
  db.simple("TRUNCATE stage_edge_behind");
}

}  // namespace postgres
}  // namespace rosterd
