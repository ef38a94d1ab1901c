#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# install.sh manager                      installs and starts the WinSphere manager on this machine
# install.sh host https://MANAGER:8443    installs the host agent and joins; reads the join token from standard input
# install.sh cli                          installs winctl
#
# Run as root on Debian 12, with the winsphere-*.deb files beside this script. What can be found out is not asked; what is missing
# comes from the machine's own package sources. Running it again upgrades.
set -euo pipefail

die() { echo "install.sh: $*" >&2; exit 1; }
say() { echo "==> $*"; }

role=${1-}
here=$(cd "$(dirname "$0")" && pwd)
[ "$(id -u)" = 0 ] || die "must be root"
command -v apt-get >/dev/null || die "this is not Debian: see docs/using.md for the programs and units"

package() {
  local newest
  newest=$(find "$here" -maxdepth 1 -name "winsphere-$1_*.deb" | sort -V | tail -n 1)
  [ -n "$newest" ] || die "no winsphere-$1_*.deb in $here"
  echo "$newest"
}

install_packages() {
  local name
  local -a files=()
  for name in "$@"; do files+=("$(package "$name")"); done
  say "installing ${*/#/winsphere-}"
  apt-get -q update < /dev/null > /dev/null || die "the package sources of this machine do not answer"
  DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 install "${files[@]}" < /dev/null
}

has_systemd() { [ -d /run/systemd/system ]; }

case $role in
  manager)
    [ "$(getconf LONG_BIT)" = 64 ] || die "a 64-bit system is needed"
    install_packages manager web cli
    if has_systemd; then
      for _ in $(seq 100); do [ -e /var/lib/winsphere/center/initial-password ] && break; sleep 0.1; done
      systemctl is-active --quiet wincenterd || die "wincenterd did not start: journalctl -u wincenterd"
      say "the manager runs: https://$(hostname -f 2>/dev/null || hostname):8443"
      echo "    user admin, password in /var/lib/winsphere/center/initial-password"
      echo "    next: winctl join-token create, and on a host: install.sh host https://$(hostname):8443"
    else
      say "installed; this system has no systemd, so start it by hand:"
      echo "    setpriv --reuid=wincenterd --regid=wincenterd --clear-groups \\"
      echo "      wincenterd --data-dir /var/lib/winsphere/center --web /usr/share/winsphere/web"
    fi
    ;;
  host)
    manager=${2-}
    [[ $manager == https://* ]] || die "which manager? install.sh host https://MANAGER:8443"
    [ -e /dev/kvm ] || echo "install.sh: no /dev/kvm here: guests will be emulated, many times slower (is virtualisation on in the firmware?)" >&2
    install_packages host
    if [ -e /var/lib/winsphere/host/host.crt ]; then
      say "this host has joined already; the agent was upgraded"
    else
      [ ! -t 0 ] || echo "Paste the join token (winctl join-token create on the manager) and press Enter:"
      IFS= read -r token || die "no join token on standard input"
      winserverd --join - --manager "$manager" <<< "$token"
    fi
    if has_systemd; then
      systemctl enable --quiet --now winserverd
      say "the host agent runs: winctl host list"
    else
      say "joined; this system has no systemd, so start the agent by hand: winserverd"
    fi
    ;;
  cli) install_packages cli ;;
  *) sed -n '4,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"; exit 2 ;;
esac
