#pragma once
// Objects of Okta's API as they arrive -> records. Pure, no I/O.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "connectors/connector.hpp"
#include "schema/core/clock.hpp"

namespace rosterd::connectors::oidc::okta {

/// The text under `key`; empty when it is absent, null or no text.
[[nodiscard]] std::string text_at(const nlohmann::json& object, std::string_view key);

struct ParsedUser {
  UserRecord record;
  std::string trouble;  ///< why it cannot be used; empty = usable
};
[[nodiscard]] ParsedUser parse_user(const nlohmann::json& object);

struct ParsedGroup {
  GroupRecord record;
  std::string trouble;
};
[[nodiscard]] ParsedGroup parse_group(const nlohmann::json& object);

/// A moment as filters want it: "2026-11-23T04:05:06.000Z".
[[nodiscard]] std::string filter_time(TimePoint time);

}  // namespace rosterd::connectors::oidc::okta
