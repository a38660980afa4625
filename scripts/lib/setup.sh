# shellcheck shell=bash
# Installs the Debian packages that are missing, and only those: with everything there, neither apt nor the network is asked.
# Sourced; install_packages GROUP… is the door. Groups and reasons are in the file `packages` beside this one.

setup_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The package words of the groups asked for.
packages_of() {
  awk -v wanted=" $* " '
    /^\[/ { take = index(wanted, " " substr($0, 2, length($0) - 2) " ") > 0; next }
    /^#/ || !NF { next }
    take { for (i = 1; i <= NF; ++i) if (!seen[$i]++) print $i }' "$setup_here/packages"
}

is_installed() { [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# A word may name alternatives: satisfied by any of them.
is_satisfied() {
  local one
  for one in ${1//|/ }; do
    if is_installed "$one"; then return 0; fi
  done
  return 1
}

missing_packages() {
  local word
  for word in $(packages_of "$@"); do
    is_satisfied "$word" || printf '%s\n' "$word"
  done
}

# Of alternatives, the first that apt knows.
choose() {
  local one
  for one in ${1//|/ }; do
    if apt-cache show "$one" >/dev/null 2>&1; then
      printf '%s\n' "$one"
      return 0
    fi
  done
  printf '%s\n' "${1##*|}"
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "packages are missing and can only be installed by root; run this as root, or install sudo, or ask for: apt-get install $(missing_packages "${setup_groups[@]}" | tr '\n' ' ')"
  fi
}

# install_packages GROUP…
install_packages() {
  setup_groups=("$@")
  command -v dpkg-query >/dev/null || die "this script installs Debian packages and finds no dpkg here; on another system install what scripts/lib/packages lists and build with cmake --workflow --preset dev"
  local missing word chosen=()
  mapfile -t missing < <(missing_packages "$@")
  if ((${#missing[@]} == 0)); then return 0; fi
  title "Installing ${#missing[@]} Debian packages"
  as_root true
  if ! apt-cache show "${missing[0]%%|*}" >/dev/null 2>&1 || [[ -z $(find /var/lib/apt/lists -name '*_Packages*' -mtime -7 2>/dev/null) ]]; then
    as_root apt-get update -q || note "apt could not refresh its lists; trying with what it knows"
  fi
  for word in "${missing[@]}"; do chosen+=("$(choose "$word")"); done
  say "${chosen[*]}"
  # No package may start a server (slapd, PostgreSQL, Samba want to): the demo and the tests start private ones. A policy-rc.d that was
  # there before is put back.
  # slapd would ask for a domain and a password: no_configuration leaves it without a database.
  # shellcheck disable=SC2016  # expanded by the inner bash
  as_root env DEBIAN_FRONTEND=noninteractive bash -euc '
    policy=/usr/sbin/policy-rc.d kept=
    if [[ -e $policy || -L $policy ]]; then kept=$(mktemp -u /usr/sbin/policy-rc.d.XXXXXX); mv "$policy" "$kept"; fi
    restore() { if [[ -n $kept ]]; then mv -f "$kept" "$policy"; else rm -f "$policy"; fi; }
    trap restore EXIT
    printf "#!/bin/sh\nexit 101\n" > "$policy"
    chmod 755 "$policy"
    printf "slapd slapd/no_configuration boolean true\n" | debconf-set-selections
    apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@" || { echo "apt-get could not install them" >&2; exit 1; }
  ' install "${chosen[@]}" || die "installing failed (see above). Without a network the packages must be installed beforehand: ${chosen[*]}"
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]} == 0)) || die "still missing after the installation: ${missing[*]}"
}
