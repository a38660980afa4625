#pragma once
// A small LDAP server that misbehaves on request: it stays mute, cuts answers off, announces gigabytes, splits member lists the way
// Windows does. It speaks just enough BER (RFC 4511) for the client under test; a real slapd is in slapd.hpp.

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace rosterd::test {

/// One request, decoded as far as tests need it.
struct LdapRequest {
  enum class Kind { Bind, Unbind, Search, Abandon, Extended, Other };
  Kind kind = Kind::Other;
  std::int64_t id = 0;
  std::string base;  ///< Search
  int scope = 0;
  std::vector<std::string> attributes;
  bool paged = false;  ///< carries the paging control
  std::int64_t page_size = 0;
  std::string cookie;
  [[nodiscard]] bool asks_for(std::string_view attribute) const;
};

using LdapAttributes = std::vector<std::pair<std::string, std::vector<std::string>>>;

/// Encoders of whole messages.
[[nodiscard]] std::string ldap_entry(std::int64_t id, std::string_view dn, const LdapAttributes& attributes);
[[nodiscard]] std::string ldap_reference(std::int64_t id, std::string_view url);
/// SearchResultDone; with `cookie` not null it carries the paging control.
[[nodiscard]] std::string ldap_done(std::int64_t id, int code, std::string_view text = {}, const std::string* cookie = nullptr);

class LdapConnection {
 public:
  explicit LdapConnection(int fd) : fd_(fd) {}
  void send(std::string_view bytes);
  void entry(const LdapRequest& request, std::string_view dn, const LdapAttributes& attributes) {
    send(ldap_entry(request.id, dn, attributes));
  }
  /// Success and, where the request was paged, an empty cookie.
  void done(const LdapRequest& request, int code = 0, std::string_view text = {});
  void page_done(const LdapRequest& request, const std::string& cookie) { send(ldap_done(request.id, 0, {}, &cookie)); }
  void reset();  ///< RST: unsent data is thrown away
  void close();  ///< FIN
  void mute();   ///< answers nothing more, keeps the connection

 private:
  friend class LdapFaultServer;
  int fd_;
  bool over_ = false;
  bool mute_ = false;
};

class LdapFaultServer {
 public:
  /// Answers a request and says true, or leaves it to the default: binds succeed, the root DSE knows paging (and is that of an AD when
  /// `active_directory`), a base-scope search finds its base, other searches find nothing.
  using Handler = std::function<bool(LdapConnection&, const LdapRequest&)>;
  struct Options {
    Handler handler{};
    bool active_directory = false;
    bool mute_from_start = false;  ///< accepts connections and never reads: a TLS client hangs
  };
  explicit LdapFaultServer(Options options);
  ~LdapFaultServer();
  LdapFaultServer(const LdapFaultServer&) = delete;
  LdapFaultServer& operator=(const LdapFaultServer&) = delete;
  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] std::string url(std::string_view scheme = "ldap") const;
  [[nodiscard]] int connections() const { return connections_; }

 private:
  void serve(int fd);
  void answer(LdapConnection& connection, const LdapRequest& request) const;
  Options options_;
  int port_ = 0;  // set while listener_ is made
  int listener_ = -1;
  std::atomic<int> connections_{0};
  std::mutex mutex_;
  std::vector<int> open_;              // under mutex_
  std::vector<std::jthread> workers_;  // used by the accepting thread, then by the destructor
  std::jthread acceptor_;
};

/// A port of 127.0.0.1 that never completes a connection: its queue is full. Holds it full while it lives.
class SilentPort {
 public:
  SilentPort();
  ~SilentPort();
  SilentPort(const SilentPort&) = delete;
  SilentPort& operator=(const SilentPort&) = delete;
  [[nodiscard]] int port() const { return port_; }

 private:
  int port_ = 0;  // set while listener_ is made
  int listener_ = -1;
  std::vector<int> fillers_;
};

}  // namespace rosterd::test
