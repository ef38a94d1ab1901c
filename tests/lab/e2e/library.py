# SPDX-License-Identifier: Apache-2.0
"""The recycle bin, many VMs at once, and bytes that go up and down."""
import hashlib
import json
import os
import random

from whole_site import Case, Refused, check, refused, run, wait_for


class Bin(Case):
    """Four ways to go, and the way back. These VMs never run."""

    def leave(self, how):
        """A new VM deleted in that way; the VM as it was."""
        vm = self.site.vm(self.site.deploy(how.replace("_", "-"), start=False))
        self.api.do(f"vms/{vm['id']}", {"how": how}, "DELETE")
        return vm

    def vm_in_the_bin_leaves_its_volume_free_and_comes_back(self):
        vm = self.leave("bin")
        check(self.site.vm(vm["id"])["management"] == "in_bin", "not in the bin")
        check(vm["uuid"] not in self.site.domains(), "still defined")
        volume = self.api.get(f"volumes/{vm['disks'][0]['volume']}")
        check(not volume.get("used_by") and not volume.get("in_bin_since"), volume)
        refused("wrong_state", self.api.post, f"vms/{vm['id']}/start")
        self.come_back(vm)

    def come_back(self, vm):
        """Restores it, looks, and destroys it."""
        self.api.do(f"vms/{vm['id']}/restore")
        now = self.site.vm(vm["id"])
        check(now["management"] == "managed" and now["disks"] == vm["disks"], now)
        check(vm["uuid"] in self.site.domains(), "not defined")
        volume = self.api.get(f"volumes/{vm['disks'][0]['volume']}")
        check(volume["used_by"] == vm["id"] and not volume.get("in_bin_since"), volume)
        self.site.destroy(vm["id"])

    def vm_goes_to_the_bin_with_its_volume_and_comes_back(self):
        vm = self.leave("bin_with_volumes")
        check(self.api.get(f"volumes/{vm['disks'][0]['volume']}").get("in_bin_since"), "the volume is not in the bin")
        told = self.winctl("vm", "list", "--filter", "management=in_bin")
        check("In bin, 29 d left" in told, told)
        self.come_back(vm)

    def winctl(self, *words):
        """What a person sees."""
        return run("env", f"WINCTL_CONFIG={self.site.product.environment['WINCTL_CONFIG']}", "LC_ALL=C.UTF-8", self.site.program("winctl"), *words)

    def vm_in_the_bin_can_be_destroyed(self):
        vm = self.leave("bin_with_volumes")
        self.api.do(f"vms/{vm['id']}", {"how": "destroy"}, "DELETE")
        refused("not_found", self.api.get, f"vms/{vm['id']}")
        refused("not_found", self.api.get, f"volumes/{vm['disks'][0]['volume']}")

    def forgotten_vm_stays_on_its_host(self):
        vm = self.leave("forget")
        refused("not_found", self.api.get, f"vms/{vm['id']}")
        check(vm["uuid"] in self.site.domains(), "its domain is gone")
        volume = vm["disks"][0]["volume"]
        found = self.found_again(vm)
        check((found["management"], found["name"]) == ("found", vm["name"]), found)
        check(found["disks"][0]["volume"] == volume and found["nics"][0]["port_group"] == self.site.group, found)
        refused("in_use", self.api.send, "DELETE", f"volumes/{volume}", {})
        self.api.do(f"vms/{found['id']}/adopt")
        check(self.api.get(f"volumes/{volume}")["used_by"] == found["id"], "its volume is free")
        self.api.do(f"vms/{found['id']}", {"how": "forget"}, "DELETE")
        self.found_again(vm)
        self.site.inside("virsh", "undefine", vm["uuid"], "--nvram")
        wait_for("no trace of it", lambda: vm["uuid"] not in {one["uuid"] for one in self.api.items("vms")}, 10)
        self.api.do(f"volumes/{vm['disks'][0]['volume']}", {}, "DELETE")

    def found_again(self, vm):
        """With the next sync of the host at the latest."""
        self.api.do(f"hosts/{self.site.host}/sync")
        return wait_for("the found VM", lambda: [one for one in self.api.items("vms") if one["uuid"] == vm["uuid"]], 10)[0]

    def destroyed_vm_leaves_nothing(self):
        before = self.site.pool_files()
        vm = self.leave("destroy")
        check(self.site.pool_files() == before and vm["uuid"] not in self.site.domains(), self.site.pool_files() - before)


