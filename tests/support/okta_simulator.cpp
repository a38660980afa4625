#include "tests/support/okta_simulator.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace rosterd::test {
namespace {

using nlohmann::json;

HttpSaid okta_error(int status, const std::string& code, const std::string& summary) {
  return json_answer(
      json{{"errorCode", code}, {"errorSummary", summary}, {"errorLink", code}, {"errorId", "oae0"}, {"errorCauses", json::array()}}.dump(),
      status);
}

std::string stamp(std::int64_t at) { return fmt::format("{:%Y-%m-%dT%H:%M:%S}.000Z", fmt::gmtime(static_cast<std::time_t>(at))); }

/// Okta's filter language as far as it is needed: comparisons, "and" before "or", brackets. Anything else throws.
class Filter {
 public:
  Filter(const std::string& text, const json& object) : text_(text), object_(object) {}
  bool holds() {
    const bool out = any();
    skip();
    if (at_ != text_.size()) throw std::invalid_argument("Invalid filter syntax");
    return out;
  }

 private:
  bool any() {
    bool out = all();
    while (word("or")) out = all() || out;
    return out;
  }
  bool all() {
    bool out = one();
    while (word("and")) out = one() && out;
    return out;
  }
  bool one() {
    skip();
    if (at_ < text_.size() && text_[at_] == '(') {
      ++at_;
      const bool out = any();
      skip();
      if (at_ >= text_.size() || text_[at_] != ')') throw std::invalid_argument("missing )");
      ++at_;
      return out;
    }
    const auto name = token();
    const auto verb = token();
    skip();
    if (at_ >= text_.size() || text_[at_] != '"') throw std::invalid_argument("missing value");
    const auto end = text_.find('"', at_ + 1);
    const auto value = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    const auto path =
        name.starts_with("profile.") ? std::pair(object_.value("profile", json::object()), name.substr(8)) : std::pair(object_, name);
    const auto held = path.first.value(path.second, "");
    if (verb == "eq") return held == value;
    if (verb == "gt") return held > value;
    if (verb == "lt") return held < value;
    throw std::invalid_argument("unsupported operator " + verb);
  }
  std::string token() {
    skip();
    const auto end = std::min(text_.find_first_of(" ()\"", at_), text_.size());
    auto out = text_.substr(at_, end - at_);
    at_ = end;
    if (out.empty()) throw std::invalid_argument("Invalid filter syntax");
    return out;
  }
  bool word(const std::string& expected) {
    skip();
    if (text_.compare(at_, expected.size() + 1, expected + " ") != 0) return false;
    at_ += expected.size();
    return true;
  }
  void skip() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }

  const std::string& text_;
  const json& object_;
  std::size_t at_ = 0;
};

std::string form_value(const std::string& body, const std::string& name) {
  for (std::size_t at = 0; at < body.size();) {
    const auto end = std::min(body.find('&', at), body.size());
    const auto pair = body.substr(at, end - at);
    if (pair.starts_with(name + "=")) return pair.substr(name.size() + 1);
    at = end + 1;
  }
  return {};
}

std::string base64url(const std::string& text) {
  static const std::string kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  unsigned bits = 0, held = 0;
  for (const char c : text) {
    const auto value = kAlphabet.find(c);
    if (value == std::string::npos) return {};
    held = held << 6 | static_cast<unsigned>(value);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out += static_cast<char>(held >> bits & 0xff);
  }
  return out;
}

}  // namespace

OktaSimulator::OktaSimulator() : server_([this](const HttpAsked& asked) { return answer(asked); }) {}

json OktaSimulator::settings() const { return {{"issuer", url()}, {"dialect", "okta"}, {"token", {{"value", kStatic}}}}; }

std::int64_t OktaSimulator::now() const {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count() + ahead_;
}

void OktaSimulator::user(const std::string& name, const std::string& status) {
  const std::lock_guard lock(mutex_);
  users_[id(name)] = {
      .login = name + "@acme.example", .first = name, .email = name + "@mail.acme.example", .status = status, .updated = now()};
}

