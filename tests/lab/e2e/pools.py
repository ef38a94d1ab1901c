# SPDX-License-Identifier: Apache-2.0
"""Pools that several hosts share."""
import os

from whole_site import Case, check, refused, wait_for


class SharedPools(Case):
    """Three hosts see one folder."""

    def pool(self):
        return self.api.get(f"pools/{self.site.shared}")

    def seen(self):
        """Host id to what it says of the pool."""
        return {row["host"]: row["state"] for row in self.pool()["host_states"]}

    def all_hosts_see_the_shared_pool(self):
        check(self.pool()["state"] == "active", self.pool())
        check(self.seen() == {m.id: "active" for m in self.site.members}, self.seen())

    def signs(self, answer):
        """Host id to the signs that it found."""
        signs = {}
        for finding in answer["findings"]:
            signs.setdefault(finding["host"], []).append(finding["sign"])
        return signs

    def all_hosts_try_the_shared_pool_and_leave_it_as_it_was(self):
        path = self.pool()["path"]
        before = sorted(os.listdir(path))
        signs = self.signs(self.api.post(f"pools/{self.site.shared}/check"))
        check(set(signs) == {m.id for m in self.site.members}, signs)
        for seen in signs.values():
            for sign in ("path_there", "write_done", "owner_kept", "locks_kept", "rename_done"):
                check(sign in seen, signs)
        check(sorted(os.listdir(path)) == before, os.listdir(path))
        local = self.signs(self.api.post(f"pools/{self.site.local[1]}/check"))
        check(set(local) == {self.site.members[1].id} and "write_done" in local[self.site.members[1].id], local)
        told = self.site.product.call("pool", "check", self.site.local[1])
        check(all(finding["reason"] for finding in told["findings"]), "winctl")
        refused("unsupported", self.api.post, f"pools/{self.site.local[1]}/check", {"hosts": [self.site.members[0].id]})
        refused("bad_reference", self.api.post, f"pools/{self.site.shared}/check", {"hosts": ["host-999999"]})

    def host_without_the_folder_fails_the_check_alone(self):
        member = self.site.members[2]
        path = self.pool()["path"]
        member.inside("mount", "-t", "tmpfs", "none", path)
        answer = self.api.post(f"pools/{self.site.shared}/check")
        member.inside("umount", path)
        failed = [(one["host"], one["sign"]) for one in answer["findings"] if one["result"] == "failed"]
        check(failed == [(member.id, "path_no_pool")], answer)
        check(all(one["reason"] for one in answer["findings"]) and all(one["advice"] for one in answer["findings"] if one["result"] == "failed"), answer)
        wait_for("the pool to be whole", lambda: self.pool()["state"] == "active", 30)

    def dry_run_tries_every_host_and_makes_nothing(self):
        path = os.path.join(self.site.shared_root, "wished")
        before = sorted(os.listdir(self.site.shared_root))
        body = {"name": "wished", "kind": "shared_directory", "hosts": [m.id for m in self.site.members], "path": path}
        answer = self.api.post("pools?dry_run=true", body)
        signs = self.signs(answer["check"])
        first, *others = (signs[m.id] for m in self.site.members)
        check("path_to_make" in first and "write_done" in first, signs)
        check(all("path_to_share" in seen and "locks_kept" in seen for seen in others), signs)
        check(sorted(os.listdir(self.site.shared_root)) == before, os.listdir(self.site.shared_root))

    def image_in_a_shared_pool_is_deployed_on_any_host(self):
        for at in (1, 2):
            vm = self.site.deploy(f"anywhere-{at}", at=at, start=False)
            check(self.site.vm(vm)["host"] == self.site.members[at].id, self.site.vm(vm))
            check(self.site.vm(vm)["uuid"] in self.site.members[at].domains(), "not defined there")
            self.site.destroy(vm)

    def deploy_to_a_cluster_chooses_a_host_of_it(self):
        body = {"name": "chosen", "image": self.site.image, "pool": self.site.shared, "linked": True, "start": False,
                "memory_bytes": 268435456, "cluster": self.site.cluster}
        vm = self.api.do("vms/deploy", body)["result"]
        check(self.site.vm(vm)["host"] in [m.id for m in self.site.members], self.site.vm(vm))
        self.site.destroy(vm)

    def volume_is_cloned_between_a_local_and_the_shared_pool(self):
        local = self.api.do("volumes", {"name": "here", "pool": self.site.local[1], "size_bytes": 8 << 20})["result"]
        copy = self.api.do(f"volumes/{local}/clone", {"name": "there", "pool": self.site.shared})["result"]
        check(self.api.get(f"volumes/{copy}")["state"] == "ready", copy)
        refused("unsupported", self.api.post, f"volumes/{local}/clone", {"name": "nowhere", "pool": self.site.local[2]})
        for volume in (local, copy):
            self.api.do(f"volumes/{volume}", {}, "DELETE")

    def host_that_lost_the_folder_degrades_the_pool(self):
        """Another file system over its path: the folder is there, the identity is not."""
        member = self.site.members[2]
        path = self.pool()["path"]
        member.inside("mount", "-t", "tmpfs", "none", path)
        wait_for("the pool to be degraded", lambda: self.pool()["state"] == "degraded", 30)
        check(self.seen()[member.id] == "unreachable" and self.seen()[self.site.members[0].id] == "active", self.seen())
        refused("no_host", self.api.post, "vms/deploy",
                {"name": "blind", "image": self.site.image, "pool": self.site.shared, "host": member.id})
        vm = self.site.deploy("seeing", at=1, start=False)
        self.site.destroy(vm)
        member.inside("umount", path)
        wait_for("the pool to be whole", lambda: self.pool()["state"] == "active", 30)

    def another_disk_behind_the_same_path_is_caught(self):
        member = self.site.members[2]
        path = self.pool()["path"]
        self.api.do(f"pools/{self.site.shared}/detach", {"host": member.id})
        check(member.id not in self.pool()["hosts"] and member.id not in self.seen(), self.pool())
        check(os.path.exists(os.path.join(path, ".winsphere-pool")), "the identity went with the host")
        member.inside("mount", "-t", "tmpfs", "none", path)
        task = self.api.wait(self.api.post(f"pools/{self.site.shared}/attach", {"host": member.id}))
        check(task["state"] in ("failed", "rolled_back") and member.id not in self.pool()["hosts"], task)
        member.inside("umount", path)
        self.api.do(f"pools/{self.site.shared}/attach", {"host": member.id})
        check(self.seen()[member.id] == "active" and self.pool()["state"] == "active", self.pool())

    def host_with_a_vm_in_the_pool_is_not_cut_off(self):
        vm = self.site.deploy("holder", at=2, start=False)
        refused("in_use", self.api.post, f"pools/{self.site.shared}/detach", {"host": self.site.members[2].id})
        self.site.destroy(vm)

    def local_directory_takes_no_second_host(self):
        refused("unsupported", self.api.post, f"pools/{self.site.local[0]}/attach", {"host": self.site.members[1].id})
        refused("not_allowed", self.api.post, f"pools/{self.site.local[0]}/detach", {"host": self.site.members[0].id})

    def work_goes_on_at_another_host_when_the_first_is_away(self):
        first = self.site.members[0]
        first.agent.stop()
        first.wait_lost()
        wait_for("the pool to be degraded", lambda: self.pool()["state"] == "degraded", 10)
        volume = self.api.do("volumes", {"name": "by-another", "pool": self.site.shared, "size_bytes": 8 << 20})["result"]
        self.api.do(f"volumes/{volume}", {}, "DELETE")
        first.start_agent()
        first.wait_connected()
        wait_for("the pool to be whole", lambda: self.pool()["state"] == "active", 20)

    def host_that_was_away_forgets_a_deleted_pool(self):
        path = os.path.join(self.site.shared_root, "short")
        pool = self.site.make("pool", "short", kind="shared_directory", hosts=[m.id for m in self.site.members[:2]], path=path)
        away = self.site.members[1]
        away.agent.stop()
        away.wait_lost()
        self.api.do(f"pools/{pool}", {}, "DELETE")
        check(not os.path.exists(path), "the empty folder is still there")
        away.start_agent()
        away.wait_connected()
        registry = "/var/lib/winsphere/host/storage/pools.json"
        wait_for("it to forget the pool", lambda: path not in away.inside("cat", registry), 20)
