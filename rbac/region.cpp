#include "rbac/region.hpp"

#include <sys/mman.h>

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

void Region::set_size(std::size_t bytes) {
  bytes = rounded(bytes);
  if (bytes == size_) return;
  const bool was_mapped = size_ >= kMapped;
  const bool mapped = bytes >= kMapped;
  void* next = nullptr;
  if (was_mapped && mapped) {
    next = mremap(data_, size_, bytes, MREMAP_MAYMOVE);
    if (next == MAP_FAILED) throw std::bad_alloc();
  } else if (was_mapped || mapped) {
    next = mapped ? map(bytes) : bytes == 0 ? nullptr : std::malloc(bytes);
    if (next == nullptr && bytes != 0) throw std::bad_alloc();
    if (data_ != nullptr && next != nullptr) std::memcpy(next, data_, std::min(bytes, size_));
    if (was_mapped)
      munmap(data_, size_);
    else
      std::free(data_);
  } else if (bytes == 0) {
    std::free(data_);
  } else {
    next = std::realloc(data_, bytes);
    if (next == nullptr) throw std::bad_alloc();
  }
  data_ = next;
  size_ = bytes;
  if (bytes >= kHuge) madvise(data_, size_, MADV_HUGEPAGE);  // only a wish: without huge pages it is slower, not wrong
}

}  // namespace rosterd::rbac
