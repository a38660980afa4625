// Result codes in words. What the server said itself is always quoted; what helps is added where the cause is known.
#include "connectors/ldap/client.hpp"

namespace rosterd::connectors::ldap {
namespace {

struct Words {
  int code;
  std::string_view text;
};

constexpr Words kWords[] = {
    {code::kOperationsError, "operations error; Active Directory says this to a search before a bind: set bind_dn and bind_password"},
    {2, "protocol error"},
    {code::kTimeLimit,
     "the server's time limit was reached; raise it for the bind account (slapd: limits … time=unlimited; 389: nsTimeLimit -1)"},
    {code::kSizeLimit,
     "the server's size limit was reached; lift it for the bind account (slapd: limits dn.exact=… size=unlimited size.prtotal=unlimited; "
     "389: nsSizeLimit -1)"},
    {code::kStrongAuthRequired, "the server wants an encrypted connection for a password; use ldaps:// or start_tls"},
    {code::kReferral, "the server refers to another server and holds nothing under this base itself; check url and base"},
    {code::kAdminLimit,
     "the server's administrative limit was reached; lift it for the bind account (slapd: limits … size=unlimited size.pr=unlimited; "
     "389: nsLookThroughLimit -1)"},
    {code::kUnavailableCriticalExtension, "the server does not know the paging control, or not here"},
    {code::kConfidentialityRequired, "the server wants an encrypted connection; use ldaps:// or start_tls"},
    {code::kNoSuchObject, "there is no such object, or the bind account may not see it; check the base and the account's read rights"},
    {code::kInvalidDn, "this is no valid DN to the server; check its spelling"},
    {code::kInappropriateAuth, "this way to authenticate is not allowed for this account; set bind_dn and bind_password"},
    {code::kInvalidCredentials, "wrong bind_dn or bind_password"},
    {code::kInsufficientAccess, "the bind account has no right to read this; grant it read access"},
    {code::kBusy, "the server is busy"},
    {code::kUnavailable, "the server is shutting down or not ready"},
    {code::kUnwilling, "the server is unwilling to do this"},
    {80, "the server reports an internal error"},
};

// MS-ERREF codes that AD puts into the message of result 49 as "data XXX".
struct Data {
  std::string_view code, text;
};
constexpr Data kData[] = {
    {"525", "there is no such account; check bind_dn"},
    {"52e", "the account exists, the password is wrong; check bind_password"},
    {"530", "the account may not log on at this time"},
    {"531", "the account may not log on from this machine"},
    {"532", "the account's password has expired; set a new one, for a service account without expiry"},
    {"533", "the account is disabled"},
    {"701", "the account has expired"},
    {"773", "the account must change its password first; clear \"must change password at next logon\""},
    {"775", "the account is locked out"},
};

std::string quoted(std::string_view text) {
  // A directory's own words go into logs and answers: without control characters, and not endless.
  std::string out;
  for (const char c : text.substr(0, 400)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

}  // namespace

std::string in_words(int code, std::string_view text) {
  const auto said = quoted(text);
  std::string out;
  for (const auto& words : kWords)
    if (words.code == code) out = words.text;
  if (out.empty()) out = "the server refused";
  out += fmt::format(" (result {}", code);
  if (!said.empty()) out += fmt::format(": {}", said);
  return out += ')';
}

std::string bind_in_words(int code, std::string_view text) {
  if (code == code::kInvalidCredentials) {
    const auto at = text.find("data ");
    if (at != std::string_view::npos) {
      const auto data = text.substr(at + 5, 3);
      for (const auto& row : kData)
        if (row.code == data) return fmt::format("{} (result 49, data {})", row.text, data);
    }
  }
  return in_words(code, text);
}

std::string_view name_of(Scope scope) {
  switch (scope) {
    case Scope::Base:
      return "base";
    case Scope::One:
      return "one";
    case Scope::Subtree:
      return "subtree";
  }
  return "";
}

}  // namespace rosterd::connectors::ldap
