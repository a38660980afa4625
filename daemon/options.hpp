#pragma once
// What the parts are told out of the configuration, where it is more than one number for another. Who reads the file is config's business,
// who hands these on service.cpp's.

#include "config/config.hpp"
#include "connectors/connector.hpp"
#include "daemon/http/server.hpp"
#include "daemon/sync/scheduler.hpp"

namespace rosterd {

[[nodiscard]] connectors::ConnectorOptions connector_options(const config::Config& config);
/// All but the holder.
[[nodiscard]] sync::SchedulerOptions scheduler_options(const config::Config& config);

/// The issuer for accounts in the shape of a source's settings; "" without one. The client's secret is read from its file.
[[nodiscard]] Result<std::string> instance_issuer_settings(const config::Config& config);

[[nodiscard]] http::AccountOptions account_options(const config::Config& config);

}  // namespace rosterd
