# SPDX-License-Identifier: Apache-2.0
"""Disks that move between pools of one host, of running VMs and of those that are off; and what may happen meanwhile."""
import json
import re

from cold import ColdCases
from runkit.processes import wait_for
from whole_site import LIVING, check, refused

ROOT = "/var/lib/winsphere/pools"
SLOW = 4 << 20  # bytes/s of each disk
TRIES = 5


class StorageCases(ColdCases):
    """A second pool on the first host."""

    def second_pool(self):
        pool = next((row["id"] for row in self.api.items("pools") if row["name"] == "second"), None)
        return pool or self.api.do("pools", {"name": "second", "hosts": [self.home.id], "path": f"{ROOT}/second"})["result"]

    def shifted(self, vm, deadline_s=120, **options):
        task = self.api.wait(self.api.post(f"vms/{vm}/migrate_storage", options), deadline_s)
        check(task["state"] == "done", lambda: f"{json.dumps(task.get('error'))} ({task['state']}) {json.dumps(task.get('log'))}")
        return task

    def files(self, folder):
        return {name for name in self.home.inside("find", f"{ROOT}/{folder}", "-type", "f", "-printf", "%P\\n").split()
                if not name.startswith(".winsphere")}

    def leases(self, uuid, held=False):
        """Folders with a record of its lease; held: with one that bars others now."""
        found = set()
        for folder in ("local", "second"):
            text = self.home.attempt("cat", f"{ROOT}/{folder}/.winsphere-leases/{uuid}")[1]
            slots = sorted((int(n), state) for n, state in re.findall(r"sequence (\d+)\n.*?\nheld (\w+)\n", text, re.DOTALL))
            if slots and (not held or slots[-1][1] == "yes"):
                found.add(folder)
        return found

    def lies_in(self, vm, folder):
        """Its disks are there and nowhere else, on the host as in the inventory; and the guest, or its definition, uses them."""
        uuid = self.estate.vm(vm)["uuid"]
        for disk in self.estate.vm(vm)["disks"]:
            volume = self.api.get(f"volumes/{disk['volume']}")
            for other in ("local", "second"):
                names = [name for name in self.files(other) if name.startswith(f"{disk['volume']}-")]
                check(bool(names) == (other == folder), lambda: f"{disk['key']} in {other}: {names}")
            for flag in ([], ["--inactive"]):
                used = self.home.inside("virsh", "domblklist", uuid, *flag)
                check(f"{ROOT}/{folder}/{volume['file'] if 'file' in volume else disk['volume']}" in used, used)
        check("mirror" not in self.home.inside("virsh", "dumpxml", uuid), "a mirror is left")
        check(self.leases(uuid) == {folder}, f"its lease lies in {self.leases(uuid)}")


class Storage(StorageCases):
    """Nothing goes wrong here."""

    def running_guest_keeps_on_while_its_disks_move(self):
        self.second = self.second_pool()
        vm = self.vm = self.estate.prover("shifter", held_mib=4)
        self.shifted(vm, pool=self.second, disks=[{"key": "disk-1", "format": "qcow2"}])
        self.lies_in(vm, "second")
        row = self.last_log(vm)
        check(row["kind"] == "storage" and row["live"] and row["from_host"] == row["to_host"], row)
        print(f"# {row['duration_ms']} ms", flush=True)
        self.estate.wait_held(vm, 2)

    def it_has_lost_nothing_when_it_comes_back(self):
        self.shifted(self.vm, pool=self.home.pool, disks=[{"key": "disk-1", "format": "raw", "provisioning": "lazy_zeroed"}])
        self.lies_in(self.vm, "local")
        volume = next(disk["volume"] for disk in self.estate.vm(self.vm)["disks"] if disk["key"] == "disk-1")
        record = self.api.get(f"volumes/{volume}")
        check((record["format"], record["provisioning"]) == ("raw", "lazy_zeroed") and record["allocated_bytes"] >= 60 << 20, record)
        print(f"# {self.estate.prove(self.vm)} records", flush=True)

    def disks_of_a_vm_that_is_off_move_too(self):
        sums = self.content(self.home, self.vm)
        self.shifted(self.vm, pool=self.second)
        self.lies_in(self.vm, "second")
        self.shifted(self.vm, disks=[{"key": "disk-1", "pool": self.home.pool, "format": "qcow2", "provisioning": "thin"}])
        self.shifted(self.vm, pool=self.home.pool)
        self.lies_in(self.vm, "local")
        found = self.content(self.home, self.vm)
        check(found == sums, f"{found} {sums}")

    def what_is_there_already_is_refused(self):
        refused("bad_value", self.api.post, f"vms/{self.vm}/migrate_storage", {"pool": self.home.pool})
        refused("cannot_move", self.api.post, f"vms/{self.vm}/migrate_storage", {"pool": self.away.pool})
        self.estate.destroy(self.vm)


