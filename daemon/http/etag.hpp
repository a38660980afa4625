#pragma once
// ETags of what can be edited (rbac.md R20): an object goes in, a strong entity-tag over its editable parts comes out (RFC 9110 §8.8.3), so
// that what is not the caller's business, such as somebody becoming a member, does not make his version stale.

#include <string>

#include "daemon/http/app.hpp"
#include "schema/store/administration.hpp"

namespace rosterd::http {

[[nodiscard]] std::string etag(const Account& account);
[[nodiscard]] std::string etag(const User& user);
[[nodiscard]] std::string etag(const Group& group);
[[nodiscard]] std::string etag(const Role& role);
[[nodiscard]] std::string etag(const ServiceAccount& account);
[[nodiscard]] std::string etag(const std::vector<Principal>& members);
/// Of any document that says all of it.
[[nodiscard]] std::string etag_of(std::string_view document);

/// Nothing without an If-Match; Conflict "stale_version" when it names another version than `current` (RFC 9110 §13.1.1).
[[nodiscard]] Result<void> matches(std::string_view if_match, std::string_view current);

/// If-Match as the store asks it; empty without the header.
template <class T>
[[nodiscard]] Condition<T> if_match(const Call& call) {
  if (call.request.headers.if_match.empty()) return {};
  return [header = std::string(call.request.headers.if_match)](const T& now) { return matches(header, etag(now)); };
}

/// `edit`, once the object is the version that If-Match names.
template <class T>
[[nodiscard]] Edit<T> edit_if_match(const Call& call, Edit<T> edit) {
  return [condition = if_match<T>(call), edit = std::move(edit)](const T& now) -> Result<T> {
    if (condition)
      if (const auto good = condition(now); !good) return fail(good.error());
    return edit(now);
  };
}

}  // namespace rosterd::http
