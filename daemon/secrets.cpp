#include "daemon/secrets.hpp"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "schema/core/hash.hpp"

namespace rosterd {
namespace {

using nlohmann::json;

constexpr std::size_t kKeyBytes = crypto_secretbox_KEYBYTES;
constexpr std::size_t kMaxSecretFile = 64 * 1024;
constexpr std::string_view kSealedPrefix = "v1:";

/// A file descriptor that closes itself.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int fd() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

std::string reason(int error) { return std::strerror(error); }

Result<std::string> read_file(const std::string& path) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file) return fail(Errc::InvalidInput, "opening {}: {}", path, reason(errno));
  struct stat info{};
  if (::fstat(file.fd(), &info) != 0) return fail(Errc::InvalidInput, "looking at {}: {}", path, reason(errno));
  if (!S_ISREG(info.st_mode)) return fail(Errc::InvalidInput, "{} is not a regular file", path);
  std::string content;
  char buffer[4096];
  for (;;) {
    const auto n = ::read(file.fd(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(Errc::InvalidInput, "reading {}: {}", path, reason(errno));
    if (n == 0) return content;
    content.append(buffer, static_cast<std::size_t>(n));
    if (content.size() > kMaxSecretFile) return fail(Errc::InvalidInput, "{} is larger than {} bytes", path, kMaxSecretFile);
  }
}

void strip_newline(std::string& text) {
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
}

/// Writes the whole of `content` into a new 0600 file beside `path`, then links it into place: a second daemon that starts at the
/// same moment sees either no key or a whole one. False when somebody else was first.
Result<bool> create_once(const std::string& path, std::string_view content) {
  std::string temporary = path + ".XXXXXX";
  const File file(::mkostemp(temporary.data(), O_CLOEXEC));  // mkostemp makes it 0600
  if (!file) return fail(Errc::Unavailable, "making {}: {}", path, reason(errno));
  Result<bool> made = true;
  while (!content.empty() && made) {
    const auto n = ::write(file.fd(), content.data(), content.size());
    if (n > 0)
      content.remove_prefix(static_cast<std::size_t>(n));
    else if (errno != EINTR)
      made = fail(Errc::Unavailable, "writing {}: {}", path, reason(errno));
  }
  if (made && ::fsync(file.fd()) != 0) made = fail(Errc::Unavailable, "writing {}: {}", path, reason(errno));
  if (made && ::link(temporary.c_str(), path.c_str()) != 0) {
    if (errno == EEXIST)
      made = false;
    else
      made = fail(Errc::Unavailable, "making {}: {}", path, reason(errno));
  }
  ::unlink(temporary.c_str());
  return made;
}

std::string hex_of(std::string_view bytes) {
  std::string out(bytes.size() * 2 + 1, '\0');
  sodium_bin2hex(out.data(), out.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  out.pop_back();
  return out;
}

std::string random_key() {
  std::string key(kKeyBytes, '\0');
  randombytes_buf(key.data(), key.size());
  return key;
}

Result<std::string> read_key(const std::string& path) {
  auto text = read_file(path);
  if (!text) return fail(text.error(), "reading the secrets key");
  strip_newline(*text);
  std::string key(kKeyBytes, '\0');
  std::size_t length = 0;
  const bool whole = text->size() == 2 * kKeyBytes && sodium_hex2bin(reinterpret_cast<unsigned char*>(key.data()), key.size(), text->data(),
                                                                     text->size(), nullptr, &length, nullptr) == 0;
  sodium_memzero(text->data(), text->size());
  if (!whole || length != kKeyBytes) return fail(Errc::InvalidInput, "{}: a secrets key is {} hex digits", path, 2 * kKeyBytes);
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & 07) != 0)
    return fail(Errc::InvalidInput, "{} can be read by everybody: chmod o-rwx it", path);
  return key;
}

std::string seal_value(std::string_view value, const std::string& key) {
  std::string box(crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + value.size(), '\0');
  auto* bytes = reinterpret_cast<unsigned char*>(box.data());
  randombytes_buf(bytes, crypto_secretbox_NONCEBYTES);
  crypto_secretbox_easy(bytes + crypto_secretbox_NONCEBYTES, reinterpret_cast<const unsigned char*>(value.data()), value.size(), bytes,
                        reinterpret_cast<const unsigned char*>(key.data()));
  std::string text(sodium_base64_encoded_len(box.size(), sodium_base64_VARIANT_URLSAFE_NO_PADDING), '\0');
  sodium_bin2base64(text.data(), text.size(), bytes, box.size(), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  text.pop_back();
  return std::string(kSealedPrefix) + text;
}

std::optional<std::string> unseal_value(std::string_view sealed, const std::string& key) {
  if (!sealed.starts_with(kSealedPrefix)) return std::nullopt;
  sealed.remove_prefix(kSealedPrefix.size());
  std::string box(sealed.size(), '\0');
  std::size_t length = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(box.data()), box.size(), sealed.data(), sealed.size(), nullptr, &length, nullptr,
                        sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
    return std::nullopt;
  if (length < crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES) return std::nullopt;
  const auto* bytes = reinterpret_cast<const unsigned char*>(box.data());
  std::string value(length - crypto_secretbox_NONCEBYTES - crypto_secretbox_MACBYTES, '\0');
  if (crypto_secretbox_open_easy(reinterpret_cast<unsigned char*>(value.data()), bytes + crypto_secretbox_NONCEBYTES,
                                 length - crypto_secretbox_NONCEBYTES, bytes, reinterpret_cast<const unsigned char*>(key.data())) != 0)
    return std::nullopt;
  return value;
}

json parse(std::string_view text) { return json::parse(text, nullptr, false); }

/// The object at `path`, or nullptr.
json* at(json& settings, std::string_view path) {
  const json::json_pointer pointer{std::string(path)};
  return settings.is_object() && settings.contains(pointer) ? &settings[pointer] : nullptr;
}

bool is_text(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() && !found->get_ref<const std::string&>().empty();
}

tl::unexpected<Error> wrong_shape(std::string_view path) {
  return fail(Errc::InvalidInput, "settings{}: a secret is one of {{\"file\": path}}, {{\"env\": name}}, {{\"value\": text}}", path);
}

/// A key of its own for each purpose, so that one kind of sealed text is never another.
std::string key_for(std::string_view purpose, const std::string& key) {
  const auto derived = hmac_sha256(key, fmt::format("rosterd {}", purpose));
  return {reinterpret_cast<const char*>(derived.data()), derived.size()};
}

}  // namespace

std::string Secrets::seal_text(std::string_view purpose, std::string_view text) const {
  return seal_value(text, key_for(purpose, key_)).substr(kSealedPrefix.size());
}

Result<std::string> Secrets::open_text(std::string_view purpose, std::string_view sealed) const {
  auto text = unseal_value(std::string(kSealedPrefix) + std::string(sealed), key_for(purpose, key_));
  if (!text) return fail(Errc::Unauthorized, "not sealed here for this");
  return std::move(*text);
}

Result<std::unique_ptr<Secrets>> Secrets::open(const std::string& key_file) {
  if (sodium_init() < 0) return fail(Errc::Internal, "libsodium does not start");
  auto out = std::unique_ptr<Secrets>(new Secrets);
  if (::access(key_file.c_str(), F_OK) != 0 && errno == ENOENT) {
    const auto made = create_once(key_file, hex_of(random_key()) + "\n");
    if (!made) return fail(made.error(), "making the secrets key");
  }
  auto key = read_key(key_file);
  if (!key) return fail(key.error());
  out->key_ = std::move(*key);
  return out;
}

std::unique_ptr<Secrets> Secrets::ephemeral() {
  if (sodium_init() < 0) std::abort();  // tests only; without randomness nothing they say would be true
  auto out = std::unique_ptr<Secrets>(new Secrets);
  out->key_ = random_key();
  return out;
}

Result<std::string> Secrets::seal(std::string_view settings, std::span<const std::string_view> secret_paths,
                                  std::string_view previous) const {
  auto in = parse(settings);
  if (!in.is_object()) return fail(Errc::InvalidInput, "settings: must be an object");
  auto before = previous.empty() ? json::object() : parse(previous);
  for (const auto path : secret_paths) {
    auto* secret = at(in, path);
    if (secret == nullptr) continue;
    if (secret->is_null()) {
      *secret = nullptr;
      continue;
    }
    if (!secret->is_object() || secret->contains("sealed")) return wrong_shape(path);
    if (const auto set = secret->find("set"); set != secret->end()) {
      if (*set != true) return fail(Errc::InvalidInput, "settings{}.set: can only be true (it keeps the stored secret)", path);
      for (const auto& [key, value] : secret->items())
        if (key != "set" && key != "file" && key != "env") return wrong_shape(path);
      auto* stored = at(before, path);
      if (stored == nullptr || !stored->is_object())
        return fail(Errc::InvalidInput, "settings{}: no secret is stored yet that could be kept", path);
      for (const char* kind : {"file", "env"})  // what the mask showed may come back, anything else would be a silent no-op
        if (secret->contains(kind) && (!stored->contains(kind) || (*secret)[kind] != (*stored)[kind])) return wrong_shape(path);
      *secret = *stored;
      continue;
    }
    if (secret->size() != 1) return wrong_shape(path);
    if (is_text(*secret, "value")) {
      auto& value = (*secret)["value"].get_ref<std::string&>();
      auto sealed = seal_value(value, key_);
      sodium_memzero(value.data(), value.size());
      *secret = json{{"sealed", std::move(sealed)}};
    } else if (is_text(*secret, "file")) {
      if (!(*secret)["file"].get_ref<const std::string&>().starts_with('/'))
        return fail(Errc::InvalidInput, "settings{}.file: must be an absolute path", path);
    } else if (!is_text(*secret, "env")) {
      return wrong_shape(path);
    }
  }
  return in.dump();
}

Result<std::string> Secrets::open_settings(std::string_view stored, std::span<const std::string_view> secret_paths) const {
  auto settings = parse(stored);
  if (!settings.is_object()) return fail(Errc::Internal, "stored settings are not a JSON object");
  for (const auto path : secret_paths) {
    auto* secret = at(settings, path);
    if (secret == nullptr || secret->is_null()) continue;
    if (!secret->is_object()) return fail(Errc::Internal, "settings{}: stored in an unknown shape", path);
    std::string value;
    if (is_text(*secret, "sealed")) {
      auto opened = unseal_value((*secret)["sealed"].get_ref<const std::string&>(), key_);
      if (!opened)
        return fail(Errc::InvalidInput, "settings{}: was sealed under another key; give the secret again or put the old key file back",
                    path);
      value = std::move(*opened);
    } else if (is_text(*secret, "file")) {
      auto content = read_file((*secret)["file"].get<std::string>());
      if (!content) return fail(content.error(), "settings{}", path);
      value = std::move(*content);
      strip_newline(value);
      if (value.empty()) return fail(Errc::InvalidInput, "settings{}: {} is empty", path, (*secret)["file"].get<std::string>());
    } else if (is_text(*secret, "env")) {
      const auto name = (*secret)["env"].get<std::string>();
      const char* found = std::getenv(name.c_str());
      if (found == nullptr || *found == '\0')
        return fail(Errc::InvalidInput, "settings{}: the environment variable {} is not set", path, name);
      value = found;
    } else {
      return fail(Errc::Internal, "settings{}: stored in an unknown shape", path);
    }
    *secret = json{{"value", std::move(value)}};
  }
  // A secret is bytes to the directory but text in JSON; one that is not UTF-8 is refused here rather than changed on its way.
  try {
    return settings.dump();
  } catch (const json::type_error&) {
    return fail(Errc::InvalidInput, "settings: a secret is not UTF-8 text");
  }
}

std::string Secrets::mask(std::string_view stored, std::span<const std::string_view> secret_paths) {
  auto settings = parse(stored);
  if (!settings.is_object()) return "{}";
  for (const auto path : secret_paths) {
    auto* secret = at(settings, path);
    if (secret == nullptr || secret->is_null()) continue;
    json masked = {{"set", true}};
    for (const char* kind : {"file", "env"})
      if (secret->is_object() && is_text(*secret, kind)) masked[kind] = (*secret)[kind];
    *secret = std::move(masked);
  }
  return settings.dump();
}

}  // namespace rosterd
