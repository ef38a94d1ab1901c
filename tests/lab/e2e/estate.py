# SPDX-License-Identifier: Apache-2.0
"""The host as a part of the estate: its capacity, and maintenance mode."""
from whole_site import Case, check, refused, wait_for


class Maintenance(Case):
    """A host is emptied and kept empty. Each case leaves it in service."""

    def mode(self):
        return self.api.get(f"hosts/{self.site.host}")["mode"]

    def enter(self, **body):
        return self.api.do(f"hosts/{self.site.host}/enter_maintenance", body)

    def leave(self):
        self.api.post(f"hosts/{self.site.host}/leave_maintenance")
        check(self.mode() == "normal", self.mode())

    def running(self):
        return [vm for vm in self.api.items("vms") if vm["power"]["state"] not in ("off", "hibernated", "crashed")]

    def capacity_follows_a_vm_that_starts_and_stops(self):
        vm = self.site.deploy("counted", start=False)
        before = self.api.get(f"hosts/{self.site.host}/capacity")
        check(before["hosts_connected"] == 1 and before["memory"]["total_bytes"] > 0 and before["cpu"]["threads"] > 0, before)
        check(before["storage"]["pools"] >= 1 and before["storage"]["total_bytes"] > 0, before)
        self.api.do(f"vms/{vm}/start")
        now = self.api.get(f"hosts/{self.site.host}/capacity")
        memory = self.site.vm(vm)["memory_bytes"]
        check(now["memory"]["allocated_bytes"] - before["memory"]["allocated_bytes"] == memory, (before, now))
        check(now["cpu"]["vcpus_allocated"] - before["cpu"]["vcpus_allocated"] == 1, (before, now))
        check(now["vms_running"] - before["vms_running"] == 1 and now["vms"] == before["vms"], (before, now))
        self.site.destroy(vm)

    def start_beyond_the_overcommit_ratio_is_refused(self):
        host = self.api.get(f"hosts/{self.site.host}")
        threads = host["facts"]["cpu"]["threads"]
        self.api.send("PATCH", f"hosts/{self.site.host}", {"cpu_overcommit_ratio": 1})
        vm = self.site.deploy("wide", start=False, cpu={"vcpus": threads})
        other = self.site.deploy("wider", start=False, cpu={"vcpus": threads})
        for one in self.running():
            self.api.do(f"vms/{one['id']}/power_off")
        self.api.do(f"vms/{vm}/start")
        error = refused("no_host", self.api.post, f"vms/{other}/start")
        check("vCPU" in error.message and host["name"] in error.message, error.message)
        self.api.send("PATCH", f"hosts/{self.site.host}", {"cpu_overcommit_ratio": None})
        self.api.do(f"vms/{other}/start")
        self.site.destroy(vm, other)
        if self.site.power(self.vm) == "off":
            self.api.do(f"vms/{self.vm}/start")

    def host_with_running_vms_is_not_emptied_unasked(self):
        vm = self.vm
        error = refused("host_not_empty", self.api.post, f"hosts/{self.site.host}/enter_maintenance", {"vms": "refuse"})
        check(self.site.vm(vm)["name"] in error.message, error.message)
        refused("no_host", self.api.post, f"hosts/{self.site.host}/enter_maintenance")  # there is no other to move it to
        check(self.mode() == "normal" and self.site.power(vm) == "running", "something was changed")

    def vms_are_shut_down_and_none_comes_until_it_leaves(self):
        self.site.wait_guest(self.vm)
        self.enter(vms="shut_down")
        check(self.mode() == "maintenance", self.mode())
        check(not self.running() and "running" not in self.site.domains().values(), self.site.domains())
        error = refused("no_host", self.api.post, f"vms/{self.vm}/start")
        check("maintenance" in error.message, error.message)
        refused("no_host", self.api.post, "vms/deploy", {"name": "late", "image": self.site.image, "pool": self.site.pool})
        self.leave()
        self.api.do(f"vms/{self.vm}/start")

    def cancelled_emptying_puts_the_host_back_in_service(self):
        vm = self.site.deploy("deaf")  # paused: it will not answer the request to shut down
        self.api.do(f"vms/{vm}/pause")
        task = self.api.post(f"hosts/{self.site.host}/enter_maintenance", {"vms": "shut_down"})
        wait_for("the host to be emptied", lambda: self.mode() == "entering_maintenance" or self.task_ended(task), 20)
        self.api.cancel(task)
        ended = self.api.wait(task)
        check(ended["state"] in ("cancelled", "failed", "rolled_back"), ended)
        check(self.mode() == "normal", self.mode())
        self.api.do(f"vms/{vm}/resume")
        self.site.destroy(vm)

    def task_ended(self, task):
        return self.api.get(f"tasks/{task['id']}")["state"] not in ("queued", "running", "cancelling", "rolling_back")

    def manager_killed_half_way_ends_in_one_of_two_modes(self):
        if not self.running():
            self.api.do(f"vms/{self.vm}/start")
        self.site.wait_guest(self.vm)
        task = self.api.post(f"hosts/{self.site.host}/enter_maintenance", {"vms": "power_off"})
        self.site.kill(self.site.manager)
        self.site.start_manager()
        self.site.wait_connected()
        ended = self.api.wait(task)
        check((ended["state"], self.mode()) in (("done", "maintenance"), ("rolled_back", "normal"), ("failed", "normal")),
              (ended["state"], self.mode()))
        check(ended["state"] != "done" or not self.running(), "done, but a VM runs")
        if self.mode() == "maintenance":
            self.leave()
        if self.site.power(self.vm) == "off":
            self.api.do(f"vms/{self.vm}/start")
        self.site.wait_guest(self.vm)
