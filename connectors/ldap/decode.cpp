#include "connectors/ldap/decode.hpp"

#include <strings.h>

#include <charconv>

#include "connectors/ldap/dn.hpp"
#include "connectors/ldap/filter.hpp"
#include "schema/core/clock.hpp"
#include "schema/core/text.hpp"

namespace rosterd::connectors::ldap {
namespace {

constexpr std::size_t kMaxName = 512;  // longer names would not fit an index of the store: skipped, so that one entry blocks nothing
constexpr std::size_t kMaxDescription = 4096;  // descriptions are for people: cut
constexpr std::size_t kBatch = 256;            // references handed over at once

void ask(std::vector<std::string>& list, std::string_view name) {
  if (name.empty()) return;
  for (const auto& have : list)
    if (have.size() == name.size() && ::strncasecmp(have.data(), name.data(), name.size()) == 0) return;
  list.emplace_back(name);
}

std::string_view first(std::span<const std::string_view> values) { return values.empty() ? std::string_view{} : values.front(); }

/// A name that is a set in LDAP: the value that stands in the entry's own DN, else the smallest, so that a read repeats itself.
std::string_view pick(std::span<const std::string_view> values, std::string_view dn) {
  if (values.size() <= 1) return first(values);
  const auto equals = dn.find('=');
  std::string_view smallest = values.front();
  for (const auto value : values) {
    if (equals != std::string_view::npos) {
      const auto rest = dn.substr(equals + 1);
      if (rest.starts_with(value) && (rest.size() == value.size() || rest[value.size()] == ',' || rest[value.size()] == '+')) return value;
    }
    if (value < smallest) smallest = value;
  }
  return smallest;
}

/// Copies a text that people read. False with a reason when it is none.
bool take(std::string_view value, std::string_view attribute, std::size_t most, std::string& into, std::string& reason) {
  bool plain = true;
  for (const unsigned char c : value) plain = plain && c >= 0x20 && c < 0x7f;
  if (!plain && !is_utf8(value)) {
    reason = fmt::format("{} is not UTF-8", attribute);
    return false;
  }
  if (!plain && has_control_characters(value)) {
    reason = fmt::format("{} holds control characters", attribute);
    return false;
  }
  if (value.size() > most) {
    reason = fmt::format("{} is longer than {} bytes", attribute, most);
    return false;
  }
  into.assign(value);
  return true;
}

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return out;
}

bool says_true(std::string_view text) { return text.size() == 4 && ::strncasecmp(text.data(), "true", 4) == 0; }

bool holds(std::span<const std::string_view> values, std::string_view wanted) {
  return std::any_of(values.begin(), values.end(), [&](std::string_view value) {
    return value.size() == wanted.size() && ::strncasecmp(value.data(), wanted.data(), wanted.size()) == 0;
  });
}

/// The classes of an entry may be hidden as well as anything: every entry has some, so none at all says nothing.
bool may_be(const Entry& entry, std::string_view object_class) {
  const auto classes = entry.find("objectClass");
  return classes.empty() || holds(classes, object_class);
}

std::string day(std::int64_t seconds) { return rfc3339(TimePoint(std::chrono::seconds(seconds))).substr(0, 10); }

/// The last sub-authority of a binary SID (MS-DTYP 2.4.2.2): 8 bytes of header, then little-endian 32-bit numbers.
std::optional<std::uint32_t> rid_of(std::string_view sid) {
  if (sid.size() < 12 || sid[0] != 1 || sid.size() != 8 + 4u * static_cast<unsigned char>(sid[1])) return std::nullopt;
  std::uint32_t rid = 0;
  for (std::size_t i = 0; i < 4; ++i) rid |= static_cast<std::uint32_t>(static_cast<unsigned char>(sid[sid.size() - 4 + i])) << (8 * i);
  return rid;
}

/// A name from a foreign DN or id may hold anything: what is shown for people is at least UTF-8 without control characters.
void take_entry(std::string_view dn, std::string& into) {
  into.assign(dn.substr(0, 8192));
  if (!is_utf8(into) || has_control_characters(into)) into = normal_dn(is_utf8(into) ? dn : std::string_view("cn=unreadable"));
}

}  // namespace

