#include "daemon/sync/snapshots.hpp"

#include "schema/core/patient_lock.hpp"

namespace rosterd::sync {

std::optional<Published> Snapshots::find(const TenantId& tenant) const {
  const std::shared_lock lock(mutex_);
  const auto at = by_tenant_.find(tenant);
  return at == by_tenant_.end() ? std::nullopt : std::optional(at->second);
}

std::optional<Published> Snapshots::wait_for(const TenantId& tenant, const Revision& least,
                                             std::chrono::steady_clock::time_point deadline) const {
  std::optional<Published> found;
  std::shared_lock lock(mutex_);
  const auto there = [&] {
    const auto at = by_tenant_.find(tenant);
    if (at == by_tenant_.end() || at->second.snapshot->revision() < least) return false;
    found = at->second;
    return true;
  };
  published_.wait_until(lock, deadline, there);
  return found;
}

bool Snapshots::publish(const TenantId& tenant, std::shared_ptr<const rbac::Snapshot> snapshot, Made how) {
  std::shared_ptr<const rbac::Snapshot> old;  // freed after the lock is: taking a large one apart takes a while
  {
    const PatientLock lock(mutex_);
    auto& entry = by_tenant_[tenant];
    if (entry.snapshot && snapshot->revision() < entry.snapshot->revision()) return false;
    old = std::exchange(entry.snapshot, std::move(snapshot));
    entry.seen = std::chrono::steady_clock::now();
    count(how);
  }
  published_.notify_all();
  return true;
}

void Snapshots::confirm(const TenantId& tenant) {
  const PatientLock lock(mutex_);
  if (const auto at = by_tenant_.find(tenant); at != by_tenant_.end()) at->second.seen = std::chrono::steady_clock::now();
}

void Snapshots::forget(const TenantId& tenant) {
  std::shared_ptr<const rbac::Snapshot> old;
  {
    const PatientLock lock(mutex_);
    const auto at = by_tenant_.find(tenant);
    if (at == by_tenant_.end()) return;
    old = std::move(at->second.snapshot);
    by_tenant_.erase(at);
  }
  published_.notify_all();
}

std::size_t Snapshots::size() const {
  const std::shared_lock lock(mutex_);
  return by_tenant_.size();
}

}  // namespace rosterd::sync