void OktaSimulator::change_user(const std::string& name, const std::function<void(OktaUser&)>& change) {
  const std::lock_guard lock(mutex_);
  auto& user = users_.at(id(name));
  change(user);
  user.updated = now();
}

void OktaSimulator::delete_user(const std::string& name) {
  const std::lock_guard lock(mutex_);
  users_.erase(id(name));
  for (auto& [group, value] : groups_)
    if (value.members.erase(id(name)) > 0) value.members_updated = now();
}

void OktaSimulator::group(const std::string& name, const std::set<std::string>& members) {
  const std::lock_guard lock(mutex_);
  OktaGroup group{.name = name, .description = "about " + name, .members = {}, .updated = now(), .members_updated = now()};
  for (const auto& member : members) group.members.insert(id(member));
  groups_[id(name)] = std::move(group);
}

void OktaSimulator::change_group(const std::string& name, const std::function<void(OktaGroup&)>& change) {
  const std::lock_guard lock(mutex_);
  change(groups_.at(id(name)));
  groups_.at(id(name)).updated = now();
}

void OktaSimulator::delete_group(const std::string& name) {
  const std::lock_guard lock(mutex_);
  groups_.erase(id(name));
}

void OktaSimulator::add_member(const std::string& group, const std::string& member) {
  const std::lock_guard lock(mutex_);
  groups_.at(id(group)).members.insert(id(member));
  groups_.at(id(group)).members_updated = now();
}

void OktaSimulator::remove_member(const std::string& group, const std::string& member) {
  const std::lock_guard lock(mutex_);
  groups_.at(id(group)).members.erase(id(member));
  groups_.at(id(group)).members_updated = now();
}

void OktaSimulator::advance(std::chrono::seconds by) {
  const std::lock_guard lock(mutex_);
  ahead_ += by.count();
}

void OktaSimulator::with(const std::function<void(OktaSwitches&)>& change) {
  const std::lock_guard lock(mutex_);
  change(switches_);
}

void OktaSimulator::intercept(std::function<std::optional<HttpSaid>(const HttpAsked&)> first) {
  const std::lock_guard lock(mutex_);
  first_ = std::move(first);
}

void OktaSimulator::revoke_tokens() {
  const std::lock_guard lock(mutex_);
  tokens_.clear();
}

std::vector<std::string> OktaSimulator::asked() const {
  const std::lock_guard lock(mutex_);
  return asked_;
}

void OktaSimulator::forget() {
  const std::lock_guard lock(mutex_);
  asked_.clear();
}

std::vector<json> OktaSimulator::assertions() const {
  const std::lock_guard lock(mutex_);
  return assertions_;
}

