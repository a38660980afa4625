#pragma once
// What a fuzz target is: bytes come in, and the program ends at once when a rule is broken. The entry is libFuzzer's; without libFuzzer
// driver.cpp calls it.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace rosterd::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) { return {reinterpret_cast<const char*>(data), size}; }

/// The rule that must hold whatever came in; `about` is what broke it.
inline void require(bool holds, std::string_view rule, std::string_view about = {}) {
  if (holds) return;
  for (const auto line : {std::string_view("broken: "), rule, std::string_view("\n"), about, std::string_view("\n")})
    std::fwrite(line.data(), 1, line.size(), stderr);
  std::abort();
}

}  // namespace rosterd::fuzz
