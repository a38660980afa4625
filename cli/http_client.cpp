#include "cli/http_client.hpp"

#include <curl/curl.h>
#include <strings.h>

#include <array>

namespace rosterd::cli {
namespace {

struct CurlFree {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
  void operator()(char* text) const { curl_free(text); }
};

/// Where the bytes of a body go.
struct Taking {
  CURL* curl;
  const HttpRequest& request;
  HttpReply& reply;
};

std::size_t take_body(char* data, std::size_t size, std::size_t count, void* into) {
  auto& taking = *static_cast<Taking*>(into);
  long status = 0;
  if (taking.request.sink) curl_easy_getinfo(taking.curl, CURLINFO_RESPONSE_CODE, &status);
  if (status == 200)
    taking.request.sink({data, size * count});
  else
    taking.reply.body.append(data, size * count);
  return size * count;
}

std::string header(CURL* handle, const char* name) {
  curl_header* found = nullptr;
  if (curl_easy_header(handle, name, 0, CURLH_HEADER, -1, &found) != CURLHE_OK) return {};
  return found->value;
}

/// curl_global_init is not thread-safe on older libraries; a function-local static is initialised once, whoever comes first.
void initialise_library() {
  static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
  static_cast<void>(done);
}

}  // namespace

struct HttpClient::Handle {
  std::unique_ptr<CURL, CurlFree> curl;
};

HttpClient::HttpClient(HttpOptions options) : options_(std::move(options)) {
  initialise_library();
  handle_ = std::make_unique<Handle>(Handle{std::unique_ptr<CURL, CurlFree>(curl_easy_init())});
}
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;

Try<HttpReply> HttpClient::send(const HttpRequest& request) {
  CURL* curl = handle_->curl.get();
  if (curl == nullptr) return fail(kUnreachable, "libcurl could not be initialised");
  const auto parts = parse_url(request.url);
  if (!parts) return fail(parts.error());

  curl_easy_reset(curl);  // keeps the connection, drops the options of the request before
  HttpReply reply;
  Taking taking{.curl = curl, .request = request, .reply = reply};
  std::array<char, CURL_ERROR_SIZE> trouble{};
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
  if (request.sink) {
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(options_.timeout.count() / 1000));
  } else {
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(options_.timeout.count()));
  }
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, trouble.data());
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &taking);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "rosterctl/" ROSTERD_VERSION);
  if (!options_.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, options_.ca_file.c_str());
  if (is_loopback(parts->host)) curl_easy_setopt(curl, CURLOPT_PROXY, "");  // http_proxy of the environment is not meant for here
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT" || request.method == "PATCH") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.c_str());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  }

  std::unique_ptr<curl_slist, CurlFree> headers;
  const auto add_header = [&](const std::string& line) {
    curl_slist* longer = curl_slist_append(headers.get(), line.c_str());
    if (longer != nullptr) {
      static_cast<void>(headers.release());  // curl_slist_append gives the head of the same list
      headers.reset(longer);
    }
  };
  add_header("Accept: application/json, application/problem+json");
  add_header("Expect:");  // 100-continue would cost a round trip per large body
  add_header("Content-Type: " + request.content_type);
  if (!request.token.empty()) add_header("Authorization: Bearer " + request.token);
  if (!request.if_match.empty()) add_header("If-Match: " + request.if_match);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());

  const CURLcode result = curl_easy_perform(curl);
  if (result != CURLE_OK) {
    const std::string reason = trouble[0] != '\0' ? trouble.data() : curl_easy_strerror(result);
    const std::string mend = result == CURLE_PEER_FAILED_VERIFICATION
                                 ? "if rosterd's certificate comes from a private authority, name its file with --ca-file"
                                 : "is rosterd running there? The address comes from --url, ROSTERCTL_URL or the profile";
    return fail_with_advice(
        kUnreachable,
        fmt::format("no answer from {}://{}{}{}: {}", parts->scheme, parts->host, parts->port.empty() ? "" : ":", parts->port, reason),
        mend);
  }
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.status);
  reply.content_type = header(curl, "Content-Type");
  reply.etag = header(curl, "ETag");
  reply.revision = header(curl, "Rosterd-Revision");
  return reply;
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || byte == '-' ||
                       byte == '.' || byte == '_' || byte == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  // "." and ".." are resolved away by clients and servers even when encoded (RFC 3986 §5.2.4): no object has such a name.
  return out;
}

Try<UrlParts> parse_url(const std::string& url) {
  const auto wrong = [&](std::string_view why) {
    return fail_with_advice(kUsage, fmt::format("'{}' is not an address of rosterd: {}", url, why),
                            "give it as https://host:port or http://127.0.0.1:port");
  };
  const std::unique_ptr<CURLU, CurlFree> parsed(curl_url());
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return wrong("it cannot be parsed");
  const auto part = [&](CURLUPart which) {
    char* text = nullptr;
    if (curl_url_get(parsed.get(), which, &text, 0) != CURLUE_OK) return std::string();
    const std::unique_ptr<char, CurlFree> owned(text);
    return std::string(text);
  };
  UrlParts out{part(CURLUPART_SCHEME), part(CURLUPART_HOST), part(CURLUPART_PORT)};
  if (out.scheme != "http" && out.scheme != "https") return wrong("the scheme must be http or https");
  if (!part(CURLUPART_USER).empty() || !part(CURLUPART_PASSWORD).empty()) return wrong("it must not hold a user or a password");
  if (out.host.empty()) return wrong("there is no host in it");
  return out;
}

bool is_loopback(const std::string& host) {
  if (strcasecmp(host.c_str(), "localhost") == 0 || host == "[::1]" || host == "::1") return true;
  if (!host.starts_with("127.")) return false;
  return host.find_first_not_of("0123456789.") == std::string::npos;  // 127.evil.example is a name, not an address
}

}  // namespace rosterd::cli
