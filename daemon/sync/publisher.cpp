#include "daemon/sync/publisher.hpp"

#include <malloc.h>

#include "schema/core/log.hpp"

namespace rosterd::sync {
namespace {

// A replaced snapshot of this size is given back to the system at once; for small ones that would be slower than keeping the pages.
constexpr std::uint64_t kTrimAbove = 16ULL << 20;
constexpr Millis kFirstPause{1'000}, kLongestPause{60'000};

struct TooLarge {};

/// Passes rows on to a builder; throws TooLarge when there are more of them than it was told to take.
class Sized final : public AuthorizationSink {
 public:
  Sized(rbac::Builder& builder, std::optional<std::uint64_t> at_most) : builder_(builder), at_most_(at_most) {}
  void begin(const Revision& revision, bool tenant_enabled, std::uint64_t users, std::uint64_t groups, std::uint64_t edges) override {
    if (at_most_ && users + groups + edges > *at_most_) throw TooLarge{};
    builder_.begin(revision, tenant_enabled, users, groups, edges);
  }
  void user(PrincipalId id, std::string_view username, std::string_view email, bool active, bool super_admin) override {
    builder_.user(id, username, email, active, super_admin);
  }
  void group(PrincipalId id, std::string_view folded_name, std::string_view name, bool active) override {
    builder_.group(id, folded_name, name, active);
  }
  void service_account(PrincipalId id, std::string_view name, bool enabled) override { builder_.service_account(id, name, enabled); }
  void edge(PrincipalId group, PrincipalId member) override { builder_.edge(group, member); }
  void role(const Role& role) override { builder_.role(role); }
  void binding(const Binding& binding) override { builder_.binding(binding); }

