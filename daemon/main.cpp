// rosterd: signals are blocked before any thread starts, the service is put together, and from then on main does nothing but wait for
// signals. Exit statuses follow sysexits.h and are described in docs/operations.md.
#include <sysexits.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>

#include "config/config.hpp"
#include "daemon/catalogue_file.hpp"
#include "daemon/first_admin.hpp"
#include "daemon/logging.hpp"
#include "daemon/notify.hpp"
#include "daemon/service.hpp"
#include "daemon/signals.hpp"
#include "schema/core/log.hpp"

namespace rosterd {
namespace {

int exit_status(Errc code) {
  switch (code) {
    case Errc::InvalidInput:
    case Errc::Refused:
      return EX_CONFIG;
    case Errc::Unavailable:
    case Errc::Conflict:
      return EX_UNAVAILABLE;
    case Errc::Stopped:
      return EX_OK;
    case Errc::Unauthorized:
    case Errc::Forbidden:
    case Errc::NotFound:
    case Errc::CursorExpired:
    case Errc::Internal:
      return EX_SOFTWARE;
  }
  return EX_SOFTWARE;
}

int complain(const Error& error) {
  fmt::print(stderr, "{}\n", error.what);
  return exit_status(error.code);
}

int answer(std::string_view text) {
  fmt::print("{}", text);
  return EX_OK;
}

int check(const Result<config::Config>& config) {
  if (!config) return complain(config.error());
  if (const auto catalogue = load_catalogue(*config); !catalogue) return complain(catalogue.error());
  for (const auto& warning : config::warnings(*config)) fmt::print(stderr, "warning: {}\n", warning);
  return answer(config::effective(*config));
}

void reload(Service& service, const std::string& file) {
  notify::reloading();
  if (const auto next = config::load(file))
    service.reload(*next);
  else
    log::error("config.refused", {log::field("file", file), log::field("error", next.error().what)});
  notify::ready(service.status());
}

/// What signals asked for while main was busy.
struct Asked {
  std::stop_source stop;             ///< SIGTERM, SIGINT
  std::atomic<bool> reload = false;  ///< SIGHUP
};

/// Runs `work` while another thread waits for signals and notes them in `asked`. None is lost: what comes after `work` waits for the next
/// wait.
template <class Work>
auto interruptible(const SignalSet& signals, Asked& asked, const Work& work) {
  const std::jthread listener([&](std::stop_token over) {
    while (const auto signal = signals.wait(over))
      if (*signal == SIGHUP)
        asked.reload = true;
      else
        asked.stop.request_stop();
  });
  return work(asked.stop.get_token());
}

int run(const SignalSet& signals, const std::string& file) {
  const auto config = config::load(file);
  if (!config) return complain(config.error());
  start_logging(*config);
  log::info("daemon.starting", {log::field("version", ROSTERD_VERSION), log::field("config", config->file), log::field("pid", ::getpid())});

  Asked starting;
  const std::stop_callback told(starting.stop.get_token(), [] {
    log::info("daemon.stopping");
    notify::stopping("giving up the start");
    notify::extend_timeout(std::chrono::minutes(2));  // the embedded PostgreSQL may be up
  });
  auto service = interruptible(signals, starting, [&](std::stop_token stop) { return Service::start(*config, std::move(stop)); });
  if (!service) {
    if (service.error().code == Errc::Stopped)
      log::info("daemon.stopped");
    else
      log::error("daemon.failed", {log::field("error", service.error().what)});
    notify::status(service.error().what);
    return exit_status(service.error().code);
  }
  // A signal may also have come when nothing of the start looked for it any more.
  if (!starting.stop.stop_requested()) {
    log::info("daemon.ready", {log::field("port", (*service)->port())});
    notify::ready((*service)->status());
    if (starting.reload) reload(**service, file);
    while (signals.wait() == SIGHUP) reload(**service, file);
    log::info("daemon.stopping");
    notify::stopping("finishing requests");
  }
  Asked ending;
  return interruptible(signals, ending, [&](std::stop_token hurry) {
    if (!(*service)->stop(std::move(hurry))) {
      (*service)->leave();
      log::info("daemon.stopped");
      std::_Exit(EX_OK);  // threads that would not end still use what a return would destroy
    }
    service->reset();
    log::info("daemon.stopped");
    return EX_OK;
  });
}

int start(int argc, char** argv) {
  CLI::App app("rosterd reads people and groups from directories, keeps them in PostgreSQL, and answers who may do what.");
  std::string file = "/etc/rosterd/rosterd.toml", email;
  bool check_only = false;
  app.add_option("--config,-c", file, "Configuration file")->type_name("FILE")->capture_default_str();
  auto* const checking = app.add_flag("--check-config", check_only, "Print what is in effect, or everything that is wrong, and end");
  app.add_option("--new-credential", email, "Print a credential file for setup.credential_file, and end")
      ->type_name("EMAIL")
      ->excludes(checking);
  app.set_version_flag("--version", "rosterd " ROSTERD_VERSION);
  app.footer(
      "Settings: docs/configuration.md. Exit status: 0 asked to stop, 64 command line, 69 something needed is away or taken, 70 a bug, 78 "
      "configuration.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? EX_OK : EX_USAGE;  // help and version come this way too
  }
  if (check_only) return check(config::load(file));
  if (!email.empty()) {
    const auto credential = new_credential(email);
    return credential ? answer(*credential + "\n") : (complain(credential.error()), EX_USAGE);
  }
  const SignalSet signals{SIGTERM, SIGINT, SIGHUP};
  return run(signals, file);
}

}  // namespace
}  // namespace rosterd

int main(int argc, char** argv) {
  try {
    return rosterd::start(argc, argv);
  } catch (const std::exception& error) {
    // Out of memory or file descriptors before anything stood: nothing to clean up.
    fmt::print(stderr, "rosterd: {}\n", error.what());
    return EX_SOFTWARE;
  }
}
