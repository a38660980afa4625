#include "cli/profile.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/http_client.hpp"
#include "schema/core/text.hpp"

namespace rosterd::cli {
namespace {

using nlohmann::json;

constexpr std::string_view kDefaultUrl = "http://127.0.0.1:8480";

std::string lookup(const std::map<std::string, std::string>& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string() : found->second;
}

Failure system_failure(std::string_view doing, const std::string& path) {
  return Failure{kUsage, fmt::format("{} {}: {}", doing, path, std::strerror(errno)), {}};
}

/// Writes all of `text` to a new 0600 file and flushes it to the disk.
Try<void> write_private(const std::string& path, const std::string& text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return fail(system_failure("creating", path));
  std::size_t written = 0;
  while (written < text.size()) {
    const auto n = ::write(file, text.data() + written, text.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const auto failure = system_failure("writing", path);
      ::close(file);
      return fail(failure);
    }
    written += static_cast<std::size_t>(n);
  }
  const bool good = ::fchmod(file, 0600) == 0 && ::fsync(file) == 0;
  const auto failure = system_failure("writing", path);
  ::close(file);
  if (!good) return fail(failure);
  return {};
}

}  // namespace

Try<std::string> profiles_path(const std::map<std::string, std::string>& environment) {
  if (const auto base = lookup(environment, "XDG_CONFIG_HOME"); !base.empty()) return base + "/rosterctl/profiles.json";
  if (const auto home = lookup(environment, "HOME"); !home.empty()) return home + "/.config/rosterctl/profiles.json";
  return fail_with_advice(kUsage, "neither HOME nor XDG_CONFIG_HOME is set: there is no place for profiles",
                          "set HOME, or pass ROSTERCTL_URL and ROSTERCTL_TOKEN");
}

Try<Profiles> load_profiles(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return Profiles{};
    return fail(system_failure("reading", path));
  }
  if ((info.st_mode & 077) != 0)
    return fail_with_advice(kUsage, fmt::format("{} holds tokens and others may read it (mode {:04o})", path, info.st_mode & 07777),
                            fmt::format("chmod 600 '{}'", path));
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return fail(system_failure("reading", path));
  const json document = json::parse(text.str(), nullptr, false);
  if (!document.is_object() || !document.contains("profiles") || !document["profiles"].is_object())
    return fail_with_advice(kUsage, path + " is not a profiles file of rosterctl", "move it away and sign in again with 'rosterctl login'");
  const auto text_of = [](const json& object, const char* key) {
    return object.is_object() && object.contains(key) && object[key].is_string() ? object[key].get<std::string>() : std::string();
  };
  Profiles out;
  if (const auto current = text_of(document, "current"); !current.empty()) out.current = current;
  for (const auto& [name, entry] : document["profiles"].items())
    out.by_name[name] = Profile{.url = text_of(entry, "url"),
                                .token = text_of(entry, "token"),
                                .ca_file = text_of(entry, "ca_file"),
                                .allow_plaintext = entry.is_object() && entry.value("allow_plaintext", false)};
  return out;
}

Try<void> save_profiles(const std::string& path, const Profiles& profiles) {
  json document = {{"current", profiles.current}, {"profiles", json::object()}};
  for (const auto& [name, profile] : profiles.by_name) {
    json entry = {{"url", profile.url}, {"token", profile.token}};
    if (!profile.ca_file.empty()) entry["ca_file"] = profile.ca_file;
    if (profile.allow_plaintext) entry["allow_plaintext"] = true;
    document["profiles"][name] = std::move(entry);
  }
  const std::filesystem::path place(path);
  std::error_code trouble;
  const bool made = std::filesystem::create_directories(place.parent_path(), trouble);
  if (trouble) return fail(kUsage, "creating {}: {}", place.parent_path().string(), trouble.message());
  if (made) std::filesystem::permissions(place.parent_path(), std::filesystem::perms::owner_all, trouble);
  const std::string beside = fmt::format("{}.{}.new", path, ::getpid());
  if (const auto written = write_private(beside, document.dump(2) + "\n"); !written) return written;
  if (::rename(beside.c_str(), path.c_str()) != 0) {
    const auto failure = system_failure("replacing", path);
    ::unlink(beside.c_str());
    return fail(failure);
  }
  return {};
}

Try<Target> resolve(const Wanted& wanted, const std::map<std::string, std::string>& environment, const Profiles& profiles) {
  std::string name = wanted.profile.empty() ? lookup(environment, "ROSTERCTL_PROFILE") : wanted.profile;
  const bool asked_by_name = !name.empty();
  if (name.empty()) name = profiles.current;
  const auto stored = profiles.by_name.find(name);
  if (asked_by_name && stored == profiles.by_name.end() && wanted.url.empty() && lookup(environment, "ROSTERCTL_URL").empty())
    return fail_with_advice(kSignIn, fmt::format("there is no profile '{}'", name),
                            fmt::format("make it with 'rosterctl login --profile {} --url …'", name));

  Target target;
  if (stored != profiles.by_name.end()) target = {name, stored->second};
  const std::string url = !wanted.url.empty() ? wanted.url : lookup(environment, "ROSTERCTL_URL");
  if (!url.empty() && url != target.profile.url) target = {"", Profile{.url = url, .token = {}, .ca_file = {}, .allow_plaintext = false}};
  if (target.profile.url.empty()) target.profile.url = kDefaultUrl;
  while (target.profile.url.ends_with('/')) target.profile.url.pop_back();
  if (const auto token = lookup(environment, "ROSTERCTL_TOKEN"); !token.empty()) target.profile.token = token;
  if (!wanted.ca_file.empty()) target.profile.ca_file = wanted.ca_file;
  if (wanted.allow_plaintext) target.profile.allow_plaintext = true;
  if (has_control_characters(target.profile.token) || target.profile.token.find(' ') != std::string::npos)
    return fail(kSignIn, "the token holds spaces or control characters: it is not one of rosterd's");

  const auto parts = parse_url(target.profile.url);
  if (!parts) return fail(parts.error());
  if (parts->scheme == "http" && !is_loopback(parts->host) && !target.profile.allow_plaintext)
    return fail_with_advice(kUsage, fmt::format("{} would carry the token over the network in clear text", target.profile.url),
                            "use https://, or --allow-plaintext where the network itself is protected");
  return target;
}

}  // namespace rosterd::cli
