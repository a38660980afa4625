#include "cli/change.hpp"

#include <CLI/CLI.hpp>

#include "cli/words.hpp"

namespace rosterd::cli {

using nlohmann::json;

Try<int> told(Session& session, const Try<json>& answer, std::string_view sentence) {
  if (!answer) return fail(answer.error());
  if (session.json())
    session.print_json(*answer);
  else
    session.print_line(harmless(sentence));
  return kOk;
}

Try<void> sure(Session& session, bool yes, std::string_view what, std::string_view name) {
  if (yes) return {};
  return session.confirm(what, name);
}

Try<int> told_token(Session& session, const Try<json>& answer) {
  if (!answer) return fail(answer.error());
  if (session.json()) {
    session.print_json(*answer);
    return kOk;
  }
  session.print_line(text_at(*answer, "token"));
  const auto expires = text_at(*answer, "expires_at");
  session.note(fmt::format("Token {} is shown this once; it {}.", text_at(*answer, "id"),
                           expires.empty() ? "never expires" : "expires " + age_of(expires)));
  return kOk;
}

Try<int> told_tokens(Session& session, const Try<json>& answer) {
  if (!answer) return fail(answer.error());
  if (session.json()) {
    session.print_json(*answer);
    return kOk;
  }
  Table table({"TOKEN", "NAME", "ENDS IN", "CREATED", "LAST USED", "EXPIRES"});
  for (const auto& token : list_at(*answer, "items")) {
    const auto expires = text_at(token, "expires_at"), used = text_at(token, "last_used_at");
    table.row({text_at(token, "id"), text_at(token, "name"), text_at(token, "last4"), age_of(text_at(token, "created_at")),
               used.empty() ? "never" : age_of(used),
               expires.empty() ? "never" : age_of(expires) + (flag_at(token, "sliding") ? ", or later when used" : "")});
  }
  session.print(table, "No tokens.");
  return kOk;
}

json token_body(const TokenOptions& options) {
  json body = {{"name", options.name}};
  if (!options.description.empty()) body["description"] = options.description;
  if (!options.max_age.empty()) body["max_age"] = options.max_age;
  if (options.sliding) body["sliding"] = true;
  return body;
}

void add_token_options(CLI::App& command, TokenOptions& options) {
  command.add_option("name", options.name, "What it is for")->required()->type_name("");
  command.add_option("--description", options.description, "A sentence about it")->type_name("TEXT");
  command.add_option("--max-age", options.max_age, "How long it lives, such as 90d (default: for ever)")->type_name("DURATION");
  command.add_flag("--sliding", options.sliding, "Every use starts --max-age anew");
}

}  // namespace rosterd::cli
