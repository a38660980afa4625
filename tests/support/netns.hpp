#pragma once
// A network namespace with nothing but a loopback of its own, for servers that insist on their ports (Samba: 389, 636). Named after this
// process, deleted with the object.

#include <functional>
#include <string>
#include <string_view>

namespace rosterd::test {

class NetworkNamespace {
 public:
  explicit NetworkNamespace(std::string_view prefix);
  ~NetworkNamespace();
  NetworkNamespace(const NetworkNamespace&) = delete;
  NetworkNamespace& operator=(const NetworkNamespace&) = delete;
  [[nodiscard]] const std::string& name() const { return name_; }
  /// Runs `use` in a thread of its own that has entered the namespace (setns(2) is per thread) and waits for it; sockets made there, and by
  /// threads started there, belong to the namespace. What `use` throws is thrown here.
  void run(const std::function<void()>& use) const;
  /// Namespaces need CAP_SYS_ADMIN: tests that want one skip themselves with this reason when it is not empty.
  [[nodiscard]] static std::string unavailable();

 private:
  std::string name_;
};

}  // namespace rosterd::test
