#include "daemon/http/setup.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "daemon/http/handlers.hpp"
#include "daemon/http/problem.hpp"
#include "daemon/http/render.hpp"
#include "daemon/http/sign_in.hpp"
#include "daemon/http/token.hpp"
#include "schema/core/hash.hpp"
#include "schema/core/log.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http {
namespace {

constexpr std::size_t kLeastSecret = 16;

/// A fresh 0600 file with this content, in place of whatever stood there (a link included).
Result<void> write_private(const std::string& path, std::string_view content) {
  ::unlink(path.c_str());
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (fd < 0) return fail(Errc::Unavailable, "making {}: {}", path, std::strerror(errno));
  const auto written = ::write(fd, content.data(), content.size());
  const int error = errno;
  ::close(fd);
  if (written != static_cast<ssize_t>(content.size())) {
    ::unlink(path.c_str());
    return fail(Errc::Unavailable, "writing {}: {}", path, written < 0 ? std::strerror(error) : "cut short");
  }
  return {};
}

}  // namespace

Result<std::string> SetupGate::open(const std::string& file) {
  std::array<unsigned char, 20> random{};
  random_bytes(random);
  const auto secret = hex(random);
  if (const auto ok = write_private(file, secret + "\n"); !ok) return fail(ok.error(), "writing the setup secret");
  state_.with([&](State& state) { state = {.secret = secret, .file = file}; });
  return secret;
}

Result<void> SetupGate::open_with(std::string secret) {
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
  if (secret.size() < kLeastSecret) return fail(Errc::InvalidInput, "a setup secret has at least {} characters", kLeastSecret);
  state_.with([&](State& state) { state = {.secret = std::move(secret), .file = {}}; });
  return {};
}

bool SetupGate::is_open() const {
  return state_.with([](const State& state) { return state.secret.has_value(); });
}

bool SetupGate::admits(std::string_view secret) const {
  return state_.with([&](const State& state) { return state.secret && equal_secret(*state.secret, secret); });
}

void SetupGate::close() {
  state_.with([](State& state) {
    if (!state.file.empty()) ::unlink(state.file.c_str());
    state = {};
  });
}

Result<Reply> set_up(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  const auto done = call.store().setup_done();
  if (!done) return fail(done.error());
  if (*done) {
    call.app.services.setup.close();  // another replica may have been the one
    return fail_as("setup_done", Errc::Conflict, "rosterd is set up already");
  }
  const auto secret = fields->text("secret");
  NewAccount account{.email = fold(fields->text("email", 254)),
                     .first_name = fields->optional_text("first_name").value_or(""),
                     .last_name = fields->optional_text("last_name").value_or(""),
                     .super_admin = true};
  const auto token_name = fields->optional_text("token_name").value_or("setup");
  if (!account.email.empty() && !is_email(account.email)) fields->problem("email", "is not an e-mail address");
  const auto password = fields->optional_text("password", kMostPassword);
  if (const auto ok = fields->done(); !ok) return fail(ok.error());
  if (!call.app.services.setup.admits(secret)) {
    log::warning("setup.refused", {{"ip", std::string(call.request.remote)}});
    return fail(unauthenticated());
  }
  if (password) {
    auto hash = hash_of_new(call.app, *password, account.email);
    if (!hash) return fail(hash.error());
    account.password_hash = std::move(*hash);
  }
  const auto token = make_token();
  auto actor = call.actor();
  actor.by = "setup";
  const auto made = call.store().set_up(account,
                                        {.name = token_name,
                                         .hash = token_hash(token, call.app.services.token_pepper),
                                         .last4 = token.substr(token.size() - 4),
                                         .expires_at = {}},
                                        actor);
  if (!made) return fail(made.error());
  call.app.services.setup.close();
  log::info("setup.done", {{"account", text(made->id)}});
  return reply(201, {{"account", to_json(*made)}, {"token", token}});
}

}  // namespace rosterd::http
