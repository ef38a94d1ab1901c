# SPDX-License-Identifier: Apache-2.0
"""One lab: its hosts, the bridge between them, their addresses. All paths and pids are the machine's.

What a lab consists of is always found from its id, never only from notes: links by name, hosts by the arguments of
their process 1. The notes (lab.json) keep what cannot be found: the number of hosts and the accelerator.
"""
import contextlib
import fcntl
import hashlib
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from . import namespaces, services

SCRIPTS = os.path.dirname(namespaces.FOLDER)
NOTES = "lab.json"
LOCK = "/run/winsphere-lab.lock"  # held while a lab chooses its addresses
# What libvirtd learned about the emulators (it asks each for about 0.2 s, and there may be thirty). libvirt checks by
# itself whether an entry still fits.
LEARNED = os.path.join(os.path.dirname(SCRIPTS), ".cache/lab")
MAX_HOSTS = 64
GONE_DEADLINE_S = 60


class LabError(Exception):
    """Something a person can act on; the text says what."""


def _ip(*arguments, check=True):
    """Runs ip(8) on the machine; returns its standard output."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise LabError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _links():
    """Names of the machine's links."""
    return [link["ifname"] for link in json.loads(_ip("-j", "link", "show") or "[]")]


def _copy_missing(source, target):
    """Copies the files of a folder that the other lacks. Both may be absent."""
    for name in os.listdir(source) if os.path.isdir(source) else ():
        path = os.path.join(target, name)
        if not os.path.exists(path):
            os.makedirs(target, exist_ok=True)
            shutil.copy2(os.path.join(source, name), f"{path}.{os.getpid()}")
            os.replace(f"{path}.{os.getpid()}", path)


def free_network(whole):
    """The first /24 of the given network that no route of this machine touches."""
    used = [ipaddress.ip_network(route["dst"]) for route in json.loads(_ip("-j", "-4", "route") or "[]")
            if route["dst"] != "default"]
    for candidate in ipaddress.ip_network(whole).subnets(new_prefix=24):
        if not any(candidate.overlaps(other) for other in used):
            return candidate
    raise LabError(f"no free network left in {whole}")


class Host:
    """A host of a lab, running or not."""

    def __init__(self, lab, number):
        self.lab = lab
        self.number = number
        self.name = f"h{number}"
        self.host_name = f"{self.name}-{lab.id}"
        self.folder = os.path.join(lab.folder, self.name)
        self.cable = f"{lab.bridge}-{number}"
        self._learned = os.path.join(self.folder, "fs/var/cache/libvirt/qemu/capabilities")
        # The same through all power cycles, and different from every other host's.
        self.uuid = str(uuid.uuid5(uuid.NAMESPACE_URL, f"winsphere-lab:{lab.folder}:{self.name}"))
        # So is a NIC's: else others send to the address of before for some ten seconds after it was off.
        self.mac = ":".join(["02", *(f"{byte:02x}" for byte in uuid.UUID(self.uuid).bytes[:5])])

    def init_pid(self):
        """The pid of its process 1, or None when the power is off."""
        return self.lab.running_inits().get(self.name)

    def running_init(self):
        pid = self.init_pid()
        if pid is None:
            raise LabError(f"{self.name} is powered off: lab power-on {self.lab.folder} {self.name}")
        return pid

    def power_on(self, address, gateway):
        """Starts process 1 and plugs in the cable. Main thread only."""
        services.write_configuration(os.path.join(self.folder, "fs"), self.host_name, self.uuid)
        _copy_missing(os.path.join(LEARNED, self.lab.accel), self._learned)
        try:
            pid = namespaces.start_init([self.lab.id, self.name, self.host_name, self.folder, self.lab.accel],
                                        os.path.join(self.folder, "init.log"))
            _ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "address", self.mac, "netns", str(pid))
            _ip("link", "set", self.cable, "master", self.lab.bridge, "up")
            for command in (["ip", "addr", "add", str(address), "dev", "eth0"], ["ip", "link", "set", "eth0", "up"],
                            ["ip", "route", "add", "default", "via", str(gateway)]):
                status, output = namespaces.run(pid, command)
                if status != 0:
                    raise LabError(f"{' '.join(command)}: {output.strip()}")
        except OSError as error:
            raise LabError(f"{self.name}: {error}") from error

    def start_services(self):
        """Returns when all daemons of the host serve. Any thread."""
        try:
            for service in services.SERVICES:
                services.start(self.running_init(), service)
        except (OSError, RuntimeError) as error:
            raise LabError(f"{self.name}: {error}") from error

    def power_off(self):
        """A power failure: every process of the host is killed at once. Returns when they are gone."""
        pid = self.init_pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + GONE_DEADLINE_S
            while self.init_pid() is not None:
                if time.monotonic() > deadline:
                    raise LabError(f"{self.name}: process {pid} is still there {GONE_DEADLINE_S} s after SIGKILL")
                time.sleep(0.02)
        for link in _links():  # the kernel removes them too, but later
            if link == self.cable or link.startswith(f"{self.cable}."):
                _ip("link", "del", link, check=False)
        _copy_missing(self._learned, os.path.join(LEARNED, self.lab.accel))

    def plug(self, number, address):
        """A further card eth<number> in the host, whose other end is on this machine and has the address there.

        For what stands between a host's switches and the world: an uplink. Gone with the host's power. address: "A/B".
        """
        outer = f"{self.cable}.{number}"
        if not os.path.exists(f"/sys/class/net/{outer}"):
            _ip("link", "add", outer, "type", "veth", "peer", "name", f"eth{number}", "netns", str(self.running_init()))
        _ip("addr", "replace", address, "dev", outer)
        _ip("link", "set", outer, "up")

    def set_cable(self, plugged):
        """Pulls the network cable, or plugs it in again."""
        _ip("link", "set", self.cable, "up" if plugged else "down")


