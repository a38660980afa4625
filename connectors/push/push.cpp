#include "connectors/push/push.hpp"

#include <nlohmann/json.hpp>

namespace rosterd::connectors::push {

Result<std::unique_ptr<Connector>> make(const ConnectorSettings&, const ConnectorOptions&) {
  return fail_as("source_pushes", Errc::Conflict, "its provider pushes: there is nothing to read");
}

Result<void> validate(std::string_view text) {
  const auto settings = nlohmann::json::parse(text, nullptr, false);
  if (!settings.is_object()) return fail(Errc::InvalidInput, "/settings: must be an object");
  std::string problems;
  for (const auto& [name, value] : settings.items())
    problems += fmt::format("{}/settings/{}: unknown field", problems.empty() ? "" : "; ", name);
  if (!problems.empty())
    return fail(Errc::InvalidInput,
                "{} (a source of type scim_push has no settings: its provider is told where to send, and given a token)", problems);
  return {};
}

ConnectorType::Fingerprints fingerprint(std::string_view) { return {}; }

}  // namespace rosterd::connectors::push
