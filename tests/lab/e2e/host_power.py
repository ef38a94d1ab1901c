# SPDX-License-Identifier: Apache-2.0
"""Power of a real host without a BMC: off in order, and on again by Wake-on-LAN.

A lab host has the machine's programs, so `shutdown` is replaced in it by one that writes down what it was asked for; the test then pulls the plug.
"""
import contextlib
import json
import os
import socket

from whole_site import Case, Refused, check, refused, wait_for

SHUTDOWN = "/usr/sbin/shutdown"
FAKE = "#!/bin/sh\necho \"$@\" > /run/asked-to-shut-down\n"
MAGIC_PORT = 9
WAKE_DEADLINE_S = 180


class HostPower(Case):
    """The last of the hosts goes off and comes back."""

    def fake_shutdown(self, member):
        path = os.path.join(self.site.top, "shutdown")
        with open(path, "w", encoding="ascii") as file:
            file.write(FAKE)
        os.chmod(path, 0o755)
        member.inside("mount", "--bind", path, os.path.realpath(SHUTDOWN))

    def asked(self, member):
        status, words = member.run("cat", "/run/asked-to-shut-down")
        return words.strip() if status == 0 else None

    @contextlib.contextmanager
    def listening(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            wire.bind(("", MAGIC_PORT))
            wire.settimeout(WAKE_DEADLINE_S)
            yield wire

    def woken(self, wire, mac):
        """Until the packet for this one comes: others on this machine may be woken too."""
        while wire.recv(1500) != b"\xff" * 6 + bytes.fromhex(mac.replace(":", "")) * 16:
            pass

    def host_with_running_vms_stays_on(self):
        member = self.site.members[-1]
        self.fake_shutdown(member)
        vm = self.site.deploy("holder", at=len(self.site.members) - 1)
        error = refused("host_not_empty", self.api.post, f"hosts/{member.id}/power_off", {})
        check("holder" in error.message, error.message)
        self.site.destroy(vm)
        check(self.asked(member) is None, "it was asked to shut down")

    def domain_that_only_libvirt_knows_keeps_it_on(self):
        """Somebody starts a VM on the host; the manager need not have heard of it yet."""
        member = self.site.members[-1]
        xml = "<domain type='qemu'><name>by-hand</name><memory unit='MiB'>32</memory><os><type>hvm</type></os></domain>"
        status, words = member.run("virsh", "create", "--paused", "/dev/stdin", text=xml)
        check(status == 0, words)
        try:
            error = self.api.wait(self.api.post(f"hosts/{member.id}/power_off", {}))["error"]
        except Refused as refusal:  # the manager has heard of it
            error = refusal.answer.get("error", refusal.answer)
        check(error["code"] == "host_not_empty" and "by-hand" in json.dumps(error), error)
        check(self.asked(member) is None, "it was asked to shut down")
        wait_for("the manager to hear of it", lambda: not self.not_seen("by-hand"), 60)
        member.inside("virsh", "destroy", "by-hand")
        wait_for("the manager to forget it", lambda: self.not_seen("by-hand"), 30)

    def not_seen(self, name):
        return not any(vm["name"] == name and vm["power"]["state"] != "off" for vm in self.api.items("vms"))

    def off_in_order_and_on_by_a_magic_packet(self):
        member = self.site.members[-1]
        task = self.api.post(f"hosts/{member.id}/power_off", {"timeout_s": 600})
        wait_for("its system to be asked", lambda: self.asked(member) is not None, 30)
        check(self.asked(member) == "-P now", self.asked(member))
        member.fail_power()
        ended = self.api.wait(task, 120)
        check(ended["state"] == "done", ended)
        now = member.now()["power"]
        check((now["state"], now["source"]) == ("unknown", "nobody"), now)  # there is no BMC to ask
        mac = "52:54:00:0a:0b:0c"
        self.api.send("PATCH", f"hosts/{member.id}", {"wake_mac": mac})
        with self.listening() as wire:
            task = self.api.post(f"hosts/{member.id}/power_on", {"timeout_s": 600})
            self.woken(wire, mac)
        member.power_on()
        ended = self.api.wait(task, 120)
        check(ended["state"] == "done" and member.now()["power"]["state"] == "on", ended)
