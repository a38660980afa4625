#include "daemon/options.hpp"

namespace rosterd {

connectors::ConnectorOptions connector_options(const config::Config& config) {
  return {.allowed_networks = config.sync.allowed_networks,
          .connect_timeout = config.sync.connect_timeout,
          .operation_timeout = config.sync.operation_timeout,
          .read_deadline = config.sync.read_deadline,
          .max_message_bytes = config.sync.max_message,
          .page_size = config.sync.page_size};
}

sync::SchedulerOptions scheduler_options(const config::Config& config) {
  sync::SchedulerOptions options;
  options.workers = config.sync.workers;
  options.heartbeat = config.sync.lease_heartbeat;
  options.lease = config.sync.lease_expiry;
  options.run_deadline = sync::run_deadline(config.sync.read_deadline);
  return options;
}

}  // namespace rosterd
