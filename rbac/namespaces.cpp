#include "rbac/namespaces.hpp"

#include <array>
#include <bit>

#include "schema/core/hash.hpp"

namespace rosterd::rbac {
namespace {

constexpr std::size_t kMaxSegments = 16;  // R26

/// A rolling hash: one pass over a.b.c gives the hashes of a, a.b and a.b.c, where a hash of whole texts would read it thrice.
/// Seeded, and every hit is compared with the text, so a collision costs time and never an answer.
constexpr std::uint64_t step(std::uint64_t hash, char c, std::uint64_t factor) { return (hash ^ static_cast<unsigned char>(c)) * factor; }
constexpr std::uint64_t finish(std::uint64_t hash) { return hash ^ (hash >> 32); }

}  // namespace

Namespaces::Namespaces(const std::vector<std::string>& names) : seed_(random_u64()), factor_(random_u64() | 1) {
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
    auto hash = seed_;
    for (const char c : name) hash = step(hash, c, factor_);
    auto slot = finish(hash) & (slots_.size() - 1);
    while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = static_cast<std::uint32_t>(parents_.size() - 1);
  }
}

std::uint32_t Namespaces::find(std::string_view name, std::uint64_t hash) const noexcept {
  for (auto slot = finish(hash) & (slots_.size() - 1); slots_[slot] != 0; slot = (slot + 1) & (slots_.size() - 1))
    if (text(slots_[slot]) == name) return slots_[slot];
  return 0;
}

std::uint32_t Namespaces::resolve(std::string_view ns) const noexcept {
  if (parents_.size() == 1) return 0;
  struct Prefix {
    std::size_t length;
    std::uint64_t hash;
  };
  std::array<Prefix, kMaxSegments> prefixes;
  std::size_t count = 0;
  auto hash = seed_;
  for (std::size_t i = 0; i < ns.size() && count < kMaxSegments; ++i) {
    if (ns[i] == '.') prefixes[count++] = {i, hash};
    hash = step(hash, ns[i], factor_);
  }
  if (count < kMaxSegments) prefixes[count++] = {ns.size(), hash};
  while (count-- > 0)
    if (const auto node = find(ns.substr(0, prefixes[count].length), prefixes[count].hash)) return node;
  return 0;
}

std::size_t Namespaces::bytes() const {
  return texts_.capacity() + (ends_.capacity() + parents_.capacity() + slots_.capacity()) * sizeof(std::uint32_t);
}

}  // namespace rosterd::rbac