class StorageFaults(StorageCases):
    """In the middle of copying."""

    @property
    def vm(self):
        if getattr(self, "_vm", None) is None:
            self.second = self.second_pool()
            self._vm = self.estate.prover("shift-faults", held_mib=4)
        return self._vm

    def begun(self, share=0.2, may_end=False, **options):
        vm = self.vm
        task = self.api.post(f"vms/{vm}/migrate_storage", {"pool": self.second, "bandwidth_bytes_per_s": SLOW, **options})

        def copies():
            now = self.api.get(f"tasks/{task['id']}")
            check(may_end or now["state"] in LIVING, lambda: f"it ended: {json.dumps(now.get('error'))}")
            progress = now.get("progress", {})
            return now["state"] not in LIVING or (progress.get("total") and progress.get("done", 0) >= share * progress["total"])
        wait_for("a share to be copied", copies, 120)
        return task

    def stays(self, task, states, deadline_s=180):
        task = self.api.wait(task, deadline_s)
        check(task["state"] in states, lambda: f"{task['state']}: {json.dumps(task.get('error'))} {json.dumps(task.get('log'))}")
        self.estate.wait_connected(*self.estate.hosts)
        self.lies_in(self.vm, "local")
        self.estate.runs_once(self.vm)
        self.estate.wait_held(self.vm, 2)
        return task

    def copy_cancelled_near_its_end_leaves_all_as_it_was(self):
        for _ in range(TRIES):
            task = self.begun(share=0.9, may_end=True)
            self.api.cancel(task)
            if self.api.wait(task)["state"] != "done":
                break
            self.shifted(self.vm, pool=self.home.pool)  # it was faster than we
        self.stays(task, ("cancelled",))

    def agent_killed_while_it_copies(self):
        task = self.begun()
        self.estate.kill(self.home.agent)
        check("local" in self.leases(self.estate.vm(self.vm)["uuid"], held=True), "its lease is not where it runs")
        self.home.start_agent()
        ended = self.api.wait(task, 240)
        check(ended["state"] == "done", lambda: f"{ended['state']}: {json.dumps(ended.get('error'))}")
        self.lies_in(self.vm, "second")
        self.shifted(self.vm, pool=self.home.pool)

    def lease_is_beside_what_the_definition_names_at_every_moment(self):
        """Looked at without end while disks go over and back."""
        uuid, looks = self.estate.vm(self.vm)["uuid"], 0
        for pool in (self.second, self.home.pool):
            task = self.api.post(f"vms/{self.vm}/migrate_storage", {"pool": pool})
            while self.api.get(f"tasks/{task['id']}")["state"] in LIVING:
                before = self.leases(uuid, held=True)  # first: what is written later may only add to it
                named = set(re.findall(ROOT + r"/(\w+)/", self.home.inside("virsh", "domblklist", uuid, "--inactive")))
                held = before | self.leases(uuid, held=True)
                check(named & {"local", "second"} <= held, f"defined in {named}, lease in {held}")
                looks += 1
            check(self.api.wait(task)["state"] == "done", task)
        print(f"# {looks} looks", flush=True)
        self.lies_in(self.vm, "local")

    def manager_killed_while_the_host_copies(self):
        task = self.begun()
        self.estate.kill(self.estate.manager)
        self.estate.start_manager()
        ended = self.api.wait(task, 240)
        check(ended["state"] == "done", lambda: f"{ended['state']}: {json.dumps(ended.get('error'))}")
        self.lies_in(self.vm, "second")
        self.shifted(self.vm, pool=self.home.pool)

    def pool_that_fills_up_while_it_is_copied_to(self):
        vm = self.vm
        self.home.inside("mkdir", "-p", f"{ROOT}/small")
        small = self.home.small_pool(200 << 20)
        task = self.begun(pool=small)
        self.home.fill(200 << 20)
        ended = self.stays(task, ("failed", "rolled_back"))
        check(ended["error"]["code"] == "no_capacity", ended["error"])
        self.home.drop_small_pool(small)
        check(self.estate.vm(vm)["power"]["state"] == "running", "it stands still")

    def nothing_of_it_was_lost(self):
        print(f"# {self.estate.prove(self.vm)} records", flush=True)
        self.estate.destroy(self.vm)