HttpSaid OktaSimulator::answer(const HttpAsked& asked) {
  const std::lock_guard lock(mutex_);
  asked_.push_back(asked.target);
  if (first_)
    if (auto said = first_(asked)) return std::move(*said);
  if (asked.path == "/.well-known/openid-configuration")
    return json_answer(json{{"issuer", url()},
                            {"token_endpoint", url() + "/oauth2/v1/token"},
                            {"authorization_endpoint", url() + "/oauth2/v1/authorize"},
                            {"jwks_uri", url() + "/oauth2/v1/keys"}}
                           .dump());
  if (asked.path == "/oauth2/v1/token" && asked.method == "POST") return token(asked);
  if (!asked.path.starts_with("/api/v1/")) return okta_error(404, "E0000022", "The endpoint does not support the provided HTTP method");
  const auto found = asked.headers.find("authorization");
  const auto authorization = found == asked.headers.end() ? std::string() : found->second;
  const bool is_static = authorization == std::string("SSWS ") + kStatic;
  if (!is_static && !(authorization.starts_with("Bearer ") && tokens_.contains(authorization.substr(7))))
    return okta_error(401, "E0000011", "Invalid token provided");

  HttpSaid said;
  if (switches_.concurrency_429 > 0) {
    // Too many at once: the same headers, with an estimate in place of a reset.
    --switches_.concurrency_429;
    said = okta_error(429, "E0000047", "API call exceeded rate limit due to too many concurrent requests.");
    said.headers.insert(said.headers.end(),
                        {{"X-Rate-Limit-Limit", "0"}, {"X-Rate-Limit-Remaining", "0"}, {"X-Rate-Limit-Reset", std::to_string(now() + 1)}});
  } else if (switches_.remaining && *switches_.remaining == 0 && now() < reset_at_) {
    said = okta_error(429, "E0000047", "API call exceeded rate limit due to too many requests.");
    said.headers.insert(
        said.headers.end(),
        {{"X-Rate-Limit-Limit", "600"}, {"X-Rate-Limit-Remaining", "0"}, {"X-Rate-Limit-Reset", std::to_string(reset_at_)}});
  } else {
    if (switches_.remaining) {
      if (*switches_.remaining == 0) switches_.remaining = 5;
      if (--*switches_.remaining == 0) reset_at_ = now() + switches_.reset_in;
    }
    said = api(asked, asked.path.substr(8));
    said.headers.emplace_back("X-Rate-Limit-Limit", "600");
    said.headers.emplace_back("X-Rate-Limit-Remaining", std::to_string(switches_.remaining.value_or(599)));
    said.headers.emplace_back("X-Rate-Limit-Reset", std::to_string(std::max(reset_at_, now())));
  }
  said.headers.emplace_back("Date", fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(static_cast<std::time_t>(now()))));
  return said;
}

HttpSaid OktaSimulator::token(const HttpAsked& asked) {
  const auto refuse = [](const std::string& error, const std::string& text) {
    return json_answer(json{{"error", error}, {"error_description", text}}.dump(), error == "invalid_client" ? 401 : 400);
  };
  const auto assertion = form_value(asked.body, "client_assertion");
  if (assertion.empty())
    return refuse("invalid_client",
                  "Client Credentials requests to the Org Authorization Server must use the private_key_jwt token_endpoint_auth_method.");
  const auto first = assertion.find('.'), second = assertion.rfind('.');
  const auto claims = json::parse(base64url(assertion.substr(first + 1, second - first - 1)), nullptr, false);
  if (!claims.is_object()) return refuse("invalid_client", "The client_assertion is no JWT.");
  assertions_.push_back(claims);
  if (claims.value("aud", "") != url() + "/oauth2/v1/token")
    return refuse("invalid_client", "The audience claim for client_assertion must be the endpoint invoked for the request.");
  if (claims.value("iss", "") != kClient || claims.value("sub", "") != kClient)
    return refuse("invalid_client", "The issuer and subject must be the client id.");
  const auto used = std::count_if(assertions_.begin(), assertions_.end(),
                                  [&](const json& one) { return one.value("jti", "") == claims.value("jti", ""); });
  if (used > 1) return refuse("invalid_client", "The client_assertion token has already been used.");
  const auto scope = form_value(asked.body, "scope");
  for (const auto* needed : {"okta.users.read", "okta.groups.read"})
    if (scope.find(needed) != std::string::npos && !switches_.scopes.contains(needed))
      return refuse("consent_required", "You are not allowed any of the requested scopes.");
  const auto value = fmt::format("token-{}", ++given_);
  tokens_.insert(value);
  return json_answer(
      json{{"token_type", "Bearer"}, {"expires_in", 3600}, {"access_token", value}, {"scope", "okta.users.read okta.groups.read"}}.dump());
}

json OktaSimulator::shown(const std::string& id, const OktaUser& user) {
  return {{"id", id},
          {"status", user.status},
          {"created", stamp(0)},
          {"lastUpdated", stamp(user.updated)},
          {"profile",
           {{"login", user.login},
            {"email", user.email ? json(*user.email) : json()},
            {"firstName", user.first},
            {"lastName", user.last},
            {"mobilePhone", nullptr}}},
          {"credentials", {{"provider", {{"type", "OKTA"}, {"name", "OKTA"}}}}}};
}

