// The one file that speaks to libldap (dn.cpp uses its DN parser only). What is odd here is odd for a reason found in libldap 2.5:
// see spec protocols A5 and A6, and the comments beside each step.
#include "connectors/ldap/client.hpp"

#include <ldap.h>
#include <openldap.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "connectors/ldap/tls_explain.hpp"

namespace rosterd::connectors::ldap {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// libldap reads ldap.conf, ~/.ldaprc and LDAP* variables at its first call unless told not to; TLS_REQCERT=never in one of them would
// switch verification off. Before main there is one thread, and setenv is safe only then.
const bool kNoInit = ::setenv("LDAPNOINIT", "1", 1) == 0;

// libldap writes with write(2): a connection closed by the server must be an error, not the end of the process.
void ignore_sigpipe() {
  struct sigaction now{};
  if (::sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) ::signal(SIGPIPE, SIG_IGN);
}

template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using MessagePtr = std::unique_ptr<LDAPMessage, FreeWith<ldap_msgfree>>;
using ControlPtr = std::unique_ptr<LDAPControl, FreeWith<ldap_control_free>>;
using ControlsPtr = std::unique_ptr<LDAPControl*, FreeWith<ldap_controls_free>>;
using MemoryPtr = std::unique_ptr<char, FreeWith<ldap_memfree>>;

struct FreeBer {
  void operator()(BerElement* ber) const { ber_free(ber, 0); }  // 0: the buffer belongs to the message
};
using BerPtr = std::unique_ptr<BerElement, FreeBer>;

std::string url_of(const Target& target) {
  const bool literal_v6 = target.host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}/", target.security == Security::Ldaps ? "ldaps" : "ldap", literal_v6 ? "[" : "", target.host,
                     literal_v6 ? "]" : "", target.port);
}

std::string_view text_of(const berval& value) { return {value.bv_val, value.bv_len}; }

Result<void> set(::ldap* handle, int option, const void* value, std::string_view name) {
  if (ldap_set_option(handle, option, value) == LDAP_OPT_SUCCESS) return {};
  return fail(Errc::Internal, "libldap refused the option {}", name);
}

/// Where the authorities' certificates are while a connection is made.
struct Authorities {
  Fd memory;  ///< of ca_pem
  std::string path, name;
};

/// libldap takes authorities by a file's name only. A text given in the settings lies in memory under a name of this process: nothing to
/// clean up, nothing to read for others.
Result<Authorities> authorities_of(const Target& target) {
  Authorities out;
  if (target.ca_pem.empty()) {
    out.path = target.ca_file;
    out.name = "the CA file " + target.ca_file;
    if (::access(out.path.c_str(), R_OK) == 0) return out;
    return fail(Errc::InvalidInput, "{} can not be read: {}; set ca_file to the certificate of the server's issuer in PEM form", out.name,
                std::strerror(errno));
  }
  out.memory = Fd(::memfd_create("ca_pem", MFD_CLOEXEC));
  const auto written = ::write(out.memory.get(), target.ca_pem.data(), target.ca_pem.size());
  if (written != static_cast<ssize_t>(target.ca_pem.size()))
    return fail(Errc::Unavailable, "keeping ca_pem in memory: {}", std::strerror(errno));
  out.path = fmt::format("/proc/self/fd/{}", out.memory.get());
  out.name = "ca_pem";
  return out;
}

std::string stop_words(std::string_view doing) { return fmt::format("{}: told to stop", doing); }

}  // namespace

std::span<const std::string_view> Entry::find(std::string_view name) const {
  for (const auto& attribute : attributes) {
    if (attribute.name.size() != name.size()) continue;
    if (::strncasecmp(attribute.name.data(), name.data(), name.size()) == 0) return values(attribute);
  }
  return {};
}

