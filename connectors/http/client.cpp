#include "connectors/http/client.hpp"

#include <curl/curl.h>

#include <array>
#include <cstring>

#include "connectors/http/url.hpp"

namespace rosterd::connectors::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// CURL and CURLM are both void: what frees them must be said apart.
struct EasyFree {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct MultiFree {
  void operator()(CURLM* handle) const { curl_multi_cleanup(handle); }
};
struct ListFree {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

constexpr std::size_t kMostHeaderBytes = std::size_t{256} << 10;

/// One request under way: where its answer goes, and why it was cut off.
struct Transfer {
  Response response;
  std::size_t max_body = 0;
  std::size_t header_bytes = 0;
  bool too_large = false;
  std::string refused;  ///< in words: the address that may not be spoken to
  const std::vector<Network>* allowed = nullptr;
  bool judge_addresses = true;  ///< not that of a proxy, which the operator chose
  steady_clock::time_point last_sign = steady_clock::now();
};

std::size_t take_body(char* data, std::size_t size, std::size_t count, void* into) {
  auto& transfer = *static_cast<Transfer*>(into);
  transfer.last_sign = steady_clock::now();
  if (transfer.response.body.size() + size * count > transfer.max_body) {
    transfer.too_large = true;
    return 0;
  }
  transfer.response.body.append(data, size * count);
  return size * count;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\r' || text.back() == '\n' || text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  return text;
}

std::size_t take_header(char* data, std::size_t size, std::size_t count, void* into) {
  auto& transfer = *static_cast<Transfer*>(into);
  transfer.last_sign = steady_clock::now();
  transfer.header_bytes += size * count;
  if (transfer.header_bytes > kMostHeaderBytes) {
    transfer.too_large = true;
    return 0;
  }
  const std::string_view line = trimmed({data, size * count});
  if (line.starts_with("HTTP/")) transfer.response.headers.clear();  // of an interim answer (1xx), or a proxy's
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return size * count;
  std::string name(trimmed(line.substr(0, colon)));
  for (auto& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  transfer.response.headers.emplace_back(std::move(name), std::string(trimmed(line.substr(colon + 1))));
  return size * count;
}

Address address_of(const curl_sockaddr& from) {
  Address out;
  out.size = std::min<socklen_t>(from.addrlen, sizeof out.storage);
  std::memcpy(&out.storage, &from.addr, out.size);
  out.storage.ss_family = static_cast<sa_family_t>(from.family);
  out.text = numeric_text(out);
  return out;
}

/// libcurl asks here for every connection, after resolving: no second look at the name can lead elsewhere.
curl_socket_t open_socket(void* with, curlsocktype, curl_sockaddr* to) {
  auto& transfer = *static_cast<Transfer*>(with);
  if (transfer.judge_addresses) {
    const auto address = address_of(*to);
    if (const auto range = special_range(address); !range.empty() && !is_listed(address, *transfer.allowed)) {
      transfer.refused =
          fmt::format("{} is {}, where rosterd may not connect to unless sync.allowed_networks lists it", address.text, range);
      return CURL_SOCKET_BAD;
    }
  }
  return ::socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/// curl_global_init is not thread-safe on older libraries; a function-local static is initialised once, whoever comes first.
void initialise_library() {
  static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
  static_cast<void>(done);
}

/// A proxy connects for us, so what the name means here is all that can be judged.
std::optional<Error> trouble_behind_proxy(const Url& url, const Options& options, std::stop_token stop) {
  const auto port = static_cast<std::uint16_t>(std::stoi(url.port));
  const auto found = resolve(url.host, port, steady_clock::now() + std::chrono::seconds(2), std::move(stop));
  if (!found) return std::nullopt;
  for (const auto& address : *found)
    if (const auto range = special_range(address); !range.empty() && !is_listed(address, options.allowed))
      return Error{
          .code = Errc::Refused,
          .what = fmt::format("{} is {}, where rosterd may not connect to unless sync.allowed_networks lists it", address.text, range),
          .slug = {}};
  return std::nullopt;
}

void use_blob(CURL* curl, CURLoption option, const std::string& text) {
  curl_blob blob{.data = const_cast<char*>(text.data()), .len = text.size(), .flags = CURL_BLOB_COPY};
  curl_easy_setopt(curl, option, &blob);
}

void use_tls(CURL* curl, const Options& options) {
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options.ca_pem.empty()) {
    use_blob(curl, CURLOPT_CAINFO_BLOB, options.ca_pem);
    curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);
  } else if (!options.ca_file.empty()) {
    curl_easy_setopt(curl, CURLOPT_CAINFO, options.ca_file.c_str());
    curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);
  }
  if (!options.client_certificate.empty()) {
    use_blob(curl, CURLOPT_SSLCERT_BLOB, options.client_certificate);
    curl_easy_setopt(curl, CURLOPT_SSLCERTTYPE, "PEM");
    use_blob(curl, CURLOPT_SSLKEY_BLOB, options.client_key);
    curl_easy_setopt(curl, CURLOPT_SSLKEYTYPE, "PEM");
  }
}

std::unique_ptr<curl_slist, ListFree> header_list(const Request& request) {
  std::unique_ptr<curl_slist, ListFree> list;
  const auto add = [&](const std::string& line) {
    curl_slist* const longer = curl_slist_append(list.get(), line.c_str());
    if (longer == nullptr) return;
    static_cast<void>(list.release());  // curl_slist_append gives the head of the same list
    list.reset(longer);
  };
  add("Expect:");  // 100-continue would cost a round trip
  for (const auto& line : request.headers) add(line);
  return list;
}

std::string words_for(CURLcode code, const char* detail, const Transfer& transfer, const Options& options) {
  if (transfer.too_large) return fmt::format("the answer is larger than {} MiB", std::max<std::size_t>(1, transfer.max_body >> 20));
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return fmt::format("the server's certificate was not accepted: {}{}", detail,
                         options.ca_file.empty() && options.ca_pem.empty() ? "; for a private authority set ca_file or ca_pem" : "");
    case CURLE_OPERATION_TIMEDOUT:
      return fmt::format("no whole answer in time ({})", detail);
    default:
      return detail;
  }
}

}  // namespace