UserDecoder::UserDecoder(const Settings& settings)
    : settings_(settings),
      dn_reference_(settings.has_style(MemberStyle::Dn) || settings.has_style(MemberStyle::DnAndUid)),
      uid_reference_(settings.has_style(MemberStyle::UserName)),
      posix_account_{.object_class = "posixAccount", .demanded = demands(settings.users.filter, "objectClass", "posixAccount")},
      domain_user_{.object_class = "user", .demanded = demands(settings.users.filter, "objectClass", "user")},
      now_(std::chrono::duration_cast<std::chrono::seconds>(SystemClock().now().time_since_epoch()).count()) {
  ask(attributes_, settings.id_attribute);
  ask(attributes_, settings.users.username);
  ask(attributes_, settings.users.email);
  ask(attributes_, settings.users.first_name);
  ask(attributes_, settings.users.last_name);
  // Where the filter does not say what the entries are, their classes must: only then an absent attribute can be told from a hidden one.
  bool classes = false;
  const auto ask_always = [&](std::string_view name, const Kind& kind) {
    ask(attributes_, name);
    classes = classes || !kind.demanded;
  };
  if (uid_reference_) ask_always("uid", posix_account_);
  if (settings.groups) {
    switch (settings.primary_group) {
      case PrimaryGroup::None:
        break;
      case PrimaryGroup::GidNumber:
        ask_always("gidNumber", posix_account_);
        break;
      case PrimaryGroup::Rid:
        ask_always("primaryGroupID", domain_user_);
        break;
    }
  }
  if (settings.state.user_account_control) {
    ask_always("userAccountControl", domain_user_);
    ask(attributes_, "accountExpires");
  }
  if (classes) ask(attributes_, "objectClass");
  if (settings.state.ns_account_lock) ask(attributes_, "nsAccountLock");
  if (settings.state.pwd_account_locked) ask(attributes_, "pwdAccountLockedTime");
  if (settings.state.shadow_expire) ask(attributes_, "shadowExpire");
}

void UserDecoder::add_reference(std::vector<Reference>& list, std::size_t& used, std::string_view kind, std::string_view value) {
  if (used == list.size()) list.emplace_back();
  auto& text = list[used++];
  text.assign(kind);
  if (kind == "dn:") {
    append_normal_dn(value, text);
  } else {
    text += value;
  }
}

Decoded UserDecoder::decode(const Entry& entry) {
  take_entry(entry.dn, record_.entry);
  hidden_ = {};
  const auto ids = entry.find(settings_.id_attribute);
  if (ids.size() != 1 || !canonical_id(settings_.id_encoding, ids.front(), record_.id.value)) return Decoded::NoId;

  std::string text;  // small names stay in the string itself
  const auto username = pick(entry.find(settings_.users.username), entry.dn);
  if (username.empty()) {
    reason_ = fmt::format("there is no {} (the username), or the bind account may not read it", settings_.users.username);
    return Decoded::Skipped;
  }
  if (!take(username, settings_.users.username, kMaxName, text, reason_)) return Decoded::Skipped;
  fold_into(text, record_.username);
  if (record_.username.empty()) {
    reason_ = fmt::format("{} (the username) is blank", settings_.users.username);
    return Decoded::Skipped;
  }
  if (!take(first(entry.find(settings_.users.first_name)), settings_.users.first_name, kMaxName, record_.first_name, reason_))
    return Decoded::Skipped;
  if (!take(first(entry.find(settings_.users.last_name)), settings_.users.last_name, kMaxName, record_.last_name, reason_))
    return Decoded::Skipped;
  const auto email = pick(entry.find(settings_.users.email), {});
  if (!take(email, settings_.users.email, kMaxName, text, reason_)) return Decoded::Skipped;
  if (is_email(text)) {
    if (!record_.email) record_.email.emplace();
    fold_into(text, *record_.email);
  } else {
    record_.email.reset();  // "n/a", a telephone number: nobody is found by it
  }

  if (!read_state(entry)) return Decoded::Skipped;
  read_memberships(entry);
  return Decoded::Usable;
}

bool UserDecoder::is_of(const Entry& entry, const Kind& kind) { return kind.demanded || may_be(entry, kind.object_class); }

/// By which names groups list this person, and which groups he names himself.
void UserDecoder::read_memberships(const Entry& entry) {
  std::size_t used = 0;
  if (dn_reference_) add_reference(record_.references, used, "dn:", entry.dn);
  if (uid_reference_) {
    const auto uids = entry.find("uid");
    for (const auto uid : uids) add_reference(record_.references, used, "uid:", uid);
    if (uids.empty() && is_of(entry, posix_account_)) hidden_ = "uid";
  }
  record_.references.resize(used);
  used = 0;
  if (settings_.groups) {
    switch (settings_.primary_group) {
      case PrimaryGroup::None:
        break;
      case PrimaryGroup::GidNumber:
        if (const auto gid = first(entry.find("gidNumber")); !gid.empty())
          add_reference(record_.member_of, used, "gid:", gid);
        else if (is_of(entry, posix_account_))
          hidden_ = "gidNumber";
        break;
      case PrimaryGroup::Rid:
        if (const auto rid = first(entry.find("primaryGroupID")); !rid.empty())
          add_reference(record_.member_of, used, "rid:", rid);
        else if (is_of(entry, domain_user_))
          hidden_ = "primaryGroupID";
        break;
    }
  }
  record_.member_of.resize(used);
}

