#include "connectors/oidc/jwt/strict_json.hpp"

#include "schema/core/text.hpp"

namespace rosterd::jwt {
namespace {

using nlohmann::json;

constexpr std::size_t kDeepest = 32;

class Builder : public nlohmann::json_sax<json> {
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
  bool start_array(std::size_t) override { return stack_.empty() ? stop("it is no object") : open(json::array()); }
  bool key(string_t& name) override {
    if (name.find('\0') != std::string::npos) return stop("a member name holds U+0000");
    if (stack_.back()->contains(name)) return stop("a member is given twice");
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
    if (stack_.empty()) return stop("it is no object");
    place(std::move(value));
    return true;
  }
  bool open(json value) {
    if (stack_.size() >= kDeepest) return stop("it is nested too deep");
    stack_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    stack_.pop_back();
    return true;
  }

  // A parent does not move while it is open: an array grows only at its end, while nothing inside it is open.
  std::vector<json*> stack_;
  std::string name_;
};

}  // namespace

Result<json> parse_object(std::string_view text) {
  if (!is_utf8(text)) return fail(Errc::InvalidInput, "it is not UTF-8");
  if (text.starts_with("\xef\xbb\xbf")) return fail(Errc::InvalidInput, "it begins with a byte order mark");  // RFC 8259 §8.1
  Builder builder;
  if (!json::sax_parse(text, &builder)) return fail(Errc::InvalidInput, "{}", builder.trouble.empty() ? "it is not JSON" : builder.trouble);
  return std::move(builder.root);
}

}  // namespace rosterd::jwt
