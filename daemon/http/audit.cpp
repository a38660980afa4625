#include <array>
#include <thread>

#include "daemon/http/handlers.hpp"
#include "daemon/http/identity.hpp"
#include "daemon/http/render.hpp"
#include "schema/core/text.hpp"

// The audit log: a page as JSON, or all that fits as JSON lines or CSV, sent while it is read.

namespace rosterd::http {
namespace {

using nlohmann::json;

constexpr std::uint32_t kPiece = 1'000;  // entries read at once while streaming: short transactions, little memory
constexpr auto kNoThread = std::chrono::milliseconds(20);

enum class Format { Json, JsonLines, Csv };

struct Ask {
  AuditFilter filter;
  Format format = Format::Json;
};

Result<std::optional<TimePoint>> time_of(Call& call, std::string_view name) {
  const auto* given = call.query(name);
  if (given == nullptr) return std::optional<TimePoint>();
  const auto at = parse_rfc3339(*given);
  if (!at) return fail(Errc::InvalidInput, "{}: must be a time like 2027-01-31T12:00:00Z", name);
  return std::optional(*at);
}

Result<Ask> parse_ask(Call& call) {
  Ask out;
  using Field = std::pair<std::string_view, std::string*>;
  for (const auto& [name, into] : {Field{"actor", &out.filter.actor}, Field{"type", &out.filter.type}, Field{"action", &out.filter.action},
                                   Field{"object", &out.filter.object}})
    if (const auto* given = call.query(name)) {
      // An empty filter that let everything through would be taken for one that found everything.
      if (given->empty() || given->size() > 300) return fail(Errc::InvalidInput, "{}: must have 1 to 300 characters", name);
      *into = *given;
    }
  const auto since = time_of(call, "since"), until = time_of(call, "until");
  if (!since) return fail(since.error());
  if (!until) return fail(until.error());
  out.filter.since = *since;
  out.filter.until = *until;
  if (const auto* format = call.query("format")) {
    if (*format == "jsonl")
      out.format = Format::JsonLines;
    else if (*format == "csv")
      out.format = Format::Csv;
    else if (*format != "json")
      return fail(Errc::InvalidInput, "format: must be json, jsonl or csv");
  }
  if (out.format != Format::Json)
    for (const auto* name : {"limit", "cursor"})
      if (call.query(name) != nullptr) return fail(Errc::InvalidInput, "{}: jsonl and csv give everything that fits; it is for json", name);
  return out;
}

/// RFC 4180. A cell that a spreadsheet would take for a formula gets an apostrophe, which is how one says "text" there.
void add_cell(std::string& out, std::string_view text) {
  const bool formula = !text.empty() && std::string_view("=+-@\t\r").find(text.front()) != std::string_view::npos;
  if (!formula && text.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += text;
    return;
  }
  out += '"';
  if (formula) out += '\'';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

constexpr std::string_view kHeader =
    "id,at,tenant,actor_type,actor_id,actor_name,by,ip,request_id,action,object_type,object_id,object_name,before,after,reason,run,"
    "revision\r\n";

void add_line(std::string& out, const AuditEntry& entry) {
  const std::array cells{text(entry),
                         rfc3339(entry.at),
                         entry.tenant ? entry.tenant->value : std::string(),
                         std::string(name_of(entry.actor.type)),
                         entry.actor.id,
                         entry.actor.name,
                         entry.by,
                         entry.ip,
                         entry.request_id,
                         entry.action,
                         entry.object_type,
                         entry.object_id,
                         entry.object_name,
                         entry.before,
                         entry.after,
                         entry.reason,
                         entry.run ? text(*entry.run) : std::string(),
                         entry.revision ? text(*entry.revision) : std::string()};
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) out += ',';
    add_cell(out, cells[i]);
  }
  out += "\r\n";
}

/// Pages of the log, one after the other, as long as somebody takes them and may have them.
class Export {
 public:
  Export(App& app, std::optional<TenantId> tenant, Ask ask, const TokenLookup& caller)
      : app_(app), tenant_(std::move(tenant)), ask_(std::move(ask)), caller_(caller.hash), session_(caller.session) {
    page_.limit = kPiece;
  }

  Result<bool> next(std::string& piece) {
    // Like every request that waits for the database, and no less patiently.
    const auto slot = app_.waiting.take();
    if (!slot) {
      std::this_thread::sleep_for(kNoThread);
      return true;
    }
    // A peer who reads slowly would otherwise read on for hours after his right has ended.
    if (begun_)
      if (const auto may = may_still(app_, caller_, session_, tenant_.value_or(TenantId{}), "AUDITLOG", "READ"); !may)
        return fail(may.error(), "exporting the audit log");
    const auto found = app_.services.store.audit(tenant_, ask_.filter, page_);
    if (!found) return fail(found.error(), "exporting the audit log");
    if (!begun_ && ask_.format == Format::Csv) piece += kHeader;
    begun_ = true;
    for (const auto& entry : found->items) {
      if (ask_.format == Format::Csv) {
        add_line(piece, entry);
      } else {
        piece += dump(to_json(entry));
        piece += '\n';
      }
    }
    page_.cursor = found->next;
    return !page_.cursor.empty();
  }

 private:
  App& app_;
  std::optional<TenantId> tenant_;
  Ask ask_;
  std::string caller_;  ///< the hash of his token
  bool session_;
  PageRequest page_;
  bool begun_ = false;
};

Result<Reply> audit_of(Call& call, const std::optional<TenantId>& tenant) {
  auto ask = parse_ask(call);
  if (!ask) return fail(ask.error());
  if (ask->format == Format::Json) {
    const auto page = call.page();
    if (!page) return fail(page.error());
    const auto found = call.store().audit(tenant, ask->filter, *page);
    if (!found) return fail(found.error());
    return ok(list(*found, [](const AuditEntry& entry) { return to_json(entry); }));
  }
  const auto caller = look_up_request(call.app, call.request);
  if (!caller) return fail(caller.error());
  Reply out;
  const bool csv = ask->format == Format::Csv;
  out.content_type = csv ? "text/csv; charset=utf-8; header=present" : "application/jsonl";
  out.headers.emplace_back("Content-Disposition", fmt::format("attachment; filename=\"audit{}{}.{}\"", tenant ? "-" : "",
                                                              tenant ? tenant->value : "", csv ? "csv" : "jsonl"));
  const auto pieces = std::make_shared<Export>(call.app, tenant, std::move(*ask), *caller);
  out.stream = [pieces](std::string& piece) { return pieces->next(piece); };
  return out;
}

}  // namespace

Result<Reply> tenant_audit(Call& call) { return audit_of(call, call.tenant); }
Result<Reply> instance_audit(Call& call) { return audit_of(call, std::nullopt); }

}  // namespace rosterd::http
