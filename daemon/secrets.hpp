#pragma once
// Secrets of sources: sealed at rest, opened only on the way into a connector, masked in every answer. A secret in settings is one of
// {"file": path}, {"env": name}, {"value": text}; a value is stored as {"sealed": "v1:…"} (libsodium secretbox).

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "schema/core/result.hpp"

namespace rosterd {

class Secrets {
 public:
  /// The key is read from `key_file`, 32 bytes as 64 hex digits; made there (0600) when it does not exist yet.
  [[nodiscard]] static Result<std::unique_ptr<Secrets>> open(const std::string& key_file);
  /// For tests: a random key that dies with the object.
  [[nodiscard]] static std::unique_ptr<Secrets> ephemeral();

  /// Settings as they came in -> as they are stored: values sealed. `previous` (stored form, may be empty) lends its secret where the
  /// new settings say {"set": true}. `secret_paths` are JSON pointers ("/bind_password"). InvalidInput names the path.
  [[nodiscard]] Result<std::string> seal(std::string_view settings, std::span<const std::string_view> secret_paths,
                                         std::string_view previous) const;
  /// Stored form -> what a connector takes: every secret as {"value": "…"}; files and environment are read now. Errors name file or
  /// variable, never the content. A trailing newline of a file is not part of the secret.
  [[nodiscard]] Result<std::string> open_settings(std::string_view stored, std::span<const std::string_view> secret_paths) const;
  /// A text that leaves rosterd and comes back, such as a cookie: nobody else can read, make or change it, and what was sealed for one
  /// purpose is worthless for another. Characters of URLs only.
  [[nodiscard]] std::string seal_text(std::string_view purpose, std::string_view text) const;
  /// Unauthorized for what this key has not sealed for that purpose.
  [[nodiscard]] Result<std::string> open_text(std::string_view purpose, std::string_view sealed) const;

  /// Stored form -> what an answer shows: {"set": true} (with "file"/"env" where that is how it is given).
  [[nodiscard]] static std::string mask(std::string_view stored, std::span<const std::string_view> secret_paths);

 private:
  Secrets() = default;
  std::string key_;
};

}  // namespace rosterd
