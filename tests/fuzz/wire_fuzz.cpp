// The request parser: bytes as a client sends them, cut as the network likes, through head arrival, the HTTP library and the endpoints to
// the bytes of the answer. And every small parser that is given text from the wire.

#include <charconv>
#include <nlohmann/json.hpp>

#include "daemon/http/arrival.hpp"
#include "daemon/http/front.hpp"
#include "daemon/http/listener.hpp"
#include "daemon/http/page_token.hpp"
#include "daemon/http/proxy_routes.hpp"
#include "daemon/http/token.hpp"
#include "schema/core/clock.hpp"
#include "schema/core/text.hpp"
#include "tests/fuzz/ground.hpp"
#include "tests/fuzz/target.hpp"

namespace rosterd::fuzz {
namespace {

using http::Arrival;
using http::ArrivalLimits;

enum class Verdict { Part, Whole, Refused };
Verdict verdict_of(const Arrival& arrival) {
  if (arrival.state == Arrival::State::Part) return Verdict::Part;
  return arrival.state == Arrival::State::Whole ? Verdict::Whole : Verdict::Refused;
}

/// However a request is cut up, the verdict is that of the whole of it.
void arrive_in_pieces(std::string_view bytes, const ArrivalLimits& limits) {
  std::size_t scanned = 0;
  const auto at_once = verdict_of(look(bytes, limits, scanned));
  const auto step = std::max<std::size_t>(1, bytes.size() / 50);
  scanned = 0;
  for (std::size_t arrived = 1; arrived <= bytes.size();
       arrived = arrived == bytes.size() ? arrived + 1 : std::min(arrived + step, bytes.size())) {
    const auto now = verdict_of(look(bytes.substr(0, arrived), limits, scanned));
    require(scanned <= arrived, "nothing is scanned that has not arrived");
    if (now == Verdict::Part) continue;
    require(now == at_once, "a verdict does not depend on how the bytes were cut", bytes);
    return;
  }
  require(at_once == Verdict::Part, "what is whole at once is whole in pieces", bytes);
}

struct Answer {
  int status = 0;
  std::string type, framing;
  std::string_view body;
  bool closes = false;
};

/// As strictly as a client could wish (RFC 9112).
Answer parsed(std::string_view out) {
  Answer answer;
  require(out.starts_with("HTTP/1.1 ") || out.starts_with("HTTP/1.0 "), "an answer has a status line", out);
  std::from_chars(out.data() + 9, out.data() + std::min<std::size_t>(out.size(), 12), answer.status);
  const auto end = out.find("\r\n\r\n");
  require(end != std::string_view::npos, "an answer has a head", out);
  auto lines = out.substr(0, end + 2);
  answer.body = out.substr(end + 4);
  lines.remove_prefix(lines.find("\r\n") + 2);
  while (!lines.empty()) {
    const auto line = lines.substr(0, lines.find("\r\n"));
    lines.remove_prefix(line.size() + 2);
    const auto colon = line.find(": ");
    require(colon != std::string_view::npos && line.find_first_of("\r\n") == std::string_view::npos, "a header has a name and a line", out);
    const auto name = line.substr(0, colon), value = line.substr(colon + 2);
    require(!has_control_characters(value), "a header holds no control characters", out);
    if (name == "Content-Type") answer.type = value;
    if (name == "Connection") answer.closes = value == "close";
    if (name != "Content-Length" && name != "Transfer-Encoding") continue;
    require(answer.framing.empty(), "an answer has one length", out);
    answer.framing = value;
  }
  return answer;
}

std::string unchunked(std::string_view body) {
  std::string out;
  while (true) {
    const auto line = body.find("\r\n");
    std::size_t size = 0;
    require(line != std::string_view::npos && std::from_chars(body.data(), body.data() + line, size, 16).ptr == body.data() + line,
            "a chunk has a size", body);
    require(body.size() >= line + 2 + size + 2, "a chunk is as long as it says", body);
    out += body.substr(line + 2, size);
    body.remove_prefix(line + 2 + size + 2);
    if (size == 0) return out;
  }
}

/// The request line's method and target as the library takes them apart.
std::pair<std::string_view, std::string_view> method_and_target(std::string_view request) {
  const auto line = request.substr(0, request.find_first_of("\r\n"));
  const auto word = [&](std::size_t from) {
    const auto begin = std::min(line.find_first_not_of(' ', from), line.size());
    return line.substr(begin, std::min(line.find(' ', begin), line.size()) - begin);
  };
  const auto method = word(0);
  return {method, word(static_cast<std::size_t>(method.data() - line.data()) + method.size())};
}

void judge_bytes(std::string_view request, std::string_view out) {
  const auto answer = parsed(out);
  const auto [method, target] = method_and_target(request);
  std::string chunks;
  std::string_view body = answer.body;
  if (method == "HEAD") {
    // What is no request at all is answered before its method is known, and ends the connection.
    require(body.empty() || (answer.status >= 400 && answer.closes), "HEAD is answered without a body", out);
    if (body.empty()) return;
  }
  if (answer.framing == "chunked") {
    chunks = unchunked(body);
    body = chunks;
  } else if (!answer.framing.empty()) {
    require(answer.framing == std::to_string(body.size()), "the length is that of the body", out);
  }
  // The library splits an absolute or odd target in its own way: only the plain ones are known to be those of a route.
  const int route = answer.status < 400 ? route_of(method, target) : -1;
  constexpr std::string_view kDemand = "rosterd-m";
  const bool demands = std::search(request.begin(), request.end(), kDemand.begin(), kDemand.end(),
                                   [](unsigned char a, char b) { return std::tolower(a) == b; }) != request.end();
  judge(route, answer.status, body.empty() ? std::string_view{} : std::string_view(answer.type), body, request,
        demands ? Freshness::Demanded : Freshness::Any);
}

/// One connection: requests behind one another until it closes, every answer complete.
void converse(std::string_view bytes) {
  static const auto listener = http::make_listener(app());
  static const http::Peer peer{.address = "192.0.2.1"};
  const auto& options = app().options;
  const ArrivalLimits limits{.head = options.max_headers, .body = options.max_batch_body};
  for (int served = 0; !bytes.empty() && served < 4; ++served) {
    std::size_t scanned = 0;
    const auto arrival = look(bytes, limits, scanned);
    if (arrival.state == Arrival::State::Part) return;
    if (arrival.state != Arrival::State::Whole) {
      const auto why = arrival.state == Arrival::State::UriTooLong ? http::Refusal::UriTooLong : http::Refusal::HeadersTooLarge;
      judge_bytes("GET / ", listener->refusal(why));
      return;
    }
    http::Exchange exchange{.peer = peer, .bytes = bytes};
    listener->answer(exchange);
    while (exchange.stream) {
      const auto more = exchange.stream(exchange.out);
      require(more.has_value(), "a stream ends well", bytes);
      if (!*more) exchange.stream = nullptr;
    }
    require(exchange.used <= bytes.size(), "no more is used than has come", bytes);
    require(exchange.used > 0 || exchange.close, "a connection gets on or ends", bytes);
    require(!exchange.out.empty(), "every request is answered", bytes);
    judge_bytes(bytes, exchange.out);
    if (exchange.close) return;
    bytes.remove_prefix(exchange.used);
  }
}

void take_target_apart(std::string_view text) {
  const auto target = http::parse_target(text);
  if (!target) return;
  for (const auto& segment : target->segments)
    require(!segment.empty() && segment != "." && segment != ".." && is_utf8(segment) && !has_control_characters(segment),
            "a segment of a path is plain text", text);
  for (std::size_t i = 0; i < target->query.size(); ++i) {
    const auto& [name, value] = target->query[i];
    require(is_utf8(name + value) && !has_control_characters(name + value), "a parameter is plain text", text);
    for (std::size_t k = 0; k < i; ++k) require(target->query[k].first != name, "no parameter is there twice", text);
  }
}

/// Read, written and read again it is still the same.
template <class Parse, class Write>
void goes_round(std::string_view from, Parse parse, Write write) {
  const auto once = parse(from);
  if (!once) return;
  const auto again = parse(write(*once));
  require(again && *again == *once, "what was read is written as something that reads the same", from);
}

void read_ids_and_numbers(std::string_view from) {
  const auto written = [](const auto& value) { return text(value); };
  goes_round(from, parse_revision, written);
  goes_round(from, parse_account_id, written);
  goes_round(from, parse_source_id, written);
  goes_round(from, parse_run_id, written);
  goes_round(from, parse_role_id, written);
  goes_round(from, parse_binding_id, written);
  for (const auto type : {PrincipalType::User, PrincipalType::Group, PrincipalType::ServiceAccount})
    goes_round(from, [&](std::string_view id) { return parse_principal_id(type, id); }, [&](PrincipalId id) { return text(type, id); });
  goes_round(from, parse_rfc3339, rfc3339);
  goes_round(from, parse_duration, duration_text);
}

void read_words(std::string_view text) {
  if (is_slug(text)) require(text.size() <= 63 && is_utf8(text), "a slug is short", text);
  if (is_namespace(text)) require(text.size() <= 255 && covers(text, text) && !text.ends_with('.'), "a namespace covers itself", text);
  if (is_email(text)) require(text.size() <= 254 && !has_control_characters(text), "an e-mail is short", text);
  if (http::plausible(text)) require(text.size() == 40, "a token has one length", text);
  const auto folded = fold(text);
  require(fold(folded) == folded, "a folded text is its own fold", text);
  std::array<char, 4096> buffer{};
  if (const auto in_place = fold_to(text, buffer)) require(*in_place == folded, "both folds are one", text);
  std::string inside;
  append_json_escaped(inside, text);
  require(nlohmann::json::accept("\"" + inside + "\""), "an escaped text is JSON", text);
}

void read_page_tokens(std::string_view position, std::string_view question) {
  require(!http::read_page_token(kPepper, position, question), "nobody guesses a seal", position);
  const auto token = http::page_token(
      kPepper, {.revision = {3, 4}, .at = TimePoint(std::chrono::microseconds(5)), .position = std::string(position)}, question);
  if (token.size() > 1024) return;
  const auto read = http::read_page_token(kPepper, token, question);
  require(read && read->position == position && read->revision == Revision{3, 4}, "a page token goes round", position);
  require(!http::read_page_token(kPepper, token, std::string(question) + "x"), "a page token fits its own question alone", position);
}

void read_proxy_paths(std::string_view line, std::string_view path) {
  const auto& routes = http::routes_for(app().options.proxy_routes, "*").routes;
  if (const auto question = http::proxy_question(routes, "GET", path); question && question->ns)
    require(is_namespace(*question->ns), "a proxy's question is about a namespace", path);
  const auto route = http::parse_proxy_route(line);
  if (!route) return;
  if (const auto question = http::proxy_question({&*route, 1}, "GET", path); question && question->ns)
    require(is_namespace(*question->ns), "a proxy's question is about a namespace", path);
}

void one_input(std::string_view bytes) {
  freshen();
  arrive_in_pieces(bytes, {.head = 2048, .body = 4096, .line = 512, .header_lines = 20});
  converse(bytes);
  const auto end = bytes.find('\n');
  const auto first = bytes.substr(0, end), rest = end == std::string_view::npos ? std::string_view{} : bytes.substr(end + 1);
  for (const auto text : {bytes, first, method_and_target(bytes).second}) {
    take_target_apart(text);
    read_ids_and_numbers(text);
    read_words(text);
  }
  read_page_tokens(first, rest);
  read_proxy_paths(first, method_and_target(bytes).second);
}

}  // namespace
}  // namespace rosterd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  rosterd::fuzz::one_input(rosterd::fuzz::text_of(data, size));
  return 0;
}
