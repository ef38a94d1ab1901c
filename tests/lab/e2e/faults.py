# SPDX-License-Identifier: Apache-2.0
"""What others do behind the product's back, and what happens when its parts are killed. These guests run, but nobody waits for them."""
import contextlib
import http.client
import os
import random
import signal
import threading
import time

from whole_site import LIVING, Case, Failure, Refused, check, refused, wait_for

SHOWS_WITHIN_S = 60  # by an event of libvirt; usually at once
STRANGER = """<domain type='{type}'><name>stranger</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os><devices><serial type='pty'/></devices></domain>"""


class Outside(Case):
    """Changes past the product."""

    def virsh_destroy_shows_as_an_event(self):
        vm = self.site.deploy("victim")
        self.site.inside("virsh", "destroy", self.site.vm(vm)["uuid"])
        self.site.wait_power(vm, "off", SHOWS_WITHIN_S)
        wait_for("the event", lambda: [event for event in self.events(vm) if event.get("cause") == "outside" and
                                       event["params"]["state"] == "off"], SHOWS_WITHIN_S)
        self.site.destroy(vm)

    def removed_file_of_a_volume_is_told_and_found_again(self):
        before = self.site.pool_files()
        vm = self.site.deploy("robbed", start=False)
        file, = [name for name in self.site.pool_files() - before if name.startswith("vol-")]
        volume = self.site.vm(vm)["disks"][0]["volume"]
        check(self.api.get(f"volumes/{volume}")["state"] == "ready", self.api.get(f"volumes/{volume}"))
        path, kept = f"{self.site.pool_path}/{file}", f"{self.site.place.pool_root}/robbed"
        self.site.inside("mv", path, kept)
        try:
            wait_for("the volume to be missing", lambda: self.api.get(f"volumes/{volume}")["state"] == "missing", SHOWS_WITHIN_S)
            wait_for("the event", lambda: self.told(volume, "volume_missing"), SHOWS_WITHIN_S)
            wait_for("the VM's alarm", lambda: "vm_disk_missing" in self.alarms_of(vm), SHOWS_WITHIN_S)
            ended = self.api.wait(self.api.post(f"vms/{vm}/start"))
            check(ended["state"] != "done" and self.site.power(vm) == "off", ended)
        finally:
            self.site.inside("mv", kept, path)
        wait_for("the volume to be there again", lambda: self.api.get(f"volumes/{volume}")["state"] == "ready", SHOWS_WITHIN_S)
        wait_for("the event", lambda: self.told(volume, "volume_found_again"), SHOWS_WITHIN_S)
        wait_for("the alarm's end", lambda: "vm_disk_missing" not in self.alarms_of(vm), SHOWS_WITHIN_S)
        self.site.destroy(vm)

    def told(self, volume, text):
        return [row for row in self.api.items("events", filter=f"object=%22{volume}%22") if row["text"] == text and row.get("cause") == "outside"]

    def alarms_of(self, vm):
        return {alarm["kind"] for alarm in self.api.items("alarms") if alarm["object"] == vm}

    def events(self, vm):
        """Of power changes."""
        return self.api.items("events", filter=f"object=%22{vm}%22%20and%20text=vm_power_changed")

    def stranger(self):
        """The found VM, or None."""
        found = self.api.items("vms", filter="name=stranger")
        return found[0] if found else None

    def domain_defined_by_hand_is_found_and_adopted(self):
        path = os.path.join(self.site.top, "stranger.xml")
        with open(path, "w", encoding="ascii") as file:
            file.write(STRANGER.format(type="kvm" if self.site.place.lab.accel == "kvm" else "qemu"))
        self.site.inside("virsh", "define", path)
        vm = wait_for("the found VM", self.stranger, SHOWS_WITHIN_S)
        check(vm["management"] == "found", vm)
        refused("wrong_state", self.api.post, f"vms/{vm['id']}/start")
        self.api.do(f"vms/{vm['id']}/adopt")
        check(self.stranger()["management"] == "managed", self.stranger())
        self.api.do(f"vms/{vm['id']}/start")
        self.site.destroy(vm["id"])

    def adopted_strangers_disk_is_a_volume_and_it_is_edited_and_deleted_like_any_other(self):
        disk = f"{self.site.pool_path}/stranger.qcow2"
        self.site.inside("qemu-img", "create", "-q", "-f", "qcow2", disk, "8M")
        bridge = next(switch["bridge"] for switch in self.api.items("switches"))
        self.define("with-disk", f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/>"
                    "<target dev='vda' bus='virtio'/></disk><interface type='bridge'><mac address='52:54:00:12:34:56'/>"
                    f"<source bridge='{bridge}'/><virtualport type='openvswitch'/><model type='virtio'/></interface>")
        vm = wait_for("the found VM", lambda: self.named("with-disk"), SHOWS_WITHIN_S)
        check(vm["disks"][0]["source"] == disk and vm["nics"][0]["port_group"] == self.site.group, vm)
        self.api.do(f"vms/{vm['id']}/adopt")
        vm = self.site.vm(vm["id"])
        volume = self.api.get(f"volumes/{vm['disks'][0]['volume']}")
        check((volume["used_by"], volume["size_bytes"], volume["format"]) == (vm["id"], 8 << 20, "qcow2"), volume)
        self.api.do(f"vms/{vm['id']}", {"memory_bytes": 96 << 20, "boot_menu": True}, "PATCH")
        check("stranger.qcow2" in self.site.inside("virsh", "dumpxml", vm["uuid"]), "it lost its disk")
        self.api.do(f"vms/{vm['id']}/start")
        self.site.destroy(vm["id"])
        check("stranger.qcow2" not in self.site.pool_files(), "its file is left")

    def stranger_outside_of_all_pools_says_what_bars_it(self):
        self.site.inside("qemu-img", "create", "-q", "-f", "qcow2", "/var/tmp/apart.qcow2", "8M")
        self.define("apart", "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/var/tmp/apart.qcow2'/>"
                    "<target dev='vda' bus='virtio'/></disk>")
        vm = wait_for("the found VM", lambda: self.named("apart"), SHOWS_WITHIN_S)
        check(any("/var/tmp/apart.qcow2" in reason for reason in vm["adopt_blockers"]), vm)
        refused("not_allowed", self.api.post, f"vms/{vm['id']}/adopt")
        self.site.inside("virsh", "undefine", vm["uuid"])

    def define(self, name, devices):
        """A domain by hand."""
        path = os.path.join(self.site.top, f"{name}.xml")
        text = STRANGER.format(type="kvm" if self.site.place.lab.accel == "kvm" else "qemu")
        with open(path, "w", encoding="ascii") as file:
            file.write(text.replace("<name>stranger", f"<name>{name}").replace("<devices>", f"<devices>{devices}"))
        self.site.inside("virsh", "define", path)

    def named(self, name):
        """The VM, or None."""
        found = self.api.items("vms", filter=f"name=%22{name}%22")
        return found[0] if found else None

    def removed_stranger_leaves_the_inventory(self):
        self.site.inside("virsh", "define", os.path.join(self.site.top, "stranger.xml"))
        wait_for("the found VM", self.stranger, SHOWS_WITHIN_S)
        self.site.inside("virsh", "undefine", "stranger")
        wait_for("its end", lambda: self.stranger() is None, SHOWS_WITHIN_S)


