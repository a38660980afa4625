#include "rbac/region.hpp"

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

namespace rosterd::rbac {
namespace {

// Below this a mapping (whole pages, a system call each) costs more than it gives: a small tenant has some twenty arrays.
constexpr std::size_t kMapped = 256 * 1024;
constexpr std::size_t kPage = 4096;
// From here on the kernel is asked for huge pages: random probes into tens of megabytes otherwise miss the TLB as well.
constexpr std::size_t kHuge = 4 * 1024 * 1024;

std::size_t rounded(std::size_t bytes) { return bytes < kMapped ? bytes : (bytes + kPage - 1) / kPage * kPage; }

void* map(std::size_t bytes) {
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) throw std::bad_alloc();
  return data;
}

}  // namespace

/// What is allocated; freed with the last region that looks at it.
struct Region::Block {
  void* data = nullptr;
  std::size_t size = 0;
  std::atomic<std::size_t> claimed{0};  ///< where the longest of those who share it ends

  Block() = default;
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() {
    if (size >= kMapped)
      munmap(data, size);
    else
      std::free(data);
  }

  void resize(std::size_t bytes) {
    bytes = rounded(bytes);
    if (bytes == size) return;
    const bool was_mapped = size >= kMapped;
    const bool mapped = bytes >= kMapped;
    void* next = nullptr;
    if (was_mapped && mapped) {
      next = mremap(data, size, bytes, MREMAP_MAYMOVE);
      if (next == MAP_FAILED) throw std::bad_alloc();
    } else if (was_mapped || mapped) {
      next = mapped ? map(bytes) : bytes == 0 ? nullptr : std::malloc(bytes);
      if (next == nullptr && bytes != 0) throw std::bad_alloc();
      if (data != nullptr && next != nullptr) std::memcpy(next, data, std::min(bytes, size));
      if (was_mapped)
        munmap(data, size);
      else
        std::free(data);
    } else if (bytes == 0) {
      std::free(data);
    } else {
      next = std::realloc(data, bytes);
      if (next == nullptr) throw std::bad_alloc();
    }
    data = next;
    size = bytes;
    if (bytes >= kHuge) madvise(data, size, MADV_HUGEPAGE);  // only a wish: without huge pages it is slower, not wrong
  }
};

void Region::set_size(std::size_t bytes) {
  if (bytes == 0) {
    *this = Region();
    return;
  }
  if (!block_ || is_shared()) {
    auto fresh = std::make_shared<Block>();
    fresh->resize(bytes);
#ifdef MADV_POPULATE_WRITE
    // All of it is written at once: one call for its pages instead of a fault for each. Only a wish, too.
    if (size_ != 0 && fresh->size >= kMapped) madvise(fresh->data, std::min(rounded(size_), fresh->size), MADV_POPULATE_WRITE);
#endif
    if (size_ != 0) std::memcpy(fresh->data, data_, std::min(bytes, size_));
    block_ = std::move(fresh);
  } else {
    block_->resize(bytes);
  }
  data_ = block_->data;
  size_ = block_->size;
  block_->claimed = size_;
}

void Region::close(std::size_t bytes, std::size_t spare) {
  set_size(bytes + spare);
  size_ = bytes;
  if (block_) block_->claimed = bytes;
}

bool Region::claim(std::size_t bytes) {
  if (!block_ || bytes > block_->size) return false;
  auto end = size_;
  if (!block_->claimed.compare_exchange_strong(end, bytes)) return false;
  size_ = bytes;
  return true;
}

Region Region::share(std::size_t bytes) const {
  Region out;
  if (bytes == 0) return out;
  out.block_ = block_;
  out.data_ = data_;
  out.size_ = bytes;
  return out;
}

void Region::own() {
  if (is_shared()) set_size(size_);
}

}  // namespace rosterd::rbac
