# SPDX-License-Identifier: Apache-2.0
"""The CPU baseline of a cluster, from what libvirt on its hosts says, and a guest that counts on it."""
from whole_site import Case, check, wait_for


class Baseline(Case):
    def computed(self):
        now = self.api.get(f"clusters/{self.site.cluster}/cpu_baseline")
        return now if not now.get("unknown") and now.get("model") else None

    def guest_with_the_baseline_boots_and_moves(self):
        baseline = wait_for("what libvirt knows of the processors", self.computed, 400)
        check(baseline["hosts"] == len(self.site.members) and baseline["features"] and not baseline["limits"], baseline)
        left_out = {"monitor", "svm", "npt"}  # what no small guest needs, and emulation is slow with
        cpu = {"vcpus": 1, "mode": "custom", "model": baseline["model"], "features": [f for f in baseline["features"] if f not in left_out]}
        vm = self.site.deploy("on-the-baseline", cpu=cpu)
        self.site.wait_guest(vm)
        task = self.api.wait(self.api.post(f"vms/{vm}/migrate", {"host": self.site.members[1].id}), 180)
        check(task["state"] == "done" and self.site.vm(vm)["host"] == self.site.members[1].id, task)
        self.site.destroy(vm)
