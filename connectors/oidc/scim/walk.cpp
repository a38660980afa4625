#include "connectors/oidc/scim/walk.hpp"

#include <charconv>

#include "connectors/http/url.hpp"
#include "connectors/oidc/scim/resources.hpp"

namespace rosterd::connectors::oidc::scim {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMostPages = 1'000'000;
constexpr int kMostWalks = 4;  // of a list that moves all the time

std::string short_name(const std::string& endpoint) { return endpoint.substr(endpoint.rfind('/') + 1); }

}  // namespace

std::string_view name_of(Way way) {
  switch (way) {
    case Way::Cursor:
      return "cursor";
    case Way::Keyset:
      return "keyset";
    case Way::Index:
      return "index";
    case Way::Unknown:
      break;
  }
  return "";
}

Way parse_way(std::string_view name) {
  for (const auto way : {Way::Cursor, Way::Keyset, Way::Index})
    if (name_of(way) == name) return way;
  return Way::Unknown;
}

std::optional<std::uint64_t> total_of(const Json& list) {
  const auto text = text_of(attribute(list, "totalResults"));
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return out;
}

const Json* resources_of(const Json& list) {
  const Json* const found = attribute(list, "Resources");
  return found != nullptr && found->is_array() ? found : nullptr;
}

std::string Walk::url() const {
  auto out = http::with_query(options_.endpoint, "count", std::to_string(options_.page_size));
  if (!options_.attributes.empty()) out = http::with_query(std::move(out), "attributes", options_.attributes);
  return out;
}

std::string Walk::filtered(std::string_view more) const {
  const auto& own = options_.filter;
  if (own.empty() && more.empty()) return url();
  const auto both = own.empty() ? std::string(more) : more.empty() ? own : fmt::format("({}) and {}", own, more);
  return http::with_query(url(), "filter", both);
}

Result<Walk::Page> Walk::page(const std::string& where) {
  auto answer = api_.get_ok(where);
  if (!answer) return fail(answer.error());
  if (!started_) started_ = http::parse_http_date(answer->response.header("date"));
  Page out;
  out.json = std::move(answer->json);
  out.resources = resources_of(out.json);
  out.total = total_of(out.json);
  if (!out.json.is_object() || (out.resources == nullptr && out.total != 0))
    return fail(Errc::Unavailable, "{} answered no list of resources; does api_url lead to the SCIM API?", options_.endpoint);
  static const Json none = Json::array();
  if (out.resources == nullptr) out.resources = &none;  // RFC 7644 §3.4.2: may be left out of an empty answer
  out.next_cursor = text_of(attribute(out.json, "nextCursor"));
  return out;
}

Result<void> Walk::deliver(const Page& page, const Use& use) {
  for (const auto& resource : *page.resources) {
    const auto id = id_of(resource);
    if (id.empty()) {
      ++without_id_;
      continue;
    }
    if (!seen_.insert(hash_(id)).second) continue;
    if (auto ok = use(resource); !ok) return ok;
  }
  return {};
}

Result<void> Walk::run(const Use& use) {
  const auto name = short_name(options_.endpoint);
  evidence_ = {.what = fmt::format("{}: every page was followed", name), .good = true, .detail = {}};
  if (options_.way == Way::Unknown && options_.may_cursor) options_.way = Way::Cursor;
  if (options_.way == Way::Cursor) {
    if (auto ok = by_cursor(use); !ok) return ok;
  } else {
    bool done = false;
    if (options_.way != Way::Index) {
      const auto keyset = by_keyset(use);
      if (!keyset) return fail(keyset.error());
      done = *keyset;
      options_.way = done ? Way::Keyset : Way::Index;
    }
    if (!done)
      if (auto ok = by_index(use); !ok) return ok;
  }
  if (evidence_.good && without_id_ > 0)
    evidence_ = {
        .what = fmt::format("{}: every resource has an id", name), .good = false, .detail = fmt::format("{} have none", without_id_)};
  return {};
}

