#include "connectors/oidc/jwks.hpp"

#include <algorithm>
#include <charconv>

#include "schema/core/log.hpp"

namespace rosterd::connectors::oidc {
namespace {

tl::unexpected<Error> unavailable(std::string_view issuer, std::string_view why) {
  return fail_as("issuer_unavailable", Errc::Unavailable, "the keys of issuer {} can not be had: {}", issuer, why);
}

}  // namespace

Millis lifetime_of(std::string_view cache_control, Millis least, Millis most) {
  std::int64_t seconds = 0;
  while (!cache_control.empty()) {
    const auto comma = cache_control.find(',');
    auto one = cache_control.substr(0, comma);
    cache_control = comma == std::string_view::npos ? std::string_view{} : cache_control.substr(comma + 1);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    std::string lower(one);
    std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (lower == "no-cache" || lower == "no-store") return least;
    if (!lower.starts_with("max-age=")) continue;
    const auto digits = std::string_view(lower).substr(8);
    if (std::from_chars(digits.data(), digits.data() + digits.size(), seconds).ec != std::errc()) seconds = 0;
  }
  return std::clamp(Millis(std::clamp<std::int64_t>(seconds, 0, 366 * 86'400) * 1000), least, most);
}

KeyCache::KeyCache(KeyCacheOptions options) : options_(std::move(options)) {}

KeyCache::~KeyCache() {
  std::list<Fetch> running;
  {
    const std::lock_guard lock(mutex_);
    running.swap(running_);
  }
  for (auto& one : running) one.thread.request_stop();
}

Result<KeyCache::Fetched> KeyCache::fetch(const IssuerAt& issuer, const std::stop_token& stop) const {
  auto options = options_.client();
  options.ca_file = issuer.ca_file;
  options.ca_pem = issuer.ca_pem;
  options.allow_plaintext = issuer.allow_plaintext;
  options.max_body = jwt::kMostKeySet;
  http::Client client(std::move(options));
  auto metadata = discover(client, issuer.issuer, stop);
  if (!metadata) return fail(metadata.error());
  if (metadata->jwks_uri.empty()) return fail(Errc::InvalidInput, "its configuration names no jwks_uri");
  auto answer = client.send({.url = metadata->jwks_uri, .headers = {"Accept: application/json, application/jwk-set+json"}}, stop);
  if (!answer) return fail(answer.error(), "fetching {}", metadata->jwks_uri);
  if (answer->status != 200) return fail(Errc::Unavailable, "{} answers {}", metadata->jwks_uri, answer->status);
  auto set = jwt::parse_key_set(answer->body);
  if (!set) return fail(set.error(), "{}", metadata->jwks_uri);
  if (set->keys.empty())
    return fail(Errc::InvalidInput, "{} has no key that may be used ({})", metadata->jwks_uri, fmt::join(set->left_out, "; "));
  const auto good_for = lifetime_of(answer->header("cache-control"), options_.least, options_.most);
  return Fetched{.metadata = std::move(*metadata), .set = std::move(*set), .body = std::move(answer->body), .good_for = good_for};
}

void KeyCache::start_fetch(const IssuerAt& issuer, Entry& entry) {
  std::erase_if(running_, [](const Fetch& one) { return one.over->load(); });  // joins it; it has nothing left to do
  if (running_.size() >= options_.max_fetches) {
    entry.trouble = "too many issuers are being asked already";
    return;
  }
  entry.fetching = true;
  entry.attempted = options_.now();
  ++fetches_;
  auto over = std::make_shared<std::atomic<bool>>(false);
  running_.push_back({.over = over, .thread = std::jthread([this, issuer, over](const std::stop_token& stop) {
                                      take(issuer, fetch(issuer, stop));
                                      *over = true;
                                    })});
}

void KeyCache::take(const IssuerAt& issuer, Result<Fetched> fetched) {
  std::size_t keys = 0;
  bool changed = false;
  std::vector<std::string> left_out;
  {
    const std::lock_guard lock(mutex_);
    auto& entry = entries_[issuer];
    entry.fetching = false;
    if (fetched) {
      entry.trouble.clear();
      entry.metadata = std::move(fetched->metadata);
      entry.expires = options_.now() + fetched->good_for;
      changed = !entry.keys.set || entry.body != fetched->body;
      if (changed) {
        keys = fetched->set.keys.size();
        left_out = fetched->set.left_out;
        entry.body = std::move(fetched->body);
        entry.keys = {.set = std::make_shared<const jwt::KeySet>(std::move(fetched->set)), .generation = ++last_generation_};
      }
    } else {
      ++failures_;
      entry.trouble = fetched.error().what;
    }
  }
  changed_.notify_all();
  if (!fetched) {
    if (fetched.error().code != Errc::Stopped)
      log::warning("issuer.keys_unavailable", {log::field("issuer", issuer.issuer), log::field("error", fetched.error().what)});
  } else if (changed) {
    log::info("issuer.keys", {log::field("issuer", issuer.issuer), log::field("keys", keys),
                              log::field("left_out", fmt::format("{}", fmt::join(left_out, "; ")))});
  }
}

Result<void> KeyCache::wait(std::unique_lock<std::mutex>& lock, Entry& entry, Deadline deadline) {
  if (!entry.fetching) return {};
  if (entry.waiting >= options_.max_waiting)
    return fail_as("issuer_unavailable", Errc::Unavailable, "too many requests are waiting for this issuer already; try again");
  ++entry.waiting;
  changed_.wait_until(lock, deadline, [&] { return !entry.fetching; });  // entries stay where they are in the map
  --entry.waiting;
  return {};
}

Result<KeyCache::Keys> KeyCache::keys(const IssuerAt& issuer, Deadline deadline) {
  std::unique_lock lock(mutex_);
  auto& entry = entries_[issuer];
  const auto now = options_.now();
  const auto since = [&](Millis pause) { return !entry.attempted || now - *entry.attempted >= pause; };
  if (entry.keys.set) {
    // Whoever comes when they are old goes on with them; the next one finds new ones.
    if (now >= entry.expires && !entry.fetching && since(options_.refetch)) start_fetch(issuer, entry);
    return entry.keys;
  }
  if (!entry.fetching && since(options_.retry)) start_fetch(issuer, entry);
  if (const auto waited = wait(lock, entry, deadline); !waited) return fail(waited.error());
  if (!entry.keys.set) return unavailable(issuer.issuer, entry.fetching ? "it has not answered in time" : entry.trouble);
  return entry.keys;
}

Result<KeyCache::Keys> KeyCache::newer_keys(const IssuerAt& issuer, std::uint64_t than, Deadline deadline) {
  std::unique_lock lock(mutex_);
  auto& entry = entries_[issuer];
  if (entry.keys.generation == than && !entry.fetching && (!entry.attempted || options_.now() - *entry.attempted >= options_.refetch))
    start_fetch(issuer, entry);
  if (entry.keys.generation == than)
    if (const auto waited = wait(lock, entry, deadline); !waited) return fail(waited.error());
  if (!entry.keys.set) return unavailable(issuer.issuer, entry.trouble);
  return entry.keys;
}

std::uint64_t KeyCache::generation(const IssuerAt& issuer) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(issuer);
  return found == entries_.end() ? 0 : found->second.keys.generation;
}

Result<ProviderMetadata> KeyCache::metadata(const IssuerAt& issuer, Deadline deadline) {
  if (const auto had = keys(issuer, deadline); !had) return fail(had.error());
  const std::lock_guard lock(mutex_);
  return entries_[issuer].metadata;
}

}  // namespace rosterd::connectors::oidc
