#include "daemon/http/handlers.hpp"
#include "daemon/http/openapi.hpp"
#include "daemon/http/problem.hpp"
#include "daemon/http/render.hpp"

namespace rosterd::http {

Result<Reply> healthz(Call&) { return Reply{.status = 200, .body = R"({"status":"ok"})"}; }

Result<Reply> readyz(Call& call) {
  if (!call.app.ready) return fail_as("not_ready", Errc::Unavailable, "rosterd is starting or stopping");
  if (const auto alive = call.store().ping(); !alive) return fail(alive.error(), "asking the database");
  return Reply{.status = 200, .body = R"({"status":"ready"})"};
}

Result<Reply> version(Call&) { return ok({{"name", "rosterd"}, {"version", ROSTERD_VERSION}, {"api", "v1"}}); }

Result<Reply> metrics(Call& call) {
  Reply out;
  out.content_type = "text/plain; version=0.0.4; charset=utf-8";
  out.body = call.app.metrics.expose(call.store(), call.app.services.snapshots, call.app.services.sync, call.app.services.clock.now(),
                                     call.super_admin());
  return out;
}

Result<Reply> openapi(Call&) { return Reply{.status = 200, .body = std::string(openapi_document())}; }

}  // namespace rosterd::http
