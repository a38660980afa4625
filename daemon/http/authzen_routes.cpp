// AuthZEN's doormen: the snapshot of the call, the answer with its revision in headers, and the metadata (check-api.md §8).

#include "daemon/http/authzen.hpp"
#include "daemon/http/handlers.hpp"
#include "daemon/http/problem.hpp"
#include "daemon/http/render.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http {
namespace {

using Answerer = Result<std::string> (*)(const authzen::Ground& ground, std::string_view body);

Result<Reply> answered(Call& call, Answerer answerer) {
  const auto taken = call.snapshot();
  if (!taken) return fail(taken.error());
  auto body = answerer({.snapshot = **taken,
                        .catalogue = *call.app.services.catalogue,
                        .at = call.app.services.clock.now(),
                        .pepper = call.app.services.token_pepper,
                        .decided = [&](rbac::Reason reason) { call.app.metrics.check(reason); }},
                       call.request.body);
  if (!body) return fail(body.error());
  return decided(call, std::move(*body));
}

}  // namespace

Result<Reply> authzen_evaluation(Call& call) { return answered(call, authzen::evaluation); }
Result<Reply> authzen_evaluations(Call& call) { return answered(call, authzen::evaluations); }
Result<Reply> authzen_subjects(Call& call) { return answered(call, authzen::subject_search); }
Result<Reply> authzen_resources(Call& call) { return answered(call, authzen::resource_search); }
Result<Reply> authzen_actions(Call& call) { return answered(call, authzen::action_search); }

/// The same for every tenant that could exist: it says nothing about which do (R4).
Result<Reply> authzen_metadata(Call& call) {
  const auto tenant = call.param("t");
  if (!is_slug(tenant)) return fail(no_such_tenant());
  const auto& url = call.app.options.public_url;
  if (url.empty()) return fail(Errc::NotFound, "rosterd does not know under which address it is reached: server.public_url is not set");
  const auto base = fmt::format("{}/t/{}", url, tenant);
  auto reply = ok({{"policy_decision_point", base},
                   {"access_evaluation_endpoint", base + "/access/v1/evaluation"},
                   {"access_evaluations_endpoint", base + "/access/v1/evaluations"},
                   {"search_subject_endpoint", base + "/access/v1/search/subject"},
                   {"search_resource_endpoint", base + "/access/v1/search/resource"},
                   {"search_action_endpoint", base + "/access/v1/search/action"}});
  reply.headers.emplace_back("Cache-Control", "public, max-age=3600");
  return reply;
}

}  // namespace rosterd::http
