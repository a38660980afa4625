#pragma once
// One full read of a realm into a sink, with its proof: users, then the tree of groups, then every group with its members.

#include <unordered_map>

#include "connectors/connector.hpp"
#include "connectors/oidc/keycloak/realm.hpp"

namespace rosterd::connectors::oidc::keycloak {

/// "delivered nobody yet" and "delivered somebody" end differently when the provider goes away; see broken_off.
struct Delivery {
  FeedSink& sink;
  bool something = false;

  [[nodiscard]] Result<void> user(const nlohmann::json& item, bool& federated);
};

/// A group whole: its record, its members, and the groups right below it. NotFound while nothing of it was delivered: it is gone.
/// `skip_member` says whose membership is nobody's business.
[[nodiscard]] Result<void> deliver_group(Api& api, const Realm& realm, const Group& group, const std::vector<std::string>& below,
                                         const std::function<bool(const nlohmann::json&)>& skip_member, Delivery& delivery);

class FullRead {
 public:
  FullRead(Api& api, const Realm& realm, FeedSink& sink) : api_(api), realm_(realm), delivery_{.sink = sink} {}

  [[nodiscard]] Result<FeedEnd> run();
  /// Whether somebody comes from a user storage.
  [[nodiscard]] bool federated() const { return federated_; }

 private:
  [[nodiscard]] Result<void> read_users();
  [[nodiscard]] Result<void> read_groups();
  [[nodiscard]] Result<Tree> proved_tree();
  [[nodiscard]] Result<void> canary();
  void prove(std::string what, std::string trouble = {});

  Api& api_;
  const Realm& realm_;
  Delivery delivery_;
  std::optional<Walk> people_;
  ReadProof proof_;
  bool federated_ = false;
};

}  // namespace rosterd::connectors::oidc::keycloak
