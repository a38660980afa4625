#pragma once
// One run's plan on its way into the database: staged changes go in one by one and are copied into temporary tables behind the caller's
// back; apply turns them into rows, keep stores them as a plan. Statements of apply and keep live in apply.cpp.

#include "schema/postgres/copy.hpp"
#include "schema/postgres/pool.hpp"
#include "schema/postgres/run_end.hpp"
#include "schema/postgres/stage_writer.hpp"

namespace rosterd::postgres {

/// Bytes of the first COPY of a lane. It is small, so that PostgreSQL has something to do while a small directory is being read.
inline constexpr std::size_t kFirstChunk = 256 << 10;

/// How much of each kind has been staged.
struct StagedCounts {
  std::array<std::uint64_t, kChangeKinds> users{}, groups{};
  std::uint64_t edges_added = 0, edges_removed = 0, bindings_added = 0, bindings_removed = 0;
  [[nodiscard]] bool takes_away() const;  ///< somebody might lose something by it
  [[nodiscard]] bool is_empty() const;    ///< nothing but skipped records
};

class PostgresStage final : public Stage {
 public:
  static Result<std::unique_ptr<Stage>> begin(std::shared_ptr<Pool> pool, const Lease& lease, const StageOptions& options);
  PostgresStage(std::shared_ptr<Pool> pool, std::unique_ptr<Db> db, int tenant, const Lease& lease, bool eager);
  ~PostgresStage() override;

  Result<void> user(const StagedPrincipal& change) override;
  Result<void> group(const StagedPrincipal& change) override;
  Result<void> edge(const StagedEdge& change) override;
  Result<void> binding(const StagedBinding& change) override;
  Result<Applied> apply(const RunEnd& end) override;
  Result<void> keep(const RunEnd& end) override;

 private:
  /// Rows for one temporary table, sent when they have grown to a chunk.
  struct Lane {
    const char* table;
    CopyWriter rows{};
    std::uint64_t sent = 0;
    std::size_t chunk = kFirstChunk;                    ///< bytes of the next COPY
    void (PostgresStage::*after_chunk)(Db&) = nullptr;  ///< runs on the writer thread
  };
  /// The record of what an eager lane adds, on its way into run_change_pack.
  struct Pack {
    ObjectType type;
    ChangeKind kind;
    std::string reason{};  ///< of its first change; only others say their own
    std::string changes = "[";
    std::uint64_t first_seq = 0, count = 0;
  };
  std::string& open_item(Pack& pack, std::string_view reason);
  Result<void> close_item(Pack& pack);
  Result<void> send(Pack& pack);
  Result<void> send(Lane& lane);
  Result<void> send_if_full(Lane& lane);
  Result<void> flush();
  void principal_fields(Lane& lane, const StagedPrincipal& change);
  Result<void> new_user(const StagedPrincipal& change, const UserRecord& user);
  Result<void> new_edge(const StagedEdge& change);
  Result<void> new_group(const StagedPrincipal& change, const GroupRecord& group);
  void user_members(const UserRecord& user);
  void group_members(const GroupRecord& group);
  Result<void> pack_item(Pack& pack, const StagedPrincipal& change);
  void insert_users_behind(Db& db);
  void insert_groups_behind(Db& db);
  void insert_edges_behind(Db& db);

  Tenancy inside() { return enter_number(*db_, tenant_, lease_.tenant, true); }
  Result<void> in_transaction(std::string_view doing, const std::function<void()>& work);
  // apply.cpp
  void prepare(Tenancy& tenancy);
  void record_changes(Tenancy& tenancy, bool is_plan);
  void change_users(Tenancy& tenancy);
  void change_groups(Tenancy& tenancy);
  std::vector<Notice> settle_names(Tenancy& tenancy);
  ChangeCounts change_rows(Tenancy& tenancy);
  void take_back_eager_rows(Tenancy& tenancy);
  std::optional<Notice> skipped_records(Tenancy& tenancy);
  void audit_held(Tenancy& tenancy, const RunEnd& end, std::optional<RunId> same);

  std::shared_ptr<Pool> pool_;
  std::unique_ptr<Db> db_;
  const int tenant_;
  const Lease lease_;
  const bool eager_;
  bool over_ = false;
  std::uint64_t seq_ = 0;
  StagedCounts counts_;
  std::uint64_t eager_edges_inserted_ = 0;
  Lane users_{.table = "stage_user"};
  Lane groups_{.table = "stage_group"};
  Lane edges_{.table = "stage_edge"};
  Lane bindings_{.table = "stage_binding"};
  Lane new_users_{.table = "stage_user_behind", .after_chunk = &PostgresStage::insert_users_behind};
  Lane new_groups_{.table = "stage_group_behind", .after_chunk = &PostgresStage::insert_groups_behind};
  Lane new_edges_{.table = "stage_edge_behind", .after_chunk = &PostgresStage::insert_edges_behind};
  Pack user_pack_{.type = ObjectType::User, .kind = ChangeKind::Added};
  Pack group_pack_{.type = ObjectType::Group, .kind = ChangeKind::Added};
  Pack edge_pack_{.type = ObjectType::Membership, .kind = ChangeKind::EdgeAdded};
  std::string json_, folded_;            // reused row by row
  std::unique_ptr<StageWriter> writer_;  ///< null only at the very end
};

/// Fail: in a first load nobody else can have brought the edge, and looking for conflicts would cost as much as inserting.
enum class OnConflict { Fail, Skip };
/// INSERT … SELECT of staged new users, groups and edges; `from` is what stands behind FROM. Used behind the read and by apply.
void insert_users(Db& db, std::string_view from, int tenant, const Lease& lease);
void insert_groups(Db& db, std::string_view from, int tenant, const Lease& lease);
std::uint64_t insert_edges(Db& db, std::string_view from, int tenant, const Lease& lease, OnConflict on_conflict);

}  // namespace rosterd::postgres
