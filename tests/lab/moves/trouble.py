# SPDX-License-Identifier: Apache-2.0
"""Moves that are refused, cancelled, or in which something dies. Whatever happens: the guest runs on exactly one host or on none, has
lost nothing, and nothing of it is left elsewhere."""
import json
import time

from live import Cases
from runkit.processes import wait_for
from whole_site import LIVING, check, refused

SLOW = 8 << 20  # bytes/s: a move lasts long enough to meet its fault


class Refusals(Cases):
    """Found before anything is touched; all reasons at once, by name."""

    def refusal_names_every_reason_and_moves_nothing(self):
        vm = self.vm = self.estate.prover("refused", held_mib=4)
        tasks = len(self.api.items("tasks"))
        error = refused("cannot_move", self.api.post, f"vms/{vm}/migrate",
                        {"host": self.away.id, "disks": [{"key": "disk-9"}], "networks": [{"key": "nic-0", "port_group": self.home.group}]})
        for word in ("disk-9", "nic-0"):
            check(word in error.params["reasons"], error)
        check(len(self.api.items("tasks")) == tasks, "a refused move made a task")
        self.estate.only_on(vm, self.home)

    def own_host_and_unknown_host_are_refused(self):
        refused("bad_value", self.api.post, f"vms/{self.vm}/migrate", {"host": self.home.id})
        refused("bad_reference", self.api.post, f"vms/{self.vm}/migrate", {"host": "host-999999"})

    def missing_port_group_is_named(self):
        self.api.do(f"port-groups/{self.away.group}", {}, "DELETE")
        error = refused("cannot_move", self.api.post, f"vms/{self.vm}/migrate", {"host": self.away.id})
        check("guests" in error.params["reasons"], error)
        switch = next(row["id"] for row in self.api.items("switches") if row["host"] == self.away.id)
        self.away.group = self.api.do("port-groups", {"name": "guests", "switch": switch})["result"]

    def cpu_feature_that_the_target_lacks_is_named(self):
        """The target's libvirt believes that its emulator lacks a feature that the guest sees."""
        vm = self.estate.deploy_with("nehalem", {"vcpus": 1, "mode": "custom", "model": "Nehalem"})
        self.away.believe("sse4.2", False)
        try:
            error = refused("cannot_move", self.api.post, f"vms/{vm}/migrate", {"host": self.away.id})
        finally:
            self.away.believe("sse4.2", True)
        check("CPU" in error.params["reasons"] and "sse4.2" in error.params["reasons"], error)
        self.estate.destroy(vm)
        self.estate.destroy(self.vm)


