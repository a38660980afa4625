#pragma once
// From method and path segments to a row of the route table, in time that does not grow with the number of rows: a tree of segments.

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rosterd::http {

class Router {
 public:
  using Params = std::vector<std::pair<std::string_view, std::string_view>>;
  struct Match {
    bool known = false;  ///< the path exists, whatever its methods
    int route = -1;      ///< index of the row; -1 = not for this method
    std::string allow;   ///< for 405: "GET, POST"
    Params params;       ///< {name} -> segment; views of the segments passed in
  };

  /// `path` like "/v1/tenants/{t}"; `route` is what a match gives back. `method` and `path` outlive the router.
  void add(std::string_view method, std::string_view path, int route);
  /// HEAD is answered by GET's row. A literal segment wins over a {name}.
  [[nodiscard]] Match find(std::string_view method, std::span<const std::string> segments) const;

 private:
  struct Node {
    std::map<std::string_view, std::unique_ptr<Node>> literal;
    std::unique_ptr<Node> any;
    std::string_view name;
    std::map<std::string_view, int> methods;
  };
  Node root_;
};

}  // namespace rosterd::http
