#pragma once
// Signatures on the curve P-256 by a key that signs again and again. OpenSSL has multiples of the curve's generator in a table, which makes
// half of a verification cheap; with multiples of the key's point in one, too, the other half is as cheap, and the whole takes well under
// half the time (docs/decisions/0011). A table is 150 KB and 26 ms of work: only a key that has shown to be in use gets one.

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace rosterd::jwt {

class FrequentP256 {
 public:
  static constexpr std::uint32_t kFrequent = 64;  ///< verifications after which the table is made

  /// Of a point in its uncompressed form, which OpenSSL has found to be a valid key.
  explicit FrequentP256(std::string point);
  ~FrequentP256();
  FrequentP256(const FrequentP256&) = delete;
  FrequentP256& operator=(const FrequentP256&) = delete;

  /// Whether r‖s is the key's signature of what has this SHA-256. None: there is no table (yet), OpenSSL must be asked. From any thread.
  [[nodiscard]] std::optional<bool> has_signed(std::string_view sha256, std::string_view signature);

 private:
  struct Table;
  std::string point_;
  std::atomic<std::uint32_t> asked_{0};
  std::unique_ptr<const Table> owned_;  ///< written once, before
  std::atomic<const Table*> table_{nullptr};
};

}  // namespace rosterd::jwt
