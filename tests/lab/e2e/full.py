# SPDX-License-Identifier: Apache-2.0
"""A pool that fills up under what is being made in it, and networks that change under VMs that are off."""
import json
import os

from whole_site import Case, Refused, check, refused, wait_for

MIB = 1048576
SIZE_MIB = 64
TRIES = 40
# Waits for a file in the making, then takes all the room there is, as another program on the host might: at once, and while the agent, which makes the
# file, stands still, so that neither's pace decides. Ends with the file "stop".
FILLER = """
import contextlib, ctypes, os, signal, sys
pool, filler = sys.argv[1:]
IN_CREATE = 0x100

def agents():
    for pid in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError), open(f'/proc/{pid}/cmdline', 'rb') as file:
            if file.read().split(b'\\0')[0].endswith(b'/winserverd'):
                yield int(pid)

def tell(pids, number):
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)

libc, makers, names, chunk = ctypes.CDLL(None), list(agents()), [], bytes(1 << 20)
watch = libc.inotify_init1(0)
libc.inotify_add_watch(watch, pool.encode(), IN_CREATE)
with contextlib.suppress(OSError):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
print('ready', flush=True)
while not any(name.startswith('.new-') for name in names) and 'stop' not in names:
    os.read(watch, 65536)
    names = os.listdir(pool)
tell(makers, signal.SIGSTOP)
try:
    with open(filler, 'wb', buffering=0) as file:
        while 'stop' not in names:
            file.write(chunk)
except OSError:
    print('full', flush=True)
finally:
    tell(makers, signal.SIGCONT)
"""


