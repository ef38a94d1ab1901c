# SPDX-License-Identifier: Apache-2.0
"""Volumes, and what a running guest gets and shows: disks, NICs, screen, keys, consoles."""
import base64
import json
import os

from whole_site import Case, check, read_message, refused

MIB = 1048576
WEBSOCKET, FORBIDDEN = 101, 403


class Volumes(Case):
    """Volumes that no VM has."""

    def create(self, name, **fields):
        return self.api.do("volumes", {"name": name, "pool": self.site.pool, "size_bytes": 4 * MIB, **fields})["result"]

    def file_of(self, volume):
        """The file of the pool that appeared with it, found by the volume's id in its name."""
        return next((name for name in self.site.pool_files() if name.startswith(f"{volume}-")), None)

    def each_kind_of_volume_is_made_grown_and_deleted(self):
        for fields in ({}, {"provisioning": "lazy_zeroed"}, {"provisioning": "eager_zeroed"}, {"format": "raw"}):
            volume = self.create("made", **fields)
            file = self.file_of(volume)
            check(file, f"{volume} {fields} has no file")
            self.api.do(f"volumes/{volume}/resize", {"size_bytes": 8 * MIB})
            check(self.api.get(f"volumes/{volume}")["size_bytes"] == 8 * MIB, "size")
            info = self.site.inside("qemu-img", "info", f"{self.site.pool_path}/{file}")
            check(f"({8 * MIB} bytes)" in info, info)
            self.api.do(f"volumes/{volume}", {"wipe": "provisioning" in fields}, "DELETE")
            check(not self.file_of(volume), "the file stayed")
            refused("not_found", self.api.get, f"volumes/{volume}")

    def volume_does_not_shrink(self):
        volume = self.create("large")
        refused("out_of_range", self.api.post, f"volumes/{volume}/resize", {"size_bytes": 2 * MIB})
        self.api.do(f"volumes/{volume}", {}, "DELETE")

    def full_and_linked_clones(self):
        source = self.create("source")
        full = self.api.do(f"volumes/{source}/clone", {"name": "full"})["result"]
        linked = self.api.do(f"volumes/{source}/clone", {"name": "linked", "linked": True})["result"]
        check(not self.api.get(f"volumes/{full}").get("parent"), "a full clone has a parent")
        check(self.api.get(f"volumes/{linked}")["parent"] == source, "no parent")
        error = refused("in_use", self.api.send, "DELETE", f"volumes/{source}", {})
        check("linked" in error.message, error)
        for volume in (full, linked, source):
            self.api.do(f"volumes/{volume}", {}, "DELETE")

    def volume_in_the_bin_comes_back(self):
        volume = self.create("binned")
        self.api.do(f"volumes/{volume}", {"to_bin": True}, "DELETE")
        check(self.api.get(f"volumes/{volume}").get("in_bin_since"), "not in the bin")
        self.api.do(f"volumes/{volume}/restore")
        check(not self.api.get(f"volumes/{volume}").get("in_bin_since"), "still in the bin")
        self.api.do(f"volumes/{volume}", {}, "DELETE")


