#pragma once
// Passwords (rbac.md R60, R61): a password goes in, its Argon2id hash, a verdict, or what its form lacks comes out. Who may sign in with it
// is decided by the store and daemon/http.

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "schema/core/clock.hpp"
#include "schema/core/result.hpp"

namespace rosterd {

struct PasswordPolicy {
  std::uint32_t min_length = 8;  ///< characters, not bytes
  std::uint32_t max_length = 128;
  bool digit = true, lower_case = true, upper_case = true, other = true;  ///< at least one of each
};
/// Nothing, or InvalidInput "weak_password" with everything that is missing. `email`: the account's, which it must not be.
[[nodiscard]] Result<void> judge_password(const PasswordPolicy& policy, std::string_view password, std::string_view email);

struct PasswordCost {
  std::uint32_t passes = 2;
  std::uint64_t memory = 19ull << 20;  ///< bytes
};

/// Hashing, a few at a time: each takes `cost.memory`, and sign-ins must not break the daemon's memory bound.
class Passwords {
 public:
  explicit Passwords(PasswordCost cost);
  Passwords(const Passwords&) = delete;
  Passwords& operator=(const Passwords&) = delete;

  /// The right to hash, until it goes out of scope.
  class Turn {
   public:
    Turn(Turn&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn();

    /// A PHC string, "$argon2id$v=19$m=…,t=…,p=1$…".
    [[nodiscard]] Result<std::string> hash(std::string_view password) const;
    /// Against an empty hash the same work is done, and the answer is no (R62).
    [[nodiscard]] bool matches(const std::string& hash, std::string_view password) const;

   private:
    friend class Passwords;
    explicit Turn(Passwords& of) : of_(&of) {}
    Passwords* of_;
  };
  /// Unavailable "busy" when it does not come within `most`, or too many wait for theirs.
  [[nodiscard]] Result<Turn> turn(Millis most = Millis(2'000));
  /// Whether a hash was made at a lower cost than today's.
  [[nodiscard]] bool is_outdated(std::string_view hash) const;

  static constexpr unsigned kAtOnce = 4, kWaiting = 8;

 private:
  const PasswordCost cost_;
  std::string nobodys_;  ///< what unknown e-mails are judged against
  std::mutex mutex_;
  std::condition_variable freed_;
  unsigned busy_ = 0, waiting_ = 0;
};

}  // namespace rosterd
