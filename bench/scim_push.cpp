// What a provider can push in a second: creations of users, and single members put into and taken out of a group of 50,000. The server is
// in this process over the real store and publisher, PostgreSQL is a private one, and the 8 clients with their kept connections share its
// cores.
//   figure NAME VALUE BOUND ok|short
// The exit code is 1 when one of them is short.

#include <sys/socket.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <thread>

#include "daemon/http/token.hpp"
#include "daemon/sync/guard.hpp"
#include "daemon/sync/publisher.hpp"
#include "schema/core/log.hpp"
#include "tests/http/sockets.hpp"
#include "tests/http/world.hpp"

namespace rosterd {
namespace {

using nlohmann::json;
using test::World;
using Steady = std::chrono::steady_clock;

bool g_all_hold = true;

void figure(const std::string& name, double value, double bound) {
  g_all_hold = g_all_hold && value >= bound;
  std::printf("figure %s %.0f/s %.0f/s %s\n", name.c_str(), value, bound, value >= bound ? "ok" : "short");
  std::fflush(stdout);
}

/// Publishes as the daemon does.
class Control final : public sync::SyncControl {
 public:
  explicit Control(sync::Publisher& publisher) : publisher_(publisher) {}
  void wake() override {}
  void changed(const TenantId& tenant) override { publisher_.changed(tenant); }
  void changed_unawaited(const TenantId& tenant) override { publisher_.changed(tenant, false); }
  [[nodiscard]] std::optional<std::string> progress(RunId) const override { return std::nullopt; }

 private:
  sync::Publisher& publisher_;
};

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().what);
  return std::move(*result);
}

PushRules rules() {
  PushRules out;
  out.limit = [](std::uint64_t active) { return active; };
  out.loses_too_many = [](std::uint64_t, std::uint64_t) { return false; };
  out.roles = [](std::string_view) { return std::optional(std::vector<MappedRole>()); };
  return out;
}

/// One kept connection that does as little as a client can: what it costs here is not the provider's to pay.
class Pushing {
 public:
  Pushing(std::uint16_t port, const std::string& base, const std::string& secret)
      : wire_(port), base_(base), head_(fmt::format(" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n", secret)) {}

  /// The status; 0 when the connection ended.
  long send(std::string_view method, std::string_view path, std::string_view body) const {
    if (!wire_.send(fmt::format("{} {}{}{}Content-Type: application/scim+json\r\nContent-Length: {}\r\n\r\n{}", method, base_, path, head_,
                                body.size(), body)))
      return 0;
    const auto got = wire_.read_until("\r\n\r\n");
    const auto head_end = got.find("\r\n\r\n");
    if (head_end == std::string::npos || got.size() < 12) return 0;
    if (const auto at = got.find("Content-Length: "); at < head_end) {
      auto missing = std::stoul(got.substr(at + 16)) - (got.size() - head_end - 4);
      char buffer[4096];
      while (missing > 0) {
        const auto n = ::recv(wire_.fd(), buffer, std::min(missing, sizeof buffer), 0);
        if (n <= 0) return 0;
        missing -= static_cast<std::size_t>(n);
      }
    }
    return std::stol(got.substr(9, 3));
  }

 private:
  test::Wire wire_;
  std::string base_, head_;
};

/// Requests a second over `connections`, each with its own numbers; throws when an answer is not `good`.
double load(int connections, double seconds, const std::function<long(int connection, int number)>& request, long good) {
  std::atomic<int> done{0}, wrong{0};
  const auto begun = Steady::now();
  const auto until = begun + std::chrono::duration_cast<Steady::duration>(std::chrono::duration<double>(seconds));
  {
    std::vector<std::jthread> threads;
    for (int c = 0; c < connections; ++c)
      threads.emplace_back([&, c] {
        for (int i = 0; Steady::now() < until; ++i) ++(request(c, i) == good ? done : wrong);
      });
  }
  if (wrong > 0) throw std::runtime_error(fmt::format("{} answers were not {}", wrong.load(), good));
  return done / std::chrono::duration<double>(Steady::now() - begun).count();
}

