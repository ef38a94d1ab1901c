# SPDX-License-Identifier: Apache-2.0
"""Where the host agent of `make run` works: on this machine, or in a lab host.

The machine itself, if its libvirtd and Open vSwitch run (Debian with systemd after scripts/install-deps). Else, for instance
in a container, one host of scripts/lab with daemons of its own: nothing is started on the machine that stop could
forget. Both have the same methods.
"""
import ipaddress
import os
import subprocess

from labkit import namespaces
from labkit.lab import Lab, free_network

LIBVIRT_SOCKET = "/run/libvirt/libvirt-sock"
OVS_SOCKET = "/run/openvswitch/db.sock"


def choose(data):
    """The place for this data directory; what was chosen once stays while its data are there."""
    lab = os.path.join(data, "host")
    if os.path.isdir(lab) or not (os.path.exists(LIBVIRT_SOCKET) and os.path.exists(OVS_SOCKET)):
        return LabHost(lab)
    return Machine(data)


def guest_network(data):
    """The guests' network: a free one when the data directory is new, the same ever after."""
    path = os.path.join(data, "guest-network")
    if not os.path.exists(path):
        with open(path, "w", encoding="ascii") as file:
            file.write(str(free_network("10.77.0.0/16")))
    with open(path, encoding="ascii") as file:
        return ipaddress.ip_network(file.read().strip())


class Machine:
    """This machine, as it is."""
    words = "this machine"

    def __init__(self, data):
        self.state_dir = os.path.join(data, "agent")
        self.pool_root = "/var/lib/winsphere/pools"  # where QEMU's own user may go
        self.manager_address = "127.0.0.1"

    def up(self, _guests):
        os.makedirs(self.state_dir, mode=0o700, exist_ok=True)
        os.makedirs(self.pool_root, mode=0o711, exist_ok=True)

    def down(self):
        """Virtual machines here are libvirt's and go on."""

    def uplink(self):
        """None: this machine is the host, and reaches its guests through the gateway port."""

    def run(self, argv, text=None):
        done = subprocess.run(argv, input=text or "", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=60, check=False)
        return done.returncode, done.stdout

    def spawn(self, argv, log):
        with open(log, "ab") as output:
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                    start_new_session=True).pid


class LabHost:
    """The one host of a lab in the data directory."""
    words = "a host of its own out of namespaces (no libvirtd runs on this machine)"

    def __init__(self, folder):
        self.lab = Lab(folder)
        self.state_dir = "/var/lib/winsphere/host"
        self.pool_root = "/var/lib/winsphere/pools"
        self.manager_address = None

    def up(self, guests):
        """guests: their network, of which this machine takes the last address."""
        self.lab.up(1, "auto")
        self.lab.hosts[0].plug(1, f"{guests[254]}/{guests.prefixlen}")
        self.manager_address = str(self.lab.network().ip)

    def down(self):
        self.lab.down()

    def uplink(self):
        """The card that joins the guests' switch to this machine: their subnet lets nobody in who is not on it."""
        return "eth1"

    def run(self, argv, text=None):
        return namespaces.run(self.lab.hosts[0].running_init(), argv, text=text)

    def spawn(self, argv, log):
        return namespaces.spawn(self.lab.hosts[0].running_init(), argv, log)
