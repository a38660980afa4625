#pragma once
// A provider of tests' own: discovery, keys, a token endpoint, and whatever a test wants to be wrong with them. On a free port of this
// machine.

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/jwt/signing_key.hpp"

namespace rosterd::test {

class FakeIssuer {
  template <class Use>
  decltype(auto) with(const Use& use) const {
    const std::lock_guard lock(mutex_);
    return use();
  }

 public:
  FakeIssuer();
  ~FakeIssuer();
  FakeIssuer(const FakeIssuer&) = delete;
  FakeIssuer& operator=(const FakeIssuer&) = delete;

  [[nodiscard]] const std::string& url() const { return url_; }
  /// What its tokens are signed with from now on, and what it publishes.
  void use(const SigningKey& key) {
    with([&] { key_ = std::make_shared<SigningKey>(key), published_ = key_->key_set(); });
  }
  void publish(std::string key_set) {
    with([&] { published_ = std::move(key_set); });
  }
  /// Header lines of the answer with the keys.
  void cache_control(std::string value) {
    with([&] { cache_control_ = std::move(value); });
  }
  /// What the token endpoint answers with status 200; nothing = 400 invalid_grant.
  void give(nlohmann::json tokens) {
    with([&] { tokens_ = std::move(tokens); });
  }
  void break_down(bool down) { down_ = down; }
  void dawdle(int ms) { dawdle_ms_ = ms; }

  [[nodiscard]] int asked_for_keys() const { return key_requests_; }
  /// The body of the last token request, and its Authorization.
  [[nodiscard]] std::string last_form() {
    return with([&] { return form_; });
  }
  [[nodiscard]] std::string last_authorization() {
    return with([&] { return authorization_; });
  }

  /// An access token as RFC 9068 wants it, for `rosterd`, with these claims beside or instead (null takes one away).
  [[nodiscard]] std::string token(const std::string& subject, const nlohmann::json& claims = nlohmann::json::object(),
                                  const nlohmann::json& header = nlohmann::json::object()) const;
  [[nodiscard]] std::string id_token(const std::string& subject, const std::string& nonce,
                                     const nlohmann::json& claims = nlohmann::json::object()) const;

 private:
  void serve(const std::stop_token& stop);
  [[nodiscard]] std::string answer(const std::string& request);

  int socket_ = -1;
  std::string url_;
  mutable std::mutex mutex_;
  std::shared_ptr<SigningKey> key_;
  std::string published_, cache_control_, form_, authorization_;
  nlohmann::json tokens_;
  std::atomic<bool> down_{false};
  std::atomic<int> dawdle_ms_{0}, key_requests_{0};
  std::jthread thread_;
};

}  // namespace rosterd::test
