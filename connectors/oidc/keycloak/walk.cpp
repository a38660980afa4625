#include "connectors/oidc/keycloak/walk.hpp"

#include "connectors/http/url.hpp"
#include "connectors/oidc/keycloak/records.hpp"

namespace rosterd::connectors::oidc::keycloak {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMostPages = 10'000'000;
constexpr int kMostStalePages = 8;  // in a row, full of what was seen before

}  // namespace

Result<Json> Walk::page(std::uint64_t first) const {
  const auto url = http::with_query(http::with_query(url_, "first", std::to_string(first)), "max", std::to_string(page_size_));
  auto answer = api_.get_ok(url);
  if (!answer) return fail(answer.error());
  if (!answer->json.is_array()) return fail(Errc::Unavailable, "{} answered JSON that is no list", url);
  return std::move(answer->json);
}

bool Walk::seen_now(const Json& item) const {
  const auto found = items_.find(hash_(id_of(item)));
  return found != items_.end() && found->second == run_;
}

/// Gives the number of items that this run had not seen yet.
Result<std::uint64_t> Walk::deliver(const Json& page, const Use& use) {
  std::uint64_t news = 0;
  for (const auto& item : page) {
    const auto id = id_of(item);
    if (id.empty()) {
      ++without_id_;
      continue;
    }
    const auto [at, fresh] = items_.try_emplace(hash_(id), run_);
    if (!fresh && at->second == run_) continue;
    at->second = run_;
    ++seen_;
    ++news;
    if (!fresh) continue;
    ++fresh_;
    if (auto ok = use(item); !ok) return fail(ok.error());
  }
  return news;
}

Result<void> Walk::run(const Use& use, std::optional<std::uint64_t> counted) {
  ++run_;
  seen_ = fresh_ = without_id_ = 0;
  std::uint64_t first = 0, back = page_size_;
  bool overlaps = false;  // the page should begin with an item that was seen
  int stale = 0;
  for (std::uint64_t count = 0; count < kMostPages; ++count) {
    const auto page = this->page(first);
    if (!page) return fail(page.error());
    const auto size = page->size();
    if (overlaps && (size == 0 || !seen_now(page->front()))) {
      overlaps = first > back;  // the list has moved up
      first = overlaps ? first - back : 0;
      back *= 2;
      continue;
    }
    const auto news = deliver(*page, use);
    if (!news) return fail(news.error());
    if (size <= 1 && *news == 0) {
      if (!counted || seen_ + without_id_ >= *counted || first + page_size_ >= *counted) return {};
      first += page_size_;  // nobody of this page is known to the user storage any more; others may follow
      overlaps = false;
      continue;
    }
    stale = *news == 0 ? stale + 1 : 0;
    if (stale > kMostStalePages) return fail(Errc::Unavailable, "{}: the provider repeats its pages", url_);
    if (*news > 0) back = page_size_;
    overlaps = size > 1;
    first += overlaps ? size - 1 : 1;
  }
  return fail(Errc::Unavailable, "{}: the provider's pages do not end", url_);
}

}  // namespace rosterd::connectors::oidc::keycloak
