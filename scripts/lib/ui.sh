# shellcheck shell=bash
# How the scripts talk: steps with their time, colours on a terminal only, and failures that show the log.

if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
  bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' cyan=$'\e[36m' plain=$'\e[0m'
else
  bold='' dim='' red='' green='' cyan='' plain=''
fi
export bold dim red green cyan plain

# Seconds since the first call, with one decimal.
now_ms() { local t=${EPOCHREALTIME/[.,]/}; printf '%s' "${t:0:-3}"; }
seconds_since() { local ms=$(($(now_ms) - $1)); printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100)); }

title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
say() { printf '%s\n' "$*"; }
note() { printf '%s%s%s\n' "$dim" "$*" "$plain"; }
die() {
  printf '%s%s: %s%s\n' "$red" "${0##*/}" "$*" "$plain" >&2
  exit 1
}

# step "what is done" LOG command…: runs it with its output in LOG, prints the time; when it fails, the log's end and where it is.
step() {
  local what=$1 log=$2 start status=0
  shift 2
  start=$(now_ms)
  printf '%s… ' "$what"
  "$@" >>"$log" 2>&1 </dev/null || status=$?
  if ((status == 0)); then
    printf '%sdone%s %s(%s)%s\n' "$green" "$plain" "$dim" "$(seconds_since "$start")" "$plain"
    return 0
  fi
  printf '%sfailed%s (%s)\n' "$red" "$plain" "$(seconds_since "$start")"
  show_tail "$log" >&2
  return "$status"
}

show_tail() {
  printf '%s--- the last lines of %s%s\n' "$dim" "$1" "$plain"
  tail -n 40 "$1"
  printf '%s---%s\n' "$dim" "$plain"
}
