# SPDX-License-Identifier: Apache-2.0
"""Affinity rules and DRS: real guests part, real load moves one of them, and then nothing moves."""
import json

from whole_site import Case, check, refused, wait_for

BUSY = json.dumps({"execute": "guest-exec", "arguments": {"path": "/bin/sh", "arg": ["-c", "while :; do :; done"]}})


class Drs(Case):
    """Two guests of one vCPU on a host of two: both busy they want all of it, one wants half."""

    def settings(self, **drs):
        self.api.send("PATCH", f"clusters/{self.site.cluster}", {"drs": {"interval_s": 5, "duration_s": 5, "cpu_percent": 70, **drs}})

    def hosts(self):
        return [self.site.vm(vm)["host"] for vm in self.vms]

    def moves(self):
        return [one for one in self.api.items("migrations") if one["vm"] in self.vms and one.get("cause") == "drs"]

    def status(self):
        return self.api.get(f"clusters/{self.site.cluster}/drs_status")

    def at_rest(self):
        return not any(self.site.vm(vm).get("activity") for vm in self.vms) and self.status()["under_way"] == 0

    def vms_that_keep_apart_part_with_balancing_off(self):
        self.vms = [self.site.deploy(f"drs-{number}", cpu={"vcpus": 1}) for number in (1, 2)]
        for vm in self.vms:
            self.site.wait_guest(vm)
        self.settings(level="off")
        rule = self.api.post("affinity-rules", {"name": "apart", "cluster": self.site.cluster, "kind": "keep_apart", "vms": self.vms})["id"]
        clash = {"name": "together", "cluster": self.site.cluster, "kind": "keep_together", "vms": self.vms}
        check("apart" in refused("rule_conflict", self.api.post, "affinity-rules", clash).message, "the other rule is not named")
        wait_for("the guests to part", lambda: len(set(self.hosts())) == 2, 60)
        wait_for("the move to end", lambda: self.at_rest() and self.moves(), 60)
        check(len(self.moves()) == 1 and self.moves()[0]["live"], self.moves())
        check(not self.api.get(f"affinity-rules/{rule}/violations").get("items"), "the rule is broken still")
        moved, other = sorted(self.vms, key=lambda vm: self.site.vm(vm)["host"] == self.site.members[0].id)
        error = refused("cannot_move", self.api.post, f"vms/{moved}/migrate", {"host": self.site.vm(other)["host"]})
        check("rule apart keeps it apart from" in error.message, error.message)
        self.api.send("DELETE", f"affinity-rules/{rule}")
        task = self.api.wait(self.api.post(f"vms/{moved}/migrate", {"host": self.site.members[0].id}), 120)
        check(task["state"] == "done" and len(set(self.hosts())) == 1, task)

    def load_in_guests_moves_one_and_then_nothing_moves(self):
        before = len(self.moves())
        for vm in self.vms:
            self.site.members[0].inside("virsh", "qemu-agent-command", self.site.vm(vm)["uuid"], BUSY)
        self.settings(level="automatic")
        wait_for("one of the busy guests to move", lambda: len(set(self.hosts())) == 2, 400)
        wait_for("the move to end", lambda: self.at_rest() and len(self.moves()) > before, 60)
        done = wait_for("the advice to be done", lambda: [one for one in self.api.items("drs-recommendations")
                                                          if one["state"] == "applied" and one["reason"] == "cpu"], 60)
        check(len(done) == 1 and done[0]["effect"]["from_cpu_before"] > 70 >= done[0]["effect"]["to_cpu_after"], done)
        lines = self.api.get(f"drs-recommendations/{done[0]['id']}/explain")["lines"]
        check(any("above the threshold" in line for line in lines) and any("would save" in line for line in lines), lines)
        for host in self.status()["hosts"]:
            check(host["cpu_percent"] <= 70, self.status())
        told = self.api.post("drs-recommendations/refresh", {"cluster": self.site.cluster})
        check(told == {"pending": 0, "accepted": 0} and len(self.moves()) == before + 1, (told, self.moves()))
        self.settings(level="off")
        self.site.destroy(*self.vms)
