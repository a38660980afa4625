#include "daemon/http/scim/filter.hpp"

#include <algorithm>

#include "daemon/http/json.hpp"
#include "schema/core/clock.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http::scim {
namespace {

using nlohmann::json;
using Op = Filter::Op;

constexpr int kMostNested = 32;
constexpr int kMostTerms = 256;

struct Word {
  std::string_view text;
  Op op;
};
constexpr Word kOperators[] = {{"eq", Op::Eq}, {"ne", Op::Ne}, {"co", Op::Co}, {"sw", Op::Sw}, {"ew", Op::Ew},
                               {"gt", Op::Gt}, {"ge", Op::Ge}, {"lt", Op::Lt}, {"le", Op::Le}, {"pr", Op::Pr}};

// or binds weaker than and; `not` stands before a group; a value path holds a filter of its own.
class Parser {
 public:
  explicit Parser(std::string_view text) : all_(text) {}

  Result<Filter> whole() {
    auto found = either();
    if (!found) return found;
    spaces();
    if (at_ != all_.size()) return wrong("something follows it");
    return found;
  }
  /// From a '[' that has been read to behind its ']'.
  Result<Filter> bracketed() {
    auto found = either();
    if (!found) return found;
    spaces();
    if (at_ >= all_.size() || all_[at_] != ']') return wrong("\"]\" is missing");
    ++at_;
    return found;
  }
  [[nodiscard]] std::size_t at() const { return at_; }
  void start(std::size_t at) { at_ = at; }

 private:
  struct Deeper {
    int& depth;
    explicit Deeper(int& counter) : depth(++counter) {}
    ~Deeper() { --depth; }
  };

  tl::unexpected<Error> wrong(std::string_view what) const {
    return fail_as("invalidFilter", Errc::InvalidInput, "the filter is not understood at character {}: {}", at_ + 1, what);
  }
  void spaces() {
    while (at_ < all_.size() && all_[at_] == ' ') ++at_;
  }
  bool keyword(std::string_view word) {
    spaces();
    if (!same_name(all_.substr(at_, word.size()), word)) return false;
    const auto after = at_ + word.size();
    if (after < all_.size() && all_[after] != ' ' && all_[after] != '(' && all_[after] != ')' && all_[after] != ']') return false;
    at_ = after;
    return true;
  }

  Result<Filter> either() {
    return chain("or", Op::Or, [this] { return both(); });
  }
  Result<Filter> both() {
    return chain("and", Op::And, [this] { return term(); });
  }

  template <class Next>
  Result<Filter> chain(std::string_view word, Op op, Next next) {
    const Deeper deeper(depth_);
    if (depth_ > 4 * kMostNested) return wrong("it is nested too deeply");
    auto first = next();
    if (!first) return first;
    Filter out = std::move(*first);
    bool is_chain = false;
    while (keyword(word)) {
      auto more = next();
      if (!more) return more;
      if (!is_chain) {
        Filter all;
        all.op = op;
        all.parts.push_back(std::move(out));
        out = std::move(all);
        is_chain = true;
      }
      out.parts.push_back(std::move(*more));
    }
    return out;
  }

  Result<Filter> group() {
    ++at_;
    auto inside = either();
    if (!inside) return inside;
    spaces();
    if (at_ >= all_.size() || all_[at_] != ')') return wrong("\")\" is missing");
    ++at_;
    return inside;
  }

