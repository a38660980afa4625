#include "tests/support/entra_simulator.hpp"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <memory>

namespace rosterd::test {
namespace {

using nlohmann::json;

HttpSaid graph_error(int status, const std::string& code, const std::string& message) {
  return json_answer(json{{"error", {{"code", code}, {"message", message}, {"innerError", {{"request-id", "0"}}}}}}.dump(), status);
}

bool selects(const std::string& select, const std::string& property) {
  return select.empty() || ("," + select + ",").find("," + property + ",") != std::string::npos;
}

json odata_member(const std::string& id, const std::string& kind) { return {{"@odata.type", "#microsoft.graph." + kind}, {"id", id}}; }

std::string from_base64url(std::string text) {
  for (auto& c : text) c = c == '-' ? '+' : c == '_' ? '/' : c;
  const auto padding = (4 - text.size() % 4) % 4;
  text.append(padding, '=');
  std::string out(3 * text.size() / 4, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  out.resize(size < 0 ? 0 : static_cast<std::size_t>(size) - padding);
  return out;
}

/// Why Entra would not take the assertion, in the words it has for that; empty when it would. It finds the certificate by its thumbprint
/// and takes RSA keys only.
std::string refusal_of(const std::string& assertion, const std::string& certificate, const std::string& client,
                       const std::string& audience) {
  const auto first = assertion.find('.'), second = assertion.rfind('.');
  if (first == std::string::npos || first == second) return "AADSTS50027: Invalid JWT token.";
  const auto header = json::parse(from_base64url(assertion.substr(0, first)), nullptr, false);
  const auto claims = json::parse(from_base64url(assertion.substr(first + 1, second - first - 1)), nullptr, false);
  if (!header.is_object() || !claims.is_object()) return "AADSTS50027: Invalid JWT token.";
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new_mem_buf(certificate.data(), static_cast<int>(certificate.size())),
                                                          &BIO_free_all);
  const std::unique_ptr<X509, decltype(&X509_free)> x509(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), &X509_free);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  X509_digest(x509.get(), EVP_sha256(), digest, &size);
  if (from_base64url(header.value("x5t#S256", "")) != std::string(reinterpret_cast<char*>(digest), size))
    return "AADSTS700027: The certificate with identifier used to sign the client assertion is not registered on application.";
  const auto signature = from_base64url(assertion.substr(second + 1));
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  if (header.value("alg", "") != "RS256" ||
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, X509_get0_pubkey(x509.get())) != 1 ||
      EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                       reinterpret_cast<const unsigned char*>(assertion.data()), second) != 1)
    return "AADSTS700027: Client assertion failed signature validation.";
  if (claims.value("iss", "") != client || claims.value("sub", "") != client || claims.value("aud", "") != audience)
    return "AADSTS700023: Client assertion audience claim does not match.";
  return {};
}

std::string form_value(const std::string& body, const std::string& name) {
  std::string out;
  for (std::size_t at = 0; at < body.size();) {
    const auto end = std::min(body.find('&', at), body.size());
    const auto pair = body.substr(at, end - at);
    if (pair.starts_with(name + "=")) {
      const auto raw = pair.substr(name.size() + 1);
      for (std::size_t i = 0; i < raw.size(); ++i) {
        if (raw[i] == '%' && i + 2 < raw.size()) {
          out += static_cast<char>(std::stoi(raw.substr(i + 1, 2), nullptr, 16));
          i += 2;
        } else {
          out += raw[i] == '+' ? ' ' : raw[i];
        }
      }
    }
    at = end + 1;
  }
  return out;
}

}  // namespace

EntraSimulator::EntraSimulator() : server_([this](const HttpAsked& asked) { return answer(asked); }) {}

json EntraSimulator::settings() const {
  return {{"issuer", issuer()},   {"dialect", "entra"},           {"api_url", url() + "/v1.0"},
          {"client_id", kClient}, {"auth", "client_secret_post"}, {"client_secret", {{"value", kSecret}}}};
}

