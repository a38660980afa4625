#pragma once
// Random tenants, drawn so that the hard cases are common: few names (so keys collide), few namespaces with near-equal beginnings, many
// loops, roles of more than 64 pairs, expiries close to the instants asked about.

#include "tests/rbac/reference.hpp"

namespace rosterd::rbac {

inline const std::vector<std::string> kNamespaces{"a", "a.b", "a.bc", "a.b.c", "a.b-c", "ab", "a.b.c.d", "b", "b.a", "a0.b", "c.a.b"};

struct Dice {
  std::mt19937 random;
  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); }
  bool chance(int percent) { return below(100) < static_cast<std::size_t>(percent); }
  template <class T>
  const T& one_of(const std::vector<T>& from) {
    return from[below(from.size())];
  }
};

/// A question with the texts its views point to.
struct RandomQuestion {
  std::string key, ns;
  Question q;
  RandomQuestion() = default;
  RandomQuestion(const RandomQuestion&) = delete;
  RandomQuestion& operator=(const RandomQuestion&) = delete;
};

[[nodiscard]] WorldRole random_role(Dice& dice, const Catalogue& catalogue, std::uint64_t id);
[[nodiscard]] World random_world(Dice& dice, const Catalogue& catalogue);
void draw(Dice& dice, const World& world, const Catalogue& catalogue, RandomQuestion& out);
/// An instant between, at and around the expiries of random_world.
[[nodiscard]] inline TimePoint random_instant(Dice& dice) { return at(93 + static_cast<std::int64_t>(dice.below(14))); }
[[nodiscard]] std::vector<Principal> principals(const World& world);
[[nodiscard]] std::string shown(const Question& q);

}  // namespace rosterd::rbac
