#include "daemon/http/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>

#include "daemon/http/limits.hpp"
#include "daemon/http/source_state.hpp"
#include "daemon/sync/control.hpp"
#include "daemon/sync/snapshots.hpp"
#include "schema/core/log.hpp"
#include "schema/store/store.hpp"

namespace rosterd::http {
namespace {

namespace prom = prometheus;

constexpr std::size_t kReasons = static_cast<std::size_t>(rbac::Reason::DeniedNoBinding) + 1;
constexpr std::size_t kLimits = static_cast<std::size_t>(Limit::Failures) + 1;
constexpr std::size_t kClasses = 6;  // 0 unused, then 1xx to 5xx
// From the quick check to the explain of a large tenant and the read of a long list.
constexpr double kSeconds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

/// Every request passes here, hence no lock, as the library's own histogram has one. A scrape in between may see a request in one number
/// and not yet in another.
class Times {
 public:
  void add(double seconds) {
    const auto at = static_cast<std::size_t>(std::lower_bound(std::begin(kSeconds), std::end(kSeconds), seconds) - std::begin(kSeconds));
    counts_[at].fetch_add(1, std::memory_order_relaxed);
    nanoseconds_.fetch_add(static_cast<std::uint64_t>(seconds * 1e9), std::memory_order_relaxed);
  }
  [[nodiscard]] prom::MetricFamily family() const {
    prom::MetricFamily out;
    out.name = "rosterd_http_request_seconds";
    out.help = "Time from the parsed request to the finished answer";
    out.type = prom::MetricType::Histogram;
    auto& histogram = out.metric.emplace_back().histogram;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      histogram.sample_count += counts_[i].load(std::memory_order_relaxed);
      const double bound = i < std::size(kSeconds) ? kSeconds[i] : std::numeric_limits<double>::infinity();
      histogram.bucket.push_back({.cumulative_count = histogram.sample_count, .upper_bound = bound});
    }
    histogram.sample_sum = static_cast<double>(nanoseconds_.load(std::memory_order_relaxed)) / 1e9;
    return out;
  }

 private:
  std::array<std::atomic<std::uint64_t>, std::size(kSeconds) + 1> counts_{};
  std::atomic<std::uint64_t> nanoseconds_{0};
};

prom::Family<prom::Gauge>& gauge(prom::Registry& registry, const char* name, const char* help) {
  return prom::BuildGauge().Name(name).Help(help).Register(registry);
}

}  // namespace

struct Metrics::Series {
  prom::Registry registry;
  prom::Family<prom::Counter>& requests = prom::BuildCounter()
                                              .Name("rosterd_http_requests_total")
                                              .Help("Requests answered, by route, method and status class")
                                              .Register(registry);
  prom::Family<prom::Counter>& checks =
      prom::BuildCounter().Name("rosterd_checks_total").Help("Checks answered, by decision and reason").Register(registry);
  prom::Family<prom::Counter>& rate_limited = prom::BuildCounter()
                                                  .Name("rosterd_http_rate_limited_total")
                                                  .Help("Requests answered 429 because their caller sent too many, by limit")
                                                  .Register(registry);
  prom::Family<prom::Counter>& issuer_tokens =
      prom::BuildCounter().Name("rosterd_issuer_tokens_total").Help("JWTs of issuers that were judged, by result").Register(registry);
  std::array<prom::Counter*, 3> by_token{&issuer_tokens.Add({{"result", "accepted"}}), &issuer_tokens.Add({{"result", "refused"}}),
                                         &issuer_tokens.Add({{"result", "unavailable"}})};
  Times times;
  std::vector<std::array<prom::Counter*, kClasses>> by_route;
  std::array<prom::Counter*, kClasses> unrouted{};
  std::array<prom::Counter*, kReasons> by_reason{};
  std::array<prom::Counter*, kLimits> by_limit{};

  std::array<prom::Counter*, kClasses> classes(const std::string& route, const std::string& method) {
    std::array<prom::Counter*, kClasses> out{};
    for (std::size_t i = 2; i < kClasses; ++i)
      out[i] = &requests.Add({{"route", route}, {"method", method}, {"status", fmt::format("{}xx", i)}});
    return out;
  }
};

Metrics::Metrics(std::size_t routes) : series_(std::make_unique<Series>()) {
  series_->by_route.resize(routes);
  series_->unrouted = series_->classes("none", "any");
  for (std::size_t i = 0; i < kReasons; ++i) {
    const auto name = std::string(rbac::name_of(static_cast<rbac::Reason>(i)));
    series_->by_reason[i] = &series_->checks.Add({{"allowed", name.starts_with("allowed") ? "true" : "false"}, {"reason", name}});
  }
  for (std::size_t i = 0; i < kLimits; ++i)
    series_->by_limit[i] = &series_->rate_limited.Add({{"limit", std::string(name_of(static_cast<Limit>(i)))}});
  gauge(series_->registry, "rosterd_build_info", "Always 1; the version is a label").Add({{"version", ROSTERD_VERSION}}).Set(1);
}
Metrics::~Metrics() = default;

void Metrics::name_route(std::size_t route, std::string_view method, std::string_view path) {
  series_->by_route[route] = series_->classes(std::string(path), std::string(method));
}

void Metrics::request(std::size_t route, int status, double seconds) {
  const auto at = static_cast<std::size_t>(status / 100);
  if (auto* counter = at < kClasses ? series_->by_route[route][at] : nullptr) counter->Increment();
  series_->times.add(seconds);
}

void Metrics::unrouted(int status) {
  const auto at = static_cast<std::size_t>(status / 100);
  if (auto* counter = at < kClasses ? series_->unrouted[at] : nullptr) counter->Increment();
}

