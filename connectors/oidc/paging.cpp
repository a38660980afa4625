#include "connectors/oidc/paging.hpp"

#include "connectors/http/url.hpp"

namespace rosterd::connectors::oidc {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMostPages = 1'000'000;

std::string text_at(const Json& json, std::string_view key) {
  if (!json.is_object()) return {};
  const auto found = json.find(key);
  if (found == json.end()) return {};
  if (found->is_string()) return found->get<std::string>();
  return found->is_number_integer() ? found->dump() : std::string();
}

/// One link-value of RFC 8288 §3: <target>; rel="next"; …
std::string target_if_next(std::string_view value) {
  const auto open = value.find('<'), close = value.find('>');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return {};
  auto parameters = value.substr(close + 1);
  const auto rel = parameters.find("rel=");
  if (rel == std::string_view::npos) return {};
  parameters.remove_prefix(rel + 4);
  if (parameters.starts_with('"')) parameters.remove_prefix(1);
  const bool is_next = parameters.starts_with("next") && (parameters.size() == 4 || parameters.find_first_of("\"; ,") == 4);
  return is_next ? std::string(value.substr(open + 1, close - open - 1)) : std::string();
}

}  // namespace

std::string next_link(const http::Response& response) {
  for (const auto& [name, value] : response.headers) {
    if (name != "link") continue;
    // Values are separated by commas outside <…>: a URL may hold commas.
    std::size_t begin = 0;
    bool inside = false;
    for (std::size_t at = 0; at <= value.size(); ++at) {
      if (at < value.size() && value[at] == '<') inside = true;
      if (at < value.size() && value[at] == '>') inside = false;
      if (at < value.size() && (value[at] != ',' || inside)) continue;
      if (auto target = target_if_next(std::string_view(value).substr(begin, at - begin)); !target.empty()) return target;
      begin = at + 1;
    }
  }
  return {};
}

const Json& Pages::items(const Json& page) const {
  static const Json none = Json::array();
  if (rules_.items.empty()) return page.is_array() ? page : none;
  const auto found = page.find(rules_.items);
  return found != page.end() && found->is_array() ? *found : none;
}

Result<std::optional<Json>> Pages::next() {
  if (over_) return std::nullopt;
  if (first_.empty()) first_ = url_;
  if (!seen_.insert(hash_(url_)).second) return fail(Errc::Unavailable, "the provider's pages go in a circle at page {}", count_ + 1);
  if (++count_ > kMostPages) return fail(Errc::Unavailable, "the provider's pages do not end (more than {})", kMostPages);
  auto answer = api_.get_ok(url_);
  if (!answer) return fail(answer.error());
  const bool is_list = rules_.items.empty() ? answer->json.is_array() : answer->json.is_object();
  if (!is_list) return fail(Errc::Unavailable, "{} answered JSON that is no list", url_);
  if (!rules_.items.empty()) {
    // Absent is an answer that says nothing; an empty list is one that says "none".
    const auto found = answer->json.find(rules_.items);
    if (found == answer->json.end() || !found->is_array())
      return fail(Errc::Unavailable, "{} answered without the list \"{}\"", url_, rules_.items);
  }
  if (auto ok = go_on(*answer); !ok) return fail(ok.error());
  return std::optional(std::move(answer->json));
}

Result<void> Pages::go_on(const Answer& answer) {
  std::string link;
  switch (rules_.next) {
    case NextPage::LinkHeader:
      link = next_link(answer.response);
      break;
    case NextPage::BodyUrl:
      link = text_at(answer.json, rules_.next_key);
      break;
    case NextPage::BodyToken: {
      const auto token = text_at(answer.json, rules_.next_key);
      over_ = token.empty();
      if (!over_) url_ = http::with_query(first_, rules_.parameter, token);
      return {};
    }
    case NextPage::Offset: {
      const auto count = items(answer.json).size();
      over_ = count == 0;  // a short page is no end: providers that filter afterwards send them in the middle
      offset_ += count;
      if (!over_) url_ = http::with_query(first_, rules_.parameter, std::to_string(offset_));
      return {};
    }
  }
  over_ = link.empty();
  if (over_) return {};
  auto url = http::follow(first_, link);
  if (!url) return fail(url.error());
  url_ = std::move(*url);
  return {};
}

}  // namespace rosterd::connectors::oidc
