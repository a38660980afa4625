# shellcheck shell=bash
# Fetches the test servers that are no Debian packages: from npm (oidc-provider, scimmy), PyPI (canaille, scim2-tester) and Maven Central
# (Keycloak), each in the version that a file of tests/support/servers or this one names. What was fetched is kept outside the tree, one
# folder per server and version, so that neither a second run nor a second clone asks the network; build/servers/NAME points there.
# Sourced after ui.sh and setup.sh; fetch_servers NAME… is the door. ROSTERD_TEST_WITHOUT=NAME,… leaves one out.

servers_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
servers_files=$servers_root/tests/support/servers
servers_cache=${ROSTERD_SERVERS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/rosterd/servers}
all_servers=(node scim2-tester canaille keycloak)
keycloak_version=26.7.3

left_out() { [[ ,${ROSTERD_TEST_WITHOUT:-}, == *,$1,* ]]; }

# What a server's folder depends on: another content, another folder.
server_key() {
  case $1 in
    node) cat "$servers_files/package.json" "$servers_files/package-lock.json" ;;
    keycloak) printf '%s' "$keycloak_version" && cat "$servers_files/keycloak.options" ;;
    *) cat "$servers_files/$1.txt" ;;
  esac | sha256sum | cut -c1-16
}

# Debian's own Python: another one that comes first in the path may lack venv, or vanish.
fetch_python() { # NAME into the current folder
  /usr/bin/python3 -m venv venv
  venv/bin/pip install --quiet --disable-pip-version-check --no-deps -r "$servers_files/$1.txt"
  venv/bin/pip check --disable-pip-version-check
}

fetch_server() { # NAME into the current folder
  case $1 in
    node)
      cp "$servers_files/package.json" "$servers_files/package-lock.json" .
      npm ci --no-audit --no-fund --ignore-scripts
      ;;
    keycloak)
      mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
        -Dartifact="org.keycloak:keycloak-quarkus-dist:$keycloak_version:tar.gz" -DoutputDirectory="$PWD"
      tar -xzf "keycloak-quarkus-dist-$keycloak_version.tar.gz" --strip-components=1
      rm "keycloak-quarkus-dist-$keycloak_version.tar.gz"
      # The options that Keycloak compiles into itself: done once here, half a minute at every start otherwise.
      xargs bin/kc.sh build <"$servers_files/keycloak.options"
      ;;
    *) fetch_python "$1" ;;
  esac
}

# What a server needs besides the packages of the group "servers".
server_tools() {
  case $1 in
    node) command -v npm >/dev/null || install_packages npm ;;
  esac
}

fetch_into() { # NAME FOLDER
  mkdir -p "$2"
  exec 9>"$2.lock"
  flock 9 # somebody else may be fetching the same one
  if [[ -e $2/.complete ]]; then return 0; fi
  rm -rf "$2"
  mkdir -p "$2"
  (set -e && cd "$2" && fetch_server "$1") 9>&- || return 1
  touch "$2/.complete"
}

# fetch_servers NAME…: prints what it does; fails when one could not be had. Nothing is asked of the network for those that are there.
fetch_servers() {
  local name folder log status=0
  mkdir -p "$servers_root/build/servers" "$servers_cache"
  for name in "$@"; do
    [[ " ${all_servers[*]} " == *" $name "* ]] || die "there is no test server '$name'; there are: ${all_servers[*]}"
    if left_out "$name"; then
      note "$name is left out on purpose (ROSTERD_TEST_WITHOUT)"
      continue
    fi
    folder=$servers_cache/$name-$(server_key "$name")
    if [[ ! -e $folder/.complete ]]; then
      server_tools "$name"
      log=$servers_root/build/servers/$name.log
      : >"$log"
      if ! step "Fetching the test server $name" "$log" fetch_into "$name" "$folder"; then
        say "$name could not be had; to do without it on purpose: ROSTERD_TEST_WITHOUT=$name"
        status=1
        continue
      fi
    fi
    ln -sfn "$folder" "$servers_root/build/servers/$name"
  done
  return "$status"
}
