#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# install.sh manager                      installs and starts the WinSphere manager on this machine, with the host packages for "winctl host add"
# install.sh host https://MANAGER:8443    installs the host agent and joins; reads the join token from standard input
# install.sh host --check [https://...]   does this machine have what a host needs? Changes nothing; status 1 when something fails
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

# The newest one for this machine: those of other architectures may lie beside it.
package() {
  local newest own
  own=$(dpkg --print-architecture)
  newest=$(find "$here" -maxdepth 1 \( -name "winsphere-$1_*_$own.deb" -o -name "winsphere-$1_*_all.deb" \) | sort -V | tail -n 1)
  [ -n "$newest" ] || die "no winsphere-$1_*_$own.deb in $here"
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

# What the manager installs on machines that it adds over SSH (winctl host add): of each architecture that is beside this script the newest
# package, and no other of that architecture, so that its hosts are of its own version.
hosts_packages=/usr/share/winsphere/packages
put_host_packages() {
  local file architecture
  local -A newest=()
  while IFS= read -r file; do
    architecture=${file##*_}
    newest[${architecture%.deb}]=$file
  done < <(find "$here" -maxdepth 1 -name "winsphere-host_*_*.deb" | sort -V)
  if [ ${#newest[@]} = 0 ]; then
    echo "install.sh: no winsphere-host_*.deb in $here: \"winctl host add\" cannot install the agent until there is one in $hosts_packages" >&2
    return
  fi
  install -d -m 0755 "$hosts_packages"
  for architecture in "${!newest[@]}"; do
    file=$(basename "${newest[$architecture]}")
    # Beside it first: the manager may look just now.
    install -m 0644 "${newest[$architecture]}" "$hosts_packages/.new"
    mv -f "$hosts_packages/.new" "$hosts_packages/$file"
    find "$hosts_packages" -maxdepth 1 -name "winsphere-host_*_$architecture.deb" ! -name "$file" -delete
  done
  say "the host agent for $(printf '%s\n' "${!newest[@]}" | sort | paste -sd ' ') is in $hosts_packages, for winctl host add"
}

# What can be said of this machine before anything is installed on it; figures and words are those of winserverd --check (src/plan/check.c), which
# speaks for itself where it is there already.
failed=0 warned=0
line() { # state check found [needed [advice]]
  printf '%-8s%-18s%s%s\n' "$1" "$2" "$3" "${4:+  ($4)}"
  case $1 in
    fail) failed=$((failed + 1)) ;;
    warn) warned=$((warned + 1)) ;;
    *) return 0 ;;
  esac
  echo "        ${5-}"
}

grade() { # value least good
  if [ "$1" -lt "$2" ]; then echo fail; elif [ "$1" -lt "$3" ]; then echo warn; else echo pass; fi
}

check_machine() {
  local cores kib bytes least kernel clock flag
  cores=$(lscpu -p=CORE,SOCKET 2>/dev/null | grep -v '^#' | sort -u | wc -l) || cores=$(getconf _NPROCESSORS_ONLN) # not threads, where that is told
  line "$(grade "$cores" 0 2)" processor "$cores" ">= 2" "Two cores at least: the agent and the system need one."
  if [ -c /dev/kvm ]; then
    line pass virtualisation /dev/kvm kvm
  else
    flag=$(grep -m 1 -ow -E 'vmx|svm' /proc/cpuinfo) || true
    line warn virtualisation "no /dev/kvm${flag:+, though the processor has $flag}" kvm "Guests will be emulated, many times slower. Switch virtualisation on in the firmware and load the kvm modules."
  fi
  kib=$(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo)
  line "$(grade "$kib" $((1 << 20)) $((60 << 20)))" memory "$((kib >> 20)) GiB" ">= 64 GiB" "Guests take their memory from here; below 1 GiB none starts."
  kernel=$(uname -r)
  line "$(if printf '4.19\n%s\n' "$kernel" | sort -VC; then echo pass; else echo fail; fi)" kernel "$kernel" ">= 4.19" "Upgrade the kernel."
  clock=$(timedatectl show -p NTPSynchronized --value 2>/dev/null || echo unknown)
  case $clock in
    yes) line pass time_sync yes yes ;;
    no) line warn time_sync no yes "Nothing keeps the clock in step. Install and start chrony." ;;
    *) line unknown time_sync - yes ;;
  esac
  least=/var/lib
  [ -d "$least" ] || least=/
  bytes=$(df --output=avail -B1 "$least" | tail -n 1)
  line "$(grade "$bytes" $((1 << 30)) $((20 << 30)))" disk_space "$((bytes >> 30)) GiB" ">= 20 GiB" "State, logs and pools lie below /var/lib."
  if [ -s /etc/machine-id ]; then
    line pass machine_id "$(cat /etc/machine-id)"
  else
    line fail machine_id - "" "Run systemd-machine-id-setup."
  fi
}

