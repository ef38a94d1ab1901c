# SPDX-License-Identifier: Apache-2.0
"""Pools on NFS that hosts mount themselves. What needs a server and a client runs where they are: with a kernel that has the client, name an
empty export in WS_TEST_NFS_SERVER and WS_TEST_NFS_EXPORT; without, nfs-ganesha and rpcbind serve on the host, and fuse-nfs
(github.com/sahlberg/fuse-nfs, not in Debian; by PATH or WS_TEST_FUSE_NFS) mounts in the place of mount.nfs."""
import json
import os
import shutil
import signal

from runkit.processes import Process, wait_for
from whole_site import Case, Skip, check, refused


def kernel_has_nfs():
    """Whether this kernel mounts NFS now; a module that is not loaded counts as none."""
    with open("/proc/filesystems", encoding="ascii") as file:
        return "\tnfs4\n" in file.read()
ASK = "import socket, sys\nsocket.create_connection(('127.0.0.1', int(sys.argv[1])), 5)\n"


class Filer:
    """A server in user space on the host's loopback, which speaks version 3, and a client in user space."""
    SERVER, EXPORT, HELPER = "127.0.0.1", "/vms", "/usr/sbin/mount.nfs"
    CONFIG = """NFS_CORE_PARAM {{ Protocols = 3; NFS_Port = 2049; MNT_Port = 20048; Bind_addr = 127.0.0.1; mount_path_pseudo = true;
  Enable_NLM = false; Enable_RQUOTA = false; }}
NFS_KRB5 {{ Active_krb5 = false; }}
EXPORT {{ Export_Id = 1; Path = {0}/export; Pseudo = /vms; Protocols = 3; Access_Type = RW; Squash = No_Root_Squash; SecType = sys;
  FSAL {{ Name = VFS; }} }}
"""
    CLIENT = """#!/bin/sh
# mount.nfs SERVER:/EXPORT FOLDER -o OPTIONS
exec {0} -a -n "nfs://${{1%%:*}}${{1#*:}}" -m "$2" -f "$1" -s nfs
"""

    def __init__(self, site):
        self.site = site
        self.top = os.path.join(site.top, "filer")
        self.client = os.environ.get("WS_TEST_FUSE_NFS") or shutil.which("fuse-nfs")
        self.server = Process(site.top, "ganesha")
        self.ports = Process(site.top, "rpcbind")

    def can_be(self):
        return bool(self.client and os.path.exists("/dev/fuse") and os.path.exists(self.HELPER)
                    and all(shutil.which(name, path="/usr/bin:/usr/sbin:/sbin") for name in ("ganesha.nfsd", "rpcbind")))

    def write(self, name, text):
        path = os.path.join(self.top, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, 0o755)
        return path

    def up(self):
        os.makedirs(os.path.join(self.top, "export"))
        config = self.write("ganesha.conf", self.CONFIG.format(self.top))
        self.site.inside("mount", "--bind", self.write("mount.nfs", self.CLIENT.format(self.client)), self.HELPER)
        self.site.inside("mkdir", "-p", "/run/rpcbind", "/run/ganesha")
        self.ports.remember(self.site.place.spawn(["rpcbind", "-f", "-w"], self.ports.log))
        self.wait_port(111)
        self.server.remember(self.site.place.spawn(["ganesha.nfsd", "-F", "-f", config, "-L", "STDERR", "-p", f"{self.top}/pid"], self.server.log))
        self.wait_port(2049)

    def wait_port(self, port):
        wait_for(f"port {port}", lambda: self.site.place.run(["python3", "-c", ASK, str(port)])[0] == 0, 30)

    def signal(self, number):
        os.kill(self.server.pid(), number)

    def down(self):
        if self.server.pid():
            self.signal(signal.SIGCONT)
        self.server.stop()
        self.ports.stop()
        self.site.place.run(["umount", self.HELPER])


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
        tried = self.try_it(self.body())
        check(tried & {"mount_no_client", "mount_failed"} and "write_done" not in tried, tried)
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

    def try_it(self, body):
        """Signs of a dry run; it leaves no mount."""
        answer = self.api.post("pools?dry_run=true", body)
        check("storage/checks" not in self.site.inside("cat", "/proc/self/mountinfo"), "still mounted")
        check(not self.site.inside("ls", "/var/lib/winsphere/host/storage/checks").strip(), "notes are left")
        return {finding["sign"] for finding in answer["check"]["findings"]}

    def vm_runs_from_an_export(self):
        server, export = os.environ.get("WS_TEST_NFS_SERVER"), os.environ.get("WS_TEST_NFS_EXPORT")
        filer = Filer(self.site)
        if kernel_has_nfs() and server and export:
            self.lives_on(server, export)
        elif not kernel_has_nfs() and filer.can_be():
            try:
                filer.up()
                pool = self.lives_on(filer.SERVER, filer.EXPORT, stays=True)
                self.hangs(filer, pool)
                self.drop(pool)
            finally:
                filer.down()
        else:
            raise Skip("no NFS client in the kernel and none in user space, or no export named")

    def lives_on(self, server, export, stays=False):
        """A pool, a volume and a VM that boots on an export; the export is mounted again with the agent's start."""
        tried = self.try_it(self.body(nfs={"server": server, "export": export}))
        check({"mount_done", "path_there", "write_done", "owner_kept", "rename_done", "options_soft"} <= tried, tried)
        pool = self.api.do("pools", self.body(nfs={"server": server, "export": export}))["result"]
        check(self.api.get(f"pools/{pool}")["filesystem"] == ("nfs" if kernel_has_nfs() else "fuse"), self.api.get(f"pools/{pool}"))
        volume = self.api.do("volumes", {"name": "there", "pool": pool, "size_bytes": 8 << 20})["result"]
        self.each_kind(pool)
        vm = self.site.deploy("on-nfs", pool=pool, linked=False)
        self.site.wait_guest(vm)
        self.site.destroy(vm)
        self.site.agent.stop()
        self.site.inside("umount", f"{self.site.place.pool_root}/filer")
        self.site.start_agent()
        self.site.wait_connected()
        self.api.do(f"pools/{pool}/refresh")
        check(self.api.get(f"pools/{pool}")["state"] == "active", self.api.get(f"pools/{pool}"))
        self.api.do(f"volumes/{volume}", {}, "DELETE")
        return pool if stays else self.drop(pool)

    def each_kind(self, pool):
        """Made, copied, linked, made larger, wiped: an export can do less than a local file system."""
        for fields in ({"format": "raw"}, {"format": "raw", "provisioning": "lazy_zeroed"}, {"format": "qcow2"},
                       {"format": "qcow2", "provisioning": "eager_zeroed"}):
            volume = self.api.do("volumes", {"name": "kind", "pool": pool, "size_bytes": 4 << 20, **fields})["result"]
            self.api.do(f"volumes/{volume}/resize", {"size_bytes": 8 << 20})
            copies = [self.api.do(f"volumes/{volume}/clone", {"name": "full"})["result"]]
            if fields["format"] == "qcow2":
                copies.append(self.api.do(f"volumes/{volume}/clone", {"name": "linked", "linked": True})["result"])
            for copy in copies:
                self.api.do(f"volumes/{copy}", {}, "DELETE")
            self.api.do(f"volumes/{volume}", {"wipe": "provisioning" in fields}, "DELETE")

    def hangs(self, filer, pool):
        """The server answers no more: its pool is unreachable, with the reason; the other one serves; all is well again when the server is."""
        def state():
            return self.api.get(f"pools/{pool}")["state"]
        filer.signal(signal.SIGSTOP)
        wait_for("the pool to be unreachable", lambda: state() == "unreachable", 60)
        signs = {finding["sign"] for finding in self.api.post(f"pools/{pool}/check")["findings"]}
        check("mount_silent" in signs, signs)
        check("does not answer" in json.dumps(self.api.get(f"pools/{pool}")), self.api.get(f"pools/{pool}"))
        volume = self.api.do("volumes", {"name": "meanwhile", "pool": self.site.pool, "size_bytes": 1 << 20})["result"]
        self.api.do(f"volumes/{volume}", {}, "DELETE")
        filer.signal(signal.SIGCONT)
        wait_for("the pool to be back", lambda: state() == "active", 60)

    def drop(self, pool):
        self.api.do(f"pools/{pool}", {}, "DELETE")
        check(f"{self.site.place.pool_root}/filer" not in self.site.inside("cat", "/proc/self/mountinfo"), "still mounted")
