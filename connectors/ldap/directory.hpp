#pragma once
// The Connector of one LDAP directory; see ldap.hpp. A new connection for each call: runs are minutes apart, and a connection that
// idled so long is the first thing firewalls forget.

#include <functional>

#include "connectors/connector.hpp"
#include "connectors/ldap/reader.hpp"
#include "connectors/ldap/settings.hpp"

namespace rosterd::connectors::ldap {

class Directory final : public Connector {
 public:
  Directory(Settings settings, ConnectorOptions options, std::vector<Network> allowed, Learnt learnt);

  [[nodiscard]] Result<FeedEnd> read(const Cursor& from, FeedSink& sink, std::stop_token stop) override;
  [[nodiscard]] Result<Presence> verify(PrincipalType type, std::span<const ExternalId> ids, std::stop_token stop) override;
  [[nodiscard]] Result<std::optional<std::size_t>> still_listed(std::span<const Unlisted> groups, std::stop_token stop) override;
  [[nodiscard]] Result<bool> readable(std::string_view entry, std::stop_token stop) override;
  [[nodiscard]] std::string container_of(std::string_view entry) const override;
  [[nodiscard]] std::vector<Finding> test(std::stop_token stop) override;

 private:
  [[nodiscard]] Limits limits() const;
  struct Looked;
  static Looked look_at_user(UserDecoder& users, const Entry& entry);
  static Looked look_at_group(GroupDecoder& groups, const Entry& entry);
  void test_part(Client& client, std::string_view name, const Part& part, const std::vector<std::string>& attributes,
                 const std::function<Looked(const Entry&)>& look, std::vector<Finding>& findings, bool& any_id);

  Settings settings_;
  ConnectorOptions options_;
  std::vector<Network> allowed_;
  Learnt learnt_;
};

}  // namespace rosterd::connectors::ldap
