# SPDX-License-Identifier: Apache-2.0
"""Maintenance mode that moves the virtual machines away, live."""
from whole_site import Case, check, refused, wait_for

CRAWL_MBPS = 1  # a booted guest takes minutes


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
        """One guest is on its way, far too slowly to arrive, and others wait for their turn: it is given up, and none of them begins."""
        member = self.site.members[0]
        vms = [self.site.deploy(f"cancelled-{number}") for number in range(3)]
        for vm in vms:
            self.site.wait_guest(vm)
        self.api.send("PATCH", f"clusters/{self.site.cluster}", {"migration": {"parallel": 1, "bandwidth_mbps": CRAWL_MBPS}})
        task = self.api.post(f"hosts/{member.id}/enter_maintenance")
        wait_for("a guest to be on its way", lambda: any(self.under_way(move) for move in self.moves(task)), 120)
        self.api.post(f"tasks/{task['id']}/cancel")  # may not be refused: it has not ended
        begun = {move["id"] for move in self.moves(task) if move.get("started")}
        ended = self.api.wait(task, 180)
        moves = self.moves(task)
        check(ended["state"] in ("cancelled", "rolled_back"), lambda: self.why(ended))
        check(self.mode(member) == "normal", self.mode(member))
        check({move["id"] for move in moves if move.get("started")} == begun, lambda: f"begun after the cancel; before it: {begun}; {self.why(ended)}")
        check(all(move["state"] in ("cancelled", "rolled_back") for move in moves), lambda: self.why(ended))
        for vm in vms:
            now = self.site.vm(vm)
            check(not now.get("activity") and now["host"] == member.id and now["power"]["state"] == "running", now)
            check(member.domains()[now["uuid"]] == "running", member.domains())
            check(not [other.lab_host.name for other in self.site.members[1:] if now["uuid"] in other.domains()], "a half of it is left on another host")
        self.api.send("PATCH", f"clusters/{self.site.cluster}", {"migration": None})
        self.site.destroy(*vms)

    def moves(self, task):
        return [one for one in self.api.items("tasks", filter=f"parent={task['id']}") if one["kind"] == "vm_migrate"]

    def under_way(self, move):
        """Its guest's memory is being carried over."""
        return move["state"] == "running" and move.get("progress", {}).get("done", 0) > 0
