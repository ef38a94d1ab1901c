# SPDX-License-Identifier: Apache-2.0
"""Moves of VMs that are off: disks, linked ones too, firmware settings and TPM go from host to host; whatever dies meanwhile, there is
exactly one whole copy."""
import json
import time

from live import Cases
from runkit.processes import wait_for
from whole_site import LIVING, check, refused

SLOW = 12 << 20  # bytes/s
POOLS = "/var/lib/winsphere/pools"


class ColdCases(Cases):
    """A VM that has written to its disks, and is off."""

    def written(self, name, **options):
        vm = self.estate.prover(name, held_mib=4, **options)
        self.estate.prove(vm)  # and ends it
        return vm

    def content(self, host, vm):
        """Key of each disk to the checksum of what its guest sees."""
        sums = {}
        for disk in self.estate.vm(vm)["disks"]:
            name = self.estate.file_of(host, disk["volume"])
            host.inside("qemu-img", "convert", "-O", "raw", f"{POOLS}/local/{name}", f"{POOLS}/plain.raw")
            sums[disk["key"]] = host.inside("sha256sum", f"{POOLS}/plain.raw").split()[0]
            host.inside("rm", f"{POOLS}/plain.raw")
        return sums

    def hidden(self, host):
        return host.inside("find", f"{POOLS}/local", "-name", ".new-*").split()

    def is_whole_on(self, vm, host, sums):
        self.estate.only_on(vm, host)
        for other in self.estate.hosts:
            check(not self.hidden(other), f"{other.name} has {self.hidden(other)}")
        found = self.content(host, vm)
        check(found == sums, f"the disks of {vm} differ: {found} {sums}")


class Cold(ColdCases):
    """Nothing goes wrong here."""

    def stopped_vm_moves_with_its_disks_and_loses_nothing(self):
        vm = self.vm = self.written("cold")
        self.sums = self.content(self.home, vm)
        self.moved(vm, self.away)
        self.is_whole_on(vm, self.away, self.sums)
        check(self.estate.power(vm) == "off", self.estate.power(vm))
        row = self.last_log(vm)
        check(row["result"] == "done" and row["kind"] == "both" and not row["live"] and row["bytes"] > 1 << 20, row)
        print(f"# {row['duration_ms']} ms, {row['bytes'] >> 20} MiB", flush=True)

    def it_moves_back_as_something_else(self):
        self.moved(self.vm, self.home, disks=[{"key": "disk-1", "format": "qcow2", "provisioning": "lazy_zeroed"}])
        self.is_whole_on(self.vm, self.home, self.sums)
        volume = next(disk["volume"] for disk in self.estate.vm(self.vm)["disks"] if disk["key"] == "disk-1")
        record = self.api.get(f"volumes/{volume}")
        check((record["format"], record["provisioning"]) == ("qcow2", "lazy_zeroed") and record["allocated_bytes"] >= 64 << 20, record)

    def it_starts_there_and_its_guest_goes_on(self):
        before = self.estate.said(self.vm).count("login:")
        self.api.do(f"vms/{self.vm}/start")
        wait_for("the guest to start", lambda: self.estate.said(self.vm).count("login:") > before, 90)
        self.estate.destroy(self.vm)

    def firmware_settings_and_tpm_go_along(self):
        vm = self.api.do("vms", {"name": "sealed", "host": self.home.id, "memory_bytes": 134217728, "firmware": "uefi", "tpm": True,
                                 "nics": [{"port_group": self.home.group}],
                                 "disks": [{"new_volume": {"size_bytes": 4 << 20, "pool": self.home.pool}}]})["result"]
        uuid = self.estate.vm(vm)["uuid"]
        self.api.do(f"vms/{vm}/start")
        wait_for("a TPM with a state", lambda: self.secrets(self.home, uuid).count("tpm2-00.permall"), 30)
        self.api.do(f"vms/{vm}/power_off")
        before = self.secrets(self.home, uuid)
        check(before.count("\n") == 2, before)
        self.moved(vm, self.away)
        check(self.secrets(self.away, uuid) == before, lambda: f"{self.secrets(self.away, uuid)} was {before}")
        check(not self.secrets(self.home, uuid), lambda: f"left: {self.secrets(self.home, uuid)}")
        self.api.do(f"vms/{vm}/start")
        self.estate.destroy(vm)

    def secrets(self, host, uuid):
        """Checksums of NVRAM and TPM state, with their names."""
        files = host.inside("find", "/var/lib/libvirt/qemu/nvram", f"/var/lib/libvirt/swtpm/{uuid}", "-type", "f", "-size", "+0") \
            if uuid in host.domains() else ""
        return "".join(sorted(host.inside("sha256sum", name) for name in files.split() if not name.endswith(".lock")))

    def hibernated_vm_is_refused(self):
        vm = self.estate.prover("asleep", held_mib=4)
        self.api.do(f"vms/{vm}/hibernate")
        refused("wrong_state", self.api.post, f"vms/{vm}/migrate", {"host": self.away.id})
        self.api.do(f"vms/{vm}/discard_saved")
        self.estate.destroy(vm)


