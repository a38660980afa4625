#include "daemon/notify.hpp"

#include <systemd/sd-daemon.h>
#include <time.h>

#include <string>

namespace rosterd::notify {
namespace {

std::string one_line(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c == '\n' || c == '\r') c = ' ';
  return out;
}

}  // namespace

void send(std::string_view state) { sd_notify(0, std::string(state).c_str()); }

void status(std::string_view text) { send("STATUS=" + one_line(text)); }

void ready(std::string_view text) { send("READY=1\nSTATUS=" + one_line(text)); }

void reloading() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reading the configuration again", now.tv_sec * 1'000'000 + now.tv_nsec / 1000));
}

void stopping(std::string_view text) { send("STOPPING=1\nSTATUS=" + one_line(text)); }

void alive() { send("WATCHDOG=1"); }

void extend_timeout(Millis by) { send(fmt::format("EXTEND_TIMEOUT_USEC={}", by.count() * 1000)); }

std::optional<Millis> watchdog_interval() {
  std::uint64_t microseconds = 0;
  if (sd_watchdog_enabled(0, &microseconds) <= 0) return std::nullopt;
  return std::chrono::duration_cast<Millis>(std::chrono::microseconds(microseconds));
}

}  // namespace rosterd::notify
