#include "daemon/passwords.hpp"

#include <sodium.h>

#include <charconv>
#include <vector>

#include "schema/core/hash.hpp"
#include "schema/core/text.hpp"

namespace rosterd {
namespace {

std::size_t characters(std::string_view utf8) {
  std::size_t count = 0;
  for (const char c : utf8) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80 ? 1 : 0;
  return count;
}

bool is_between(char c, char first, char last) { return c >= first && c <= last; }

/// The number after `name` in "…m=19456,t=2,p=1…"; 0 without one.
std::uint64_t parameter(std::string_view phc, std::string_view name) {
  const auto at = phc.find(name);
  std::uint64_t value = 0;
  if (at != std::string_view::npos) std::from_chars(phc.data() + at + name.size(), phc.data() + phc.size(), value);
  return value;
}

/// Argon2id whatever the library's default becomes. The password's bytes are all used.
std::string hash_of(std::string_view password, const PasswordCost& cost) {
  std::string out(crypto_pwhash_STRBYTES, '\0');
  if (crypto_pwhash_str_alg(out.data(), password.data(), password.size(), cost.passes, cost.memory, crypto_pwhash_ALG_ARGON2ID13) != 0)
    return {};
  out.resize(out.find('\0'));
  return out;
}

}  // namespace

Result<void> judge_password(const PasswordPolicy& policy, std::string_view password, std::string_view email) {
  std::vector<std::string> missing;
  const auto length = characters(password);
  if (length < policy.min_length) missing.push_back(fmt::format("at least {} characters", policy.min_length));
  if (length > policy.max_length) missing.push_back(fmt::format("at most {} characters", policy.max_length));
  bool digit = false, lower = false, upper = false, other = false;
  for (const char c : password) {
    const bool is_digit = is_between(c, '0', '9'), is_lower = is_between(c, 'a', 'z'), is_upper = is_between(c, 'A', 'Z');
    digit |= is_digit;
    lower |= is_lower;
    upper |= is_upper;
    other |= !is_digit && !is_lower && !is_upper;
  }
  if (policy.digit && !digit) missing.emplace_back("a digit");
  if (policy.lower_case && !lower) missing.emplace_back("a lower-case letter (a-z)");
  if (policy.upper_case && !upper) missing.emplace_back("an upper-case letter (A-Z)");
  if (policy.other && !other) missing.emplace_back("a character that is neither letter nor digit");
  if (!email.empty() && fold(password) == fold(email)) missing.emplace_back("something other than the e-mail address");
  if (!is_utf8(password)) missing.emplace_back("valid UTF-8");
  if (missing.empty()) return {};
  return fail_as("weak_password", Errc::InvalidInput, "the password must have {}", fmt::join(missing, ", "));
}

Passwords::Passwords(PasswordCost cost) : cost_(cost) {
  unsigned char random[16];
  random_bytes(random);  // which also starts libsodium
  nobodys_ = hash_of(hex(random), cost_);
}

Passwords::Turn::~Turn() {
  if (of_ == nullptr) return;
  {
    const std::lock_guard lock(of_->mutex_);
    --of_->busy_;
  }
  of_->freed_.notify_one();
}

Result<std::string> Passwords::Turn::hash(std::string_view password) const {
  auto made = hash_of(password, of_->cost_);
  if (made.empty()) return fail_as("busy", Errc::Unavailable, "there is no memory for hashing a password now; try again");
  return made;
}

bool Passwords::Turn::matches(const std::string& hash, std::string_view password) const {
  const auto& against = hash.empty() ? of_->nobodys_ : hash;
  const bool good = crypto_pwhash_str_verify(against.c_str(), password.data(), password.size()) == 0;
  return good && !hash.empty();
}

Result<Passwords::Turn> Passwords::turn(Millis most) {
  std::unique_lock lock(mutex_);
  const auto busy = [] { return fail_as("busy", Errc::Unavailable, "too many passwords are being checked; try again"); };
  if (busy_ >= kAtOnce) {
    if (waiting_ >= kWaiting) return busy();
    ++waiting_;
    const bool free = freed_.wait_for(lock, most, [&] { return busy_ < kAtOnce; });
    --waiting_;
    if (!free) return busy();
  }
  ++busy_;
  return Turn(*this);
}

bool Passwords::is_outdated(std::string_view hash) const {
  return parameter(hash, "m=") * 1024 < cost_.memory / 1024 * 1024 || parameter(hash, ",t=") < cost_.passes;
}

}  // namespace rosterd
