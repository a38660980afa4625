#pragma once
// The published snapshot of every tenant. The publisher puts the next one in with one pointer exchange, readers take it once per
// request and keep it as long as they need; the old one is freed when nobody reads it any more.

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <stop_token>

#include "rbac/snapshot.hpp"
#include "schema/model/ids.hpp"

namespace rosterd::sync {

/// A snapshot with the moment it was last known to be current.
struct Published {
  std::shared_ptr<const rbac::Snapshot> snapshot;
  std::chrono::steady_clock::time_point seen{};  ///< last successful look at the tenant's revision
};

/// What became of snapshots that were to be published, for /metrics.
enum class Made : std::uint8_t {
  Built,        ///< from all rows
  Updated,      ///< from its predecessor and what changed
  CheckFailed,  ///< did not pass its self-check, or could not be updated: not published
  Differed,     ///< the daily build gave another snapshot than the updates had
};

class Snapshots {
 public:
  /// None for a tenant without a published snapshot.
  [[nodiscard]] std::optional<Published> find(const TenantId& tenant) const;
  /// Waits until the tenant's snapshot is at `least` or newer; none when `deadline` passes first.
  [[nodiscard]] std::optional<Published> wait_for(const TenantId& tenant, const Revision& least,
                                                  std::chrono::steady_clock::time_point deadline) const;
  /// The next snapshot of a tenant, counted before anybody can see it; false, and nothing changes, when a newer one is there already: what
  /// a check has answered from is never taken back.
  bool publish(const TenantId& tenant, std::shared_ptr<const rbac::Snapshot> snapshot, Made how = Made::Built);
  /// The tenant's revision was looked at and is still that of the published snapshot.
  void confirm(const TenantId& tenant);
  void forget(const TenantId& tenant);
  [[nodiscard]] std::size_t size() const;
  void count(Made made) { ++made_[static_cast<std::size_t>(made)]; }
  [[nodiscard]] std::uint64_t counted(Made made) const { return made_[static_cast<std::size_t>(made)]; }

 private:
  mutable std::shared_mutex mutex_;
  mutable std::condition_variable_any published_;
  std::map<TenantId, Published, std::less<>> by_tenant_;
  std::array<std::atomic<std::uint64_t>, 4> made_{};
};

}  // namespace rosterd::sync
