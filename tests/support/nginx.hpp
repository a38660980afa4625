#pragma once
// A private nginx in a temporary folder, one process, gone with the object.

#include <string>

#include "tests/support/process.hpp"

namespace rosterd::test {

class PrivateNginx {
 public:
  /// `servers`: what stands inside "http { … }"; every ${port} is the port of this nginx, every ${other} a second free one.
  explicit PrivateNginx(const std::string& servers);

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] std::string log() const { return server_.output(); }

 private:
  std::string configured(const std::string& servers) const;
  TempDir dir_;
  int port_, other_;
  Process server_;
};

}  // namespace rosterd::test