class Ways(Cases):
    """Where a VM goes when nobody says so, over which network, and how long it may take."""

    def planner_chooses_the_target(self):
        vm = self.vm = self.estate.prover("chosen", held_mib=4)
        task = self.api.wait(self.api.post(f"vms/{vm}/migrate", {}), 120)
        check(task["state"] == "done", task)
        self.estate.only_on(vm, self.away)
        self.moved(vm, self.home)

    def each_host_that_cannot_is_named_with_its_reasons(self):
        self.api.do(f"hosts/{self.away.id}/enter_maintenance", {"vms": "refuse"})
        error = refused("no_host", self.api.post, f"vms/{self.vm}/migrate", {})
        self.api.post(f"hosts/{self.away.id}/leave_maintenance")
        check(self.away.name in error.params["reasons"] and "maintenance" in error.params["reasons"], error)
        self.api.do(f"port-groups/{self.away.group}", {}, "DELETE")
        error = refused("no_host", self.api.post, f"vms/{self.vm}/migrate", {})
        switch = next(row["id"] for row in self.api.items("switches") if row["host"] == self.away.id)
        self.away.group = self.api.do("port-groups", {"name": "guests", "switch": switch})["result"]
        check(self.away.name in error.params["reasons"] and "port group" in error.params["reasons"], error)

    def in_cluster(self, network):
        """Both hosts in a cluster that moves over this network."""
        pool = self.api.items("host-pools")[0]["id"]
        known = [row for row in self.api.items("clusters") if row["name"] == "moving"]
        cluster = known[0]["id"] if known else self.api.send("POST", "clusters", {"name": "moving", "host_pool": pool})["id"]
        self.api.send("PATCH", f"clusters/{cluster}", {"migration": {"network": network, "bandwidth_mbps": 800, "parallel": 1}})
        for host in self.estate.hosts:
            if self.api.get(f"hosts/{host.id}").get("cluster") != cluster:
                self.api.post(f"hosts/{host.id}/assign", {"cluster": cluster})
        return cluster

    def hosts_without_an_address_in_the_migration_network_are_refused(self):
        self.in_cluster("10.99.7.0/24")
        error = refused("cannot_move", self.api.post, f"vms/{self.vm}/migrate", {"host": self.away.id})
        check(error.params["reasons"].count("10.99.7.0/24") == 2, error)

    def moves_go_over_the_migration_network(self):
        for number, host in enumerate(self.estate.hosts):
            address = self.api.get(f"hosts/{host.id}")["address"]
            row = next(line.split() for line in host.inside("ip", "-o", "-4", "address").splitlines() if f" {address}/" in line)
            host.inside("ip", "address", "add", f"10.99.7.{number + 1}/24", "dev", row[1])
        task = self.estate.migrate(self.vm, self.away, bandwidth_bytes_per_s=16 << 20)
        wait_for("a port on the migration network", lambda: any("10.99.7.2:" in line for line in self.away.ports()), 60)
        check(all("10.99.7.2:" in line for line in self.away.ports()), self.away.ports())
        check(self.api.wait(task, 180)["state"] == "done", task)
        self.estate.only_on(self.vm, self.away)
        self.moved(self.vm, self.home)

    def cluster_without_a_migration_network_is_as_before(self):
        self.in_cluster(None)
        self.moved(self.vm, self.away)
        self.moved(self.vm, self.home)

    def move_that_takes_too_long_is_given_up(self):
        vm = self.estate.prover("restless", dirty_mib=48, held_mib=4)
        task = self.api.wait(self.estate.migrate(vm, self.away, strategy="fast", bandwidth_bytes_per_s=4 << 20, timeout_s=10), 120)
        check(task["state"] in ("failed", "rolled_back"), task)
        check("time it was given" in self.last_log(vm)["reason"], self.last_log(vm))
        self.estate.only_on(vm, self.home)
        self.estate.runs_once(vm)
        self.estate.prove(vm)
        self.estate.destroy(vm, self.vm)


