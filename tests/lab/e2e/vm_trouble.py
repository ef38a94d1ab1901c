# SPDX-License-Identifier: Apache-2.0
"""VMs in trouble, made on the real part: QEMU that is killed, a guest that panics, a disk without room; also while nobody of ours is there to see it."""
import platform
import subprocess
import tempfile

from faults import Agreement
from whole_site import Case, Skip, check, wait_for

MIB = 1048576
# Guests of one sector each, for a PC's BIOS.
PANICS = bytes.fromhex("ba0505" "b001" "ee" "f4" "ebfd")  # mov dx,0x505; mov al,1; out dx,al (isa pvpanic, "panicked"); hlt; jmp -3
# Writes 32 KiB of the BIOS (it is not all zeros) to the first disk, again and again behind what it wrote: int 13h, ah=43h, a packet at 7c30.
WRITES = (bytes.fromhex("31c0" "8ed8" "8ed0" "bc007c" "be307c"              # ds = ss = 0; sp = 7c00; si = 7c30
                        "b443" "b000" "b280" "cd13"                         # loop: write to disk 80h
                        "8106387c4000" "83163a7c00" "ebeb").ljust(0x30, b"\0")  # lba += 64; jmp loop
          + bytes.fromhex("1000" "4000" "0080" "00f0" "4000000000000000"))  # 64 sectors from f000:8000 to lba 64


def sector(code):
    return code.ljust(510, b"\0") + b"\x55\xaa"


