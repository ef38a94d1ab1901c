# SPDX-License-Identifier: Apache-2.0
"""A VM's life: deploy, power verbs, and what every changing request promises. One guest boots here; others stay off."""
import ipaddress
import time

from whole_site import Case, check, refused, wait_for


class Lives(Case):
    """Deploy, power, and the promises."""

    def full_deploy_boots_a_guest_that_answers_with_an_address(self):
        self.site.guest = self.site.deploy("whole", linked=False)
        address = self.site.wait_guest(self.vm)["guest"]["ips"][0]
        check(ipaddress.ip_address(address) in self.site.guest_network, address)
        wait_for("its answer to a ping", lambda: self.site.place.run(["ping", "-c", "1", "-W", "5", address])[0] == 0, 60)
        disk = self.site.vm(self.vm)["disks"][0]
        check(not self.api.get(f"volumes/{disk['volume']}").get("parent"), "a full copy has a parent")

    def linked_deploy_shares_the_images_blocks(self):
        vm = self.site.deploy("sharing", start=False)
        volume = self.api.get(f"volumes/{self.site.vm(vm)['disks'][0]['volume']}")
        check(volume["parent"] == self.api.get(f"images/{self.site.image}")["volume"], volume)
        check(self.site.power(vm) == "off", self.site.power(vm))
        self.site.destroy(vm)

    def pause_and_resume(self):
        self.api.do(f"vms/{self.vm}/pause")
        check(self.site.power(self.vm) == "paused", self.site.power(self.vm))
        check(self.site.domains()[self.site.vm(self.vm)["uuid"]] == "paused", self.site.domains())
        self.api.do(f"vms/{self.vm}/resume")
        check(self.site.power(self.vm) == "running", self.site.power(self.vm))

    def verbs_that_the_state_forbids_are_refused_naming_it(self):
        for verb in ("start", "resume", "restore", "discard_saved"):
            error = refused("wrong_state", self.api.post, f"vms/{self.vm}/{verb}")
            check(error.status == 409 and ("running" in error.message or "managed" in error.message), error)
        error = refused("wrong_state", self.api.send, "DELETE", f"vms/{self.vm}", {"how": "destroy"})
        check("running" in error.message, error)
        words = self.site.winctl_refused("vm", "start", self.vm)
        check("running" in words, words)

    def allowed_verbs_are_told_with_the_reason_against_the_others(self):
        rows = {row["verb"]: row for row in self.api.get(f"vms/{self.vm}/verbs")["verbs"]}
        check(rows["pause"]["allowed"] and rows["console"]["allowed"] and "reason" not in rows["pause"], rows)
        check(rows["start"]["code"] == "wrong_state" and "running" in rows["start"]["reason"], rows["start"])
        check(not rows["restore"]["allowed"] and rows["delete"]["danger"] == 3, rows)

    def same_patch_twice_makes_no_new_revision(self):
        patch = {"description": "once"}
        before = self.site.vm(self.vm)["revision"]
        self.api.do(f"vms/{self.vm}", patch, "PATCH")
        after = self.site.vm(self.vm)
        check(after["description"] == "once" and after["revision"] > before, after)
        tasks = len(self.api.items("tasks"))
        again = self.api.send("PATCH", f"vms/{self.vm}", patch)
        check(again["id"] == self.vm and len(self.api.items("tasks")) == tasks, again)

    def stale_if_match_is_refused_with_412(self):
        _, headers, _ = self.api.raw("GET", f"volumes/{self.disk()}")
        self.api.send("PATCH", f"volumes/{self.disk()}", {"description": "new"}, {"If-Match": headers["ETag"]})
        error = refused("revision_mismatch", self.api.send, "PATCH", f"volumes/{self.disk()}", {"description": "newer"},
                        {"If-Match": headers["ETag"]})
        check(error.status == 412, error)

    def one_idempotency_key_starts_one_deploy(self):
        body = {"name": "keyed", "image": self.site.image, "pool": self.site.pool, "port_group": self.site.group,
                "linked": True, "start": False}
        key = {"Idempotency-Key": f"deploy-{time.time()}"}
        tasks = [self.api.post("vms/deploy", body, **key) for _ in range(3)]
        check(len({task["id"] for task in tasks}) == 1, tasks)
        self.api.wait(tasks[0])
        again = self.api.post("vms/deploy", body, **key)
        check(again["id"] == tasks[0]["id"], again)
        found = self.api.items("vms", filter="name%3D%22keyed%22")
        check(len(found) == 1, found)
        refused("idempotency_reused", lambda: self.api.post("vms/deploy", {**body, "name": "other"}, **key))
        self.site.destroy(found[0]["id"])

    def dry_run_says_the_steps_and_changes_nothing(self):
        vm = self.site.deploy("dry", start=False)
        before = self.everything()
        body = {"name": "never", "image": self.site.image, "pool": self.site.pool, "linked": True}
        each = ["enter", "make disks", "define", "start"]
        one, many = self.api.post("vms/deploy?dry_run=true", body), self.api.post("vms/deploy?dry_run=true", {**body, "count": 2})
        check(one["steps"] == each and many["steps"][2:] == each, (one, many))
        check([step.split(" -> ")[0] for step in many["steps"][:2]] == ["never-1", "never-2"], many)  # each with its host
        for answer in (self.api.post("vms/deploy?dry_run=true", body),
                       self.api.send("DELETE", f"vms/{vm}?dry_run=true", {"how": "destroy"}),
                       self.api.post(f"volumes/{self.site.vm(vm)['disks'][0]['volume']}/clone?dry_run=true",
                                     {"name": "never"})):
            check(answer.get("steps"), answer)
        after = self.everything()
        check(before == after, f"{before} became {after}")
        self.site.destroy(vm)

    def everything(self):
        """What is there, without what the host measures."""
        rows = {plural: sorted((item["id"], item.get("state", "")) for item in self.api.items(plural))
                for plural in ("tasks", "volumes", "vms", "images")}
        return rows, self.site.pool_files(), self.site.domains()

    def guest_restarts_and_says_so_on_its_serial_line(self):
        """By the reset button, then by itself; winctl's console shows both."""
        with self.site.console(self.vm) as console:
            console.type("\n")
            console.wait_for("login:")
            console.type("root\n")
            console.wait_for("Password:")  # no prompt of this run of the guest is under way any more
            self.api.do(f"vms/{self.vm}/reset")
            console.wait_for("login:")
            check("going down" not in console.seen, "reset asked the guest")
            wait_for("the guest agent", lambda: self.site.vm(self.vm).get("guest", {}).get("agent") == "connected", 60)
            self.api.do(f"vms/{self.vm}/reboot")
            console.wait_for("The system is going down")
            console.wait_for("login:")  # saved while it goes down it would end powered off
        check(self.site.power(self.vm) == "running", self.site.power(self.vm))

    def vm_that_goes_down_for_an_acpi_restart_is_not_hibernated(self):
        """libvirt would forget that it was to start again. Nobody is in this one, so that it never gets down."""
        vm = self.site.deaf("nobody")
        self.api.do(f"vms/{vm}/reboot")
        task = self.api.wait(self.api.post(f"vms/{vm}/hibernate"))
        check(task["state"] == "failed" and task["error"]["code"] == "not_allowed", task)
        check(self.site.domains()[self.site.vm(vm)["uuid"]] == "running", self.site.domains())
        self.site.destroy(vm)

    def hibernated_vm_goes_on_where_it_was(self):
        self.api.do(f"vms/{self.vm}/hibernate")
        check(self.site.power(self.vm) == "hibernated", self.site.power(self.vm))
        check(self.site.domains()[self.site.vm(self.vm)["uuid"]] == "shut off", self.site.domains())
        self.api.do(f"vms/{self.vm}/start")
        check(self.site.power(self.vm) == "running", self.site.power(self.vm))


class Ends(Case):
    """How a running guest ends; the last of the guest's own cases."""

    def guest_shuts_down_when_asked(self):
        self.api.do(f"vms/{self.vm}/shutdown", {"timeout_s": 300})
        check(self.site.power(self.vm) == "off", self.site.power(self.vm))
        check(not self.site.vm(self.vm).get("guest"), "somebody is said to be in it")

    def guest_that_still_boots_is_asked_again_until_it_hears(self):
        self.api.do(f"vms/{self.vm}/start")
        task = self.api.wait(self.api.post(f"vms/{self.vm}/shutdown", {"timeout_s": 300}))
        check(task["state"] == "done" and self.site.power(self.vm) == "off", task)

    def start_and_power_off(self):
        self.api.do(f"vms/{self.vm}/start")
        check(self.site.power(self.vm) == "running", self.site.power(self.vm))
        self.api.do(f"vms/{self.vm}/power_off")
        check(self.site.power(self.vm) == "off", self.site.power(self.vm))
        check(self.site.domains()[self.site.vm(self.vm)["uuid"]] == "shut off", self.site.domains())
