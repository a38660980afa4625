#include "connectors/oidc/jwt/p256.hpp"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>

namespace rosterd::jwt {
namespace {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* value) const {
    Free(value);
  }
};
using Group = std::unique_ptr<EC_GROUP, Deleter<EC_GROUP_free>>;
using Point = std::unique_ptr<EC_POINT, Deleter<EC_POINT_free>>;
using Scratch = std::unique_ptr<BN_CTX, Deleter<BN_CTX_free>>;

constexpr std::size_t kHalf = 32;  // bytes of r, of s and of the hash

const unsigned char* octets(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

/// Numbers that live until the end of a scope.
class Frame {
 public:
  explicit Frame(BN_CTX* scratch) : scratch_(scratch) { BN_CTX_start(scratch_); }
  ~Frame() { BN_CTX_end(scratch_); }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  BIGNUM* number() { return BN_CTX_get(scratch_); }
  BIGNUM* number(std::string_view bytes) {
    BIGNUM* const out = number();
    return out == nullptr ? nullptr : BN_bin2bn(octets(bytes), static_cast<int>(bytes.size()), out);
  }

 private:
  BN_CTX* scratch_;
};

/// The only way to a table for a point of one's own that OpenSSL 3.0 has; deprecated, because few need one.
bool precompute(EC_GROUP* group, BN_CTX* scratch) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  return EC_GROUP_precompute_mult(group, scratch) == 1 && EC_GROUP_have_precompute_mult(group) == 1;
#pragma GCC diagnostic pop
}

}  // namespace

struct FrequentP256::Table {
  Group curve;  ///< whose generator has OpenSSL's own table
  Group own;    ///< the same curve with the key as its generator, and a table for that

  static std::unique_ptr<const Table> of(std::string_view point) {
    auto out = std::make_unique<Table>();
    out->curve.reset(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1));
    const Scratch scratch(BN_CTX_new());
    if (!out->curve || !scratch) return nullptr;
    out->own.reset(EC_GROUP_dup(out->curve.get()));
    const Point key(EC_POINT_new(out->curve.get()));
    if (!out->own || !key || EC_POINT_oct2point(out->curve.get(), key.get(), octets(point), point.size(), scratch.get()) != 1 ||
        EC_GROUP_set_generator(out->own.get(), key.get(), EC_GROUP_get0_order(out->curve.get()), BN_value_one()) != 1 ||
        !precompute(out->own.get(), scratch.get())) {
      ERR_clear_error();
      return nullptr;
    }
    return out;
  }

  /// FIPS 186-5 §6.4.2, with the hash as long as the order.
  [[nodiscard]] bool has_signed(std::string_view hash, std::string_view signature) const {
    thread_local const Scratch scratch(BN_CTX_new());
    const Point sum(EC_POINT_new(curve.get())), part(EC_POINT_new(own.get()));
    if (!scratch || !sum || !part) return false;
    Frame frame(scratch.get());
    BIGNUM* const r = frame.number(signature.substr(0, kHalf));
    BIGNUM* const s = frame.number(signature.substr(kHalf));
    BIGNUM* const e = frame.number(hash);
    BIGNUM* const w = frame.number();
    BIGNUM* const u = frame.number();
    BIGNUM* const v = frame.number();
    BIGNUM* const x = frame.number();
    if (r == nullptr || s == nullptr || e == nullptr || x == nullptr) return false;  // a later one is there only if all before it are
    const BIGNUM* const order = EC_GROUP_get0_order(curve.get());
    // Nothing outside 1 … n-1 is a signature (CVE-2022-21449).
    if (BN_is_zero(r) == 1 || BN_is_zero(s) == 1 || BN_cmp(r, order) >= 0 || BN_cmp(s, order) >= 0) return false;
    return BN_mod_inverse(w, s, order, scratch.get()) != nullptr && BN_mod_mul(u, e, w, order, scratch.get()) == 1 &&
           BN_mod_mul(v, r, w, order, scratch.get()) == 1 &&
           EC_POINT_mul(curve.get(), sum.get(), u, nullptr, nullptr, scratch.get()) == 1 &&
           EC_POINT_mul(own.get(), part.get(), v, nullptr, nullptr, scratch.get()) == 1 &&
           EC_POINT_add(curve.get(), sum.get(), sum.get(), part.get(), scratch.get()) == 1 &&
           EC_POINT_is_at_infinity(curve.get(), sum.get()) == 0 &&
           EC_POINT_get_affine_coordinates(curve.get(), sum.get(), x, nullptr, scratch.get()) == 1 &&
           BN_nnmod(x, x, order, scratch.get()) == 1 && BN_cmp(x, r) == 0;
  }
};

FrequentP256::FrequentP256(std::string point) : point_(std::move(point)) {}
FrequentP256::~FrequentP256() = default;

std::optional<bool> FrequentP256::has_signed(std::string_view sha256, std::string_view signature) {
  if (sha256.size() != kHalf || signature.size() != 2 * kHalf) return false;
  const auto* table = table_.load(std::memory_order_acquire);
  if (table == nullptr) {
    if (asked_.load(std::memory_order_relaxed) >= kFrequent || asked_.fetch_add(1, std::memory_order_relaxed) + 1 != kFrequent)
      return std::nullopt;
    // One alone comes by here, and the others do not wait for him.
    owned_ = Table::of(point_);
    if (!owned_) return std::nullopt;
    table = owned_.get();
    table_.store(table, std::memory_order_release);
  }
  const bool good = table->has_signed(sha256, signature);
  if (!good) ERR_clear_error();
  return good;
}

}  // namespace rosterd::jwt
