#pragma once
// A private certificate authority and server certificates of every kind a client must judge: right, for another name, expired, not
// yet valid, from a stranger. Files are PEM in the folder given.

#include <string>
#include <vector>

namespace rosterd::test {

struct Certificate {
  std::string cert_file, key_file;
};

class PrivateCa {
 public:
  /// Makes `dir` if need be. `name` tells several authorities apart.
  explicit PrivateCa(std::string dir, std::string name = "rosterd test CA");
  [[nodiscard]] const std::string& ca_file() const { return ca_file_; }

  struct Options {
    std::vector<std::string> names = {"IP:127.0.0.1", "DNS:localhost"};  ///< subjectAltName entries
    std::string common_name = "localhost";
    int valid_from_days = -1;  ///< relative to now
    int valid_to_days = 30;
    std::string usage = "serverAuth";  ///< "clientAuth" for those that clients show
  };
  [[nodiscard]] Certificate issue(const std::string& file_stem, const Options& options) const;

  [[nodiscard]] Certificate good(const std::string& stem = "good") const { return issue(stem, {}); }
  [[nodiscard]] Certificate wrong_name(const std::string& stem = "wrong-name") const {
    return issue(stem, {.names = {"DNS:elsewhere.example"}, .common_name = "elsewhere.example"});
  }
  [[nodiscard]] Certificate expired(const std::string& stem = "expired") const {
    return issue(stem, {.valid_from_days = -30, .valid_to_days = -1});
  }

 private:
  std::string dir_, ca_file_, ca_key_;
};

}  // namespace rosterd::test
