# SPDX-License-Identifier: Apache-2.0
"""init.py READY_FD LAB_ID HOST DIR ACCEL: process 1 of a lab host.

Makes the host's own view of the file system, says "ready" on READY_FD, then reaps children for ever. It never
waits for anything else: libvirt's probing of emulators hangs where dead children are not collected. DIR is
the host's folder; what it holds under fs/ is mounted over the same path of the machine. The arguments LAB_ID and
HOST also serve `lab down` to find this process.
"""
import os
import signal
import socket
import subprocess
import sys

# Which folders a host has for itself. Those that the machine lacks are left out: it has no such program.
OWN_FOLDERS = ["/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log", "/etc/openvswitch",
               "/var/lib/openvswitch"]


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def make_view(folder, accel):
    mount("--make-rprivate", "/")
    mount("-t", "proc", "proc", "/proc")

    # A /sys that shows this host's links; cgroups are mounts under it and come along.
    cgroups = os.path.join(folder, "cgroup")
    os.makedirs(cgroups, exist_ok=True)
    mount("--rbind", "/sys/fs/cgroup", cgroups)
    mount("-t", "sysfs", "sysfs", "/sys")
    mount("--rbind", cgroups, "/sys/fs/cgroup")
    subprocess.run(["umount", "-l", cgroups], check=True)

    own = os.path.join(folder, "fs")
    for path in OWN_FOLDERS:
        if os.path.isdir(path):
            os.makedirs(own + path, exist_ok=True)
            mount("--bind", own + path, path)
    if os.path.exists("/etc/machine-id"):
        mount("--bind", os.path.join(own, "etc/machine-id"), "/etc/machine-id")
    if accel == "tcg" and os.path.exists("/dev/kvm"):
        mount("--bind", "/dev/null", "/dev/kvm")

    mount("-t", "tmpfs", "-o", "mode=755,nosuid,nodev", "run", "/run")
    mount("-t", "tmpfs", "-o", "mode=1777,nosuid,nodev", "shm", "/dev/shm")
    for path in ("/run/lock", "/run/libvirt", "/run/openvswitch", "/var/log/libvirt", "/var/log/openvswitch"):
        os.makedirs(path, exist_ok=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def reap_for_ever():
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        signal.sigwait({signal.SIGCHLD})


def main():
    ready, lab_id, host, folder, accel = sys.argv[1:]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    with os.fdopen(int(ready), "wb") as pipe:
        try:
            socket.sethostname(f"{host}-{lab_id}")
            make_view(folder, accel)
        except (OSError, subprocess.CalledProcessError) as error:
            pipe.write(str(error).encode())
            sys.exit(1)
        pipe.write(b"ready")
    reap_for_ever()


main()
