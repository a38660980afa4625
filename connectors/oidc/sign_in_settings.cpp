#include "connectors/oidc/sign_in_settings.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "schema/core/text.hpp"

namespace rosterd::connectors::oidc {
namespace {

using nlohmann::json;

constexpr std::string_view kOptions[] = {"token_type",     "algorithms",   "clients",      "subject_claim", "subject_kinds", "clock_skew",
                                         "unknown_people", "default_role", "groups_match", "client_id",     "client_secret", "scopes"};
constexpr std::size_t kMostList = 50;

/// Reads fields of one object and collects what is wrong, each with its path.
class Reader {
 public:
  Reader(const json& object, std::string path, std::string& problems) : object_(object), path_(std::move(path)), problems_(problems) {}

  [[nodiscard]] const json* at(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  void problem(const char* name, std::string_view what) {
    if (!problems_.empty()) problems_ += "; ";
    problems_ += fmt::format("{}/{}: {}", path_, name, what);
  }
  std::string text(const char* name, std::string fallback = {}) {
    const auto* value = at(name);
    if (value == nullptr) return fallback;
    if (!is_text(*value)) {
      problem(name, "must be a text of 1 to 1000 characters");
      return fallback;
    }
    return value->get<std::string>();
  }
  std::vector<std::string> texts(const char* name) {
    const auto* value = at(name);
    if (value == nullptr) return {};
    if (!value->is_array() || value->size() > kMostList || !std::all_of(value->begin(), value->end(), is_text)) {
      problem(name, "must be a list of texts");
      return {};
    }
    return value->get<std::vector<std::string>>();
  }
  bool flag(const char* name) {
    const auto* value = at(name);
    if (value != nullptr && !value->is_boolean()) problem(name, "must be true or false");
    return value != nullptr && value->is_boolean() && value->get<bool>();
  }
  /// One of the words; the first when it is absent.
  template <class Enum>
  Enum word(const char* name, std::initializer_list<std::pair<std::string_view, Enum>> words) {
    const auto given = text(name, std::string(words.begin()->first));
    std::string known;
    for (const auto& [spelt, value] : words) {
      if (spelt == given) return value;
      known += fmt::format("{}{}", known.empty() ? "" : ", ", spelt);
    }
    problem(name, "must be one of " + known);
    return words.begin()->second;
  }

 private:
  static bool is_text(const json& value) {
    return value.is_string() && !value.get_ref<const std::string&>().empty() && value.get_ref<const std::string&>().size() <= 1000 &&
           !has_control_characters(value.get_ref<const std::string&>());
  }
  const json& object_;
  const std::string path_;
  std::string& problems_;
};

void read_options(Reader& options, SignInSettings& out) {
  auto& policy = out.policy;
  policy.type = options.word<jwt::TokenType>(
      "token_type", {{"rfc9068", jwt::TokenType::Rfc9068}, {"jwt", jwt::TokenType::Jwt}, {"absent", jwt::TokenType::Absent}});
  if (const auto names = options.texts("algorithms"); !names.empty()) {
    policy.algorithms.clear();
    for (const auto& name : names) {
      const auto algorithm = jwt::parse_algorithm(name);
      if (algorithm)
        policy.algorithms.push_back(*algorithm);
      else
        options.problem("algorithms", fmt::format("'{}' is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA", name));
    }
  }
  policy.clients = options.texts("clients");
  policy.subject_claim = options.text("subject_claim", "sub");
  // An e-mail or a name is an attribute: it may change hands, and some providers let people choose it (rbac.md R5).
  for (const char* attribute : {"email", "preferred_username", "upn", "unique_name", "name"})
    if (policy.subject_claim == attribute)
      options.problem("subject_claim", "must be a claim with a stable id (sub, oid, uid), never a name or an e-mail");
  for (const auto& kind : options.texts("subject_kinds")) {
    if (kind == "client")
      out.clients_too = true;
    else if (kind != "user")
      options.problem("subject_kinds", fmt::format("'{}' is neither user nor client", kind));
  }
  if (const auto* skew = options.at("clock_skew")) {
    const auto parsed = skew->is_string() ? parse_duration(skew->get<std::string>()) : Result<Millis>(fail(Errc::InvalidInput, ""));
    if (!parsed || *parsed < Millis(0) || *parsed > jwt::kMostSkew)
      options.problem("clock_skew", "must be a duration of at most 60s, such as \"30s\"");
    else
      policy.skew = std::chrono::duration_cast<Seconds>(*parsed);
  }
  out.unknown_people =
      options.word<UnknownPeople>("unknown_people", {{"refuse", UnknownPeople::Refuse}, {"create", UnknownPeople::Create}});
  out.default_role = options.text("default_role");
  if (!out.default_role.empty() && out.unknown_people == UnknownPeople::Refuse)
    options.problem("default_role", "is for people who are created; set unknown_people to \"create\" or take it out");
  out.groups_by_name = options.word<bool>("groups_match", {{"id", false}, {"name", true}});
  out.client_id = options.text("client_id");
  if (const auto* secret = options.at("client_secret")) {
    if (!secret->is_object())
      options.problem("client_secret", "must be {\"value\": …}, {\"file\": …} or {\"env\": …}");
    else if (const auto value = secret->find("value"); value != secret->end() && value->is_string())
      out.client_secret = value->get<std::string>();
    if (out.client_id.empty()) options.problem("client_secret", "stands without client_id");
  }
  if (const auto scopes = options.texts("scopes"); !scopes.empty()) {
    out.scopes = scopes;
    if (std::find(scopes.begin(), scopes.end(), "openid") == scopes.end()) options.problem("scopes", "must hold openid");
  }
}

}  // namespace

Result<SignInSettings> parse_sign_in(const json& settings) {
  SignInSettings out;
  std::string problems;
  Reader top(settings, "", problems);
  out.sign_in = top.flag("sign_in");
  const auto* options = top.at("sign_in_options");
  if (!out.sign_in && problems.empty()) return out;
  out.at = {.issuer = top.text("issuer"), .ca_file = top.text("ca_file"), .allow_plaintext = top.flag("allow_plaintext")};
  if (const auto* pem = top.at("ca_pem"); pem != nullptr && pem->is_string()) out.at.ca_pem = pem->get<std::string>();
  out.policy.issuer = out.at.issuer;
  if (out.at.issuer.empty()) top.problem("issuer", "is missing");
  out.policy.audiences = top.texts("audiences");
  out.groups_claim = top.text("groups_claim");
  const json none = json::object();
  if (options != nullptr && !options->is_object()) top.problem("sign_in_options", "must be an object");
  const auto& inner = options != nullptr && options->is_object() ? *options : none;
  for (const auto& [name, value] : inner.items())
    if (std::find(std::begin(kOptions), std::end(kOptions), name) == std::end(kOptions))
      top.problem("sign_in_options", fmt::format("'{}' is unknown (known: {})", name.substr(0, 64), fmt::join(kOptions, ", ")));
  Reader within(inner, "/sign_in_options", problems);
  read_options(within, out);
  const auto& audiences = out.policy.audiences;
  if (audiences.empty() && out.client_id.empty())
    top.problem(
        "audiences",
        "is missing: name what the issuer writes into aud of tokens for rosterd (or sign_in_options/client_id, for browsers alone)");
  // Where typ does not tell an access token from an ID token, its audience must (RFC 8725 §3.12).
  if (out.policy.type != jwt::TokenType::Rfc9068 && !out.client_id.empty() &&
      std::find(audiences.begin(), audiences.end(), out.client_id) != audiences.end())
    top.problem("audiences", "must not hold sign_in_options/client_id: ID tokens have it, and they are no credentials for the API");
  if (!problems.empty()) return fail(Errc::InvalidInput, "{}", problems);
  return out;
}

}  // namespace rosterd::connectors::oidc