/// A missing attribute means allowed (protocols A4), but for userAccountControl: every account of a domain has it, so that without it
/// nothing is known of the account (S7). False then, with the reason.
///
/// | attribute            | disabled when                                             |
/// | userAccountControl   | bit 2, ACCOUNTDISABLE                                      |
/// | accountExpires       | 100 ns since 1601, past; 0 and 2^63-1 mean never           |
/// | nsAccountLock        | TRUE (may come from a role, computed)                      |
/// | pwdAccountLockedTime | 000001010000Z; any other time is a lockout that passes     |
/// | shadowExpire         | days since 1970, past; negative means never                |
bool UserDecoder::read_state(const Entry& entry) {
  constexpr std::int64_t kTicksPerSecond = 10'000'000;
  constexpr std::int64_t kSecondsFrom1601To1970 = 11'644'473'600;
  record_.enabled = true;
  record_.disabled_reason.clear();
  const auto disable = [this](std::string reason) {
    record_.enabled = false;
    record_.disabled_reason = std::move(reason);
  };
  const auto& state = settings_.state;
  if (state.user_account_control) {
    const auto control = first(entry.find("userAccountControl"));
    const auto flags = number(control);
    if (control.empty() && is_of(entry, domain_user_)) {
      hidden_ = "userAccountControl";
      reason_ = "there is no userAccountControl to tell whether the account is disabled: the bind account may not read it";
      return false;
    }
    if (!control.empty() && !flags) {
      reason_ = "userAccountControl is no number";
      return false;
    }
    if (flags && (*flags & 2) != 0) disable("userAccountControl says ACCOUNTDISABLE");
    if (const auto ticks = number(first(entry.find("accountExpires"))); ticks && *ticks > 0 && *ticks != INT64_MAX) {
      const auto seconds = *ticks / kTicksPerSecond - kSecondsFrom1601To1970;
      if (seconds <= now_) disable(fmt::format("accountExpires was {}", day(seconds)));
    }
  }
  if (state.ns_account_lock && says_true(first(entry.find("nsAccountLock")))) disable("nsAccountLock is TRUE");
  if (state.pwd_account_locked && first(entry.find("pwdAccountLockedTime")).starts_with("000001010000"))
    disable("pwdAccountLockedTime says locked for good");
  if (state.shadow_expire) {
    if (const auto days = number(first(entry.find("shadowExpire"))); days && *days >= 0 && *days <= now_ / 86400)
      disable(fmt::format("shadowExpire was {}", day(*days * 86400)));
  }
  return true;
}

GroupDecoder::GroupDecoder(const Settings& settings) : settings_(settings), part_(*settings.groups) {
  ask(attributes_, settings.id_attribute);
  ask(attributes_, part_.name);
  ask(attributes_, part_.description);
  for (const auto& member : part_.members) ask(attributes_, member.name);
  switch (settings.primary_group) {
    case PrimaryGroup::None:
      break;
    case PrimaryGroup::GidNumber:
      ask(attributes_, "gidNumber");
      always_numbered_ = demands(part_.filter, "objectClass", "posixGroup");
      break;
    case PrimaryGroup::Rid:
      ask(attributes_, "objectSid");
      always_numbered_ = demands(part_.filter, "objectClass", "group");
      break;
  }
  if (settings.member_is_required || (settings.primary_group != PrimaryGroup::None && !always_numbered_)) ask(attributes_, "objectClass");
}

