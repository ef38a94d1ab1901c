# SPDX-License-Identifier: Apache-2.0
"""Hosts between which VMs move: manager, lab hosts with agents, a pool and a port group on each; and a guest that proves itself.

The guest is that of proving.py; its serial line is kept by the host.
"""
import contextlib
import os
import shutil
import socket
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path[:0] = [os.path.join(ROOT, "tests/lab/e2e"), os.path.join(ROOT, "scripts")]
from labkit import namespaces, services  # noqa: E402  (after the path)
from labkit.lab import Lab  # noqa: E402
from proving import DATA_BYTES, MEMORY_BYTES, USER_DATA, count_records  # noqa: E402
from runkit.processes import Failure, Process, run, wait_for  # noqa: E402
from runkit.product import Product  # noqa: E402
from whole_site import Api, Site, check  # noqa: E402

STATE_DIR = "/var/lib/winsphere/host"
POOL_ROOT = "/var/lib/winsphere/pools"
DIRTY = "(while :; do dd if=/dev/zero of=/run/dirt bs=1M count={mib} 2> /dev/null; done) &"


class Host:
    """A lab host with its agent, its pool and its port group."""

    def __init__(self, estate, lab_host):
        self.estate = estate
        self.lab_host = lab_host
        self.name = lab_host.name
        self.agent = Process(estate.top, f"agent-{self.name}")
        self.id = self.pool = self.group = None

    def attempt(self, *argv, text=None):
        """(exit status, what it said)."""
        return namespaces.run(self.lab_host.running_init(), list(argv), text=text)

    def inside(self, *argv, text=None):
        status, output = self.attempt(*argv, text=text)
        check(status == 0, f"{self.name}: {' '.join(argv)} ended with {status}: {output}")
        return output

    def join(self):
        site = self.estate
        self.inside(site.program("winserverd"), "--join", "-", "--manager", site.url, "--state-dir", STATE_DIR,
                    text=site.product.join_token())

    def start_agent(self, *options):
        self.agent.remember(namespaces.spawn(self.lab_host.running_init(), [
            self.estate.program("winserverd"), "--state-dir", STATE_DIR, "--pool-root", POOL_ROOT, *options], self.agent.log))

    def furnish(self):
        product = self.estate.product
        known = {host["id"] for host in self.estate.api.items("hosts")}
        self.join()
        self.start_agent()
        self.id = next(host["id"] for host in self.estate.api.items("hosts") if host["id"] not in known)
        self.estate.wait_connected(self)
        self.pool = product.call("pool", "create", "--name", f"local-{self.name}", "--hosts", self.id, "--path", f"{POOL_ROOT}/local",
                                 "--wait")["result"]
        switch = product.call("switch", "create", "--name", "internal", "--host", self.id, "--wait")["result"]
        self.group = product.call("port-group", "create", "--name", "guests", "--switch", switch, "--wait")["result"]

    def domains(self):
        """UUID to state of every domain of the host."""
        rows = {}
        for uuid in self.inside("virsh", "list", "--all", "--uuid").split():
            rows[uuid] = self.inside("virsh", "domstate", uuid).strip()
        return rows

    def pool_files(self):
        names = self.inside("find", f"{POOL_ROOT}/local", "-type", "f", "-printf", "%P\\n").split()
        return {name for name in names if not name.startswith(".winsphere")}

    def ports(self):
        """What listens for connections from elsewhere."""
        return [line for line in self.inside("ss", "-Hlnt").splitlines() if "127.0.0.1" not in line and "[::1]" not in line]

    def small_pool(self, size_bytes):
        """A pool on a file system of its own; its id."""
        self.inside("mkdir", "-p", f"{POOL_ROOT}/small")
        self.inside("mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0755", "small", f"{POOL_ROOT}/small")
        return self.estate.api.do("pools", {"name": "small", "hosts": [self.id], "path": f"{POOL_ROOT}/small"})["result"]

    def fill(self, size_bytes):
        """Until nothing more goes in."""
        namespaces.run(self.lab_host.running_init(), ["dd", "if=/dev/zero", f"of={POOL_ROOT}/small/filler", "bs=64k", f"count={size_bytes >> 16}"])

    def drop_small_pool(self, pool):
        files = self.inside("find", f"{POOL_ROOT}/small", "-name", "vol-*").split()
        check(not files, f"left in the full pool: {files}")
        self.estate.api.do(f"pools/{pool}", {"forget_volumes": True}, "DELETE")
        self.inside("umount", f"{POOL_ROOT}/small")

    def restart_libvirtd(self):
        """kill -9, and start it again."""
        init, service = self.lab_host.running_init(), services.find("libvirtd")
        self.inside("kill", "-9", str(services.pid_of(init, service)))
        wait_for("the end of libvirtd", lambda: services.pid_of(init, service) is None, 10)
        wait_for("the agent to miss it", lambda: not self.agent_has_libvirt(), 10)
        services.start(init, service)
        wait_for("the agent to find its libvirt", self.agent_has_libvirt, 60)

    def believe(self, feature, there):
        """What its libvirt has learned about a CPU feature of the emulator."""
        init, service = self.lab_host.running_init(), services.find("libvirtd")
        words = f"name='{feature}' type='boolean' value='"
        old, new = ("false", "true") if there else ("true", "false")
        services.stop(init, service)
        wait_for("the agent to miss it", lambda: not self.agent_has_libvirt(), 10)
        self.inside("find", "/var/cache/libvirt/qemu/capabilities", "-name", "*.xml", "-exec", "sed", "-i",
                    f"s/{words}{old}/{words}{new}/", "{}", "+")
        services.start(init, service)
        wait_for("the agent to find its libvirt", self.agent_has_libvirt, 60)

    def agent_has_libvirt(self):
        """Its last word on libvirt is that it is connected."""
        with open(self.agent.log, encoding="utf-8", errors="replace") as file:
            words = [line for line in file if "libvirt-connected" in line or "libvirt-lost" in line]
        return words and "libvirt-connected" in words[-1]

    def power_off(self):
        self.lab_host.power_off()

    def power_on(self):
        self.estate.lab.power_on([self.lab_host])
        self.start_agent()


