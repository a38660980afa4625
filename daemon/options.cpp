#include "daemon/options.hpp"

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

namespace rosterd {

connectors::ConnectorOptions connector_options(const config::Config& config) {
  return {.allowed_networks = config.sync.allowed_networks,
          .connect_timeout = config.sync.connect_timeout,
          .operation_timeout = config.sync.operation_timeout,
          .read_deadline = config.sync.read_deadline,
          .max_message_bytes = config.sync.max_message,
          .page_size = config.sync.page_size,
          .http_proxy = config.sync.http_proxy};
}

sync::SchedulerOptions scheduler_options(const config::Config& config) {
  sync::SchedulerOptions options;
  options.workers = config.sync.workers;
  options.heartbeat = config.sync.lease_heartbeat;
  options.lease = config.sync.lease_expiry;
  options.run_deadline = sync::run_deadline(config.sync.read_deadline);
  return options;
}

Result<std::string> instance_issuer_settings(const config::Config& config) {
  const auto& sign_in = config.sign_in;
  if (sign_in.issuer.empty()) return std::string();
  nlohmann::json options{{"token_type", sign_in.token_type}, {"subject_claim", sign_in.subject_claim}};
  if (!sign_in.client_id.empty()) options["client_id"] = sign_in.client_id;
  if (!sign_in.client_secret_file.empty()) {
    std::ifstream in(sign_in.client_secret_file, std::ios::binary);
    std::string secret((std::istreambuf_iterator<char>(in)), {});
    if (!in && !in.eof()) return fail(Errc::InvalidInput, "reading {}", sign_in.client_secret_file.string());
    while (secret.ends_with('\n') || secret.ends_with('\r')) secret.pop_back();
    if (secret.empty()) return fail(Errc::InvalidInput, "{} is empty or cannot be read", sign_in.client_secret_file.string());
    options["client_secret"] = {{"value", secret}};
  }
  nlohmann::json settings{{"issuer", sign_in.issuer}, {"sign_in", true}, {"sign_in_options", std::move(options)}};
  if (!sign_in.audiences.empty()) settings["audiences"] = sign_in.audiences;
  if (!sign_in.ca_file.empty()) settings["ca_file"] = sign_in.ca_file.string();
  return settings.dump();
}

http::AccountOptions account_options(const config::Config& config) {
  http::AccountOptions options;
  options.session_lifetime = config.accounts.session_lifetime;
  options.session_idle = config.accounts.session_idle;
  options.lockout.attempts = config.accounts.lockout_attempts;
  options.lockout.window = config.accounts.lockout_window;
  options.lockout.lock = config.accounts.lockout_duration;
  options.policy = {.min_length = config.passwords.min_length,
                    .max_length = config.passwords.max_length,
                    .digit = config.passwords.digit,
                    .lower_case = config.passwords.lower_case,
                    .upper_case = config.passwords.upper_case,
                    .other = config.passwords.other};
  options.cost = {.passes = config.passwords.passes, .memory = config.passwords.memory};
  return options;
}

}  // namespace rosterd
