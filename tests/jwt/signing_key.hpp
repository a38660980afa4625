#pragma once
// A private key of an issuer that exists in tests alone: tokens come out, and the JWK that verifies them.

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

struct evp_pkey_st;

namespace rosterd::test {

class SigningKey {
 public:
  [[nodiscard]] static SigningKey rsa(std::string kid, int bits = 2048, unsigned exponent = 65537);
  /// "P-256", "P-384" or a curve that rosterd does not take.
  [[nodiscard]] static SigningKey curve(std::string kid, const char* group = "P-256");
  [[nodiscard]] static SigningKey ed25519(std::string kid);

  [[nodiscard]] const std::string& kid() const { return kid_; }
  /// Its public half; without `alg` unless one is given.
  [[nodiscard]] nlohmann::json jwk(std::string_view alg = "") const;
  /// {"keys": [this one]}
  [[nodiscard]] std::string key_set() const;
  /// The bytes of a JWS signature. `alg` decides how, whether or not it suits.
  [[nodiscard]] std::string signature(std::string_view alg, std::string_view bytes) const;
  /// A token with {"alg", "kid"} and what `header` adds or replaces (null takes a member away).
  [[nodiscard]] std::string token(std::string_view alg, const nlohmann::json& claims,
                                  const nlohmann::json& header = nlohmann::json::object()) const;
  /// Of whatever texts.
  [[nodiscard]] std::string token_of_texts(std::string_view alg, std::string_view header, std::string_view payload) const;

 private:
  std::string kid_;
  std::shared_ptr<evp_pkey_st> key_;
};

}  // namespace rosterd::test
