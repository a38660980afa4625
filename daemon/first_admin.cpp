#include "daemon/first_admin.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <system_error>

#include "daemon/http/token.hpp"
#include "schema/core/text.hpp"

namespace rosterd {
namespace {

constexpr std::size_t kLargest = 64 * 1024;

std::string system_error_text() { return std::generic_category().message(errno); }

}  // namespace

Result<FirstAdmin> parse_first_admin(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return fail(Errc::InvalidInput, R"(is not a JSON object; write {{"email": "…", "token": "rst_…"}})");
  FirstAdmin admin;
  std::string email;
  for (const auto& [key, value] : json.items()) {
    std::string* target = key == "email"        ? &email
                          : key == "token"      ? &admin.token
                          : key == "first_name" ? &admin.first_name
                          : key == "last_name"  ? &admin.last_name
                                                : nullptr;
    if (target == nullptr)
      return fail(Errc::InvalidInput, "has an unknown field '{}'; it takes email, token, first_name and last_name", key);
    if (!value.is_string()) return fail(Errc::InvalidInput, "{} is not a string", key);
    *target = value.get<std::string>();
  }
  admin.email = fold(email);
  if (!is_email(admin.email)) return fail(Errc::InvalidInput, "email is missing or is not an e-mail address");
  if (!http::plausible(admin.token))
    return fail(Errc::InvalidInput, "token is missing or not of the form rosterd issues; `rosterd --new-credential {}` makes one",
                admin.email);
  return admin;
}

Result<FirstAdmin> read_first_admin(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(Errc::InvalidInput, "setup.credential_file: opening {}: {}", file.string(), system_error_text());
  struct stat about{};
  std::string text(kLargest, '\0');
  const bool known = ::fstat(fd, &about) == 0;
  const auto length = ::read(fd, text.data(), text.size());
  const auto why = system_error_text();
  ::close(fd);
  if (!known || length < 0) return fail(Errc::InvalidInput, "setup.credential_file: reading {}: {}", file.string(), why);
  // The group may read: systemd gives credentials to a unit's user through an ACL, whose mask shows as the group's bits.
  if ((about.st_mode & (S_IRWXO | S_IWGRP)) != 0)
    return fail(Errc::InvalidInput,
                "setup.credential_file: {} can be read by other users (mode {:04o}); make a new token and chmod 600 the file",
                file.string(), about.st_mode & 07777);
  text.resize(static_cast<std::size_t>(length));
  auto admin = parse_first_admin(text);
  if (!admin) return fail(admin.error(), "setup.credential_file: {}", file.string());
  return admin;
}

Result<std::string> new_credential(std::string_view email) {
  const auto folded = fold(email);
  if (!is_email(folded)) return fail(Errc::InvalidInput, "'{}' is not an e-mail address", email);
  return nlohmann::json{{"email", folded}, {"token", http::make_token()}}.dump();
}

Result<std::optional<AccountId>> create_first_admin(Store& store, const FirstAdmin& admin, std::string_view token_pepper) {
  const NewAccount account{.email = admin.email, .first_name = admin.first_name, .last_name = admin.last_name, .super_admin = true};
  const NewToken token{.name = "credential file",
                       .hash = http::token_hash(admin.token, token_pepper),
                       .last4 = admin.token.substr(admin.token.size() - 4),
                       .expires_at = {}};
  const auto made = store.set_up(account, token, Actor{.account = {}, .by = "setup", .ip = {}, .request_id = {}});
  if (made) return made->id;
  if (made.error().code == Errc::Conflict) return std::nullopt;  // another replica, or an earlier start, was first
  return fail(made.error(), "making the first super admin");
}

}  // namespace rosterd
