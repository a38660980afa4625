#pragma once
// The hash of the tables a check looks into. SipHash (schema/core/hash.hpp) would take a quarter of a check's 150 ns; here a collision
// costs time and never an answer, since every hit is compared with the text. Two secret random numbers keep outsiders from aiming at one.

#include <cstdint>
#include <cstring>
#include <string_view>

#include "schema/core/hash.hpp"

namespace rosterd::rbac {

/// The scheme of wyhash (public domain): sixteen bytes a step, folded by 64x64 -> 128 bit multiplication.
class TextHash {
 public:
  TextHash() : secret_(random_u64() | 1), seed_(random_u64()) {}

  [[nodiscard]] std::uint64_t operator()(std::string_view text) const noexcept { return (*this)(text, seed_); }
  /// Goes on from the hash of what stands before `text`.
  [[nodiscard]] std::uint64_t operator()(std::string_view text, std::uint64_t seed) const noexcept {
    const char* at = text.data();
    std::size_t left = text.size();
    std::uint64_t a = 0, b = 0;
    if (left > 16) {
      for (; left > 16; left -= 16, at += 16) seed = fold(word(at) ^ secret_, word(at + 8) ^ seed);
      a = word(at + left - 16);  // overlaps what was read, and is inside the text since it has more than sixteen bytes
      b = word(at + left - 8);
    } else if (left >= 8) {
      a = word(at);
      b = word(at + left - 8);
    } else if (left >= 4) {
      a = half(at);
      b = half(at + left - 4);
    } else if (left > 0) {
      a = static_cast<std::uint64_t>(static_cast<unsigned char>(at[0])) << 16 |
          static_cast<std::uint64_t>(static_cast<unsigned char>(at[left / 2])) << 8 | static_cast<unsigned char>(at[left - 1]);
    }
    return fold(secret_ ^ text.size(), fold(a ^ secret_, b ^ seed));
  }
  [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }

 private:
  __extension__ using Wide = unsigned __int128;
  static std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
    const auto product = Wide{a} * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }
  static std::uint64_t word(const char* at) noexcept {
    std::uint64_t out;
    std::memcpy(&out, at, sizeof out);
    return out;
  }
  static std::uint64_t half(const char* at) noexcept {
    std::uint32_t out;
    std::memcpy(&out, at, sizeof out);
    return out;
  }

  std::uint64_t secret_, seed_;
};

}  // namespace rosterd::rbac
