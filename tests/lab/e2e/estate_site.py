# SPDX-License-Identifier: Apache-2.0
"""A site of several lab hosts: one manager, an agent on each host, a cluster, and a pool that all of them share.

The hosts are namespaces of one machine, so a folder of the machine is at the same path in each of them: that is the shared pool. Local pools
lie in each host's own file system.
"""
import contextlib
import os
import re
import shutil

import proving
from labkit import namespaces
from labkit.lab import Lab
from runkit.processes import Failure, Process, run, wait_for
from runkit.product import Product
from whole_site import ROOT, Api, Site, check

STATE_DIR = "/var/lib/winsphere/host"
LOCAL_ROOT = "/var/lib/winsphere/pools"


class Member:
    """One host of the estate: its lab host, its agent, its id in the inventory."""

    def __init__(self, estate, lab_host):
        self.estate = estate
        self.lab_host = lab_host
        self.agent = Process(estate.top, f"agent-{lab_host.name}")
        self.id = None

    def run(self, *argv, text=None):
        """(status, output) of a program in the host."""
        return namespaces.run(self.lab_host.running_init(), list(argv), text=text)

    def inside(self, *argv):
        status, output = self.run(*argv)
        check(status == 0, f"{' '.join(argv)} on {self.lab_host.name} ended with {status}: {output}")
        return output

    def join(self, **token):
        """Enrols and starts the agent; returns when the manager sees it connected."""
        secret = self.estate.api.post("join-tokens", {"host_name": self.lab_host.name, **token})["token"]
        status, output = self.run(self.estate.program("winserverd"), "--join", "-", "--manager", self.estate.url, "--state-dir",
                                  STATE_DIR, text=secret)
        check(status == 0, f"{self.lab_host.name} cannot join: {output}")
        self.start_agent()
        hosts = self.estate.api.items("hosts")
        self.id = next(host["id"] for host in hosts if host["name"] == self.lab_host.name)
        self.wait_connected()

    def start_agent(self):
        self.agent.remember(namespaces.spawn(self.lab_host.running_init(),
                                             [self.estate.program("winserverd"), "--state-dir", STATE_DIR, "--pool-root", LOCAL_ROOT,
                                              "--pool-root", self.estate.shared_root], self.agent.log))

    def now(self):
        return self.estate.api.get(f"hosts/{self.id}")

    def wait_connected(self):
        wait_for(f"{self.lab_host.name} to connect", lambda: self.now()["state"] == "connected", 60)

    def wait_lost(self):
        wait_for(f"{self.lab_host.name} to be lost", lambda: self.now()["state"] == "lost", 60)

    def domains(self):
        """UUID to state of every domain of the host, by libvirt's own word."""
        return {uuid: self.inside("virsh", "domstate", uuid).strip() for uuid in self.inside("virsh", "list", "--all", "--uuid").split()}

    def fail_power(self):
        self.lab_host.power_off()

    def power_on(self):
        """And its agent; returns when it is connected."""
        self.estate.lab.power_on([self.lab_host])
        self.start_agent()
        self.wait_connected()


