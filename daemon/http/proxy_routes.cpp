#include "daemon/http/proxy_routes.hpp"

#include <algorithm>
#include <utility>

#include "daemon/http/request.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http {
namespace {

using Captures = std::vector<std::pair<std::string_view, std::string_view>>;

bool is_capture(std::string_view segment) { return segment.size() > 2 && segment.front() == '{' && segment.back() == '}'; }
bool is_rest(std::string_view segment) { return is_capture(segment) && segment.ends_with("...}"); }
std::string_view name_of_capture(std::string_view segment) { return segment.substr(1, segment.size() - 2); }

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> out;
  while (true) {
    const auto from = line.find_first_not_of(' ');
    if (from == std::string_view::npos) return out;
    line.remove_prefix(from);
    const auto end = line.find(' ');
    out.push_back(line.substr(0, end));
    line = end == std::string_view::npos ? std::string_view{} : line.substr(end);
  }
}

std::optional<Captures> fits(const ProxyRoute& route, std::span<const std::string> path) {
  Captures out;
  std::size_t at = 0;
  for (const auto& segment : route.segments) {
    if (is_rest(segment)) return out;
    if (at == path.size()) return std::nullopt;
    if (is_capture(segment))
      out.emplace_back(name_of_capture(segment), path[at]);
    else if (segment != path[at])
      return std::nullopt;
    ++at;
  }
  return at == path.size() ? std::optional(std::move(out)) : std::nullopt;
}

/// The template with every {name} replaced by what was caught.
std::string filled(std::string_view pattern, const Captures& captures) {
  std::string out;
  while (!pattern.empty()) {
    const auto open = pattern.find('{');
    out += pattern.substr(0, open);
    if (open == std::string_view::npos) break;
    const auto close = pattern.find('}', open);
    const auto name = pattern.substr(open + 1, close - open - 1);
    for (const auto& [caught, value] : captures)
      if (caught == name) out += value;
    pattern = pattern.substr(close + 1);
  }
  return out;
}

constexpr std::string_view kEverybody = "*";

/// "[acme] fail_as=403 ask=forwarded": the tenant's set, begun.
Result<std::pair<std::string, ProxyRouteSet>> parse_head(std::string_view line) {
  const auto wrong = [&](std::string_view why) {
    return fail(Errc::InvalidInput, "'{}' {}; write \"[TENANT] ask=forwarded|headers fail_as=403 remove=credentials\", or * for the tenant",
                line, why);
  };
  const auto words = words_of(line);
  auto tenant = words.front();
  if (!tenant.ends_with(']')) return wrong("has no bracket behind its tenant");
  tenant = tenant.substr(1, tenant.size() - 2);
  if (tenant != kEverybody && !is_slug(tenant)) return wrong("names what can be no tenant");
  std::pair<std::string, ProxyRouteSet> out{std::string(tenant), {}};
  for (const auto& word : std::span(words).subspan(1)) {
    if (word == "ask=forwarded")
      out.second.asks = ProxyAsks::InForwarded;
    else if (word == "ask=headers")
      out.second.asks = ProxyAsks::InHeaders;
    else if (word == "fail_as=403")
      out.second.faults_are_denials = true;
    else if (word == "remove=credentials")
      out.second.names_consumed = true;
    else
      return wrong(fmt::format("has an unknown option {}", word));
  }
  return out;
}

}  // namespace

Result<ProxyRouteSets> parse_proxy_routes(std::span<const std::string> lines) {
  ProxyRouteSets out;
  std::string tenant(kEverybody);
  for (const auto& line : lines) {
    if (line.starts_with('[')) {
      auto head = parse_head(line);
      if (!head) return fail(head.error());
      tenant = head->first;
      if (!out.emplace(std::move(*head)).second) return fail(Errc::InvalidInput, "'{}': its tenant has routes above already", line);
      continue;
    }
    auto route = parse_proxy_route(line);
    if (!route) return fail(route.error());
    out[tenant].routes.push_back(std::move(*route));
  }
  for (const auto& [name, set] : out)
    if (set.routes.empty() != (set.asks == ProxyAsks::InHeaders))
      return fail(Errc::InvalidInput, "[{}] {}", name,
                  set.routes.empty() ? "has no routes; write some below it, or ask=headers behind it"
                                     : "has routes that ask=headers would never look at; take one of the two out");
  return out;
}

