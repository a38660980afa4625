#include "tests/support/netns.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <exception>
#include <stdexcept>
#include <thread>

#include "tests/support/process.hpp"

namespace rosterd::test {

NetworkNamespace::NetworkNamespace(std::string_view prefix) {
  static std::atomic<int> count{0};
  name_ = fmt::format("{}-{}-{}", prefix, getpid(), ++count);
  run_ok({"ip", "netns", "add", name_});
  run_ok({"ip", "-n", name_, "link", "set", "lo", "up"});
}

NetworkNamespace::~NetworkNamespace() {
  try {
    run_ok({"ip", "netns", "delete", name_});
  } catch (const std::exception& error) {
    fmt::print(stderr, "network namespace {} stays: {}\n", name_, error.what());
  }
}

void NetworkNamespace::run(const std::function<void()>& use) const {
  std::exception_ptr thrown;
  std::jthread([&] {
    try {
      const int fd = open(("/run/netns/" + name_).c_str(), O_RDONLY | O_CLOEXEC);
      const bool entered = fd >= 0 && setns(fd, CLONE_NEWNET) == 0;
      if (fd >= 0) close(fd);
      if (!entered) throw std::runtime_error("cannot enter the network namespace " + name_);
      use();
    } catch (...) {  // handed to the caller below
      thrown = std::current_exception();
    }
  }).join();
  if (thrown) std::rethrow_exception(thrown);
}

std::string NetworkNamespace::unavailable() {
  static const std::string reason = [] {
    if (!am_root()) return std::string("network namespaces need root");
    const std::string name = fmt::format("rosterd-probe-{}", getpid());
    const Ran made = test::run({"ip", "netns", "add", name});
    if (made.status != 0) return "network namespaces are not to be had here: " + made.output;
    run_ok({"ip", "netns", "delete", name});
    return std::string();
  }();
  return reason;
}

}  // namespace rosterd::test