json OktaSimulator::shown(const std::string& id, const OktaGroup& group) {
  return {{"id", id},
          {"created", stamp(0)},
          {"lastUpdated", stamp(group.updated)},
          {"lastMembershipUpdated", stamp(group.members_updated)},
          {"objectClass", {"okta:user_group"}},
          {"type", group.type},
          {"profile", {{"name", group.name}, {"description", group.description}}}};
}

HttpSaid OktaSimulator::api(const HttpAsked& asked, const std::string& path) {
  const bool is_users = path == "users" || path.starts_with("users/");
  if (!switches_.scopes.contains(is_users ? "okta.users.read" : "okta.groups.read"))
    return okta_error(403, "E0000006", "You do not have permission to perform the requested action");
  const auto filter = asked.parameter("filter");
  const auto missing = [&](const std::string& what) {
    return okta_error(404, "E0000007", fmt::format("Not found: Resource not found: {}", what));
  };
  try {
    std::vector<json> all;
    if (path == "users") {
      const bool by_time = filter.find("lastUpdated") != std::string::npos && filter.find("status eq") == std::string::npos;
      for (const auto& [id, user] : users_) {
        if (user.status == "DEPROVISIONED" && (filter.empty() || (by_time && switches_.time_omits_deprovisioned))) continue;
        auto object = shown(id, user);
        if (filter.empty() || Filter(filter, object).holds()) all.push_back(std::move(object));
      }
      return page_of(asked, all);
    }
    if (path == "groups") {
      for (const auto& [id, group] : groups_) {
        auto object = shown(id, group);
        if (filter.empty() || Filter(filter, object).holds()) all.push_back(std::move(object));
      }
      return page_of(asked, all);
    }
    const auto rest = path.substr(path.find('/') + 1);
    if (is_users) {
      for (const auto& [id, user] : users_)
        if (rest == id || rest == user.login) return json_answer(shown(id, user).dump());
      return missing(rest + " (User)");
    }
    const auto group = groups_.find(rest.substr(0, rest.find('/')));
    if (group == groups_.end()) return missing(rest + " (UserGroup)");
    if (rest.find('/') == std::string::npos) return json_answer(shown(group->first, group->second).dump());
    for (const auto& member : group->second.members)
      if (const auto found = users_.find(member); found != users_.end()) all.push_back(shown(found->first, found->second));
    return page_of(asked, all);
  } catch (const std::invalid_argument& error) {
    return okta_error(400, "E0000031", fmt::format("Invalid search criteria: {}", error.what()));
  }
}

HttpSaid OktaSimulator::page_of(const HttpAsked& asked, const std::vector<json>& all) const {
  const auto limit = asked.parameter("limit");
  const auto size = std::min(switches_.page, limit.empty() ? switches_.page : std::stoul(limit));
  const auto after = asked.parameter("after");
  std::size_t from = 0;
  while (!after.empty() && from < all.size() && all[from].at("id").get<std::string>() <= after) ++from;
  json out = json::array();
  if (switches_.repeats && from > 0) out.push_back(all[from - 1]);
  const auto end = std::min(all.size(), from + size);
  for (auto at = from; at < end; ++at) out.push_back(all[at]);
  auto said = json_answer(out.dump());
  auto base = asked.target.substr(0, asked.target.find("&after="));
  const auto self = fmt::format("<{}{}>; rel=\"self\"", url(), asked.target);
  const auto next = end < all.size()
                        ? fmt::format("<{}{}{}after={}>; rel=\"next\"", switches_.next_to.value_or(url()), base,
                                      base.find('?') == std::string::npos ? '?' : '&', all[end - 1].at("id").get<std::string>())
                        : std::string();
  if (next.empty()) {
    said.headers.emplace_back("Link", self);
  } else if (switches_.one_header) {
    said.headers.emplace_back("Link", self + ", " + next);
  } else {
    said.headers.emplace_back("Link", switches_.self_first ? self : next);
    said.headers.emplace_back("Link", switches_.self_first ? next : self);
  }
  return said;
}

}  // namespace rosterd::test
