// Connections without anything behind them: who is served, who has to wait, who is ended, whatever the peers do. The answers come from a
// small answerer of the test's own.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "daemon/http/front.hpp"
#include "tests/http/sockets.hpp"
#include "tests/support/process.hpp"

namespace rosterd::http {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kLarge = 12 << 20;  // more than the kernel takes from us for a peer that does not read
using test::count_of;
using test::Wire;

/// Answers by the first word of the path: /quick, /large, /stream, /broken-stream, /hold (until let_go), /wait (the same, and says that it
/// waits), anything else like /quick.
class Scripted final : public Answering {
 public:
  void answer(Exchange& exchange) override {
    std::size_t scanned = 0;
    const auto end = exchange.bytes.find("\r\n\r\n") + 4;
    (void)look(exchange.bytes, {}, scanned);
    const auto target = exchange.bytes.substr(exchange.bytes.find(' ') + 1);
    const auto is = [&](std::string_view path) { return target.starts_with(path); };
    exchange.used = end;
    if (const auto length = exchange.bytes.find("Content-Length: "); length < end)
      exchange.used += static_cast<std::size_t>(std::stoi(std::string(exchange.bytes.substr(length + 16, 9))));
    exchange.close = exchange.last || exchange.bytes.substr(0, end).find("Connection: close") != std::string_view::npos;
    const char* status = exchange.busy ? "503 Busy" : "200 OK";
    std::string body = "ok " + std::to_string(++answered);
    if (!exchange.busy && (is("/hold") || is("/wait"))) {
      std::optional<Front::Waits> waits;
      if (is("/wait")) waits.emplace();
      std::unique_lock lock(mutex_);
      ++held;
      changed_.notify_all();
      changed_.wait(lock, [&] { return free_; });
    }
    if (!exchange.busy && is("/large")) body.assign(kLarge, 'x');
    if (!exchange.busy && (is("/stream") || is("/broken-stream"))) {
      exchange.out = "HTTP/1.1 200 OK\r\n\r\n";
      exchange.stream = [left = 400, breaks = is("/broken")](std::string& out) mutable -> Result<bool> {
        if (breaks && left == 390) return fail(Errc::Internal, "as the test wants it");
        out.append(10'000, static_cast<char>('a' + left % 26));
        return --left > 0;
      };
      exchange.close = true;
      return;
    }
    exchange.out += fmt::format("HTTP/1.1 {}\r\nContent-Length: {}\r\n{}\r\n{}", status, body.size(),
                                exchange.close ? "Connection: close\r\n" : "", body);
  }
  std::string refusal(Refusal why) override {
    static constexpr const char* kStatus[] = {"414 Uri", "431 Headers", "408 Slow", "503 Busy"};
    return fmt::format("HTTP/1.1 {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", kStatus[static_cast<int>(why)]);
  }
  void let_go() {
    const std::lock_guard lock(mutex_);
    free_ = true;
    changed_.notify_all();
  }
  void hold_again() {
    const std::lock_guard lock(mutex_);
    free_ = false;
    held = 0;
  }
  void await_held(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(10), [&] { return held >= count; });
  }
  std::atomic<int> answered{0};
  int held = 0;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool free_ = false;
};

struct FrontTest : testing::Test {
  void start(FrontOptions options = {}, std::vector<Listening> more = {}) {
    auto tcp = Listening::tcp("127.0.0.1", 0);
    ASSERT_TRUE(tcp) << tcp.error().what;
    port = tcp->port();
    more.push_back(std::move(*tcp));
    auto started = Front::start(options, std::move(more), {}, scripted);
    ASSERT_TRUE(started) << started.error().what;
    front = std::move(*started);
  }
  ~FrontTest() override { scripted.let_go(); }
  [[nodiscard]] std::string ask(std::string_view path = "/quick", int wait_ms = 5000) const {
    const Wire wire(port);
    (void)wire.send(get(path, "Connection: close\r\n"));
    return wire.read_all(wait_ms);
  }
  static std::string get(std::string_view path, std::string_view headers = {}) {
    return fmt::format("GET {} HTTP/1.1\r\nHost: x\r\n{}\r\n", path, headers);
  }
  template <class Condition>
  static bool soon(Condition condition) {
    const auto until = steady_clock::now() + std::chrono::seconds(30);  // of patience with slow machines; usually it is milliseconds
    do {
      if (condition()) return true;  // asked once more it may be another answer
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    } while (steady_clock::now() < until);
    return false;
  }

