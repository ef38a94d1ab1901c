# SPDX-License-Identifier: Apache-2.0
"""Storage DRS: a pool of a real host gets too full, and the disk of a running guest moves to another one, nothing lost."""
from estate_site import LOCAL_ROOT
from whole_site import LIVING, Case, Refused, check, wait_for

POOL_MIB = 160
DISK_MIB = 64
SLOW_MBPS = 32  # 64 MiB take a quarter of a minute


class StorageDrs(Case):
    """Two small pools on the first host, each a file system of its own."""

    def small_pool(self, name):
        member = self.site.members[0]
        member.inside("mkdir", "-p", f"{LOCAL_ROOT}/{name}")
        member.inside("mount", "-t", "tmpfs", "-o", f"size={POOL_MIB}m,mode=0755", name, f"{LOCAL_ROOT}/{name}")
        return self.site.make("pool", name, hosts=[member.id], path=f"{LOCAL_ROOT}/{name}")

    def settings(self, **storage_drs):
        self.api.send("PATCH", f"clusters/{self.site.cluster}", {"storage_drs": {"interval_s": 5, "duration_s": 0, "bandwidth_mbps": SLOW_MBPS, **storage_drs}})

    def volume(self):
        return next(disk["volume"] for disk in self.site.vm(self.guest)["disks"] if disk["key"] == "disk-1")

    def disk_pool(self):
        return self.api.get(f"volumes/{self.volume()}")["pool"]

    def advice(self):
        rows = [row for row in self.api.items("drs-recommendations") if row.get("kind") == "storage" and row["vm"] == self.guest]
        return max(rows, key=lambda row: row["created"]) if rows else None

    def move(self):
        """The move of the disk that is under way, or None."""
        task = self.site.vm(self.guest).get("activity", {}).get("task")
        now = self.api.get(f"tasks/{task}") if task else {}
        return now if now.get("kind") == "vm_migrate_storage" and now["state"] in LIVING else None

    def disk_in_a_pool_that_is_too_full_moves_while_its_guest_writes(self):
        member = self.site.members[0]
        self.pools = [self.small_pool("crowded"), self.small_pool("roomy")]
        self.guest = self.site.prover("stored", pool=self.pools[0], provisioning="eager_zeroed")
        member.inside("dd", "if=/dev/zero", f"of={LOCAL_ROOT}/crowded/filler", "bs=1M", f"count={POOL_MIB * 85 // 100 - DISK_MIB}")
        self.api.do(f"pools/{self.pools[0]}/refresh")
        self.settings(level="automatic")
        wait_for("the disk to be on its way", lambda: self.move() or (self.advice() or {}).get("state") == "applied", 60)

    def host_of_a_vm_whose_disk_is_on_its_way_is_not_changed_before(self):
        target = self.site.members[1]
        there = {"host": target.id, "pool": self.site.local[1], "disks": [{"key": "disk-1", "pool": self.site.local[1]}]}
        moving, early = self.move(), None
        try:
            early = moving and self.api.post(f"vms/{self.guest}/migrate", there)
        except Refused as error:  # by its host, which is asked first, or for the lock
            check(error.code == "busy" or (error.code == "cannot_move" and "being copied" in error.message), error)
        if early:  # the disk was faster than we
            check(self.api.get(f"tasks/{moving['id']}")["state"] not in LIVING, "it was not refused")
        else:
            wait_for("the disk to be there", lambda: self.disk_pool() == self.pools[1] and not self.site.vm(self.guest).get("activity"), 400)
        self.settings(level="off")
        done = wait_for("the advice to be done", lambda: (row := self.advice()) and row["state"] == "applied" and row, 30)
        check((done["from_pool"], done["to_pool"]) == tuple(self.pools) and done["effect"]["from_space_before"] > 80 > done["effect"]["to_space_after"], done)
        lines = self.api.get(f"drs-recommendations/{done['id']}/explain")["lines"]
        check(any("crowded" in line for line in lines), lines)
        if not early:
            self.site.wait_held(self.guest, 1)
        ended = self.api.wait(early or self.api.post(f"vms/{self.guest}/migrate", there))
        check(ended["state"] == "done" and self.site.member_of(self.guest) is target and self.site.wait_held(self.guest, 1) > 0, ended)
        print(f"# {self.site.prove(self.guest)} records", flush=True)
        self.site.destroy(self.guest)
        for pool, name in zip(self.pools, ("crowded", "roomy")):
            self.api.do(f"pools/{pool}", {"forget_volumes": True}, "DELETE")
            self.site.members[0].inside("umount", f"{LOCAL_ROOT}/{name}")
