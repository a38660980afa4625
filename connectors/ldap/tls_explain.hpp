#pragma once
// Says in words why a server's certificate was refused, and whether a text holds certificates at all. libldap on GnuTLS reports every such
// failure as one and the same error; the connection has already been given up when this runs, and nothing but a handshake is ever sent.

#include <string>
#include <string_view>

#include "connectors/net.hpp"

namespace rosterd::connectors::ldap {

struct TlsQuestion {
  const Address& address;
  std::string host;
  std::string ca_file;
  std::string ca_name{};  ///< what to call it in words, when ca_file is no name that anybody gave
  bool start_tls = false;
  std::chrono::milliseconds patience{5000};
  [[nodiscard]] const std::string& shown() const { return ca_name.empty() ? ca_file : ca_name; }
};

/// "the certificate expired on …; renew it", or empty when a second look found nothing wrong.
[[nodiscard]] std::string explain_tls(const TlsQuestion& question, std::stop_token stop);

/// What keeps a text from being certificates in PEM form, in words; empty for one or more of them.
[[nodiscard]] std::string trouble_with_certificates(std::string_view pem);

}  // namespace rosterd::connectors::ldap
