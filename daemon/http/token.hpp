#pragma once
// API tokens (rbac.md R53-R55): "rst_", 30 random base62 characters, 6 more for the CRC-32 of the 34 before them. A known prefix for
// secret scanners, a checksum so that mistyped ones never reach the store, and enough entropy that a fast hash is right.

#include <string>
#include <string_view>

namespace rosterd::http {

/// A fresh token, unbiased randomness from the kernel.
[[nodiscard]] std::string make_token();
/// Prefix, length, alphabet and checksum are right (R54). Says nothing about whether the token exists.
[[nodiscard]] bool plausible(std::string_view token);
/// What is stored and looked up (R55): HMAC-SHA-256 under the pepper, or SHA-256 without one. Raw bytes.
[[nodiscard]] std::string token_hash(std::string_view token, std::string_view pepper);

}  // namespace rosterd::http