class ColdFaults(ColdCases):
    """In the middle of carrying."""

    @property
    def vm(self):
        if getattr(self, "_vm", None) is None:
            self._vm = self.written("cold-faults")
            self.sums = self.content(self.home, self._vm)
        return self._vm

    def begun(self, **options):
        task = self.estate.migrate(self.vm, self.away, **{"bandwidth_bytes_per_s": SLOW, **options})

        def carries():
            now = self.api.get(f"tasks/{task['id']}")
            check(now["state"] in LIVING, lambda: f"it ended: {json.dumps(now.get('error'))}")
            return now.get("progress", {}).get("done", 0) > 4 << 20
        wait_for("bytes to move", carries, 60)
        return task

    def ended(self, task, states, deadline_s=180):
        task = self.api.wait(task, deadline_s)
        check(task["state"] in states, lambda: f"{task['state']}: {json.dumps(task.get('error'))} {json.dumps(task.get('log'))}")
        self.estate.wait_connected(*self.estate.hosts)
        wait_for("the VM to be free", lambda: not self.estate.vm(self.vm).get("activity"), 30)
        return task

    def stays_whole(self, task, states=("failed", "rolled_back"), **options):
        self.ended(task, states, **options)
        self.is_whole_on(self.vm, self.home, self.sums)

    def goes_whole(self, task):
        self.ended(task, ("done",))
        self.is_whole_on(self.vm, self.away, self.sums)
        self.moved(self.vm, self.home)

    def cancelled_carrying_leaves_nothing(self):
        task = self.begun()
        start = time.monotonic()
        self.api.post(f"tasks/{task['id']}/cancel")
        self.stays_whole(task, ("cancelled",))
        print(f"# cancelled and clean after {time.monotonic() - start:.1f} s", flush=True)

    def nobody_starts_it_on_the_source_meanwhile(self):
        task = self.begun()
        uuid = self.estate.vm(self.vm)["uuid"]
        status, said = self.home.attempt("virsh", "start", uuid)
        check(status != 0 and "lock" in said and self.home.domains()[uuid] == "shut off", said)
        refused("busy", self.api.post, f"vms/{self.vm}/start", {})
        self.goes_whole(task)

    def agent_of_the_source_killed_while_it_carries(self):
        task = self.begun()
        self.estate.kill(self.home.agent)
        self.home.start_agent()
        self.goes_whole(task)  # it begins anew

    def agent_of_the_target_killed_while_it_receives(self):
        task = self.begun()
        self.estate.kill(self.away.agent)
        self.away.start_agent()
        self.stays_whole(task)

    def manager_killed_while_they_carry(self):
        task = self.begun()
        self.estate.kill(self.estate.manager)
        self.estate.start_manager()
        self.goes_whole(task)

    def target_loses_its_power_while_it_receives(self):
        task = self.begun()
        self.away.power_off()
        self.away.power_on()
        self.stays_whole(task, deadline_s=300)

    def pool_of_the_target_fills_up_while_it_receives(self):
        small = self.away.small_pool(200 << 20)
        task = self.begun(pool=small)
        self.away.fill(200 << 20)
        self.stays_whole(task)
        print(f"# {self.last_log(self.vm)['reason']}", flush=True)
        self.away.drop_small_pool(small)

    def cold_vm_is_still_what_it_was(self):
        self.is_whole_on(self.vm, self.home, self.sums)
        self.estate.destroy(self.vm)