  Scripted scripted;
  std::uint16_t port = 0;
  std::unique_ptr<Front> front;
};

TEST_F(FrontTest, AConnectionIsKeptBetweenRequests) {
  start({.threads = 2, .limits = {}});
  const Wire wire(port);
  for (int i = 1; i <= 200; ++i) {
    ASSERT_TRUE(wire.send(get("/quick")));
    EXPECT_NE(wire.read_until("ok " + std::to_string(i)).find("200 OK"), std::string::npos) << i;
  }
}

TEST_F(FrontTest, ARequestMayArriveByteByByte) {
  start({.threads = 2, .limits = {}});
  const Wire wire(port);
  for (int round = 1; round <= 3; ++round) {
    for (const char c : get("/quick")) ASSERT_TRUE(wire.send({&c, 1}));
    EXPECT_NE(wire.read_until("ok " + std::to_string(round)).find("200 OK"), std::string::npos);
  }
}

TEST_F(FrontTest, APipelineLongerThanAFairShareIsAnsweredInOrder) {
  start({.threads = 2, .limits = {}});
  std::string many;
  for (int i = 0; i < 1000; ++i) many += get("/quick");
  const Wire wire(port);
  std::jthread sender([&] { (void)wire.send(many); });
  const auto answers = wire.read_until("ok 1000");
  EXPECT_EQ(count_of("200 OK", answers), 1000u);
  std::size_t at = 0;
  for (int i = 1; i <= 1000; ++i) {
    at = answers.find("\r\nok " + std::to_string(i), at);
    ASSERT_NE(at, std::string::npos) << i;
  }
}

TEST_F(FrontTest, APipelineDoesNotHoldUpOthers) {
  start({.threads = 1, .limits = {}});
  std::atomic<bool> over = false;
  std::jthread greedy([&] {
    const Wire wire(port);
    std::string many;
    for (int i = 0; i < 200; ++i) many += get("/quick");
    while (!over && wire.send(many)) (void)wire.read_until("ok", 100);
  });
  ASSERT_TRUE(soon([&] { return scripted.answered > 1000; }));
  for (int i = 0; i < 20; ++i) EXPECT_NE(ask().find("200 OK"), std::string::npos);
  over = true;
}

TEST_F(FrontTest, AWholeRequestIsAnsweredThoughTheClientHasClosedItsHalf) {
  start({.threads = 2, .limits = {}});
  const Wire wire(port);
  ASSERT_TRUE(wire.send(get("/quick") + get("/quick")));
  wire.half_close();
  const auto answers = wire.read_all();
  EXPECT_EQ(count_of("200 OK", answers), 2u) << answers;
  EXPECT_EQ(count_of("still open", answers), 0u);
}

TEST_F(FrontTest, HalfARequestIsNotAnswered) {
  start({.threads = 2, .limits = {}});
  const Wire wire(port);
  ASSERT_TRUE(wire.send("GET /quick HTTP/1.1\r\nHost"));
  wire.half_close();
  EXPECT_EQ(wire.read_all(), "");
  EXPECT_EQ(scripted.answered, 0);
}

TEST_F(FrontTest, SilentSlowAndUnreadingPeersHoldNoThread) {
  constexpr auto kPeersHave = std::chrono::seconds(120);  // so long that whoever waits for one of them is told apart on any machine
  start({.threads = 1, .limits = {}, .request_timeout = Millis(kPeersHave), .max_wait = Millis(kPeersHave)});
  std::vector<Wire> peers;
  for (int i = 0; i < 50; ++i) {
    peers.emplace_back(port);
    peers.emplace_back(port);
    ASSERT_TRUE(peers.back().send("POST /quick HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf of it"));
  }
  for (int i = 0; i < 10; ++i) {
    peers.emplace_back(port, 4096);
    ASSERT_TRUE(peers.back().send(get("/large") + get("/large")));
  }
  ASSERT_TRUE(soon([&] { return scripted.answered >= 10; }));
  const auto begun = steady_clock::now();
  for (int i = 0; i < 20; ++i) EXPECT_NE(ask("/quick", 60'000).find("200 OK"), std::string::npos);
  EXPECT_LT(steady_clock::now() - begun, kPeersHave / 2);
  EXPECT_EQ(scripted.answered, 30) << "who does not read gets no second answer before the first has left";
  EXPECT_TRUE(soon([&] { return front->last_tick() > begun; })) << "and the watchdog sees that all is well";
}

TEST_F(FrontTest, AnAnswerThatIsReadSlowlyArrivesWhole) {
  start({.threads = 1, .limits = {}});
  const Wire wire(port, 4096);
  ASSERT_TRUE(wire.send(get("/large", "Connection: close\r\n")));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(count_of("x", wire.read_all()), kLarge);
}

TEST_F(FrontTest, AnAnswerNobodyReadsHasADeadline) {
  start({.threads = 1, .limits = {}, .request_timeout = Millis(300)});
  const Wire wire(port, 4096);
  ASSERT_TRUE(wire.send(get("/large")));
  EXPECT_TRUE(soon([&] { return scripted.answered == 1 && front->connections() == 0; }));
}

TEST_F(FrontTest, AStreamArrivesWholeAndLetsOthersPass) {
  start({.threads = 1, .limits = {}});
  const Wire wire(port, 4096);
  ASSERT_TRUE(wire.send(get("/stream")));
  EXPECT_NE(ask().find("200 OK"), std::string::npos) << "while nobody reads the stream";
  const auto all = wire.read_all();
  EXPECT_EQ(all.size(), std::string_view("HTTP/1.1 200 OK\r\n\r\n").size() + 4'000'000);
}

TEST_F(FrontTest, AStreamThatFailsIsCut) {
  start({.threads = 1, .limits = {}});
  const Wire wire(port);
  ASSERT_TRUE(wire.send(get("/broken-stream")));
  const auto all = wire.read_all();
  EXPECT_EQ(all.size(), std::string_view("HTTP/1.1 200 OK\r\n\r\n").size() + 100'000);
}

TEST_F(FrontTest, ATrickledRequestIsToldThatItsTimeIsOver) {
  start({.threads = 1, .limits = {}, .request_timeout = Millis(400)});
  const Wire wire(port);
  std::jthread trickle([&](std::stop_token stop) {  // a byte each 50 ms: every read on its own would be in time
    for (const char c : get("/" + std::string(1000, 'a'))) {
      if (stop.stop_requested() || !wire.send({&c, 1})) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  });
  const auto begun = steady_clock::now();
  EXPECT_NE(wire.read_until("\r\n\r\n").find("408 Slow"), std::string::npos);
  EXPECT_LT(steady_clock::now() - begun, std::chrono::milliseconds(1500));
}

TEST_F(FrontTest, AnIdleConnectionIsClosedAfterItsTime) {
  start({.threads = 1, .limits = {}, .keep_alive = Millis(300)});
  const Wire wire(port);
  ASSERT_TRUE(wire.send(get("/quick")));
  (void)wire.read_until("ok 1");
  const auto begun = steady_clock::now();
  EXPECT_TRUE(wire.ends(3000));
  EXPECT_GT(steady_clock::now() - begun, std::chrono::milliseconds(250));
}

TEST_F(FrontTest, WhatIsTooLargeIsRefusedBeforeItHasArrived) {
  start({.threads = 1, .limits = {.head = 1000, .body = 1000}});
  const Wire headers(port), uri(port);
  ASSERT_TRUE(headers.send("GET / HTTP/1.1\r\nA: " + std::string(2000, 'a')));
  EXPECT_NE(headers.read_until("\r\n\r\n").find("431"), std::string::npos);
  (void)uri.send("GET /" + std::string(2000, 'a'));
  EXPECT_NE(uri.read_until("\r\n\r\n").find("414"), std::string::npos);
}

TEST_F(FrontTest, ABodyIsAskedForWhenTheClientWaitsForThat) {
  start({.threads = 1, .limits = {}});
  const Wire wire(port);
  ASSERT_TRUE(wire.send("POST /quick HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
  EXPECT_EQ(wire.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(wire.send("hello"));
  EXPECT_NE(wire.read_until("ok 1").find("200 OK"), std::string::npos);
}

TEST_F(FrontTest, ALargeBodyArrivesWhole) {
  start({.threads = 1, .limits = {}});
  const Wire wire(port);
  const std::string body(1'000'000, 'b');
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(wire.send(fmt::format("POST /quick HTTP/1.1\r\nContent-Length: {}\r\n\r\n{}", body.size(), body)));
    EXPECT_NE(wire.read_until("ok " + std::to_string(i)).find("200 OK"), std::string::npos);
  }
}

TEST_F(FrontTest, WhoeverWaitsTooLongForAThreadIsToldSoAndTheRestRecovers) {
  start({.threads = 2, .limits = {}, .max_wait = Millis(300)});
  const Wire first(port), second(port);
  ASSERT_TRUE(first.send(get("/hold")));
  ASSERT_TRUE(second.send(get("/hold")));
  scripted.await_held(2);
  const auto begun = steady_clock::now();
  std::vector<Wire> waiting;
  for (int i = 0; i < 50; ++i) {
    waiting.emplace_back(port);
    ASSERT_TRUE(waiting.back().send(get("/quick")));
  }
  for (const auto& wire : waiting) EXPECT_NE(wire.read_until("\r\n\r\n").find("503 Busy"), std::string::npos);
  const auto took = steady_clock::now() - begun;
  EXPECT_GE(took, std::chrono::milliseconds(200)) << "they had their time to find a thread";
  EXPECT_LT(took, std::chrono::seconds(3));
  EXPECT_EQ(front->shed(), 50u);
  scripted.let_go();
  EXPECT_NE(first.read_until("ok").find("200 OK"), std::string::npos);
  for (const auto& wire : waiting) {  // one after the other: fifty at once may wait too long again where all is slow
    ASSERT_TRUE(wire.send(get("/quick")));
    EXPECT_NE(wire.read_until("ok").find("200 OK"), std::string::npos) << "on the same connection";
  }
}

TEST_F(FrontTest, WorkersThatAreHeldUpAreReplacedUpToTheLastThread) {
  start({.threads = 24, .limits = {}, .max_wait = Millis(10'000)});
  std::vector<Wire> holding;
  const auto begun = steady_clock::now();
  for (int i = 0; i < 23; ++i) {
    holding.emplace_back(port);
    ASSERT_TRUE(holding.back().send(get("/hold")));
  }
  scripted.await_held(23);
  EXPECT_LT(steady_clock::now() - begun, std::chrono::seconds(3));
  for (int i = 0; i < 20; ++i) EXPECT_NE(ask().find("200 OK"), std::string::npos) << "one thread is left";
  scripted.let_go();
  for (const auto& wire : holding) EXPECT_NE(wire.read_until("ok").find("200 OK"), std::string::npos);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // for the threads too many to leave, of which nothing tells
  for (int i = 0; i < 200; ++i) EXPECT_NE(ask().find("200 OK"), std::string::npos) << "and those who were called may go again";
}

TEST_F(FrontTest, WhoeverSaysThatHeWaitsIsReplacedSoonerThanWhoIsFoundWaiting) {
  start({.threads = 64, .limits = {}, .max_wait = Millis(10'000)});
  const auto all_at_once = [&](std::string_view path) {
    std::vector<Wire> wires;
    for (int i = 0; i < 60; ++i) wires.emplace_back(port);
    scripted.hold_again();
    const auto begun = steady_clock::now();
    for (const auto& wire : wires) EXPECT_TRUE(wire.send(get(path)));
    scripted.await_held(60);
    const auto took = steady_clock::now() - begun;
    EXPECT_NE(ask().find("200 OK"), std::string::npos) << "some threads are left";
    scripted.let_go();
    for (const auto& wire : wires) EXPECT_NE(wire.read_until("ok").find("200 OK"), std::string::npos);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // for the threads too many to leave
    return took;
  };
  EXPECT_TRUE(soon([&] { return 2 * all_at_once("/wait") < all_at_once("/hold"); }));
}

TEST_F(FrontTest, AnIdleServerSleeps) {
  start({.threads = 8, .limits = {}});
  const Wire wire(port);
  ASSERT_TRUE(wire.send(get("/quick")));
  (void)wire.read_until("ok");
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // until it idles; the second below is what is measured
  const auto used = [] {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
  };
  const auto before = used();
  std::this_thread::sleep_for(std::chrono::milliseconds(1000));
  EXPECT_LT(used() - before, std::chrono::milliseconds(30));
}

TEST_F(FrontTest, ThreadsThatNeverComeBackShowInTheLastTick) {
  start({.threads = 1, .limits = {}, .max_wait = Millis(200)});
  const Wire wire(port);
  ASSERT_TRUE(wire.send(get("/hold")));
  scripted.await_held(1);
  const auto held = steady_clock::now();
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  EXPECT_LT(front->last_tick(), held + std::chrono::milliseconds(100));
  scripted.let_go();
  EXPECT_TRUE(soon([&] { return front->last_tick() > held + std::chrono::milliseconds(1400); }));
}

TEST_F(FrontTest, TheLongestSilentMakesRoomAndNobodyElse) {
  start({.threads = 2, .max_connections = 20, .limits = {}});
  std::vector<Wire> silent;
  for (int i = 0; i < 20; ++i) {
    silent.emplace_back(port);
    ASSERT_TRUE(silent.back().send(get("/quick")));
    (void)silent.back().read_until("ok");
  }
  const Wire fresh(port);
  ASSERT_TRUE(fresh.send(get("/quick")));
  EXPECT_NE(fresh.read_until("ok").find("200 OK"), std::string::npos);
  EXPECT_TRUE(silent.front().ends(2000)) << "the first was silent for longest";
  for (std::size_t i = 1; i < silent.size(); ++i) {
    ASSERT_TRUE(silent[i].send(get("/quick")));
    EXPECT_NE(silent[i].read_until("ok").find("200 OK"), std::string::npos) << i;
  }
}

TEST_F(FrontTest, WhoHasAskedIsNotTakenForSilent) {
  start({.threads = 1, .max_connections = 8, .limits = {}, .max_wait = Millis(10'000)});
  const Wire holding(port);
  ASSERT_TRUE(holding.send(get("/hold")));
  scripted.await_held(1);
  std::vector<Wire> asking;  // and no thread to hear them
  for (int i = 0; i < 7; ++i) {
    asking.emplace_back(port);
    ASSERT_TRUE(asking.back().send(get("/quick")));
  }
  ASSERT_TRUE(soon([&] { return front->connections() == 8; }));
  const Wire surplus(port);
  ASSERT_TRUE(soon([&] { return front->connections() == 9; }));
  scripted.let_go();
  for (const auto& wire : asking) EXPECT_NE(wire.read_until("ok").find("200 OK"), std::string::npos);
}

TEST_F(FrontTest, BeyondTheLimitAConnectionIsToldSo) {
  start({.threads = 2, .max_connections = 8, .limits = {}, .request_timeout = Millis(120'000), .max_wait = Millis(120'000)});
  std::vector<Wire> unreading;  // those that are being answered make no room
  for (int i = 0; i < 8; ++i) {
    unreading.emplace_back(port, 4096);
    ASSERT_TRUE(unreading.back().send(get("/large")));
  }
  ASSERT_TRUE(soon([&] { return scripted.answered == 8; }));
  const auto answer = ask("/quick", 60'000);
  EXPECT_NE(answer.find("503 Busy"), std::string::npos) << answer;
  unreading.pop_back();
  EXPECT_TRUE(soon([&] { return ask().find("200 OK") != std::string::npos; }));
}

TEST_F(FrontTest, StoppingLetsRequestsFinishAndEndsWhoIsIdle) {
  start({.threads = 2, .limits = {}});
  const Wire idle(port), arriving(port), answering(port);
  ASSERT_TRUE(idle.send(get("/quick")));
  (void)idle.read_until("ok");
  const auto request = get("/quick");
  ASSERT_TRUE(arriving.send(request.substr(0, 10)));
  ASSERT_TRUE(answering.send(get("/hold")));
  scripted.await_held(1);
  ASSERT_TRUE(soon([&] { return front->connections() == 3; }));
  std::jthread stopping([&] { front->stop(); });
  EXPECT_TRUE(idle.ends(2000));
  ASSERT_TRUE(arriving.send(request.substr(10)));
  const auto late = arriving.read_all();
  EXPECT_NE(late.find("200 OK"), std::string::npos) << late;
  EXPECT_NE(late.find("Connection: close"), std::string::npos);
  EXPECT_FALSE(Wire(port).connected()) << "nobody new is let in";
  scripted.let_go();
  EXPECT_NE(answering.read_all().find("200 OK"), std::string::npos);
}

TEST_F(FrontTest, StoppingDoesNotWaitForWhoDoesNotSpeak) {
  start({.threads = 2, .limits = {}});
  const Wire mute(port), half(port);
  ASSERT_TRUE(half.send("GET /quick HT"));
  ASSERT_TRUE(soon([&] { return front->connections() == 2; }));
  const auto begun = steady_clock::now();
  front->stop();
  EXPECT_LT(steady_clock::now() - begun, std::chrono::seconds(5));
  EXPECT_EQ(front->connections(), 0u);
}

TEST_F(FrontTest, ConnectionsThatBreakOffLeaveNothing) {
  start({.threads = 4, .limits = {}});
  std::vector<std::jthread> clients;
  for (int c = 0; c < 4; ++c)
    clients.emplace_back([&, c] {
      for (int i = 0; i < 200; ++i) {
        const Wire wire(port, 4096);
        (void)wire.send(i % 3 == 0   ? get("/large")
                        : i % 3 == 1 ? get("/quick").substr(0, static_cast<std::size_t>(i + c) % 20)
                                     : get("/stream"));
        if (i % 2 == 0) (void)wire.read_until("ok", 1);
      }
    });
  clients.clear();
  EXPECT_TRUE(soon([&] { return front->connections() == 0; })) << front->connections();
  EXPECT_NE(ask().find("200 OK"), std::string::npos);
}

TEST_F(FrontTest, AUnixSocketAnswersWithTheModeThatWasAskedFor) {
  const test::TempDir dir;
  const auto path = dir.file("api.sock");
  std::vector<Listening> more;
  auto local = Listening::unix_socket(path, 0620);
  ASSERT_TRUE(local) << local.error().what;
  more.push_back(std::move(*local));
  start({.threads = 2, .limits = {}}, std::move(more));
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0620u);
  {
    const Wire wire(path);
    ASSERT_TRUE(wire.send(get("/quick")));
    EXPECT_NE(wire.read_until("ok 1").find("200 OK"), std::string::npos);
    const auto second = Listening::unix_socket(path, 0600);
    ASSERT_FALSE(second) << "somebody listens there";
    EXPECT_EQ(second.error().code, Errc::Unavailable);
  }
  front->stop();
  EXPECT_FALSE(std::filesystem::exists(path)) << "the file goes with the server";
}

TEST_F(FrontTest, ASocketFileOfAKilledDaemonIsReplacedAndNothingElse) {
  const test::TempDir dir;
  const auto path = dir.file("api.sock");
  {
    auto abandoned = Listening::unix_socket(path, 0600);
    ASSERT_TRUE(abandoned);
    std::filesystem::rename(path, path + ".kept");  // so that its end does not take the file away
  }
  std::filesystem::rename(path + ".kept", path);
  EXPECT_TRUE(Listening::unix_socket(path, 0600));
  const auto file = dir.file("precious");
  test::write_file(file, "text");
  const auto refused = Listening::unix_socket(file, 0600);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().what.find(file), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(file));
  EXPECT_EQ(Listening::unix_socket("/" + std::string(200, 'x'), 0600).error().code, Errc::InvalidInput);
}

}  // namespace
}  // namespace rosterd::http