class Busy(Case):
    """Two operations on one VM."""

    def second_operation_is_refused_naming_the_first(self):
        vm = self.site.deaf("busy")
        task = self.api.post(f"vms/{vm}/shutdown", {"timeout_s": 600})
        error = refused("busy", self.api.post, f"vms/{vm}/pause")
        check(error.status == 409 and task["id"] in error.message and error.params["task"] == task["id"], error)
        check(self.site.vm(vm)["activity"]["task"] == task["id"], self.site.vm(vm).get("activity"))
        self.api.post(f"tasks/{task['id']}/cancel")
        ended = self.api.wait(task)
        check(ended["state"] == "cancelled", ended)
        check(not self.site.vm(vm).get("activity"), "still busy")
        self.site.destroy(vm)


class Kills(Case):
    """The manager killed at random moments of its tasks."""

    def __init__(self, site):
        super().__init__(site)
        self.seed = int.from_bytes(os.urandom(4), "big")
        self.random = random.Random(self.seed)

    def kill_during(self, method, path, body, longest_s):
        """Sends the request and kills the manager a random time after; starts it again; all must agree then."""
        delay_s = self.random.uniform(0, longest_s)
        asking = threading.Thread(target=self.ask, args=(method, path, body))
        asking.start()
        time.sleep(delay_s)  # no condition to wait for: the moment is meant to be any
        self.site.kill(self.site.manager)
        asking.join()
        self.site.start_manager()
        print(f"# killed {delay_s:.3f} s after {method} {path}", flush=True)
        Agreement(self.site).wait()

    def ask(self, method, path, body):
        """The answer may be lost."""
        with contextlib.suppress(OSError, http.client.HTTPException, Refused):
            self.api.send(method, path, body)

    def killed_during_deploy(self):
        for start, linked in ((True, True), (True, False), (False, False), (True, False)):
            body = {"name": "killed", "image": self.site.image, "pool": self.site.pool, "port_group": self.site.group,
                    "linked": linked, "start": start}
            self.kill_during("POST", "vms/deploy", body, 1.0)
            self.site.destroy(*(vm["id"] for vm in self.api.items("vms", filter="name=killed")))

    def killed_during_delete(self):
        for how in ("destroy", "bin_with_volumes", "destroy"):
            vm = self.site.deploy("killed", start=False)
            self.kill_during("DELETE", f"vms/{vm}", {"how": how}, 0.4)
            self.site.destroy(*(vm["id"] for vm in self.api.items("vms", filter="name=killed")))

    def killed_during_clone(self):
        source = self.api.get(f"images/{self.site.image}")["volume"]
        for _ in range(3):
            self.kill_during("POST", f"volumes/{source}/clone", {"name": "killed"}, 0.5)
            for volume in self.api.items("volumes", filter="name=killed"):
                self.api.do(f"volumes/{volume['id']}", {}, "DELETE")

    def killed_during_finish_upload(self):
        with open(self.site.guest_file, "rb") as file:
            data = file.read()
        for _ in range(3):
            volume = self.api.do("volumes", {"name": "killed", "pool": self.site.pool, "upload_bytes": len(data),
                                             "format": "raw", "source_format": "qcow2"})["result"]
            self.api.raw("PUT", f"volumes/{volume}/data", data, {"Content-Type": "application/octet-stream"})
            self.kill_during("POST", f"volumes/{volume}/finish_upload", {}, 0.8)
            self.api.do(f"volumes/{volume}", {}, "DELETE")

    def nothing_is_left_behind(self):
        Agreement(self.site).wait()
        left = [name for name in self.site.pool_files() if "/" not in name and name.startswith(".new-")]
        check(not left, left)


