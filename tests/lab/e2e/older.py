# SPDX-License-Identifier: Apache-2.0
"""A host whose agent is of an older version, beside newer ones (docs/architecture.md, Versions). Needs a winserverd that was built from an
older commit with an older version in meson.build: WS_TEST_OLDER_AGENT names it."""
import os

from labkit import namespaces
from whole_site import Case, Skip, check, wait_for
from estate_site import LOCAL_ROOT, STATE_DIR

PROGRAM = os.environ.get("WS_TEST_OLDER_AGENT")
MOVE_DEADLINE_S = 120


class Older(Case):
    """The first host's agent is the older one; each case goes on where the one before ended."""

    @property
    def first(self):
        return self.site.members[0]

    def start(self, program):
        """The first host's agent is this program from now on."""
        first = self.first
        first.agent.stop()
        first.agent.remember(namespaces.spawn(first.lab_host.running_init(), [program, "--state-dir", STATE_DIR, "--pool-root", LOCAL_ROOT,
                                                                               "--pool-root", self.site.shared_root], first.agent.log))
        wait_for("its version", lambda: first.now()["state"] == "connected" and self.is_older() == (program == PROGRAM), 60)

    def is_older(self):
        return self.first.now()["agent_version"] != self.site.members[1].now()["agent_version"]

    def alarms(self):
        return [alarm["kind"] for alarm in self.api.items("alarms") if alarm["object"] == self.first.id]

    def qemu(self, vm):
        """The pid of its QEMU on the first host, as that host counts."""
        return self.first.inside("cat", f"/run/libvirt/qemu/{self.name_of(vm)}.pid").strip()

    def name_of(self, vm):
        return self.first.inside("virsh", "domname", self.site.vm(vm)["uuid"]).strip()

    def newer(self):
        """The task of what the older agent does not know: a pool on NFS, which cannot be mounted."""
        return self.api.wait(self.api.post("pools", {"name": "filer", "kind": "nfs", "hosts": [self.first.id], "path": f"{LOCAL_ROOT}/filer",
                                                     "nfs": {"server": "127.0.0.1", "export": "/nowhere", "timeout_s": 1, "retrans": 1}}))

    def moved(self, vm, to):
        task = self.api.wait(self.api.post(f"vms/{vm}/migrate", {"host": self.site.members[to].id}), MOVE_DEADLINE_S)
        check(task["state"] == "done" and self.site.vm(vm)["host"] == self.site.members[to].id, task)

    def older_agent_connects_and_people_are_told(self):
        if not PROGRAM:
            raise Skip("no older agent is named in WS_TEST_OLDER_AGENT")
        self.start(PROGRAM)
        wait_for("the alarm", lambda: "host_agent_older" in self.alarms(), 20)
        print(f"# {self.first.now()['agent_version']} beside {self.site.members[1].now()['agent_version']}", flush=True)

    def vm_lives_on_its_host(self):
        self.known()
        vm = self.vm_there = self.site.deploy("on-older")
        self.site.wait_guest(vm)
        for verb in ("pause", "resume", "power_off", "start"):
            self.api.do(f"vms/{vm}/{verb}")
        volume = self.api.do("volumes", {"name": "more", "pool": self.site.shared, "size_bytes": 8 << 20})["result"]
        self.api.do(f"vms/{vm}/attach_disk", {"disk": {"volume": volume}})
        self.site.wait_guest(vm)

    def running_vm_moves_away_and_comes_back(self):
        self.known()
        self.moved(self.vm_there, 1)
        self.moved(self.vm_there, 0)
        self.site.wait_power(self.vm_there, "running")

    def vm_that_is_off_moves_with_its_disks(self):
        self.known()
        vm = self.site.deploy("off-older", pool=self.site.local[0], linked=False)
        self.api.do(f"vms/{vm}/power_off")
        self.moved(vm, 1)
        self.moved(vm, 0)
        self.api.do(f"vms/{vm}/start")
        self.site.destroy(vm)

    def what_it_does_not_know_is_refused_in_clear_words(self):
        self.known()
        task = self.newer()
        print(f"# {task['error']}", flush=True)
        check(task["state"] in ("failed", "rolled_back") and task["error"]["code"] == "peer_older", task)
        check(not [pool for pool in self.api.items("pools") if pool["name"] == "filer"], "the pool is there")

    def upgrade_by_another_program_keeps_its_guests(self):
        self.known()
        vm, before = self.vm_there, self.qemu(self.vm_there)
        self.start(self.site.program("winserverd"))
        wait_for("the alarm to end", lambda: "host_agent_older" not in self.alarms(), 20)
        check(self.qemu(vm) == before and self.site.power(vm) == "running", self.site.vm(vm))
        self.moved(vm, 1)
        self.moved(vm, 0)
        self.site.destroy(vm)
        task = self.newer()
        check(task["error"]["code"] != "peer_older", task)

    def known(self):
        if not PROGRAM:
            raise Skip("no older agent")