Result<std::unique_ptr<Client>> Client::open(const Target& target, const Limits& limits, std::stop_token stop, Steps* steps) {
  Steps unused;
  Steps& at = steps != nullptr ? *steps : unused;
  const auto done = [&at](std::string text) { at.done.push_back({at.current, std::move(text)}); };
  if (!kNoInit) return fail(Errc::Internal, "LDAPNOINIT could not be set; without it libldap may switch verification off");
  ignore_sigpipe();
  const auto until = [&limits] { return std::min<Deadline>(limits.deadline, steady_clock::now() + limits.connect); };

  at.current = "resolve";
  const auto addresses = resolve(target.host, target.port, until(), stop);
  if (!addresses) return fail(addresses.error());
  std::vector<const Address*> allowed;
  std::string refused;
  for (const auto& address : *addresses) {
    const auto range = special_range(address);
    if (range.empty() || is_listed(address, limits.allowed)) {
      allowed.push_back(&address);
    } else {
      refused += fmt::format("{}{} is {}", refused.empty() ? "" : ", ", address.text, range);
    }
  }
  if (allowed.empty())
    return fail(Errc::Refused,
                "{}: {}; directories in such ranges are reached only when allowed_networks of the daemon's configuration lists them",
                target.host, refused.empty() ? "no address" : refused);
  done(fmt::format("{} is {}", target.host, allowed.front()->text));

  at.current = "connect";
  Result<Fd> socket = fail(Errc::Unavailable, "no address");
  const Address* chosen = nullptr;
  for (const auto* address : allowed) {
    chosen = address;
    socket = connect_tcp(*address, until(), limits.silence, stop);
    if (socket || socket.error().code == Errc::Stopped) break;
  }
  if (!socket) return fail(socket.error(), "connecting to {} port {}", chosen->text, target.port);
  done(fmt::format("connected to {} port {}", chosen->text, target.port));

  auto watchdog = std::make_unique<Watchdog>(socket->get(), limits.silence, until(), stop);
  std::unique_ptr<Client> client(new Client(std::move(*socket), std::move(watchdog)));
  at.current = "tls";
  if (auto ok = client->adopt_socket(target, limits); !ok) return fail(ok.error());
  if (target.security != Security::Plain) {
    if (auto ok = client->secure(target, *chosen, limits, stop); !ok) return fail(ok.error());
    done(target.security == Security::Ldaps ? "TLS from the start, certificate verified" : "StartTLS, certificate verified");
  } else {
    done("none: plain text");
  }

  at.current = "bind";
  client->watchdog_->set_deadline(until());
  if (auto ok = client->bind(target); !ok) return fail(ok.error());
  done(target.bind_dn.empty() ? "anonymous, no bind_dn is set" : fmt::format("bound as {}", target.bind_dn));
  client->watchdog_->set_deadline(limits.deadline);
  return client;
}

Client::~Client() {
  // First: from now on nobody shuts the descriptor down. Then unbind, which also closes it.
  watchdog_.reset();
  if (handle_ != nullptr) ldap_unbind_ext(handle_, nullptr, nullptr);
}

Result<void> Client::adopt_socket(const Target& target, const Limits& limits) {
  // The real URL: the host name in it is what the certificate is checked against.
  if (const int rc = ldap_init_fd(socket_.get(), LDAP_PROTO_TCP, url_of(target).c_str(), &handle_); rc != LDAP_SUCCESS)
    return fail(Errc::Internal, "libldap did not take the connection: {}", ldap_err2string(rc));
  (void)socket_.release();  // closed by ldap_unbind_ext from now on

  const int version = LDAP_VERSION3;
  const int never = LDAP_DEREF_NEVER;
  const int none = 0;
  // A referral would hand the bind secret to a server that the directory chooses.
  const std::pair<int, const void*> options[] = {
      {LDAP_OPT_PROTOCOL_VERSION, &version}, {LDAP_OPT_REFERRALS, LDAP_OPT_OFF}, {LDAP_OPT_DEREF, &never},
      {LDAP_OPT_SIZELIMIT, &none},           {LDAP_OPT_TIMELIMIT, &none},        {LDAP_OPT_RESTART, LDAP_OPT_ON}};
  for (const auto& [option, value] : options)
    if (auto ok = set(handle_, option, value, "of the connection"); !ok) return ok;

  Sockbuf* buffer = nullptr;
  if (ldap_get_option(handle_, LDAP_OPT_SOCKBUF, &buffer) != LDAP_OPT_SUCCESS || buffer == nullptr)
    return fail(Errc::Internal, "libldap gave no socket buffer");
  ber_len_t most = limits.message_bytes;  // the default is no limit: a hostile server may announce gigabytes
  ber_sockbuf_ctrl(buffer, LBER_SB_OPT_SET_MAX_INCOMING, &most);
  // Without read-ahead libldap makes two reads and a poll per entry.
  int ahead = 64 * 1024;
  if (ber_sockbuf_add_io(buffer, &ber_sockbuf_io_readahead, LBER_SBIOD_LEVEL_PROVIDER, &ahead) != 0)
    return fail(Errc::Internal, "libldap refused read-ahead");
  return {};
}

