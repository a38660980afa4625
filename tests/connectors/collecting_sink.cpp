#include "tests/connectors/collecting_sink.hpp"

#include <stdexcept>

namespace rosterd::test {

using namespace connectors;

bool CollectingSink::user(const UserRecord& record) {
  users.push_back(record);
  return users.size() < stop_after;
}

bool CollectingSink::group(const GroupRecord& record) {
  if (open_) throw std::logic_error("a group was opened inside a group");
  open_ = true;
  groups.push_back({.record = record, .members = {}, .complete = false});
  return true;
}

bool CollectingSink::members(std::span<const Reference> members) {
  if (!open_) throw std::logic_error("members without a group");
  groups.back().members.insert(groups.back().members.end(), members.begin(), members.end());
  return true;
}

bool CollectingSink::end_group(bool complete) {
  if (!open_) throw std::logic_error("the end of no group");
  open_ = false;
  groups.back().complete = complete;
  return true;
}

bool CollectingSink::skipped(const SkippedRecord& record) {
  skips.push_back(record);
  return true;
}

const UserRecord& CollectingSink::find_user(std::string_view username) const {
  for (const auto& user : users)
    if (user.username == username) return user;
  throw std::runtime_error(fmt::format("no user {} was read", username));
}

const CollectedGroup& CollectingSink::find_group(std::string_view name) const {
  for (const auto& group : groups)
    if (group.record.name == name) return group;
  throw std::runtime_error(fmt::format("no group {} was read", name));
}

std::set<std::string> CollectingSink::members_of(std::string_view name) const {
  std::map<std::string, std::string> known;
  for (const auto& user : users)
    for (const auto& reference : user.references) known[reference] = user.username;
  for (const auto& group : groups)
    for (const auto& reference : group.record.references) known[reference] = group.record.name;
  const auto& group = find_group(name);
  std::set<std::string> out;
  for (const auto& member : group.members) out.insert(known.contains(member) ? known[member] : member);
  for (const auto& user : users)
    for (const auto& reference : user.member_of)
      if (std::find(group.record.references.begin(), group.record.references.end(), reference) != group.record.references.end())
        out.insert(user.username);
  return out;
}

ConnectorOptions test_options() {
  ConnectorOptions options;
  options.allowed_networks = {"127.0.0.0/8"};
  options.connect_timeout = std::chrono::milliseconds(5000);
  options.operation_timeout = std::chrono::milliseconds(20'000);
  return options;
}

std::unique_ptr<Connector> make_ldap(const std::string& json, const ConnectorOptions& options, const std::string& learnt) {
  const auto type = find_connector_type("ldap");
  if (!type) throw std::runtime_error(type.error().what);
  auto connector = (*type)->make({.json = json, .learnt = learnt}, options);
  if (!connector) throw std::runtime_error(connector.error().what);
  return std::move(*connector);
}

bool is_complete(const FeedEnd& end) { return std::holds_alternative<KeepOnly>(end.absence) && end.proof.complete(); }

std::string failed(const FeedEnd& end) {
  std::string out;
  for (const auto& evidence : end.proof.evidence)
    if (!evidence.good) out += fmt::format("{}: {}\n", evidence.what, evidence.detail);
  return out;
}

}  // namespace rosterd::test
