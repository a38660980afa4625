#pragma once
// Texts that are compared: one fold for every name and key (rbac.md, preface), so that SQL never folds. Plus small checks.

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace rosterd {

/// Case folding with compatibility normalisation (NFKC_Casefold, as RFC 4518 §2 wants it for caseIgnoreMatch), outer spaces
/// trimmed and inner runs of spaces collapsed to one. Bytes that are not UTF-8 are kept as they are, ASCII letters lowered.
[[nodiscard]] std::string fold(std::string_view text);
/// The same into an existing string, so that a loop over a million names allocates once.
void fold_into(std::string_view text, std::string& out);
/// The same into a buffer, without an allocation of ours; none when it does not fit.
[[nodiscard]] std::optional<std::string_view> fold_to(std::string_view text, std::span<char> buffer);

[[nodiscard]] bool is_utf8(std::string_view text);
/// U+0000..U+001F and U+007F, none of which belongs in a name.
[[nodiscard]] bool has_control_characters(std::string_view text);
/// `^[a-z0-9][a-z0-9_-]{0,62}$`: tenant ids, source names.
[[nodiscard]] bool is_slug(std::string_view text);
/// One `@`, something on both sides, no spaces or control characters, at most 254 bytes. Deliverability is not ours to judge.
[[nodiscard]] bool is_email(std::string_view text);
/// Dotted path of rbac.md R26: segments `[a-z0-9][a-z0-9_-]*`, at most 16 of them and 255 characters.
[[nodiscard]] bool is_namespace(std::string_view text);
/// True when a binding to `ancestor` covers `ns`: equal, or below it at a dot (R28).
[[nodiscard]] bool covers(std::string_view ancestor, std::string_view ns);

/// Appends `text` to `out` as the inside of a JSON string (no quotes): RFC 8259 §7 escapes; invalid UTF-8 becomes U+FFFD.
void append_json_escaped(std::string& out, std::string_view text);

/// Days, hours or seconds as a person says them: "3 min ago" style ages are built from this: "4 s", "12 min", "3 h", "9 d".
[[nodiscard]] std::string rough_age(long long seconds);

}  // namespace rosterd
