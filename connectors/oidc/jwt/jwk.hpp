#pragma once
// A JWK set (RFC 7517) comes in, keys that verify signatures come out. A key that must not be used (private, symmetric, for encryption,
// too small, off its curve, ambiguous) is left out and the set says why; the others still serve. Keys are built once, not per signature.

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/oidc/jwt/jws.hpp"
#include "schema/core/result.hpp"

struct evp_pkey_st;  // OpenSSL's, which stays in the source files

namespace rosterd::jwt {

class FrequentP256;

inline constexpr std::size_t kMostKeySet = 512 * 1024;  ///< bytes
inline constexpr std::size_t kMostKeys = 100;
/// How many keys are tried for a token that does not say which.
inline constexpr std::size_t kMostTried = 8;

enum class KeyType { Rsa, P256, P384, Ed25519 };

class Key {
 public:
  std::string kid;  ///< empty = it has none
  KeyType type = KeyType::Rsa;
  std::optional<Algorithm> only;  ///< the JWK's `alg`: one key, one algorithm

  /// Of one JWK; InvalidInput says why it must not be used.
  [[nodiscard]] static Result<Key> of(const nlohmann::json& jwk);
  /// Whether the key can have made a signature of that algorithm.
  [[nodiscard]] bool fits(Algorithm algorithm) const;
  /// Whether it has made this one. May be asked from any number of threads.
  [[nodiscard]] bool has_signed(Algorithm algorithm, std::string_view bytes, std::string_view signature) const;
  [[nodiscard]] bool same_material(const Key& other) const;

 private:
  std::shared_ptr<evp_pkey_st> key_;
  std::shared_ptr<FrequentP256> frequent_;  ///< of a key on P-256
};

struct KeySet {
  std::vector<Key> keys;
  std::vector<std::string> left_out;  ///< "key 2 (kid abc): is private"; for the log

  /// Those that may have signed: by `kid` if the token has one, else all that fit, at most kMostTried.
  [[nodiscard]] std::vector<const Key*> candidates(const Jws& jws) const;
};

/// An error only when it is no key set at all; a set without a usable key is a set.
[[nodiscard]] Result<KeySet> parse_key_set(std::string_view json);

}  // namespace rosterd::jwt
