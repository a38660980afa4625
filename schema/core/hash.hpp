#pragma once
// Hashes, each with its purpose. All come from libsodium; none is home-made.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace rosterd {

/// 128 bits, compared whole. Sorts by value.
struct Hash128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  auto operator<=>(const Hash128&) const = default;
};

/// SipHash-2-4-128 under a key that is random per object: for tables keyed by texts that strangers choose (ids, DNs). Equal hashes
/// are taken for equal texts; with a secret key nobody can aim at a collision, and by chance it takes 2^64 texts.
class KeyedHash {
 public:
  KeyedHash();  ///< a fresh random key
  [[nodiscard]] Hash128 operator()(std::string_view text) const;

 private:
  std::array<unsigned char, 16> key_;
};

/// BLAKE2b of `text`, first 64 bits: the stored content hash of a record. Unkeyed, since it is compared across runs and machines.
[[nodiscard]] std::uint64_t content_hash(std::string_view text);
/// BLAKE2b of `text`, 128 bits: the digest of one change inside a plan's hash.
[[nodiscard]] Hash128 digest128(std::string_view text);

using Sha256 = std::array<unsigned char, 32>;
[[nodiscard]] Sha256 sha256(std::string_view bytes);
/// HMAC-SHA-256, RFC 2104.
[[nodiscard]] Sha256 hmac_sha256(std::string_view key, std::string_view bytes);
[[nodiscard]] std::string hex(std::span<const unsigned char> bytes);

/// Random bytes from the kernel.
void random_bytes(std::span<unsigned char> out);
[[nodiscard]] std::uint64_t random_u64();
/// Unbiased, 0 <= result < bound (bound > 0).
[[nodiscard]] std::uint32_t random_below(std::uint32_t bound);
/// Constant-time comparison; different lengths are different.
[[nodiscard]] bool equal_secret(std::string_view a, std::string_view b);

/// CRC-32 (IEEE 802.3), for the checksum of API tokens (rbac.md R53).
[[nodiscard]] std::uint32_t crc32(std::string_view bytes);

}  // namespace rosterd
