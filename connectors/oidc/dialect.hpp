#pragma once
// What a provider's directory API does its own way: one dialect reads one kind. The Connector around it (directory.cpp) brings settings,
// connection, token and the end of time; a dialect decides nothing about what absence means beyond what its walk has proved.
//
// References: a user is "user:<external id>", a group "group:<external id>". Members are given so, too; where the provider does not say of
// which kind a member is, "id:<external id>", which every record of these dialects has as a second reference. A "user:" or "group:" that no
// record of this feed has is looked up among what is held: an incremental read need not repeat everybody.

#include <memory>
#include <string>
#include <vector>

#include "connectors/connector.hpp"
#include "connectors/oidc/api.hpp"
#include "connectors/oidc/settings.hpp"

namespace rosterd::connectors::oidc {

[[nodiscard]] inline Reference user_reference(std::string_view id) { return "user:" + std::string(id); }
[[nodiscard]] inline Reference group_reference(std::string_view id) { return "group:" + std::string(id); }
[[nodiscard]] inline Reference any_reference(std::string_view id) { return "id:" + std::string(id); }

class Dialect {
 public:
  virtual ~Dialect() = default;
  /// See Connector::read. An empty `from` = everything.
  [[nodiscard]] virtual Result<FeedEnd> read(Api& api, const Cursor& from, FeedSink& sink) = 0;
  [[nodiscard]] virtual Result<Presence> verify(Api& api, PrincipalType type, std::span<const ExternalId> ids) = 0;
  [[nodiscard]] virtual Result<std::optional<std::size_t>> still_listed(Api& api, std::span<const Unlisted> groups) = 0;
  /// Reads one entry of each kind; the connection and the token have been found good before.
  virtual void test(Api& api, std::vector<Finding>& findings) = 0;
};

/// A row of the table in dialects.cpp.
struct DialectType {
  std::string_view name;
  std::unique_ptr<Dialect> (*make)(const Settings& settings, const ConnectorOptions& options, std::string_view learnt);
  http::ThrottleRules throttle;
  /// The directory API's base URL where the settings name none: from the issuer. Empty = it must be named.
  std::string (*api_url)(const std::string& issuer);
  std::string_view scope;   ///< asked for when the settings name none
  std::string_view accept;  ///< media types
  /// InvalidInput for settings that make no sense in this dialect, each with its JSON path. Null = none does.
  Result<void> (*check)(const Settings& settings) = nullptr;
  /// The token endpoint where neither the settings name one nor discovery would give the right one; empty = discovery. Null = always empty.
  std::string (*token_url)(const std::string& issuer) = nullptr;
};
[[nodiscard]] const DialectType& dialect_type(DialectName name);

/// A walk that stopped in the middle: what was delivered stays, nobody leaves (S5); told to stop, or nothing delivered yet = the error.
[[nodiscard]] Result<FeedEnd> broken_off(const Error& error, bool delivered_something, std::string_view what);
/// Presence of ids one GET each: `ask` gives it for one id, an error other than Stopped makes it Unknown.
[[nodiscard]] Result<Presence> verify_each(std::span<const ExternalId> ids, const std::function<Result<Present>(const ExternalId&)>& ask);

}  // namespace rosterd::connectors::oidc
