#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <future>

#include "daemon/health.hpp"
#include "daemon/instance_lock.hpp"
#include "daemon/logging.hpp"
#include "daemon/notify.hpp"
#include "daemon/signals.hpp"
#include "tests/daemon/notify_socket.hpp"
#include "tests/support/process.hpp"

namespace rosterd {
namespace {

using test::NotifySocket;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

TEST(Signals, ArriveAsValuesAndDoNotKillTheProcess) {
  const SignalSet signals{SIGUSR1, SIGUSR2};
  ::kill(::getpid(), SIGUSR1);
  EXPECT_EQ(signals.wait(), SIGUSR1);
  ::kill(::getpid(), SIGUSR2);
  EXPECT_EQ(signals.wait(std::stop_token()), SIGUSR2);
}

TEST(Signals, AWaitEndsWhenItIsToldToAndCanBeRepeated) {
  const SignalSet signals{SIGUSR1};
  for (int round = 0; round < 2; ++round) {
    std::stop_source stop;
    auto waiting = std::async(std::launch::async, [&] { return signals.wait(stop.get_token()); });
    stop.request_stop();
    EXPECT_FALSE(waiting.get().has_value());
  }
  ::kill(::getpid(), SIGUSR1);
  EXPECT_EQ(signals.wait(), SIGUSR1) << "a stop that was answered is not answered again";
}

TEST(Signals, AWriteToAPeerThatIsGoneIsAnErrorAndNotTheEnd) {
  const SignalSet signals{SIGUSR1};
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  EXPECT_EQ(::write(ends[1], "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  ::close(ends[1]);
}

TEST(Notify, TellsTheServiceManager) {
  NotifySocket socket;
  ::setenv("NOTIFY_SOCKET", socket.path().c_str(), 1);
  notify::status("two\nlines");
  notify::ready("up");
  notify::reloading();
  notify::alive();
  notify::extend_timeout(std::chrono::seconds(30));
  notify::stopping("down");
  ::unsetenv("NOTIFY_SOCKET");
  notify::status("nobody listens");
  EXPECT_EQ(socket.next(), "STATUS=two lines");
  EXPECT_EQ(socket.next(), "READY=1\nSTATUS=up");
  EXPECT_THAT(socket.next(), testing::MatchesRegex("RELOADING=1\nMONOTONIC_USEC=[0-9]+\nSTATUS=.*"));
  EXPECT_EQ(socket.next(), "WATCHDOG=1");
  EXPECT_EQ(socket.next(), "EXTEND_TIMEOUT_USEC=30000000");
  EXPECT_EQ(socket.next(), "STOPPING=1\nSTATUS=down");
}

TEST(Notify, KnowsHowOftenTheWatchdogWantsToHear) {
  EXPECT_FALSE(notify::watchdog_interval());
  ::setenv("WATCHDOG_USEC", "9000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  EXPECT_EQ(notify::watchdog_interval(), Millis(9000));
  ::unsetenv("WATCHDOG_USEC");
  ::unsetenv("WATCHDOG_PID");
  EXPECT_EQ(health_period(Millis(9000)), Millis(3000));
  EXPECT_EQ(health_period(Millis(60'000)), Millis(5000));
  EXPECT_EQ(health_period(std::nullopt), Millis(5000));
}

TEST(Logging, AutoMeansTheJournalOnlyWhenStandardErrorIsTheJournal) {
  using config::LogFormat;
  struct stat about{};
  ASSERT_EQ(::fstat(STDERR_FILENO, &about), 0);
  const auto same = fmt::format("{}:{}", about.st_dev, about.st_ino);
  EXPECT_EQ(chosen_format(LogFormat::Auto, same, STDERR_FILENO), LogFormat::Journald);
  EXPECT_EQ(chosen_format(LogFormat::Auto, "1:2", STDERR_FILENO), LogFormat::Text) << "redirected to a file after systemd connected it";
  EXPECT_EQ(chosen_format(LogFormat::Auto, std::nullopt, STDERR_FILENO), LogFormat::Text);
  EXPECT_EQ(chosen_format(LogFormat::Journald, std::nullopt, STDERR_FILENO), LogFormat::Journald);
  EXPECT_EQ(chosen_format(LogFormat::Text, same, STDERR_FILENO), LogFormat::Text);
}

TEST(Logging, AnEventBecomesJournalFields) {
  const std::vector<log::Field> fields{log::field("tenant", "acme"), log::field("source", "corp"), log::field("run", "run_1"),
                                       log::field("reason", "a\nb")};
  EXPECT_THAT(
      journal_fields(log::Level::Warning, "sync.held", fields),
      ElementsAre("MESSAGE=sync.held tenant=acme source=corp run=run_1 reason=\"a\\x0ab\"", "PRIORITY=4", "SYSLOG_IDENTIFIER=rosterd",
                  "ROSTERD_EVENT=sync.held", "ROSTERD_TENANT=acme", "ROSTERD_SOURCE=corp", "ROSTERD_RUN=run_1", "ROSTERD_REASON=a\nb"));
  EXPECT_THAT(journal_fields(log::Level::Error, "x.y", {}), Contains("PRIORITY=3"));
  EXPECT_THAT(journal_fields(log::Level::Info, "x.y", {}), Contains("PRIORITY=6"));
  EXPECT_THAT(journal_fields(log::Level::Debug, "x.y", {}), Contains("PRIORITY=7"));
}

TEST(Logging, TextHasTimeLevelEventAndFieldsOnOneLine) {
  testing::internal::CaptureStderr();
  config::Config config;
  config.log = {.level = log::Level::Info, .format = config::LogFormat::Text};
  start_logging(config);
  log::debug("test.hidden");
  log::warning("test.shown", {log::field("name", "two\nlines {} %v")});
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z warning test.shown name=\"two\\\\x0alines \\{\\} %v\"\n"));
}

TEST(InstanceLock, ASecondDaemonOnTheSameStateDirectoryIsRefused) {
  const test::TempDir dir;
  const auto state = dir.path() / "made" / "state";
  {
    const auto first = InstanceLock::take(state);
    ASSERT_TRUE(first) << first.error().what;
    const auto second = InstanceLock::take(state);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::Conflict);
    EXPECT_THAT(second.error().what, HasSubstr(fmt::format("(process {})", ::getpid())));
  }
  EXPECT_TRUE(InstanceLock::take(state)) << "free again";
}

TEST(InstanceLock, APlaceThatCannotBeMadeIsAnError) {
  const test::TempDir dir;
  const auto lock = InstanceLock::take(std::filesystem::path(dir.write("file", "")) / "state");
  ASSERT_FALSE(lock);
  EXPECT_THAT(lock.error().what, StartsWith("state.directory: "));
  EXPECT_THAT(lock.error().what, HasSubstr("name another as state.directory"));
}

TEST(Health, TheWatchdogHearsOnlyWhenEveryPartMoves) {
  std::atomic<bool> moves{true};
  std::atomic<int> heard{0}, told{0};
  Health health({{"http", [] { return Result<void>(); }},
                 {"scheduler", [&]() -> Result<void> { return moves ? Result<void>() : fail(Errc::Internal, "no tick for 60 s"); }}},
                {.period = Millis(5),
                 .alive = [&] { ++heard; },
                 .status = [] { return "fine"; },
                 .tell_status = [&](const std::string&) { ++told; }});
  ASSERT_TRUE(test::wait_until([&] { return heard > 2; }));
  moves = false;
  const auto stale = [&] {
    const int before = heard;
    std::this_thread::sleep_for(Millis(50));  // ten rounds: nothing is to happen in them
    return heard == before;
  };
  EXPECT_TRUE(test::wait_until(stale));
  moves = true;
  const int before = heard;
  EXPECT_TRUE(test::wait_until([&] { return heard > before; }));
  EXPECT_EQ(told, 1) << "the status is told when it changes";
}

}  // namespace
}  // namespace rosterd
