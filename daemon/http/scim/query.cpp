#include "daemon/http/scim/query.hpp"

#include <algorithm>
#include <charconv>

#include "daemon/http/json.hpp"
#include "daemon/http/scim/pusher.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http::scim {
namespace {

using nlohmann::json;

constexpr std::uint32_t kChunk = 1000;        // resources looked at in one go
constexpr std::size_t kMostSorted = 200'000;  // beyond, sorting would hold too much memory for one request

tl::unexpected<Error> refuse(std::string_view slug, std::string_view what) { return fail_as(slug, Errc::InvalidInput, "{}", what); }

Result<Path> sort_path(std::string_view text) {
  auto path = parse_path(text);
  if (!path || path->attribute.empty()) return refuse("invalidPath", fmt::format("sortBy: \"{}\" is no attribute", text.substr(0, 100)));
  return path;
}

Result<void> finish(Query& query, std::string_view order) {
  if (!query.filter_text.empty()) {
    auto filter = parse_filter(query.filter_text);
    if (!filter) return tl::unexpected(filter.error());
    query.filter = std::move(*filter);
  }
  if (!order.empty() && !same_name(order, "ascending") && !same_name(order, "descending"))
    return refuse("invalidValue", "sortOrder must be ascending or descending");
  query.descending = same_name(order, "descending");
  query.count = std::min(query.count, kMostPage);
  return {};
}

/// Numbers out of range are taken for the nearest that is in it (RFC 7644 §3.4.2.4).
Result<std::size_t> number(std::string_view name, std::string_view text, long long least, std::string_view slug) {
  long long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return refuse(slug, fmt::format("{} must be a number", name));
  return static_cast<std::size_t>(std::max(value, least));
}

std::uint64_t fingerprint(const Query& query, const std::vector<PrincipalType>& types) {
  std::uint64_t hash = 1469598103934665603ULL;
  const auto add = [&](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    hash = (hash ^ 0xFF) * 1099511628211ULL;
  };
  for (const auto type : types) add(schema_of(type));
  add(query.filter_text);
  if (query.sort_by) add(query.sort_by->urn + ":" + query.sort_by->attribute + "." + query.sort_by->sub + (query.descending ? "-" : "+"));
  return hash;
}

/// Where a page by cursor begins: behind an id, or at a place of a sorted list.
struct Place {
  PrincipalId after;
  std::size_t offset = 0;
};
Result<Place> place_of(const std::string& text, std::uint64_t print) {
  Place out;
  if (text.empty()) return out;
  const auto bad = [] { return refuse("invalidCursor", "the cursor is not one that this list has given out"); };
  const auto dot = text.find('.');
  std::uint64_t value = 0, given = 0;
  if (dot == std::string::npos || dot < 2 || (text[0] != 'i' && text[0] != 'o')) return bad();
  const auto* begin = text.data();
  if (const auto [end, error] = std::from_chars(begin + 1, begin + dot, value); error != std::errc{} || end != begin + dot) return bad();
  if (const auto [end, error] = std::from_chars(begin + dot + 1, begin + text.size(), given, 16);
      error != std::errc{} || end != begin + text.size() || given != print || value > INT64_MAX)
    return bad();
  if (text[0] == 'i')
    out.after = PrincipalId{value};
  else
    out.offset = static_cast<std::size_t>(value);
  return out;
}
std::string cursor_text(char kind, std::uint64_t value, std::uint64_t print) { return fmt::format("{}{}.{:x}", kind, value, print); }

/// What an index finds of a filter; the filter itself decides.
PushedQuery narrowed(const Query& query, PrincipalType type) {
  PushedQuery out;
  out.type = type;
  if (!query.filter) return out;
  const auto& filter = *query.filter;
  const auto text_of = [](const json* value) { return value != nullptr ? std::optional(value->get<std::string>()) : std::nullopt; };
  if (const auto id = text_of(must_equal(filter, "id"))) out.id = parse_principal_id(type, *id).value_or(PrincipalId{});
  if (const auto name = text_of(must_equal(filter, type == PrincipalType::User ? "userName" : "displayName"))) out.name_key = fold(*name);
  out.external_id = text_of(must_equal(filter, "externalId"));
  if (type == PrincipalType::User) {
    const auto* email = must_hold_within(filter, "emails");
    const auto kind = email != nullptr ? text_of(must_equal(*email, "type")) : std::nullopt;
    const auto value = email != nullptr ? text_of(must_equal(*email, "value")) : std::nullopt;
    if (kind && same_name(*kind, "work") && value && value->size() < 1000 && !value->empty()) out.work_email = fold(*value);
  } else {
    auto member_id = text_of(must_equal(filter, "members.value"));
    if (!member_id) member_id = text_of(must_equal(filter, "members"));
    if (!member_id)
      if (const auto* within = must_hold_within(filter, "members")) member_id = text_of(must_equal(*within, "value"));
    if (member_id) {
      const auto user = parse_principal_id(PrincipalType::User, *member_id);
      const auto group = parse_principal_id(PrincipalType::Group, *member_id);
      out.member = user ? *user : group.value_or(PrincipalId{});
    }
  }
  return out;
}

class Walk {
 public:
  Walk(Call& call, const Query& query, const std::vector<PrincipalType>& types)
      : call_(call), query_(query), types_(types), base_(base_of(call)), source_(call.pusher->pusher.source) {}

