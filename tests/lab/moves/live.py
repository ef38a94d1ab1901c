# SPDX-License-Identifier: Apache-2.0
"""Moves that succeed: a running guest with its disks, back again, paused, with another format, in a batch; and what the log says."""
import base64
import json
import os

from estate import HERE
from runkit.processes import run, wait_for
from whole_site import check


class Cases:
    """What groups of cases share."""

    def __init__(self, estate):
        self.estate = estate
        self.api = estate.api
        self.home, self.away = estate.hosts[:2]

    def moved(self, vm, target, deadline_s=120, **options):
        """A move from beginning to end; the task, done."""
        task = self.api.wait(self.estate.migrate(vm, target, **options), deadline_s)
        check(task["state"] == "done", lambda: f"{json.dumps(task.get('error'))} ({task['state']}) {json.dumps(task.get('log'))}")
        return task

    def arrived(self, vm):
        """It runs there alone. More cannot be asked of a guest that went on: QEMU may have lost what its kernel lives by."""
        self.estate.only_on(vm, self.away)
        check(self.estate.power(vm) in ("running", "crashed"), self.estate.power(vm))
        self.api.do(f"vms/{vm}/power_off")
        self.estate.destroy(vm)

    def last_log(self, vm):
        rows = self.api.items("migrations", filter=f"vm=%22{vm}%22")
        check(rows, f"no record of a move of {vm}")
        return max(rows, key=lambda row: row["time"])


HOT_WRITER = "echo {code} | base64 -d > /run/hot; chmod 755 /run/hot; /run/hot > /dev/ttyS0 &"
RATE = 64 << 20  # bytes/s


def tell_forecast(forecast, row):
    print(f"# forecast {forecast.get('course')}: {forecast['duration_s']} to {forecast.get('duration_max_s')} s, stands still {forecast.get('downtime_ms')} to "
          f"{forecast.get('downtime_max_ms')} ms, writes {forecast.get('dirty_bytes_per_s')} bytes/s; it took {row['duration_ms'] / 1000:.1f} s and {row['downtime_ms']} ms, "
          f"wrote {row.get('dirty_bytes_per_s')} bytes/s", flush=True)