  Result<Filter> term() {
    if (++terms_ > kMostTerms) return wrong("it has too many terms");
    spaces();
    if (at_ < all_.size() && all_[at_] == '(') return group();
    if (const auto before = at_; keyword("not")) {
      spaces();
      if (at_ < all_.size() && all_[at_] == '(') {
        auto inside = group();
        if (!inside) return inside;
        Filter out;
        out.op = Op::Not;
        out.parts.push_back(std::move(*inside));
        return out;
      }
      at_ = before;
    }
    const auto end = std::min(all_.find_first_of(" [()]", at_), all_.size());
    const auto name = all_.substr(at_, end - at_);
    if (name.empty()) return wrong("an attribute is missing");
    auto path = parse_path(name);
    if (!path || path->attribute.empty()) return wrong(fmt::format("\"{}\" is no attribute", name.substr(0, 100)));
    at_ = end;
    Filter out;
    out.path = std::move(*path);
    if (at_ < all_.size() && all_[at_] == '[') {
      ++at_;
      auto inside = bracketed();
      if (!inside) return inside;
      if (at_ < all_.size() && all_[at_] == '.') return within(std::move(out), std::move(*inside));
      out.op = Op::Within;
      out.parts.push_back(std::move(*inside));
      return out;
    }
    return compare(std::move(out));
  }

  /// `emails[type eq "work"].value eq "x"`, which Entra sends: both must hold of the same element.
  Result<Filter> within(Filter out, Filter inside) {
    ++at_;
    const auto end = std::min(all_.find_first_of(" [()]", at_), all_.size());
    auto sub = parse_path(all_.substr(at_, end - at_));
    if (!sub || !sub->urn.empty() || !sub->sub.empty()) return wrong("a sub-attribute is missing");
    at_ = end;
    Filter comparison;
    comparison.path = std::move(*sub);
    auto compared_with = compare(std::move(comparison));
    if (!compared_with) return compared_with;
    Filter both_hold;
    both_hold.op = Op::And;
    both_hold.parts.push_back(std::move(inside));
    both_hold.parts.push_back(std::move(*compared_with));
    out.op = Op::Within;
    out.parts.push_back(std::move(both_hold));
    return out;
  }

  Result<Filter> compare(Filter out) {
    spaces();
    for (const auto& one : kOperators) {
      if (!keyword(one.text)) continue;
      out.op = one.op;
      if (one.op == Op::Pr) return out;
      return compared(std::move(out));
    }
    return wrong("an operator is missing (eq ne co sw ew gt ge lt le pr)");
  }

  Result<Filter> compared(Filter out) {
    spaces();
    const auto start = at_;
    if (at_ < all_.size() && all_[at_] == '"') {
      for (++at_; at_ < all_.size() && all_[at_] != '"'; ++at_)
        if (all_[at_] == '\\') ++at_;
      if (at_ >= all_.size()) return wrong("a text does not end");
      ++at_;
    } else {
      at_ = std::min(all_.find_first_of(" )]", at_), all_.size());
    }
    const auto text = all_.substr(start, at_ - start);
    auto value = parse_json(text);
    if (!value && (same_name(text, "true") || same_name(text, "false"))) value = json(same_name(text, "true"));  // Entra: True
    if (!value || value->is_structured()) {
      at_ = start;
      return wrong("the value must be a text in quotes, a number, true, false or null");
    }
    const bool orders = out.op == Op::Gt || out.op == Op::Ge || out.op == Op::Lt || out.op == Op::Le;
    if (orders && (value->is_boolean() || value->is_null())) return wrong("what is true, false or null is neither greater nor less");
    const bool cuts = out.op == Op::Co || out.op == Op::Sw || out.op == Op::Ew;
    if (cuts && !value->is_string()) return wrong("co, sw and ew need a text");
    out.value = std::move(*value);
    return out;
  }

