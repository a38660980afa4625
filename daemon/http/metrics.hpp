#pragma once
// Counters and gauges for /metrics, in Prometheus' text form. What happens in this process is counted as it happens; what belongs to
// tenants and sources is read when somebody asks.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "rbac/snapshot.hpp"

namespace rosterd {
class Store;
namespace sync {
class Snapshots;
class SyncControl;
}  // namespace sync
}  // namespace rosterd

namespace rosterd::http {

enum class Limit;

class Metrics {
 public:
  explicit Metrics(std::size_t routes);
  ~Metrics();

  /// Called once per route before serving; `route` is its index.
  void name_route(std::size_t route, std::string_view method, std::string_view path);
  void request(std::size_t route, int status, double seconds);
  void unrouted(int status);
  void check(rbac::Reason reason);
  void rate_limited(Limit limit);
  enum class IssuerToken { Accepted, Refused, Unavailable };
  void issuer_token(IssuerToken result);

  /// Text exposition format. Series that name tenants and sources only with `tenants`, since they tell who the customers are.
  [[nodiscard]] std::string expose(Store& store, const sync::Snapshots& snapshots, const sync::SyncControl& sync, TimePoint now,
                                   bool tenants);

 private:
  struct Series;
  std::unique_ptr<Series> series_;
};

}  // namespace rosterd::http
