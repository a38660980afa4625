// What verifying costs (check-api.md §10, DESIGN §7's oidc part): a token with a cached key, one core, each algorithm. Beside it stands, in
// the same run, what OpenSSL does when nothing but the signature of a hash is checked, with everything made beforehand ("openssl speed").
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <memory>

#include "connectors/oidc/jwt/verify.hpp"
#include "tests/jwt/signing_key.hpp"

namespace rosterd::bench {
namespace {

using namespace jwt;

constexpr std::int64_t kNow = 1'800'000'000;
constexpr double kSeconds = 1.5;
constexpr double kLeast = 15'000;

/// Of a core, whatever else runs on it.
double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

/// Times in a second of a core that `work` is done, best of three.
template <class Work>
double rate(const Work& work) {
  double best = 0;
  for (int round = 0; round < 3; ++round) {
    const auto begun = cpu_seconds();
    std::uint64_t done = 0;
    double took = 0;
    do {
      for (int i = 0; i < 200; ++i) work();
      done += 200;
      took = cpu_seconds() - begun;
    } while (took < kSeconds / 3);
    best = std::max(best, static_cast<double>(done) / took);
  }
  return best;
}

/// Signatures of one hash a second, by a context that is made once.
double openssl_alone(std::string_view alg) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(alg == "ES256" ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048), &EVP_PKEY_free);
  const auto context = [&](int (*begin)(EVP_PKEY_CTX*)) {
    std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> out(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr),
                                                                    &EVP_PKEY_CTX_free);
    begin(out.get());
    if (alg != "ES256") {
      EVP_PKEY_CTX_set_rsa_padding(out.get(), alg == "PS256" ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING);
      EVP_PKEY_CTX_set_signature_md(out.get(), EVP_sha256());
    }
    return out;
  };
  std::array<unsigned char, 32> hash{1, 2, 3};
  std::array<unsigned char, 512> signature{};
  std::size_t size = signature.size();
  const auto signer = context(&EVP_PKEY_sign_init), verifier = context(&EVP_PKEY_verify_init);
  bool right = EVP_PKEY_sign(signer.get(), signature.data(), &size, hash.data(), hash.size()) == 1;
  const auto out = rate([&] { right = right && EVP_PKEY_verify(verifier.get(), signature.data(), size, hash.data(), hash.size()) == 1; });
  if (!right) std::printf("OpenSSL refuses its own signature (%s)\n", std::string(alg).c_str());
  return out;
}

/// True when it holds its bound.
bool measure(std::string_view alg, const test::SigningKey& key) {
  const auto keys = parse_key_set(key.key_set());
  const Policy policy{.issuer = "https://idp.example/acme", .audiences = {"https://rosterd.example"}};
  const nlohmann::json claims{{"iss", policy.issuer},
                              {"aud", policy.audiences[0]},
                              {"sub", "248289761001"},
                              {"client_id", "console"},
                              {"exp", kNow + 300},
                              {"iat", kNow},
                              {"jti", "d7b1a2"},
                              {"scope", "openid profile email"},
                              {"groups", {"platform", "engineering", "oncall"}}};
  const auto token = key.token(alg, claims, {{"typ", "at+jwt"}});
  const auto jws = take_apart(token);
  if (!keys || !jws) return false;
  const TimePoint now{std::chrono::seconds(kNow)};
  bool right = true;
  const auto whole = rate([&] { right = right && verify(token, policy, *keys, now).has_value(); });
  const auto bare = rate([&] { right = right && keys->keys[0].has_signed(jws->algorithm, jws->signed_part, jws->signature); });
  if (!right) std::printf("a right %s token was refused\n", std::string(alg).c_str());
  const auto name = std::string(alg);
  const auto floor = openssl_alone(alg);
  std::printf("%s: %.0f tokens/s a core, %.1f us each; the signature alone %.0f/s; OpenSSL alone %.0f/s (%.2f x)\n", name.c_str(), whole,
              1e6 / whole, bare, floor, whole / floor);
  const bool good = right && whole >= kLeast;
  std::printf("figure jwt.verify.%s %.0f >=%.0f %s\n", name.c_str(), whole, kLeast, good ? "ok" : "short");
  return good;
}

}  // namespace

int run() {
  bool good = measure("ES256", test::SigningKey::curve("ec"));
  const auto rsa = test::SigningKey::rsa("rsa");
  good = measure("RS256", rsa) && good;
  good = measure("PS256", rsa) && good;
  return good ? 0 : 1;
}

}  // namespace rosterd::bench

int main() { return rosterd::bench::run(); }
