#pragma once
// A small map whose entries are believed for half a second: it saves a query per request and keeps "revoked is gone within a second" true.

#include <chrono>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace rosterd::http {

template <class Value>
class ShortCache {
 public:
  using Steady = std::chrono::steady_clock;
  static constexpr auto kFresh = std::chrono::milliseconds(500);
  static constexpr std::size_t kMost = 8192;

  struct Hit {
    Value value;
    Steady::duration age;
    [[nodiscard]] bool fresh() const { return age < kFresh; }
  };

  /// The entry, fresh or not: a stale one is still worth something while the database is away (K6).
  [[nodiscard]] std::optional<Hit> find(std::string_view key) const {
    const std::shared_lock lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return std::nullopt;
    return Hit{found->second.value, Steady::now() - found->second.at};
  }
  void put(std::string_view key, Value value, Steady::time_point asked) {
    const std::unique_lock lock(mutex_);
    if (entries_.size() >= kMost) entries_.clear();  // bounded; refilling costs one query each
    entries_.insert_or_assign(std::string(key), Entry{std::move(value), asked});
  }
  void erase(std::string_view key) {
    const std::unique_lock lock(mutex_);
    if (const auto found = entries_.find(key); found != entries_.end()) entries_.erase(found);
  }
  void clear() {
    const std::unique_lock lock(mutex_);
    entries_.clear();
  }

 private:
  struct Entry {
    Value value;
    Steady::time_point at;  ///< when the question was put, so that the answer's own duration counts as age
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const noexcept { return std::hash<std::string_view>{}(key); }
  };
  mutable std::shared_mutex mutex_;
  std::unordered_map<std::string, Entry, Hash, std::equal_to<>> entries_;
};

}  // namespace rosterd::http