std::string EntraSimulator::id(const std::string& name) {
  std::uint64_t hash = 1469598103934665603ULL;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  const auto text = fmt::format("{:016x}", hash);
  return fmt::format("{}-{}-4{}-8{}-{}{}", text.substr(0, 8), text.substr(8, 4), text.substr(12, 3), text.substr(0, 3), text.substr(4, 8),
                     text.substr(12, 4));
}

void EntraSimulator::log_change(Change change) { log_.push_back(std::move(change)); }

void EntraSimulator::put_user(const std::string& name, EntraUser user) {
  const std::lock_guard lock(mutex_);
  users_[id(name)] = std::move(user);
  log_change({.kind = Kind::User, .id = id(name), .removed = {}, .member = {}, .member_kind = {}, .properties = {}});
}

void EntraSimulator::user(const std::string& name) {
  put_user(name, {.upn = name + "@acme.example", .mail = name + "@mail.acme.example", .given = name, .surname = "Byron", .display = name});
}

void EntraSimulator::change_user(const std::string& name, const std::function<void(EntraUser&)>& change) {
  const std::lock_guard lock(mutex_);
  auto& user = users_.at(id(name));
  const auto before = user;
  users_before_[id(name)] = before;
  change(user);
  std::vector<std::string> properties;
  if (user.upn != before.upn) properties.emplace_back("userPrincipalName");
  if (user.mail != before.mail) properties.emplace_back("mail");
  if (user.given != before.given) properties.emplace_back("givenName");
  if (user.surname != before.surname) properties.emplace_back("surname");
  if (user.display != before.display) properties.emplace_back("displayName");
  if (user.enabled != before.enabled) properties.emplace_back("accountEnabled");
  log_change({.kind = Kind::User, .id = id(name), .removed = {}, .member = {}, .member_kind = {}, .properties = std::move(properties)});
}

void EntraSimulator::remove_user(const std::string& name, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  users_.erase(id(name));
  log_change({.kind = Kind::User, .id = id(name), .removed = reason, .member = {}, .member_kind = {}, .properties = {}});
  for (auto& [group, value] : groups_)
    if (value.members.erase(id(name)) > 0)
      log_change({.kind = Kind::Group,
                  .id = group,
                  .removed = {},
                  .member = id(name),
                  .member_kind = "user",
                  .member_removed = true,
                  .properties = {}});
}

void EntraSimulator::put_group(const std::string& name, EntraGroup group) {
  const std::lock_guard lock(mutex_);
  if (group.name.empty()) group.name = name;
  groups_[id(name)] = std::move(group);
  log_change({.kind = Kind::Group, .id = id(name), .removed = {}, .member = {}, .member_kind = {}, .properties = {}});
}

void EntraSimulator::change_group(const std::string& name, const std::function<void(EntraGroup&)>& change) {
  const std::lock_guard lock(mutex_);
  change(groups_.at(id(name)));
  log_change({.kind = Kind::Group, .id = id(name), .removed = {}, .member = {}, .member_kind = {}, .properties = {}});
}

void EntraSimulator::remove_group(const std::string& name, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  groups_.erase(id(name));
  log_change({.kind = Kind::Group, .id = id(name), .removed = reason, .member = {}, .member_kind = {}, .properties = {}});
}

void EntraSimulator::add_member(const std::string& group, const std::string& member, const std::string& kind) {
  const std::lock_guard lock(mutex_);
  groups_.at(id(group)).members[id(member)] = kind;
  log_change({.kind = Kind::Group, .id = id(group), .removed = {}, .member = id(member), .member_kind = kind, .properties = {}});
}

void EntraSimulator::remove_member(const std::string& group, const std::string& member) {
  const std::lock_guard lock(mutex_);
  auto& members = groups_.at(id(group)).members;
  const auto kind = members.at(id(member));
  members.erase(id(member));
  log_change({.kind = Kind::Group,
              .id = id(group),
              .removed = {},
              .member = id(member),
              .member_kind = kind,
              .member_removed = true,
              .properties = {}});
}