int measure(double seconds, int connections, int size) {
  World world;
  world.set_up();
  const TenantId tenant{world.tenant()};
  NewSource made;
  made.name = "pushing";
  made.type = kPushType;
  made.settings = "{}";
  const auto source = must(world.store->create_source(tenant, made, {})).value.id;
  const auto secret = http::make_token();
  NewToken token;
  token.name = "bench";
  token.hash = http::token_hash(secret, "pepper");
  token.last4 = "last";
  (void)must(world.store->create_source_token(tenant, source, token, {}));

  std::vector<PrincipalId> ids;
  while (static_cast<int>(ids.size()) < size) {
    std::vector<Push> some(500);
    for (auto& one : some) {
      const auto name = fmt::format("member{}", ids.size() + static_cast<std::size_t>(&one - some.data()));
      one.made.content.name = name;
      one.made.content.document = json{{"userName", name}}.dump();
    }
    for (auto& answer : must(world.store->push(tenant, source, some, rules()))) ids.push_back(must(std::move(answer)).now.id);
  }
  Push group;
  group.type = PrincipalType::Group;
  group.made.content.name = "everybody";
  group.made.content.document = R"({"displayName":"everybody"})";
  MemberStep all;
  for (const auto id : ids) all.who.push_back({PrincipalType::User, id});
  group.mentions = all.who;
  group.made.steps.push_back(std::move(all));
  const auto everybody = text(PrincipalType::Group, must(must(world.store->push(tenant, source, {&group, 1}, rules())).front()).now.id);
  std::printf("a group of %zu members is pushed\n", ids.size());
  std::fflush(stdout);

  sync::Publisher publisher(*world.store, world.snapshots, world.catalogue);
  if (const auto started = publisher.start(); !started) throw std::runtime_error(started.error().what);
  Control control(publisher);
  const auto server = must(http::Server::start({}, {.store = *world.store,
                                                    .snapshots = world.snapshots,
                                                    .sync = control,
                                                    .catalogue = world.catalogue,
                                                    .secrets = *world.secrets,
                                                    .connector_options = {},
                                                    .clock = world.clock,
                                                    .setup = world.gate,
                                                    .token_pepper = "pepper"}));
  server->set_ready(true);
  const auto base = "/t/" + tenant.value + "/scim/v2";
  std::vector<std::unique_ptr<Pushing>> clients;
  for (int c = 0; c < connections; ++c) clients.push_back(std::make_unique<Pushing>(server->port(), base, secret));
  const auto create = [&](int c, int i) {
    const auto name = fmt::format("new{}x{}@example.org", c, i);
    return clients[static_cast<std::size_t>(c)]->send(
        "POST", "/Users",
        fmt::format(R"({{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"{0}","externalId":"{0}","active":true,)"
                    R"("name":{{"givenName":"N","familyName":"M"}},"emails":[{{"value":"{0}","type":"work","primary":true}}]}})",
                    name));
  };
  const auto group_path = "/Groups/" + everybody;
  const auto patch = [&](int c, int i) {
    const auto id = text(PrincipalType::User, ids[static_cast<std::size_t>(c * 97 + i / 2) % ids.size()]);
    return clients[static_cast<std::size_t>(c)]->send(
        "PATCH", group_path,
        fmt::format(R"({{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],)"
                    R"("Operations":[{{"op":"{}","path":"members","value":[{{"value":"{}"}}]}}]}})",
                    i % 2 == 0 ? "Remove" : "Add", id));
  };
  figure("scim_user_creations", load(connections, seconds, create, 201), 1500);
  figure("scim_member_patches", load(connections, seconds, patch, 204), 1500);
  publisher.stop();
  return g_all_hold ? 0 : 1;
}

}  // namespace
}  // namespace rosterd

int main(int argc, char** argv) {
  rosterd::log::set_level(rosterd::log::Level::Error);
  CLI::App app("User creations and single-member changes of a large group, pushed over SCIM.");
  double seconds = 10;
  int connections = 8, size = 50'000;
  app.add_option("--seconds", seconds, "of each load")->capture_default_str();
  app.add_option("--connections", connections, "kept alive")->capture_default_str();
  app.add_option("--size", size, "of the group")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    return rosterd::measure(seconds, connections, size);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
