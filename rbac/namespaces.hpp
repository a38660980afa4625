#pragma once
// The namespaces that bindings name, as nodes of a tree: node 0 is the whole tenant, the others are numbered in the order of their
// texts, so a node's ancestors have smaller numbers. A namespace nobody bound resolves to its nearest ancestor that somebody did (R29).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rbac/text_hash.hpp"

namespace rosterd::rbac {

class Namespaces {
 public:
  Namespaces() : Namespaces(std::vector<std::string>{}) {}
  /// `names` are sorted, without duplicates; names[i] becomes node i + 1.
  explicit Namespaces(const std::vector<std::string>& names);

  /// The nearest node that covers `ns`; 0 when only the tenant does. Never mistakes a.bc for something below a.b (R28).
  [[nodiscard]] std::uint32_t resolve(std::string_view ns) const noexcept;
  /// The node of exactly this namespace; 0 when there is none.
  [[nodiscard]] std::uint32_t exactly(std::string_view ns) const noexcept {
    const auto node = resolve(ns);
    return node != 0 && text(node) == ns ? node : 0;
  }
  [[nodiscard]] std::uint32_t parent(std::uint32_t node) const noexcept { return parents_[node]; }
  [[nodiscard]] bool covers(std::uint32_t ancestor, std::uint32_t node) const noexcept {
    while (node > ancestor) node = parents_[node];
    return node == ancestor;
  }
  [[nodiscard]] std::string_view text(std::uint32_t node) const noexcept {
    return std::string_view(texts_).substr(ends_[node - 1], ends_[node] - ends_[node - 1]);
  }
  [[nodiscard]] std::size_t size() const { return parents_.size(); }  ///< node 0 included
  [[nodiscard]] std::size_t bytes() const;

 private:
  [[nodiscard]] std::uint64_t hash_of(std::string_view name) const noexcept;
  [[nodiscard]] std::uint32_t find(std::string_view name, std::uint64_t hash) const noexcept;

  TextHash hash_;
  std::string texts_;
  std::vector<std::uint32_t> ends_;     ///< by node, in texts_
  std::vector<std::uint32_t> parents_;  ///< by node; of node 0 itself
  std::vector<std::uint32_t> slots_;    ///< open addressing, at most half full; 0 = empty
};

}  // namespace rosterd::rbac