const ProxyRouteSet& routes_for(const ProxyRouteSets& sets, std::string_view tenant) {
  static const ProxyRouteSet by_headers{.asks = ProxyAsks::InHeaders, .routes = {}};
  static const ProxyRouteSet nothing{};
  if (sets.empty()) return by_headers;
  auto found = sets.find(tenant);
  if (found == sets.end()) found = sets.find(kEverybody);
  return found == sets.end() ? nothing : found->second;
}

Result<ProxyRoute> parse_proxy_route(std::string_view line) {
  const auto wrong = [&](std::string_view why) {
    return fail(Errc::InvalidInput, "'{}' {}; write \"METHOD /path/{{ns}}/{{rest...}} PERMISSION ACTION {{ns}}\"", line, why);
  };
  const auto words = words_of(line);
  if (words.size() < 4 || words.size() > 5) return wrong("is no route");
  ProxyRoute out{
      .method = std::string(words[0]), .segments = {}, .permission = std::string(words[2]), .action = std::string(words[3]), .ns = {}};
  if (out.method != "*" && out.method.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") != std::string::npos)
    return wrong("begins with neither a method in capitals nor *");
  auto path = words[1];
  if (!path.starts_with('/')) return wrong("has a path that does not begin with a slash");
  path.remove_prefix(1);
  while (!path.empty()) {
    const auto slash = path.find('/');
    const auto segment = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
    const bool braces = segment.find_first_of("{}") != std::string_view::npos;
    if (segment.empty() || segment == "." || segment == ".." || (braces && !is_capture(segment)) ||
        segment.find('%') != std::string_view::npos)
      return wrong("has a path segment that is neither plain text nor one {name}");
    if (is_rest(segment) && !path.empty()) return wrong("has a {rest...} that is not the last segment");
    out.segments.emplace_back(segment);
  }
  if (words.size() == 4) return out;
  out.ns = words[4];
  Captures caught;  // each filled with a namespace, to see that the template can make one
  for (const auto& segment : out.segments)
    if (is_capture(segment) && !is_rest(segment)) caught.emplace_back(name_of_capture(segment), "a");
  for (auto rest = std::string_view(out.ns); rest.find_first_of("{}") != std::string_view::npos;) {
    const auto open = rest.find('{');
    const auto close = rest.find('}');
    if (open == std::string_view::npos || close == std::string_view::npos || close < open)
      return wrong("has a namespace with a lonely brace");
    const auto name = rest.substr(open + 1, close - open - 1);
    if (std::none_of(caught.begin(), caught.end(), [&](const auto& one) { return one.first == name; }))
      return wrong("has a namespace with a name that its path does not catch");
    rest = rest.substr(close + 1);
  }
  if (!is_namespace(filled(out.ns, caught))) return wrong("ends with what can be no namespace");
  return out;
}

std::optional<ProxyQuestion> proxy_question(std::span<const ProxyRoute> routes, std::string_view method, std::string_view path) {
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const auto target = parse_target(path.empty() ? "/" : path);
  if (!target) return std::nullopt;
  // "a%2Fb" is one segment here and two for many a server behind the proxy.
  for (const auto& segment : target->segments)
    if (segment.find_first_of("/\\") != std::string::npos) return std::nullopt;
  for (const auto& route : routes) {
    if (route.method != "*" && route.method != method) continue;
    const auto captures = fits(route, target->segments);
    if (!captures) continue;
    ProxyQuestion out{.permission = route.permission, .action = route.action, .ns = {}};
    if (route.ns.empty()) return out;
    auto ns = filled(route.ns, *captures);
    if (!is_namespace(ns)) return std::nullopt;
    out.ns = std::move(ns);
    return out;
  }
  return std::nullopt;
}

}  // namespace rosterd::http