Result<void> Client::secure(const Target& target, const Address& address, const Limits& limits, std::stop_token stop) {
  const auto authorities = authorities_of(target);
  if (!authorities) return fail(authorities.error());
  const auto& ca_file = authorities->path;
  const int demand = LDAP_OPT_X_TLS_DEMAND;
  const int minimum = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2;
  const int client_side = 0;
  // NEWCTX last: it makes the handle's own context from what was set before; without it the process-wide context would be used, which
  // knows no CA. REQUIRE_SAN: the default falls back to the common name even where a subject alternative name says otherwise.
  const std::tuple<int, const void*, std::string_view> options[] = {{LDAP_OPT_X_TLS_CACERTFILE, ca_file.c_str(), "CACERTFILE"},
                                                                    {LDAP_OPT_X_TLS_REQUIRE_CERT, &demand, "REQUIRE_CERT"},
                                                                    {LDAP_OPT_X_TLS_REQUIRE_SAN, &demand, "REQUIRE_SAN"},
                                                                    {LDAP_OPT_X_TLS_PROTOCOL_MIN, &minimum, "PROTOCOL_MIN"}};
  for (const auto& [option, value, name] : options)
    if (auto ok = set(handle_, option, value, name); !ok) return ok;
  if (!set(handle_, LDAP_OPT_X_TLS_NEWCTX, &client_side, "NEWCTX"))
    return fail(Errc::InvalidInput, "{} holds no usable certificate in PEM form", authorities->name);

  watchdog_->enter();
  const int rc = target.security == Security::Ldaps ? ldap_install_tls(handle_) : ldap_start_tls_s(handle_, nullptr, nullptr);
  watchdog_->leave();
  if (rc == LDAP_SUCCESS) return {};
  lost_ = true;
  if (watchdog_->reason() != Watchdog::Reason::None) return fail(lost("negotiating TLS"));
  if (rc > 0 && target.security == Security::StartTls && rc != LDAP_CONNECT_ERROR)
    return fail(Errc::Unavailable, "the server refuses StartTLS: {}", in_words(rc, diagnostic()));
  const auto patience = std::min(limits.connect, milliseconds(5000));
  auto why = explain_tls({.address = address,
                          .host = target.host,
                          .ca_file = ca_file,
                          .ca_name = target.ca_pem.empty() ? "" : authorities->name,
                          .start_tls = target.security == Security::StartTls,
                          .patience = patience},
                         std::move(stop));
  if (why.empty()) why = fmt::format("{} ({})", ldap_err2string(rc), diagnostic());
  if (target.host == "localhost") why += "; libldap replaces localhost by this machine's own name: write 127.0.0.1 or the real name in url";
  return fail(Errc::Unavailable, "negotiating TLS with {}: {}", target.host, why);
}