class Faults(Cases):
    """In the middle of a move."""

    @property
    def vm(self):
        if getattr(self, "_vm", None) is None:
            self._vm = self.estate.prover("faults", held_mib=64)
        return self._vm

    def begun(self, **options):
        """A slow move, seen to carry bytes."""
        task = self.estate.migrate(self.vm, self.away, **{"bandwidth_bytes_per_s": SLOW, **options})

        def carries():
            now = self.api.get(f"tasks/{task['id']}")
            check(now["state"] in LIVING, lambda: f"it ended: {json.dumps(now.get('error'))}")
            return now.get("progress", {}).get("total")
        wait_for("bytes to move", carries, 60)
        return task

    def stayed(self, task, states, deadline_s=180):
        task = self.api.wait(task, deadline_s)
        check(task["state"] in states, lambda: f"{task['state']}: {json.dumps(task.get('error'))}")
        self.estate.wait_connected(*self.estate.hosts)
        wait_for("the VM to be free", lambda: not self.estate.vm(self.vm).get("activity"), 30)
        self.estate.only_on(self.vm, self.home)
        self.estate.runs_once(self.vm)
        self.estate.wait_held(self.vm, 2)
        return task

    def cancelled_move_leaves_the_guest_where_it_runs(self):
        task = self.begun()
        start = time.monotonic()
        self.api.post(f"tasks/{task['id']}/cancel")
        self.stayed(task, ("cancelled",))
        print(f"# cancelled and clean after {time.monotonic() - start:.1f} s", flush=True)
        check(self.last_log(self.vm)["result"] == "cancelled", self.last_log(self.vm))

    def libvirtd_of_the_target_killed_in_the_middle(self):
        task = self.begun()
        self.away.restart_libvirtd()
        self.stayed(task, ("failed", "rolled_back"))
        check(self.last_log(self.vm)["result"] == "failed", self.last_log(self.vm))

    def agent_of_the_source_killed_in_the_middle(self):
        task = self.begun()
        self.estate.kill(self.home.agent)
        self.home.start_agent()
        self.stayed(task, ("failed", "rolled_back"))

    def manager_killed_in_the_middle_and_the_move_goes_on(self):
        task = self.begun()
        self.estate.kill(self.estate.manager)
        self.estate.start_manager()
        ended = self.api.wait(task, 180)
        check(ended["state"] == "done", lambda: f"{ended['state']}: {json.dumps(ended.get('error'))}")
        self.estate.only_on(self.vm, self.away)
        self.estate.runs_once(self.vm)
        self.estate.wait_held(self.vm, 2)
        self.moved(self.vm, self.home)

    def link_cut_for_30_s(self):
        task = self.begun()
        self.away.lab_host.set_cable(plugged=False)
        time.sleep(30)  # no condition to wait for: this is the fault
        self.away.lab_host.set_cable(plugged=True)
        self.stayed(task, ("failed", "rolled_back"))

    def target_loses_its_power_in_the_middle(self):
        task = self.begun()
        self.away.power_off()
        wait_for("the guest to run alone", lambda: self.home.domains().get(self.estate.vm(self.vm)["uuid"]) == "running", 60)
        self.away.power_on()
        self.stayed(task, ("failed", "rolled_back"), 240)

    def pool_of_the_target_full_in_the_middle(self):
        small = self.away.small_pool(96 << 20)
        task = self.begun(pool=small)
        self.away.fill(96 << 20)
        self.stayed(task, ("failed", "rolled_back"))
        print(f"# {self.last_log(self.vm)['reason']}", flush=True)
        self.away.drop_small_pool(small)

    def guest_that_dirties_faster_than_the_wire_comes_over(self):
        with self.estate.live():
            vm = self.estate.prover("dirty", dirty_mib=48, held_mib=4)
            task = self.moved(vm, self.away, 240, bandwidth_bytes_per_s=16 << 20)
            check(any(line["text"] == "move_pass" for line in task["log"]), task["log"])
            print(f"# {self.last_log(vm)['duration_ms']} ms, stood still {self.last_log(vm)['downtime_ms']} ms", flush=True)
            check(task["state"] == "done", task)
            self.arrived(vm)

    def post_copy_comes_over_at_once(self):
        with self.estate.live():
            vm = self.estate.prover("postcopy", dirty_mib=48, held_mib=4)
            self.moved(vm, self.away, 240, strategy="post_copy", post_copy_after=1, bandwidth_bytes_per_s=16 << 20)
            print(f"# {self.last_log(vm)['duration_ms']} ms, stood still {self.last_log(vm)['downtime_ms']} ms", flush=True)
            self.arrived(vm)

    def source_loses_its_power_in_the_middle(self):
        task = self.begun()
        uuid = self.estate.vm(self.vm)["uuid"]
        self.home.power_off()
        wait_for("what arrived to go", lambda: self.away.domains().get(uuid) != "running", 60)
        self.home.power_on()
        ended = self.api.wait(task, 240)
        check(ended["state"] in ("failed", "rolled_back"), lambda: f"{ended['state']}: {json.dumps(ended.get('error'))}")
        self.estate.wait_connected(*self.estate.hosts)
        wait_for("the VM to be off", lambda: self.estate.power(self.vm) == "off", 60)
        check(self.home.domains() == {uuid: "shut off"} and not self.away.domains(), f"{self.home.domains()} {self.away.domains()}")

    def nothing_of_all_this_was_lost(self):
        """Each fault left the records whole; the last was a power failure of the guest too."""
        host = self.estate.host_of(self.vm)
        disk = next(disk for disk in self.estate.vm(self.vm)["disks"] if disk["key"] == "disk-1")
        records = self.estate.records(host, self.estate.file_of(host, disk["volume"]))
        print(f"# {records} records", flush=True)
        check(records > 0, f"{records} records")
        self.estate.destroy(self.vm)
