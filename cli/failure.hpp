#pragma once
// How a command says "no": what happened, and with which exit code the program ends.

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>

#include "cli/cli.hpp"

namespace rosterd::cli {

struct Failure {
  ExitCode code = kRefused;
  std::string what;  ///< what happened and where
  std::string mend;  ///< what to do about it; may be empty
};

template <class T>
using Try = tl::expected<T, Failure>;

template <class... Args>
[[nodiscard]] tl::unexpected<Failure> fail(ExitCode code, fmt::format_string<Args...> text, Args&&... args) {
  return tl::unexpected(Failure{code, fmt::format(text, std::forward<Args>(args)...), {}});
}

/// With the advice how to mend it.
[[nodiscard]] inline tl::unexpected<Failure> fail_with_advice(ExitCode code, std::string what, std::string mend) {
  return tl::unexpected(Failure{code, std::move(what), std::move(mend)});
}

[[nodiscard]] inline tl::unexpected<Failure> fail(Failure failure) { return tl::unexpected(std::move(failure)); }

}  // namespace rosterd::cli