class Agreement:
    """Do inventory, libvirt and disk say the same?"""

    def __init__(self, site):
        self.site = site
        self.api = site.api

    def wait(self):
        """Until the host is back, all tasks have ended, and all agree."""
        self.site.wait_connected()
        wait_for("the end of all tasks", lambda: not self.living(), 400, give_up=False)
        check(not self.living(), lambda: f"these tasks live on: {self.living()}")
        wait_for("agreement", lambda: not self.quarrels(), 200, give_up=False)
        check(not self.quarrels(), lambda: "; ".join(self.quarrels()))

    def living(self):
        return [(task["id"], task["kind"], task["state"], task.get("waiting"), task.get("steps"))
                for task in self.api.items("tasks", filter="ended%3D%22%22") if task["state"] in LIVING]

    def quarrels(self):
        """What does not fit together, in words."""
        found = [f"{plural} {item['id']} is held by {item['activity']}" for plural in ("vms", "volumes", "images")
                 for item in self.api.items(plural) if item.get("activity")]
        volumes = {volume["id"]: volume for volume in self.api.items("volumes")}
        files = self.site.pool_files()
        for name in files:
            owner = "-".join(name.lstrip(".").removeprefix("new-").removeprefix("upload-").split("-")[:2])
            if name.startswith(".new-") or (owner.startswith("vol-") and owner not in volumes):
                found.append(f"file {name} belongs to nobody")
        for volume in volumes.values():
            has_file = any(name.startswith(f"{volume['id']}-") for name in files)
            if has_file != (volume["state"] == "ready"):
                found.append(f"{volume['id']} is {volume['state']}, file: {has_file}")
            if volume.get("used_by") and not any(vm["id"] == volume["used_by"] for vm in self.api.items("vms")):
                found.append(f"{volume['id']} is used by {volume['used_by']}, which is not there")
        domains = self.site.domains()
        words = {"running": "running", "shut off": "off", "paused": "paused"}
        vms = {vm["uuid"]: vm for vm in self.api.items("vms") if vm["management"] != "in_bin"}
        found += [f"domain {uuid} is not in the inventory" for uuid in domains if uuid not in vms]
        for uuid, vm in vms.items():
            if uuid not in domains:
                found.append(f"{vm['id']} has no domain")
            elif vm["power"]["state"] != words.get(domains[uuid]):
                found.append(f"{vm['id']} is {vm['power']['state']}, its domain {domains[uuid]}")
        return found


