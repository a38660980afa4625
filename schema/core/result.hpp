#pragma once
// Result and Error: how a room's door says "no". The code says what the caller can do about it, the text what happened; each
// level that passes an error on adds what it was doing. The stable code of the HTTP API travels in `slug` where one applies.

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace rosterd {

enum class Errc {
  InvalidInput,   ///< the request or setting is wrong; asking again will not help
  Unauthorized,   ///< nobody known is asking
  Forbidden,      ///< somebody known, who may not
  NotFound,       ///< there is no such thing (or none the caller may know of)
  Conflict,       ///< the state does not allow it now (taken, moved on, owned by somebody else)
  Refused,        ///< a rule of rosterd stops it (the guard, the last Admin)
  CursorExpired,  ///< the directory refused the cursor: come again with an empty one
  Unavailable,    ///< a server is away or too slow; later may work
  Stopped,        ///< rosterd is shutting down
  Internal,       ///< a bug, or a broken installation
};

struct Error {
  Errc code = Errc::Internal;
  std::string what;
  std::string slug;  ///< stable code of rbac.md §17 such as "name_taken"; empty = the default of `code`
};

template <class T>
using Result = tl::expected<T, Error>;  // the only line to change on the day of std::expected

/// A new error: fail(Errc::NotFound, "no source named {}", name).
template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(Errc code, fmt::format_string<Args...> text, Args&&... args) {
  return tl::unexpected(Error{.code = code, .what = fmt::format(text, std::forward<Args>(args)...), .slug = {}});
}

/// A new error with its stable API code: fail_as("name_taken", Errc::Conflict, "tenant {} exists", id).
template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail_as(std::string_view slug, Errc code, fmt::format_string<Args...> text, Args&&... args) {
  return tl::unexpected(Error{.code = code, .what = fmt::format(text, std::forward<Args>(args)...), .slug = std::string(slug)});
}

/// Passes an error on and says what was being done: fail(error, "reading {}", source) -> "reading corp: server closed the connection".
template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(const Error& cause, fmt::format_string<Args...> doing, Args&&... args) {
  return tl::unexpected(
      Error{.code = cause.code, .what = fmt::format(doing, std::forward<Args>(args)...) + ": " + cause.what, .slug = cause.slug});
}

/// Passes an error on unchanged.
[[nodiscard]] inline tl::unexpected<Error> fail(const Error& cause) { return tl::unexpected(cause); }

}  // namespace rosterd