class Live(Cases):
    """Nothing goes wrong here."""

    def dry_run_moves_nothing(self):
        vm = self.vm = self.estate.prover("prover")
        answer = self.api.send("POST", f"vms/{vm}/migrate?dry_run=true", {"host": self.away.id})
        check(answer["steps"] == ["wait its turn", "reserve", "make disks", "move", "clean up"], answer)
        forecast = answer["forecast"]
        memory = self.api.get(f"vms/{vm}")["memory_bytes"]
        check(0 < forecast["memory_bytes"] <= forecast["memory_max_bytes"] == memory and forecast["disk_bytes"] > 0, forecast)
        self.estate.only_on(vm, self.home)

    def running_guest_moves_with_its_disks(self):
        self.moved(self.vm, self.away, bandwidth_bytes_per_s=RATE)
        self.estate.only_on(self.vm, self.away)
        check(self.api.get(f"vms/{self.vm}")["power"]["state"] == "running", "it does not run")
        self.estate.wait_held(self.vm, 2)

    def move_is_in_the_log(self):
        row = self.last_log(self.vm)
        check(row["result"] == "done" and row["kind"] == "both" and row["live"], row)
        check((row["from_host"], row["to_host"]) == (self.home.id, self.away.id), row)
        check(row["downtime_ms"] >= 0 and row["bytes"] > 1 << 20 and row["duration_ms"] > 0, row)
        print(f"# {row['duration_ms']} ms, stood still {row['downtime_ms']} ms, {row['bytes'] >> 20} MiB", flush=True)

    def forecast_stands_beside_what_it_came_to(self):
        """Both are told; how near they come to each other is the machine's affair."""
        row = self.last_log(self.vm)
        forecast = row["forecast"]
        check(forecast["rate_basis"] == "limit" and forecast["rate_bytes_per_s"] == RATE, forecast)
        check(forecast["duration_s"] >= (forecast["memory_bytes"] + forecast["disk_bytes"]) // RATE, forecast)
        tell_forecast(forecast, row)

    def paused_guest_moves_and_stays_paused(self):
        self.api.do(f"vms/{self.vm}/pause")
        self.moved(self.vm, self.home)
        self.estate.only_on(self.vm, self.home)
        check(self.api.get(f"vms/{self.vm}")["power"]["state"] == "paused", self.api.get(f"vms/{self.vm}")["power"])
        self.api.do(f"vms/{self.vm}/resume")
        self.estate.wait_held(self.vm, 1)

    def guest_moves_into_another_format_and_has_lost_nothing(self):
        self.moved(self.vm, self.away, disks=[{"key": "disk-1", "format": "qcow2"}])
        self.estate.only_on(self.vm, self.away)
        volume = next(disk["volume"] for disk in self.estate.vm(self.vm)["disks"] if disk["key"] == "disk-1")
        check(self.api.get(f"volumes/{volume}")["format"] == "qcow2", "the format is the old one")
        print(f"# {self.estate.prove(self.vm)} records", flush=True)

    def it_starts_again_where_it_is(self):
        before = self.estate.said(self.vm).count("login:")
        self.api.do(f"vms/{self.vm}/start")
        wait_for("the guest to start", lambda: self.estate.said(self.vm).count("login:") > before, 90)
        self.estate.destroy(self.vm)

    def hot_writer(self):
        """The command that brings hot-writer.c into a guest and starts it."""
        program = os.path.join(self.estate.top, "hot-writer")
        run("cc", "-O1", "-nostdlib", "-static", "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-no-pie", "-fno-asynchronous-unwind-tables",
            "-Wl,-N,--build-id=none,--no-warn-rwx-segments", "-s", "-o", program, os.path.join(HERE, "hot-writer.c"))
        with open(program, "rb") as file:
            return HOT_WRITER.format(code=base64.b64encode(file.read()).decode())

    def guest_that_writes_the_same_pages_without_end_loses_nothing(self):
        """Without KVM QEMU before 9.0 lost such writes each time, so the guest stands still while its memory goes, and the log says why."""
        vm = self.estate.prover("hot", held_mib=4, more=self.hot_writer())
        wait_for("the guest to write", lambda: "HOT good" in self.estate.said(vm), 60)
        task = self.moved(vm, self.away, 240, bandwidth_bytes_per_s=32 << 20)
        print(f"# {self.last_log(vm)['duration_ms']} ms, stood still {self.last_log(vm)['downtime_ms']} ms", flush=True)
        texts = [line["text"] for line in task["log"]]
        check("move_stands_still" in texts, texts)
        self.estate.wait_said(vm, "HOT good", 3)
        check("HOT BAD" not in self.estate.said(vm), "writes were lost")
        self.estate.prove(vm)
        self.estate.destroy(vm)

    def guest_that_goes_on_while_its_memory_moves_stops_for_the_last_of_it_only(self):
        with self.estate.live():
            vm = self.estate.prover("going", dirty_mib=8, held_mib=4)
            way = {"bandwidth_bytes_per_s": 32 << 20}
            def foretold():  # on a busy host QEMU may not have measured in time: it is asked again half a minute later
                said = self.api.send("POST", f"vms/{vm}/migrate?dry_run=true", {"host": self.away.id, **way})["forecast"]
                return said if said.get("dirty_basis") == "measured" else None
            forecast = wait_for("its writing to be measured", foretold, 120)
            task = self.moved(vm, self.away, 240, **way)
            row = self.last_log(vm)
            check(row["forecast"]["dirty_basis"] == "measured", row)
            tell_forecast(forecast, row)
            texts = [line["text"] for line in task["log"]]
            check("move_pass" in texts and "move_stands_still" not in texts, texts)
            self.arrived(vm)

    def paused_guest_and_one_that_stands_still_need_no_post_copy(self):
        vm = self.estate.prover("postcopy", held_mib=4)
        for target, verb in ((self.away, None), (self.home, "pause")):
            if verb:
                self.api.do(f"vms/{vm}/{verb}")
            self.moved(vm, target, strategy="post_copy")
            self.estate.only_on(vm, target)
            check(self.last_log(vm)["strategy"] == "business_first", self.last_log(vm))
        self.api.do(f"vms/{vm}/resume")
        self.estate.prove(vm)
        self.estate.destroy(vm)

    def several_move_in_a_batch(self):
        vms = [self.estate.prover(f"batch-{number}", held_mib=4) for number in range(2)]
        task = self.api.wait(self.api.post("vms/batch", {"verb": "migrate", "ids": vms, "args": {"host": self.away.id}}), 180)
        check(task["state"] == "done", task)
        for vm in vms:
            self.estate.only_on(vm, self.away)
            self.estate.prove(vm)
        self.estate.destroy(*vms)
