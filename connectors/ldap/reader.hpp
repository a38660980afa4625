#pragma once
// One full read: users, then groups, then the proof that nothing was left out (sync-rules S1-S3, S7). Streams in one search where the
// server allows it, in pages where it must; what was found out about that is handed back as `learnt`.

#include <unordered_set>

#include "connectors/connector.hpp"
#include "connectors/ldap/client.hpp"
#include "connectors/ldap/decode.hpp"

namespace rosterd::connectors::ldap {

/// What the root DSE says of the server (RFC 4512 §5.1).
struct RootDse {
  bool readable = false;
  std::string vendor;  ///< "OpenLDAP", "389 Project", "Active Directory"; empty when it does not say
  bool active_directory = false;
  bool paging = false;
  std::vector<std::string> naming_contexts;
};
[[nodiscard]] Result<RootDse> read_root_dse(Client& client);

/// How this server likes to be read, as JSON between runs.
struct Learnt {
  bool paging_required = false;
  std::uint32_t page_size = 0;  ///< 0 = as configured
};
/// `whose`: limits that were met on another server, or by another account, are none of ours.
[[nodiscard]] Learnt parse_learnt(std::string_view json, std::string_view whose);
[[nodiscard]] std::string to_text(const Learnt& learnt, std::string_view whose, std::string_view vendor);
/// The server and the account that these settings name.
[[nodiscard]] std::string whose_limits(const Settings& settings);

class FullRead {
 public:
  FullRead(Client& client, const Settings& settings, const ConnectorOptions& options, const Learnt& learnt, FeedSink& sink);
  [[nodiscard]] Result<FeedEnd> run();

 private:
  struct Job {
    std::string name;  ///< "users"
    const Part& part;
    const std::vector<std::string>& attributes;
    OnEntry on_entry;
  };
  void prove(std::string what, bool good, std::string detail = {});
  [[nodiscard]] Result<void> read_part(const Job& job);
  [[nodiscard]] Result<SearchEnd> read_paged(const Job& job, std::string& trouble);
  [[nodiscard]] Result<void> conclude(const Job& job, const Result<SearchEnd>& end, std::string trouble);
  [[nodiscard]] bool take_user(const Entry& entry);
  [[nodiscard]] Result<void> read_groups(const GroupPart& part);
  [[nodiscard]] bool take_group(GroupDecoder& groups, const Entry& entry);
  [[nodiscard]] bool skip(PrincipalType type, const ExternalId& id, const std::string& entry, const std::string& reason);
  [[nodiscard]] bool seen_before(const ExternalId& id);
  void note_cut(std::string_view attribute, const std::string& entry);
  void note_hidden(const GroupDecoder& groups);
  [[nodiscard]] Result<void> read_ranged_groups(GroupDecoder& groups);
  void canary(std::string_view name, const std::string& base);

  Client& client_;
  const Settings& settings_;
  const ConnectorOptions& options_;
  Learnt learnt_;
  FeedSink& sink_;
  RootDse server_;
  bool always_paged_ = false;
  bool paged_ = false;
  bool sink_stopped_ = false;
  std::uint64_t delivered_ = 0;
  UserDecoder users_;
  struct Ranged {
    std::string dn;
    MemberAttribute member;
  };
  std::vector<Ranged> ranged_;
  std::unordered_set<std::string> seen_;  ///< ids delivered by an attempt without pages, while it may still have to be repeated
  std::uint64_t without_id_ = 0;
  std::string first_without_id_;
  std::uint64_t hidden_ = 0;
  std::string first_hidden_;
  std::uint64_t cut_ = 0;  ///< entries without an attribute that every entry of their kind has
  std::string cut_attribute_, first_cut_;
  ReadProof proof_;
};

}  // namespace rosterd::connectors::ldap
