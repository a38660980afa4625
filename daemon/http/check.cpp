// The hot path: one snapshot a request, no JSON document, the answer appended to one string. Rules in rbac.md §13 and check-api.md.

#include <nlohmann/json.hpp>

#include "daemon/http/explain.hpp"
#include "daemon/http/handlers.hpp"
#include "daemon/http/problem.hpp"
#include "daemon/http/render.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http {
namespace {

using nlohmann::json;

constexpr std::size_t kMostChecks = 1000;
constexpr std::size_t kMostPaths = 100;
constexpr std::size_t kLongestKey = 512;

/// One question as it came.
struct Ask {
  std::string subject, permission, action;
  std::optional<std::string> ns;
};

Result<rbac::Question> question_of(const Ask& ask, TimePoint at) {
  if (ask.subject.empty()) return fail(Errc::InvalidInput, "subject: is missing");
  if (ask.permission.empty()) return fail(Errc::InvalidInput, "permission: is missing");
  if (ask.action.empty()) return fail(Errc::InvalidInput, "action: is missing");
  const std::string_view subject = ask.subject;
  const auto colon = subject.find(':');
  if (colon == std::string_view::npos || colon + 1 == subject.size())
    return fail(Errc::InvalidInput, "subject: must look like \"user:ada\"");
  if (subject.size() > kLongestKey) return fail(Errc::InvalidInput, "subject: is longer than {} bytes", kLongestKey);
  if (has_control_characters(subject) || has_control_characters(ask.permission) || has_control_characters(ask.action))
    return fail(Errc::InvalidInput, "subject, permission, action: must not hold control characters");
  const auto type = parse_principal_type(subject.substr(0, colon));
  if (!type) return fail(Errc::InvalidInput, "subject: the type is user, service_account or group");
  rbac::Question out{
      .type = *type, .key = subject.substr(colon + 1), .permission = ask.permission, .action = ask.action, .ns = {}, .at = at};
  if (ask.ns) {
    if (!is_namespace(*ask.ns))
      return fail_as("invalid_namespace", Errc::InvalidInput,
                     "namespace: is no dotted path such as company.team (absent or null is the whole tenant)");
    out.ns = *ask.ns;
  }
  return out;
}

/// Reads {"subject",…} or {"checks":[…]} straight into Asks: a batch of a thousand needs no document. As strict as parse_json.
class AskReader : public nlohmann::json_sax<json> {
 public:
  std::vector<Ask> asks;
  bool batch = false;
  bool explain = false;
  std::string trouble;

  bool null() override { return field_ == Namespace ? true : wrong("null"); }
  bool boolean(bool value) override {
    if (field_ != Explain) return wrong("true or false");
    explain = value;
    return true;
  }
  bool number_integer(number_integer_t) override { return wrong("a number"); }
  bool number_unsigned(number_unsigned_t) override { return wrong("a number"); }
  bool number_float(number_float_t, const string_t&) override { return wrong("a number"); }
  bool binary(binary_t&) override { return wrong("binary"); }
  bool string(string_t& value) override {
    if (value.find('\0') != std::string::npos) return stop("a text holds U+0000");
    switch (field_) {
      case Subject:
        asks.back().subject = std::move(value);
        return true;
      case Permission:
        asks.back().permission = std::move(value);
        return true;
      case Action:
        asks.back().action = std::move(value);
        return true;
      case Namespace:
        asks.back().ns = std::move(value);
        return true;
      default:
        return wrong("a text");
    }
  }
  bool start_object(std::size_t) override {
    if (depth_ == 0) {
      depth_ = 1;
      asks.emplace_back();  // a single question, until "checks" says otherwise
      return true;
    }
    if (depth_ != 2) return wrong("an object");
    if (asks.size() >= kMostChecks) return stop(fmt::format("checks: at most {} in one request", kMostChecks));
    depth_ = 3;
    seen_ = 0;
    asks.emplace_back();
    return true;
  }
  bool end_object() override {
    --depth_;
    field_ = None;
    return true;
  }
  bool start_array(std::size_t) override {
    if (field_ != Checks) return wrong("a list");
    depth_ = 2;
    field_ = None;
    asks.clear();
    return true;
  }
  bool end_array() override {
    depth_ = 1;
    seen_ = 1u << Checks;
    return true;
  }
  bool key(string_t& name) override {
    if (name.find('\0') != std::string::npos) return stop("a member name holds U+0000");
    struct Name {
      std::string_view name;
      Field field;
    };
    static constexpr Name kNames[] = {{"subject", Subject},     {"permission", Permission}, {"action", Action},
                                      {"namespace", Namespace}, {"explain", Explain},       {"checks", Checks}};
    field_ = None;
    for (const auto& row : kNames)
      if (row.name == name && (depth_ == 1 || (row.field != Explain && row.field != Checks))) field_ = row.field;
    if (field_ == None)
      return stop(fmt::format("{}: unknown field (known: subject, permission, action, namespace{})", name.substr(0, 64),
                              depth_ == 1 ? ", explain, checks" : ""));
    if ((seen_ & (1u << field_)) != 0) return stop(fmt::format("the member \"{}\" is given twice", name));
    if ((field_ == Checks && seen_ != 0) || (seen_ & (1u << Checks)) != 0)
      return stop("checks: stands alone, without the fields of a single check");
    seen_ |= 1u << field_;
    if (field_ == Checks) batch = true;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return stop(fmt::format("not JSON at byte {}", position));
  }

