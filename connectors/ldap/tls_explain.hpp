#pragma once
// Says in words why a server's certificate was refused. libldap on GnuTLS reports every such failure as one and the same error; the
// connection has already been given up when this runs, and nothing but a handshake is ever sent.

#include <string>

#include "connectors/ldap/net.hpp"

namespace rosterd::connectors::ldap {

struct TlsQuestion {
  const Address& address;
  std::string host;
  std::string ca_file;
  bool start_tls = false;
  std::chrono::milliseconds patience{5000};
};

/// "the certificate expired on …; renew it", or empty when a second look found nothing wrong.
[[nodiscard]] std::string explain_tls(const TlsQuestion& question, std::stop_token stop);

}  // namespace rosterd::connectors::ldap