  Result<json> answer() {
    const auto print = fingerprint(query_, types_);
    Place place;
    if (const auto& cursor = query_.cursor) {
      auto found = place_of(*cursor, print);
      if (!found) return tl::unexpected(found.error());
      place = *found;
    }
    const bool simple = types_.size() == 1 && !query_.sort_by;
    if (query_.cursor && simple) return by_id(place, print);
    const auto skip = query_.cursor ? place.offset : query_.start - 1;
    if (simple && !query_.filter) return by_index(skip);
    return query_.sort_by ? sorted(skip, print) : scanned(skip, print);
  }

 private:
  [[nodiscard]] bool shows_members() const {
    return query_.wanted.wants("members") || (query_.filter && speaks_of(*query_.filter, "members"), false);
  }
  Result<std::vector<json>> resources(const std::vector<Pushed>& all, bool members, bool with_groups) {
    std::vector<json> out;
    std::vector<PrincipalId> groups;
    for (const auto& one : all) {
      out.push_back(to_resource(base_, one));
      if (one.type == PrincipalType::User && with_groups) {  // dear: who wants them of all reads the groups
        const auto found = call_.store().pushed(call_.tenant, source_, groups_of(one.id));
        if (!found) return tl::unexpected(found.error());
        add_groups(out.back(), base_, *found);
      }
      if (one.type == PrincipalType::Group) groups.push_back(one.id);
    }
    if (!members || groups.empty()) return out;
    auto found = call_.store().pushed_members(call_.tenant, source_, groups);
    if (!found) return tl::unexpected(found.error());
    auto at = found->begin();
    for (std::size_t i = 0; i < all.size(); ++i) {  // both are in the order of the groups' ids
      if (all[i].type != PrincipalType::Group) continue;
      while (at != found->end() && at->group < all[i].id) ++at;
      const auto begin = at;
      while (at != found->end() && at->group == all[i].id) ++at;
      add_members(out[i], base_, {begin, at});
    }
    return out;
  }

  /// Every resource that the filter takes, in order of type and id; `use` gives false to stop.
  Result<void> each(PrincipalId after, const std::function<bool(const Pushed&, json&&)>& use) {
    for (const auto type : types_) {
      auto where = narrowed(query_, type);
      if ((where.id && !*where.id) || (where.member && !*where.member)) continue;
      where.after = after;
      where.limit = kChunk;
      while (true) {
        auto chunk = call_.store().pushed(call_.tenant, source_, where);
        if (!chunk) return tl::unexpected(chunk.error());
        auto found = resources(*chunk, query_.filter && speaks_of(*query_.filter, "members"), false);
        if (!found) return tl::unexpected(found.error());
        for (std::size_t i = 0; i < chunk->size(); ++i) {
          if (query_.filter && !matches(*query_.filter, type, (*found)[i])) continue;
          if (!use((*chunk)[i], std::move((*found)[i]))) return {};
        }
        if (chunk->size() < kChunk) break;
        where.after = chunk->back().id;
      }
    }
    return {};
  }