  std::string_view all_;
  std::size_t at_ = 0;
  int depth_ = 0, terms_ = 0;
};

bool is_present(const json& value) {
  if (value.is_null()) return false;
  if (value.is_string()) return !value.get_ref<const std::string&>().empty();
  return !value.is_structured() || !value.empty();
}

std::string as_text(const json& value, bool case_exact) {
  auto text = value.is_string() ? value.get<std::string>() : value.dump();
  return case_exact ? text : fold(text);
}

template <class T>
bool ordered(Op op, const T& a, const T& b) {
  switch (op) {
    case Op::Gt:
      return a > b;
    case Op::Ge:
      return a >= b;
    case Op::Lt:
      return a < b;
    case Op::Le:
      return a <= b;
    default:
      return a == b;
  }
}

bool compares(Op op, const json& have, const json& want, const Attribute* attribute) {
  if (have.is_boolean()) {
    if (want.is_boolean()) return op == Op::Eq && have == want;
    return want.is_string() && op == Op::Eq && same_name(want.get_ref<const std::string&>(), have.get<bool>() ? "true" : "false");
  }
  if (have.is_number() && want.is_number()) return ordered(op, have.get<double>(), want.get<double>());
  if (!have.is_string() || !want.is_string()) return false;
  if (attribute != nullptr && attribute->kind == Kind::DateTime) {
    const auto a = parse_rfc3339(have.get_ref<const std::string&>()), b = parse_rfc3339(want.get_ref<const std::string&>());
    if (a && b && op != Op::Co && op != Op::Sw && op != Op::Ew) return ordered(op, *a, *b);
  }
  const bool exact = attribute != nullptr && attribute->case_exact;
  const auto a = as_text(have, exact), b = as_text(want, exact);
  switch (op) {
    case Op::Co:
      return a.find(b) != std::string::npos;
    case Op::Sw:
      return a.starts_with(b);
    case Op::Ew:
      return a.ends_with(b);
    default:
      return ordered(op, a, b);
  }
}

/// All values a path leads to, lists taken apart; of a complex list without a sub-attribute its values (RFC 7644 §3.4.2.2).
void collect(const json& from, const std::string& sub, std::vector<const json*>& out) {
  if (from.is_array()) {
    for (const auto& one : from) collect(one, sub, out);
    return;
  }
  if (from.is_object()) {
    if (const auto* value = member(from, sub.empty() ? std::string_view("value") : std::string_view(sub))) collect(*value, {}, out);
    return;
  }
  if (sub.empty()) out.push_back(&from);
}

const json* top_value(const json& resource, const Path& path) {
  const auto* from = path.urn.empty() ? &resource : member(resource, path.urn);
  if (from == nullptr) return nullptr;
  return path.attribute.empty() ? from : member(*from, path.attribute);
}

bool compare_at(const Filter& filter, const json* top, const std::string& sub, const Attribute* attribute) {
  if (filter.op == Op::Pr) {
    if (top == nullptr) return false;
    if (sub.empty()) return is_present(*top);
    std::vector<const json*> found;
    collect(*top, sub, found);
    return std::any_of(found.begin(), found.end(), [](const json* one) { return is_present(*one); });
  }
  std::vector<const json*> found;
  if (top != nullptr) collect(*top, sub, found);
  const auto op = filter.op == Op::Ne ? Op::Eq : filter.op;
  const bool any = filter.value.is_null() ? found.empty() : std::any_of(found.begin(), found.end(), [&](const json* one) {
    return compares(op, *one, filter.value, attribute);
  });
  return filter.op == Op::Ne ? !any : any;
}

template <class Leaf>
bool walk(const Filter& filter, const Leaf& leaf) {
  switch (filter.op) {
    case Op::And:
      return std::all_of(filter.parts.begin(), filter.parts.end(), [&](const Filter& one) { return walk(one, leaf); });
    case Op::Or:
      return std::any_of(filter.parts.begin(), filter.parts.end(), [&](const Filter& one) { return walk(one, leaf); });
    case Op::Not:
      return !walk(filter.parts.front(), leaf);
    default:
      return leaf(filter);
  }
}

/// `emails.value` and `emails` are the same question.
const Attribute* compared_attribute(PrincipalType type, Path path) {
  const auto* top = find_top(type, path);
  if (top != nullptr && top->kind == Kind::Complex && path.sub.empty()) path.sub = "value";
  return find_attribute(type, path);
}

}  // namespace

Result<Filter> parse_filter(std::string_view text) { return Parser(text).whole(); }

