#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <nlohmann/json.hpp>

#include "connectors/oidc/base64.hpp"
#include "connectors/oidc/tokens.hpp"

namespace rosterd::connectors::oidc {
namespace {

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(BIO* bio) const { BIO_free_all(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(ECDSA_SIG* signature) const { ECDSA_SIG_free(signature); }
};

constexpr int kP256Bytes = 32;

/// An encrypted key would make OpenSSL ask the terminal.
int no_password(char*, int, int, void*) { return 0; }

/// RFC 7518 §3.4: r and s behind each other, 32 bytes each; OpenSSL speaks DER.
std::string raw_from_der(const std::string& der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const std::unique_ptr<ECDSA_SIG, Free> signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  std::string out(2 * kP256Bytes, '\0');
  auto* const into = reinterpret_cast<unsigned char*>(out.data());
  if (!signature || BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), into, kP256Bytes) < 0 ||
      BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), into + kP256Bytes, kP256Bytes) < 0)
    return {};
  return out;
}

}  // namespace

std::string base64(std::string_view bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // OpenSSL ends it with a NUL
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

std::string base64url(std::string_view bytes) {
  auto out = base64(bytes);
  while (out.ends_with('=')) out.pop_back();
  for (auto& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return out;
}

struct SigningKey::Key {
  std::unique_ptr<EVP_PKEY, Free> key;
  bool rsa = false;
};

Result<SigningKey> SigningKey::parse(const std::string& pem) {
  const std::unique_ptr<BIO, Free> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  auto parsed = std::make_shared<Key>();
  parsed->key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
  if (!parsed->key) return fail(Errc::InvalidInput, "is no unencrypted private key in PEM form (-----BEGIN PRIVATE KEY-----)");
  EVP_PKEY* const key = parsed->key.get();
  if (EVP_PKEY_is_a(key, "RSA") == 1) {
    if (EVP_PKEY_get_bits(key) < 2048) return fail(Errc::InvalidInput, "is an RSA key of less than 2048 bits");
    parsed->rsa = true;
  } else {
    std::array<char, 64> group{};
    const bool is_p256 = EVP_PKEY_is_a(key, "EC") == 1 && EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) == 1 &&
                         std::string_view(group.data()) == "prime256v1";
    if (!is_p256) return fail(Errc::InvalidInput, "must be an RSA key (RS256) or an EC key on P-256 (ES256)");
  }
  SigningKey out;
  out.key_ = std::move(parsed);
  return out;
}

Result<void> SigningKey::name_certificate(const std::string& pem) {
  const std::unique_ptr<BIO, Free> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const std::unique_ptr<X509, Free> certificate(PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr));
  if (!certificate) return fail(Errc::InvalidInput, "is no certificate in PEM form (-----BEGIN CERTIFICATE-----)");
  if (X509_check_private_key(certificate.get(), key_->key.get()) != 1)
    return fail(Errc::InvalidInput, "is not the certificate of private_key");
  const auto thumbprint = [&](const EVP_MD* by) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    if (X509_digest(certificate.get(), by, digest.data(), &size) != 1) return std::string();
    return base64url({reinterpret_cast<const char*>(digest.data()), size});
  };
  sha1_ = thumbprint(EVP_sha1());  // says which certificate, secures nothing
  sha256_ = thumbprint(EVP_sha256());
  if (sha1_.empty() || sha256_.empty()) return fail(Errc::Internal, "OpenSSL could not make the thumbprint of the certificate");
  return {};
}

std::string_view SigningKey::algorithm() const { return key_->rsa ? "RS256" : "ES256"; }

Result<std::string> SigningKey::sign(std::string_view payload, std::string_view key_id) const {
  nlohmann::json header = {{"alg", algorithm()}, {"typ", "JWT"}};
  if (!key_id.empty()) header["kid"] = key_id;
  if (!sha1_.empty()) {
    header["x5t"] = sha1_;
    header["x5t#S256"] = sha256_;
  }
  auto text = base64url(header.dump()) + "." + base64url(payload);
  const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  const auto* const bytes = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t size = 0;
  if (!context || EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_->key.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, bytes, text.size()) != 1)
    return fail(Errc::Internal, "OpenSSL could not sign");
  std::string signature(size, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, bytes, text.size()) != 1)
    return fail(Errc::Internal, "OpenSSL could not sign");
  signature.resize(size);
  if (!key_->rsa) signature = raw_from_der(signature);
  if (signature.empty()) return fail(Errc::Internal, "OpenSSL could not sign");
  text += "." + base64url(signature);
  return text;
}

}  // namespace rosterd::connectors::oidc
