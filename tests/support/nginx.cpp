#include "tests/support/nginx.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>

namespace rosterd::test {
namespace {

bool accepts(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  const bool open = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return open;
}

std::string replaced(std::string text, std::string_view what, const std::string& with) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

}  // namespace

PrivateNginx::PrivateNginx(const std::string& servers)
    : dir_("rnginx"),
      port_(free_port()),
      other_(free_port()),
      server_({"/usr/sbin/nginx", "-p", dir_.path().string(), "-e", "stderr", "-c", configured(servers)}) {
  if (!wait_until([&] { return accepts(port_) || !server_.is_running(); }) || !server_.is_running())
    throw std::runtime_error("nginx did not start: " + server_.output());
}

std::string PrivateNginx::configured(const std::string& servers) const {
  // One process: it keeps our user, and there is no worker that could outlive it.
  const auto conf = fmt::format(
      "daemon off;\nmaster_process off;\npid {0}/pid;\nerror_log stderr;\nevents {{ worker_connections 64; }}\n"
      "http {{\n  access_log off;\n  client_body_temp_path {0}/body;\n  proxy_temp_path {0}/proxy;\n  fastcgi_temp_path {0}/fastcgi;\n"
      "  uwsgi_temp_path {0}/uwsgi;\n  scgi_temp_path {0}/scgi;\n{1}\n}}\n",
      dir_.path().string(), servers);
  return dir_.write("nginx.conf", replaced(replaced(conf, "${port}", std::to_string(port_)), "${other}", std::to_string(other_)));
}

}  // namespace rosterd::test