class Lab:
    """A lab in a directory. Making the object changes nothing."""

    def __init__(self, folder):
        self.folder = os.path.realpath(folder)
        self.id = hashlib.sha256(self.folder.encode()).hexdigest()[:5]
        self.bridge = f"wl-{self.id}"
        notes = self._read_notes()
        self.accel = notes.get("accel", "tcg")
        self.hosts = [Host(self, number) for number in range(1, notes.get("hosts", 0) + 1)]

    def _read_notes(self):
        try:
            with open(os.path.join(self.folder, NOTES), encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return {}

    def _write_notes(self):
        path = os.path.join(self.folder, NOTES)
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump({"id": self.id, "hosts": len(self.hosts), "accel": self.accel}, file)
        os.replace(path + ".new", path)

    def host(self, name):
        for host in self.hosts:
            if host.name == name:
                return host
        known = ", ".join(host.name for host in self.hosts) or "none: is it a lab's directory?"
        raise LabError(f"no host {name} in {self.folder} (there is {known})")

    def running_inits(self):
        """Name to pid of every process 1 of this lab."""
        found = {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    words = file.read().decode(errors="replace").split("\0")
            except OSError:
                continue
            # python3 .../init.py READY_FD ID HOST ...; a dead process has no command line.
            if len(words) > 4 and words[1].endswith("/labkit/init.py") and words[3] == self.id:
                found[words[4]] = int(entry)
        return found

    def network(self):
        """The lab's network by its bridge (an IPv4Interface), or None when it is down."""
        for link in json.loads(_ip("-j", "-4", "addr", "show") or "[]"):
            if link.get("ifname") == self.bridge and link["addr_info"]:
                address = link["addr_info"][0]
                return ipaddress.ip_interface(f"{address['local']}/{address['prefixlen']}")
        return None

    def address_of(self, host):
        """An IPv4Interface."""
        network = self.network()
        if network is None:
            raise LabError(f"the lab in {self.folder} is down")
        return ipaddress.ip_interface(f"{network.ip + 9 + host.number}/{network.network.prefixlen}")

    def _plug_bridge(self):
        """Makes the bridge, with the first network that nothing on the machine uses."""
        if self.network() is not None:
            return
        with open(LOCK, "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            free = free_network("10.76.0.0/16")
            _ip("link", "del", self.bridge, check=False)
            _ip("link", "add", self.bridge, "type", "bridge")
            _ip("addr", "add", f"{free[1]}/{free.prefixlen}", "dev", self.bridge)
            _ip("link", "set", self.bridge, "up")  # its route now marks the network as used

    def up(self, host_count, accel):
        """Makes the lab, or powers on those of its hosts that are off. On failure nothing stays up."""
        if not 1 <= host_count <= MAX_HOSTS:
            raise LabError(f"a lab has 1 to {MAX_HOSTS} hosts, not {host_count}")
        if self.hosts and len(self.hosts) != host_count:
            raise LabError(f"{self.folder} holds a lab of {len(self.hosts)} hosts; lab down {self.folder} --purge first")
        if accel == "auto":
            usable = subprocess.run([os.path.join(SCRIPTS, "kvm-usable")], capture_output=True, check=False)
            accel = "tcg" if usable.returncode else "kvm"
        os.makedirs(self.folder, exist_ok=True)
        self.accel = accel
        self.hosts = [Host(self, number) for number in range(1, host_count + 1)]
        self._write_notes()
        try:
            self._plug_bridge()
            self.power_on(self.hosts)
        except BaseException:
            self.down()
            raise

    def power_on(self, hosts):
        """Brings those of the hosts up that are off; returns when their daemons serve. Main thread only."""
        network = self.network()
        if network is None:
            raise LabError(f"the lab in {self.folder} is down: lab up")
        for host in hosts:
            if host.init_pid() is None:
                host.power_on(self.address_of(host), network.ip)
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            list(pool.map(Host.start_services, hosts))

    def route(self, host, network):
        """Lets the machine reach a network behind the host, for as long as the lab is up."""
        _ip("route", "replace", network, "via", str(self.address_of(host).ip), "dev", self.bridge)

    def down(self, purge=False):
        """Ends everything that carries the lab's id; fine to call at any time."""
        numbers = {host.number for host in self.hosts} | {int(name[1:]) for name in self.running_inits()}
        for number in sorted(numbers):
            Host(self, number).power_off()
        for link in _links():
            if link.startswith(f"{self.bridge}-"):
                _ip("link", "del", link, check=False)
        _ip("link", "del", self.bridge, check=False)
        if purge and os.path.exists(os.path.join(self.folder, NOTES)):
            shutil.rmtree(self.folder)

    def status(self):
        """What is up, as plain data."""
        links = {link["ifname"]: link for link in json.loads(_ip("-j", "link", "show") or "[]")}
        network = self.network()
        rows = []
        for host in self.hosts:
            pid = host.init_pid()
            rows.append({
                "host": host.name, "pid": pid, "power": "on" if pid else "off",
                "address": str(self.address_of(host).ip) if network else None,
                "link": "up" if "UP" in links.get(host.cable, {}).get("flags", []) else "down",
                "services": [s.name for s in services.SERVICES if pid and services.pid_of(pid, s) is not None],
            })
        return {"id": self.id, "directory": self.folder, "accel": self.accel,
                "manager_address": str(network.ip) if network else None, "bridge": self.bridge, "hosts": rows}
