// The small grammars of single values: addresses, networks, sizes, database URLs.
#include <arpa/inet.h>

#include <array>
#include <charconv>

#include "config/settings.hpp"
#include "schema/core/text.hpp"

namespace rosterd::config {
namespace {

template <class Number>
bool parse_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

bool ends_with_fold(std::string_view text, std::string_view end) {
  if (text.size() < end.size()) return false;
  text.remove_prefix(text.size() - end.size());
  return std::equal(text.begin(), text.end(), end.begin(), [](char a, char b) { return (a | 0x20) == (b | 0x20); });
}

struct Unit {
  std::string_view name;
  std::uint64_t bytes;
};
constexpr std::array kUnits{Unit{"GiB", 1ull << 30}, Unit{"MiB", 1ull << 20}, Unit{"KiB", 1ull << 10}};

}  // namespace

std::string text(const Address& address) {
  return address.host.find(':') == std::string::npos ? fmt::format("{}:{}", address.host, address.port)
                                                     : fmt::format("[{}]:{}", address.host, address.port);
}

bool is_loopback(const Address& address) {
  return address.host == "localhost" || address.host == "::1" || address.host.starts_with("127.");
}

Result<void> check_email(std::string_view address) {
  if (is_email(address)) return {};
  return fail(Errc::InvalidInput, "'{}' is not an e-mail address; write the one of an account, such as \"ada@example.org\"", address);
}

Result<Address> parse_address(std::string_view value) {
  const auto refuse = [&] {
    return fail(Errc::InvalidInput, "'{}' is not an address; write host:port, such as \"127.0.0.1:8480\" or \"[::1]:8480\"", value);
  };
  const auto colon = value.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return refuse();
  auto host = value.substr(0, colon);
  const bool bracketed = host.starts_with('[');
  if (bracketed != host.ends_with(']')) return refuse();
  if (bracketed) host = host.substr(1, host.size() - 2);
  // A bare IPv6 address with a port cannot be told from one without.
  if (!bracketed && host.find(':') != std::string_view::npos) return refuse();
  Address address{.host = std::string(host), .port = 0};
  if (host.empty() || host.find_first_of(" \t/") != std::string_view::npos || !parse_number(value.substr(colon + 1), address.port))
    return refuse();
  return address;
}

Result<std::uint64_t> parse_bytes(std::string_view value) {
  std::uint64_t factor = 1;
  auto digits = value;
  for (const auto& unit : kUnits) {
    if (!ends_with_fold(value, unit.name)) continue;
    factor = unit.bytes;
    digits.remove_suffix(unit.name.size());
    while (digits.ends_with(' ')) digits.remove_suffix(1);
    break;
  }
  std::uint64_t count = 0;
  if (!parse_number(digits, count) || count > UINT64_MAX / factor)
    return fail(Errc::InvalidInput, "'{}' is not a size; write bytes or a number with KiB, MiB or GiB", value);
  return count * factor;
}

std::string bytes_text(std::uint64_t bytes) {
  for (const auto& unit : kUnits)
    if (bytes != 0 && bytes % unit.bytes == 0) return fmt::format("{}{}", bytes / unit.bytes, unit.name);
  return fmt::format("{}", bytes);
}

Result<Rate> parse_rate(std::string_view value) {
  constexpr std::uint32_t kMost = 10'000'000;
  const auto refuse = [&] {
    return fail(Errc::InvalidInput,
                "'{}' is no rate; write a number each s, m or h and, after it, how many may come at once, such as "
                "\"2000/s burst 4000\", or \"off\"",
                value);
  };
  if (value == "off") return Rate{};
  const auto slash = value.find('/');
  if (slash == std::string_view::npos) return refuse();
  Rate out;
  auto rest = value.substr(slash + 1);
  if (!parse_number(value.substr(0, slash), out.count) || rest.empty()) return refuse();
  switch (rest.front()) {
    case 's':
      out.per = std::chrono::seconds(1);
      break;
    case 'm':
      out.per = std::chrono::minutes(1);
      break;
    case 'h':
      out.per = std::chrono::hours(1);
      break;
    default:
      return refuse();
  }
  rest.remove_prefix(1);
  constexpr std::string_view kBurst = " burst ";
  out.burst = out.count;
  if (!rest.empty() && (!rest.starts_with(kBurst) || !parse_number(rest.substr(kBurst.size()), out.burst))) return refuse();
  if (out.count == 0 || out.burst == 0 || out.count > kMost || out.burst > kMost)
    return fail(Errc::InvalidInput, "'{}' is out of range; write numbers from 1 to {}, or \"off\"", value, kMost);
  return out;
}

std::string rate_text(const Rate& rate) {
  if (rate.count == 0) return "off";
  const char unit = rate.per == std::chrono::seconds(1) ? 's' : rate.per == std::chrono::minutes(1) ? 'm' : 'h';
  return fmt::format("{}/{} burst {}", rate.count, unit, rate.burst);
}

Result<void> check_network(std::string_view cidr) {
  const auto refuse = [&] {
    return fail(Errc::InvalidInput, "'{}' is not a network; write address/prefix, such as \"10.0.0.0/8\" or \"fd00::/8\"", cidr);
  };
  const auto slash = cidr.find('/');
  unsigned prefix = 0;
  if (slash == std::string_view::npos || !parse_number(cidr.substr(slash + 1), prefix)) return refuse();
  const std::string address(cidr.substr(0, slash));
  const int family = address.find(':') == std::string::npos ? AF_INET : AF_INET6;
  const unsigned width = family == AF_INET ? 32 : 128;
  std::array<unsigned char, 16> bytes{};
  if (inet_pton(family, address.c_str(), bytes.data()) != 1 || prefix > width) return refuse();
  auto masked = bytes;
  for (unsigned bit = prefix; bit < width; ++bit) masked[bit / 8] &= static_cast<unsigned char>(~(0x80u >> (bit % 8)));
  if (masked == bytes) return {};
  // Bits below the prefix are ignored by some programs and not by others: say which network was meant.
  std::array<char, INET6_ADDRSTRLEN> meant{};
  inet_ntop(family, masked.data(), meant.data(), meant.size());
  return fail(Errc::InvalidInput, "'{}' has bits set below its prefix; write \"{}/{}\" for the network or \"{}/{}\" for the one address",
              cidr, meant.data(), prefix, address, width);
}

std::string without_password(std::string_view url) {
  std::string out(url);
  const auto scheme = out.find("://");
  if (scheme != std::string::npos) {
    const auto end_of_authority = std::min(out.find_first_of("/?", scheme + 3), out.size());
    const auto at = out.rfind('@', end_of_authority);
    if (at != std::string::npos && at > scheme) {
      const auto colon = out.find(':', scheme + 3);
      if (colon < at) out.replace(colon + 1, at - colon - 1, "***");
    }
  }
  const auto parameter = out.find("password=");
  if (parameter != std::string::npos) {
    const auto from = parameter + std::string_view("password=").size();
    const auto to = std::min(out.find_first_of("& ", from), out.size());
    out.replace(from, to - from, "***");
  }
  return out;
}

}  // namespace rosterd::config