class Full(Case):
    """A small file system of its own, which is the pool."""

    def __init__(self, site):
        super().__init__(site)
        self.path = f"{site.place.pool_root}/small"
        self.filler = f"{self.path}/filler"
        self.pool = None

    def take(self, free_mib):
        """Leaves so much room."""
        self.site.inside("fallocate", "-l", f"{SIZE_MIB - free_mib}M", self.filler)

    def give(self):
        self.site.inside("rm", "-f", self.filler)

    def files(self):
        return sorted(self.site.inside("find", self.path, "-type", "f", "-printf", "%P\\n").split())

    def small_pool_is_made(self):
        self.site.inside("mkdir", "-p", self.path)
        self.site.inside("mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=0711", "small", self.path)
        self.pool = self.api.do("pools", {"name": "small", "hosts": [self.site.host], "path": self.path})["result"]
        check(self.api.get(f"pools/{self.pool}")["state"] == "active", self.api.get(f"pools/{self.pool}"))

    def deploy(self):
        """A full copy into the small pool; the task."""
        body = {"name": "squeezed", "image": self.site.image, "pool": self.pool, "port_group": self.site.group, "start": False}
        return self.api.wait(self.api.post("vms/deploy", body))

    def undone(self, task, before):
        """Checks that it left nothing, and said why."""
        error = task["error"]
        check(task["state"] == "rolled_back" and error["code"] == "no_capacity", task)
        check("disk-0" in json.dumps(error) or "small" in json.dumps(error), error)
        check(not self.api.items("vms", filter="name=squeezed"), "the VM is there")
        check(not [volume for volume in self.api.items("volumes") if volume["pool"] == self.pool], "a volume is there")
        check([name for name in self.files() if name != "filler"] == before, f"left: {self.files()}")
        check(not [name for name in self.site.domains() if name not in {vm["uuid"] for vm in self.api.items("vms")}], "a domain is there")

    def deploy_for_which_there_is_no_room_is_undone(self):
        before = self.files()
        self.take(free_mib=6)
        self.undone(self.deploy(), before)
        self.give()

    def deploy_during_which_the_pool_fills_up_is_undone(self):
        """Somebody else takes the room while the copy is made; when the copy is faster the VM goes again."""
        image = self.api.get(f"volumes/{self.api.get(f'images/{self.site.image}')['volume']}")
        ballast = f"{self.path}/ballast"
        room_mib = image["allocated_bytes"] // MIB + 5  # enough, but for the filler
        self.site.inside("fallocate", "-l", f"{SIZE_MIB - room_mib}M", ballast)
        before, n_failed = self.files(), 0
        for i in range(TRIES):
            log = os.path.join(self.site.top, f"filler-{i}.log")
            pid = self.site.place.spawn(["/usr/bin/python3", "-c", FILLER, self.path, self.filler], log)
            wait_for("the filler", lambda log=log: os.path.getsize(log) > 0, 30)
            task = self.deploy()
            self.site.inside("rm", "-f", self.filler)  # room for one more file, if only a name
            self.site.inside("touch", f"{self.path}/stop")
            wait_for("the filler's end", lambda pid=pid: reaped(pid), 30)
            self.site.inside("rm", "-f", f"{self.path}/stop", self.filler)
            if task["state"] == "done":
                self.site.destroy(task["result"])
                continue
            self.undone(task, before)
            n_failed += 1
            if n_failed == 3:
                break
        self.site.inside("rm", "-f", ballast)
        print(f"# {n_failed} deploys ran out of room", flush=True)
        check(n_failed, "the pool never filled up in time")

    def volume_that_finds_no_room_leaves_no_file(self):
        before = self.files()
        self.take(free_mib=20)
        for fields in ({"provisioning": "eager_zeroed"}, {"provisioning": "lazy_zeroed", "format": "raw"}):
            body = {"name": "big", "pool": self.pool, "size_bytes": 40 * MIB, **fields}
            try:
                task = self.api.wait(self.api.post("volumes", body))
                check(task["error"]["code"] == "no_capacity", task)
            except Refused as error:  # seen before it began
                check(error.code == "no_capacity", error)
        self.give()
        check(self.files() == before, self.files())

    def upload_that_finds_no_room_goes_on_when_there_is_some(self):
        data = os.urandom(24 * MIB)
        self.give()
        self.api.do(f"pools/{self.pool}/refresh")
        volume = self.api.do("volumes", {"name": "up", "pool": self.pool, "upload_bytes": len(data), "format": "raw",
                                         "source_format": "raw"})["result"]
        self.take(free_mib=10)
        status, _, answer = self.put(volume, data, 0)
        check(status in (409, 507) and json.loads(answer)["code"] == "no_capacity", (status, answer))
        self.give()
        received = json.loads(self.put(volume, b"", 0)[2])["received_bytes"]
        check(0 <= received < len(data), received)
        status, _, answer = self.put(volume, data[received:], received)
        check(status == 200, (status, answer))
        self.api.do(f"volumes/{volume}/finish_upload")
        check(self.api.get(f"volumes/{volume}")["state"] == "ready", self.api.get(f"volumes/{volume}"))
        self.api.do(f"volumes/{volume}", {}, "DELETE")

    def put(self, volume, data, offset):
        where = f"?offset={offset}" if data else ""
        return self.api.raw("PUT", f"volumes/{volume}/data{where}", data, {"Content-Type": "application/octet-stream"})

    def small_pool_goes_again(self):
        self.give()
        self.api.do(f"pools/{self.pool}", {}, "DELETE")
        self.site.inside("umount", self.path)
        refused("not_found", self.api.get, f"pools/{self.pool}")


def reaped(pid):
    """A child that has ended is one no more."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return not os.path.exists(f"/proc/{pid}")


class Networks(Case):
    """What a port group says reaches VMs that are off."""

    def stopped_vm_starts_in_the_vlan_that_its_port_group_has_now(self):
        group = self.api.do("port-groups", {"name": "tagged", "switch": self.api.get(f"port-groups/{self.site.group}")["switch"],
                                            "vlan": {"mode": "access", "tag": 10}})["result"]
        vm = self.site.deploy("tagged", start=False, port_group=group)
        uuid = self.site.vm(vm)["uuid"]
        check("<tag id='10'" in self.site.inside("virsh", "dumpxml", "--inactive", uuid), "not in VLAN 10")
        self.api.do(f"port-groups/{group}", {"vlan": {"mode": "access", "tag": 20}}, "PATCH")
        wait_for("VLAN 20 in its definition",
                 lambda: "<tag id='20'" in self.site.inside("virsh", "dumpxml", "--inactive", uuid), 15)
        self.api.do(f"vms/{vm}/start")
        port = self.site.inside("virsh", "domiflist", uuid).strip().splitlines()[-1].split()[0]
        check(self.site.inside("ovs-vsctl", "get", "port", port, "tag").strip() == "20", "its port is in another VLAN")
        self.site.destroy(vm)
        self.api.do(f"port-groups/{group}", {}, "DELETE")