 private:
  enum Field : unsigned { None, Subject, Permission, Action, Namespace, Explain, Checks };
  bool stop(std::string why) {
    if (trouble.empty()) trouble = std::move(why);
    return false;
  }
  bool wrong(std::string_view what) {
    static constexpr std::string_view kNames[] = {"this place", "subject", "permission", "action", "namespace", "explain", "checks"};
    static constexpr std::string_view kWanted[] = {"a JSON object",  "a text",        "a text",           "a text",
                                                   "a text or null", "true or false", "a list of objects"};
    return stop(fmt::format("{}: must be {}, not {}", depth_ == 2 ? "checks" : kNames[field_],
                            depth_ == 2 ? "a list of objects" : kWanted[field_], what));
  }

  Field field_ = None;
  unsigned seen_ = 0;
  int depth_ = 0;  // 1 = the object, 2 = inside "checks", 3 = inside one of its objects
};

/// Who may ask: anybody about himself, others with CHECK READ. Asked once a request, and by name only when it must be.
class AskRight {
 public:
  explicit AskRight(Call& call) : call_(call) {}

  Result<void> about(const rbac::Question& question) {
    if (!held_) {
      const auto held = call_.holds("CHECK", "READ");
      if (!held) return fail(held.error());
      held_ = *held;
    }
    if (*held_) return {};
    const auto self = is_self(question);
    if (!self) return fail(self.error());
    if (*self) return {};
    return fail(Errc::Forbidden, "asking about somebody else needs CHECK READ in the tenant");
  }
  /// By the same look-up as the check itself (R7), so that every spelling of the caller's own key counts.
  Result<bool> is_self(const rbac::Question& question) {
    if (!call_.self || question.type != call_.self->type) return false;
    if (const auto id = parse_principal_id(question.type, question.key); id && *id == call_.self->id) return true;
    const auto snapshot = call_.snapshot();
    if (!snapshot) return fail(snapshot.error());
    const auto found = (*snapshot)->resolve(question.type, question.key);
    return found.kind == rbac::Resolved::Found && found.known.who == *call_.self;
  }

