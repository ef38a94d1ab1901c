# SPDX-License-Identifier: Apache-2.0
"""A VM becomes one file that other programs read: tar, sha256, an XML parser, qemu-img; its disk comes back as an image."""
import hashlib
import os
import tarfile
import xml.etree.ElementTree as ElementTree

from whole_site import LIVING, Case, check, refused, run, wait_for

MIB = 1048576
TRIES = 10
OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"
RASD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData}"
SECRET = "not for others"


class Exports(Case):
    """One VM with two disks, exported, refused, cancelled; then what was downloaded is taken in again."""

    def __init__(self, site):
        super().__init__(site)
        self.vm_id = self.ova = None
        self.folder = os.path.join(site.top, "exported")

    def file_of(self, volume):
        return next(f"{self.site.pool_path}/{name}" for name in self.site.pool_files() if name.startswith(f"{volume}-"))

    def disks(self):
        return [disk["volume"] for disk in self.site.vm(self.vm_id)["disks"]]

    def export(self, **options):
        return self.api.post(f"vms/{self.vm_id}/export", {"pool": self.site.pool, **options})

    def running_vm_is_refused(self):
        self.vm_id = self.site.deploy("网 站 <1>", start=False, cloud_init={"user": "somebody", "password": SECRET})
        self.api.do(f"vms/{self.vm_id}/attach_disk", {"disk": {"new_volume": {"size_bytes": 256 * MIB, "format": "raw", "pool": self.site.pool}}})
        self.api.do(f"vms/{self.vm_id}/start", {"paused": True})
        error = refused("wrong_state", self.export)
        check("export" in error.message and "another state" in error.answer["hint"], error.answer)
        self.api.do(f"vms/{self.vm_id}/power_off")

    def dry_run_tells_the_room_it_needs(self):
        files = self.site.pool_files()
        answer = self.api.post(f"vms/{self.vm_id}/export?dry_run=true", {"pool": self.site.pool})
        check(answer["dry_run"] and "MiB)" in answer["steps"][1], answer)
        check(self.site.pool_files() == files and not self.api.items("volumes", filter="kind=ova"), "something was made")

    def pool_without_room_is_refused_before(self):
        path = f"{self.site.place.pool_root}/tiny"
        self.site.inside("mkdir", "-p", path)
        self.site.inside("mount", "-t", "tmpfs", "-o", "size=4m,mode=0711", "tiny", path)
        pool = self.api.do("pools", {"name": "tiny", "hosts": [self.site.host], "path": path})["result"]
        error = refused("no_capacity", self.api.post, f"vms/{self.vm_id}/export", {"pool": pool})
        check(error.params["object"] == "tiny" and error.params["need"].endswith("MiB") and error.params["free"].endswith("MiB"), error.params)
        check(not self.api.items("volumes", filter=f"pool={pool}"), "a volume is there")
        self.api.do(f"pools/{pool}", {}, "DELETE")
        self.site.inside("umount", path)

    def cancelled_export_leaves_nothing(self):
        self.site.inside("dd", "if=/dev/urandom", f"of={self.file_of(self.disks()[1])}", "bs=1M", "count=128", "conv=notrunc", "status=none")
        files = self.site.pool_files()
        ended = self.cancelled()
        for _ in range(TRIES):
            if ended["state"] == "cancelled":
                break
            check(ended["state"] == "done", ended)  # it was faster than we
            self.api.do(f"volumes/{ended['result']}", {}, "DELETE")
            ended = self.cancelled()
        check(ended["state"] == "cancelled", "each of them was faster")
        check(self.site.pool_files() == files and not self.api.items("volumes", filter="kind=ova"), self.site.pool_files() ^ files)
        self.site.inside("truncate", "-s", "0", self.file_of(self.disks()[1]))
        self.site.inside("truncate", "-s", str(256 * MIB), self.file_of(self.disks()[1]))

    def cancelled(self):
        """The task of an export that is cancelled when its second disk is seen to be packed."""
        task = self.export(name="given up")
        wait_for("the second disk to be packed", lambda: [name for name in self.site.pool_files() if name.endswith("disk2.vmdk")] or
                 self.api.get(f"tasks/{task['id']}")["state"] not in LIVING, 60)
        self.api.cancel(task)
        return self.api.wait(task)

    def export_is_read_by_tar_and_python(self):
        linked, raw = self.disks()
        self.site.inside("qemu-io", "-f", "raw", "-c", "write -P 0x77 200M 1M", self.file_of(raw))
        self.ova = self.api.do(f"vms/{self.vm_id}/export", {"pool": self.site.pool})["result"]
        volume = self.api.get(f"volumes/{self.ova}")
        check((volume["kind"], volume["state"], volume["name"], volume["format"]) == ("ova", "ready", "网 站 <1>", "raw"), volume)
        path = os.path.join(self.site.top, "exported.ova")
        self.site.product.call("volume", "download", self.ova, path)
        with open(path, "rb") as file:
            check(hashlib.sha256(file.read()).hexdigest() == volume["sha256"] and os.path.getsize(path) == volume["size_bytes"], volume)
        stem = self.vm_id
        listed = run("tar", "tf", path).split()
        check(listed == [f"{stem}.ovf", f"{stem}.mf", f"{stem}-disk1.vmdk", f"{stem}-disk2.vmdk"], listed)
        with tarfile.open(path) as archive:
            archive.extractall(self.folder)
        for line in self.text(f"{stem}.mf").splitlines():
            name, digest = line.removeprefix("SHA256(").split(")= ")
            with open(os.path.join(self.folder, name), "rb") as file:
                check(hashlib.sha256(file.read()).hexdigest() == digest, line)
        self.describes(self.text(f"{stem}.ovf"))
        for number, (disk, form) in enumerate(((linked, "qcow2"), (raw, "raw")), 1):
            self.site.inside("qemu-img", "compare", "-q", "-f", "vmdk", "-F", form, f"{self.folder}/{stem}-disk{number}.vmdk", self.file_of(disk))

    def text(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as file:
            return file.read()

    def describes(self, text):
        check(SECRET not in text and "somebody" not in text, text)
        root = ElementTree.fromstring(text)
        vm = self.site.vm(self.vm_id)
        check(root.find(f"{OVF}VirtualSystem/{OVF}Name").text == "网 站 <1>", text)
        items = [{part.tag.removeprefix(RASD): part.text for part in item} for item in root.iter(f"{OVF}Item")]
        by_type = {number: [item for item in items if item["ResourceType"] == number] for number in ("3", "4", "10", "17")}
        check(by_type["3"][0]["VirtualQuantity"] == str(vm["cpu"]["vcpus"]), items)
        check(by_type["4"][0]["VirtualQuantity"] == str(vm["memory_bytes"] // MIB), items)
        check([item["Connection"] for item in by_type["10"]] == ["guests"], items)
        check(len(by_type["17"]) == 2 and vm["nics"][0]["mac"] not in text, items)
        sizes = [int(disk.get(f"{OVF}capacity")) for disk in root.iter(f"{OVF}Disk")]
        check(sizes == [self.api.get(f"volumes/{volume}")["size_bytes"] for volume in self.disks()], sizes)
        for file in root.iter(f"{OVF}File"):
            check(int(file.get(f"{OVF}size")) == os.path.getsize(os.path.join(self.folder, file.get(f"{OVF}href"))), text)

    def exported_disk_comes_back_as_an_image(self):
        """The same blocks as the disk that a guest boots from: so it boots, too."""
        path = os.path.join(self.folder, f"{self.vm_id}-disk1.vmdk")
        image = self.api.do("images", {"name": "came back", "pool": self.site.pool, "upload_bytes": os.path.getsize(path), "source_format": "vmdk",
                                       "architecture": "x86_64", "guest_agent": True, "cloud_init": True})["result"]
        volume = self.api.get(f"images/{image}")["volume"]
        self.site.product.call("volume", "upload", volume, path, "--wait")
        check(self.api.get(f"images/{image}")["state"] == "ready", "the image")
        self.site.inside("qemu-img", "compare", "-q", "-f", "qcow2", "-F", "qcow2", self.file_of(volume), self.file_of(self.disks()[0]))
        self.api.do(f"images/{image}", {}, "DELETE")

    def export_is_no_disk(self):
        api, disk = self.api, {"disk": {"volume": self.ova}}
        refused("bad_value", api.post, f"vms/{self.vm_id}/attach_disk", disk)
        refused("bad_value", api.post, f"vms/{self.vm_id}/attach_disk?dry_run=true", disk)
        refused("bad_value", api.send, "PATCH", f"vms/{self.vm_id}", {"cdroms": [{"volume": self.ova}]})
        refused("bad_value", api.post, "vms", {"name": "x", "disks": [{"volume": self.ova}], "host": self.site.host})
        for linked in (False, True):
            refused("not_allowed", api.post, f"volumes/{self.ova}/clone", {"name": "x", "linked": linked})
        refused("not_allowed", api.post, f"volumes/{self.ova}/resize", {"size_bytes": 1 << 40})
        refused("not_allowed", api.post, "images", {"name": "x", "pool": self.site.pool, "source": self.ova})
        for size in ("size_bytes", "upload_bytes"):
            refused("bad_value", api.post, "volumes", {"name": "x", "pool": self.site.pool, "kind": "ova", size: MIB})
        api.do(f"volumes/{self.ova}", {"to_bin": True}, "DELETE")
        api.do(f"volumes/{self.ova}/restore")
        api.do(f"volumes/{self.ova}", {}, "DELETE")
        check(not [name for name in self.site.pool_files() if name.startswith(f"{self.ova}-")], "its file is there")
        self.site.destroy(self.vm_id)