class Restarts(Case):
    """Agent and libvirtd."""

    def vm_runs_on_while_the_agent_is_killed_and_comes_back(self):
        vm = self.site.deploy("outlives")
        uuid = self.site.vm(vm)["uuid"]
        self.site.kill(self.site.agent)
        wait_for("the host to be lost", lambda: self.api.get(f"hosts/{self.site.host}")["state"] == "lost", 60)
        check(self.site.domains()[uuid] == "running", self.site.domains())
        self.site.wait_power(vm, "unknown")
        self.site.start_agent()
        Agreement(self.site).wait()
        check(self.site.power(vm) == "running", self.site.power(vm))
        self.site.destroy(vm)

    def states_are_right_after_libvirtd_was_killed(self):
        stays, dies = (self.site.deploy(name) for name in ("stays", "dies"))
        init = self.site.place.lab.hosts[0].running_init()
        self.site.kill_libvirtd(init)
        self.site.inside("pkill", "-9", "-f", self.site.vm(dies)["uuid"])  # in the host's own processes: its QEMU
        self.site.start_libvirtd(init)
        # A QEMU that died unseen: libvirt tries its monitor for 30 s while its process id is not free yet.
        self.site.wait_power(dies, "off", 120)
        self.site.wait_power(stays, "running", 60)
        Agreement(self.site).wait()
        self.api.do(f"vms/{stays}/pause")
        self.site.destroy(stays, dies)

    def what_happened_while_the_manager_was_away_is_in_the_events(self):
        """In order, with the times of then; both runs that it never saw."""
        vm = self.site.deploy("unseen", start=False)
        uuid = self.site.vm(vm)["uuid"]
        self.site.kill(self.site.manager)
        for verb in ("start", "destroy", "start", "destroy"):
            self.site.inside("virsh", verb, uuid)
        self.site.start_manager()
        Agreement(self.site).wait()
        check(self.site.power(vm) == "off", self.site.power(vm))

        def seen():
            rows = [row for row in self.api.items("events", filter=f"object={vm}") if row["text"] == "vm_power_changed"]
            return [row for row in rows if row["cause"] == "host report"]
        wait_for("four events of then", lambda: len(seen()) >= 4, 30)
        rows = sorted(seen(), key=lambda row: row["time"])
        states = [row["params"]["state"] for row in rows]
        check(states == ["running", "off", "running", "off"], rows)
        self.site.destroy(vm)