Decoded GroupDecoder::decode(const Entry& entry) {
  take_entry(entry.dn, record_.entry);
  ranged_ = nullptr;
  members_hidden_ = false;
  hidden_number_ = {};
  const auto ids = entry.find(settings_.id_attribute);
  if (ids.size() != 1 || !canonical_id(settings_.id_encoding, ids.front(), record_.id.value)) return Decoded::NoId;
  const auto name = pick(entry.find(part_.name), entry.dn);
  if (name.empty()) {
    reason_ = fmt::format("there is no {} (the name), or the bind account may not read it", part_.name);
    return Decoded::Skipped;
  }
  if (!take(name, part_.name, kMaxName, record_.name, reason_)) return Decoded::Skipped;
  auto description = first(entry.find(part_.description));
  if (description.size() > kMaxDescription) {
    description = description.substr(0, kMaxDescription);
    while (!description.empty() && !is_utf8(description) && description.size() + 4 > kMaxDescription) description.remove_suffix(1);
  }
  record_.description.clear();
  for (const char c : description)
    record_.description += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;  // line breaks are usual here
  if (!is_utf8(record_.description)) {
    reason_ = fmt::format("{} is not UTF-8", part_.description);
    return Decoded::Skipped;
  }

  std::size_t used = 0;
  const auto add = [&](std::string_view kind, std::string_view value) {
    if (used == record_.references.size()) record_.references.emplace_back();
    auto& text = record_.references[used++];
    text.assign(kind);
    if (kind == "dn:") {
      append_normal_dn(value, text);
    } else {
      text += value;
    }
  };
  if (settings_.has_style(MemberStyle::Dn) || settings_.has_style(MemberStyle::DnAndUid)) add("dn:", entry.dn);  // nested groups
  switch (settings_.primary_group) {
    case PrimaryGroup::None:
      break;
    case PrimaryGroup::GidNumber:
      if (const auto gid = first(entry.find("gidNumber")); !gid.empty())
        add("gid:", gid);
      else if (always_numbered_ || may_be(entry, "posixGroup"))
        hidden_number_ = "gidNumber";
      break;
    case PrimaryGroup::Rid:
      if (const auto rid = rid_of(first(entry.find("objectSid"))))
        add("rid:", std::to_string(*rid));
      else if (always_numbered_ || may_be(entry, "group"))
        hidden_number_ = "objectSid";
      break;
  }
  record_.references.resize(used);

  for (const auto& attribute : entry.attributes) {
    if (attribute.name.find(';') == std::string_view::npos) continue;
    const auto range = parse_ranged(attribute.name);
    if (!range) continue;
    for (const auto& member : part_.members)
      if (member.name.size() == range->attribute.size() &&
          ::strncasecmp(member.name.data(), range->attribute.data(), member.name.size()) == 0)
        ranged_ = &member;
  }
  if (settings_.member_is_required && ranged_ == nullptr) {
    const auto classes = entry.find("objectClass");
    const auto lacks = [&](std::string_view attribute) {
      for (const auto& member : part_.members)
        if (::strcasecmp(member.name.c_str(), std::string(attribute).c_str()) == 0) return entry.find(attribute).empty();
      return false;  // not asked for
    };
    const auto shows = [&](const MemberAttribute& member) { return !entry.find(member.name).empty(); };
    members_hidden_ = classes.empty() ? std::none_of(part_.members.begin(), part_.members.end(), shows)
                                      : (holds(classes, "groupOfNames") && lacks("member")) ||
                                            (holds(classes, "groupOfUniqueNames") && lacks("uniqueMember"));
  }
  return Decoded::Usable;
}

bool GroupDecoder::each_members(const Entry& entry, const std::function<bool(std::span<const Reference>)>& use) {
  if (batch_.empty()) batch_.resize(kBatch);
  std::size_t used = 0;
  for (const auto& member : part_.members) {
    for (const auto value : entry.find(member.name)) {
      if (value.empty()) continue;  // the dummy member of an empty groupOfNames is the empty DN
      member_reference(member.style, value, batch_[used++]);
      if (used < kBatch) continue;
      if (!use(std::span<const Reference>(batch_).first(used))) return false;
      used = 0;
    }
  }
  return used == 0 || use(std::span<const Reference>(batch_).first(used));
}

void member_reference(MemberStyle style, std::string_view value, std::string& out) {
  switch (style) {
    case MemberStyle::Dn:
      out.assign("dn:");
      append_normal_dn(value, out);
      return;
    case MemberStyle::DnAndUid:
      out.assign("dn:");
      append_normal_dn(without_uid(value), out);
      return;
    case MemberStyle::UserName:
      out.assign("uid:");
      out += value;
      return;
  }
}

std::optional<RangedName> parse_ranged(std::string_view name) {
  const auto semicolon = name.find(';');
  if (semicolon == std::string_view::npos) return std::nullopt;
  RangedName out{.attribute = name.substr(0, semicolon), .first = 0, .last = std::nullopt};
  auto option = name.substr(semicolon + 1);
  if (option.size() < 9 || ::strncasecmp(option.data(), "range=", 6) != 0) return std::nullopt;
  option.remove_prefix(6);
  const auto dash = option.find('-');
  const auto low = number(option.substr(0, dash));
  if (dash == std::string_view::npos || !low || *low < 0) return std::nullopt;
  out.first = static_cast<std::uint64_t>(*low);
  const auto high = option.substr(dash + 1);
  if (high == "*") return out;
  const auto last = number(high);
  if (!last || *last < *low) return std::nullopt;
  out.last = static_cast<std::uint64_t>(*last);
  return out;
}

}  // namespace rosterd::connectors::ldap
