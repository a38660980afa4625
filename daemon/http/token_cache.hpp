#pragma once
// Spares the slow part of recognizing a token that was sent a moment ago, its checksum and its HMAC: from what was sent to what is looked
// up. It holds no token: the one is hashed under a random key of this process, the other is what the store holds, too. It says nothing
// about whether the token exists or still counts. Nobody waits here: whoever finds a slot in other hands does the slow part himself.

#include <array>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "schema/core/hash.hpp"

namespace rosterd::http {

class TokenCache {
 public:
  /// What token_hash() gave for this secret; empty = not known.
  [[nodiscard]] std::string find(std::string_view secret) const {
    const auto name = hash_(secret);
    auto& slot = slots_[name.low % kSlots];
    const std::unique_lock lock(slot.mutex, std::try_to_lock);
    return lock && slot.name == name ? std::string(slot.hash.data(), slot.hash.size()) : std::string();
  }
  /// Takes the place of whatever stood there.
  void put(std::string_view secret, std::string_view token_hash) {
    const auto name = hash_(secret);
    auto& slot = slots_[name.low % kSlots];
    const std::unique_lock lock(slot.mutex, std::try_to_lock);
    if (!lock) return;
    slot.name = name;
    std::memcpy(slot.hash.data(), token_hash.data(), slot.hash.size());
  }

 private:
  static constexpr std::size_t kSlots = 2048;
  struct Slot {
    std::mutex mutex;
    Hash128 name;  // all zero = nothing yet, which no text hashes to but by a chance of 2^-128
    std::array<char, sizeof(Sha256)> hash{};
  };
  KeyedHash hash_;
  std::unique_ptr<Slot[]> slots_ = std::make_unique<Slot[]>(kSlots);
};

}  // namespace rosterd::http
