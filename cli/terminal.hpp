#pragma once
// What a terminal can show: the width of a text in columns, colours, and texts from directories made harmless before they reach it.

#include <cstdint>
#include <string>
#include <string_view>

namespace rosterd::cli {

enum class Colour : std::uint8_t { None, Bold, Dim, Red, Green, Yellow, Cyan };

/// `text` between the ANSI codes of `colour`; unchanged for None or when `on` is false.
[[nodiscard]] std::string painted(std::string_view text, Colour colour, bool on);

/// Columns the text takes on a terminal: wide characters take two, combining ones none.
[[nodiscard]] std::size_t width_of(std::string_view text);

/// The text with control characters, bidirectional overrides and broken UTF-8 written as \x1b, \u202e: what a directory delivers must not
/// move the cursor, recolour the screen or reorder a line (CVE-2021-42574 shows what overrides can hide).
[[nodiscard]] std::string harmless(std::string_view text);

/// `text` with spaces behind (or before) it up to `columns`.
[[nodiscard]] std::string padded(std::string_view text, std::size_t columns, bool right = false);

/// Chooses a UTF-8 character set for width_of, whatever the locale of the environment says: rosterd speaks nothing else.
void use_utf8();

}  // namespace rosterd::cli