Result<void> Walk::by_cursor(const Use& use) {
  for (int walks = 1;; ++walks) {
    std::set<Hash128> cursors;
    std::string cursor;
    bool expired = false;
    for (std::uint64_t count = 0;; ++count) {
      if (count >= kMostPages || !cursors.insert(hash_(cursor)).second)
        return fail(Errc::Unavailable, "{}: the provider's cursors go in a circle", options_.endpoint);
      auto answer = page(http::with_query(filtered({}), "cursor", cursor));
      // RFC 9865 §2.1: expiredCursor, invalidCursor. Some servers let a cursor grow old quickly: the walk begins again.
      if (!answer && answer.error().code == Errc::InvalidInput && count > 0 && walks < kMostWalks) {
        expired = true;
        break;
      }
      if (!answer) return fail(answer.error());
      if (auto ok = deliver(*answer, use); !ok) return ok;
      if (answer->next_cursor.empty()) break;
      cursor = answer->next_cursor;
    }
    if (!expired) return {};
  }
}

bool Walk::ascends(const Page& page, std::string& last) const {
  for (const auto& resource : *page.resources) {
    auto id = id_of(resource);
    if (id.empty() || (!last.empty() && id <= last)) return false;
    last = std::move(id);
  }
  return true;
}

Result<bool> Walk::by_keyset(const Use& use) {
  const auto sorted = [&](std::string_view more) { return http::with_query(filtered(more), "sortBy", "id"); };
  std::string last;
  auto first = page(sorted({}));
  if (!first && first.error().code != Errc::InvalidInput) return fail(first.error());
  if (!first) return false;  // it does not sort
  const auto total = first->total;
  if (!ascends(*first, last) || (first->resources->empty() && total != 0)) return false;
  if (total && first->resources->size() >= *total) {  // one page holds them all: nothing to prove
    if (auto ok = deliver(*first, use); !ok) return fail(ok.error());
    return true;
  }
  // A server that ignores what it does not know would answer this with somebody.
  const auto nobody = page(sorted(fmt::format("id gt {}", filter_text("\xf4\x8f\xbf\xbd"))));
  if (!nobody && nobody.error().code != Errc::InvalidInput) return fail(nobody.error());
  if (!nobody || !nobody->resources->empty()) return false;
  auto current = std::move(*first);
  while (!current.resources->empty()) {
    if (auto ok = deliver(current, use); !ok) return fail(ok.error());
    auto next = page(sorted(fmt::format("id gt {}", filter_text(last))));
    if (!next && next.error().code != Errc::InvalidInput) return fail(next.error());
    if (!next || !ascends(*next, last)) return false;
    current = std::move(*next);
  }
  // Others may have come and gone meanwhile: more than a few missing means that filter or order are not what they seem.
  if (total && seen_.size() + without_id_ + 100 + *total / 50 < *total) return false;
  return true;
}

Result<bool> Walk::index_once(const Use& use) {
  std::uint64_t start = 1;
  std::string last;
  bool still = true;
  for (std::uint64_t count = 0; count < kMostPages; ++count) {
    const auto answer = page(http::with_query(filtered({}), "startIndex", std::to_string(start)));
    if (!answer) return fail(answer.error());
    total_ = answer->total;
    const auto size = answer->resources->size();
    const bool overlaps = !last.empty();
    if (overlaps && (size == 0 || id_of(answer->resources->front()) != last)) still = false;
    const auto known = seen_.size();
    if (auto ok = deliver(*answer, use); !ok) return fail(ok.error());
    if (size == 0 || (overlaps && size == 1)) return still;  // a short page is no end, an empty one is
    const auto end = start + size - 1;                       // the index of its last
    if (const auto& total = answer->total; total && end >= *total) return still;
    if (overlaps && seen_.size() == known && !answer->total)
      return fail(Errc::Unavailable, "{}: the provider repeats its pages", options_.endpoint);
    last = id_of(answer->resources->back());
    start = last.empty() ? end + 1 : end;
  }
  return fail(Errc::Unavailable, "{}: the provider's pages do not end", options_.endpoint);
}

Result<void> Walk::by_index(const Use& use) {
  bool still = false;
  for (int walks = 0; !still && walks < kMostWalks; ++walks) {
    const auto once = index_once(use);
    if (!once) return fail(once.error());
    still = *once && (!total_ || seen_.size() + without_id_ >= *total_);
  }
  if (!still)
    evidence_ = {
        .what = fmt::format("{}: all were seen", short_name(options_.endpoint)),
        .good = false,
        .detail = fmt::format("the list moved in every one of {} walks: {} of {} seen", kMostWalks, seen_.size(), total_.value_or(0))};
  return {};
}

}  // namespace rosterd::connectors::oidc::scim
