#include "connectors/ldap/reader.hpp"

#include <nlohmann/json.hpp>

#include "connectors/ldap/dn.hpp"
#include "connectors/ldap/ranges.hpp"

namespace rosterd::connectors::ldap {
namespace {

constexpr std::string_view kPagedResults = "1.2.840.113556.1.4.319";     // RFC 2696
constexpr std::string_view kActiveDirectory = "1.2.840.113556.1.4.800";  // LDAP_CAP_ACTIVE_DIRECTORY_OID
constexpr std::size_t kRemembered =
    20'000;                         // ids kept for a repeat in pages; size limits beyond that are rare, and then ids come twice (S8)
constexpr int kEmptyPages = 1'000;  // a server that hands out empty pages for ever is given up
constexpr std::size_t kBatch = 256;

/// Limits under which the same search in pages may succeed: slapd's soft and hard size limits, AD's MaxPageSize, refusals without pages.
bool may_want_pages(int result) {
  return result == code::kSizeLimit || result == code::kAdminLimit || result == code::kTimeLimit || result == code::kUnwilling;
}

/// Results that end a part without making the whole read pointless.
bool is_limit(int result) {
  return result == code::kSizeLimit || result == code::kAdminLimit || result == code::kTimeLimit || result == code::kReferral;
}

bool holds(std::span<const std::string_view> values, std::string_view wanted) {
  return std::find(values.begin(), values.end(), wanted) != values.end();
}

}  // namespace

Result<RootDse> read_root_dse(Client& client) {
  RootDse out;
  const Search request{.base = "",
                       .scope = Scope::Base,
                       .attributes = {"vendorName", "supportedControl", "supportedCapabilities", "namingContexts", "objectClass"}};
  const auto end = client.search(request, [&out](const Entry& entry) {
    out.readable = true;
    if (const auto vendor = entry.find("vendorName"); !vendor.empty()) out.vendor = vendor.front();
    out.active_directory = holds(entry.find("supportedCapabilities"), kActiveDirectory);
    if (out.active_directory && out.vendor.empty()) out.vendor = "Active Directory";
    if (out.vendor.empty() && holds(entry.find("objectClass"), "OpenLDAProotDSE")) out.vendor = "OpenLDAP";
    out.paging = holds(entry.find("supportedControl"), kPagedResults);
    for (const auto context : entry.find("namingContexts")) out.naming_contexts.emplace_back(context);
    return true;
  });
  if (!end) return fail(end.error(), "reading the root DSE");
  return out;
}

Learnt parse_learnt(std::string_view text, std::string_view whose) {
  // What cannot be read teaches nothing; it is found out anew.
  const auto json = nlohmann::json::parse(text, nullptr, false);
  Learnt out;
  if (!json.is_object()) return out;
  // Limits are those of one server for one account. What does not say whose it is comes from a release that did not write it down.
  if (const auto of = json.find("of"); of != json.end() && *of != whose) return out;
  if (const auto paging = json.find("paging"); paging != json.end() && *paging == "required") out.paging_required = true;
  if (const auto size = json.find("page_size"); size != json.end() && size->is_number_unsigned() && *size <= 100'000) out.page_size = *size;
  return out;
}

std::string to_text(const Learnt& learnt, std::string_view whose, std::string_view vendor) {
  nlohmann::json json = {{"paging", learnt.paging_required ? "required" : "unneeded"}, {"of", whose}};
  if (learnt.page_size != 0) json["page_size"] = learnt.page_size;
  if (!vendor.empty()) json["server"] = vendor;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string whose_limits(const Settings& settings) {
  return fmt::format("{}:{} {}", settings.target.host, settings.target.port, normal_dn(settings.target.bind_dn));
}

FullRead::FullRead(Client& client, const Settings& settings, const ConnectorOptions& options, const Learnt& learnt, FeedSink& sink)
    : client_(client), settings_(settings), options_(options), learnt_(learnt), sink_(sink), users_(settings) {}

void FullRead::prove(std::string what, bool good, std::string detail) {
  proof_.evidence.push_back({.what = std::move(what), .good = good, .detail = std::move(detail)});
}

Result<FeedEnd> FullRead::run() {
  const auto server = read_root_dse(client_);
  if (!server) return fail(server.error());
  server_ = *server;
  // AD cuts every search without pages at MaxPageSize.
  always_paged_ = server_.active_directory || settings_.preset == Preset::ActiveDirectory;
  if (server_.readable && !server_.paging) learnt_ = {};  // it was another server, or another release of it, that wanted pages
  paged_ = always_paged_ || learnt_.paging_required;

  sink_.phase("reading users");
  if (auto ok = read_part({"users", settings_.users, users_.attributes(), [this](const Entry& entry) { return take_user(entry); }}); !ok)
    return fail(ok.error());
  if (const auto& part = settings_.groups) {
    if (client_.is_lost()) {
      prove("groups: the final result was success", false, "not read, the connection was lost before");
    } else if (auto ok = read_groups(*part); !ok) {
      return fail(ok.error());
    }
    prove("groups: no member list was hidden", hidden_ == 0,
          hidden_ == 0
              ? ""
              : fmt::format("{} groups show no members although their object class demands some, or is hidden too, first {}; the bind "
                            "account may not read them",
                            hidden_, first_hidden_));
  }
  prove("no attribute was hidden that tells who is a member or disabled", cut_ == 0,
        cut_ == 0
            ? ""
            : fmt::format("{} entries show no {} although every entry of their kind has one, first {}; the bind account may not read it",
                          cut_, cut_attribute_, first_cut_));
  prove("every entry has a usable stable id", without_id_ == 0,
        without_id_ == 0 ? ""
                         : fmt::format("{} entries have no usable {}, first {}", without_id_, settings_.id_attribute, first_without_id_));
  canary("users", settings_.users.base);
  if (settings_.groups) canary("groups", settings_.groups->base);

  FeedEnd end{.absence = KeepAbsent{}, .to = {}, .proof = std::move(proof_), .cursor_kind = "full", .learnt = {}};
  if (end.proof.complete()) {
    end.absence = KeepOnly{};
    end.learnt = to_text(learnt_, whose_limits(settings_), server_.vendor);
  }
  return end;
}

Result<void> FullRead::read_part(const Job& job) {
  seen_.clear();
  bool pages_refused = false;
  if (paged_) {
    std::string trouble;
    const auto end = read_paged(job, trouble);
    // Pages were learnt to be needed, but this server does not know them (RFC 2696 §3): it may have been upgraded or replaced.
    pages_refused = !always_paged_ && end && end->code == code::kUnavailableCriticalExtension && end->entries == 0;
    if (!pages_refused) return conclude(job, end, trouble);
    paged_ = false;
    learnt_ = {};
    sink_.phase(fmt::format("reading {} again, without pages", job.name));
  }
  const auto end = client_.search({.base = job.part.base, .scope = job.part.scope, .filter = job.part.filter, .attributes = job.attributes},
                                  job.on_entry);
  const bool again = !pages_refused && end && may_want_pages(end->code) && (server_.paging || !server_.readable);
  if (!again) return conclude(job, end, {});
  paged_ = true;
  learnt_.paging_required = true;
  sink_.phase(fmt::format("reading {} again, in pages", job.name));
  std::string trouble;
  const auto paged = read_paged(job, trouble);
  return conclude(job, paged, trouble);
}

Result<SearchEnd> FullRead::read_paged(const Job& job, std::string& trouble) {
  auto size = learnt_.page_size != 0 ? std::min(learnt_.page_size, options_.page_size) : options_.page_size;
  Search search{
      .base = job.part.base, .scope = job.part.scope, .filter = job.part.filter, .attributes = job.attributes, .page = Page{size, {}}};
  SearchEnd whole;
  int empty_pages = 0;
  for (;;) {
    auto page = client_.search(search, job.on_entry);
    if (!page) return page;
    // slapd: a page size above its size.pr is answered by 11 before the first entry.
    if (page->code == code::kAdminLimit && page->entries == 0 && whole.entries == 0 && size > 10) {
      size /= 10;
      learnt_.page_size = size;
      search.page->size = size;
      continue;
    }
    whole.entries += page->entries;
    whole.references += page->references;
    whole.code = page->code;
    whole.text = page->text;
    if (page->code != code::kSuccess) return whole;
    if (!page->paged) {
      trouble = "the answer to a paged search carried no paging control: whether more pages follow is unknown";
      return whole;
    }
    if (page->cookie.empty()) return whole;
    empty_pages = page->entries == 0 ? empty_pages + 1 : 0;
    if (empty_pages > kEmptyPages) {
      trouble = "the server hands out empty pages without end";
      return whole;
    }
    search.page->cookie = std::move(page->cookie);
  }
}

Result<void> FullRead::conclude(const Job& job, const Result<SearchEnd>& end, std::string trouble) {
  const auto what = fmt::format("{}: the final result was success", job.name);
  if (!end) {
    if (end.error().code == Errc::Stopped || sink_stopped_) return fail(Errc::Stopped, "reading {}: {}", job.name, end.error().what);
    if (delivered_ == 0) return fail(end.error(), "searching {} for {}", job.part.base, job.name);
    prove(what, false, fmt::format("searching {}: {}", job.part.base, end.error().what));
    return {};
  }
  const auto referral_only = end->code == code::kSuccess && end->entries == 0 && end->references > 0;
  if (end->code != code::kSuccess && delivered_ == 0 && !is_limit(end->code))
    return fail(end->code == code::kInvalidDn ? Errc::InvalidInput : Errc::Unavailable, "searching {} for {}: {}", job.part.base, job.name,
                in_words(end->code, end->text));
  if (end->code != code::kSuccess)
    prove(what, false, fmt::format("searching {}: {}", job.part.base, in_words(end->code, end->text)));
  else if (referral_only)
    prove(what, false, fmt::format("searching {}: the answer held nothing but references to other servers", job.part.base));
  else
    prove(what, true);
  prove(fmt::format("{}: every page was followed to its end", job.name), trouble.empty() && end->code == code::kSuccess,
        trouble.empty() && end->code != code::kSuccess ? "the search ended early" : trouble);
  return {};
}

bool FullRead::seen_before(const ExternalId& id) {
  if (!paged_) {
    if (seen_.size() < kRemembered) seen_.insert(id.value);
    return false;
  }
  return !seen_.empty() && seen_.contains(id.value);
}

bool FullRead::skip(PrincipalType type, const ExternalId& id, const std::string& entry, const std::string& reason) {
  sink_stopped_ = !sink_.skipped({.type = type, .id = id, .entry = entry, .reason = reason});
  return !sink_stopped_;
}

void FullRead::note_cut(std::string_view attribute, const std::string& entry) {
  if (attribute.empty() || cut_++ > 0) return;
  cut_attribute_ = attribute;
  first_cut_ = entry;
}

bool FullRead::take_user(const Entry& entry) {
  const auto decoded = users_.decode(entry);
  const auto& record = users_.record();
  switch (decoded) {
    case Decoded::NoId:
      if (without_id_++ == 0) first_without_id_ = record.entry;
      return true;
    case Decoded::Skipped:
      if (seen_before(record.id)) return true;
      note_cut(users_.hidden(), record.entry);
      return skip(PrincipalType::User, record.id, record.entry, users_.reason());
    case Decoded::Usable:
      break;
  }
  if (seen_before(record.id)) return true;
  note_cut(users_.hidden(), record.entry);
  ++delivered_;
  sink_stopped_ = !sink_.user(record);
  return !sink_stopped_;
}

Result<void> FullRead::read_groups(const GroupPart& part) {
  GroupDecoder groups(settings_);
  sink_.phase("reading groups");
  const auto take = [this, &groups](const Entry& entry) { return take_group(groups, entry); };
  if (auto ok = read_part({"groups", part, groups.attributes(), take}); !ok) return ok;
  return read_ranged_groups(groups);
}

bool FullRead::take_group(GroupDecoder& groups, const Entry& entry) {
  const auto decoded = groups.decode(entry);
  const auto& record = groups.record();
  switch (decoded) {
    case Decoded::NoId:
      if (without_id_++ == 0) first_without_id_ = record.entry;
      return true;
    case Decoded::Skipped:
      if (seen_before(record.id)) return true;
      return skip(PrincipalType::Group, record.id, record.entry, groups.reason());
    case Decoded::Usable:
      break;
  }
  if (seen_before(record.id)) return true;
  ++delivered_;
  if (groups.ranged() != nullptr) {
    // Read on when this search is over: a search in between may cost the paging cookie.
    ranged_.push_back({.dn = std::string(entry.dn), .member = *groups.ranged()});
    return true;
  }
  note_hidden(groups);
  const bool ok = sink_.group(record) &&
                  groups.each_members(entry, [this](std::span<const Reference> members) { return sink_.members(members); }) &&
                  sink_.end_group(groups.is_whole());
  sink_stopped_ = !ok;
  return ok;
}

/// Of the group that was decoded last.
void FullRead::note_hidden(const GroupDecoder& groups) {
  const auto& entry = groups.record().entry;
  note_cut(groups.hidden_number(), entry);
  if (groups.members_hidden() && hidden_++ == 0) first_hidden_ = entry;
}

Result<void> FullRead::read_ranged_groups(GroupDecoder& groups) {
  if (ranged_.empty()) return {};
  sink_.phase("reading large groups");
  std::uint64_t broken = 0;
  std::string first;
  std::vector<Reference> batch;
  for (const auto& [dn, member] : ranged_) {
    const auto read = client_.is_lost() ? Result<RangedRead>(fail(Errc::Unavailable, "the connection was lost before"))
                                        : read_ranges(client_, dn, member, groups);
    if (!read && read.error().code == Errc::Stopped) return fail(read.error(), "reading the members of {}", dn);
    if (!read || !read->whole) {
      // Its edges stay as they are held: the group is not delivered at all, and the read is not complete.
      if (broken++ == 0) first = fmt::format("{}: {}", dn, read ? read->trouble : read.error().what);
      continue;
    }
    note_hidden(groups);
    bool ok = sink_.group(groups.record());
    for (std::size_t at = 0; ok && at < read->members.size();) {
      batch.resize(std::min(kBatch, read->members.size() - at));
      for (auto& reference : batch) reference.assign(read->members.at(at++));
      ok = sink_.members(batch);
    }
    if (!ok || !sink_.end_group(groups.is_whole())) return fail(Errc::Stopped, "reading groups: the receiver wants no more");
  }
  prove("groups: every member range was read to its end", broken == 0,
        broken == 0 ? "" : fmt::format("{} groups could not be read whole, first {}", broken, first));
  return {};
}

/// S3: the same identity on the same connection still sees the base. Losing the right to read looks like deletion otherwise.
void FullRead::canary(std::string_view name, const std::string& base) {
  auto what = fmt::format("{}: the base is still readable", name);
  if (client_.is_lost()) return prove(std::move(what), false, "the connection was lost before");
  const auto end = client_.search({.base = base, .scope = Scope::Base, .attributes = {"1.1"}}, [](const Entry&) { return true; });
  if (!end) return prove(std::move(what), false, end.error().what);
  if (end->code != code::kSuccess) return prove(std::move(what), false, fmt::format("{}: {}", base, in_words(end->code, end->text)));
  prove(std::move(what), end->entries == 1, end->entries == 1 ? "" : fmt::format("{} can not be read any more", base));
}

}  // namespace rosterd::connectors::ldap
