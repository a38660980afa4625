#pragma once
// A client's end of a connection for tests of the server's manners: it sends exactly these bytes, when it is told to, and reads when it
// wants.

#include <cstdint>
#include <string>
#include <string_view>

namespace rosterd::test {

class Wire {
 public:
  /// To 127.0.0.1; `receive_buffer` makes the kernel's buffer that small, so that a reader who does not read is felt soon.
  explicit Wire(std::uint16_t port, int receive_buffer = 0);
  /// To a unix socket.
  explicit Wire(const std::string& path);
  ~Wire();
  Wire(Wire&& other) noexcept;
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] int fd() const { return fd_; }
  /// False when the other side has gone.
  bool send(std::string_view bytes) const;
  void half_close() const;
  /// What comes until `enough` stands in it, the other side closes, or nothing comes for `wait_ms`.
  [[nodiscard]] std::string read_until(std::string_view enough, int wait_ms = 5000) const;
  /// What comes until the other side closes; "…(still open)" at the end when it does not within `wait_ms`.
  [[nodiscard]] std::string read_all(int wait_ms = 5000) const;
  /// Whether the other side closes within `wait_ms`.
  [[nodiscard]] bool ends(int wait_ms) const;

 private:
  int fd_ = -1;
  bool connected_ = false;
};

/// How often `part` stands in `text`.
[[nodiscard]] std::size_t count_of(std::string_view part, std::string_view text);

}  // namespace rosterd::test