class Estate(Site):
    """A manager and several hosts. What Site does for its one host is not for here."""

    def __init__(self, programs, count):  # noqa: the base's own constructor makes a lab of one host
        self.top = tempfile.mkdtemp(prefix="moves-")
        self.programs = programs
        self.before = []
        self.manager = Process(self.top, "manager")
        self.manager_dir = os.path.join(self.top, "manager")
        self.lab = Lab(os.path.join(self.top, "lab"))
        self.count = count
        self.hosts = []
        self.place = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def up(self):
        self.lab.up(self.count, "auto")
        self.place = type("Place", (), {"manager_address": str(self.lab.network().ip)})
        self.url = f"https://{self.place.manager_address}:{self.port}"
        self.start_manager()
        with open(os.path.join(self.manager_dir, "initial-password"), encoding="ascii") as file:
            password = file.read().strip()
        ca_file = os.path.join(self.manager_dir, "ca.crt")
        self.product = Product(self.program("winctl"), f"https://127.0.0.1:{self.port}", self.top)
        self.product.login(password, ca_file)
        self.api = Api(self.port, ca_file, password)
        self.hosts = [Host(self, host) for host in self.lab.hosts]
        for host in self.hosts:
            host.furnish()
        guest = os.path.join(self.top, "guest.qcow2")
        run(os.path.join(ROOT, "scripts/make-guest"), guest)
        self.image = self.product.image(self.hosts[0].pool, guest)

    def down(self):
        for process in [host.agent for host in self.hosts] + [self.manager]:
            try:
                process.stop()
            except Failure:
                pass
        self.lab.down()
        shutil.rmtree(self.top, ignore_errors=True)

    def wait_connected(self, *hosts):
        for host in hosts:
            wait_for(f"{host.name} to connect", lambda: self.api.get(f"hosts/{host.id}")["state"] == "connected", 90)

    def host_of(self, vm):
        return next(host for host in self.hosts if host.id == self.vm(vm)["host"])

    @contextlib.contextmanager
    def live(self):
        """Meanwhile guests without KVM go on while their memory moves, as those with it do always. What QEMU loses of it then is not looked at."""
        self.start_agents("--move-emulated-live")
        try:
            yield
        finally:
            self.start_agents()

    def start_agents(self, *options):
        for host in self.hosts:
            self.kill(host.agent)
            host.start_agent(*options)
        self.wait_connected(*self.hosts)
        wait_for("the pools", lambda: all(self.api.get(f"pools/{host.pool}")["state"] == "active" for host in self.hosts), 60)

    def prover(self, name, dirty_mib=0, held_mib=24, more=None, **options):
        """A VM that proves itself, running on the first host; returns once it has written. more: one more command of its first boot."""
        more = more or (DIRTY.format(mib=dirty_mib) if dirty_mib else "true")
        home = self.hosts[0]
        body = {"name": name, "image": self.image, "pool": home.pool, "port_group": home.group, "linked": True, "start": False,
                "memory_bytes": MEMORY_BYTES, "cloud_init": {"hostname": name, "user_data": USER_DATA.format(held=held_mib << 20, more=more)},
                **options}
        vm = self.api.do("vms/deploy", body)["result"]
        self.api.do(f"vms/{vm}/attach_disk", {"disk": {"new_volume": {"size_bytes": DATA_BYTES, "pool": home.pool, "format": "raw"}}})
        self.api.do(f"vms/{vm}/start")
        self.wait_held(vm, 2)
        return vm

    def deploy_with(self, name, cpu):
        """A VM that runs on the first host, with such a CPU."""
        home = self.hosts[0]
        return self.api.do("vms/deploy", {"name": name, "image": self.image, "pool": home.pool, "port_group": home.group, "linked": True,
                                          "memory_bytes": MEMORY_BYTES, "cpu": cpu})["result"]

    def said(self, vm, host=None):
        """What the guest said on its serial line while it was on the host."""
        host = host or self.host_of(vm)
        path = f"/var/lib/winsphere/serial/{self.vm(vm)['uuid']}.log"
        status, text = namespaces.run(host.lab_host.running_init(), ["cat", path])
        return text.replace("\r", "") if status == 0 else ""

    def wait_said(self, vm, word, more, host=None):
        """Until the guest has said it so many times more than the log shows now."""
        before = self.said(vm, host).count(word)
        wait_for(f"{vm} to say {word}", lambda: self.said(vm, host).count(word) >= before + more, 90)

    def wait_held(self, vm, more, host=None):
        """Until the guest has compared its memory so many times more than the log shows now."""
        self.wait_said(vm, "HELD ", more, host)
        bad = [line for line in self.said(vm, host).splitlines() if "BAD" in line]
        check(not bad, lambda: f"the memory of {vm} has changed: {bad[:5]}")

    def prove(self, vm):
        """The guest goes on where it is, and has lost nothing. Ends the VM. Returns how many records it wrote."""
        self.wait_held(vm, 2)
        self.runs_once(vm)
        self.api.do(f"vms/{vm}/power_off")
        host = self.host_of(vm)
        disk = next(disk for disk in self.vm(vm)["disks"] if disk["key"] == "disk-1")
        records = self.records(host, self.file_of(host, disk["volume"]))
        check(records > 0, f"{vm} wrote {records} records only")
        return records

    def file_of(self, host, volume):
        return next(name for name in host.pool_files() if name.startswith(f"{volume}-"))

    def records(self, host, name):
        """Checks every record of the disk; the number of them."""
        plain = f"{POOL_ROOT}/plain.raw"
        host.inside("qemu-img", "convert", "-O", "raw", f"{POOL_ROOT}/local/{name}", plain)
        path = f"/proc/{host.lab_host.running_init()}/root{plain}"
        with open(path, "rb") as file:
            data = file.read()
        host.inside("rm", plain)
        number, whole = count_records(data)
        check(whole, f"{name}: record {number} is wrong, and there is more behind it")
        return number

    def migrate(self, vm, target, **options):
        """The task, begun."""
        return self.api.post(f"vms/{vm}/migrate", {"host": target.id, **options})

    def only_on(self, vm, host):
        """The VM is on this host and of it nothing elsewhere: no domain, no file, no port, no session."""
        uuid = self.vm(vm)["uuid"]
        check(self.vm(vm)["host"] == host.id, f"{vm} is on {self.vm(vm)['host']}")
        volumes = [disk["volume"] for disk in self.vm(vm)["disks"]]
        for other in self.hosts:
            here = other is host
            check((uuid in other.domains()) == here, lambda: f"{other.name} has {other.domains()}")
            for volume in volumes:
                has = any(name.startswith(f"{volume}-") for name in other.pool_files())
                check(has == here, lambda: f"{volume} on {other.name}: {has}; {other.pool_files()}")
            check(not other.ports(), lambda: f"{other.name} listens: {other.ports()}")
            sessions = other.inside("find", "/run", "-path", "/run/winsphere/moves/*")
            check(not sessions.strip(), f"{other.name} has {sessions}")

    def runs_once(self, vm):
        uuid = self.vm(vm)["uuid"]
        running = [host.name for host in self.hosts if host.lab_host.init_pid() and host.domains().get(uuid) == "running"]
        check(len(running) == 1, f"{vm} runs on {running or 'no host'}")
