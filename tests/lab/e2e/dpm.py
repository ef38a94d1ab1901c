# SPDX-License-Identifier: Apache-2.0
"""DPM: a real host that nobody needs is emptied and switched off, and woken when it is needed. Its power is pulled and given by the test."""
import socket

from host_power import MAGIC_PORT, HostPower
from whole_site import check, wait_for


class Dpm(HostPower):
    """Only the last host has a NIC that wakes it, so it is the one that sleeps."""

    def settings(self, **dpm):
        self.api.send("PATCH", f"clusters/{self.site.cluster}",
                      {"dpm": {"interval_s": 5, "duration_s": 5, "low_cpu_percent": 95, "low_memory_percent": 95, "high_cpu_percent": 99,
                               "high_memory_percent": 99, "spare_hosts": 0, "min_hosts_on": len(self.site.members) - 1, **dpm}})

    def idle_host_sleeps_and_is_woken_when_it_is_needed(self):
        member = self.site.members[-1]
        member.run("rm", "-f", "/run/asked-to-shut-down")
        self.fake_shutdown(member)
        vm = self.site.deploy("leaves-first", at=len(self.site.members) - 1)
        self.site.wait_guest(vm)
        for other in self.site.members[:-1]:
            self.api.send("PATCH", f"hosts/{other.id}", {"wake_mac": None})
        self.api.send("PATCH", f"hosts/{member.id}", {"wake_mac": "52:54:00:0a:0b:0c"})
        self.settings(level="manual")
        status = wait_for("DPM to see what it could do", lambda: self.would("sleep"), 60)
        check(status["host"] == member.id and status["reason"] == "idle", status)
        self.settings(level="automatic")
        wait_for("its system to be asked", lambda: self.asked(member) is not None, 120)
        check(self.site.power(vm) == "running" and self.site.vm(vm)["host"] != member.id, self.site.vm(vm))
        check((member.now()["standby"], member.now()["mode"]) == ("asleep", "maintenance"), member.now())
        member.fail_power()
        wait_for("the end of the power task", lambda: not member.now().get("activity"), 60)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            wire.bind(("", MAGIC_PORT))
            wire.settimeout(60)
            self.settings(level="automatic", min_hosts_on=len(self.site.members))
            packet = wire.recv(1500)
        check(packet.startswith(b"\xff" * 6), packet)
        member.power_on()
        wait_for("it to be back in service", lambda: member.now()["mode"] == "normal" and not member.now().get("standby"), 60)
        self.settings(level="off")
        self.site.destroy(vm)

    def would(self, action):
        status = self.api.get(f"clusters/{self.site.cluster}/dpm_status")
        return status if status["action"] == action else None
