#include "connectors/oidc/keycloak/reader.hpp"

#include "connectors/oidc/dialect.hpp"

namespace rosterd::connectors::oidc::keycloak {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kBatch = 1000;

Result<void> told_to_stop() { return fail(Errc::Stopped, "told to stop"); }

}  // namespace

Result<void> Delivery::user(const Json& item, bool& federated) {
  const auto parsed = parse_user(item);
  federated |= parsed.federated;
  something = true;
  if (parsed.trouble.empty()) return sink.user(parsed.record) ? Result<void>() : told_to_stop();
  const SkippedRecord skipped{.type = PrincipalType::User,
                              .id = parsed.record.id,
                              .entry = parsed.record.entry,
                              .reason = parsed.record.entry + " " + parsed.trouble};
  return sink.skipped(skipped) ? Result<void>() : told_to_stop();
}

Result<void> deliver_group(Api& api, const Realm& realm, const Group& group, const std::vector<std::string>& below,
                           const std::function<bool(const Json&)>& skip_member, Delivery& delivery) {
  if (group.name.empty()) {
    delivery.something = true;
    const SkippedRecord skipped{
        .type = PrincipalType::Group, .id = {group.id}, .entry = group.path, .reason = "groups/" + group.id + " has no name"};
    return delivery.sink.skipped(skipped) ? Result<void>() : told_to_stop();
  }
  bool open = false;
  std::vector<Reference> batch;
  const auto flush = [&]() -> Result<void> {
    if (!open && !delivery.sink.group(record_of(group))) return told_to_stop();
    open = delivery.something = true;
    if (!batch.empty() && !delivery.sink.members(batch)) return told_to_stop();
    batch.clear();
    return {};
  };
  const auto add = [&](Reference reference) -> Result<void> {
    batch.push_back(std::move(reference));
    return batch.size() < kBatch ? Result<void>() : flush();
  };
  Walk walk(api, realm.members(group.id), realm.page_size());
  auto walked =
      walk.run([&](const Json& item) -> Result<void> { return skip_member(item) ? Result<void>() : add(user_reference(id_of(item))); });
  if (walked && walk.without_id() > 0) walked = fail(Errc::Unavailable, "{} members of {} have no id", walk.without_id(), group.path);
  if (!walked) {
    const auto& error = walked.error();
    // What was read stays, and so does what is held: the list is not whole.
    if (open && error.code != Errc::Stopped && !delivery.sink.end_group(false)) return told_to_stop();
    return open && error.code == Errc::NotFound ? fail(Errc::Unavailable, "{} was deleted while it was read", group.path)
                                                : fail(error, "reading the members of {}", group.path);
  }
  for (const auto& id : below)
    if (auto ok = add(group_reference(id)); !ok) return ok;
  if (auto ok = flush(); !ok) return ok;
  return delivery.sink.end_group(true) ? Result<void>() : told_to_stop();
}

void FullRead::prove(std::string what, std::string trouble) {
  const bool good = trouble.empty();
  proof_.evidence.push_back({.what = std::move(what), .good = good, .detail = std::move(trouble)});
}

Result<FeedEnd> FullRead::run() {
  delivery_.sink.phase("reading users");
  if (auto ok = read_users(); !ok) return broken_off(ok.error(), delivery_.something, "reading users");
  if (realm_.with_groups()) {
    delivery_.sink.phase("reading groups");
    if (auto ok = read_groups(); !ok) return broken_off(ok.error(), delivery_.something, "reading groups");
  }
  if (auto ok = canary(); !ok) return fail(ok.error());
  FeedEnd end{.absence = KeepAbsent{}, .to = {}, .proof = std::move(proof_), .cursor_kind = "full", .learnt = {}};
  if (end.proof.complete()) end.absence = KeepOnly{};
  return end;
}

Result<void> FullRead::read_users() {
  const auto before = realm_.count_users(api_);
  if (!before) return fail(before.error());
  auto& walk = people_.emplace(api_, realm_.users(), realm_.page_size());
  const auto use = [&](const Json& item) { return delivery_.user(item, federated_); };
  if (auto ok = walk.run(use, *before); !ok) return fail(ok.error());
  std::string trouble;
  if (walk.seen() < *before) {
    const auto after = realm_.count_users(api_);
    if (!after) return fail(after.error());
    if (walk.seen() < std::min(*before, *after)) {
      // S8: a second walk that finds the same people outweighs a number.
      const auto first = walk.seen();
      if (auto ok = walk.run(use, *after); !ok) return fail(ok.error());
      if (walk.fresh() > 0 || walk.seen() != first)
        trouble = fmt::format("the realm counts {} users, {} were seen in a first walk and {} in a second", *after, first, walk.seen());
    }
  }
  prove("users: every page was followed to its end");
  prove("users: as many were seen as the realm counts", std::move(trouble));
  prove("users: every one has an id", walk.without_id() == 0 ? "" : fmt::format("{} have none", walk.without_id()));
  return {};
}

Result<Tree> FullRead::proved_tree() {
  const auto counted = realm_.count_groups(api_);
  if (!counted) return fail(counted.error());
  auto tree = realm_.tree(api_);
  if (!tree) return tree;
  std::string trouble;
  if (const auto& count = *counted; count && tree->groups.size() < *count) {
    const auto again = realm_.tree(api_);
    if (!again) return again;
    if (tree->ids != again->ids)  // S8, as above
      trouble = fmt::format("the realm counts {} groups, {} were seen in a first walk and {} in a second", *count, tree->ids.size(),
                            again->ids.size());
  }
  prove("groups: every page was followed to its end, at every level");
  prove("groups: as many were seen as the realm counts", std::move(trouble));
  return tree;
}

Result<void> FullRead::read_groups() {
  const auto tree = proved_tree();
  if (!tree) return fail(tree.error());
  std::unordered_map<std::string, std::vector<std::string>> below;
  for (const auto& group : tree->groups)
    if (!group.parent.empty()) below[group.parent].push_back(group.id);
  // Users of clients are not synced, nor is who does not pass users.filter: no strangers whose names must be looked up.
  const auto skip = [&](const Json& member) {
    return !people_->knows(id_of(member)) && (realm_.filters_users() || is_named_like_service_account(member));
  };
  for (const auto& group : tree->groups) {
    const auto delivered = deliver_group(api_, realm_, group, below[group.id], skip, delivery_);
    // Deleted since it was listed: its absence is verified like any other.
    if (!delivered && delivered.error().code != Errc::NotFound) return delivered;
  }
  prove("groups: every member list was followed to its end");
  return {};
}

/// S3: the same identity still sees the realm.
Result<void> FullRead::canary() {
  const auto answer = api_.get(realm_.url());
  if (!answer && answer.error().code == Errc::Stopped) return fail(answer.error());
  std::string trouble;
  if (!answer)
    trouble = answer.error().what;
  else if (answer->status != 200)
    trouble = Api::refusal(*answer, realm_.url()).what;
  prove("the realm is still readable", std::move(trouble));
  return {};
}

}  // namespace rosterd::connectors::oidc::keycloak
