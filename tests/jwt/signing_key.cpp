#include "tests/jwt/signing_key.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <stdexcept>

#include "connectors/oidc/jwt/base64url.hpp"

namespace rosterd::test {
namespace {

using jwt::base64url_encode;
using nlohmann::json;

void must(bool done, const char* what) {
  if (!done) throw std::runtime_error(std::string("SigningKey: ") + what);
}

std::shared_ptr<EVP_PKEY> hold(EVP_PKEY* key) {
  must(key != nullptr, "making a key");
  return {key, EVP_PKEY_free};
}

/// A number of the key, big-endian, `size` bytes or as many as it has.
std::string number(EVP_PKEY* key, const char* name, int size = 0) {
  BIGNUM* value = nullptr;
  must(EVP_PKEY_get_bn_param(key, name, &value) == 1, name);
  const int bytes = size > 0 ? size : BN_num_bytes(value);
  std::string out(static_cast<std::size_t>(bytes), '\0');
  BN_bn2binpad(value, reinterpret_cast<unsigned char*>(out.data()), bytes);
  BN_free(value);
  return out;
}

/// DER to r‖s.
std::string raw_signature(std::string_view der, int half) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  ECDSA_SIG* parsed = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
  must(parsed != nullptr, "reading a signature");
  std::string out(static_cast<std::size_t>(2 * half), '\0');
  BN_bn2binpad(ECDSA_SIG_get0_r(parsed), reinterpret_cast<unsigned char*>(out.data()), half);
  BN_bn2binpad(ECDSA_SIG_get0_s(parsed), reinterpret_cast<unsigned char*>(out.data()) + half, half);
  ECDSA_SIG_free(parsed);
  return out;
}

int half_of(const EVP_PKEY* key) { return (EVP_PKEY_get_bits(key) + 7) / 8; }

}  // namespace

SigningKey SigningKey::rsa(std::string kid, int bits, unsigned exponent) {
  SigningKey out;
  out.kid_ = std::move(kid);
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr);
  BIGNUM* e = BN_new();
  BN_set_word(e, exponent);
  EVP_PKEY* key = nullptr;
  const bool made = EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits) == 1 &&
                    EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context, e) == 1 && EVP_PKEY_generate(context, &key) == 1;
  BN_free(e);
  EVP_PKEY_CTX_free(context);
  must(made, "making an RSA key");
  out.key_ = hold(key);
  return out;
}

SigningKey SigningKey::curve(std::string kid, const char* group) {
  SigningKey out;
  out.kid_ = std::move(kid);
  out.key_ = hold(EVP_EC_gen(group));
  return out;
}

SigningKey SigningKey::ed25519(std::string kid) {
  SigningKey out;
  out.kid_ = std::move(kid);
  out.key_ = hold(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  return out;
}

json SigningKey::jwk(std::string_view alg) const {
  json out{{"kid", kid_}, {"use", "sig"}};
  if (!alg.empty()) out["alg"] = alg;
  auto* key = key_.get();
  if (EVP_PKEY_is_a(key, "RSA") == 1) {
    out["kty"] = "RSA";
    out["n"] = base64url_encode(number(key, OSSL_PKEY_PARAM_RSA_N));
    out["e"] = base64url_encode(number(key, OSSL_PKEY_PARAM_RSA_E));
  } else if (EVP_PKEY_is_a(key, "EC") == 1) {
    const int half = half_of(key);
    out["kty"] = "EC";
    out["crv"] = half == 32 ? "P-256" : half == 48 ? "P-384" : "P-521";
    out["x"] = base64url_encode(number(key, OSSL_PKEY_PARAM_EC_PUB_X, half));
    out["y"] = base64url_encode(number(key, OSSL_PKEY_PARAM_EC_PUB_Y, half));
  } else {
    std::string raw(32, '\0');
    std::size_t size = raw.size();
    must(EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(raw.data()), &size) == 1, "reading a key");
    out["kty"] = "OKP";
    out["crv"] = "Ed25519";
    out["x"] = base64url_encode(raw);
  }
  return out;
}

std::string SigningKey::key_set() const { return json{{"keys", json::array({jwk()})}}.dump(); }

std::string SigningKey::signature(std::string_view alg, std::string_view bytes) const {
  const char* digest = alg.ends_with("256") ? "SHA256" : alg.ends_with("384") ? "SHA384" : alg.ends_with("512") ? "SHA512" : nullptr;
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* of_key = nullptr;
  must(EVP_DigestSignInit_ex(context, &of_key, digest, nullptr, nullptr, key_.get(), nullptr) == 1, "signing");
  if (alg.starts_with("PS"))
    must(EVP_PKEY_CTX_set_rsa_padding(of_key, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(of_key, RSA_PSS_SALTLEN_DIGEST) == 1,
         "padding");
  std::string out(1024, '\0');
  std::size_t size = out.size();
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  must(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(out.data()), &size, data, bytes.size()) == 1, "signing");
  EVP_MD_CTX_free(context);
  out.resize(size);
  return EVP_PKEY_is_a(key_.get(), "EC") == 1 ? raw_signature(out, half_of(key_.get())) : out;
}

std::string SigningKey::token_of_texts(std::string_view alg, std::string_view header, std::string_view payload) const {
  const auto signed_part = base64url_encode(header) + '.' + base64url_encode(payload);
  return signed_part + '.' + base64url_encode(signature(alg, signed_part));
}

std::string SigningKey::token(std::string_view alg, const json& claims, const json& header) const {
  json whole{{"alg", alg}};
  if (!kid_.empty()) whole["kid"] = kid_;
  whole.merge_patch(header);
  return token_of_texts(alg, whole.dump(), claims.dump());
}

}  // namespace rosterd::test