void Metrics::check(rbac::Reason reason) { series_->by_reason[static_cast<std::size_t>(reason)]->Increment(); }

void Metrics::rate_limited(Limit limit) { series_->by_limit[static_cast<std::size_t>(limit)]->Increment(); }

void Metrics::issuer_token(IssuerToken result) { series_->by_token[static_cast<std::size_t>(result)]->Increment(); }

std::string Metrics::expose(Store& store, const sync::Snapshots& snapshots, const sync::SyncControl& sync, TimePoint now, bool tenants) {
  auto families = series_->registry.Collect();
  families.push_back(series_->times.family());
  prom::Registry scrape;  // what is read from elsewhere at this moment
  gauge(scrape, "rosterd_snapshots", "Tenants with a published snapshot").Add({}).Set(static_cast<double>(snapshots.size()));
  auto& made = prom::BuildCounter()
                   .Name("rosterd_snapshots_made_total")
                   .Help("Snapshots published by this process, by how they were made")
                   .Register(scrape);
  made.Add({{"by", "build"}}).Increment(static_cast<double>(snapshots.counted(sync::Made::Built)));
  made.Add({{"by", "update"}}).Increment(static_cast<double>(snapshots.counted(sync::Made::Updated)));
  const auto count = [&](const char* name, const char* help, sync::Made what) {
    prom::BuildCounter().Name(name).Help(help).Register(scrape).Add({}).Increment(static_cast<double>(snapshots.counted(what)));
  };
  count("rosterd_snapshot_self_check_failures_total", "Snapshots that were not published because their self-check failed",
        sync::Made::CheckFailed);
  count("rosterd_snapshot_differences_total", "Updated snapshots that differed from the daily build from all rows", sync::Made::Differed);
  if (const auto ended = sync.runs_ended()) {
    auto& runs = prom::BuildCounter().Name("rosterd_runs_total").Help("Runs that ended in this process, by outcome").Register(scrape);
    for (std::size_t i = static_cast<std::size_t>(Outcome::Applied); i < ended->size(); ++i)
      runs.Add({{"outcome", std::string(name_of(static_cast<Outcome>(i)))}}).Increment(static_cast<double>((*ended)[i]));
  }
  if (tenants) {
    auto& age = gauge(scrape, "rosterd_source_complete_read_age_seconds", "Age of the last complete read of a source");
    auto& overdue = gauge(scrape, "rosterd_source_overdue", "1 while a scheduled source was not read completely for two full intervals");
    auto& held = gauge(scrape, "rosterd_source_held", "1 while a plan of the source waits for approval");
    auto& failures = gauge(scrape, "rosterd_source_failures", "Failed runs in a row");
    auto& last = gauge(scrape, "rosterd_source_last_run", "1 for the outcome of the newest run that is over");
    auto& users = gauge(scrape, "rosterd_source_users", "Users a source owns, by state");
    auto& revision = gauge(scrape, "rosterd_snapshot_revision", "Revision of the published snapshot");
    auto& bytes = gauge(scrape, "rosterd_snapshot_bytes", "Resident size of the published snapshot");
    auto& unknown = gauge(scrape, "rosterd_role_unknown_pairs", "Pairs that roles of the tenant hold and the catalogue does not have");
    auto& staleness = gauge(scrape, "rosterd_snapshot_age_seconds", "Time since the snapshot was last known to be current");
    PageRequest page{.limit = 1000, .cursor = {}, .query = {}};
    do {
      const auto found = store.tenants(page, std::nullopt);
      if (!found) {  // the rest is still worth something; that the database is away shows in readyz
        log::warning("metrics.incomplete", {{"error", found.error().what}});
        break;
      }
      for (const auto& tenant : found->items) {
        const prom::Labels of_tenant{{"tenant", tenant.id.value}};
        if (const auto published = snapshots.find(tenant.id)) {
          revision.Add(of_tenant).Set(static_cast<double>(published->snapshot->revision().number));
          bytes.Add(of_tenant).Set(static_cast<double>(published->snapshot->stats().bytes));
          unknown.Add(of_tenant).Set(static_cast<double>(published->snapshot->stats().unknown_pairs));
          staleness.Add(of_tenant).Set(std::chrono::duration<double>(std::chrono::steady_clock::now() - published->seen).count());
        }
        const auto sources = store.status(tenant.id);
        if (!sources) continue;
        for (const auto& source : *sources) {
          const prom::Labels of_source{{"tenant", tenant.id.value}, {"source", source.source.name}};
          const auto with = [&](const char* name, std::string value) {
            auto labels = of_source;
            labels.emplace(name, std::move(value));
            return labels;
          };
          if (source.last_complete_read) age.Add(of_source).Set(std::chrono::duration<double>(now - *source.last_complete_read).count());
          overdue.Add(of_source).Set(overdue_in(source, now) ? 1 : 0);
          held.Add(of_source).Set(source.held ? 1 : 0);
          failures.Add(of_source).Set(source.failures);
          if (source.last_run) last.Add(with("outcome", std::string(name_of(source.last_run->outcome)))).Set(1);
          users.Add(with("state", "active")).Set(static_cast<double>(source.users_active));
          users.Add(with("state", "suspended")).Set(static_cast<double>(source.users_suspended));
        }
      }
      page.cursor = found->next;
    } while (!page.cursor.empty());
  }
  for (auto& family : scrape.Collect()) families.push_back(std::move(family));
  return prom::TextSerializer().Serialize(families);
}

}  // namespace rosterd::http
