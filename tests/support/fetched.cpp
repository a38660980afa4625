#include "tests/support/fetched.hpp"

#include <curl/curl.h>
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace rosterd::test {
namespace {

std::size_t append(char* data, std::size_t size, std::size_t count, void* into) {
  static_cast<std::string*>(into)->append(data, size * count);
  return size * count;
}

std::size_t note_header(char* data, std::size_t size, std::size_t count, void* into) {
  auto& headers = *static_cast<std::vector<std::pair<std::string, std::string>>*>(into);
  std::string_view line(data, size * count);
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) headers.clear();  // of a "100 Continue" before the answer
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return size * count;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto value = line.substr(std::min(line.size(), line.find_first_not_of(' ', colon + 1)));
  headers.emplace_back(std::move(name), std::string(value));
  return size * count;
}

std::string env(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

std::string left_out(std::string_view name) {
  const std::string list = "," + env("ROSTERD_TEST_WITHOUT") + ",";
  if (list.find(fmt::format(",{},", name)) == std::string::npos) return {};
  return fmt::format("{} is left out on purpose (ROSTERD_TEST_WITHOUT)", name);
}

std::filesystem::path fetched(std::string_view name) {
  const std::filesystem::path folder = std::filesystem::path(ROSTERD_SOURCE_DIR) / "build/servers" / name;
  if (std::filesystem::exists(folder / ".complete")) return folder;
  throw std::runtime_error(
      fmt::format("the test server '{0}' has not been fetched ({1} is not complete): run scripts/test, or \"scripts/fetch-servers {0}\", "
                  "or leave it out "
                  "on purpose with ROSTERD_TEST_WITHOUT={0}",
                  name, folder.string()));
}

std::string WebAnswer::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return value;
  return {};
}

WebAnswer web(const WebRequest& request) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), &curl_easy_cleanup);
  curl_slist* list = nullptr;
  for (const auto& [name, value] : request.headers) list = curl_slist_append(list, fmt::format("{}: {}", name, value).c_str());
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> owned(list, &curl_slist_free_all);
  WebAnswer answer;
  curl_easy_setopt(curl.get(), CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_CUSTOMREQUEST, request.method.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, list);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, 60'000L);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer.body);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERFUNCTION, note_header);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERDATA, &answer.headers);
  if (!request.body.empty()) {
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  }
  if (!request.ca_file.empty()) curl_easy_setopt(curl.get(), CURLOPT_CAINFO, request.ca_file.c_str());
  if (!request.cert_file.empty()) {
    curl_easy_setopt(curl.get(), CURLOPT_SSLCERT, request.cert_file.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_SSLKEY, request.key_file.c_str());
  }
  if (const auto code = curl_easy_perform(curl.get()); code != CURLE_OK)
    return {.status = 0, .headers = {}, .body = curl_easy_strerror(code)};
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &answer.status);
  return answer;
}

NodeServer::NodeServer(std::string module, std::string settings, const std::string& cert_file, const std::string& key_file,
                       std::string ca_file)
    : module_(std::move(module)), ca_file_(std::move(ca_file)), tls_(!cert_file.empty()), dir_("rnode"), port_(free_port()) {
  // Modules are looked for beside the file that names them, so the files stand beside what was fetched.
  const auto packages = fetched("node") / "node_modules";
  const std::filesystem::path own = std::filesystem::path(ROSTERD_SOURCE_DIR) / "tests/support/servers";
  for (const auto& file : std::filesystem::directory_iterator(own))
    if (file.path().extension() == ".mjs") std::filesystem::copy_file(file.path(), dir_.path() / file.path().filename());
  std::filesystem::create_directory_symlink(packages, dir_.path() / "node_modules");
  auto whole = nlohmann::json::parse(settings);
  if (tls_) whole["tls"] = {{"cert", cert_file}, {"key", key_file}, {"ca", ca_file_}};
  settings_ = whole.dump();
  start();
}

std::string NodeServer::origin() const { return fmt::format("{}://127.0.0.1:{}", tls_ ? "https" : "http", port_); }

void NodeServer::start() {
  if (server_ && server_->is_running()) return;
  const bool first = !server_;
  for (int attempt = 0;; ++attempt) {
    auto whole = nlohmann::json::parse(settings_);
    whole["port"] = port_;
    const auto file = dir_.write("settings.json", whole.dump());
    server_.emplace(Argv{"node", "--max-old-space-size=512", dir_.file(module_), file},
                    ProcessOptions{.env = {{"NODE_OPTIONS", ""}}, .cwd = dir_.path().string(), .output = dir_.file("log")});
    const auto ready = [&] { return web({.url = origin() + "/__test/ready", .ca_file = ca_file_}).status == 200; };
    (void)wait_until([&] { return !server_->is_running() || ready(); }, Milliseconds(60'000));
    if (server_->is_running() && ready()) return;
    // Somebody may have taken the port between the look and the bind.
    if (!first || attempt > 3 || log().find("EADDRINUSE") == std::string::npos)
      throw std::runtime_error(fmt::format("{} does not start: {}", module_, log()));
    port_ = free_port();
  }
}

void NodeServer::stop() {
  server_->kill(SIGCONT);
  server_->kill(SIGTERM);
  if (!server_->wait(Milliseconds(20'000))) throw std::runtime_error(module_ + " does not stop: " + log());
}

void NodeServer::kill_hard() {
  server_->kill(SIGKILL);
  server_->wait(Milliseconds(10'000));
}

void NodeServer::freeze() { server_->kill(SIGSTOP); }
void NodeServer::thaw() { server_->kill(SIGCONT); }
std::string NodeServer::log() const { return std::filesystem::exists(dir_.file("log")) ? read_file(dir_.file("log")) : ""; }

WebAnswer NodeServer::ask(const std::string& method, const std::string& path, const std::string& body) const {
  auto answer = web({.method = method, .url = origin() + path, .body = body, .ca_file = ca_file_});
  if (answer.status / 100 != 2)
    throw std::runtime_error(fmt::format("{} {}{}: {} {}\n{}", method, origin(), path, answer.status, answer.body, log()));
  return answer;
}

void NodeServer::fail(const Fault& fault) const {
  nlohmann::json json{{"path", fault.path}, {"times", fault.times},       {"status", fault.status},
                      {"body", fault.body}, {"delay_ms", fault.delay_ms}, {"drop", fault.drop}};
  json["headers"] = nlohmann::json::object();
  for (const auto& [name, value] : fault.headers) json["headers"][name] = value;
  (void)ask("POST", "/__test/faults", json.dump());
}

void NodeServer::clear_faults() const { (void)ask("DELETE", "/__test/faults"); }
void NodeServer::clear_requests() const { (void)ask("DELETE", "/__test/requests"); }

int NodeServer::requests(std::string_view path) const {
  const auto counted = nlohmann::json::parse(ask("GET", "/__test/requests").body);
  int sum = 0;
  for (const auto& [name, count] : counted.at("paths").items())
    if (name.starts_with(path)) sum += count.get<int>();
  return sum;
}

}  // namespace rosterd::test
