#include "daemon/http/authzen.hpp"

#include "daemon/http/authzen_question.hpp"
#include "daemon/http/problem.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http::authzen {
namespace {

using nlohmann::json;

/// One evaluation's four parts; nullptr = neither its own nor a default.
struct Parts {
  const json* subject = nullptr;
  const json* action = nullptr;
  const json* resource = nullptr;
  const json* context = nullptr;
};

Parts parts_of(const json& object) {
  return {.subject = member(object, "subject"),
          .action = member(object, "action"),
          .resource = member(object, "resource"),
          .context = member(object, "context")};
}

rbac::Decision check(const Ground& ground, const SubjectRef& subject, const ResourceRef& resource, std::string_view action) {
  const auto ns = resource.ns ? std::optional<std::string_view>(*resource.ns) : std::nullopt;
  // Nobody has the id 0: the same steps in the same order as for a key that leads nowhere.
  if (!subject.type) return ground.snapshot.check(Principal{}, resource.permission, action, ns, ground.at);
  return ground.snapshot.check(
      {.type = *subject.type, .key = subject.key, .permission = resource.permission, .action = action, .ns = ns, .at = ground.at});
}

/// The first action that is allowed; else the denial that comes nearest (they are listed in that order).
rbac::Decision decide(const Ground& ground, const SubjectRef& subject, const ResourceRef& resource, const std::string& action) {
  if (resource.nowhere) return {false, rbac::Reason::DeniedWrongNamespace};
  rbac::Decision out{false, rbac::Reason::DeniedNoBinding};
  for (const auto& one : actions_of(ground, resource.permission, action)) {
    const auto decision = check(ground, subject, resource, one);
    if (decision.allowed || decision.reason < out.reason) out = decision;
    if (decision.allowed) break;
  }
  return out;
}

struct Verdict {
  bool allowed = false;
  std::string text;  ///< {"decision":…}
};

Result<Verdict> evaluate(const Ground& ground, const Parts& parts) {
  const auto subject = subject_of(parts.subject);
  if (!subject) return fail(subject.error());
  const auto action = action_of(parts.action);
  if (!action) return fail(action.error());
  const auto resource = resource_of(parts.resource);
  if (!resource) return fail(resource.error());
  const auto reasons = wants_reasons(parts.context);
  if (!reasons) return fail(reasons.error());
  const auto decision = decide(ground, *subject, *resource, *action);
  if (ground.decided) ground.decided(decision.reason);
  Verdict out{.allowed = decision.allowed, .text = decision.allowed ? R"({"decision":true)" : R"({"decision":false)"};
  if (*reasons)
    out.text += fmt::format(R"(,"context":{{"reason_admin":{{"code":"{}","revision":"{}"}},"reason_user":{{"en":"{}"}}}})",
                            rbac::name_of(decision.reason), text(ground.snapshot.revision()),
                            decision.allowed ? "You may do this." : "You may not do this.");
  out.text += '}';
  return out;
}

/// An item that fails is not allowed, and says why (A7).
Verdict refused(const Error& error) {
  Verdict out{.allowed = false,
              .text = fmt::format(R"({{"decision":false,"context":{{"error":{{"status":{},"message":")", status_of(error))};
  append_json_escaped(out.text, error.what);
  out.text += "\"}}}";
  return out;
}

Verdict evaluate_item(const Ground& ground, const Parts& defaults, const json& item) {
  if (!item.is_object()) return refused({.code = Errc::InvalidInput, .what = "an evaluation must be an object", .slug = {}});
  auto parts = parts_of(item);  // a key of the item replaces the default whole (A5)
  if (parts.subject == nullptr) parts.subject = defaults.subject;
  if (parts.action == nullptr) parts.action = defaults.action;
  if (parts.resource == nullptr) parts.resource = defaults.resource;
  if (parts.context == nullptr) parts.context = defaults.context;
  auto verdict = evaluate(ground, parts);
  return verdict ? std::move(*verdict) : refused(verdict.error());
}

/// The decision that ends a batch early; none = all are executed (A8).
Result<std::optional<bool>> ending_of(const json* options) {
  if (options == nullptr) return std::optional<bool>();
  if (!options->is_object()) return fail(Errc::InvalidInput, "options: must be an object");
  const auto* semantic = member(*options, "evaluations_semantic");
  if (semantic == nullptr || *semantic == "execute_all") return std::optional<bool>();
  if (*semantic == "deny_on_first_deny") return std::optional<bool>(false);
  if (*semantic == "permit_on_first_permit") return std::optional<bool>(true);
  return fail(Errc::InvalidInput, "options.evaluations_semantic: must be execute_all, deny_on_first_deny or permit_on_first_permit");
}

}  // namespace

Result<std::string> evaluation(const Ground& ground, std::string_view body) {
  const auto request = request_of(body);
  if (!request) return fail(request.error());
  auto verdict = evaluate(ground, parts_of(*request));
  if (!verdict) return fail(verdict.error());
  return std::move(verdict->text);
}

Result<std::string> evaluations(const Ground& ground, std::string_view body) {
  const auto request = request_of(body);
  if (!request) return fail(request.error());
  const auto ending = ending_of(member(*request, "options"));
  if (!ending) return fail(ending.error());
  const auto* items = member(*request, "evaluations");
  if (items != nullptr && !items->is_array()) return fail(Errc::InvalidInput, "evaluations: must be a list");
  const auto defaults = parts_of(*request);
  if (items == nullptr || items->empty()) {
    auto verdict = evaluate(ground, defaults);
    if (!verdict) return fail(verdict.error());
    return std::move(verdict->text);
  }
  if (items->size() > kMostEvaluations) return fail(Errc::InvalidInput, "evaluations: at most {} in one request", kMostEvaluations);
  std::string out = R"({"evaluations":[)";
  out.reserve(items->size() * 20 + 32);
  for (const auto& item : *items) {
    const auto verdict = evaluate_item(ground, defaults, item);
    if (out.back() != '[') out += ',';
    out += verdict.text;
    if (*ending == verdict.allowed) break;  // the rest is not looked at
  }
  out += "]}";
  return out;
}

}  // namespace rosterd::http::authzen
