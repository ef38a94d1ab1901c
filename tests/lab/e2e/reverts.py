# SPDX-License-Identifier: Apache-2.0
"""A disk goes back to its image: what the guest wrote is gone, its other disk is as it was."""
from whole_site import Case, check, refused

MIB = 1048576
PASSWORD = "of the guest"


class Reverts(Case):
    """VMs of its own: one that boots, others that stay off."""

    def volume(self, vm, n=0):
        return self.api.get(f"volumes/{self.site.vm(vm)['disks'][n]['volume']}")

    def run(self, vm, *commands, answers):
        """Types the commands as root on the serial line of a guest that is up."""
        self.site.wait_guest(vm)
        self.api.do(f"vms/{vm}/set_password", {"user": "root", "password": PASSWORD})
        with self.site.console(vm) as console:
            console.type("\n")
            console.wait_for("login:")
            console.type("root\n")
            console.wait_for("Password:")
            console.type(PASSWORD + "\n")
            console.wait_for("# ")
            for command, answer in zip(commands, answers, strict=True):
                console.type(command + "\n")
                console.wait_for(answer)

    def linked_disk_of_a_guest_loses_what_it_wrote(self):
        vm = self.site.deploy("writer", start=False)
        self.api.do(f"vms/{vm}/attach_disk", {"disk": {"new_volume": {"size_bytes": 4 * MIB, "format": "raw", "pool": self.site.pool}}})
        before, other = self.volume(vm), self.volume(vm, 1)
        self.api.do(f"vms/{vm}/start")
        self.run(vm, "touch ~/written && sync && echo one-$((1 + 1))",
                 "printf KEPT-MARK | dd of=/dev/vdb conv=notrunc && sync && echo two-$((1 + 1))", answers=("one-2", "two-2"))
        refused("wrong_state", self.api.post, f"vms/{vm}/revert_disk", {"key": "disk-0"})
        self.api.do(f"vms/{vm}/shutdown", {"timeout_s": 300, "or_power_off": True})
        self.site.wait_power(vm, "off")
        files = self.site.pool_files()
        refused("not_allowed", self.api.post, f"vms/{vm}/revert_disk", {"key": "disk-1"})
        refused("not_found", self.api.post, f"vms/{vm}/revert_disk", {"key": "disk-7"})
        self.api.do(f"vms/{vm}/revert_disk", {"key": "disk-0"})
        after = self.volume(vm)
        check((after["id"], after["parent"], after["size_bytes"]) == (before["id"], before["parent"], before["size_bytes"]), (before, after))
        check(len(self.site.pool_files()) == len(files) and self.site.pool_files() != files, (files, self.site.pool_files()))
        check(self.volume(vm, 1)["id"] == other["id"], "another disk")
        self.api.do(f"vms/{vm}/start")
        self.run(vm, "test -e ~/written && echo is-$((1 + 1)) || echo no-$((1 + 1))", "head -c 9 /dev/vdb | tr A-Z a-z; echo",
                 answers=("no-2", "kept-mark"))
        self.site.destroy(vm)

    def full_copy_is_copied_again(self):
        vm = self.site.deploy("copied", linked=False, start=False)
        file = next(name for name in self.site.pool_files() if name.startswith(f"{self.volume(vm)['id']}-"))
        path = f"{self.site.pool_path}/{file}"
        self.site.inside("qemu-io", "-f", "qcow2", "-c", "write -P 0x5a 0 64k", path)
        self.api.do(f"vms/{vm}/revert_disk", {"key": "disk-0"})
        new = next(name for name in self.site.pool_files() if name.startswith(f"{self.volume(vm)['id']}-"))
        image = next(name for name in self.site.pool_files() if name.startswith(f"{self.api.get(f'images/{self.site.image}')['volume']}-"))
        check(new != file and not self.volume(vm).get("parent"), (file, new))
        self.site.inside("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", f"{self.site.pool_path}/{new}", f"{self.site.pool_path}/{image}")
        self.site.destroy(vm)

    def nothing_builds_on_a_disk_that_a_vm_writes(self):
        vm = self.site.deploy("parent", start=False)
        error = refused("in_use", self.api.post, f"volumes/{self.volume(vm)['id']}/clone", {"name": "child", "linked": True})
        check("parent" in error.message, error)
        self.api.do(f"vms/{vm}/revert_disk", {"key": "disk-0"})
        self.site.destroy(vm)