 private:
  Call& call_;
  std::optional<bool> held_;
};

void append_decision(std::string& out, const rbac::Decision& decision) {
  out += decision.allowed ? R"({"allowed":true,"reason":")" : R"({"allowed":false,"reason":")";
  out += rbac::name_of(decision.reason);
  out += '"';
}

/// check-api.md §7: the same decision with every path that leads to it or, for a denial, what comes nearest. All of it is one revision's;
/// only where memberships come from is read from the store.
Result<Reply> explained(Call& call, const rbac::Question& question, AskRight& right) {
  const auto may_see = call.holds("BINDING", "READ");
  if (!may_see) return fail(may_see.error());
  const auto self = right.is_self(question);
  if (!self) return fail(self.error());
  if (!*may_see && !*self) return fail(Errc::Forbidden, "explaining a check about somebody else needs BINDING READ in the tenant");
  bool near = false;  // R104: what would have to be different is for those who could see it anyway, and never for the subject
  if (*may_see && !*self) {
    const auto roles = call.holds("ROLE", "READ");
    if (!roles) return fail(roles.error());
    near = *roles;
  }
  if (auto refused = call.app.limits.take(Limit::Explains, call.caller_key, call.request.remote)) return std::move(*refused);
  const auto snapshot = call.snapshot();
  if (!snapshot) return fail(snapshot.error());
  const auto why = (*snapshot)->explain(question, {.paths = kMostPaths, .near_misses = near});
  call.app.metrics.check(why.decision.reason);
  auto body = explanation_json(call, why);
  if (!body) return fail(body.error());
  return decided(call, dump(*body));
}

Result<Reply> answer_one(Call& call, const Ask& ask, bool explain) {
  const auto question = question_of(ask, call.app.services.clock.now());
  if (!question) return fail(question.error());
  AskRight right(call);
  if (const auto may = right.about(*question); !may) return fail(may.error());
  const auto snapshot = call.snapshot();
  if (!snapshot) return fail(snapshot.error());
  if (explain) return explained(call, *question, right);
  const auto decision = (*snapshot)->check(*question);
  call.app.metrics.check(decision.reason);
  std::string body;
  body.reserve(96);
  append_decision(body, decision);
  body += R"(,"revision":")";
  body += text((*snapshot)->revision());
  body += "\"}";
  return decided(call, std::move(body));
}

/// Answers stand in the order of the questions; a question that is no question gets an error of its own and is not allowed.
Result<Reply> answer_many(Call& call, const std::vector<Ask>& asks) {
  const auto snapshot = call.snapshot();
  if (!snapshot) return fail(snapshot.error());
  const auto at = call.app.services.clock.now();
  AskRight right(call);
  std::string body = R"({"results":[)";
  body.reserve(asks.size() * 56 + 64);
  for (const auto& ask : asks) {
    if (body.back() != '[') body += ',';
    const auto question = question_of(ask, at);
    const auto may = question ? right.about(*question) : Result<void>(fail(question.error()));
    if (may) {
      const auto decision = (*snapshot)->check(*question);
      call.app.metrics.check(decision.reason);
      append_decision(body, decision);
      body += '}';
      continue;
    }
    const int status = status_of(may.error());
    if (status >= 500) return fail(may.error());
    body += fmt::format(R"({{"allowed":false,"error":{{"status":{},"code":"{}","detail":")", status, code_of(may.error()));
    append_json_escaped(body, may.error().what);
    body += "\"}}";
  }
  body += R"(],"revision":")";
  body += text((*snapshot)->revision());
  body += "\"}";
  return decided(call, std::move(body));
}

}  // namespace

Result<Reply> check_one(Call& call) {
  Ask ask;
  for (const auto& [name, value] : call.target.query) {
    if (name == "subject")
      ask.subject = value;
    else if (name == "permission")
      ask.permission = value;
    else if (name == "action")
      ask.action = value;
    else if (name == "namespace")
      ask.ns = value;  // "" is an error, never the whole tenant (R27)
  }
  const auto explain = call.query_flag("explain");
  if (!explain) return fail(explain.error());
  return answer_one(call, ask, *explain);
}

Result<Reply> check_body(Call& call) {
  AskReader reader;
  if (!json::sax_parse(call.request.body, &reader)) return fail(Errc::InvalidInput, "the body is not acceptable: {}", reader.trouble);
  if (reader.batch) return answer_many(call, reader.asks);
  if (call.request.body.size() > call.app.options.max_body)
    return fail_as("payload_too_large", Errc::InvalidInput, "a single check is larger than {} bytes", call.app.options.max_body);
  return answer_one(call, reader.asks.front(), reader.explain);
}

}  // namespace rosterd::http