class Devices(Case):
    """On the running guest."""

    def serial_console_answers_what_is_typed(self):
        with self.site.console(self.vm) as console:
            console.type("\n")
            console.wait_for("login:")

    def new_password_opens_the_guest(self):
        self.site.wait_guest(self.vm)
        body = {"user": "root", "password": "a new \"one\" 1"}
        refused("required", self.api.post, f"vms/{self.vm}/set_password", {"user": "root"})
        refused("bad_value", self.api.post, f"vms/{self.vm}/set_password", {**body, "user": "root:x"})
        task = self.api.do(f"vms/{self.vm}/set_password", body)
        check("a new" not in json.dumps(task), task)
        for log in (self.site.manager.log, self.site.agent.log):
            with open(log, encoding="utf-8", errors="replace") as file:
                check("a new" not in file.read(), f"the password is in {log}")
        with self.site.console(self.vm) as console:
            console.type("\n")
            console.wait_for("login:")
            console.type("root\n")
            console.wait_for("Password:")
            console.type(body["password"] + "\n")
            console.wait_for("# ")
            console.type("exit\n")
            console.wait_for("login:")

    def running_guest_gets_and_loses_a_disk(self):
        self.site.wait_guest(self.vm)
        new = {"disk": {"new_volume": {"size_bytes": 4 * MIB}}}
        self.api.do(f"vms/{self.vm}/attach_disk", new)
        disk = self.site.vm(self.vm)["disks"][-1]
        check(self.api.get(f"volumes/{disk['volume']}")["used_by"] == self.vm, "used_by")
        check(not self.site.vm(self.vm).get("pending_restart"), self.site.vm(self.vm).get("pending_restart"))
        check(self.lines("domblklist") == 3, self.site.inside("virsh", "domblklist", self.uuid()))
        self.api.do(f"vms/{self.vm}/detach_disk", {"key": disk["key"], "volume": "destroy"})
        check(self.lines("domblklist") == 2, self.site.inside("virsh", "domblklist", self.uuid()))
        refused("not_found", self.api.get, f"volumes/{disk['volume']}")

    def uuid(self):
        """As libvirt knows it."""
        return self.site.vm(self.vm)["uuid"]

    def lines(self, command):
        """How many devices the live domain has (a seed CD counts)."""
        return len(self.site.inside("virsh", command, self.uuid()).strip().splitlines()) - 2

    def running_guest_gets_and_loses_a_nic(self):
        self.api.do(f"vms/{self.vm}/attach_nic", {"nic": {"port_group": self.site.group}})
        check(self.lines("domiflist") == 2, self.site.inside("virsh", "domiflist", self.uuid()))
        self.api.do(f"vms/{self.vm}/detach_nic", {"key": self.site.vm(self.vm)["nics"][-1]["key"]})
        check(self.lines("domiflist") == 1, self.site.inside("virsh", "domiflist", self.uuid()))

    def devices_that_a_guest_keeps_are_told_within_one_call(self):
        """A guest that hears nothing lets go of none, and each is waited for: all together, or the manager would have given up."""
        vm = self.api.do("vms", {"name": "keeps", "host": self.site.host, "memory_bytes": 64 * MIB,
                                 "disks": [{"new_volume": {"size_bytes": MIB, "pool": self.site.pool}}],
                                 "nics": [{"port_group": self.site.group}] * 5})["result"]
        self.api.do(f"vms/{vm}/start")
        task = self.api.do(f"vms/{vm}", {"nics": []}, "PATCH")
        kept = sorted(line["params"]["change"] for line in self.api.get(f"tasks/{task['id']}")["log"] if line["text"] == "vm_change_waits")
        check(kept == [f"nics[nic-{i}]: the guest has not released the device" for i in range(5)], kept)
        check(not self.site.vm(vm).get("nics") and self.site.vm(vm)["pending_restart"], self.site.vm(vm))
        self.site.destroy(vm)

    def screenshot_is_a_png(self):
        picture = base64.b64decode(self.api.post(f"vms/{self.vm}/screenshot")["png"])
        check(picture.startswith(b"\x89PNG\r\n\x1a\n") and picture.rstrip().endswith(b"IEND\xaeB`\x82"), picture[:16])

    def run_log_is_the_hosts_and_has_its_newest_lines(self):
        log = self.api.get(f"vms/{self.vm}/log")
        check(log["host"] == self.site.vm(self.vm)["host"], log["host"])
        check("qemu-system" in log["text"] and log["lines"] == len(log["text"].splitlines()), log)
        short = self.api.get(f"vms/{self.vm}/log?lines=2")
        check(short["lines"] == 2 and short["more"] and log["text"].endswith(short["text"]), short)
        refused("out_of_range", self.api.get, f"vms/{self.vm}/log?lines=0")
        check("qemu-system" in self.site.product.call("vm", "log", self.vm)["text"], "winctl")

    def host_check_says_what_is_known_of_each_device(self):
        host = self.api.get(f"hosts/{self.site.host}")
        lines = [line for line in self.api.get(f"hosts/{self.site.host}/check")["lines"] if line["check"] == "device"]
        check(any(line["found"] == host["facts"]["cpu"]["model"] for line in lines), lines)
        check(all(line.get("compatibility") in ("tested", "known_to_work", "unknown") for line in lines), lines)
        check(all(("advice" in line) == (line["compatibility"] == "unknown") for line in lines), lines)

    def compatibility_list_is_searched_and_takes_own_entries(self):
        found = self.api.get("compatibility?kind=nic&q=i40e+x710")["items"]
        check(found and all(entry["driver"] == "i40e" for entry in found), found)
        refused("bad_value", self.api.get, "compatibility?kind=toaster")
        with open(os.path.join(self.site.manager_dir, "compatibility.jsonl"), "w", encoding="utf-8") as file:
            file.write('{"kind": "nic", "name": "Ours", "state": "tested", "source": "we did"}\n{"kind": "nic"}\n')
        answer = self.api.get("compatibility?kind=nic")
        check(answer["items"][0]["name"] == "Ours" and answer["items"][0]["own"], answer["items"][0])
        check([problem["line"] for problem in answer["problems"]] == [2], answer["problems"])
        check(self.site.product.call("system", "compatibility", "--q", "ours")["items"], "winctl")

    def keys_are_pressed(self):
        self.api.post(f"vms/{self.vm}/send_keys", {"keys": ["ctrl", "alt", "f2"]})
        refused("bad_value", self.api.post, f"vms/{self.vm}/send_keys", {"keys": ["no_such_key"]})

    def vnc_ticket_is_good_for_one_connection(self):
        ticket = self.api.post(f"vms/{self.vm}/console", {"kind": "vnc"})["ticket"]
        status, stream = self.api.socket(f"/api/v1/console?ticket={ticket}")
        with stream:
            check(status == WEBSOCKET, status)
            check(read_message(stream).startswith(b"RFB 003.008"), "no greeting of VNC")
        status, stream = self.api.socket(f"/api/v1/console?ticket={ticket}")
        stream.close()
        check(status == FORBIDDEN, f"the used ticket gave {status}")
