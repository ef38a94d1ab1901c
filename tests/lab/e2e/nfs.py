# SPDX-License-Identifier: Apache-2.0
"""Pools on NFS that hosts mount themselves. What needs an NFS server and a kernel with its client runs only where both are: name an empty export in
WS_TEST_NFS_SERVER and WS_TEST_NFS_EXPORT."""
import json
import os

from whole_site import Case, Skip, check, refused


def kernel_has_nfs():
    """Whether this kernel mounts NFS now; a module that is not loaded counts as none."""
    with open("/proc/filesystems", encoding="ascii") as file:
        return "\tnfs4\n" in file.read()


class NfsPools(Case):
    """One host."""

    def body(self, **fields):
        return {"name": "filer", "kind": "nfs", "hosts": [self.site.host], "path": f"{self.site.place.pool_root}/filer",
                "nfs": {"server": "127.0.0.1", "export": "/nowhere", "timeout_s": 1, "retrans": 1}, **fields}

    def what_its_kind_does_not_take_is_refused(self):
        refused("required", self.api.post, "pools", {key: value for key, value in self.body().items() if key != "nfs"})
        refused("bad_value", self.api.post, "pools", self.body(kind="directory"))
        refused("required", self.api.post, "pools", {"name": "plain", "hosts": [self.site.host]})
        error = refused("bad_value", self.api.post, "pools", self.body(nfs={"server": "a,exec", "export": "/x"}))
        check("nfs.server" in error.message, error)
        refused("bad_value", self.api.post, "pools", self.body(nfs={"server": "filer", "export": "/x -o suid"}))
        refused("unknown_field", self.api.post, "pools", self.body(nfs={"server": "filer", "export": "/x", "options": "suid"}))

    def host_that_cannot_mount_says_why_and_leaves_nothing(self):
        before = self.site.inside("ls", self.site.place.pool_root)
        task = self.api.wait(self.api.post("pools", self.body()))
        check(task["state"] in ("failed", "rolled_back"), task)
        code, words = task["error"]["code"], json.dumps(task["error"])
        if kernel_has_nfs():
            check(code == "io_error", task["error"])
        else:
            check(code == "program_missing" or (code == "unsupported" and "no NFS client" in words), task["error"])
        print(f"# {words}", flush=True)
        check(not [pool for pool in self.api.items("pools") if pool["name"] == "filer"], "the pool is there")
        check(self.site.inside("ls", self.site.place.pool_root) == before, "its folder is left")

    def vm_runs_from_an_export(self):
        server, export = os.environ.get("WS_TEST_NFS_SERVER"), os.environ.get("WS_TEST_NFS_EXPORT")
        if not (kernel_has_nfs() and server and export):
            raise Skip("no NFS client in the kernel, or no export named")
        pool = self.api.do("pools", self.body(nfs={"server": server, "export": export}))["result"]
        check(self.api.get(f"pools/{pool}")["filesystem"] == "nfs", self.api.get(f"pools/{pool}"))
        volume = self.api.do("volumes", {"name": "there", "pool": pool, "size_bytes": 8 << 20})["result"]
        self.site.agent.stop()
        self.site.inside("umount", f"{self.site.place.pool_root}/filer")
        self.site.start_agent()
        self.site.wait_connected()
        self.api.do(f"pools/{pool}/refresh")
        check(self.api.get(f"pools/{pool}")["state"] == "active", self.api.get(f"pools/{pool}"))
        self.api.do(f"volumes/{volume}", {}, "DELETE")
        self.api.do(f"pools/{pool}", {}, "DELETE")
        check("filer" not in self.site.inside("cat", "/proc/self/mountinfo"), "still mounted")