void EntraSimulator::with(const std::function<void(EntraSwitches&)>& change) {
  const std::lock_guard lock(mutex_);
  change(switches_);
}

void EntraSimulator::intercept(std::function<std::optional<HttpSaid>(const HttpAsked&)> first) {
  const std::lock_guard lock(mutex_);
  first_ = std::move(first);
}

void EntraSimulator::revoke_tokens() {
  const std::lock_guard lock(mutex_);
  tokens_.clear();
}

std::vector<std::string> EntraSimulator::asked() const {
  const std::lock_guard lock(mutex_);
  return asked_;
}

void EntraSimulator::forget() {
  const std::lock_guard lock(mutex_);
  asked_.clear();
}

std::size_t EntraSimulator::tokens_given() const {
  const std::lock_guard lock(mutex_);
  return given_;
}

HttpSaid EntraSimulator::answer(const HttpAsked& asked) {
  const std::lock_guard lock(mutex_);
  asked_.push_back(asked.target);
  if (first_)
    if (auto said = first_(asked)) return std::move(*said);
  const auto tenant = std::string("/") + kTenant;
  if (asked.path == tenant + "/v2.0/.well-known/openid-configuration")
    // Documents of the multi-tenant endpoints hold this template instead of the id.
    return json_answer(json{{"issuer", url() + "/{tenantid}/v2.0"},
                            {"token_endpoint", url() + tenant + "/oauth2/v2.0/token"},
                            {"authorization_endpoint", url() + tenant + "/oauth2/v2.0/authorize"},
                            {"jwks_uri", url() + tenant + "/discovery/v2.0/keys"},
                            {"token_endpoint_auth_methods_supported", {"client_secret_post", "private_key_jwt", "client_secret_basic"}}}
                           .dump());
  if (asked.path == tenant + "/oauth2/v2.0/token" && asked.method == "POST") return token(asked);
  if (!asked.path.starts_with("/v1.0/")) return {.status = 404, .body = "<html>no such page</html>"};
  const auto authorization = asked.headers.find("authorization");
  if (authorization == asked.headers.end() || !authorization->second.starts_with("Bearer ") ||
      !tokens_.contains(authorization->second.substr(7)))
    return graph_error(401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.");
  auto said = graph(asked, asked.path.substr(5));
  if (!switches_.throttle_share.empty()) said.headers.emplace_back("x-ms-throttle-limit-percentage", switches_.throttle_share);
  return said;
}

HttpSaid EntraSimulator::token(const HttpAsked& asked) {
  const auto refuse = [](const std::string& error, const std::string& text) {
    return json_answer(json{{"error", error}, {"error_description", text}}.dump(), error == "invalid_client" ? 401 : 400);
  };
  if (form_value(asked.body, "grant_type") != "client_credentials") return refuse("unsupported_grant_type", "AADSTS70003");
  if (!switches_.certificate.empty()) {
    const auto why = refusal_of(form_value(asked.body, "client_assertion"), switches_.certificate, kClient,
                                url() + "/" + kTenant + "/oauth2/v2.0/token");
    if (!why.empty()) return refuse("invalid_client", why);
  } else if (form_value(asked.body, "client_id") != kClient || form_value(asked.body, "client_secret") != kSecret)
    return refuse("invalid_client", "AADSTS7000215: Invalid client secret provided.");
  if (form_value(asked.body, "scope") != "https://graph.microsoft.com/.default")
    return refuse("invalid_scope", "AADSTS1002012: The provided value for scope is not valid.");
  const auto value = fmt::format("token-{}", ++given_);
  tokens_.insert(value);
  return json_answer(json{{"token_type", "Bearer"}, {"expires_in", 3599}, {"ext_expires_in", 3599}, {"access_token", value}}.dump());
}

HttpSaid EntraSimulator::graph(const HttpAsked& asked, const std::string& path) {
  for (const auto& [name, kind] : {std::pair(std::string("/users"), Kind::User), std::pair(std::string("/groups"), Kind::Group)}) {
    if (path != name && !path.starts_with(name + "/")) continue;
    const bool is_users = kind == Kind::User;
    if (is_users ? !may("User.Read.All") && !may("User.ReadBasic.All") : !may("Group.Read.All"))
      return graph_error(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.");
    if (path == name) return list(asked, kind);
    if (path == name + "/delta") return delta(asked, kind);
    const auto rest = path.substr(name.size() + 1);
    if (rest.find('/') == std::string::npos) return object(asked, kind, rest);
    if (!is_users && rest.ends_with("/members")) return members(asked, rest.substr(0, rest.find('/')));
  }
  return graph_error(400, "BadRequest", "Resource not found for the segment.");
}

// Objects

std::optional<json> EntraSimulator::shown(Kind kind, const std::string& id, const std::string& select, bool omit_null) const {
  json out = {{"id", id}};
  const auto add = [&](const std::string& property, const json& value) {
    if (selects(select, property) && !(omit_null && value.is_null())) out[property] = value;
  };
  const auto text = [](const std::optional<std::string>& value) { return value ? json(*value) : json(); };
  if (kind == Kind::User) {
    const auto found = users_.find(id);
    if (found == users_.end()) return std::nullopt;
    const auto& user = found->second;
    add("userPrincipalName", user.upn);
    add("mail", text(user.mail));
    add("givenName", text(user.given));
    add("surname", text(user.surname));
    add("displayName", user.display);
    if (may("User.Read.All")) add("accountEnabled", user.enabled);
    return out;
  }
  const auto found = groups_.find(id);
  if (found == groups_.end()) return std::nullopt;
  add("displayName", found->second.name);
  add("description", text(found->second.description));
  add("visibility", found->second.visibility);
  return out;
}

HttpSaid EntraSimulator::object(const HttpAsked& asked, Kind kind, const std::string& id) {
  auto out = shown(kind, id, asked.parameter("$select"), false);
  if (switches_.stale_objects && kind == Kind::User && users_before_.contains(id)) {
    auto before = users_before_.at(id);
    std::swap(users_[id], before);
    out = shown(kind, id, asked.parameter("$select"), false);
    std::swap(users_[id], before);
  }
  if (!out)
    return graph_error(404, "Request_ResourceNotFound",
                       fmt::format("Resource '{}' does not exist or one of its queried reference-property objects are not present.", id));
  return json_answer(out->dump());
}

HttpSaid EntraSimulator::list(const HttpAsked& asked, Kind kind) {
  const auto filter = asked.parameter("$filter");
  std::set<std::string> ids;
  if (!filter.empty()) {
    if (switches_.no_in_filter || !filter.starts_with("id in (") || !filter.ends_with(")"))
      return graph_error(400, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified.");
    for (std::size_t at = filter.find('\''); at != std::string::npos; at = filter.find('\'', at)) {
      const auto end = filter.find('\'', at + 1);
      ids.insert(filter.substr(at + 1, end - at - 1));
      at = end + 1;
    }
    if (ids.size() > 15)
      return graph_error(400, "Request_UnsupportedQuery", "Too many child clauses specified in search filter expression.");
  }
  std::vector<json> all;
  const auto take = [&](const auto& table) {
    for (const auto& [id, value] : table)
      if (filter.empty() || ids.contains(id)) all.push_back(*shown(kind, id, asked.parameter("$select"), false));
  };
  if (kind == Kind::User)
    take(users_);
  else
    take(groups_);
  return page_of(asked, all);
}

HttpSaid EntraSimulator::members(const HttpAsked& asked, const std::string& group) {
  const auto found = groups_.find(group);
  if (found == groups_.end()) return graph_error(404, "Request_ResourceNotFound", "Resource does not exist.");
  if (found->second.visibility == "HiddenMembership" && !may("Member.Read.Hidden"))
    return graph_error(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.");
  std::vector<json> all;
  for (const auto& [id, kind] : found->second.members) all.push_back(odata_member(id, kind));
  return page_of(asked, all);
}

HttpSaid EntraSimulator::page_of(const HttpAsked& asked, const std::vector<json>& all) {
  const auto skip = asked.parameter("$skiptoken");
  const auto from = skip.empty() ? std::size_t{0} : std::stoul(skip);
  const auto top = asked.parameter("$top");
  const auto size = std::min(switches_.page, top.empty() ? switches_.page : std::stoul(top));
  json out = {{"@odata.context", url() + "/v1.0/$metadata"}, {"value", json::array()}};
  for (auto at = from; at < std::min(all.size(), from + size); ++at) out["value"].push_back(all[at]);
  if (from + size < all.size()) {
    auto base = asked.target.substr(0, asked.target.find("$skiptoken="));
    while (base.ends_with('&') || base.ends_with('?')) base.pop_back();
    out["@odata.nextLink"] = fmt::format("{}{}{}$skiptoken={}", switches_.next_to.value_or(url()), base,
                                         base.find('?') == std::string::npos ? '?' : '&', from + size);
  }
  return json_answer(out.dump());
}

// Delta queries

void EntraSimulator::add_pieces(std::vector<json>& to, const json& head, const std::vector<json>& members) const {
  if (members.empty()) return to.push_back(head);
  for (std::size_t at = 0; at < members.size(); at += switches_.members_piece) {
    json piece = head;
    piece["members@delta"] = json::array();
    for (auto one = at; one < std::min(members.size(), at + switches_.members_piece); ++one) piece["members@delta"].push_back(members[one]);
    to.push_back(std::move(piece));
  }
}

std::vector<json> EntraSimulator::everything(Kind kind, const std::string& select) const {
  std::vector<json> out;
  if (kind == Kind::User) {
    for (const auto& [id, user] : users_) out.push_back(*shown(kind, id, select, true));
    return out;
  }
  for (const auto& [id, group] : groups_) {
    std::vector<json> members;
    const bool hidden = group.visibility == "HiddenMembership" && !may("Member.Read.Hidden");
    if (selects(select, "members") && !hidden)
      for (const auto& [member, member_kind] : group.members) members.push_back(odata_member(member, member_kind));
    add_pieces(out, *shown(kind, id, select, true), members);
  }
  // The pieces of one group do not stand together.
  std::stable_sort(out.begin(), out.end(), [](const json& a, const json& b) {
    return a.value("members@delta", json::array()).size() > b.value("members@delta", json::array()).size();
  });
  return out;
}

std::vector<json> EntraSimulator::since(Kind kind, std::size_t from, const std::string& select) const {
  std::vector<json> out;
  std::map<std::string, std::map<std::string, json>> members;
  std::map<std::string, std::set<std::string>> changed;
  std::map<std::string, std::string> removed;
  for (std::size_t at = from; at < log_.size(); ++at) {
    const auto& change = log_[at];
    if (change.kind != kind) continue;
    // A replay brings what has been overtaken, too.
    if (!switches_.replays) removed.erase(change.id);
    if (!change.removed.empty()) {
      removed[change.id] = change.removed;
      if (!switches_.replays) changed.erase(change.id);
      continue;
    }
    auto& properties = changed[change.id];
    properties.insert(change.properties.begin(), change.properties.end());
    if (change.properties.empty()) properties.insert("*");
    if (change.member.empty()) continue;
    auto member = odata_member(change.member, change.member_kind);
    if (change.member_removed) member["@removed"] = {{"reason", "deleted"}};
    members[change.id][change.member + (switches_.replays ? fmt::format("#{}", at) : "")] = std::move(member);
  }
  for (const auto& [id, reason] : removed) out.push_back({{"id", id}, {"@removed", {{"reason", reason}}}});
  for (const auto& [id, properties] : changed) {
    auto object = shown(kind, id, select, true);
    if (!object) continue;
    if (switches_.minimal && !properties.contains("*"))
      for (auto at = object->begin(); at != object->end();)
        at = at.key() == "id" || properties.contains(at.key()) ? std::next(at) : object->erase(at);
    std::vector<json> entries;
    for (const auto& [member, entry] : members[id]) entries.push_back(entry);
    add_pieces(out, *object, entries);
  }
  return out;
}

HttpSaid EntraSimulator::delta(const HttpAsked& asked, Kind kind) {
  for (const auto* refused : {"$top", "$orderby", "$expand", "$search", "$count"})
    if (asked.query.contains(refused))
      return graph_error(400, "Request_UnsupportedQuery", fmt::format("{} is not supported by delta", refused));
  if (asked.query.contains("$filter")) return graph_error(400, "Request_UnsupportedQuery", "Delta supports filters by id only.");
  const auto skip = asked.parameter("$skiptoken");
  if (!skip.empty()) {
    const auto dot = skip.find('.');
    return delta_page(asked, skip.substr(0, dot), std::stoul(skip.substr(dot + 1)));
  }
  Walk walk;
  walk.kind = kind;
  const auto token = asked.parameter("$deltatoken");
  std::size_t from = 0;
  if (token.empty()) {
    walk.select = asked.parameter("$select");
    walk.objects = everything(kind, walk.select);
  } else if (token == "latest") {
    walk.select = asked.parameter("$select");
  } else {
    if (switches_.forgotten) {
      auto said = graph_error(switches_.forgotten_status, "syncStateNotFound", "The sync state generation is not found.");
      if (switches_.forgotten_status == 410) said.headers.emplace_back("Location", url() + asked.path + "?$deltatoken=");
      return said;
    }
    const auto dot = token.find('.');
    from = std::stoul(token.substr(0, dot));
    walk.select = token.substr(dot + 1);
    walk.objects = since(kind, switches_.replays ? from - std::min<std::size_t>(from, 4) : from, walk.select);
  }
  walk.delta_token = fmt::format("{}.{}", log_.size(), walk.select);
  if (switches_.shuffled) std::shuffle(walk.objects.begin(), walk.objects.end(), random_);
  if (switches_.repeats)
    for (std::size_t at = switches_.page; at < walk.objects.size(); at += switches_.page + 1)
      walk.objects.insert(walk.objects.begin() + static_cast<std::ptrdiff_t>(at), walk.objects[at - 1]);
  const auto name = fmt::format("w{}", walks_.size());
  walks_[name] = std::move(walk);
  return delta_page(asked, name, 0);
}

HttpSaid EntraSimulator::delta_page(const HttpAsked& asked, const std::string& name, std::size_t step) {
  const auto found = walks_.find(name);
  if (found == walks_.end()) return graph_error(400, "Directory_ExpiredPageToken", "The specified page token value has expired.");
  const auto& walk = found->second;
  const auto number = switches_.empty_pages ? step / 2 : step;
  const bool is_empty = switches_.empty_pages && step % 2 == 0;
  const auto from = number * switches_.page;
  json out = {{"@odata.context", url() + "/v1.0/$metadata"}, {"value", json::array()}};
  if (!is_empty)
    for (auto at = from; at < std::min(walk.objects.size(), from + switches_.page); ++at) out["value"].push_back(walk.objects[at]);
  const auto base = switches_.next_to.value_or(url()) + asked.path;
  if (is_empty || from + switches_.page < walk.objects.size())
    out["@odata.nextLink"] = fmt::format("{}?$skiptoken={}.{}", base, name, step + 1);
  else if (!switches_.omits_delta_link)
    out["@odata.deltaLink"] = fmt::format("{}?$deltatoken={}", base, walk.delta_token);
  return json_answer(out.dump());
}

}  // namespace rosterd::test