  Result<json> page(std::vector<Pushed> chosen, std::optional<std::size_t> total, std::size_t skip, const std::string& next) {
    // Members are read for what is shown only; a page in another order is put back into it afterwards.
    std::vector<std::size_t> order(chosen.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return chosen[a].id < chosen[b].id; });
    std::vector<Pushed> by_id;
    for (const auto i : order) by_id.push_back(std::move(chosen[i]));
    auto found = resources(by_id, query_.wanted.wants("members"), query_.wanted.asks_for("groups"));
    if (!found) return tl::unexpected(found.error());
    std::vector<json> items(by_id.size());
    for (std::size_t i = 0; i < order.size(); ++i) items[order[i]] = cut(std::move((*found)[i]), query_.wanted);
    json out{{"schemas", {kListResponse}}, {"itemsPerPage", items.size()}, {"Resources", std::move(items)}};
    if (total) out["totalResults"] = *total;
    if (!query_.cursor) out["startIndex"] = skip + 1;
    if (!next.empty()) out["nextCursor"] = next;
    return out;
  }

  Result<json> by_index(std::size_t skip) {
    const auto total = call_.store().count_pushed(call_.tenant, source_, types_.front());
    if (!total) return tl::unexpected(total.error());
    std::vector<Pushed> chosen;
    if (query_.count > 0 && skip < *total) {
      PushedQuery where;
      where.type = types_.front();
      where.skip = skip;
      where.limit = static_cast<std::uint32_t>(query_.count);
      auto found = call_.store().pushed(call_.tenant, source_, where);
      if (!found) return tl::unexpected(found.error());
      chosen = std::move(*found);
    }
    return page(std::move(chosen), *total, skip, {});
  }

  Result<json> by_id(const Place& place, std::uint64_t print) {
    std::vector<Pushed> chosen;
    bool more = false;
    const auto walked = each(place.after, [&](const Pushed& one, json&&) {
      more = chosen.size() == query_.count;
      if (!more) chosen.push_back(one);
      return !more;
    });
    if (!walked) return tl::unexpected(walked.error());
    const auto next = more && !chosen.empty() ? cursor_text('i', chosen.back().id.value, print) : std::string();
    return page(std::move(chosen), std::nullopt, 0, next);
  }

  Result<json> scanned(std::size_t skip, std::uint64_t print) {
    std::vector<Pushed> chosen;
    std::size_t total = 0;
    const auto walked = each({}, [&](const Pushed& one, json&&) {
      if (total >= skip && chosen.size() < query_.count) chosen.push_back(one);
      ++total;
      return true;
    });
    if (!walked) return tl::unexpected(walked.error());
    return page(std::move(chosen), total, skip, next_offset(skip, total, print));
  }

  Result<json> sorted(std::size_t skip, std::uint64_t print) {
    struct Key {
      json value;
      PrincipalType type;
      PrincipalId id;
    };
    std::vector<Key> keys;
    bool too_many = false;
    const auto walked = each({}, [&](const Pushed& one, json&& resource) {
      keys.push_back({.value = sort_key(one.type, *query_.sort_by, resource), .type = one.type, .id = one.id});
      too_many = keys.size() > kMostSorted;
      return !too_many;
    });
    if (!walked) return tl::unexpected(walked.error());
    if (too_many)
      return refuse(
          "tooMany",
          fmt::format("more than {} resources would have to be sorted: narrow the filter, or page by cursor without sortBy", kMostSorted));
    std::stable_sort(keys.begin(), keys.end(), [&](const Key& a, const Key& b) {
      // Without a value: last when ascending, first when descending (RFC 7644 §3.4.2.3).
      if (a.value.is_null() || b.value.is_null()) {
        if (a.value.is_null() && b.value.is_null()) return false;
        return query_.descending ? a.value.is_null() : b.value.is_null();
      }
      return query_.descending ? b.value < a.value : a.value < b.value;
    });
    std::vector<Pushed> chosen;
    const auto from = std::min(skip, keys.size()), to = std::min(from + query_.count, keys.size());
    std::map<PrincipalId, Pushed> found;
    for (const auto type : types_) {
      PushedQuery where;
      where.type = type;
      where.limit = kMostPage;
      for (auto i = from; i < to; ++i)
        if (keys[i].type == type) where.among.push_back(keys[i].id);
      if (where.among.empty()) continue;
      auto some = call_.store().pushed(call_.tenant, source_, where);
      if (!some) return tl::unexpected(some.error());
      for (auto& one : *some) found.emplace(one.id, std::move(one));
    }
    for (auto i = from; i < to; ++i)
      if (const auto one = found.find(keys[i].id); one != found.end()) chosen.push_back(one->second);
    return page(std::move(chosen), keys.size(), skip, next_offset(skip, keys.size(), print));
  }

