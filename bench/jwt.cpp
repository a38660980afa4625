// What verifying costs (check-api.md §10, DESIGN §7's oidc part): a token with a cached key, one core, each algorithm. The floor is
// OpenSSL's own signature check with the same key, in the same run.
#include <cstdio>

#include "connectors/oidc/jwt/verify.hpp"
#include "tests/jwt/signing_key.hpp"

namespace rosterd::bench {
namespace {

using Steady = std::chrono::steady_clock;
using namespace jwt;

constexpr std::int64_t kNow = 1'800'000'000;
constexpr double kSeconds = 1.5;
constexpr double kLeast = 15'000;

/// Times a second that `work` is done, best of three.
template <class Work>
double rate(const Work& work) {
  double best = 0;
  for (int round = 0; round < 3; ++round) {
    const auto begun = Steady::now();
    std::uint64_t done = 0;
    double took = 0;
    do {
      for (int i = 0; i < 200; ++i) work();
      done += 200;
      took = std::chrono::duration<double>(Steady::now() - begun).count();
    } while (took < kSeconds / 3);
    best = std::max(best, static_cast<double>(done) / took);
  }
  return best;
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
  std::printf("%s: %.0f tokens/s a core, %.1f us each; OpenSSL's part alone %.0f/s\n", std::string(alg).c_str(), whole, 1e6 / whole, bare);
  const bool good = right && whole >= kLeast;
  std::printf("figure jwt.verify.%s %.0f >=%.0f %s\n", std::string(alg).c_str(), whole, kLeast, good ? "ok" : "short");
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
