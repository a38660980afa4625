// The second and last file that includes ldap.h: the parser of RFC 4514 is libldap's (ldap_str2dn), no connection is involved.
#include "connectors/ldap/dn.hpp"

#include <ldap.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "schema/core/text.hpp"

namespace rosterd::connectors::ldap {
namespace {

struct Alias {
  std::string_view other, name;
};
// Attribute types that servers write in several ways: numeric OIDs and long names (RFC 4519, RFC 4524).
constexpr Alias kAliases[] = {
    {"2.5.4.3", "cn"},
    {"commonname", "cn"},
    {"2.5.4.4", "sn"},
    {"surname", "sn"},
    {"2.5.4.5", "serialnumber"},
    {"2.5.4.6", "c"},
    {"countryname", "c"},
    {"2.5.4.7", "l"},
    {"localityname", "l"},
    {"2.5.4.8", "st"},
    {"stateorprovincename", "st"},
    {"2.5.4.9", "street"},
    {"streetaddress", "street"},
    {"2.5.4.10", "o"},
    {"organizationname", "o"},
    {"2.5.4.11", "ou"},
    {"organizationalunitname", "ou"},
    {"2.5.4.12", "title"},
    {"2.5.4.42", "givenname"},
    {"gn", "givenname"},
    {"0.9.2342.19200300.100.1.1", "uid"},
    {"userid", "uid"},
    {"0.9.2342.19200300.100.1.3", "mail"},
    {"rfc822mailbox", "mail"},
    {"0.9.2342.19200300.100.1.25", "dc"},
    {"domaincomponent", "dc"},
    {"1.2.840.113549.1.9.1", "email"},
    {"emailaddress", "email"},
    {"pkcs9email", "email"},
};

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string_view short_name(std::string_view lowered) {
  for (const auto& alias : kAliases)
    if (alias.other == lowered) return alias.name;
  return lowered;
}

/// Characters that the fast path copies without a thought; everything else is the parser's.
constexpr std::array<bool, 256> plain_characters() {
  std::array<bool, 256> plain{};
  for (int c = 0x20; c < 0x7f; ++c) plain[static_cast<std::size_t>(c)] = true;
  for (const char c : {'\\', '"', '+', ';', '<', '>', ','}) plain[static_cast<std::size_t>(c)] = false;
  return plain;
}
constexpr auto kPlain = plain_characters();

/// ASCII, no escapes, single-valued RDNs: nearly every DN there is. False leaves `out` as it was.
bool append_fast(std::string_view dn, std::string& out) {
  const auto before = out.size();
  const char* at = dn.data();
  const char* const end = at + dn.size();
  const auto give_up = [&] {
    out.resize(before);
    return false;
  };
  for (;;) {
    while (at != end && *at == ' ') ++at;
    const auto type_begin = out.size();
    while (at != end && ((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || *at == '-' ||
                         (*at >= '0' && *at <= '9' && out.size() > type_begin)))
      out += lower(*at++);
    const auto type_size = out.size() - type_begin;
    while (at != end && *at == ' ') ++at;
    if (type_size == 0 || at == end || *at != '=') return give_up();
    ++at;
    if (type_size > 4 || (type_size == 2 && out[type_begin] == 'g')) {
      const auto name = short_name(std::string_view(out).substr(type_begin));
      if (name.size() != type_size) out.replace(type_begin, type_size, name);
    }
    out += '=';
    while (at != end && *at == ' ') ++at;
    if (at == end || *at == '#' || *at == ',') return give_up();
    bool space = false;
    for (; at != end && kPlain[static_cast<unsigned char>(*at)]; ++at) {
      if (*at == ' ') {
        space = true;
        continue;
      }
      if (space) out += ' ';
      space = false;
      out += lower(*at);
    }
    if (at == end) return true;
    if (*at != ',') return give_up();
    out += ',';
    ++at;
  }
}

void append_escaped(std::string_view value, std::string& out) {
  if (!value.empty() && value.front() == '#') out += '\\';
  for (const char c : value) {
    if (c == '\0') {
      out += "\\00";
      continue;
    }
    if (c == ',' || c == '+' || c == '"' || c == '\\' || c == '<' || c == '>' || c == ';') out += '\\';
    out += c;
  }
}

/// The text inside a `#hex` value when it is one of the string types (OCTET, UTF8, Printable, IA5), whole and with a short length.
bool text_of_ber(std::string_view ber, std::string_view& text) {
  if (ber.size() < 2) return false;
  const auto tag = static_cast<unsigned char>(ber[0]);
  const auto length = static_cast<unsigned char>(ber[1]);
  if ((tag != 0x04 && tag != 0x0c && tag != 0x13 && tag != 0x16) || length > 127 || ber.size() != 2u + length) return false;
  text = ber.substr(2);
  return true;
}

std::string ava_text(const LDAPAVA& ava) {
  std::string type;
  for (ber_len_t i = 0; i < ava.la_attr.bv_len; ++i) type += lower(ava.la_attr.bv_val[i]);
  if (type.starts_with("oid.")) type.erase(0, 4);  // RFC 2253 §4 allowed the prefix
  std::string out(short_name(type));
  out += '=';
  std::string_view value(ava.la_value.bv_val, ava.la_value.bv_len);
  if ((ava.la_flags & LDAP_AVA_BINARY) != 0) {
    if (!text_of_ber(value, value)) {
      out += '#';
      for (const char c : value) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
      return out;
    }
  }
  append_escaped(fold(value), out);
  return out;
}

struct FreeDn {
  void operator()(LDAPRDN* dn) const { ldap_dnfree(dn); }
};
using DnPtr = std::unique_ptr<LDAPRDN, FreeDn>;

DnPtr parse(std::string_view text) {
  berval value{.bv_len = text.size(), .bv_val = const_cast<char*>(text.data())};
  LDAPDN dn = nullptr;
  // LDAPV2 also takes ';' as separator and quoted values, which old servers still write into member.
  if (ldap_bv2dn(&value, &dn, LDAP_DN_FORMAT_LDAPV3) != LDAP_SUCCESS && ldap_bv2dn(&value, &dn, LDAP_DN_FORMAT_LDAPV2) != LDAP_SUCCESS)
    return {};
  return DnPtr(dn);
}

bool append_slow(std::string_view text, std::string& out) {
  const auto dn = parse(text);
  if (!dn) return false;
  bool first = true;
  for (LDAPRDN* rdn = dn.get(); *rdn != nullptr; ++rdn) {
    if (!first) out += ',';
    first = false;
    std::vector<std::string> parts;
    for (LDAPAVA** ava = *rdn; *ava != nullptr; ++ava) parts.push_back(ava_text(**ava));
    std::sort(parts.begin(), parts.end());
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (i != 0) out += '+';
      out += parts[i];
    }
  }
  return true;
}

}  // namespace

bool append_normal_dn(std::string_view dn, std::string& out) {
  if (dn.empty()) return true;
  if (append_fast(dn, out)) return true;
  const auto before = out.size();
  if (append_slow(dn, out)) return true;
  out.resize(before);
  out += fold(dn);
  return false;
}

std::string normal_dn(std::string_view dn) {
  std::string out;
  append_normal_dn(dn, out);
  return out;
}

std::string parent_dn(std::string_view dn) {
  const auto normal = normal_dn(dn);
  for (std::size_t i = 0; i < normal.size(); ++i) {
    if (normal[i] == '\\') {
      ++i;  // the escaped character, or the first digit of \00
    } else if (normal[i] == ',') {
      return normal.substr(i + 1);
    }
  }
  return {};
}

bool is_within(std::string_view normal, std::string_view normal_base) {
  if (normal_base.empty()) return true;
  if (!normal.ends_with(normal_base)) return false;
  if (normal.size() == normal_base.size()) return true;
  const auto before = normal.size() - normal_base.size() - 1;
  if (normal[before] != ',') return false;
  std::size_t backslashes = 0;
  while (backslashes < before && normal[before - 1 - backslashes] == '\\') ++backslashes;
  return backslashes % 2 == 0;
}

bool is_dn(std::string_view text) {
  std::string out;
  return append_normal_dn(text, out);
}

std::string_view without_uid(std::string_view value) {
  if (!value.ends_with("'B")) return value;
  auto at = value.size() - 2;
  while (at > 0 && (value[at - 1] == '0' || value[at - 1] == '1')) --at;
  if (at < 2 || value[at - 1] != '\'' || value[at - 2] != '#') return value;
  return value.substr(0, at - 2);
}

}  // namespace rosterd::connectors::ldap