# All that the package needs comes from this machine's own sources, or is there.
check_sources() {
  local said file=$1
  compgen -G '/var/lib/apt/lists/*_Packages*' > /dev/null || apt-get -q update < /dev/null > /dev/null 2>&1 || true
  if said=$(apt-get -q -s -o Debug::NoLocking=1 install "$file" < /dev/null 2>&1); then
    line pass programs "$(grep -c '^Inst' <<< "$said" || true) packages to be installed"
  else
    line fail programs "not to be had here" "" "$(grep -m 3 -E '^(E:|.*(Depends|not installable|unmet))' <<< "$said" | paste -sd ' ')"
  fi
}

check_manager() {
  local rest=${1#https://}
  rest=${rest%%/*}
  local port=${rest##*:}
  [ "$port" != "$rest" ] || port=443
  # Bash's own way to dial: curl may not be here yet.
  # shellcheck disable=SC2016  # the words are for the other bash
  if timeout 10 bash -c 'exec 3<> "/dev/tcp/$0/$1"' "${rest%:*}" "$port" 2>/dev/null; then
    line pass manager "$1"
  else
    line fail manager "$1: nobody answers" "" "Look whether it runs, and whether a firewall between lets the port through."
  fi
}

check_host() {
  if command -v winserverd >/dev/null; then
    exec winserverd --check ${1:+--manager "$1"}
  fi
  local file
  file=$(package host)
  check_machine
  check_sources "$file"
  [ -z "${1-}" ] || check_manager "$1"
  echo "$failed failed, $warned warned; libvirt, QEMU and Open vSwitch are looked at when they are installed (winserverd --check)"
  [ "$failed" = 0 ] || exit 1
}

has_systemd() { [ -d /run/systemd/system ]; }

case $role in
  manager)
    [ "$(getconf LONG_BIT)" = 64 ] || die "a 64-bit system is needed"
    install_packages manager web cli
    put_host_packages
    if has_systemd; then
      for _ in $(seq 100); do [ -e /var/lib/winsphere/center/initial-password ] && break; sleep 0.1; done
      systemctl is-active --quiet wincenterd || die "wincenterd did not start: journalctl -u wincenterd"
      say "the manager runs: https://$(hostname -f 2>/dev/null || hostname):8443"
      echo "    user admin, password in /var/lib/winsphere/center/initial-password"
      echo "    next: winctl join-token create, and on a host: install.sh host https://$(hostname):8443; or winctl host add ADDRESS"
    else
      say "installed; this system has no systemd, so start it by hand:"
      echo "    setpriv --reuid=wincenterd --regid=wincenterd --clear-groups \\"
      echo "      wincenterd --data-dir /var/lib/winsphere/center --web /usr/share/winsphere/web"
    fi
    ;;
  host)
    if [ "${2-}" = --check ]; then
      check_host "${3-}"
      exit
    fi
    manager=${2-}
    [[ $manager == https://* ]] || die "which manager? install.sh host https://MANAGER:8443"
    [ -e /dev/kvm ] || echo "install.sh: no /dev/kvm here: guests will be emulated, many times slower (is virtualisation on in the firmware?)" >&2
    install_packages host
    winserverd --check --manager "$manager" ||
      echo "install.sh: what fails above is still missing; the host joins all the same (winctl host check shows it later)" >&2
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