class Trouble(Case):
    """Alarms of VMs, from the host to winctl."""

    def alarms(self, vm):
        return sorted(alarm["kind"] for alarm in self.api.items("alarms") if alarm.get("object") == vm)

    def wait_alarms(self, vm, *kinds):
        wait_for(f"{vm} to have the alarms {kinds}", lambda: self.alarms(vm) == sorted(kinds), 200, give_up=False)
        check(self.alarms(vm) == sorted(kinds), lambda: f"{self.alarms(vm)}, power: {self.site.vm(vm).get('power')}")

    def winctl(self, *words):
        """As a person reads it."""
        done = subprocess.run([self.site.program("winctl"), *words], capture_output=True, text=True, env=self.site.product.environment, check=False)
        check(done.returncode == 0, done.stderr)
        return done.stdout

    def sync(self):
        """The host is read anew, once its libvirt serves."""
        path = f"hosts/{self.site.host}/sync"
        wait_for("the host to be read", lambda: self.api.wait(self.api.post(path))["state"] == "done", 200)

    def kill_qemu(self, vm):
        self.site.inside("pkill", "-9", "-f", self.site.vm(vm)["uuid"])  # in the host's own processes

    def machine(self, name, code, pool, size_bytes):
        """A VM that is off, whose disk begins with that code."""
        if platform.machine() != "x86_64":
            raise Skip("the guest of one sector is for a PC")
        vm = self.api.do("vms", {"name": name, "host": self.site.host, "memory_bytes": 64 * MIB, "firmware": "bios",
                                 "disks": [{"new_volume": {"size_bytes": size_bytes, "pool": pool}}]})["result"]
        path, volume = self.api.get(f"pools/{pool}")["path"], self.site.vm(vm)["disks"][0]["volume"]
        file = self.site.inside("find", path, "-name", f"{volume}-*", "-type", "f").strip()
        with tempfile.NamedTemporaryFile(dir=self.site.top) as boot:
            boot.write(sector(code))
            boot.flush()
            self.site.inside("qemu-io", "-f", "qcow2", "-c", f"write -s {boot.name} 0 512", file)
        return vm

    # ---- QEMU that ends ----

    def vm_whose_qemu_is_killed_has_an_alarm_until_it_runs_again(self):
        vm = self.site.deaf("killed")
        self.kill_qemu(vm)
        self.wait_alarms(vm, "vm_crashed")
        check(self.site.vm(vm)["health"]["level"] == "major", self.site.vm(vm))
        check(self.site.vm(vm)["power"]["reason"] == "crashed", self.site.vm(vm)["power"])
        alarm = next(one for one in self.api.items("alarms") if one.get("object") == vm)
        english, chinese = (self.winctl("--lang", lang, "alarm", "get", alarm["id"]) for lang in ("en", "zh"))
        check("Guest crashed" in english and "winctl vm log" in english, english)
        check("客户机崩溃" in chinese and "winctl vm log" in chinese, chinese)
        check("Guest crashed" in self.winctl("--lang", "en", "alarm", "list"), "winctl alarm list")
        metrics = self.api.raw("GET", "metrics")[2].decode()
        check(f'winsphere_alarm{{kind="vm_crashed",level="major",object="{vm}"}} 1' in metrics, "/metrics")
        self.api.do(f"vms/{vm}/start")
        self.wait_alarms(vm)
        self.site.destroy(vm)

    def crash_while_the_agent_was_down_is_found_and_stays_when_libvirt_forgets_it(self):
        vm = self.site.deaf("unseen")
        self.site.kill(self.site.agent)
        wait_for("the host to be lost", lambda: self.api.get(f"hosts/{self.site.host}")["state"] == "lost", 60)
        self.kill_qemu(vm)
        uuid = self.site.vm(vm)["uuid"]
        wait_for("the end of QEMU", lambda: self.site.domains()[uuid] == "shut off", 60)
        self.site.start_agent()
        Agreement(self.site).wait()
        self.wait_alarms(vm, "vm_crashed")
        init = self.site.place.lab.hosts[0].running_init()
        self.site.kill_libvirtd(init)
        self.site.start_libvirtd(init)
        said = self.site.inside("virsh", "domstate", "--reason", uuid)
        check("crashed" not in said, f"libvirt remembers by now: {said}")
        self.sync()
        self.wait_alarms(vm, "vm_crashed")
        self.api.do(f"vms/{vm}/start")
        self.wait_alarms(vm)
        self.site.destroy(vm)

    def vm_that_ended_while_libvirt_was_down_has_an_alarm(self):
        vm = self.site.deaf("alone")
        init = self.site.place.lab.hosts[0].running_init()
        self.site.kill_libvirtd(init)
        self.kill_qemu(vm)
        self.site.start_libvirtd(init)
        self.site.wait_power(vm, "off", 200)
        Agreement(self.site).wait()
        wait_for("its alarm", lambda: self.alarms(vm), 200)
        print(f"# {self.alarms(vm)}, {self.site.vm(vm)['power']['reason']}", flush=True)
        check(self.alarms(vm) in (["vm_crashed"], ["vm_ended_unseen"]), self.alarms(vm))
        self.site.destroy(vm)

    def shutdown_by_hand_is_no_alarm(self):
        vm = self.site.deaf("wanted")
        self.site.inside("virsh", "destroy", self.site.vm(vm)["uuid"])
        self.site.wait_power(vm, "off")
        self.sync()
        check(not self.alarms(vm), self.alarms(vm))
        self.site.destroy(vm)

    # ---- guests ----

    def guest_that_panics_has_an_alarm_until_it_is_powered_off(self):
        vm = self.machine("panics", PANICS, self.site.pool, MIB)
        self.api.do(f"vms/{vm}/start")
        self.wait_alarms(vm, "vm_crashed")
        check(self.site.power(vm) == "crashed", self.site.vm(vm)["power"])
        self.api.do(f"vms/{vm}/power_off")
        self.wait_alarms(vm)
        self.site.destroy(vm)

    def disk_without_room_is_an_alarm_until_the_guest_goes_on(self):
        path = f"{self.site.place.pool_root}/tight"
        self.site.inside("mkdir", "-p", path)
        self.site.inside("mount", "-t", "tmpfs", "-o", "size=64m,mode=0711", "tight", path)
        pool = self.api.do("pools", {"name": "tight", "hosts": [self.site.host], "path": path})["result"]
        vm = self.machine("held", WRITES, pool, 40 * MIB)
        uuid = self.site.vm(vm)["uuid"]
        self.api.do(f"vms/{vm}/start", {"paused": True})
        self.site.inside("fallocate", "-l", "60M", f"{path}/filler")
        self.site.kill(self.site.agent)  # nobody of ours hears it
        self.site.inside("virsh", "resume", uuid)
        wait_for("the guest to stand still", lambda: "I/O error" in self.site.inside("virsh", "domstate", "--reason", uuid), 200)
        self.site.start_agent()
        self.site.wait_connected()
        self.wait_alarms(vm, "vm_io_held")
        check(self.site.power(vm) == "io_held", self.site.vm(vm)["power"])
        self.api.do(f"vms/{vm}/resume")  # there is no room yet: it stands still again, and this time it is heard
        wait_for("the guest to stand still again", lambda: "I/O error" in self.site.inside("virsh", "domstate", "--reason", uuid), 200)
        self.wait_alarms(vm, "vm_io_held")
        self.site.inside("rm", f"{path}/filler")
        self.api.do(f"vms/{vm}/resume")
        self.wait_alarms(vm)
        self.site.wait_power(vm, "running")
        self.api.do(f"vms/{vm}/power_off")
        self.api.do(f"vms/{vm}", {"how": "destroy"}, "DELETE")
        self.api.do(f"pools/{pool}", {}, "DELETE")
        self.site.inside("umount", path)
