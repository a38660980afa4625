#include "tests/support/samba.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <stdexcept>

namespace rosterd::test {
namespace {

/// What "samba-tool domain provision" does, minus the file shares' access lists: those want the package samba-vfs-modules and are nothing
/// to a directory server. (samba-tool has no option for it, the function beneath does.) Debian's python3, as it has the samba modules.
constexpr const char* kProvision = R"(
import logging, sys
from samba.auth import system_session
from samba.dsdb import DS_DOMAIN_FUNCTION_2008_R2
from samba.param import LoadParm
from samba.provision import provision
folder, password = sys.argv[1:3]
provision(logging.getLogger(), system_session(), targetdir=folder, realm="EXAMPLE.TEST", domain="EXAMPLE", hostname="dc1",
          hostip="127.0.0.1", adminpass=password, serverrole="active directory domain controller", dns_backend="SAMBA_INTERNAL",
          dom_for_fun_level=DS_DOMAIN_FUNCTION_2008_R2, lp=LoadParm(), skip_sysvolacl=True)
)";

}  // namespace

std::string PrivateSamba::unavailable() {
  if (!std::filesystem::exists("/usr/sbin/samba") || !std::filesystem::exists("/usr/share/samba/setup/provision.ldif"))
    return "Samba's domain controller is not installed (packages samba samba-ad-provision samba-dsdb-modules winbind)";
  return NetworkNamespace::unavailable();
}

PrivateSamba::PrivateSamba() : dir_("rad"), namespace_("rosterd-ad") {
  const std::string dir = dir_.path().string();
  run_ok({"/usr/bin/python3", "-c", kProvision, dir, admin_password()}, {.netns = namespace_.name()});
  for (const char* folder : {"lock", "run/ncalrpc", "cache", "etc"}) std::filesystem::create_directories(dir_.path() / folder);
  dir_.write("etc/smb.conf", fmt::format("[global]\n"
                                         "netbios name = DC1\nrealm = EXAMPLE.TEST\nworkgroup = EXAMPLE\n"
                                         "server role = active directory domain controller\nserver services = ldap kdc\n"
                                         "interfaces = lo\nbind interfaces only = yes\n"
                                         "private dir = {0}/private\nstate directory = {0}/state\ncache directory = {0}/cache\n"
                                         "lock directory = {0}/lock\npid directory = {0}/run\nncalrpc dir = {0}/run/ncalrpc\n"
                                         "log file = {0}/log.samba\nldap server require strong auth = no\ntls enabled = yes\n",
                                         dir));
  start();
}

PrivateSamba::~PrivateSamba() {
  if (server_) server_->kill(SIGTERM);
  if (server_) server_->wait(Milliseconds(10'000));
}

std::string PrivateSamba::ca_file() const { return dir_.file("private/tls/ca.pem"); }

void PrivateSamba::start() {
  if (server_ && server_->is_running()) return;
  // One process for everything (-M single), so that ending it ends all of it.
  server_.emplace(Argv{"samba", "-i", "-M", "single", "--no-process-group", "-s", dir_.file("etc/smb.conf")},
                  ProcessOptions{.output = dir_.file("out.log"), .netns = namespace_.name(), .death_signal = SIGKILL});
  const bool up = wait_until(
      [&] {
        if (!server_->is_running()) return true;
        return test::run({"ldapsearch", "-x", "-LLL", "-o", "nettimeout=2", "-H", url(), "-s", "base", "-b", "", "supportedControl"},
                         {.env = {{"LDAPNOINIT", "1"}}, .netns = namespace_.name()})
                       .status == 0 &&
               std::filesystem::exists(ca_file());
      },
      Milliseconds(60'000));
  if (!up || !server_->is_running()) throw std::runtime_error("private Samba does not start: " + log());
}

void PrivateSamba::stop() {
  server_->kill(SIGTERM);
  if (!server_->wait(Milliseconds(20'000))) throw std::runtime_error("private Samba does not stop: " + log());
}

std::string PrivateSamba::tool(Argv arguments) {
  Argv argv = {"samba-tool"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  argv.insert(argv.end(), {"-s", dir_.file("etc/smb.conf"), "-H", dir_.file("private/sam.ldb")});
  return run_ok(argv, {.netns = namespace_.name()});
}

void PrivateSamba::modify(const std::string& ldif) {
  run_ok({"ldapmodify", "-x", "-H", url(), "-D", admin_dn(), "-w", admin_password()},
         {.env = {{"LDAPNOINIT", "1"}}, .input = ldif, .netns = namespace_.name()});
}

std::string PrivateSamba::search(const std::string& base, const std::string& filter, const Argv& attributes) {
  Argv argv = {"ldapsearch", "-LLL",           "-x", "-o", "ldif-wrap=no", "-E", "pr=1000/noprompt", "-H", url(), "-D", admin_dn(),
               "-w",         admin_password(), "-b", base, filter};
  argv.insert(argv.end(), attributes.begin(), attributes.end());
  return run_ok(argv, {.env = {{"LDAPNOINIT", "1"}}, .netns = namespace_.name()});
}

std::string PrivateSamba::log() const { return std::filesystem::exists(dir_.file("out.log")) ? read_file(dir_.file("out.log")) : ""; }

}  // namespace rosterd::test
