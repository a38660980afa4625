#include "tests/support/ds389.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <stdexcept>

namespace rosterd::test {
namespace {

constexpr const char* kDefaults = "/usr/share/dirsrv/inf/defaults.inf";

std::string next_instance() {
  static std::atomic<int> count{0};
  return fmt::format("t{}x{}", getpid(), ++count);
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

}  // namespace

std::string Private389::unavailable() {
  if (!std::filesystem::exists("/usr/sbin/ns-slapd") || !std::filesystem::exists(kDefaults))
    return "389 Directory Server is not installed (package 389-ds-base)";
  return NetworkNamespace::unavailable();
}

Private389::Private389() : instance_(next_instance()), dir_("rds"), namespace_("rosterd-ds") {
  const std::string dir = dir_.path().string();
  // dscreate takes its paths from defaults.inf, which it looks for under $PREFIX: a copy that points into our folder and knows no systemd
  // (dscreate 2.3 calls systemctl even with "systemd = False" unless with_systemd is 0).
  std::string defaults = replaced(read_file(kDefaults), "with_systemd = 1", "with_systemd = 0");
  constexpr std::array kOurs = {
      "/etc/dirsrv/slapd-", "/usr/lib/x86_64-linux-gnu/dirsrv/slapd-", "/var", "/run/", "/dev/shm/", "/etc/default", "/etc/tmpfiles.d"};
  for (const char* path : kOurs) defaults = replaced(defaults, std::string("= ") + path, fmt::format("= {}{}", dir, path));
  dir_.write("share/dirsrv/inf/defaults.inf", defaults, 0644);
  for (const char* folder :
       {"etc/dirsrv", "etc/default", "etc/tmpfiles.d", "run/dirsrv", "run/lock/dirsrv", "dev/shm", "var/lib/dirsrv", "var/log/dirsrv"})
    std::filesystem::create_directories(dir_.path() / folder);
  const std::string answers = dir_.write(
      "instance.inf", fmt::format("[general]\nconfig_version = 2\nfull_machine_name = localhost\nstart = False\nsystemd = False\n"
                                  "selinux = False\nstrict_host_checking = False\n[slapd]\ninstance_name = {}\nroot_password = {}\n"
                                  "port = 3893\nsecure_port = 6363\nuser = root\ngroup = root\nprefix = /usr\n"
                                  "[backend-userroot]\nsuffix = {}\nsample_entries = yes\n",
                                  instance_, admin_password(), base_dn()));
  run_ok({"dscreate", "from-file", answers}, {.env = {{"PREFIX", dir}}, .netns = namespace_.name()});
  start();
}

Private389::~Private389() {
  if (server_) server_->kill(SIGTERM);
  if (server_) server_->wait(Milliseconds(20'000));
}

void Private389::start() {
  if (server_ && server_->is_running()) return;
  server_.emplace(Argv{"ns-slapd", "-D", dir_.file("etc/dirsrv/slapd-" + instance_), "-i", dir_.file("pid"), "-d", "0"},
                  ProcessOptions{.output = dir_.file("out.log"), .netns = namespace_.name(), .death_signal = SIGKILL});
  const bool up = wait_until(
      [&] {
        if (!server_->is_running()) return true;
        return test::run({"ldapsearch", "-x", "-LLL", "-o", "nettimeout=2", "-H", url(), "-s", "base", "-b", "", "vendorName"},
                         {.env = {{"LDAPNOINIT", "1"}}, .netns = namespace_.name()})
                   .status == 0;
      },
      Milliseconds(60'000));
  if (!up || !server_->is_running()) throw std::runtime_error("private 389 Directory Server does not start: " + log());
}

void Private389::stop() {
  server_->kill(SIGTERM);
  if (!server_->wait(Milliseconds(60'000))) throw std::runtime_error("private 389 Directory Server does not stop: " + log());
}

void Private389::modify(const std::string& ldif) {
  run_ok({"ldapmodify", "-x", "-H", url(), "-D", admin_dn(), "-w", admin_password()},
         {.env = {{"LDAPNOINIT", "1"}}, .input = ldif, .netns = namespace_.name()});
}

std::string Private389::search(const std::string& base, const std::string& filter, const Argv& attributes) {
  Argv argv = {"ldapsearch", "-LLL", "-x", "-o", "ldif-wrap=no", "-H", url(), "-D", admin_dn(), "-w", admin_password(), "-b", base, filter};
  argv.insert(argv.end(), attributes.begin(), attributes.end());
  return run_ok(argv, {.env = {{"LDAPNOINIT", "1"}}, .netns = namespace_.name()});
}

std::string Private389::log() const {
  std::string text;
  for (const auto& file : {dir_.file("out.log"), dir_.file("var/log/dirsrv/slapd-" + instance_ + "/errors")})
    if (std::filesystem::exists(file)) text += read_file(file);
  return text;
}

}  // namespace rosterd::test
