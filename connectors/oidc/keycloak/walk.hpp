#pragma once
// All items of one list of Keycloak's admin REST API, each once. It is paged by offset (first, max) in a fixed order and keeps no state:
//
//   somebody leaves before the offset   the list moves up and one would be missed: the last item of a page is asked for again with the next
//                                       one; a page that does not begin with an item that was seen is asked for from further back
//   somebody comes before the offset    the list moves down and items come twice: dropped. Whoever came is found by the next read
//   a short page in the middle          realms on a user storage send them, where it no longer knows somebody: only nothing more is the
//   end,
//                                       and not even that while fewer were seen than the realm counts
//   the same page again and again       an error: the server does not page
//
// What is still missed (a rename from behind the offset to before it) is found when the engine asks for it by id.

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <unordered_map>

#include "connectors/oidc/api.hpp"
#include "schema/core/hash.hpp"

namespace rosterd::connectors::oidc::keycloak {

class Walk {
 public:
  /// `url` with every parameter but first and max.
  Walk(Api& api, std::string url, std::uint32_t page_size) : api_(api), url_(std::move(url)), page_size_(std::max(page_size, 2u)) {}

  using Use = std::function<Result<void>(const nlohmann::json& item)>;
  /// Calls `use` for every item that has an id and was not there before; its error ends the walk. `counted`: how many there should be at
  /// least, where that is known. An error of the walk itself says that it broke off. Another run() walks again, for what was missed.
  [[nodiscard]] Result<void> run(const Use& use, std::optional<std::uint64_t> counted = std::nullopt);

  [[nodiscard]] std::uint64_t seen() const { return seen_; }    ///< in the last run
  [[nodiscard]] std::uint64_t fresh() const { return fresh_; }  ///< those of them that no run before had seen
  [[nodiscard]] std::uint64_t without_id() const { return without_id_; }
  [[nodiscard]] bool knows(std::string_view id) const { return items_.contains(hash_(id)); }

 private:
  struct Hasher {
    std::size_t operator()(const Hash128& hash) const { return hash.low; }
  };
  [[nodiscard]] Result<nlohmann::json> page(std::uint64_t first) const;
  [[nodiscard]] bool seen_now(const nlohmann::json& item) const;
  [[nodiscard]] Result<std::uint64_t> deliver(const nlohmann::json& page, const Use& use);

  Api& api_;
  std::string url_;
  std::uint32_t page_size_;
  std::unordered_map<Hash128, std::uint32_t, Hasher> items_;  // the last run that saw it
  KeyedHash hash_;
  std::uint32_t run_ = 0;
  std::uint64_t seen_ = 0, fresh_ = 0, without_id_ = 0;
};

}  // namespace rosterd::connectors::oidc::keycloak
