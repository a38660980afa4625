#pragma once
// One request as the rest of the room sees it, free of the HTTP library, and the reply to it. Views live as long as the request.

#include <array>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schema/core/result.hpp"
#include "schema/model/ids.hpp"

namespace rosterd::http {

/// The headers rosterd reads. Empty = absent; an empty header means the same as none for all of them.
struct RequestHeaders {
  std::string_view authorization;
  std::string_view content_type;
  std::string_view content_encoding;
  std::string_view if_match;
  std::string_view request_id;
  std::string_view min_revision;
  std::string_view max_age;
  std::string_view cookie = {};
  std::string_view if_none_match = {};
  std::string_view csrf = {};  ///< X-Rosterd-Csrf: what no page of another site can send without being asked about it first
  // What a reverse proxy sets (check-api.md X6, X7).
  std::string_view permission = {};        ///< Rosterd-Permission
  std::string_view action = {};            ///< Rosterd-Action
  std::string_view ns = {};                ///< Rosterd-Namespace; empty = the whole tenant
  std::string_view subject = {};           ///< Rosterd-Subject: on whose behalf, when the proxy itself is the caller
  std::string_view forwarded_method = {};  ///< X-Forwarded-Method and X-Forwarded-Uri: of the original request
  std::string_view forwarded_uri = {};
  bool ambiguous = false;  ///< one of those that decide for a proxy came twice: one is the proxy's, the other perhaps the client's
};

struct Request {
  std::string_view method;
  std::string_view target;  ///< as sent: path, and after '?' the query, both still percent-encoded
  RequestHeaders headers;
  std::string_view body;
  std::string_view remote;                        ///< address of the peer
  bool unix_socket = false;                       ///< it came over the unix socket, which only those can open whom its mode lets
  std::span<const std::string> certificate = {};  ///< names in the client certificate that the peer has shown and that was verified
};

struct Reply {
  int status = 200;
  std::string body = {};
  std::string_view content_type = "application/json";
  std::vector<std::pair<std::string_view, std::string>> headers = {};
  std::optional<Revision> revision = {};  ///< what a mutation led to, or what a check was answered from: Rosterd-Revision
  /// For long answers, instead of a body: called again and again for the next piece while the answer is sent; false = that was the last. It
  /// outlives the call that made it, so what it needs must be its own or the services'. An error cuts the answer off.
  std::function<Result<bool>(std::string& piece)> stream = {};
  bool changed = false;     ///< the tenant has moved on: its snapshot is to be published anew
  bool gives_only = false;  ///< it takes no right away from anybody: the answer need not wait until checks are answered from it
  bool unlogged = false;    ///< too many of these may come to give each a line in the log
};

/// Path and query of a target, percent-decoded.
struct Target {
  std::vector<std::string> segments;  ///< of the path, without empty ones
  std::vector<std::pair<std::string, std::string>> query;
};

/// InvalidInput for what is not a plain absolute path: bad percent-encoding, empty or dot segments, control characters, bytes that
/// are not UTF-8, a parameter given twice. "%2F" inside a segment stays inside it.
[[nodiscard]] Result<Target> parse_target(std::string_view target);

}  // namespace rosterd::http
