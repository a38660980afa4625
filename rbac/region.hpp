#pragma once
// A growing array for the large parts of a snapshot. Big ones live in a mapping of their own: the kernel moves pages instead of copying
// them when the array grows (no moment with two copies), and gets all of them back when the last snapshot that uses it is freed. A snapshot
// shares with its predecessor what has not changed; the first to write takes a copy.

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

namespace rosterd::rbac {

/// Raw memory of a given size; the contents survive a change of size as far as they fit. Several may look at the same memory (share):
/// nobody changes what the others see, but one of them may go on behind its end (claim).
class Region {
 public:
  Region() = default;
  Region(Region&& other) noexcept { swap(other); }
  Region& operator=(Region&& other) noexcept {
    swap(other);
    return *this;
  }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  void set_size(std::size_t bytes);  ///< throws std::bad_alloc; takes a copy of what others share
  /// Ends at `bytes`, with `spare` bytes behind that one sharer may claim. Only of memory that is not shared yet.
  void close(std::size_t bytes, std::size_t spare);
  /// Makes the end of shared memory `bytes`, if nobody else has gone on there and there is room.
  bool claim(std::size_t bytes);
  /// The first `bytes` of the same memory.
  [[nodiscard]] Region share(std::size_t bytes) const;
  [[nodiscard]] bool is_shared() const { return block_ && block_.use_count() > 1; }
  void own();  ///< a copy of its own, if it is shared
  [[nodiscard]] void* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Block;
  void swap(Region& other) noexcept {
    std::swap(block_, other.block_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  std::shared_ptr<Block> block_;
  void* data_ = nullptr;  // of the block: a check goes to the memory directly
  std::size_t size_ = 0;
};

template <class T>
class Array {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Array() = default;
  Array(Array&& other) noexcept : region_(std::move(other.region_)), count_(std::exchange(other.count_, 0)) {}
  Array& operator=(Array&& other) noexcept {
    region_ = std::move(other.region_);
    std::swap(count_, other.count_);
    return *this;
  }

  /// The same elements in the same memory. Adding to it leaves the others as they are; before anything in it is changed, own() it.
  [[nodiscard]] Array share() const {
    Array out;
    out.region_ = region_.share(count_ * sizeof(T));
    out.count_ = count_;
    return out;
  }
  void own() { region_.own(); }

  void reserve(std::size_t count) {
    if (count > capacity()) region_.set_size(count * sizeof(T));
  }
  /// Gives back what was reserved and not used, but for room for `spare` elements that a snapshot which shares this may add.
  void shrink(std::size_t spare = 0) {
    if (!region_.is_shared()) region_.close(count_ * sizeof(T), spare * sizeof(T));
  }
  void clear() {
    count_ = 0;
    region_.set_size(0);
  }
  void push_back(const T& value) { *extend(1) = value; }
  /// `count` uninitialised elements at the end.
  T* extend(std::size_t count) {
    const auto wanted = count_ + count;
    if (wanted > capacity() && !region_.claim(wanted * sizeof(T))) reserve(std::max({std::size_t{16}, wanted, count_ + count_ / 2}));
    T* first = begin_unchecked() + count_;
    count_ = wanted;
    return first;
  }
  void assign(std::size_t count, const T& value) {
    count_ = 0;
    if (region_.is_shared()) region_ = Region();
    std::fill_n(extend(count), count, value);
  }
  /// Forgets the elements from `count` on.
  void truncate(std::size_t count) { count_ = count; }

  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] std::size_t bytes() const { return region_.size(); }
  [[nodiscard]] T* data() {
    assert(!region_.is_shared());
    return begin_unchecked();
  }
  [[nodiscard]] const T* data() const { return static_cast<const T*>(region_.data()); }
  [[nodiscard]] T& operator[](std::size_t i) { return data()[i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const { return data()[i]; }
  [[nodiscard]] T* begin() { return data(); }
  [[nodiscard]] T* end() { return data() + count_; }
  [[nodiscard]] const T* begin() const { return data(); }
  [[nodiscard]] const T* end() const { return data() + count_; }

 private:
  [[nodiscard]] T* begin_unchecked() { return static_cast<T*>(region_.data()); }
  [[nodiscard]] std::size_t capacity() const { return region_.size() / sizeof(T); }
  Region region_;
  std::size_t count_ = 0;
};

/// Room that later snapshots find behind an array they add to. It takes memory only where it is used.
[[nodiscard]] constexpr std::size_t spare_of(std::size_t count) { return count / 16 + 16; }

}  // namespace rosterd::rbac