Result<void> Client::bind(const Target& target) {
  // RFC 4513 §5.1.2: a DN with an empty password "succeeds" as nobody.
  if (!target.bind_dn.empty() && target.bind_password.empty()) return fail(Errc::InvalidInput, "bind_dn is set but the password is empty");
  berval password{.bv_len = target.bind_password.size(), .bv_val = const_cast<char*>(target.bind_password.data())};
  int operation = 0;
  watchdog_->enter();
  const int sent = ldap_sasl_bind(handle_, target.bind_dn.c_str(), LDAP_SASL_SIMPLE, &password, nullptr, nullptr, &operation);
  watchdog_->leave();
  if (sent != LDAP_SUCCESS) {
    lost_ = true;
    return fail(lost("sending the bind"));
  }
  const auto message = next(operation);
  if (!message) return fail(message.error(), "waiting for the answer to the bind");
  const MessagePtr keep(*message);
  SearchEnd end;
  if (auto ok = finish(*message, end); !ok) return ok;
  if (end.code == LDAP_SUCCESS) return {};
  const bool credentials = end.code == code::kInvalidCredentials || end.code == code::kInappropriateAuth;
  return fail(credentials ? Errc::Unauthorized : Errc::Unavailable, "binding as {}: {}", target.bind_dn.empty() ? "nobody" : target.bind_dn,
              bind_in_words(end.code, end.text));
}

Result<SearchEnd> Client::search(const Search& request, const OnEntry& on_entry) {
  if (lost_) return fail(Errc::Unavailable, "the connection was lost before");
  ControlPtr paging;
  if (request.page) {
    berval cookie{.bv_len = request.page->cookie.size(), .bv_val = const_cast<char*>(request.page->cookie.data())};
    LDAPControl* control = nullptr;
    if (ldap_create_page_control(handle_, static_cast<ber_int_t>(request.page->size), request.page->cookie.empty() ? nullptr : &cookie, 1,
                                 &control) != LDAP_SUCCESS)
      return fail(Errc::Internal, "libldap could not make the paging control");
    paging.reset(control);
  }
  LDAPControl* controls[] = {paging.get(), nullptr};
  std::vector<char*> names;
  for (const auto& name : request.attributes) names.push_back(const_cast<char*>(name.c_str()));
  names.push_back(nullptr);

  int operation = 0;
  watchdog_->enter();
  const int sent = ldap_search_ext(handle_, request.base.c_str(), static_cast<int>(request.scope), request.filter.c_str(), names.data(), 0,
                                   controls, nullptr, nullptr, static_cast<int>(request.size_limit), &operation);
  watchdog_->leave();
  if (sent == LDAP_FILTER_ERROR) return fail(Errc::InvalidInput, "libldap refuses the filter {}", request.filter);
  if (sent != LDAP_SUCCESS) {
    lost_ = true;
    return fail(lost("sending a search"));
  }

  SearchEnd end;
  for (;;) {
    const auto received = next(operation);
    if (!received) return fail(received.error());
    const MessagePtr message(*received);
    switch (ldap_msgtype(message.get())) {
      case LDAP_RES_SEARCH_ENTRY: {
        if (auto ok = decode(message.get()); !ok) return fail(ok.error());
        ++end.entries;
        if (on_entry(entry_)) break;
        ldap_abandon_ext(handle_, operation, nullptr, nullptr);
        return fail(Errc::Stopped, "the receiver wants no more");
      }
      case LDAP_RES_SEARCH_REFERENCE:
        ++end.references;
        break;
      case LDAP_RES_SEARCH_RESULT: {
        if (auto ok = finish(message.get(), end); !ok) return fail(ok.error());
        return end;
      }
      default:
        break;  // intermediate responses (RFC 4511 §4.13) that nobody asked for
    }
  }
}

Result<ldapmsg*> Client::next(int operation) {
  LDAPMessage* message = nullptr;
  watchdog_->enter();
  // One message at a time, never a whole result in memory. libldap looks into its TLS and read-ahead buffers before it polls the
  // descriptor; without a timeout it polls once per wait, and the watchdog ends a wait that is too long.
  const int kind = ldap_result(handle_, operation, LDAP_MSG_ONE, nullptr, &message);
  watchdog_->leave();
  if (kind > 0 && watchdog_->reason() == Watchdog::Reason::None) return message;
  if (kind > 0) ldap_msgfree(message);
  lost_ = true;
  return fail(lost("reading"));
}