  [[nodiscard]] std::string next_offset(std::size_t skip, std::size_t total, std::uint64_t print) const {
    const auto end = skip + query_.count;
    return query_.cursor && query_.count > 0 && end < total ? cursor_text('o', end, print) : std::string();
  }

  Call& call_;
  const Query& query_;
  const std::vector<PrincipalType>& types_;
  std::string base_;
  SourceId source_;
};

}  // namespace

std::string base_of(const Call& call) {
  auto base = call.app.options.public_url;
  while (base.ends_with('/')) base.pop_back();
  return fmt::format("{}/t/{}/scim/v2", base, call.tenant.value);
}

Result<Query> query_of_parameters(const Call& call) {
  Query out;
  // Parameter names are told apart without regard to case, as attribute names are: providers differ.
  const auto find = [&](std::string_view name) -> const std::string* {
    for (const auto& [key, value] : call.target.query)
      if (same_name(key, name)) return &value;
    return nullptr;
  };
  const auto text = [&](std::string_view name) { return find(name) != nullptr ? *find(name) : std::string(); };
  out.filter_text = text("filter");
  auto wanted = parse_wanted(text("attributes"), text("excludedAttributes"));
  if (!wanted) return tl::unexpected(wanted.error());
  out.wanted = std::move(*wanted);
  if (const auto by = text("sortBy"); !by.empty()) {
    auto path = sort_path(by);
    if (!path) return tl::unexpected(path.error());
    out.sort_by = std::move(*path);
  }
  if (const auto* cursor = find("cursor")) out.cursor = *cursor;
  if (const auto given = text("startIndex"); !given.empty()) {
    if (out.cursor) return refuse("invalidCursor", "cursor and startIndex cannot be given together");
    const auto start = number("startIndex", given, 1, "invalidValue");
    if (!start) return tl::unexpected(start.error());
    out.start = *start;
  }
  if (const auto given = text("count"); !given.empty()) {
    const auto count = number("count", given, 0, out.cursor ? "invalidCount" : "invalidValue");
    if (!count) return tl::unexpected(count.error());
    out.count = *count;
  }
  if (const auto good = finish(out, text("sortOrder")); !good) return tl::unexpected(good.error());
  return out;
}

Result<Query> query_of_body(const Call& call) {
  auto body = parse_json(call.request.body);
  if (!body) return tl::unexpected(body.error());
  if (!body->is_object()) return refuse("invalidSyntax", "a search must be a JSON object");
  Query out;
  const auto text = [&](std::string_view name) {
    const auto* value = member(*body, name);
    return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
  };
  const auto names = [&](std::string_view name) {
    const auto* value = member(*body, name);
    if (value == nullptr || !value->is_array()) return text(name);
    std::string joined;
    for (const auto& one : *value)
      if (one.is_string()) joined += one.get<std::string>() + ",";
    return joined;
  };
  out.filter_text = text("filter");
  auto wanted = parse_wanted(names("attributes"), names("excludedAttributes"));
  if (!wanted) return tl::unexpected(wanted.error());
  out.wanted = std::move(*wanted);
  if (const auto by = text("sortBy"); !by.empty()) {
    auto path = sort_path(by);
    if (!path) return tl::unexpected(path.error());
    out.sort_by = std::move(*path);
  }
  if (const auto* cursor = member(*body, "cursor"); cursor != nullptr && cursor->is_string()) out.cursor = cursor->get<std::string>();
  const auto count = [&](std::string_view name, long long least, std::size_t& into) {
    if (const auto* value = member(*body, name); value != nullptr && value->is_number_integer())
      into = static_cast<std::size_t>(std::max(value->get<long long>(), least));
  };
  count("startIndex", 1, out.start);
  count("count", 0, out.count);
  if (const auto good = finish(out, text("sortOrder")); !good) return tl::unexpected(good.error());
  return out;
}

Result<json> answer(Call& call, const Query& query, const std::vector<PrincipalType>& types) { return Walk(call, query, types).answer(); }

}  // namespace rosterd::http::scim
