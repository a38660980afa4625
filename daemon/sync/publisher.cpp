#include "daemon/sync/publisher.hpp"

#include <malloc.h>

#include "schema/core/log.hpp"

namespace rosterd::sync {
namespace {

// A replaced snapshot of this size is given back to the system at once; for small ones that would be slower than keeping the pages.
constexpr std::uint64_t kTrimAbove = 16ULL << 20;

}  // namespace

Publisher::Publisher(Store& store, Snapshots& snapshots, std::shared_ptr<const rbac::Catalogue> catalogue, Millis poll)
    : store_(store), snapshots_(snapshots), catalogue_(std::move(catalogue)), poll_(poll) {}

Publisher::~Publisher() { stop(); }

Result<void> Publisher::start() {
  const auto revisions = store_.revisions();
  if (!revisions) return fail(revisions.error(), "reading the revisions of all tenants");
  for (const auto& one : *revisions) {
    known_.insert(one.tenant);
    const auto published = publish(one.tenant);
    if (!published && published.error().code != Errc::NotFound) return fail(published.error(), "publishing tenant {}", one.tenant.value);
  }
  thread_ = std::jthread([this](std::stop_token stop) { follow(stop); });
  return {};
}

void Publisher::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Publisher::changed(const TenantId& tenant) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.insert(tenant);
  }
  wake_.notify_one();
}

void Publisher::follow(std::stop_token stop) {
  auto next_look = std::chrono::steady_clock::now() + poll_;
  while (!stop.stop_requested()) {
    last_tick_ = std::chrono::steady_clock::now();
    std::set<TenantId> now;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_until(lock, stop, next_look, [&] { return !waiting_.empty(); });
      now.swap(waiting_);
    }
    for (const auto& tenant : now) {
      if (stop.stop_requested()) return;
      known_.insert(tenant);
      try_publish(tenant);
    }
    if (stop.stop_requested() || std::chrono::steady_clock::now() < next_look) continue;
    const auto looked = look();
    if (!looked && !away_)
      log::error("publisher.store_unavailable", {log::field("error", looked.error().what)});
    else if (looked && away_)
      log::info("publisher.store_back");
    away_ = !looked;
    next_look = std::chrono::steady_clock::now() + poll_;
  }
}

Result<void> Publisher::look() {
  const auto revisions = store_.revisions();
  if (!revisions) return fail(revisions.error());
  auto gone = known_;
  for (const auto& one : *revisions) {
    gone.erase(one.tenant);
    known_.insert(one.tenant);
    const auto published = snapshots_.find(one.tenant);
    if (published && published->snapshot->revision() >= one.revision) {
      snapshots_.confirm(one.tenant);
    } else {
      try_publish(one.tenant);
    }
  }
  for (const auto& tenant : gone) {
    snapshots_.forget(tenant);
    known_.erase(tenant);
    failing_.erase(tenant);
    log::info("snapshot.forgotten", {log::field("tenant", tenant.value)});
  }
  return {};
}

Result<void> Publisher::publish(const TenantId& tenant) {
  const auto started = std::chrono::steady_clock::now();
  const auto builder = rbac::make_builder(catalogue_);
  if (auto ok = store_.load_authorization(tenant, *builder); !ok) return fail(ok.error(), "loading the authorization of {}", tenant.value);
  auto snapshot = builder->finish();
  if (!snapshot) return fail(snapshot.error(), "compiling the snapshot of {}", tenant.value);
  const auto revision = (*snapshot)->revision();
  const auto stats = (*snapshot)->stats();
  snapshots_.publish(tenant, std::move(*snapshot));
  if (stats.bytes >= kTrimAbove) malloc_trim(0);
  log::info("snapshot.published",
            {log::field("tenant", tenant.value), log::field("revision", text(revision)), log::field("users", stats.users),
             log::field("groups", stats.groups), log::field("edges", stats.edges), log::field("bindings", stats.bindings),
             log::field("bytes", stats.bytes),
             log::field("ms", std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now() - started).count())});
  return {};
}

/// A tenant that cannot be published keeps its old snapshot, whose age says so; the next look tries again.
void Publisher::try_publish(const TenantId& tenant) {
  const auto published = publish(tenant);
  if (published) {
    failing_.erase(tenant);
  } else if (published.error().code == Errc::NotFound) {
    snapshots_.forget(tenant);
    known_.erase(tenant);
    failing_.erase(tenant);
  } else if (failing_.insert(tenant).second) {
    log::error("snapshot.failed", {log::field("tenant", tenant.value), log::field("error", published.error().what)});
  }
}

}  // namespace rosterd::sync
