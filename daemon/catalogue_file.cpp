#include "daemon/catalogue_file.hpp"

#include <cerrno>
#include <fstream>
#include <string>
#include <system_error>

namespace rosterd {
namespace {

constexpr std::size_t kLargest = 1 << 20;  // 256 pairs fill a few kilobytes; a file of another kind is told before it is read whole

}  // namespace

Result<std::shared_ptr<const rbac::Catalogue>> load_catalogue(const config::Config& config) {
  const auto& file = config.rbac.catalogue_file;
  if (file.empty()) return rbac::Catalogue::built_in();
  std::ifstream in(file, std::ios::binary);
  std::string text(kLargest + 1, '\0');
  if (in) in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in && !in.eof())
    return fail(Errc::InvalidInput, "rbac.catalogue_file: reading {}: {}", file.string(), std::generic_category().message(errno));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kLargest) return fail(Errc::InvalidInput, "rbac.catalogue_file: {} is larger than a catalogue can be", file.string());
  auto catalogue = rbac::Catalogue::parse(text);
  if (!catalogue) return fail(catalogue.error(), "rbac.catalogue_file: {}", file.string());
  return catalogue;
}

}  // namespace rosterd
