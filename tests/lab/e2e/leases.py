# SPDX-License-Identifier: Apache-2.0
"""A VM never runs twice: a host without power, a host without its link, and a manager that was restored from an older backup (docs/leases.md)."""
import os
import re

from runkit.processes import run
from whole_site import Case, check, refused, wait_for

TASK_DEADLINE_S = 400


class Leases(Case):
    """One VM on the pool that three hosts share; each case goes on where the one before ended."""

    leased = None

    def record(self, vm):
        """What lies beside the VM's disks: the newest slot of its record, as a dict."""
        path = os.path.join(self.api.get(f"pools/{self.site.shared}")["path"], ".winsphere-leases", self.site.vm(vm)["uuid"])
        with open(path, "rb") as file:
            slots = re.findall(rb"winsphere-lease 1\n(.*?)sum ", file.read(), re.DOTALL)
        rows = [dict(line.split(" ", 1) for line in slot.decode().splitlines()) for slot in slots]
        newest = max(rows, key=lambda row: int(row["sequence"]))
        newest["host"] = newest["host"].split("-")[0]  # the machine's own name carries the lab's mark
        return newest

    def where(self, vm):
        """Members on which libvirt says that it runs."""
        uuid = self.site.vm(vm)["uuid"]
        return [m for m in self.site.members if m.lab_host.init_pid() and m.domains().get(uuid) in ("running", "paused")]

    def take_over(self, vm, to, how="powered_off"):
        return self.api.wait(self.api.post(f"vms/{vm}/take_over", {"host": to.id, "host_down": how, "reason": "tried in the lab"}), TASK_DEADLINE_S)

    def is_defined(self, member, uuid):
        return uuid in member.inside("virsh", "list", "--all", "--uuid").split()

    def lose(self, member):
        member.wait_lost()
        self.site.wait_power(self.leased, "unknown")

    def start_says_who_holds_it(self):
        first = self.site.members[0]
        vm = self.leased = self.site.deploy("leased")
        now = self.record(vm)
        check(now["held"] == "yes" and now["host"] == first.lab_host.name and now["generation"] == "1", now)
        check(self.site.vm(vm)["run_generation"] == 1, self.site.vm(vm))
        self.api.do(f"vms/{vm}/power_off")
        wait_for("the lease to be given back", lambda: self.record(vm)["held"] == "no", 10)
        self.api.do(f"vms/{vm}/start")
        now = self.record(vm)
        check(now["held"] == "yes" and now["generation"] == "2", now)
        self.api.do(f"vms/{vm}", {"autostart": True}, "PATCH")
        self.site.wait_guest(vm)

    def live_move_takes_the_lease_along(self):
        vm, second = self.leased, self.site.members[1]
        self.api.do(f"vms/{vm}/migrate", {"host": second.id})
        now = self.record(vm)
        check(now["held"] == "yes" and now["host"] == second.lab_host.name and now["generation"] == "3", now)
        check(self.where(vm) == [second], self.where(vm))
        self.api.do(f"vms/{vm}/migrate", {"host": self.site.members[0].id})
        check(self.record(vm)["generation"] == "4" and self.where(vm) == [self.site.members[0]], self.record(vm))

    def connected_host_is_not_taken_over_from(self):
        vm = self.leased
        refused("wrong_state", self.api.post, f"vms/{vm}/take_over",
                {"host": self.site.members[1].id, "host_down": "fenced", "reason": "it is not"})

    def host_without_power_is_taken_over_from_and_does_not_start_it_again(self):
        vm, first, second = self.leased, self.site.members[0], self.site.members[1]
        first.fail_power()
        self.lose(first)
        task = self.take_over(vm, second)
        check(task["state"] == "done", task)
        self.site.wait_guest(vm)
        check(self.record(vm)["host"] == second.lab_host.name, self.record(vm))
        first.power_on()  # its VM is marked to start with it
        uuid = self.site.vm(vm)["uuid"]
        wait_for("what was left there to go", lambda: not self.is_defined(first, uuid), 60)
        check(self.where(vm) == [second] and self.site.vm(vm)["host"] == second.id, self.where(vm))

    def host_without_its_link_keeps_its_guest(self):
        """A statement that is wrong: the images' locks are the last guard."""
        vm, second, third = self.leased, self.site.members[1], self.site.members[2]
        second.lab_host.set_cable(False)
        self.lose(second)
        task = self.take_over(vm, third, "seen_off")
        check(task["state"] in ("rolled_back", "failed") and "lock" in str(task["error"]), task)
        check(self.where(vm) == [second], self.where(vm))
        second.lab_host.set_cable(True)
        second.wait_connected()
        wait_for("its host to hold it again", lambda: self.record(vm)["host"] == second.lab_host.name and self.record(vm)["held"] == "yes", 30)
        self.site.wait_power(vm, "running", 30)

    def restored_manager_cannot_start_it_twice(self):
        """The inventory of a time when it was off on the first host; it runs on the second by now."""
        vm, first, second = self.leased, self.site.members[0], self.site.members[1]
        self.api.do(f"vms/{vm}/power_off")
        wait_for("the lease to be given back", lambda: self.record(vm)["held"] == "no", 10)
        self.api.do(f"vms/{vm}/start")
        self.api.do(f"vms/{vm}/migrate", {"host": first.id})
        self.api.do(f"vms/{vm}/power_off")
        backup = os.path.join(self.site.top, "older")
        self.site.manager.stop()
        run(self.site.program("wincenterd"), "--data-dir", self.site.manager_dir, "--backup", backup)
        self.site.start_manager()
        first.wait_connected()
        second.wait_connected()
        self.api.do(f"vms/{vm}/start")
        self.api.do(f"vms/{vm}/migrate", {"host": second.id})
        second.agent.stop()
        self.site.manager.stop()
        run(self.site.program("wincenterd"), "--data-dir", self.site.manager_dir, "--restore", backup)
        self.site.start_manager()
        first.wait_connected()
        check(self.site.vm(vm)["host"] == first.id, self.site.vm(vm))
        self.api.do(f"vms/{vm}", {"description": "defined on the first host again"}, "PATCH")
        codes = set()
        for _ in range(3):
            task = self.api.wait(self.api.post(f"vms/{vm}/start"))
            check(task["state"] != "done", task)
            codes.add(task["error"]["code"])
        check(codes <= {"lease_held", "lease_outdated"} and "lease_held" in codes, codes)
        check(self.where(vm) == [second], self.where(vm))
        second.start_agent()
        second.wait_connected()
        wait_for("the inventory to follow the hosts", lambda: self.site.vm(vm)["host"] == second.id and self.site.power(vm) == "running", 60)
        uuid = self.site.vm(vm)["uuid"]
        wait_for("the old definition to go", lambda: not self.is_defined(first, uuid), 60)
        self.site.destroy(vm)

