#pragma once
// The permission catalogue the daemon works with: a path of the configuration goes in, the catalogue comes out. What a catalogue is, and
// what of it may be replaced, is rbac's business (R13).

#include <memory>

#include "config/config.hpp"
#include "rbac/catalogue.hpp"

namespace rosterd {

/// That of the file `rbac.catalogue_file` names, else the built-in one. InvalidInput names the file and the line.
[[nodiscard]] Result<std::shared_ptr<const rbac::Catalogue>> load_catalogue(const config::Config& config);

}  // namespace rosterd
