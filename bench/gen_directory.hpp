#pragma once
// A made-up company directory as LDIF: sizes go in, the same entries come out every time. inetOrgPerson users of about 0.75 KB each and
// groupOfNames groups of 1 to 19 members (10 on average), the first of them large.

#include <cstdint>
#include <string>

namespace rosterd::bench {

struct DirectorySize {
  std::uint32_t users = 10'000;
  std::uint32_t groups = 1'000;
  std::uint32_t largest_group = 10'000;
};

inline constexpr const char* kSuffix = "dc=example,dc=com";
inline constexpr const char* kReaderDn = "cn=reader,dc=example,dc=com";
inline constexpr const char* kReaderPassword = "reader-password";

[[nodiscard]] std::string user_name(std::uint32_t user);    ///< "u0000042", its uid
[[nodiscard]] std::string group_name(std::uint32_t group);  ///< "g000042", its cn
/// Who is certainly a member of `group`.
[[nodiscard]] inline std::uint32_t first_member(std::uint32_t group, const DirectorySize& size) { return group % size.users; }

/// Throws std::runtime_error when the file cannot be written.
void write_directory(const std::string& file, const DirectorySize& size);

}  // namespace rosterd::bench
