#include "connectors/oidc/entra/objects.hpp"

#include <algorithm>

#include "connectors/oidc/dialect.hpp"
#include "schema/core/text.hpp"

namespace rosterd::connectors::oidc::entra {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kPiece = 1000;
constexpr std::string_view kGuidForm = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
constexpr std::string_view kHex = "0123456789abcdef";

std::optional<std::array<unsigned char, 16>> packed_guid(std::string_view text) {
  if (text.size() != kGuidForm.size()) return std::nullopt;
  std::array<unsigned char, 16> out{};
  std::size_t digits = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (kGuidForm[at] == '-') {
      if (text[at] != '-') return std::nullopt;
      continue;
    }
    const auto digit = kHex.find(text[at]);
    if (digit == std::string_view::npos) return std::nullopt;
    out[digits / 2] = static_cast<unsigned char>(out[digits / 2] << 4 | digit);
    ++digits;
  }
  return out;
}

std::string guid_text(const std::array<unsigned char, 16>& id) {
  std::string out;
  out.reserve(kGuidForm.size());
  std::size_t digits = 0;
  for (const char c : kGuidForm) {
    if (c == '-') {
      out += c;
      continue;
    }
    const auto byte = id[digits / 2];
    out += kHex[digits % 2 == 0 ? byte >> 4 : byte & 15];
    ++digits;
  }
  return out;
}

}  // namespace

std::string text_at(const Json& object, std::string_view key) {
  if (!object.is_object()) return {};
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool is_removed(const Json& object) { return object.is_object() && object.contains("@removed"); }

bool says_enough(const Json& user) {
  const auto enabled = user.find("accountEnabled");
  return !text_at(user, "userPrincipalName").empty() && enabled != user.end() && enabled->is_boolean();
}

bool says_all(const Json& user) {
  for (const auto* key : {"mail", "givenName", "surname", "displayName"})
    if (!user.contains(key)) return false;
  return says_enough(user);
}

ParsedUser parse_user(const Json& object) {
  ParsedUser out;
  auto& record = out.record;
  const auto id = text_at(object, "id");
  record.id = {id};
  record.entry = "users/" + id;
  record.references = {user_reference(id), any_reference(id)};
  record.username = fold(text_at(object, "userPrincipalName"));
  if (record.username.empty()) out.trouble = "has no userPrincipalName";
  if (const auto mail = text_at(object, "mail"); !mail.empty()) record.email = fold(mail);
  record.first_name = text_at(object, "givenName");
  record.last_name = text_at(object, "surname");
  if (record.first_name.empty() && record.last_name.empty()) record.last_name = text_at(object, "displayName");
  const auto enabled = object.find("accountEnabled");
  if (enabled == object.end() || !enabled->is_boolean())
    out.trouble = "does not show accountEnabled; grant the application User.Read.All (User.ReadBasic.All is not enough)";
  else
    record.enabled = enabled->get<bool>();
  if (!record.enabled) record.disabled_reason = "accountEnabled is false";
  for (const auto* text : {&record.username, &record.first_name, &record.last_name})
    if (has_control_characters(*text) || !is_utf8(*text)) out.trouble = "holds control characters or no UTF-8";
  return out;
}

ParsedGroup parse_group(const Json& object) {
  ParsedGroup out;
  const auto id = text_at(object, "id");
  out.record.id = {id};
  out.record.entry = "groups/" + id;
  out.record.references = {group_reference(id), any_reference(id)};
  out.record.name = text_at(object, "displayName");
  out.record.description = text_at(object, "description");
  out.hides_members = text_at(object, "visibility") == "HiddenMembership";
  if (out.record.name.empty()) out.trouble = "has no displayName";
  for (const auto* text : {&out.record.name, &out.record.description})
    if (!is_utf8(*text)) out.trouble = "holds no UTF-8";
  if (has_control_characters(out.record.name)) out.trouble = "has control characters in its displayName";
  return out;
}

Reference MemberList::reference(Kind kind, std::string_view id) {
  switch (kind) {
    case Kind::User:
      return user_reference(id);
    case Kind::Group:
      return group_reference(id);
    case Kind::Unknown:
      break;
  }
  return any_reference(id);
}

void MemberList::add(const Json& member) {
  const auto id = text_at(member, "id");
  const auto type = text_at(member, "@odata.type");
  auto kind = Kind::Unknown;
  if (type == "#microsoft.graph.user")
    kind = Kind::User;
  else if (type == "#microsoft.graph.group")
    kind = Kind::Group;
  else if (!type.empty())
    return;
  if (id.empty()) return;
  unknown_ = unknown_ || kind == Kind::Unknown;
  if (const auto packed = packed_guid(id))
    packed_.push_back({.id = *packed, .kind = kind});
  else
    odd_.push_back(reference(kind, id));
}

void MemberList::clear() {
  packed_.clear();
  odd_.clear();
  unknown_ = false;
}

bool MemberList::each_piece(const std::function<bool(std::span<const Reference>)>& use) {
  std::sort(packed_.begin(), packed_.end());
  packed_.erase(std::unique(packed_.begin(), packed_.end()), packed_.end());
  std::sort(odd_.begin(), odd_.end());
  odd_.erase(std::unique(odd_.begin(), odd_.end()), odd_.end());
  if (!odd_.empty() && !use(odd_)) return false;
  std::vector<Reference> piece;
  for (std::size_t at = 0; at < packed_.size(); ++at) {
    piece.push_back(reference(packed_[at].kind, guid_text(packed_[at].id)));
    if (piece.size() < kPiece && at + 1 < packed_.size()) continue;
    if (!use(piece)) return false;
    piece.clear();
  }
  return true;
}

}  // namespace rosterd::connectors::oidc::entra
