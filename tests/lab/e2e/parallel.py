# SPDX-License-Identifier: Apache-2.0
"""Hundreds of VMs from one image at the same time: by one request, by one for each, linked and copied."""
import contextlib
import os
import random
import re
import signal
import statistics

from whole_site import LIVING, Case, check, run, wait_for

LINKED = 200
COPIED = 40
MORE = 60  # as many more at most while other work goes on: the manager takes 800 tasks at a time
DEADLINE_S = 600
IMAGE_BYTES = 24 << 20
CHUNK_BYTES = 4 << 20
WINDOW = 10     # deployments between two looks at the core loop
LOOP_CPU_S = 0.1  # processor time of its longest turn in half of them at most; 0.01 are usual
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
        wait_for("the end of all deployments", lambda: not self.api.items("tasks", filter="kind%3Dvm_deploy%20and%20ended%3D%22%22"), DEADLINE_S)
        rows = {row["id"]: row for row in self.api.items("tasks", filter="kind%3Dvm_deploy")}
        check(not any(rows[task]["state"] in LIVING for task in ids), "one that has ended lives")
        return [rows[task] for task in ids]

    @contextlib.contextmanager
    def standing_still(self):
        """The agent: what it is asked for lasts, so that others stand in line, however fast the host is."""
        os.kill(self.site.agent.pid(), signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.site.agent.pid(), signal.SIGCONT)

    def has_waited(self, task):
        """Whether its log says that it stood in line."""
        return any(line["text"] == "turn_waits" for line in task["log"])

    def beside(self, what, post, one_more):
        """Other work, while there is one more VM to make, and one more: it ends, and has not stood in their line."""
        task, more = post()["id"], iter(range(MORE))

        def ended():
            if next(more, None) is not None:
                one_more()
            row = self.api.get(f"tasks/{task}")
            return row if row["state"] not in LIVING else None
        row = wait_for(what, ended, DEADLINE_S)
        check(row["state"] == "done" and not self.has_waited(row), row)
        return row.get("result")

    def children(self, task, count):
        """The tasks of the VMs of one request, once it has ended."""
        task = self.api.wait(task, DEADLINE_S)
        check(task["state"] == "done" and task["children"]["done"] == count, task)
        return [row["id"] for row in self.api.items("tasks", filter=f"parent={task['id']}")]

    def all_done(self, ids, name, count):
        rows = self.tasks(ids)
        check({row["state"] for row in rows} == {"done"}, [row.get("error") for row in rows if row["state"] != "done"][:3])
        vms = self.api.items("vms", filter=f"name~{name}")
        check(len(vms) == count, len(vms))
        disks = [vm["disks"][0]["volume"] for vm in vms]
        check(len(set(disks)) == count, "two share a disk")
        return rows, [vm["id"] for vm in vms]

    def given_back(self, kind):
        check(self.metric("work_running", kind) == self.metric("work_waiting", kind) == 0, "turns were not given back")

    def nothing_left(self, vms):
        task = self.api.wait(self.api.post("vms/batch", {"verb": "delete", "ids": vms, "args": {"how": "destroy"}, "parallel": 16}), DEADLINE_S)
        check(task["state"] == "done", task)
        left = self.site.pool_files() - self.files_now
        check(not left and set(self.site.domains()) == self.defined, f"left: {left}")

    def other_work_goes_on_while_200_are_made_one_by_one(self):
        self.image = self.before()
        self.files_now = self.site.pool_files()
        ids, turns = [], []

        def one_more():
            if len(ids) % WINDOW == 0:
                turns.append(self.metric("core_loop_longest_turn_cpu_seconds"))  # and begins to measure anew
            ids.append(self.api.post("vms/deploy", self.body(f"one-by-one-{len(ids)}"))["id"])
        while len(ids) < LINKED // 2:
            one_more()
        volume = self.beside("a new volume", lambda: self.api.post("volumes", {"name": "meanwhile", "pool": self.site.pool, "size_bytes": 1 << 20}), one_more)
        self.beside("its deletion", lambda: self.api.send("DELETE", f"volumes/{volume}", {}), one_more)
        self.beside("the pool's refresh", lambda: self.api.post(f"pools/{self.site.pool}/refresh", {}), one_more)
        while len(ids) < LINKED:
            one_more()
        rows, vms = self.all_done(ids, "one-by-one", len(ids))
        check(statistics.median(turns) < LOOP_CPU_S, f"the core loop was held: {turns}")  # a machine that stood still shows in some of them only
        check(not any(row.get("waiting") for row in rows), "one that has ended waits")
        self.given_back("file")
        self.nothing_left(vms)

    def four_requests_make_200(self):
        each = LINKED // 4
        with self.standing_still():
            tasks = [self.api.post("vms/deploy", self.body(f"together-{i}", count=each)) for i in range(4)]  # 64 under way at a time
            wait_for("a line", lambda: self.metric("work_waiting", "file"), 60)
        ids = [child for task in tasks for child in self.children(task, each)]
        rows, vms = self.all_done(ids, "together", LINKED)
        check(any(self.has_waited(row) for row in rows), "none of them waited for its turn")
        check(1 < self.metric("work_most", "file") <= LIMITS["file"], self.metric("work_most", "file"))
        self.given_back("file")
        self.nothing_left(vms)

    def copies_wait_their_turn_and_short_work_does_not_wait_for_them(self):
        with self.standing_still():
            copies = self.api.post("vms/deploy", self.body("copied", linked=False, count=COPIED))  # 16 under way at a time
            wait_for("a line", lambda: self.metric("work_waiting", "copy"), 60)
        quick = self.api.do("vms/deploy", self.body("quick"))
        rows, vms = self.all_done(self.children(copies, COPIED), "copied", COPIED)
        check(any(self.has_waited(row) for row in rows) and not self.has_waited(quick), quick)
        check(1 < self.metric("work_most", "copy") <= LIMITS["copy"], self.metric("work_most", "copy"))
        self.nothing_left([*vms, quick["result"]])

    def cancelled_ones_leave_the_line(self):
        def deploy(i):
            return self.api.post("vms/deploy", self.body(f"given-up-{i}", linked=False))["id"]
        ids = [deploy(i) for i in range(COPIED // 2)]
        with self.standing_still():
            ids += [deploy(i) for i in range(COPIED // 2, COPIED)]
            for task in ids[::-1]:
                self.api.cancel({"id": task})
        states = [row["state"] for row in self.tasks(ids)]
        check(set(states) <= {"cancelled", "done"} and "cancelled" in states, states)
        self.given_back("copy")
        vms = [vm["id"] for vm in self.api.items("vms", filter="name~given-up")]
        check(len(vms) == states.count("done"), (len(vms), states))
        if vms:
            self.nothing_left(vms)
        check(not self.site.pool_files() - self.files_now, self.site.pool_files() - self.files_now)
        self.api.do(f"images/{self.image}", {}, "DELETE")
        check(self.site.pool_files() == self.files, self.site.pool_files() ^ self.files)
