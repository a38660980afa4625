#pragma once
// How a push begins: the tenant is locked, and whether it and the source take anything is known. Internal to scim_push.cpp.

#include "schema/core/text.hpp"
#include "schema/postgres/pool.hpp"
#include "schema/store/scim.hpp"

namespace rosterd::postgres {

class PushDoor {
 public:
  /// Locks the tenant and asks (Db::ask) what it and the source are like.
  void ask(Tenancy& inside, SourceId source) {
    inside.db.ask("SELECT enabled::int, epoch, revision, micros(now()) FROM tenant WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE",
                  {inside.number, inside.id.value}, [this, &inside](Row& row) {
                    is_there_ = true;
                    inside.enabled = row.flag();
                    revision.epoch = static_cast<std::uint32_t>(row.number());
                    revision.number = static_cast<std::uint64_t>(row.number());
                    now = row.time();
                  });
    inside.db.ask("SELECT name, type, enabled::int FROM source WHERE tenant_id = $1 AND source_id = $2", {inside.number, source},
                  [this](Row& row) {
                    name_ = row.text();
                    type_ = row.text();
                    source_enabled_ = row.flag();
                  });
  }
  /// The source's name, once the answers are there; throws where it is not there or takes nothing.
  [[nodiscard]] std::string open(const Tenancy& inside, SourceId source) const {
    if (!is_there_) abort_with("", Errc::NotFound, "no tenant {}", inside.id.value);
    if (type_ != kPushType) abort_with("", Errc::NotFound, "no source {} that is pushed to", text(source));
    if (!inside.enabled) abort_with("tenant_disabled", Errc::Forbidden, "the tenant is disabled");
    if (!source_enabled_) abort_with("source_disabled", Errc::Forbidden, "the source {} is disabled in rosterd", name_);
    return name_;
  }

  Revision revision;  ///< the tenant's, before
  TimePoint now{};    ///< the transaction's, as all times it writes

 private:
  bool is_there_ = false, source_enabled_ = false;
  std::string name_, type_;
};

}  // namespace rosterd::postgres
