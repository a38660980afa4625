#!/bin/bash
# systemd_boot.sh BUILD SOURCE OUT: boots a systemd of its own in a container over this machine's files, which it sees and cannot change,
# installs rosterd there as docs/operations.md says, takes it through its life, and writes what it saw to OUT/facts as NAME=VALUE.
# OUT/mounted is there once this machine has given what a container needs, OUT/installed once rosterd is in it, OUT/booted once the
# container's systemd has come so far that the rest is rosterd's.
set -eu
export build=$1 source=$2 out=$3
exec unshare -m --propagation private bash -eu <<'OUTSIDE'
mount -t tmpfs tmpfs "$out/machine"
cd "$out/machine"
mkdir up work root
mount -t overlay overlay -o lowerdir=/,upperdir=up,workdir=work root
touch "$out/mounted"
# Whatever of rosterd is on this machine is not there.
rm -rf root/etc/rosterd root/var/lib/rosterd root/etc/systemd/system/rosterd.service* root/etc/machine-id
cp "$build/daemon/rosterd" root/usr/bin/
cp "$source/systemd/rosterd.service" root/usr/lib/systemd/system/
cp "$source/systemd/rosterd.sysusers" root/usr/lib/sysusers.d/rosterd.conf
mkdir -m 750 root/etc/rosterd
: > root/etc/rosterd/rosterd.toml
mkdir -m 700 root/etc/rosterd/credentials
echo s3cret > root/etc/rosterd/credentials/bind

cat > root/usr/lib/systemd/system/rosterd-try.target <<'UNIT'
[Unit]
Requires=basic.target
After=basic.target
Wants=rosterd-try.service
AllowIsolate=yes
UNIT
cat > root/usr/lib/systemd/system/rosterd-try.service <<'UNIT'
[Unit]
After=basic.target
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStart=/bin/bash /rosterd-try.sh
UNIT
cat > root/rosterd-try.sh <<'INSIDE'
fact() { printf '%s=%s\n' "$1" "$2" >> /out/facts; }
shown() { systemctl show rosterd -p "$1" --value; }
state() { fact "$1" "$(shown ActiveState) $(shown Result) $(shown ExecMainStatus) restarts $(shown NRestarts)"; }
ready() { curl -s --max-time 2 http://127.0.0.1:8480/readyz; }
soon() { for _ in $(seq 300); do "$@" && return; sleep 0.1; done; false; }
has() { journalctl -u rosterd -o json | grep -c "\"ROSTERD_EVENT\":\"$1\""; }
systemd-sysusers
chown root:rosterd /etc/rosterd /etc/rosterd/rosterd.toml
chmod 640 /etc/rosterd/rosterd.toml
systemctl daemon-reload
touch /out/booted

systemctl start rosterd; fact start $?
state started
fact status "$(shown StatusText)"
fact ready "$(ready)"
fact users "$(ps -o user= -p "$(pgrep -d, -f 'bin/(rosterd|postgres)')" | sort -u | xargs)"
fact journal_ready "$(has daemon.ready)"
fact credential "$(stat -c '%U %a' /run/credentials/rosterd.service/secret_bind)"
fact state_dir "$(stat -c '%U %a' /var/lib/rosterd)"

echo 'log.level = "debug"' > /etc/rosterd/rosterd.toml
systemctl reload rosterd; fact reload $?
fact journal_reloaded "$(has config.reloaded)"

systemctl kill -s KILL --kill-whom=main rosterd
again() { [[ $(shown NRestarts) = 1 && $(shown ActiveState) = active ]]; }
soon again
state killed
fact ready_again "$(ready)"

begun=$(date +%s%3N)
systemctl stop rosterd
fact stop_ms $(($(date +%s%3N) - begun))
state stopped
fact left "$(pgrep -u rosterd | wc -l)"

echo 'nonsense = 1' > /etc/rosterd/rosterd.toml
systemctl start rosterd; fact start_wrong $?
sleep 3
state wrong
: > /etc/rosterd/rosterd.toml

mkdir -p /etc/systemd/system/rosterd.service.d
printf '[Service]\nWatchdogSec=2s\nTimeoutAbortSec=2s\n' > /etc/systemd/system/rosterd.service.d/short.conf
systemctl daemon-reload
systemctl reset-failed rosterd
systemctl start rosterd
sleep 5
state watched
systemctl kill -s STOP --kill-whom=main rosterd
soon again
state bitten
fact ready_bitten "$(ready)"
systemctl stop rosterd
fact over 1
INSIDE
touch "$out/installed"
# Nothing here waits for a network; there is none but the loopback.
exec systemd-nspawn -q -b -D root --register=no --keep-unit --private-network --link-journal=no --bind="$out:/out" \
  systemd.unit=rosterd-try.target systemd.mask=systemd-networkd-wait-online.service systemd.mask=systemd-firstboot.service < /dev/null
OUTSIDE