class Abandoned(Case):
    """A task whose host goes away in the middle, and a user who does not want to wait for it."""

    def stuck(self, path, body):
        """A task that waits to be undone: its host stood still when it began, and died."""
        os.kill(self.site.agent.pid(), signal.SIGSTOP)
        task = self.api.post(path, body)
        self.site.kill(self.site.agent)
        wait_for("the host to be lost", lambda: self.api.get(f"hosts/{self.site.host}")["state"] == "lost", 60)
        self.api.post(f"tasks/{task['id']}/cancel")
        wait_for("the undo to wait", lambda: self.api.get(f"tasks/{task['id']}").get("waiting") and
                 self.state(task) == "cancelling", 30)
        return task

    def state(self, task):
        return self.api.get(f"tasks/{task['id']}")["state"]

    def alarms(self):
        return [alarm["object"] for alarm in self.api.items("alarms") if alarm["kind"] == "left_behind"]

    def given_up_deploy_is_cleaned_up_when_the_host_is_back(self):
        before = self.site.pool_files()
        task = self.stuck("vms/deploy", {"name": "stuck", "image": self.site.image, "pool": self.site.pool,
                                         "port_group": self.site.group, "linked": False})
        vm = self.api.items("vms", filter="name=stuck")[0]
        self.api.post(f"tasks/{task['id']}/abandon")
        ended = self.api.wait(task)
        check(ended["state"] == "abandoned" and ended["abandoned_by"] == "admin", ended)
        check([step["state"] for step in ended["steps"] if step["state"] == "left"], ended["steps"])
        check(not self.site.vm(vm["id"]).get("activity"), "it is still held")
        check(vm["id"] in self.alarms(), self.alarms())
        records = self.api.items("audit-records", filter="operation=task_abandon")
        check(len(records) == 1 and records[0]["risk"] == "high", records)
        self.site.start_agent()
        self.site.wait_connected()
        wait_for("the leftovers to go", lambda: not self.api.items("vms", filter="name=stuck") and not self.alarms(), 30)
        Agreement(self.site).wait()
        check(self.site.pool_files() == before, self.site.pool_files() ^ before)

    def given_up_task_stays_given_up_over_a_kill_of_the_manager(self):
        before = self.site.pool_files()
        task = self.stuck("volumes", {"name": "stuck", "pool": self.site.pool, "size_bytes": 1 << 20, "format": "raw"})
        self.api.post(f"tasks/{task['id']}/abandon")
        self.site.kill(self.site.manager)
        self.site.start_manager()
        check(self.api.wait(task)["state"] == "abandoned", "it is not")
        self.site.start_agent()
        self.site.wait_connected()
        wait_for("the leftovers to go", lambda: not self.api.items("volumes", filter="name=stuck") and not self.alarms(), 30)
        Agreement(self.site).wait()
        check(self.site.pool_files() == before, self.site.pool_files() ^ before)

    def task_that_gets_on_cannot_be_given_up(self):
        vm = self.site.deploy("gets-on", start=False)
        task = self.api.send("DELETE", f"vms/{vm}", {"how": "destroy"})
        error = refused_any(self.api.post, f"tasks/{task['id']}/abandon")
        check(error.code in ("not_allowed", "wrong_state"), error)
        self.api.wait(task)


def refused_any(call, *arguments):
    try:
        raise Failure(f"{arguments} was not refused: {call(*arguments)}")
    except Refused as error:
        return error


class Revoked(Case):
    """The last group: after it the site has no host."""

    def removed_host_cannot_come_back(self):
        self.site.product.call("host", "delete", self.site.host, "--force", "--yes", "--wait")
        check(not self.api.items("hosts"), self.api.items("hosts"))
        self.site.kill(self.site.agent)
        before = os.path.getsize(self.site.agent.log)
        self.site.start_agent()

        def tried():
            with open(self.site.agent.log, encoding="utf-8") as file:
                file.seek(before)
                return sum("HTTP 403" in line for line in file) >= 2
        wait_for("the agent to be refused twice", tried, 30)
        check(not self.api.items("hosts"), "it came back")
