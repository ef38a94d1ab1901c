# SPDX-License-Identifier: Apache-2.0
"""Maintenance mode that moves the virtual machines away, live."""
from whole_site import LIVING, Case, check, refused, wait_for


class Evacuation(Case):
    """A host of three is emptied with its guests running."""

    def why(self, task):
        """What became of the moves."""
        moves = [(one.get("target_name"), one["state"], one.get("error")) for one in self.api.items("tasks") if one.get("parent") == task["id"]]
        return f"{task['state']}: {task.get('error')}; {moves}"

    def mode(self, member):
        return member.now()["mode"]

    def leave(self, member):
        self.api.post(f"hosts/{member.id}/leave_maintenance")
        check(self.mode(member) == "normal", self.mode(member))

    def running_vms_leave_live_with_their_local_disks(self):
        member = self.site.members[0]
        vms = [self.site.deploy("leaver-shared"), self.site.deploy("leaver-local", pool=self.site.local[0], linked=False)]
        for vm in vms:
            self.site.wait_guest(vm)
        task = self.api.wait(self.api.post(f"hosts/{member.id}/enter_maintenance"), 180)
        check(task["state"] == "done" and self.mode(member) == "maintenance", lambda: self.why(task))
        for vm in vms:
            now = self.site.vm(vm)
            check(now["host"] != member.id and now["power"]["state"] == "running", now)
            there = next(m for m in self.site.members if m.id == now["host"])
            check(there.domains()[now["uuid"]] == "running", there.domains())
        check("running" not in member.domains().values(), member.domains())
        refused("no_host", self.api.post, "vms/deploy",
                {"name": "late", "image": self.site.image, "pool": self.site.shared, "host": member.id})
        self.leave(member)
        self.site.destroy(*vms)

    def without_a_place_for_one_nothing_begins(self):
        """The others may take no vCPU more."""
        member = self.site.members[0]
        vm = self.site.deploy("stayer", cpu={"vcpus": 2})
        for other in self.site.members[1:]:
            self.api.do(f"hosts/{other.id}/enter_maintenance", {"vms": "refuse"})
        error = refused("no_host", self.api.post, f"hosts/{member.id}/enter_maintenance")
        check("maintenance" in error.message, error.message)
        check(self.mode(member) == "normal" and self.site.power(vm) == "running", "something was changed")
        for other in self.site.members[1:]:
            self.leave(other)
        self.site.destroy(vm)

    def cancelled_evacuation_leaves_every_vm_running(self):
        member = self.site.members[0]
        vms = [self.site.deploy(f"cancelled-{number}") for number in range(3)]
        for vm in vms:
            self.site.wait_guest(vm)
        task = self.api.post(f"hosts/{member.id}/enter_maintenance")
        wait_for("the host to be emptied", lambda: self.mode(member) != "normal" or self.api.get(f"tasks/{task['id']}")["state"] not in LIVING, 60)
        self.api.cancel(task)
        ended = self.api.wait(task, 180)
        check(ended["state"] in ("cancelled", "rolled_back", "failed", "done"), ended)
        check(self.mode(member) == ("maintenance" if ended["state"] == "done" else "normal"), (ended["state"], self.mode(member)))
        for vm in vms:
            wait_for(f"{vm} to be at rest", lambda one=vm: not self.site.vm(one).get("activity"), 120)
            check(self.site.power(vm) == "running", self.site.vm(vm))
        if ended["state"] == "done":
            self.leave(member)
        self.site.destroy(*vms)