Result<void> Client::decode(ldapmsg* message) {
  entry_.attributes.clear();
  entry_.pool.clear();
  BerElement* raw = nullptr;
  berval dn{};
  if (ldap_get_dn_ber(handle_, message, &raw, &dn) != LDAP_SUCCESS) {
    lost_ = true;
    return fail(Errc::Unavailable, "the server sent an entry that is no valid LDAP");
  }
  const BerPtr ber(raw);
  entry_.dn = text_of(dn);
  for (;;) {
    berval name{};
    berval* values = nullptr;
    const int rc = ldap_get_attribute_ber(handle_, message, ber.get(), &name, &values);
    const std::unique_ptr<berval, FreeWith<ber_memfree>> keep(values);  // the array only: names and values lie in the message
    if (rc != LDAP_SUCCESS) {
      lost_ = true;
      return fail(Errc::Unavailable, "the server sent an entry that is no valid LDAP ({})", entry_.dn);
    }
    if (name.bv_val == nullptr) return {};
    Attribute attribute{.name = text_of(name), .first = entry_.pool.size()};
    for (const berval* value = values; value != nullptr && value->bv_val != nullptr; ++value) entry_.pool.push_back(text_of(*value));
    attribute.count = entry_.pool.size() - attribute.first;
    entry_.attributes.push_back(attribute);
  }
}

Result<void> Client::finish(ldapmsg* message, SearchEnd& end) {
  char* matched = nullptr;
  char* text = nullptr;
  char** referrals = nullptr;
  LDAPControl** controls = nullptr;
  const int rc = ldap_parse_result(handle_, message, &end.code, &matched, &text, &referrals, &controls, 0);
  const MemoryPtr keep_matched(matched);
  const MemoryPtr keep_text(text);
  const ControlsPtr keep_controls(controls);
  if (referrals != nullptr) ldap_memvfree(reinterpret_cast<void**>(referrals));
  if (rc != LDAP_SUCCESS) {
    lost_ = true;
    return fail(Errc::Unavailable, "the server's final result can not be read: {}", ldap_err2string(rc));
  }
  if (text != nullptr) end.text = text;
  LDAPControl* const page = controls == nullptr ? nullptr : ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, controls, nullptr);
  if (page != nullptr) {
    ber_int_t total = 0;
    berval cookie{};
    end.paged = ldap_parse_pageresponse_control(handle_, page, &total, &cookie) == LDAP_SUCCESS;
    if (end.paged) end.cookie.assign(cookie.bv_val == nullptr ? "" : cookie.bv_val, cookie.bv_len);
    ber_memfree(cookie.bv_val);
  }
  return {};
}

std::string Client::diagnostic() const {
  char* text = nullptr;
  ldap_get_option(handle_, LDAP_OPT_DIAGNOSTIC_MESSAGE, &text);
  const MemoryPtr keep(text);
  return text == nullptr ? "no further words" : text;
}

Error Client::lost(std::string_view doing) {
  switch (watchdog_->reason()) {
    case Watchdog::Reason::Stopped:
      return {.code = Errc::Stopped, .what = stop_words(doing), .slug = {}};
    case Watchdog::Reason::Silence:
      return {.code = Errc::Unavailable, .what = fmt::format("{}: the server went silent; the connection was given up", doing), .slug = {}};
    case Watchdog::Reason::Late:
      return {.code = Errc::Unavailable, .what = fmt::format("{}: the deadline passed before the server was done", doing), .slug = {}};
    case Watchdog::Reason::None:
      break;
  }
  int error = 0;
  ldap_get_option(handle_, LDAP_OPT_RESULT_CODE, &error);
  const auto kind =
      error == LDAP_DECODING_ERROR ? "the server sent what is no LDAP, or a message above the limit" : "the server closed the connection";
  return {.code = Errc::Unavailable, .what = fmt::format("{}: {}", doing, kind), .slug = {}};
}

}  // namespace rosterd::connectors::ldap
