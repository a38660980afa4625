#pragma once
// API tokens (rbac.md R53-R55): "rst_", 30 random base62 characters, 6 more for the CRC-32 of the 34 before them. A known prefix for
// secret scanners, a checksum so that mistyped ones never reach the store, and enough entropy that a fast hash is right. Sign-in sessions
// and the links of invitations are secrets of the same form under prefixes of their own.

#include <string>
#include <string_view>

namespace rosterd::http {

enum class SecretKind { Token, Session, Invitation };  ///< "rst_", "rss_", "rsi_"

/// A fresh secret, unbiased randomness from the kernel.
[[nodiscard]] std::string make_token(SecretKind kind = SecretKind::Token);
/// Prefix, length, alphabet and checksum are right (R54). Says nothing about whether the secret exists.
[[nodiscard]] bool plausible(std::string_view token, SecretKind kind = SecretKind::Token);
/// What is stored and looked up (R55): HMAC-SHA-256 under the pepper, or SHA-256 without one. Raw bytes.
[[nodiscard]] std::string token_hash(std::string_view token, std::string_view pepper);

}  // namespace rosterd::http