class Batches(Case):
    """One verb on many."""

    def batch_gives_one_result_for_each_vm(self):
        parent = self.api.do("vms/deploy", {"name": "many", "image": self.site.image, "pool": self.site.pool, "linked": True,
                                            "count": 3, "start": False, "port_group": self.site.group, "labels": {"made": "together"}})
        vms = [vm["id"] for vm in self.api.items("vms", filter="labels.made=together")]
        check(len(vms) == 3, (parent, vms))
        self.batch("start", vms, {"done"})
        check({self.site.power(vm) for vm in vms} == {"running"}, "not all run")
        self.api.do(f"vms/{vms[0]}/power_off")
        results = self.batch("power_off", vms, {"partly_done", "failed"})
        check(sorted(results.values()) == ["done", "done", "failed"] and results[vms[0]] == "failed", results)
        check({self.site.power(vm) for vm in vms} == {"off"}, "not all are off")
        words = self.site.winctl_refused("vm", "power-off", *vms[:2], "--yes", "--wait")
        check("0 of 2 done" in words, words)
        task = self.api.wait(self.api.post("vms/batch", {"verb": "delete", "ids": vms, "args": {"how": "destroy"}}))
        check(task["state"] == "done", task)

    def batch(self, verb, vms, states):
        """VM to the state of its task."""
        task = self.api.wait(self.api.post("vms/batch", {"verb": verb, "ids": vms}))
        check(task["state"] in states, task)
        return {child["target"]: child["state"] for child in self.api.items("tasks", filter=f"parent={task['id']}")}


class Bytes(Case):
    """Uploads, downloads, refusals."""

    def path(self, name):
        """In the temporary directory."""
        return os.path.join(self.site.top, name)

    def make_iso(self):
        """A small ISO."""
        content = self.path("content")
        with open(content, "wb") as file:
            file.write(random.Random(7).randbytes(3000000))
        run("xorriso", "-as", "genisoimage", "-quiet", "-V", "TEST", "-J", "-r", "-o", self.path("test.iso"), content)
        with open(self.path("test.iso"), "rb") as file:
            return file.read()

    def iso_comes_down_as_it_went_up(self):
        iso = self.make_iso()
        image = self.api.do("images", {"name": "iso", "kind": "iso", "pool": self.site.pool, "upload_bytes": len(iso),
                                       "source_format": "iso", "sha256": hashlib.sha256(iso).hexdigest()})["result"]
        volume = self.api.get(f"images/{image}")["volume"]
        self.put(volume, iso[:1000000], 0)
        check(self.put(volume, b"", 0)["received_bytes"] == 1000000, "received_bytes")
        refused("upload_offset", self.put, volume, iso[2000000:], 2000000)
        self.put(volume, iso[1000000:], 1000000)
        self.api.do(f"volumes/{volume}/finish_upload")
        check(self.api.get(f"images/{image}")["state"] == "ready", self.api.get(f"images/{image}"))
        target = self.path("down.iso")
        self.site.product.call("volume", "download", volume, target)
        with open(target, "rb") as file:
            check(file.read() == iso, "winctl's download differs")
        with open(f"{target}.{volume}.part", "wb") as file:
            file.write(iso[:2000000])  # what a broken download left
        with open(target, "wb") as file:
            file.write(b"something else")
        self.site.product.call("volume", "download", volume, target)
        with open(target, "rb") as file:
            check(file.read() == iso and not os.path.exists(f"{target}.{volume}.part"), "the continued download differs")
        status, _, answer = self.api.raw("GET", f"volumes/{volume}/data", headers={"Range": f"bytes={len(iso)}-"})
        check(status == 416 and json.loads(answer)["code"] == "range_outside", f"{status} {answer}")
        status, _, rest = self.api.raw("GET", f"volumes/{volume}/data", headers={"Range": "bytes=2500000-"})
        check(status == 206 and rest == iso[2500000:], f"{status}, {len(rest)} bytes of the rest")
        self.api.do(f"images/{image}", {}, "DELETE")

    def put(self, volume, data, offset):
        """Sends bytes; the answer."""
        where = f"?offset={offset}" if data else ""
        status, _, answer = self.api.raw("PUT", f"volumes/{volume}/data{where}", data,
                                         {"Content-Type": "application/octet-stream"})
        if status >= 400:
            raise Refused(status, json.loads(answer))
        return json.loads(answer)

    def image_that_is_not_what_it_says_is_refused_and_leaves_no_file(self):
        self.refuse(b"no image at all" + bytes(70000), "qcow2")
        self.refuse(random.Random(8).randbytes(70000), "iso", kind="iso")

    def qcow2_with_a_backing_file_is_refused(self):
        run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd", self.path("bad.qcow2"), "1M")
        with open(self.path("bad.qcow2"), "rb") as file:
            self.refuse(file.read(), "qcow2")

    def refuse(self, data, source_format, **fields):
        """Uploads it as an image, which must be refused; deletes the image; nothing may be left."""
        before = self.site.pool_files()
        image = self.api.do("images", {"name": "bad", "pool": self.site.pool, "upload_bytes": len(data),
                                       "source_format": source_format, **fields})["result"]
        volume = self.api.get(f"images/{image}")["volume"]
        self.put(volume, data, 0)
        task = self.api.wait(self.api.post(f"volumes/{volume}/finish_upload"))
        check(task["error"]["code"] == "image_refused", task)
        check(self.api.get(f"images/{image}")["state"] != "ready", "ready")
        self.api.do(f"images/{image}", {}, "DELETE")
        check(self.site.pool_files() == before, f"left: {self.site.pool_files() - before}")