class Estate(Site):
    """`hosts` lab hosts in one cluster; self.shared is a pool that all see, self.local[i] a local one of each, self.groups[i] a port group."""

    def __init__(self, programs, hosts=3):
        super().__init__(programs)
        os.chmod(self.top, 0o755)  # QEMU finds the shared pool below it
        self.n_hosts = hosts
        self.lab = Lab(os.path.join(self.top, "lab"))
        self.shared_root = os.path.join(self.top, "shared")
        self.members = []
        self.place = self  # what Site.start_manager() asks: the address at which hosts reach the manager

    @property
    def manager_address(self):
        return str(self.lab.network().ip)

    @property
    def url(self):
        return f"https://{self.manager_address}:{self.port}"

    def up(self):
        os.mkdir(self.shared_root, 0o755)
        self.lab.up(self.n_hosts, "auto")
        self.start_manager()
        with open(os.path.join(self.manager_dir, "initial-password"), encoding="ascii") as file:
            password = file.read().strip()
        ca_file = os.path.join(self.manager_dir, "ca.crt")
        self.product = Product(self.program("winctl"), f"https://127.0.0.1:{self.port}", self.top)
        self.product.login(password, ca_file)
        self.api = Api(self.port, ca_file, password)
        pool = self.api.items("host-pools")[0]["id"]
        self.cluster = self.api.post("clusters", {"name": "lab", "host_pool": pool})["id"]
        self.members = [Member(self, host) for host in self.lab.hosts]
        for member in self.members:
            member.join(cluster=self.cluster)
        self.local = [self.make("pool", f"local-{m.lab_host.name}", hosts=[m.id], path=f"{LOCAL_ROOT}/local") for m in self.members]
        self.shared = self.make("pool", "shared", kind="shared_directory", hosts=[m.id for m in self.members],
                                path=os.path.join(self.shared_root, "pool"))
        self.groups = []
        for number, member in enumerate(self.members):
            switch = self.make("switch", f"internal-{number}", plural="switches", host=member.id)
            self.groups.append(self.make("port-group", "guests", switch=switch, subnet={"cidr": f"10.78.{number}.0/24"}))
        self.guest_file = os.path.join(self.top, "guest.qcow2")
        run(os.path.join(ROOT, "scripts/make-guest"), self.guest_file)
        self.image = self.product.image(self.shared, self.guest_file)
        self.pool, self.group, self.host = self.shared, self.groups[0], self.members[0].id

    # ---- guests that prove themselves (proving.py) ----

    def prover(self, name, at=0, pool=None, **disk):
        """One that runs on a member, its second disk in the shared pool or this one; returns when it has begun."""
        vm = self.deploy(name, at=at, start=False, memory_bytes=proving.MEMORY_BYTES,
                         cloud_init={"hostname": name, "user_data": proving.USER_DATA.format(held=4 << 20, more="true")})
        new = {"size_bytes": proving.DATA_BYTES, "pool": pool or self.shared, "format": "raw", **disk}
        self.api.do(f"vms/{vm}/attach_disk", {"disk": {"new_volume": new}})
        self.api.do(f"vms/{vm}/start")
        self.wait_held(vm, 2)
        return vm

    def member_of(self, vm):
        return next(member for member in self.members if member.id == self.vm(vm)["host"])

    def held(self, vm):
        """How often the guest has compared its memory since it began, by what it says on the host where it is."""
        status, text = self.member_of(vm).run("cat", f"/var/lib/winsphere/serial/{self.vm(vm)['uuid']}.log")
        check(" BAD" not in text, f"the memory of {vm} has changed")
        numbers = [int(number) for number in re.findall(r"HELD (\d+) good", text)] if status == 0 else []
        return numbers[-1] if numbers else -1

    def wait_held(self, vm, more):
        """So many times more than now."""
        before = self.held(vm)
        wait_for(f"{vm} to look at its memory", lambda: self.held(vm) >= before + more, 90)
        return self.held(vm)

    def prove(self, vm, pool_path=None):
        """It is powered off; how many records it had written: all of them are right."""
        self.api.do(f"vms/{vm}/power_off")
        member = self.member_of(vm)
        volume = next(disk["volume"] for disk in self.vm(vm)["disks"] if disk["key"] == "disk-1")
        folder = pool_path or self.api.get(f"pools/{self.api.get(f'volumes/{volume}')['pool']}")["path"]
        name = member.inside("find", folder, "-name", f"{volume}-*").split()[0]
        with open(f"/proc/{member.lab_host.running_init()}/root{name}", "rb") as file:
            number, whole = proving.count_records(file.read())
        check(whole and number > 0, f"{name}: {number} records are right; is that all: {whole}")
        return number

    def make(self, noun, name, plural=None, **fields):
        """An object by its create task; its id."""
        return self.api.do(plural or f"{noun}s", {"name": name, **fields})["result"]

    def deploy(self, name, at=0, **options):
        """A VM from the small guest on a member; its id."""
        return super().deploy(name, host=self.members[at].id, port_group=self.groups[at], **options)

    def last_words(self):
        words = [f"{p.name}: {p.last_words()}" for p in [self.manager, *(m.agent for m in self.members)]]
        return "\n".join(words)

    def down(self):
        for process in [*(m.agent for m in self.members), self.manager]:
            with contextlib.suppress(Failure):
                process.stop()
        self.lab.down()
        shutil.rmtree(self.top, ignore_errors=True)
