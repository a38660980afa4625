#pragma once
// A growing array for the large parts of a snapshot. Big ones live in a mapping of their own: the kernel moves pages instead of copying
// them when the array grows (no moment with two copies), and gets all of them back when the snapshot is freed.

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <utility>

namespace rosterd::rbac {

/// Raw memory of a given size; the contents survive a change of size as far as they fit.
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
  ~Region() { set_size(0); }

  void set_size(std::size_t bytes);  ///< throws std::bad_alloc
  [[nodiscard]] void* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  void swap(Region& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  void* data_ = nullptr;
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

  void reserve(std::size_t count) {
    if (count > capacity()) region_.set_size(count * sizeof(T));
  }
  /// Gives back what was reserved and not used.
  void shrink() { region_.set_size(count_ * sizeof(T)); }
  void clear() {
    count_ = 0;
    region_.set_size(0);
  }
  void push_back(const T& value) { *extend(1) = value; }
  /// `count` uninitialised elements at the end.
  T* extend(std::size_t count) {
    if (count_ + count > capacity()) reserve(std::max({std::size_t{16}, count_ + count, count_ + count_ / 2}));
    T* first = data() + count_;
    count_ += count;
    return first;
  }
  void assign(std::size_t count, const T& value) {
    count_ = 0;
    std::fill_n(extend(count), count, value);
  }
  /// Forgets the elements from `count` on.
  void truncate(std::size_t count) { count_ = count; }

  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] std::size_t bytes() const { return region_.size(); }
  [[nodiscard]] T* data() { return static_cast<T*>(region_.data()); }
  [[nodiscard]] const T* data() const { return static_cast<const T*>(region_.data()); }
  [[nodiscard]] T& operator[](std::size_t i) { return data()[i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const { return data()[i]; }
  [[nodiscard]] T* begin() { return data(); }
  [[nodiscard]] T* end() { return data() + count_; }
  [[nodiscard]] const T* begin() const { return data(); }
  [[nodiscard]] const T* end() const { return data() + count_; }

 private:
  [[nodiscard]] std::size_t capacity() const { return region_.size() / sizeof(T); }
  Region region_;
  std::size_t count_ = 0;
};

}  // namespace rosterd::rbac
