#include "connectors/oidc/jwt/jwk.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "connectors/oidc/jwt/base64url.hpp"
#include "connectors/oidc/jwt/p256.hpp"
#include "connectors/oidc/jwt/strict_json.hpp"
#include "schema/core/text.hpp"

namespace rosterd::jwt {
namespace {

using nlohmann::json;

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* value) const {
    Free(value);
  }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Deleter<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, Deleter<BN_free>>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, Deleter<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Deleter<OSSL_PARAM_free>>;

constexpr int kLeastRsaBits = 2048, kMostRsaBits = 8192;
constexpr int kMostExponentBits = 64;      // OpenSSL's own bound for large keys
constexpr std::size_t kMostMember = 4096;  // base64url characters of one number

const unsigned char* octets(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

/// How an algorithm is verified.
struct Way {
  Algorithm algorithm;
  KeyType key;
  const char* digest = nullptr;  ///< nullptr: the algorithm hashes by itself
  bool pss = false;
  std::size_t half = 0;  ///< bytes of r and of s
};
constexpr Way kWays[] = {
    {Algorithm::RS256, KeyType::Rsa, "SHA256"},
    {Algorithm::RS384, KeyType::Rsa, "SHA384"},
    {Algorithm::RS512, KeyType::Rsa, "SHA512"},
    {Algorithm::PS256, KeyType::Rsa, "SHA256", true},
    {Algorithm::PS384, KeyType::Rsa, "SHA384", true},
    {Algorithm::PS512, KeyType::Rsa, "SHA512", true},
    {Algorithm::ES256, KeyType::P256, "SHA256", false, 32},
    {Algorithm::ES384, KeyType::P384, "SHA384", false, 48},
    {Algorithm::EdDSA, KeyType::Ed25519, nullptr},
};
const Way& way_of(Algorithm algorithm) {
  return *std::find_if(std::begin(kWays), std::end(kWays) - 1, [&](const Way& way) { return way.algorithm == algorithm; });
}

/// Fetched once: looking an algorithm up by name takes OpenSSL 3.0 longer than hashing a token.
const EVP_MD* digest_of(const char* name) {
  static EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  static EVP_MD* const sha384 = EVP_MD_fetch(nullptr, "SHA384", nullptr);
  static EVP_MD* const sha512 = EVP_MD_fetch(nullptr, "SHA512", nullptr);
  if (name == nullptr) return nullptr;
  const std::string_view wanted = name;
  return wanted == "SHA256" ? sha256 : wanted == "SHA384" ? sha384 : sha512;
}

/// A required member that is base64url; "" for what is not.
std::string bytes_of(const json& jwk, const char* name) {
  const auto found = jwk.find(name);
  if (found == jwk.end() || !found->is_string()) return {};
  const auto& text = found->get_ref<const std::string&>();
  if (text.size() > kMostMember) return {};
  return base64url_decode(text).value_or("");
}

std::string text_of(const json& jwk, const char* name) {
  const auto found = jwk.find(name);
  return found != jwk.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<KeyPtr> build(const char* type, OSSL_PARAM_BLD* from) {
  const Params params(OSSL_PARAM_BLD_to_param(from));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* made = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
    return fail(Errc::InvalidInput, "is no valid {} key", type);
  KeyPtr key(made);
  // For a curve: that the point lies on it and is not its neutral one; for RSA: that the modulus is odd, composite and no power.
  const KeyContext check(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (!check || EVP_PKEY_public_check(check.get()) != 1) return fail(Errc::InvalidInput, "is no valid {} key", type);
  return key;
}

Result<KeyPtr> rsa_key(const json& jwk) {
  const auto n = bytes_of(jwk, "n"), e = bytes_of(jwk, "e");
  if (n.empty() || e.empty()) return fail(Errc::InvalidInput, "has no n or no e");
  const Number modulus(BN_bin2bn(octets(n), static_cast<int>(n.size()), nullptr));
  const Number exponent(BN_bin2bn(octets(e), static_cast<int>(e.size()), nullptr));
  if (!modulus || !exponent) return fail(Errc::Internal, "out of memory");
  const int bits = BN_num_bits(modulus.get());
  if (bits < kLeastRsaBits || bits > kMostRsaBits)
    return fail(Errc::InvalidInput, "has {} bits, and {} to {} are used", bits, kLeastRsaBits, kMostRsaBits);
  const int exponent_bits = BN_num_bits(exponent.get());
  if (exponent_bits < 17 || exponent_bits > kMostExponentBits || BN_is_odd(exponent.get()) == 0)
    return fail(Errc::InvalidInput, "has an exponent that is too small, too large or even");
  const Builder builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1)
    return fail(Errc::Internal, "out of memory");
  return build("RSA", builder.get());
}

Result<KeyPtr> curve_key(const json& jwk, const char* group, std::size_t size) {
  const auto x = bytes_of(jwk, "x"), y = bytes_of(jwk, "y");
  // RFC 7518 §6.2.1.2: the full size of a coordinate, leading zeros included.
  if (x.size() != size || y.size() != size) return fail(Errc::InvalidInput, "has coordinates of another size than its curve's");
  const auto point = '\x04' + x + y;
  const Builder builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1)
    return fail(Errc::Internal, "out of memory");
  return build("EC", builder.get());
}

Result<KeyPtr> edwards_key(const json& jwk) {
  const auto x = bytes_of(jwk, "x");
  KeyPtr key(x.size() == 32 ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, octets(x), x.size()) : nullptr);
  if (!key) return fail(Errc::InvalidInput, "is no valid Ed25519 key");
  return key;
}

/// What a key says about its own use.
Result<void> may_verify(const json& jwk) {
  // RFC 7518 §6.2.2, §6.3.2, §6.4: whoever publishes these has no secret any more.
  for (const char* secret : {"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
    if (jwk.contains(secret)) return fail(Errc::InvalidInput, "is private or symmetric");
  if (const auto use = jwk.find("use"); use != jwk.end() && *use != "sig") return fail(Errc::InvalidInput, "is not for signatures (use)");
  if (const auto ops = jwk.find("key_ops"); ops != jwk.end()) {
    if (!ops->is_array()) return fail(Errc::InvalidInput, "has key_ops that are no list");
    if (std::find(ops->begin(), ops->end(), "verify") == ops->end()) return fail(Errc::InvalidInput, "is not for verifying (key_ops)");
  }
  return {};
}

struct TypeRow {
  std::string_view kty, crv;
  KeyType type;
};
constexpr TypeRow kTypes[] = {
    {"RSA", "", KeyType::Rsa}, {"EC", "P-256", KeyType::P256}, {"EC", "P-384", KeyType::P384}, {"OKP", "Ed25519", KeyType::Ed25519}};

/// DER of an INTEGER from big-endian bytes. None for zero: no signature has it (CVE-2022-21449).
bool append_der_integer(std::string& out, std::string_view bytes) {
  while (!bytes.empty() && bytes.front() == '\0') bytes.remove_prefix(1);
  if (bytes.empty()) return false;
  const bool sign = (static_cast<unsigned char>(bytes.front()) & 0x80) != 0;
  out.push_back('\x02');
  out.push_back(static_cast<char>(bytes.size() + (sign ? 1 : 0)));
  if (sign) out.push_back('\0');
  out.append(bytes);
  return true;
}

/// r‖s, as RFC 7518 §3.4 has it, to the DER that OpenSSL wants; "" for what is no such signature.
std::string der_signature(std::string_view raw, std::size_t half) {
  if (raw.size() != 2 * half) return {};
  std::string body;
  if (!append_der_integer(body, raw.substr(0, half)) || !append_der_integer(body, raw.substr(half))) return {};
  std::string out = "\x30";
  out.push_back(static_cast<char>(body.size()));  // at most 2 * (48 + 3): one length byte
  return out + body;
}

}  // namespace

Result<Key> Key::of(const json& jwk) {
  if (!jwk.is_object()) return fail(Errc::InvalidInput, "is no object");
  if (const auto good = may_verify(jwk); !good) return fail(good.error());
  const auto kty = text_of(jwk, "kty"), crv = text_of(jwk, "crv");
  const auto* row = std::find_if(std::begin(kTypes), std::end(kTypes),
                                 [&](const TypeRow& one) { return one.kty == kty && (one.crv.empty() || one.crv == crv); });
  if (row == std::end(kTypes)) return fail(Errc::InvalidInput, "is of a type or on a curve that is not used");
  Key out;
  out.type = row->type;
  if (const auto kid = jwk.find("kid"); kid != jwk.end()) {
    if (!kid->is_string()) return fail(Errc::InvalidInput, "has a kid that is no text");
    out.kid = kid->get<std::string>();
  }
  if (jwk.contains("alg")) {
    out.only = parse_algorithm(text_of(jwk, "alg"));
    if (!out.only) return fail(Errc::InvalidInput, "is for an algorithm that is never allowed");
    if (!out.fits(*out.only)) return fail(Errc::InvalidInput, "names an algorithm that is not of its type");
  }
  auto made = [&]() -> Result<KeyPtr> {
    switch (row->type) {
      case KeyType::Rsa:
        return rsa_key(jwk);
      case KeyType::P256:
        return curve_key(jwk, "P-256", 32);
      case KeyType::P384:
        return curve_key(jwk, "P-384", 48);
      case KeyType::Ed25519:
        return edwards_key(jwk);
    }
    return fail(Errc::Internal, "a type without a reader");
  }();
  ERR_clear_error();  // what was refused is told above
  if (!made) return fail(made.error());
  out.key_ = std::shared_ptr<evp_pkey_st>(made->release(), Deleter<EVP_PKEY_free>{});
  if (row->type == KeyType::P256) out.frequent_ = std::make_shared<FrequentP256>('\x04' + bytes_of(jwk, "x") + bytes_of(jwk, "y"));
  return out;
}

bool Key::fits(Algorithm algorithm) const { return way_of(algorithm).key == type && (!only || *only == algorithm); }

bool Key::same_material(const Key& other) const { return type == other.type && EVP_PKEY_eq(key_.get(), other.key_.get()) == 1; }

bool Key::has_signed(Algorithm algorithm, std::string_view bytes, std::string_view signature) const {
  if (!fits(algorithm) || !key_) return false;
  const auto& way = way_of(algorithm);
  if (algorithm == Algorithm::ES256 && frequent_ && signature.size() == 2 * way.half) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
    unsigned size = 0;
    if (EVP_Digest(bytes.data(), bytes.size(), hash.data(), &size, digest_of(way.digest), nullptr) == 1)
      if (const auto known = frequent_->has_signed({reinterpret_cast<const char*>(hash.data()), size}, signature)) return *known;
  }
  std::string der;
  if (way.half != 0) {
    der = der_signature(signature, way.half);
    if (der.empty()) return false;
    signature = der;
  } else if (way.key == KeyType::Rsa && signature.size() != static_cast<std::size_t>(EVP_PKEY_get_size(key_.get()))) {
    return false;
  }
  const DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* of_key = nullptr;  // owned by the context
  bool good = context && EVP_DigestVerifyInit(context.get(), &of_key, digest_of(way.digest), nullptr, key_.get()) == 1;
  // RFC 7518 §3.5: the salt is as long as the hash, and MGF1 uses the same hash, which is OpenSSL's default.
  if (good && way.pss)
    good = EVP_PKEY_CTX_set_rsa_padding(of_key, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(of_key, RSA_PSS_SALTLEN_DIGEST) == 1;
  good = good && EVP_DigestVerify(context.get(), octets(signature), signature.size(), octets(bytes), bytes.size()) == 1;
  if (!good) ERR_clear_error();
  return good;
}

std::vector<const Key*> KeySet::candidates(const Jws& jws) const {
  std::vector<const Key*> out;
  for (const auto& key : keys) {
    if (out.size() >= kMostTried) break;
    if (key.fits(jws.algorithm) && (!jws.kid || key.kid == *jws.kid)) out.push_back(&key);
  }
  return out;
}

Result<KeySet> parse_key_set(std::string_view text) {
  if (text.size() > kMostKeySet) return fail(Errc::InvalidInput, "the key set is larger than {} bytes", kMostKeySet);
  const auto document = parse_object(text);
  if (!document) return fail(document.error(), "reading the key set");
  const auto keys = document->find("keys");
  if (keys == document->end() || !keys->is_array()) return fail(Errc::InvalidInput, "the key set has no list \"keys\"");
  if (keys->size() > kMostKeys) return fail(Errc::InvalidInput, "the key set has {} keys, and {} are read", keys->size(), kMostKeys);
  KeySet out;
  std::size_t position = 0;
  for (const auto& jwk : *keys) {
    ++position;
    auto key = Key::of(jwk);
    if (key)
      out.keys.push_back(std::move(*key));
    else
      out.left_out.push_back(fmt::format("key {}: {}", position, key.error().what));
  }
  // Two different keys of one type under one kid: which of them a token means is nobody's to guess.
  std::vector<std::size_t> doubtful;
  for (std::size_t i = 0; i < out.keys.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      const auto &a = out.keys[i], &b = out.keys[j];
      if (a.kid.empty() || a.kid != b.kid || a.type != b.type || (a.only && b.only && a.only != b.only)) continue;
      doubtful.push_back(i);
      if (!a.same_material(b)) {
        doubtful.push_back(j);
        out.left_out.push_back("two different keys of one type have the same kid");
      }
    }
  std::sort(doubtful.begin(), doubtful.end());
  doubtful.erase(std::unique(doubtful.begin(), doubtful.end()), doubtful.end());
  for (auto it = doubtful.rbegin(); it != doubtful.rend(); ++it) out.keys.erase(out.keys.begin() + static_cast<std::ptrdiff_t>(*it));
  return out;
}

}  // namespace rosterd::jwt
