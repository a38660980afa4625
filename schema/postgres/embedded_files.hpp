#pragma once
// What the embedded PostgreSQL needs on disk before it can start: programs, a data directory of the same version, its configuration, a
// folder for the socket, and nobody else at work in it.

#include <filesystem>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>

#include "schema/core/clock.hpp"
#include "schema/core/result.hpp"
#include "schema/postgres/child_process.hpp"

namespace rosterd::postgres {

inline constexpr std::string_view kSuperuser = "postgres";
inline constexpr std::string_view kOwnerRole = "rosterd_owner";
inline constexpr std::string_view kAppRole = "rosterd";
inline constexpr std::string_view kDatabase = "rosterd";
inline constexpr int kOldestMajor = 15;

struct Installation {
  std::filesystem::path bin_dir;
  int major = 0;
  std::string version;  ///< "postgres (PostgreSQL) 15.20 (Debian …)"
};

/// The user the server runs as: `name` when we are root, ourselves otherwise.
[[nodiscard]] Result<RunAs> user_for(const std::string& name);
/// The programs in `bin_dir`, or the newest of /usr/lib/postgresql when it is empty.
[[nodiscard]] Result<Installation> find_installation(const std::filesystem::path& bin_dir, const RunAs& as, std::stop_token stop);
/// Makes the folder (0700, of that user) and takes the lock of one daemon per folder; gives the locked descriptor.
[[nodiscard]] Result<int> claim_state_dir(const std::filesystem::path& dir, const RunAs& as);
/// `state_dir`/data of the installation's version: made by initdb in a folder beside it and renamed when whole, so that a crash in the
/// middle leaves nothing that looks like a data directory.
[[nodiscard]] Result<void> ensure_data_dir(const Installation& installation, const std::filesystem::path& state_dir, const RunAs& as,
                                           std::stop_token stop);
/// A folder only that user enters, whose path leaves room for the socket's name in sockaddr_un; below /run or /tmp when `state_dir` is
/// deep.
struct SocketDir {
  std::string path;
  bool temporary = false;  ///< to be removed after the shutdown
};
[[nodiscard]] Result<SocketDir> ensure_socket_dir(const std::filesystem::path& state_dir, const RunAs& as);
/// Writes postgresql.conf and pg_hba.conf anew and lets PostgreSQL itself check them.
[[nodiscard]] Result<void> write_configuration(const Installation& installation, const std::filesystem::path& data_dir,
                                               const SocketDir& socket, const std::map<std::string, std::string>& settings, const RunAs& as,
                                               std::stop_token stop);
/// Waits until a server that an earlier, killed daemon left in `data_dir` has ended; asks it to when it does not by itself.
[[nodiscard]] Result<void> wait_for_leftover(const std::filesystem::path& data_dir, Millis timeout, std::stop_token stop);

/// What a program of PostgreSQL said, in words of ours where the cause is a full disk or a missing permission.
[[nodiscard]] std::string explained(std::string_view output, const std::filesystem::path& where, const RunAs& as);

}  // namespace rosterd::postgres
