# SPDX-License-Identifier: Apache-2.0
"""Rolling maintenance of the whole cluster: each host is emptied, loses its power in earnest, and comes back, while guests run on."""
from whole_site import Case, check, refused, wait_for


class Rolling(Case):
    """Two guests that prove themselves; three hosts."""

    def roll(self, **body):
        return self.api.post(f"clusters/{self.site.cluster}/roll_maintenance", body)

    def left(self):
        return self.api.get(f"clusters/{self.site.cluster}").get("maintenance_left", [])

    def plan_names_the_hosts_and_what_moves(self):
        self.vms = [self.site.prover("rolling-local", pool=self.site.local[0]), self.site.prover("rolling-shared", at=1)]
        names = [member.lab_host.name for member in self.site.members]
        plan = self.api.get(f"clusters/{self.site.cluster}/maintenance_plan")
        check(plan["possible"] and [host["name"] for host in plan["hosts"]] == names, plan)
        check("rolling-local" in [move["name"] for move in plan["hosts"][0]["moves"]], plan)
        steps = self.api.send("POST", f"clusters/{self.site.cluster}/roll_maintenance?dry_run=true", {})["steps"]
        check(len(steps) == 3 and steps[0].startswith(f"{names[0]}: ") and "rolling-local -> " in steps[0], steps)

    def host_that_cannot_be_emptied_stops_it_before_it_begins(self):
        rule = self.api.post("affinity-rules", {"name": "licence", "cluster": self.site.cluster, "kind": "must_run_on", "vms": self.vms[:1],
                                                "hosts": [self.site.members[0].id]})["id"]
        error = refused("roll_refused", self.roll)
        check("licence" in error.message and self.site.members[0].lab_host.name in error.message, error.message)
        check([member.now()["mode"] for member in self.site.members] == ["normal"] * 3 and not self.left(), "something was changed")
        self.api.send("DELETE", f"affinity-rules/{rule}")

    def guests_run_on_while_every_host_is_off_for_a_while(self):
        before = {vm: self.site.wait_held(vm, 1) for vm in self.vms}
        task = self.roll(pause=True)
        for number, member in enumerate(self.site.members):
            wait_for(f"{member.lab_host.name} to be empty", lambda one=member: self.waits(one, task), 600)
            check("running" not in member.domains().values(), member.domains())
            check(self.left() == [other.id for other in self.site.members[number:]], self.left())
            check([other.now()["mode"] for other in self.site.members if other is not member] == ["normal", "normal"], "more than one is out")
            member.fail_power()
            member.wait_lost()
            member.power_on()
            self.api.post(f"hosts/{member.id}/leave_maintenance")
        ended = self.api.wait(task)
        check(ended["state"] == "done" and not self.left(), ended)
        check([member.now()["mode"] for member in self.site.members] == ["normal"] * 3, "a host is out still")
        for vm in self.vms:
            check(self.site.wait_held(vm, 1) > before[vm], f"{vm} has begun anew")
            moves = [row for row in self.api.items("migrations", filter=f"vm=%22{vm}%22") if row["result"] == "done"]
            check(moves and all(row["live"] for row in moves), moves)
            print(f"# {vm}: {len(moves)} moves, {self.site.prove(vm)} records", flush=True)
        self.site.destroy(*self.vms)

    def story(self, task):
        """What it and those below it say of their end."""
        now = self.api.get(f"tasks/{task}")
        below = [self.story(child["id"]) for child in self.api.items("tasks", filter=f"parent={task}")]
        return {key: now.get(key) for key in ("kind", "target_name", "state", "error", "log")} | {"below": below}

    def waits(self, member, task):
        """It is in maintenance, and its part of the task says that it waits for a word."""
        now = self.api.get(f"tasks/{task['id']}")
        check(now["state"] == "running", lambda: f"{now['state']}: {self.story(task['id'])}")
        activity = member.now().get("activity", {}).get("task")
        return member.now()["mode"] == "maintenance" and activity and self.api.get(f"tasks/{activity}").get("waiting", {}).get("code") == "awaits_word"
