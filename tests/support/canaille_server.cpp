#include "tests/support/canaille_server.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

namespace rosterd::test {

CanailleServer::CanailleServer(int people, const std::optional<Pushes>& pushes) : dir_("rcan"), port_(free_port()) {
  const auto python = fetched("canaille") / "venv/bin/python";
  const auto script = std::filesystem::path(ROSTERD_SOURCE_DIR) / "tests/support/servers/run_canaille.py";
  Argv command{python.string(), "-B", script.string(), std::to_string(port_), client_id(), client_secret(), std::to_string(people)};
  if (pushes) command.insert(command.end(), {pushes->url, dir_.write("token", pushes->token)});  // arguments are anybody's to read
  server_.emplace(std::move(command), ProcessOptions{.cwd = dir_.path().string(), .output = dir_.file("log")});
  const auto ready = [&] { return web({.url = issuer() + "/.well-known/openid-configuration"}).status == 200; };
  if (!wait_until([&] { return !server_->is_running() || ready(); }, Milliseconds(60'000)) || !server_->is_running())
    throw std::runtime_error("canaille does not start: " + log());
}

std::string CanailleServer::issuer() const { return fmt::format("http://127.0.0.1:{}", port_); }
std::string CanailleServer::log() const { return std::filesystem::exists(dir_.file("log")) ? read_file(dir_.file("log")) : ""; }

std::string CanailleServer::token() const {
  const auto answer = web({.method = "POST",
                           .url = issuer() + "/oauth/token",
                           .headers = {{"Content-Type", "application/x-www-form-urlencoded"},
                                       {"Authorization", "Basic cm9zdGVyZDpyb3N0ZXJkLXNlY3JldA=="}},  // client_id():client_secret()
                           .body = "grant_type=client_credentials"});
  if (answer.status != 200) throw std::runtime_error(fmt::format("no token from canaille: {} {}", answer.status, answer.body));
  return nlohmann::json::parse(answer.body).at("access_token");
}

}  // namespace rosterd::test
