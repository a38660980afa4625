#include "bench/gen_directory.hpp"

#include <fmt/format.h>

#include <array>
#include <fstream>
#include <set>
#include <stdexcept>
#include <string_view>

namespace rosterd::bench {
namespace {

/// splitmix64: the same numbers on every machine, which std::uniform_int_distribution does not promise.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed) {}
  std::uint32_t below(std::uint32_t bound) {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t x = state_;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
    x = (x ^ x >> 27) * 0x94d049bb133111ebU;
    return static_cast<std::uint32_t>((x ^ x >> 31) % bound);
  }

 private:
  std::uint64_t state_;
};

constexpr std::array<std::string_view, 16> kGiven = {"Alba",  "Bruno", "Chiara", "Dmitri", "Elif",  "Frida",  "Gil",   "Hedda",
                                                     "Imran", "Jonas", "Katya",  "Leif",   "Maite", "Nadeem", "Oskar", "Priya"};
constexpr std::array<std::string_view, 16> kFamily = {"Abbott", "Bergmann", "Cordero", "Dubois", "Engel",  "Ferrari", "Gupta", "Haugen",
                                                      "Ivanov", "Jansen",   "Keita",   "Lopes",  "Marino", "Nyberg",  "Osei",  "Pereira"};
constexpr std::array<std::string_view, 8> kTitles = {"Engineer", "Accountant", "Buyer", "Chemist", "Clerk", "Designer", "Nurse", "Planner"};
// What a real entry carries along and nobody asks for.
constexpr std::string_view kPadding =
    "Works in a team that keeps the lights on, answers the telephone when it rings, and writes down what was agreed so that the next one "
    "need not ask again. Can be reached in the mornings; in the afternoons the workshop is the better place to look. Speaks two languages "
    "well and a third one after lunch. Keeps the second key of the archive and knows where the first one is.";

}  // namespace

std::string user_name(std::uint32_t user) { return fmt::format("u{:07}", user); }
std::string group_name(std::uint32_t group) { return fmt::format("g{:06}", group); }

void write_directory(const std::string& file, const DirectorySize& size) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out << fmt::format(
      "dn: {0}\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n\n"
      "dn: {1}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\nuserPassword: {2}\n\n"
      "dn: ou=people,{0}\nobjectClass: organizationalUnit\nou: people\n\ndn: ou=groups,{0}\nobjectClass: organizationalUnit\nou: "
      "groups\n\n",
      kSuffix, kReaderDn, kReaderPassword);
  for (std::uint32_t i = 0; i < size.users; ++i) {
    const auto given = kGiven[i % kGiven.size()], family = kFamily[i / kGiven.size() % kFamily.size()];
    out << fmt::format(
        "dn: uid={0},ou=people,{1}\nobjectClass: inetOrgPerson\nuid: {0}\ncn: {2} {3} {4}\nsn: {3}\ngivenName: {2}\ndisplayName: {2} {3}\n"
        "mail: {0}@corp.example.com\nemployeeNumber: {5}\ntelephoneNumber: +1 555 {4:07}\ntitle: {6}\ndepartmentNumber: {7}\nl: Town {8}\n"
        "employeeType: {9}\ndescription: {10}\n\n",
        user_name(i), kSuffix, given, family, i, 100'000 + i, kTitles[i % kTitles.size()], i % 211, i % 503,
        i % 5 == 0 ? "contractor" : "staff", kPadding);
  }
  Numbers numbers(size.users);
  std::set<std::uint32_t> members;
  for (std::uint32_t i = 0; i < size.groups; ++i) {
    const std::uint32_t count = std::min(size.users, i == 0 ? size.largest_group : 1 + numbers.below(19));
    members = {first_member(i, size)};
    if (count == size.users)
      for (std::uint32_t user = 0; user < size.users; ++user) members.insert(user);
    while (members.size() < count) members.insert(numbers.below(size.users));
    out << fmt::format("dn: cn={0},ou=groups,{1}\nobjectClass: groupOfNames\ncn: {0}\ndescription: Group {2}\n", group_name(i), kSuffix, i);
    for (const auto member : members) out << "member: uid=" << user_name(member) << ",ou=people," << kSuffix << '\n';
    out << '\n';
  }
  out.close();
  if (!out) throw std::runtime_error("cannot write " + file + "; is the disk full?");
}

}  // namespace rosterd::bench
