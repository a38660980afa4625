#pragma once
// A configuration comes in, a running rosterd goes out: the parts are started in the order in which they lean on each other and end in the
// reverse one. What the parts do is theirs; only service.cpp names the implementations. main tells it when to reload and when to end.

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>

#include "config/config.hpp"
#include "schema/core/result.hpp"

namespace rosterd {

class Service {
 public:
  /// Returns when everything is ready: migrations done, every tenant's snapshot published, the port bound. A PostgreSQL that is away is
  /// waited for, with a word to log and service manager, until it answers. Stopped when `stop` is requested before the end, which also
  /// interrupts what takes long. InvalidInput and Refused need a person.
  [[nodiscard]] static Result<std::unique_ptr<Service>> start(const config::Config& config, std::stop_token stop);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  /// Takes over what can change while running; what cannot is named in the log.
  void reload(const config::Config& next);
  /// Running syncs and the requests that are being answered have sync.shutdown_deadline to finish, none once `hurry` is requested; then
  /// they are told to stop, and calls to the store end. False when something did not end even so.
  [[nodiscard]] bool stop(std::stop_token hurry);
  /// After stop() has left something behind: stops the embedded PostgreSQL, which rolls it back, and nothing else, since threads still use
  /// the rest. The process is to end then without unwinding.
  void leave();

  [[nodiscard]] std::uint16_t port() const;
  /// One line for people: tenants, running syncs, the store.
  [[nodiscard]] std::string status() const;

 private:
  void reload_tls(const config::Server& next);
  struct Parts;
  explicit Service(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace rosterd
