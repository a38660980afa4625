#pragma once
// A small map whose entries are believed for less than a second: it saves a query per request and keeps "revoked is gone within a
// second" true. When an entry grows old, one caller is told to have it asked for again, and all of them go on with what there is, so that
// nobody waits for an entry that is in use.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "schema/core/patient_lock.hpp"

namespace rosterd::http {

template <class Value>
class ShortCache {
 public:
  using Steady = std::chrono::steady_clock;
  static constexpr auto kRefresh = std::chrono::milliseconds(400);  ///< from here on the first to see it has it asked for again
  static constexpr auto kExpired = std::chrono::milliseconds(800);  ///< from here on it is not believed
  static constexpr std::size_t kMost = 8192;

  /// When a question was put: at what time, and before or after which forgetting.
  struct Asked {
    Steady::time_point at{};
    std::uint64_t moment = 0;
  };

  struct Hit {
    Value value;
    Steady::duration age;
    bool fresh = false;    ///< false: ask again, and put() what comes
    bool refresh = false;  ///< have somebody else ask again, and put() what comes; said to one caller for each put()
  };

  /// The entry, fresh or not: a stale one is still worth something while the database is away (K6).
  [[nodiscard]] std::optional<Hit> find(std::string_view key) const {
    const std::shared_lock lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return std::nullopt;
    const auto& entry = found->second;
    const auto age = Steady::now() - entry.at;
    const bool fresh = age < kExpired;
    return Hit{entry.value, age, fresh, fresh && age >= kRefresh && !entry.asking.exchange(true)};
  }
  /// To be taken before the question is put.
  [[nodiscard]] Asked asking() const { return {.at = Steady::now(), .moment = moment_.load()}; }
  /// The answer's own duration counts as age. One to a question from before something was forgotten is not kept: it may be just that.
  void put(std::string_view key, Value value, Asked asked) {
    const PatientLock lock(mutex_);
    if (asked.moment != moment_) return;
    if (entries_.size() >= kMost) entries_.clear();  // bounded; refilling costs one query each
    auto& entry = entries_[std::string(key)];
    entry.value = std::move(value);
    entry.at = asked.at;
    entry.asking = false;
  }
  void erase(std::string_view key) {
    const PatientLock lock(mutex_);
    if (const auto found = entries_.find(key); found != entries_.end()) {
      entries_.erase(found);
      ++moment_;
    }
  }
  /// What was revoked here is gone at once: the entries, and what is being asked for now.
  void clear() {
    const PatientLock lock(mutex_);
    ++moment_;
    entries_.clear();
  }

 private:
  struct Entry {
    Value value{};
    Steady::time_point at{};
    mutable std::atomic<bool> asking{false};
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const noexcept { return std::hash<std::string_view>{}(key); }
  };
  mutable std::shared_mutex mutex_;
  std::atomic<std::uint64_t> moment_{0};  ///< moves with everything that is forgotten
  std::unordered_map<std::string, Entry, Hash, std::equal_to<>> entries_;
};

}  // namespace rosterd::http
