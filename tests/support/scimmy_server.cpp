#include "tests/support/scimmy_server.hpp"

#include <nlohmann/json.hpp>

namespace rosterd::test {
namespace {

using nlohmann::json;

json settings_of(const ScimmyServer::Options& options) {
  return {{"token", options.token},   {"jwks_url", options.jwks_url},      {"issuer", options.issuer},   {"audience", options.audience},
          {"users", options.users},   {"groups", options.groups},          {"members", options.members}, {"big_group", options.big_group},
          {"nested", options.nested}, {"max_results", options.max_results}};
}

std::string put_request(std::string_view type, const std::string& resource) {
  return json{{"type", type}, {"resource", json::parse(resource)}}.dump();
}

std::string remove_request(std::string_view type, std::string_view id) { return json{{"type", type}, {"id", id}}.dump(); }

}  // namespace

ScimmyServer::ScimmyServer(Options options)
    : NodeServer("scimmy_server.mjs", settings_of(options).dump(), options.tls ? options.tls->cert_file : "",
                 options.tls ? options.tls->key_file : "", options.ca_file),
      options_(std::move(options)) {}

void ScimmyServer::put_user(const std::string& resource) const { (void)ask("POST", "/__test/put", put_request("User", resource)); }
void ScimmyServer::put_group(const std::string& resource) const { (void)ask("POST", "/__test/put", put_request("Group", resource)); }
void ScimmyServer::remove_user(std::string_view id) const { (void)ask("POST", "/__test/remove", remove_request("User", id)); }
void ScimmyServer::remove_group(std::string_view id) const { (void)ask("POST", "/__test/remove", remove_request("Group", id)); }
void ScimmyServer::load(const std::string& everything) const { (void)ask("POST", "/__test/load", everything); }

}  // namespace rosterd::test