Result<ValuePath> parse_value_path(std::string_view text) {
  const auto open = text.find('[');
  ValuePath out;
  auto path = parse_path(text.substr(0, open));
  if (!path) return tl::unexpected(path.error());
  out.path = std::move(*path);
  if (open == std::string_view::npos) {
    out.sub = std::move(out.path.sub);
    out.path.sub.clear();
    return out;
  }
  const auto bad = [&] { return fail_as("invalidPath", Errc::InvalidInput, "\"{}\" is no attribute path", text.substr(0, 200)); };
  if (!out.path.sub.empty() || out.path.attribute.empty()) return bad();
  Parser inside(text);
  inside.start(open + 1);
  auto filter = inside.bracketed();
  if (!filter) return tl::unexpected(filter.error());
  out.which = std::move(*filter);
  const auto rest = text.substr(inside.at());
  if (rest.empty()) return out;
  if (rest.front() != '.' || rest.size() < 2) return bad();
  const auto sub = parse_path(rest.substr(1));
  if (!sub || !sub->urn.empty() || !sub->sub.empty()) return bad();
  out.sub = sub->attribute;
  return out;
}

bool matches_element(const Filter& filter, PrincipalType type, const Path& list, const json& element) {
  return walk(filter, [&](const Filter& one) {
    if (one.op == Op::Within) return false;
    auto full = list;
    full.sub = one.path.attribute;
    const auto* top =
        element.is_object() ? member(element, one.path.attribute) : (same_name(one.path.attribute, "value") ? &element : nullptr);
    return compare_at(one, top, one.path.sub, find_attribute(type, full));
  });
}

bool matches(const Filter& filter, PrincipalType type, const json& resource) {
  return walk(filter, [&](const Filter& one) {
    const auto* top = top_value(resource, one.path);
    if (one.op != Op::Within) return compare_at(one, top, one.path.sub, compared_attribute(type, one.path));
    if (top == nullptr) return false;
    if (!top->is_array()) return matches_element(one.parts.front(), type, one.path, *top);
    return std::any_of(top->begin(), top->end(),
                       [&](const json& element) { return matches_element(one.parts.front(), type, one.path, element); });
  });
}

const json* must_equal(const Filter& filter, std::string_view name) {
  if (filter.op == Op::And) {
    for (const auto& one : filter.parts)
      if (const auto* found = must_equal(one, name)) return found;
    return nullptr;
  }
  const auto dot = name.find('.');
  const auto attribute = name.substr(0, dot), sub = dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
  if (filter.op != Op::Eq || !filter.path.urn.empty() || !filter.value.is_string()) return nullptr;
  return same_name(filter.path.attribute, attribute) && same_name(filter.path.sub, sub) ? &filter.value : nullptr;
}

const Filter* must_hold_within(const Filter& filter, std::string_view list) {
  if (filter.op == Op::And) {
    for (const auto& one : filter.parts)
      if (const auto* found = must_hold_within(one, list)) return found;
    return nullptr;
  }
  return filter.op == Op::Within && filter.path.urn.empty() && same_name(filter.path.attribute, list) ? &filter.parts.front() : nullptr;
}

bool speaks_of(const Filter& filter, std::string_view attribute) {
  if (filter.parts.empty() || filter.op == Op::Within) return same_name(filter.path.attribute, attribute);
  return std::any_of(filter.parts.begin(), filter.parts.end(), [&](const Filter& one) { return speaks_of(one, attribute); });
}

json sort_key(PrincipalType type, const Path& path, const json& resource) {
  const auto* top = top_value(resource, path);
  if (top == nullptr) return nullptr;
  const json* chosen = top;
  if (top->is_array()) {  // the primary value, else the first
    if (top->empty()) return nullptr;
    chosen = &top->front();
    for (const auto& one : *top)
      if (one.is_object() && one.value("primary", false)) chosen = &one;
  }
  if (chosen->is_object()) chosen = member(*chosen, path.sub.empty() ? std::string_view("value") : std::string_view(path.sub));
  if (chosen == nullptr || chosen->is_structured()) return nullptr;
  const auto* attribute = compared_attribute(type, path);
  if (chosen->is_string()) return as_text(*chosen, attribute != nullptr && attribute->case_exact);
  return *chosen;
}

}  // namespace rosterd::http::scim
