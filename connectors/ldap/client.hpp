#pragma once
// One connection to one LDAP server: connect, secure, bind, search. Everything libldap does or does badly is behind this header; a
// caller sees entries, result codes and errors in words. One client has one owner; a client that lost its server stays lost.

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/ldap/watchdog.hpp"
#include "connectors/net.hpp"

struct ldap;
struct ldapmsg;

namespace rosterd::connectors::ldap {

enum class Security { Plain, StartTls, Ldaps };

struct Target {
  std::string host;
  std::uint16_t port = 389;
  Security security = Security::Plain;
  std::string ca_file;
  std::string ca_pem{};  ///< the certificates themselves; used instead of ca_file unless empty
  std::string bind_dn;   ///< empty = anonymous
  std::string bind_password;
};

struct Limits {
  std::chrono::milliseconds connect{10'000};
  std::chrono::milliseconds silence{30'000};
  Deadline deadline = Deadline::max();  ///< of the whole life of the client
  std::uint64_t message_bytes = 256ull << 20;
  std::span<const Network> allowed{};
};

enum class Scope { Base = 0, One = 1, Subtree = 2 };  // RFC 4511 §4.5.1.2
[[nodiscard]] std::string_view name_of(Scope scope);

/// Result codes of RFC 4511 that rosterd acts on; any other number may come as well.
namespace code {
inline constexpr int kSuccess = 0, kOperationsError = 1, kTimeLimit = 3, kSizeLimit = 4, kStrongAuthRequired = 8, kReferral = 10,
                     kAdminLimit = 11, kUnavailableCriticalExtension = 12, kConfidentialityRequired = 13, kNoSuchAttribute = 16,
                     kNoSuchObject = 32, kInvalidDn = 34, kInappropriateAuth = 48, kInvalidCredentials = 49, kInsufficientAccess = 50,
                     kBusy = 51, kUnavailable = 52, kUnwilling = 53;
}

struct Attribute {
  std::string_view name;  ///< with options, as the server wrote it
  std::size_t first = 0, count = 0;
};

/// One entry, decoded in place: the views live until the callback returns.
struct Entry {
  std::string_view dn;
  std::vector<Attribute> attributes;
  std::vector<std::string_view> pool;
  [[nodiscard]] std::span<const std::string_view> values(const Attribute& attribute) const {
    return std::span(pool).subspan(attribute.first, attribute.count);
  }
  /// Values of the attribute of this very name (no options); empty when there is none.
  [[nodiscard]] std::span<const std::string_view> find(std::string_view name) const;
};

struct Page {
  std::uint32_t size = 1000;
  std::string cookie;
};

struct Search {
  std::string base{};
  Scope scope = Scope::Subtree;
  std::string filter = "(objectClass=*)";
  std::vector<std::string> attributes{};
  std::uint32_t size_limit = 0;
  std::optional<Page> page{};
};

/// How a search ended: the server's own final result, always there.
struct SearchEnd {
  int code = 0;
  std::string text;  ///< the server's diagnostic message
  std::uint64_t entries = 0;
  std::uint64_t references = 0;  ///< continuation references, counted and never followed
  bool paged = false;            ///< the answer carried the paging control
  std::string cookie;            ///< of the next page; empty = the last one
};

/// False = stop here.
using OnEntry = std::function<bool(const Entry&)>;

/// What a connection went through, for `test`; on failure the last step is the one that failed.
struct Steps {
  struct Step {
    std::string name, text;
  };
  std::vector<Step> done;
  std::string current;
};

class Client {
 public:
  /// Resolves, connects, secures and binds (protocols A5). Errors say what to mend.
  [[nodiscard]] static Result<std::unique_ptr<Client>> open(const Target& target, const Limits& limits, std::stop_token stop,
                                                            Steps* steps = nullptr);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Gives the server's final result, whatever its code. Error: the connection was lost, too slow, or stopped before a final result
  /// came (Unavailable, Stopped), or the request was refused locally (InvalidInput).
  [[nodiscard]] Result<SearchEnd> search(const Search& request, const OnEntry& on_entry);
  [[nodiscard]] bool is_lost() const { return lost_; }

 private:
  Client(Fd socket, std::unique_ptr<Watchdog> watchdog) : socket_(std::move(socket)), watchdog_(std::move(watchdog)) {}
  [[nodiscard]] Result<void> adopt_socket(const Target& target, const Limits& limits);
  [[nodiscard]] Result<void> secure(const Target& target, const Address& address, const Limits& limits, std::stop_token stop);
  [[nodiscard]] Result<void> bind(const Target& target);
  /// The next message of one operation; waits for it.
  [[nodiscard]] Result<ldapmsg*> next(int operation);
  [[nodiscard]] Result<void> decode(ldapmsg* message);
  [[nodiscard]] Result<void> finish(ldapmsg* message, SearchEnd& end);
  [[nodiscard]] Error lost(std::string_view doing);
  [[nodiscard]] std::string diagnostic() const;

  Fd socket_;  // until libldap has taken it over
  std::unique_ptr<Watchdog> watchdog_;
  ::ldap* handle_ = nullptr;
  bool lost_ = false;
  Entry entry_;
};

/// A result code in words with how to mend it; `text` is the server's own message.
[[nodiscard]] std::string in_words(int code, std::string_view text);
/// The same for a refused bind, with Active Directory's sub-codes ("data 52e").
[[nodiscard]] std::string bind_in_words(int code, std::string_view text);

}  // namespace rosterd::connectors::ldap
