#include "connectors/ldap/tls_explain.hpp"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>

namespace rosterd::connectors::ldap {
namespace {

template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using CtxPtr = std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, FreeWith<SSL_free>>;
using BioPtr = std::unique_ptr<BIO, FreeWith<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, FreeWith<X509_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, FreeWith<GENERAL_NAMES_free>>;

std::string read_all(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

std::string time_text(const ASN1_TIME* time) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  return ASN1_TIME_print(bio.get(), time) == 1 ? read_all(bio.get()) : "an unreadable date";
}

std::string name_text(const X509_NAME* name) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253);
  return read_all(bio.get());
}

std::string names_in(X509* certificate) {
  const NamesPtr names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::string out;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    std::string text;
    if (name->type == GEN_DNS) {
      text.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                  static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
    } else if (name->type == GEN_IPADD) {
      char buffer[INET6_ADDRSTRLEN] = {};
      const int family = ASN1_STRING_length(name->d.iPAddress) == 4 ? AF_INET : AF_INET6;
      if (inet_ntop(family, ASN1_STRING_get0_data(name->d.iPAddress), buffer, sizeof buffer) != nullptr) text = buffer;
    }
    if (text.empty()) continue;
    if (!out.empty()) out += ", ";
    out += text;
  }
  return out.empty() ? "no subject alternative name" : out;
}

bool ask_for_tls(int fd) {
  // ExtendedRequest 1.3.6.1.4.1.1466.20037 (RFC 4511 §4.14) as message 1; the answer's resultCode follows the tag 0x0a 0x01.
  constexpr std::string_view kRequest(
      "\x30\x1d\x02\x01\x01\x77\x18\x80\x16"
      "1.3.6.1.4.1.1466.20037",
      31);
  if (::send(fd, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(kRequest.size())) return false;
  char answer[512];
  const auto got = ::recv(fd, answer, sizeof answer, 0);
  if (got <= 0) return false;
  return std::string_view(answer, static_cast<std::size_t>(got)).find(std::string_view("\x0a\x01\x00", 3)) != std::string_view::npos;
}

std::string in_words(long code, X509* certificate, const TlsQuestion& question) {
  switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return fmt::format("the certificate expired on {}; renew the server's certificate", time_text(X509_get0_notAfter(certificate)));
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return fmt::format("the certificate is valid only from {}; check the clocks of both machines",
                         time_text(X509_get0_notBefore(certificate)));
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return fmt::format("the certificate is made for another name: it names {}, the url says {}; use a name of the certificate in url",
                         names_in(certificate), question.host);
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return fmt::format("the certificate was issued by \"{}\", which {} does not hold; put the issuer's certificate into {}",
                         name_text(X509_get_issuer_name(certificate)), question.shown(),
                         question.ca_name.empty() ? "ca_file" : question.ca_name);
    default:
      return fmt::format("the certificate was refused: {}", X509_verify_cert_error_string(code));
  }
}

}  // namespace

std::string explain_tls(const TlsQuestion& question, std::stop_token stop) {
  const auto fd = connect_tcp(question.address, std::chrono::steady_clock::now() + question.patience, question.patience, stop);
  if (!fd) return {};
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(question.patience).count();
  const timeval limit{.tv_sec = micros / 1'000'000, .tv_usec = micros % 1'000'000};
  ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd->get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const std::stop_callback on_stop(stop, [&fd] { ::shutdown(fd->get(), SHUT_RDWR); });
  if (question.start_tls && !ask_for_tls(fd->get())) return {};

  const CtxPtr context(SSL_CTX_new(TLS_client_method()));
  if (!context || SSL_CTX_load_verify_file(context.get(), question.ca_file.c_str()) != 1)
    return fmt::format("{} holds no readable certificate in PEM form", question.shown());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  const SslPtr ssl(SSL_new(context.get()));
  SSL_set_verify(ssl.get(), SSL_VERIFY_PEER, nullptr);
  X509_VERIFY_PARAM* const verify = SSL_get0_param(ssl.get());
  if (X509_VERIFY_PARAM_set1_ip_asc(verify, question.host.c_str()) != 1) {
    SSL_set_tlsext_host_name(ssl.get(), question.host.c_str());
    SSL_set1_host(ssl.get(), question.host.c_str());
  }
  SSL_set_fd(ssl.get(), fd->get());
  ERR_clear_error();
  const bool shaken = SSL_connect(ssl.get()) == 1;
  const long code = SSL_get_verify_result(ssl.get());
  const X509Ptr certificate(SSL_get1_peer_certificate(ssl.get()));
  if (code != X509_V_OK) {
    // After a failed verification the peer's certificate is not kept everywhere; the chain is.
    STACK_OF(X509)* const chain = SSL_get_peer_cert_chain(ssl.get());
    X509* const leaf = certificate ? certificate.get() : (chain != nullptr && sk_X509_num(chain) > 0 ? sk_X509_value(chain, 0) : nullptr);
    if (leaf != nullptr) return in_words(code, leaf, question);
    return fmt::format("the certificate was refused: {}", X509_verify_cert_error_string(code));
  }
  if (shaken) return {};
  const auto error = ERR_peek_error();
  if (error == 0) return {};
  char text[256] = {};
  ERR_error_string_n(error, text, sizeof text);
  return fmt::format("the handshake failed: {}; is this a TLS port, and does the server speak TLS 1.2 or newer?", text);
}

std::string trouble_with_certificates(std::string_view pem) {
  if (pem.find("PRIVATE KEY-----") != std::string_view::npos) return "holds a private key; give the issuer's certificate only";
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  std::size_t found = 0;
  while (const X509Ptr certificate{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) ++found;
  const auto error = ERR_peek_last_error();
  ERR_clear_error();
  if (found == 0) return "holds no readable certificate in PEM form (-----BEGIN CERTIFICATE----- …)";
  // The end of the text reads as "no start line"; anything else is a certificate that could not be read.
  if (ERR_GET_REASON(error) != PEM_R_NO_START_LINE) return fmt::format("certificate {} is damaged", found + 1);
  return {};
}

}  // namespace rosterd::connectors::ldap
