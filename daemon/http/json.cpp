#include "daemon/http/json.hpp"

#include <set>

#include "schema/core/text.hpp"

namespace rosterd::http {
namespace {

using nlohmann::json;

/// Builds the document and stops at the first thing that is not allowed. The library's parser is iterative, so that depth is ours to limit.
class StrictBuilder : public nlohmann::json_sax<json> {
 public:
  json root;
  std::string trouble;

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool binary(binary_t&) override { return stop("binary values do not exist in JSON"); }
  bool string(string_t& value) override {
    if (value.find('\0') != std::string::npos) return stop("a text holds U+0000");
    return put(std::move(value));
  }
  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool key(string_t& name) override {
    if (name.find('\0') != std::string::npos) return stop("a member name holds U+0000");
    if (stack_.back()->contains(name)) return stop(fmt::format("the member \"{}\" is given twice", name));
    name_ = std::move(name);
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return stop(fmt::format("not JSON at byte {}", position));
  }

 private:
  bool stop(std::string why) {
    if (trouble.empty()) trouble = std::move(why);
    return false;
  }
  json* place(json value) {
    if (stack_.empty()) {
      root = std::move(value);
      return &root;
    }
    auto& parent = *stack_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    auto& slot = parent[name_];
    slot = std::move(value);
    return &slot;
  }
  bool put(json value) {
    place(std::move(value));
    return true;
  }
  bool open(json value) {
    if (stack_.size() >= kMaxDepth) return stop(fmt::format("nested deeper than {}", kMaxDepth));
    stack_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    stack_.pop_back();
    return true;
  }

  std::vector<json*> stack_;  // stable: a container is only appended to while its last child is closed
  std::string name_;
};

}  // namespace

Result<json> parse_json(std::string_view text) {
  StrictBuilder builder;
  if (!json::sax_parse(text, &builder)) return fail(Errc::InvalidInput, "the body is not acceptable: {}", builder.trouble);
  return std::move(builder.root);
}

std::string dump(const json& document) { return document.dump(-1, ' ', false, json::error_handler_t::replace); }

Result<Fields> Fields::of(std::string_view body) {
  if (body.empty()) return Fields(json::object());
  auto document = parse_json(body);
  if (!document) return fail(document.error());
  if (!document->is_object()) return fail(Errc::InvalidInput, "the body must be a JSON object");
  return Fields(std::move(*document));
}

const json* Fields::value(std::string_view name) {
  known_.emplace_back(name);
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::string> Fields::optional_text(std::string_view name, std::size_t most) {
  const auto* found = value(name);
  if (found == nullptr) return std::nullopt;
  if (!found->is_string()) {
    problem(name, "must be a text");
    return std::nullopt;
  }
  auto text = found->get<std::string>();
  if (text.empty())
    problem(name, "must not be empty");
  else if (text.size() > most)
    problem(name, fmt::format("must not be longer than {} bytes", most));
  else if (has_control_characters(text))
    problem(name, "must not hold control characters");
  else
    return text;
  return std::nullopt;
}

std::string Fields::text(std::string_view name, std::size_t most) {
  if (const auto found = object_.find(name); found == object_.end() || found->is_null()) problem(name, "is missing");
  return optional_text(name, most).value_or("");
}

std::optional<bool> Fields::flag(std::string_view name) {
  const auto* found = value(name);
  if (found == nullptr) return std::nullopt;
  if (found->is_boolean()) return found->get<bool>();
  problem(name, "must be true or false");
  return std::nullopt;
}

void Fields::problem(std::string_view path, std::string_view what) {
  problems_ += fmt::format("{}{}: {}", problems_.empty() ? "" : "; ", path, what);
}

void Fields::problems(const Error& error) { problems_ += (problems_.empty() ? "" : "; ") + error.what; }

Result<void> Fields::done() const {
  auto all = problems_;
  for (const auto& [name, value] : object_.items()) {
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    auto shown = name.substr(0, 64);
    if (!is_utf8(shown)) shown = "(a long name)";  // cut inside a character
    all += fmt::format("{}{}: unknown field (known: {})", all.empty() ? "" : "; ", shown, fmt::join(known_, ", "));
  }
  if (!all.empty()) return fail(Errc::InvalidInput, "{}", all);
  return {};
}

}  // namespace rosterd::http