 private:
  rbac::Builder& builder_;
  const std::optional<std::uint64_t> at_most_;
};

std::uint64_t size_of(const rbac::Snapshot& snapshot) {
  const auto stats = snapshot.stats();
  return stats.users + stats.groups + stats.edges;
}

}  // namespace

// ---- the queue ------------------------------------------------------------------------------------------------------------------

void Publisher::Queue::add(const TenantId& tenant, bool awaited) {
  const auto [at, is_new] = waiting.try_emplace(tenant, awaited);
  at->second = at->second || awaited;
  if (building.contains(tenant) || (!is_new && !resting.contains(tenant))) return;
  place(tenant, Steady::now());
}

/// A provider that pushes changes a tenant hundreds of times a second, and each snapshot of it copies what it does not share. Where nobody
/// waits for the next one, what comes within a moment after the last is published together.
void Publisher::Queue::place(const TenantId& tenant, Steady::time_point now) {
  constexpr auto kRest = std::chrono::milliseconds(10);
  resting.erase(tenant);
  if (const auto last = published.find(tenant); last != published.end() && !waiting.at(tenant) && last->second + kRest > now)
    resting.emplace(tenant, last->second + kRest);
  else
    lanes[large.contains(tenant) ? Large : Small].push_back(tenant);
}

std::optional<TenantId> Publisher::Queue::take(bool only_small, Steady::time_point now) {
  for (auto at = resting.begin(); at != resting.end();) {
    if (at->second > now) {
      ++at;
      continue;
    }
    lanes[large.contains(at->first) ? Large : Small].push_back(at->first);
    at = resting.erase(at);
  }
  // Large ones first for whoever may build them: the other builder has nothing but small ones to do.
  auto& lane = !only_small && !lanes[Large].empty() ? lanes[Large] : lanes[Small];
  if (lane.empty()) return std::nullopt;
  auto tenant = std::move(lane.front());
  lane.pop_front();
  waiting.erase(tenant);
  building.insert(tenant);
  return tenant;
}

std::chrono::steady_clock::time_point Publisher::Queue::next() const {
  auto out = Steady::now() + std::chrono::hours(1);
  for (const auto& [tenant, until] : resting) out = std::min(out, until);
  return out;
}

void Publisher::Queue::forget(const TenantId& tenant) {
  known.erase(tenant);
  failing.erase(tenant);
  large.erase(tenant);
  updated.erase(tenant);
  published.erase(tenant);
  checked.erase(tenant);
  compare.erase(tenant);
}

void Publisher::Queue::built(const TenantId& tenant, Steady::time_point now) {
  building.erase(tenant);
  if (known.contains(tenant)) published[tenant] = now;
  if (waiting.contains(tenant)) place(tenant, now);
}

// ---- threads --------------------------------------------------------------------------------------------------------------------

Publisher::Publisher(Store& store, Snapshots& snapshots, std::shared_ptr<const rbac::Catalogue> catalogue, PublisherOptions options)
    : store_(store), snapshots_(snapshots), catalogue_(std::move(catalogue)), options_(std::move(options)) {}

Publisher::~Publisher() { stop(); }

Result<void> Publisher::start(const std::stop_token& stop, const Progress& progress) {
  const auto revisions = store_.revisions();
  if (!revisions) return fail(revisions.error(), "reading the revisions of all tenants");
  std::size_t published = 0;
  for (const auto& one : *revisions) {
    if (stop.stop_requested()) return fail(Errc::Stopped, "stopped while publishing snapshots");
    const auto there = snapshots_.find(one.tenant);  // of a start that the store's absence cut short
    if (!there || there->snapshot->revision() < one.revision) {
      const auto done = publish(one.tenant, std::nullopt);
      if (!done && done.error().code == Errc::Unavailable) return fail(done.error(), "publishing tenant {}", one.tenant.value);
      note(one.tenant, done);
    }
    if (progress) progress(++published, revisions->size());
  }
  looked_ = Steady::now();
  for (const bool only_small : {false, true})
    builders_.emplace_back([this, only_small](const std::stop_token& end) { build(end, only_small); });
  follower_ = std::jthread([this](const std::stop_token& end) { follow(end); });
  if (options_.listen)
    listener_ = std::jthread(
        [this](const std::stop_token& end) { store_.follow_revisions(end, [this](const Store::TenantRevision* one) { hear(one); }); });
  return {};
}

void Publisher::stop() {
  listener_.request_stop();
  follower_.request_stop();
  for (auto& builder : builders_) builder.request_stop();
  if (listener_.joinable()) listener_.join();
  if (follower_.joinable()) follower_.join();
  builders_.clear();  // joins
}

void Publisher::changed(const TenantId& tenant, bool awaited) {
  {
    const std::lock_guard lock(mutex_);
    queue_.add(tenant, awaited);
  }
  wake_.notify_all();
}

std::chrono::steady_clock::time_point Publisher::last_tick() const {
  auto oldest = looked_.load();
  for (const auto& began : began_) oldest = std::min(oldest, began.load());
  return oldest;
}

void Publisher::build(const std::stop_token& stop, bool only_small) {
  auto& began = began_[only_small ? Small : Large];
  while (true) {
    std::optional<TenantId> tenant;
    {
      std::unique_lock lock(mutex_);
      while (!tenant && !stop.stop_requested()) {
        const auto until = queue_.next();
        wake_.wait_until(lock, stop, until, [&] {
          tenant = queue_.take(only_small, Steady::now());
          return tenant.has_value() || queue_.next() < until;
        });
      }
      if (stop.stop_requested() || !tenant) return;
    }
    began = Steady::now();
    try {
      note(*tenant, publish(*tenant, only_small ? std::optional(options_.small) : std::nullopt));
    } catch (const TooLarge&) {
      const std::lock_guard lock(mutex_);  // it has grown since it was looked at last: the other builder's
      queue_.large.insert(*tenant);
      queue_.add(*tenant, true);
    } catch (const std::bad_alloc&) {
      note(*tenant, fail(Errc::Internal, "out of memory"));
    }
    began = Steady::time_point::max();
    {
      const std::lock_guard lock(mutex_);
      queue_.built(*tenant, Steady::now());
    }
    wake_.notify_all();
  }
}

void Publisher::follow(const std::stop_token& stop) {
  bool missed = false;
  while (!stop.stop_requested()) {
    looked_ = Steady::now();
    const auto looked = look(missed);
    if (!looked && !away_)
      log::error("publisher.store_unavailable", {log::field("error", looked.error().what)});
    else if (looked && away_)
      log::info("publisher.store_back");
    away_ = !looked;
    std::unique_lock lock(mutex_);
    wake_.wait_until(lock, stop, looked_.load() + options_.poll, [this] { return look_now_; });
    missed = std::exchange(look_now_, false);
  }
}

/// Word of a commit, mostly of another daemon: our own have been published by then, or are about to be.
void Publisher::hear(const Store::TenantRevision* one) {
  if (one == nullptr) {
    {
      const std::lock_guard lock(mutex_);
      look_now_ = true;
    }
    wake_.notify_all();
    return;
  }
  const auto published = snapshots_.find(one->tenant);
  if (!published || published->snapshot->revision() < one->revision) changed(one->tenant, false);
}

Result<void> Publisher::look(bool missed) {
  const auto revisions = store_.revisions();
  if (!revisions) return fail(revisions.error());
  bool found_work = false;
  std::set<TenantId> gone;
  {
    const std::lock_guard lock(mutex_);
    gone = queue_.known;
  }
  for (const auto& one : *revisions) {
    gone.erase(one.tenant);
    const auto published = snapshots_.find(one.tenant);
    const bool is_current = published && published->snapshot->revision() >= one.revision;
    if (is_current) snapshots_.confirm(one.tenant);
    const std::lock_guard lock(mutex_);
    if (is_current) {
      const auto updated = queue_.updated.find(one.tenant);
      if (updated == queue_.updated.end() || Steady::now() - updated->second < options_.whole_every) continue;
      queue_.compare.insert(one.tenant);
    }
    queue_.known.insert(one.tenant);
    const auto failing = queue_.failing.find(one.tenant);
    // What a build in progress does not bring, the next look finds; unless a commit since its beginning was told before anybody listened.
    if ((queue_.building.contains(one.tenant) && !missed) || (failing != queue_.failing.end() && Steady::now() < failing->second.again))
      continue;
    queue_.add(one.tenant, false);
    found_work = true;
  }
  if (found_work) wake_.notify_all();
  for (const auto& tenant : gone) {
    snapshots_.forget(tenant);
    {
      const std::lock_guard lock(mutex_);
      queue_.forget(tenant);
    }
    log::info("snapshot.forgotten", {log::field("tenant", tenant.value)});
  }
  return {};
}

// ---- one snapshot ---------------------------------------------------------------------------------------------------------------

Result<void> Publisher::publish(const TenantId& tenant, std::optional<std::uint64_t> at_most) {
  const auto started = Steady::now();
  const auto published = snapshots_.find(tenant);
  const Next before = published ? published->snapshot : nullptr;
  Next updated;
  if (before) {
    auto next = update(tenant, before);
    if (!next) return fail(next.error(), "reading what changed in {}", tenant.value);
    updated = std::move(*next);
  }
  if (updated && updated == before) snapshots_.confirm(tenant);
  if (updated && updated != before) put(tenant, updated, Made::Updated, started);
  bool is_to_compare = false;
  {
    const std::lock_guard lock(mutex_);
    is_to_compare = queue_.compare.contains(tenant);
  }
  if (updated && !is_to_compare) return {};
  if (before && at_most && size_of(*before) > *at_most) throw TooLarge{};
  auto whole = build_whole(tenant, at_most);
  if (!whole) return fail(whole.error());
  if (updated) compare(tenant, updated, *whole);
  put(tenant, std::move(*whole), Made::Built, started);
  return {};
}

Result<Publisher::Next> Publisher::update(const TenantId& tenant, const Next& from) {
  const auto failed = [&](const Error& error) -> Next {
    snapshots_.count(Made::CheckFailed);
    log::error("snapshot.self_check_failed",
               {log::field("tenant", tenant.value), log::field("made_by", "update"), log::field("error", error.what)});
    return nullptr;
  };
  const auto changes = store_.authorization_changes(tenant, from->revision());
  if (!changes && (changes.error().code == Errc::Unavailable || changes.error().code == Errc::NotFound)) return fail(changes.error());
  if (!changes) return failed(changes.error());
  const auto& known = *changes;
  if (!known) return Next();
  if (known->to == from->revision()) return from;
  auto next = rbac::update(*from, *known);
  if (!next) return failed(next.error());
  if (!*next) return Next();
  if (const auto good = options_.check(**next, &*known, questions(tenant)); !good) return failed(good.error());
  return std::move(*next);
}

/// A provider that pushes leaves hundreds of revisions a second, and each snapshot shares all but a few rows with the one before: its
/// thousand questions (P2) are asked of all that follow each other within kRound together. Whoever has changed is asked about in each.
rbac::SelfCheckOptions Publisher::questions(const TenantId& tenant) {
  constexpr auto kRound = std::chrono::milliseconds(50);
  constexpr std::size_t kLeast = 50;
  rbac::SelfCheckOptions out;
  const std::lock_guard lock(mutex_);
  const auto now = Steady::now();
  const auto [last, is_first] = queue_.checked.try_emplace(tenant, now);
  if (is_first) return out;
  const auto share = std::chrono::duration<double>(now - std::exchange(last->second, now)) / kRound;
  if (share < 1) out.samples = std::max(kLeast, static_cast<std::size_t>(share * static_cast<double>(out.samples)));
  return out;
}

Result<Publisher::Next> Publisher::build_whole(const TenantId& tenant, std::optional<std::uint64_t> at_most) {
  const auto builder = rbac::make_builder(catalogue_);
  Sized sink(*builder, at_most);
  if (auto ok = store_.load_authorization(tenant, sink); !ok) return fail(ok.error(), "loading the authorization of {}", tenant.value);
  auto snapshot = builder->finish();
  if (!snapshot) return fail(snapshot.error(), "compiling the snapshot of {}", tenant.value);
  if (const auto good = options_.check(**snapshot, nullptr, {}); !good) {
    snapshots_.count(Made::CheckFailed);
    log::error("snapshot.self_check_failed",
               {log::field("tenant", tenant.value), log::field("made_by", "build"), log::field("error", good.error().what)});
    return fail(good.error(), "checking the snapshot of {}", tenant.value);
  }
  return std::move(*snapshot);
}

/// P3: what many updates gave and what all rows give must be the same. Both are brought to one revision first.
void Publisher::compare(const TenantId& tenant, Next updated, Next whole) {
  for (int tries = 0; tries < 3 && updated->revision() != whole->revision(); ++tries) {
    auto& older = updated->revision() < whole->revision() ? updated : whole;
    auto next = update(tenant, older);
    if (!next || !*next) return;
    older = std::move(*next);
  }
  if (updated->revision() != whole->revision()) return;  // changes all the time: tomorrow again
  const auto by_updates = updated->content_hash(), by_rows = whole->content_hash();
  if (by_updates == by_rows) return;
  snapshots_.count(Made::Differed);
  log::error("snapshot.differs",
             {log::field("tenant", tenant.value), log::field("revision", text(whole->revision())),
              log::field("updated", fmt::format("{:016x}", by_updates)), log::field("built", fmt::format("{:016x}", by_rows))});
}

void Publisher::put(const TenantId& tenant, Next snapshot, Made how, Steady::time_point started) {
  const auto revision = snapshot->revision();
  const auto stats = snapshot->stats();
  const bool is_published = snapshots_.publish(tenant, std::move(snapshot), how);
  {
    const std::lock_guard lock(mutex_);
    if (how == Made::Built) {
      queue_.large.erase(tenant);
      queue_.updated.erase(tenant);
      queue_.compare.erase(tenant);
    } else {
      queue_.updated.try_emplace(tenant, Steady::now());
    }
  }
  if (!is_published) return;
  if (how == Made::Built && stats.bytes >= kTrimAbove) malloc_trim(0);
  log::info("snapshot.published",
            {log::field("tenant", tenant.value), log::field("revision", text(revision)),
             log::field("made_by", how == Made::Built ? "build" : "update"), log::field("users", stats.users),
             log::field("groups", stats.groups), log::field("edges", stats.edges), log::field("bindings", stats.bindings),
             log::field("bytes", stats.bytes), log::field("ms", std::chrono::duration_cast<Millis>(Steady::now() - started).count())});
}

/// A tenant that cannot be published keeps its old snapshot, whose age says so, and is tried again when it changes or after a while.
void Publisher::note(const TenantId& tenant, const Result<void>& published) {
  std::unique_lock lock(mutex_);
  if (!published && published.error().code == Errc::NotFound) {
    queue_.forget(tenant);
    lock.unlock();
    snapshots_.forget(tenant);
    return;
  }
  // Also when it was deleted during the build: the next look finds that out.
  queue_.known.insert(tenant);
  if (published) {
    queue_.failing.erase(tenant);
    return;
  }
  auto [failure, is_new] = queue_.failing.try_emplace(tenant, Queue::Failure{.again = {}, .pause = kFirstPause});
  // A store that is away may be back at any moment; rows that contradict each other will hardly be better a second later.
  const bool away = published.error().code == Errc::Unavailable;
  if (!is_new) failure->second.pause = away ? kFirstPause : std::min(2 * failure->second.pause, kLongestPause);
  failure->second.again = Steady::now() + failure->second.pause;
  lock.unlock();
  if (is_new) log::error("snapshot.failed", {log::field("tenant", tenant.value), log::field("error", published.error().what)});
}

}  // namespace rosterd::sync
