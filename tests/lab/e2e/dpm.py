# SPDX-License-Identifier: Apache-2.0
"""DPM: a real host that nobody needs is emptied and switched off, and woken when it is needed. Its power is pulled and given by the test, or by its BMC."""
import json
import shutil

from bmc import Bmc
from host_power import HostPower
from whole_site import Skip, check, wait_for


class Dpm(HostPower):
    """Only the last host has a NIC that wakes it, so it is the one that sleeps."""

    def settings(self, **dpm):
        self.api.send("PATCH", f"clusters/{self.site.cluster}",
                      {"dpm": {"interval_s": 5, "duration_s": 5, "low_cpu_percent": 95, "low_memory_percent": 95, "high_cpu_percent": 99,
                               "high_memory_percent": 99, "spare_hosts": 0, "min_hosts_on": len(self.site.members) - 1, **dpm}})

    def idle_host_sleeps_and_is_woken_when_it_is_needed(self):
        member, mac = self.site.members[-1], "52:54:00:0a:0b:0d"
        member.run("rm", "-f", "/run/asked-to-shut-down")
        self.fake_shutdown(member)
        vm = self.site.deploy("leaves-first", at=len(self.site.members) - 1)
        self.site.wait_guest(vm)
        for other in self.site.members[:-1]:
            self.api.send("PATCH", f"hosts/{other.id}", {"wake_mac": None})
        self.api.send("PATCH", f"hosts/{member.id}", {"wake_mac": mac})
        self.settings(level="manual")
        status = wait_for("DPM to see what it could do", lambda: self.would("sleep"), 60)
        check(status["host"] == member.id and status["reason"] == "idle", status)
        self.settings(level="automatic")
        wait_for("its system to be asked", lambda: self.asked(member) is not None, 400)
        check(self.site.power(vm) == "running" and self.site.vm(vm)["host"] != member.id, self.site.vm(vm))
        check((member.now()["standby"], member.now()["mode"]) == ("asleep", "maintenance"), member.now())
        member.fail_power()
        wait_for("the end of the power task", lambda: not member.now().get("activity"), 60)
        with self.listening() as wire:
            self.settings(level="automatic", min_hosts_on=len(self.site.members))
            self.woken(wire, mac)
        member.power_on()
        wait_for("it to be back in service", lambda: member.now()["mode"] == "normal" and not member.now().get("standby"), 60)
        self.settings(level="off")
        self.site.destroy(vm)

    def would(self, action):
        status = self.api.get(f"clusters/{self.site.cluster}/dpm_status")
        return status if status["action"] == action else None


BUSY = json.dumps({"execute": "guest-exec", "arguments": {"path": "/bin/sh", "arg": ["-c", "while :; do :; done"]}})


class DpmBmc(HostPower):
    """Each host has a BMC. One goes, and no second: then what is on would not bear the loss of a host. Load in guests brings it back."""

    def settings(self, **dpm):
        self.api.send("PATCH", f"clusters/{self.site.cluster}",
                      {"dpm": {"interval_s": 5, "duration_s": 5, "low_cpu_percent": 90, "low_memory_percent": 90, "high_cpu_percent": 95,
                               "high_memory_percent": 95, "spare_hosts": 1, "min_hosts_on": 1, **dpm}})

    def status(self):
        return self.api.get(f"clusters/{self.site.cluster}/dpm_status")

    def asleep(self):
        """The one that sleeps, its power off by its BMC's word; None: not yet."""
        for member in self.site.members:
            now = member.now()
            if now.get("standby") == "asleep" and now["power"]["state"] == "off" and not now.get("activity"):
                return member
        return None

    def idle_host_is_switched_off_and_the_last_but_one_is_not(self):
        if not shutil.which("ipmi_sim"):
            raise Skip("there is no ipmi_sim")
        self.bmcs = [Bmc(member).start() for member in self.site.members]
        for member, bmc in zip(self.site.members, self.bmcs):
            member.run("rm", "-f", "/run/asked-to-shut-down")
            self.fake_shutdown(member)
            self.api.send("PATCH", f"hosts/{member.id}", {"bmc": bmc.settings(), "wake_mac": None})
        self.vms = [self.site.deploy(f"dpm-{at}", at=at, cpu={"vcpus": 1}) for at in range(3)]
        for vm in self.vms:
            self.site.wait_guest(vm)
        self.settings(level="automatic")
        self.sleeper = wait_for("a host to sleep", self.asleep, 400)
        check(self.sleeper.now()["power"]["source"] == "bmc" and not self.sleeper.lab_host.init_pid(), self.sleeper.now())
        for vm in self.vms:
            check(self.site.power(vm) == "running" and self.site.vm(vm)["host"] != self.sleeper.id, self.site.vm(vm))
        status = self.status()  # as if the load lasted
        check(status["action"] == "nothing" and (status["hosts_on"], status["hosts_asleep"]) == (2, 1), status)

    def load_in_guests_wakes_it_through_its_bmc(self):
        for vm in self.vms:
            self.site.member_of(vm).inside("virsh", "qemu-agent-command", self.site.vm(vm)["uuid"], BUSY)
        self.settings(level="automatic", low_cpu_percent=20, high_cpu_percent=40)
        wait_for("it to be back in service", lambda: self.sleeper.now()["mode"] == "normal" and not self.sleeper.now().get("standby"), 400)
        check(self.bmcs[self.site.members.index(self.sleeper)].orders == ["1"], "it was not its BMC that switched it on")
        woken = [row for row in self.api.items("events") if row["text"] == "dpm_wakes"]
        check(woken and woken[0]["params"]["reason"] == "busy", woken)
        self.settings(level="off")
        for bmc in self.bmcs:
            bmc.stop()
        for member in self.site.members:
            self.api.send("PATCH", f"hosts/{member.id}", {"bmc": None})
        self.site.destroy(*self.vms)
