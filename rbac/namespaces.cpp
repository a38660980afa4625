#include "rbac/namespaces.hpp"

#include <algorithm>
#include <array>
#include <bit>

namespace rosterd::rbac {
namespace {

constexpr std::size_t kMaxSegments = 16;  // R26

}  // namespace

Namespaces::Namespaces(const std::vector<std::string>& names) {
  ends_.reserve(names.size() + 1);
  parents_.reserve(names.size() + 1);
  ends_.push_back(0);
  parents_.push_back(0);
  std::size_t length = 0;
  for (const auto& name : names) length += name.size();
  texts_.reserve(length);
  slots_.assign(std::bit_ceil(names.size() * 2 + 2), 0);
  for (const auto& name : names) {
    const auto dot = name.rfind('.');
    parents_.push_back(dot == std::string::npos ? 0 : resolve(std::string_view(name).substr(0, dot)));  // ancestors sort before
    texts_ += name;
    ends_.push_back(static_cast<std::uint32_t>(texts_.size()));
    auto slot = hash_of(name) & (slots_.size() - 1);
    while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = static_cast<std::uint32_t>(parents_.size() - 1);
  }
}

std::uint32_t Namespaces::find(std::string_view name, std::uint64_t hash) const noexcept {
  for (auto slot = hash & (slots_.size() - 1); slots_[slot] != 0; slot = (slot + 1) & (slots_.size() - 1))
    if (text(slots_[slot]) == name) return slots_[slot];
  return 0;
}

/// Segment by segment, each going on from the hash of those before: one pass over a.b.c gives the hashes of a, a.b and a.b.c.
std::uint64_t Namespaces::hash_of(std::string_view name) const noexcept {
  auto hash = hash_.seed();
  for (std::size_t start = 0;;) {
    const auto dot = std::min(name.find('.', start), name.size());
    hash = hash_(name.substr(start, dot - start), hash);
    if (dot == name.size()) return hash;
    start = dot + 1;
  }
}

std::uint32_t Namespaces::resolve(std::string_view ns) const noexcept {
  if (parents_.size() == 1) return 0;
  struct Prefix {
    std::size_t length;
    std::uint64_t hash;
  };
  std::array<Prefix, kMaxSegments> prefixes;
  std::size_t count = 0;
  auto hash = hash_.seed();
  for (std::size_t start = 0; count < kMaxSegments;) {
    const auto dot = std::min(ns.find('.', start), ns.size());
    hash = hash_(ns.substr(start, dot - start), hash);
    prefixes[count++] = {dot, hash};
    if (dot == ns.size()) break;
    start = dot + 1;
  }
  while (count-- > 0)
    if (const auto node = find(ns.substr(0, prefixes[count].length), prefixes[count].hash)) return node;
  return 0;
}

std::size_t Namespaces::bytes() const {
  return texts_.capacity() + (ends_.capacity() + parents_.capacity() + slots_.capacity()) * sizeof(std::uint32_t);
}

}  // namespace rosterd::rbac
