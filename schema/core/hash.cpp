#include "schema/core/hash.hpp"

#include <sodium.h>

#include <cstring>
#include <stdexcept>

namespace rosterd {
namespace {

/// libsodium must be initialised before anything else of it; safe from any thread, once.
void ready() {
  static const bool done = [] {
    if (sodium_init() < 0) throw std::runtime_error("libsodium cannot be initialised (no entropy?)");
    return true;
  }();
  (void)done;
}

const unsigned char* data(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

}  // namespace

KeyedHash::KeyedHash() {
  ready();
  randombytes_buf(key_.data(), key_.size());
}

Hash128 KeyedHash::operator()(std::string_view text) const {
  static_assert(crypto_shorthash_siphashx24_BYTES == sizeof(Hash128) && crypto_shorthash_siphashx24_KEYBYTES == 16);
  Hash128 out;
  crypto_shorthash_siphashx24(reinterpret_cast<unsigned char*>(&out), data(text), text.size(), key_.data());
  return out;
}

Hash128 digest128(std::string_view text) {
  ready();
  Hash128 out;
  crypto_generichash(reinterpret_cast<unsigned char*>(&out), sizeof out, data(text), text.size(), nullptr, 0);
  return out;
}

std::uint64_t content_hash(std::string_view text) { return digest128(text).high; }

Sha256 sha256(std::string_view bytes) {
  Sha256 out;
  crypto_hash_sha256(out.data(), data(bytes), bytes.size());
  return out;
}

Sha256 hmac_sha256(std::string_view key, std::string_view bytes) {
  Sha256 out;
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, data(key), key.size());
  crypto_auth_hmacsha256_update(&state, data(bytes), bytes.size());
  crypto_auth_hmacsha256_final(&state, out.data());
  return out;
}

std::string hex(std::span<const unsigned char> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const auto byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

void random_bytes(std::span<unsigned char> out) {
  ready();
  randombytes_buf(out.data(), out.size());
}

std::uint64_t random_u64() {
  std::uint64_t value = 0;
  random_bytes({reinterpret_cast<unsigned char*>(&value), sizeof value});
  return value;
}

std::uint32_t random_below(std::uint32_t bound) {
  ready();
  return randombytes_uniform(bound);
}

bool equal_secret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::uint32_t crc32(std::string_view bytes) {
  std::uint32_t crc = 0xffffffffU;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xedb88320U & (0U - (crc & 1U)));
  }
  return ~crc;
}

}  // namespace rosterd
