#pragma once
// The world of the tests about accounts: cheap passwords, a public address, and short ways to sign in.

#include "tests/http/world.hpp"

namespace rosterd::test {

inline constexpr const char* kGood = "Correct-horse-7";
inline constexpr const char* kOther = "Battery-staple-8";

inline http::HttpOptions sign_in_options() {
  http::HttpOptions options;
  options.public_url = "https://authz.example.org";
  options.accounts.cost = {.passes = 1, .memory = 64 << 10};
  return options;
}

class SignInWorld : public World {
 public:
  explicit SignInWorld(http::HttpOptions options = sign_in_options()) : World(std::move(options)) { set_up(); }
  static SignInWorld& shared() {
    static SignInWorld world;
    return world;
  }

  /// An account with kGood as its own password. Gives its e-mail.
  std::string somebody(const std::string& name, const nlohmann::json& more = {}) {
    const auto email = fmt::format("{}{}@people.example", name, ++number_);
    nlohmann::json body = {{"email", email}, {"password", kOther}};
    if (more.is_object()) body.update(more);
    const auto made = root().post("/v1/accounts", body);
    EXPECT_EQ(made.status, 201) << made.text;
    const auto changed = as(signed_in(email, kOther)).put("/v1/me/password", {{"old", kOther}, {"new", kGood}});
    EXPECT_EQ(changed.status, 204) << changed.text;
    return email;
  }
  Answer login(const std::string& email, const std::string& password) {
    return nobody().post("/v1/login", {{"email", email}, {"password", password}});
  }
  /// The secret of a new session.
  std::string signed_in(const std::string& email, const std::string& password = kGood) {
    const auto answer = login(email, password);
    EXPECT_EQ(answer.status, 200) << answer.text;
    return answer.status == 200 ? answer.body["token"].get<std::string>() : std::string();
  }
  Answer me(const std::string& secret) { return as(secret).get("/v1/me"); }
  std::string account_path(const std::string& email) { return "/v1/accounts/" + encoded(email); }
  /// What the audit log holds of an object by that name: actions, oldest first.
  std::vector<std::string> audited(const std::string& name);

 private:
  std::atomic<int> number_{0};
};

}  // namespace rosterd::test