std::string_view Response::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return value;
  return {};
}

struct Client::Handle {
  std::unique_ptr<CURL, EasyFree> easy;
  std::unique_ptr<CURLM, MultiFree> multi;
};

Client::Client(Options options) : options_(std::move(options)) {
  initialise_library();
  handle_ = std::make_unique<Handle>();
  handle_->easy.reset(curl_easy_init());
  handle_->multi.reset(curl_multi_init());
}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

Result<Response> Client::send(const Request& request, std::stop_token stop) {
  CURL* const curl = handle_->easy.get();
  CURLM* const multi = handle_->multi.get();
  if (curl == nullptr || multi == nullptr) return fail(Errc::Internal, "libcurl could not be initialised");
  const auto url = parse_url(request.url);
  if (!url) return fail(url.error());
  if (url->scheme == "http" && !options_.allow_plaintext && !is_loopback_name(url->host))
    return fail(Errc::InvalidInput, "{} is not encrypted: a token would be readable on the way; use https://, or say allow_plaintext",
                url->origin());
  const bool through_proxy = !options_.proxy.empty() && !is_loopback_name(url->host);
  if (through_proxy)
    if (auto trouble = trouble_behind_proxy(*url, options_, stop)) return tl::unexpected(std::move(*trouble));

  curl_easy_reset(curl);  // keeps connections and sessions, drops the options of the request before
  Transfer transfer;
  transfer.max_body = request.max_body.value_or(options_.max_body);
  transfer.allowed = &options_.allowed;
  transfer.judge_addresses = !through_proxy;
  std::array<char, CURL_ERROR_SIZE> detail{};
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(options_.whole.count()));
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail.data());
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_PROXY, through_proxy ? options_.proxy.c_str() : "");
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "rosterd/" ROSTERD_VERSION);
  curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");  // what this libcurl can decompress; take_body counts what comes out
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (request.body) {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body->c_str());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body->size()));
  }
  if (request.method == "HEAD") curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  use_tls(curl, options_);
  const auto headers = header_list(request);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());

  if (curl_multi_add_handle(multi, curl) != CURLM_OK) return fail(Errc::Internal, "libcurl took no request");
  const std::stop_callback on_stop(stop, [multi] { curl_multi_wakeup(multi); });
  const auto removed = [&] { curl_multi_remove_handle(multi, curl); };
  CURLcode result = CURLE_OK;
  for (int running = 1; running > 0;) {
    if (stop.stop_requested()) {
      removed();
      return fail(Errc::Stopped, "told to stop");
    }
    if (curl_multi_perform(multi, &running) != CURLM_OK) {
      removed();
      return fail(Errc::Internal, "libcurl gave up on {}", url->origin());
    }
    if (running == 0) break;
    const auto silent = std::chrono::duration_cast<milliseconds>(steady_clock::now() - transfer.last_sign);
    const auto patience = std::max(options_.silence, options_.connect_timeout);
    if (silent >= patience) {
      removed();
      return fail(Errc::Unavailable, "{}: silent for {} s", url->origin(),
                  std::chrono::duration_cast<std::chrono::seconds>(silent).count());
    }
    curl_multi_poll(multi, nullptr, 0, static_cast<int>(std::min<long long>((patience - silent).count() + 1, 1000)), nullptr);
  }
  int left = 0;
  while (const CURLMsg* const message = curl_multi_info_read(multi, &left))
    if (message->msg == CURLMSG_DONE && message->easy_handle == curl) result = message->data.result;
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  removed();
  if (!transfer.refused.empty() && result != CURLE_OK) return fail(Errc::Refused, "connecting to {}: {}", url->origin(), transfer.refused);
  if (result != CURLE_OK)
    return fail(Errc::Unavailable, "{}: {}", url->origin(),
                words_for(result, detail[0] != '\0' ? detail.data() : curl_easy_strerror(result), transfer, options_));
  transfer.response.status = static_cast<int>(status);
  return std::move(transfer.response);
}

}  // namespace rosterd::connectors::http
