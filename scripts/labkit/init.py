# SPDX-License-Identifier: Apache-2.0
"""init.py READY_FD LAB_ID HOST HOST_NAME DIR ACCEL: process 1 of a lab host.

Makes the host's own view of the file system, says "ready" on READY_FD, then reaps children for ever. It never
waits for anything else: libvirt's probing of emulators hangs where dead children are not collected. DIR is
the host's folder; what it holds under fs/ is mounted over the same path of the machine. LAB_ID and HOST are what
`lab down` finds this process by.
"""
import os
import signal
import socket
import stat
import subprocess
import sys

# Which folders a host has for itself. A mount needs a folder under it: empty ones of the product may be made.
OWN_FOLDERS = ["/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log", "/etc/openvswitch",
               "/var/lib/openvswitch", "/var/lib/winsphere"]
OWN_FILES = ["/etc/machine-id", "/etc/hosts", "/etc/resolv.conf"]


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
        os.makedirs(path, exist_ok=True)
        os.makedirs(own + path, exist_ok=True)
        mount("--bind", own + path, path)
    for path in OWN_FILES:
        if os.path.exists(path):
            mount("--bind", own + path, os.path.realpath(path))
    if accel == "tcg" and os.path.exists("/dev/kvm"):
        hide_kvm(folder)

    mount("-t", "tmpfs", "-o", "mode=755,nosuid,nodev", "run", "/run")
    mount("-t", "tmpfs", "-o", "mode=1777,nosuid,nodev", "shm", "/dev/shm")
    for path in ("/run/lock", "/run/libvirt", "/run/openvswitch", "/var/log/libvirt", "/var/log/openvswitch"):
        os.makedirs(path, exist_ok=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def hide_kvm(folder):
    """A /dev with everything but kvm. Nothing less will do: libvirt only asks whether the file is there."""
    new = os.path.join(folder, "dev")
    os.makedirs(new, exist_ok=True)
    mount("-t", "tmpfs", "-o", "mode=755,nosuid", "dev", new)
    for entry in os.scandir("/dev"):
        path = os.path.join(new, entry.name)
        facts = entry.stat(follow_symlinks=False)
        if entry.name == "kvm":
            continue
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), path)
        elif entry.is_dir():
            os.mkdir(path)
            mount("--rbind", entry.path, path)
        else:
            os.mknod(path, facts.st_mode, facts.st_rdev)
            os.chown(path, facts.st_uid, facts.st_gid)
            os.chmod(path, stat.S_IMODE(facts.st_mode))  # mknod obeys the umask
    mount("--move", new, "/dev")


def reap_for_ever():
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        signal.sigwait({signal.SIGCHLD})


def main():
    ready, _lab_id, _host, host_name, folder, accel = sys.argv[1:]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    with os.fdopen(int(ready), "wb") as pipe:
        try:
            socket.sethostname(host_name)
            make_view(folder, accel)
        except (OSError, subprocess.CalledProcessError) as error:
            pipe.write(str(error).encode())
            sys.exit(1)
        pipe.write(b"ready")
    reap_for_ever()


main()
