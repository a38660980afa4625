#include "daemon/http/router.hpp"

namespace rosterd::http {

void Router::add(std::string_view method, std::string_view path, int route) {
  auto* node = &root_;
  path.remove_prefix(1);
  while (!path.empty()) {
    const auto slash = path.find('/');
    const auto segment = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
    auto& next = segment.starts_with('{') ? node->any : node->literal[segment];
    if (!next) next = std::make_unique<Node>();
    if (segment.starts_with('{')) next->name = segment.substr(1, segment.size() - 2);
    node = next.get();
  }
  node->methods[method] = route;
}

Router::Match Router::find(std::string_view method, std::span<const std::string> segments) const {
  Match match;
  const auto* node = &root_;
  for (const auto& segment : segments) {
    if (const auto found = node->literal.find(segment); found != node->literal.end()) {
      node = found->second.get();
    } else if (node->any) {
      node = node->any.get();
      match.params.emplace_back(node->name, segment);
    } else {
      return {};
    }
  }
  if (node->methods.empty()) return {};
  match.known = true;
  const auto row = node->methods.find(method == "HEAD" ? std::string_view("GET") : method);
  if (row != node->methods.end()) {
    match.route = row->second;
  } else {
    for (const auto& [name, route] : node->methods) match.allow += (match.allow.empty() ? "" : ", ") + std::string(name);
  }
  return match;
}

}  // namespace rosterd::http
