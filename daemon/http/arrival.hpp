#pragma once
// How much of a request has arrived: bytes go in, "part", "whole" or "never acceptable" comes out. It decides when a request is worth a
// thread, and nothing else: what the request is, its body included, is told by the HTTP library and the server from the same bytes, so
// that there are no two parsers to play off against each other.

#include <cstddef>
#include <string_view>

namespace rosterd::http {

struct ArrivalLimits {
  std::size_t head = 32 * 1024;    ///< request line and headers together
  std::size_t body = 1024 * 1024;  ///< a body announced as larger is not waited for
  std::size_t line = 8192;         ///< one header line; the library takes no longer one
  std::size_t header_lines = 100;
};

struct Arrival {
  enum class State {
    Part,        ///< wait for more
    Whole,       ///< head and body, as far as there is one that is worth waiting for
    UriTooLong,  ///< no end of the request line within the limit
    HeadersTooLarge,
  };
  State state = State::Part;
  bool head_done = false;
  bool wants_continue = false;  ///< the client sends its body after a 100 (RFC 9110 §10.1.1)
};

/// `scanned` is where the search for the end of the head goes on; 0 for a new request.
[[nodiscard]] Arrival look(std::string_view bytes, const ArrivalLimits& limits, std::size_t& scanned);

}  // namespace rosterd::http
