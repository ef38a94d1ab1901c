# SPDX-License-Identifier: Apache-2.0
"""Hundreds of VMs from one image at the same time: by one request, by one for each, linked and copied."""
import os
import random
import re

from whole_site import LIVING, Case, check, run, wait_for

LINKED = 200
COPIED = 40
DEADLINE_S = 240
IMAGE_BYTES = 24 << 20
CHUNK_BYTES = 4 << 20
LOOP_CPU_S = 0.1  # processor time of the longest turn of the manager's core loop; 0.01 are usual
LIMITS = {"file": 16, "copy": 4}


class Parallel(Case):
    """None of these VMs runs, but for the one that shows that other work goes on."""

    def before(self):
        """What must be there again in the end, and an image of its own."""
        self.files, self.defined = self.site.pool_files(), set(self.site.domains())
        path = os.path.join(self.site.top, "parallel")
        with open(path, "wb") as file:
            file.write(random.Random(4).randbytes(IMAGE_BYTES))
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", path, path + ".qcow2")
        with open(path + ".qcow2", "rb") as file:
            data = file.read()
        image = self.api.do("images", {"name": "parallel", "pool": self.site.pool, "upload_bytes": len(data), "source_format": "qcow2"})["result"]
        volume = self.api.get(f"images/{image}")["volume"]
        for offset in range(0, len(data), CHUNK_BYTES):
            status, _, answer = self.api.raw("PUT", f"volumes/{volume}/data?offset={offset}", data[offset:offset + CHUNK_BYTES],
                                             {"Content-Type": "application/octet-stream"})
            check(status < 400, answer)
        self.api.do(f"volumes/{volume}/finish_upload")
        return image

    def body(self, name, **fields):
        return {"name": name, "image": self.image, "pool": self.site.pool, "linked": True, "start": False, "memory_bytes": 67108864, **fields}

    def metric(self, name, kind=None):
        status, _, text = self.api.raw("GET", "metrics")
        check(status == 200, status)
        label = f'{{kind="{kind}"}}' if kind else ""
        return float(re.search(rf"^winsphere_{name}{re.escape(label)} (\S+)$", text.decode(), re.MULTILINE)[1])

    def tasks(self, ids):
        """These, once all have ended."""
        rows = {}

        def all_ended():
            rows.update({row["id"]: row for row in self.api.items("tasks", filter="kind%3Dvm_deploy")})
            return all(rows[task]["state"] not in LIVING for task in ids)
        wait_for("the end of all deployments", all_ended, DEADLINE_S)
        return [rows[task] for task in ids]

    def has_waited(self, task):
        """Whether its log says that it stood in line."""
        return any(line["text"] == "turn_waits" for line in task["log"])

    def living(self, ids):
        """Whether one of them has not ended."""
        wanted = set(ids)
        return any(row["id"] in wanted and row["state"] in LIVING for row in self.api.items("tasks", filter="kind%3Dvm_deploy"))

    def all_done(self, ids, name, count):
        rows = self.tasks(ids)
        check({row["state"] for row in rows} == {"done"}, [row.get("error") for row in rows if row["state"] != "done"][:3])
        vms = self.api.items("vms", filter=f"name~{name}")
        check(len(vms) == count, len(vms))
        disks = [vm["disks"][0]["volume"] for vm in vms]
        check(len(set(disks)) == count, "two share a disk")
        return rows, [vm["id"] for vm in vms]

    def nothing_left(self, vms):
        task = self.api.wait(self.api.post("vms/batch", {"verb": "delete", "ids": vms, "args": {"how": "destroy"}, "parallel": 16}), DEADLINE_S)
        check(task["state"] == "done", task)
        left = self.site.pool_files() - self.files_now
        check(not left and set(self.site.domains()) == self.defined, f"left: {left}")

    def other_work_goes_on_while_200_are_made_one_by_one(self):
        self.image = self.before()
        self.files_now = self.site.pool_files()
        self.metric("core_loop_longest_turn_cpu_seconds")  # begins to measure anew
        ids = [self.api.post("vms/deploy", self.body(f"one-by-one-{i}"))["id"] for i in range(LINKED)]
        volume = self.api.do("volumes", {"name": "meanwhile", "pool": self.site.pool, "size_bytes": 1 << 20})["result"]
        self.api.do(f"volumes/{volume}", {}, "DELETE")
        self.api.do(f"pools/{self.site.pool}/refresh")
        check(self.living(ids), "all were made before other work was done")
        rows, vms = self.all_done(ids, "one-by-one", LINKED)
        check(self.metric("core_loop_longest_turn_cpu_seconds") < LOOP_CPU_S, "the core loop was held")
        waited = [row for row in rows if self.has_waited(row)]
        check(waited and not any(row.get("waiting") for row in rows), f"{len(waited)} of them waited for their turn")
        check(1 < self.metric("work_most", "file") <= LIMITS["file"], self.metric("work_most", "file"))
        check(self.metric("work_running", "file") == self.metric("work_waiting", "file") == 0, "turns were not given back")
        self.nothing_left(vms)

    def one_request_makes_200(self):
        task = self.api.wait(self.api.post("vms/deploy", self.body("by-one", count=LINKED)), DEADLINE_S)
        check(task["state"] == "done" and task["children"]["done"] == LINKED, task)
        children = [row["id"] for row in self.api.items("tasks", filter=f"parent={task['id']}")]
        _, vms = self.all_done(children, "by-one", LINKED)
        self.nothing_left(vms)

    def copies_wait_their_turn_and_short_work_does_not_wait_for_them(self):
        ids = [self.api.post("vms/deploy", self.body(f"copied-{i}", linked=False))["id"] for i in range(COPIED)]
        quick = self.api.do("vms/deploy", self.body("quick"))
        rows, vms = self.all_done(ids, "copied", COPIED)
        check(any(self.has_waited(row) for row in rows) and not self.has_waited(quick), quick)
        check(1 < self.metric("work_most", "copy") <= LIMITS["copy"], self.metric("work_most", "copy"))
        self.nothing_left([*vms, quick["result"]])

    def cancelled_ones_leave_the_line(self):
        ids = [self.api.post("vms/deploy", self.body(f"given-up-{i}", linked=False))["id"] for i in range(COPIED)]
        for task in ids[::-1]:
            self.api.raw("POST", f"tasks/{task}/cancel", "{}", {"Content-Type": "application/json"})
        states = [row["state"] for row in self.tasks(ids)]
        check(set(states) <= {"cancelled", "done"} and "cancelled" in states, states)
        check(self.metric("work_running", "copy") == self.metric("work_waiting", "copy") == 0, "turns were not given back")
        vms = [vm["id"] for vm in self.api.items("vms", filter="name~given-up")]
        check(len(vms) == states.count("done"), (len(vms), states))
        if vms:
            self.nothing_left(vms)
        check(not self.site.pool_files() - self.files_now, self.site.pool_files() - self.files_now)
        self.api.do(f"images/{self.image}", {}, "DELETE")
        check(self.site.pool_files() == self.files, self.site.pool_files() ^ self.files)
