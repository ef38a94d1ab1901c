# SPDX-License-Identifier: Apache-2.0
"""The daemons of a lab host: how each is configured, started, asked for life, and stopped.

All listen on unix sockets only. They run as in a real host except for what one machine forces: QEMU as root
without labels, no cgroups and no namespaces of libvirt's own, Open vSwitch in user space.
"""
import os
import signal
import time
from dataclasses import dataclass

from . import namespaces

QEMU_CONF = """\
user = "root"
group = "root"
swtpm_user = "root"
swtpm_group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
remember_owner = 0
max_core = 0
"""

LIBVIRTD_CONF = """\
host_uuid = "{uuid}"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""

VIRTLOGD_CONF = """\
log_outputs = "3:file:/var/log/libvirt/virtlogd.log"
"""

OVS_DATABASE = "/etc/openvswitch/conf.db"
OVS_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
DEADLINE_S = 180


@dataclass(frozen=True)
class Service:
    """argv detaches by itself and returns when the daemon serves; pid_file and log are paths in the host."""
    name: str
    argv: tuple
    pid_file: str
    log: str
    after: tuple = ()   # argv to run once it serves


SERVICES = (
    Service("ovsdb-server",
            ("ovsdb-server", OVS_DATABASE, "--remote=punix:/run/openvswitch/db.sock",
             "--remote=db:Open_vSwitch,Open_vSwitch,manager_options", "--no-chdir", "--detach",
             "--pidfile=/run/openvswitch/ovsdb-server.pid", "--log-file=/var/log/openvswitch/ovsdb-server.log"),
            "/run/openvswitch/ovsdb-server.pid", "/var/log/openvswitch/ovsdb-server.log",
            after=("ovs-vsctl", "--no-wait", "init")),
    Service("ovs-vswitchd",
            ("ovs-vswitchd", "unix:/run/openvswitch/db.sock", "--no-chdir", "--detach",
             "--pidfile=/run/openvswitch/ovs-vswitchd.pid", "--log-file=/var/log/openvswitch/ovs-vswitchd.log"),
            "/run/openvswitch/ovs-vswitchd.pid", "/var/log/openvswitch/ovs-vswitchd.log"),
    Service("virtlogd", ("virtlogd", "--daemon", "--pid-file", "/run/virtlogd.pid"),
            "/run/virtlogd.pid", "/var/log/libvirt/virtlogd.log"),
    Service("libvirtd", ("libvirtd", "--daemon", "--pid-file", "/run/libvirtd.pid"),
            "/run/libvirtd.pid", "/var/log/libvirt/libvirtd.log"),
)


def find(name):
    """The service of that name; KeyError if there is none."""
    return {service.name: service for service in SERVICES}[name]


def write_configuration(own, host_name, host_uuid):
    """Fills the host's own file system (a folder of the machine) as far as it is empty."""
    files = {
        # libvirt asks for its own name at every start of a domain; with no answer at hand that takes 10 s.
        "etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {host_name}\n",
        "etc/resolv.conf": "nameserver 127.0.0.1\n",
        "etc/machine-id": host_uuid.replace("-", "") + "\n",
        "etc/libvirt/qemu.conf": QEMU_CONF,
        "etc/libvirt/libvirtd.conf": LIBVIRTD_CONF.format(uuid=host_uuid),
        "etc/libvirt/virtlogd.conf": VIRTLOGD_CONF,
    }
    for name, text in files.items():
        path = os.path.join(own, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.exists(path):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)


def _seen_from_outside(init_pid, path):
    """A path of the host as the machine outside may open it."""
    return f"/proc/{init_pid}/root{path}"


def _run(init_pid, argv, service):
    status, output = namespaces.run(init_pid, list(argv), DEADLINE_S)
    if status == 0:
        return
    try:
        with open(_seen_from_outside(init_pid, service.log), encoding="utf-8", errors="replace") as file:
            last = "".join(file.readlines()[-5:])
    except OSError:
        last = ""
    raise RuntimeError(f"{service.name}: {' '.join(argv)} ended with {status}: {output}{last}".rstrip())


def pid_of(init_pid, service):
    """The daemon's pid as the host counts, or None if it is not running."""
    try:
        with open(_seen_from_outside(init_pid, service.pid_file), encoding="ascii") as file:
            pid = int(file.read())
    except (OSError, ValueError):
        return None
    return pid if _alive(init_pid, pid) else None


def _alive(init_pid, pid):
    return os.path.exists(_seen_from_outside(init_pid, f"/proc/{pid}"))


def start(init_pid, service):
    """Starts the daemon and returns when it serves; nothing happens if it runs."""
    if pid_of(init_pid, service) is not None:
        return
    database = _seen_from_outside(init_pid, OVS_DATABASE)
    if service.name == "ovsdb-server" and not os.path.exists(database):
        _run(init_pid, ("ovsdb-tool", "create", OVS_DATABASE, OVS_SCHEMA), service)
    _run(init_pid, service.argv, service)
    if service.after:
        _run(init_pid, service.after, service)


def stop(init_pid, service, number=signal.SIGTERM):
    """Sends the signal and waits until the daemon is gone."""
    pid = pid_of(init_pid, service)
    if pid is None:
        return
    namespaces.run(init_pid, ["kill", f"-{int(number)}", str(pid)])
    deadline = time.monotonic() + DEADLINE_S
    while _alive(init_pid, pid):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{service.name} still runs {DEADLINE_S} s after signal {int(number)}")
        time.sleep(0.05)
