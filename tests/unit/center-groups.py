#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Business groups and what NICs are for, through the API of a manager whose hosts are simulated. Prints TAP.

usage: center-groups.py LIVING_SITE
"""
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("center_estate", os.path.join(HERE, "center-estate.py"))
estate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(estate)
center, made, done, refused = estate.center, estate.made, estate.done, estate.refused
GROUPS = "/business-groups"


class Living(center.Manager):
    """tests/web/living-site with one host; commands go to its standard input."""

    def start(self, port=0, **popen):
        web = os.path.join(self.data, "..", "web")
        os.mkdir(web)
        self.process = subprocess.Popen([self.program, self.data, web, "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **popen)
        self.port = int(self.process.stdout.readline().split()[1])
        assert self.process.stdout.readline().strip() == "ready"

    def say(self, words):
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert answer == "ok", (words, answer)

    def stop(self, how=None):
        if self.process:
            self.process.stdin.close()
            self.process.wait(center.DEADLINE_S)
            self.process.stdout.close()


def group(admin, name, **more):
    return made(admin.call("POST", GROUPS, {"name": name, **more}))["id"]


def vm_named(m, admin, name):
    """One that somebody made on the host; its id, once the manager knows it."""
    m.say(f"stranger {done(admin.call('GET', '/hosts'))['items'][0]['id']} {name}")
    end = time.monotonic() + center.DEADLINE_S
    while True:
        found = [vm["id"] for vm in items(admin, "/vms", f'name="{name}"')]
        if found:
            return found[0]
        assert time.monotonic() < end, f"{name} does not come"
        time.sleep(0.05)


def items(admin, path, query):
    return done(admin.call("GET", f"{path}?filter={urllib.parse.quote(query)}"))["items"]


# ---- tests: each gets the site and a logged-in administrator ----

def groups_lie_in_groups(m, admin):
    top = group(admin, "finance")
    below = group(admin, "ledger", parent=top)
    assert [g["id"] for g in items(admin, GROUPS, f"parent={top}")] == [below]
    assert done(admin.call("PATCH", f"{GROUPS}/{below}", {"name": "books", "parent": None}))["name"] == "books"
    assert "parent" not in done(admin.call("GET", f"{GROUPS}/{below}"))


def group_does_not_come_into_itself(m, admin):
    a = group(admin, "a")
    b = group(admin, "b", parent=a)
    c = group(admin, "c", parent=b)
    for target in (a, b, c):
        error = refused(admin.call("PATCH", f"{GROUPS}/{a}", {"parent": target}), 409, "group_in_itself")
        assert "a" in error["message"], error
    refused(admin.call("POST", GROUPS, {"name": "x", "parent": "bg-999999"}), 400, "bad_reference")


def groups_have_an_end(m, admin):
    parent = group(admin, "deep")
    for level in range(15):
        parent = group(admin, f"level-{level}", parent=parent)
    refused(admin.call("POST", GROUPS, {"name": "one too many", "parent": parent}), 400, "bad_value")
    tail = group(admin, "tail")
    group(admin, "its end", parent=tail)
    above = done(admin.call("GET", f"{GROUPS}/{parent}"))["parent"]
    refused(admin.call("PATCH", f"{GROUPS}/{tail}", {"parent": above}), 400, "bad_value")  # with what is below it


def names_differ_among_siblings(m, admin):
    top = group(admin, "siblings")
    one = group(admin, "same", parent=top)
    refused(admin.call("POST", GROUPS, {"name": "same", "parent": top}), 409, "name_taken")
    other = group(admin, "same", parent=one)
    refused(admin.call("PATCH", f"{GROUPS}/{other}", {"parent": top}), 409, "name_taken")
    done(admin.call("PATCH", f"{GROUPS}/{other}", {"description": "no clash with itself"}))


def vms_move_together_or_not_at_all(m, admin):
    web, db = vm_named(m, admin, "web"), vm_named(m, admin, "db")
    shop, other = group(admin, "shop"), group(admin, "other")
    refused(admin.call("POST", f"{GROUPS}/{shop}/take", {"vms": [web, "vm-999999"]}), 400, "bad_reference")
    assert not items(admin, "/vms", f"group={shop}")
    assert admin.call("POST", f"{GROUPS}/{shop}/take?dry_run=true", {"vms": [web]})[1]["steps"]
    assert not items(admin, "/vms", f"group={shop}")
    done(admin.call("POST", f"{GROUPS}/{shop}/take", {"vms": [web, db]}))
    assert {vm["name"] for vm in items(admin, "/vms", f"group={shop}")} == {"web", "db"}
    done(admin.call("POST", f"{GROUPS}/{other}/take", {"vms": [web]}))
    done(admin.call("POST", f"{GROUPS}/{other}/release", {"vms": [web, db]}))  # db is in another: it stays there
    assert "group" not in done(admin.call("GET", f"/vms/{web}"))
    assert done(admin.call("GET", f"/vms/{db}"))["group"] == shop


def group_with_something_in_it_stays(m, admin):
    top = group(admin, "full")
    group(admin, "inner", parent=top)
    done(admin.call("POST", f"{GROUPS}/{top}/take", {"vms": [vm_named(m, admin, "held")]}))
    error = refused(admin.call("DELETE", f"{GROUPS}/{top}"), 409, "group_not_empty")
    assert "inner" in error["message"] and "held" in error["message"], error
    empty = group(admin, "empty")
    assert admin.call("DELETE", f"{GROUPS}/{empty}")[0] == 204
    assert admin.call("GET", f"{GROUPS}/{empty}")[0] == 404


def groups_need_their_right(m, admin):
    role = made(admin.call("POST", "/roles", {"name": "reader", "permissions": ["group.read", "vm.*"]}))["id"]
    made(admin.call("POST", "/users", {"name": "rita", "password": "rita's password", "roles": [role]}))
    rita = center.Client(m).login("rita", "rita's password")
    shop = items(admin, GROUPS, "name=shop")[0]["id"]
    assert rita.call("GET", f"{GROUPS}/{shop}")[0] == 200
    refused(rita.call("POST", GROUPS, {"name": "hers"}), 403, "forbidden")
    refused(rita.call("POST", f"{GROUPS}/{shop}/take", {"vms": []}), 403, "forbidden")
    refused(rita.call("DELETE", f"{GROUPS}/{shop}"), 403, "forbidden")


def ended(admin, answer):
    status, task, _ = answer
    assert status == 202, (status, task)
    end = time.monotonic() + center.DEADLINE_S
    while task["state"] in ("queued", "running", "cancelling", "rolling_back"):
        assert time.monotonic() < end, task
        time.sleep(0.05)
        task = done(admin.call("GET", f"/tasks/{task['id']}"))
    assert task["state"] == "done", task
    return task


def vm_of_ours(admin, name, **more):
    ended(admin, admin.call("POST", "/vms", {"name": name, "memory_bytes": 64 << 20, **more}))
    return items(admin, "/vms", f'name="{name}"')[0]["id"]


def limits(admin, group):
    return {(one["name"], one["what"]): (one["limit"], one["used"], one["free"], one["over"]) for one in done(admin.call("GET", f"{GROUPS}/{group}/usage"))["limits"]}


def quota_is_counted_over_all_below(m, admin):
    top = group(admin, "q-top", quota={"vms": 3, "memory_bytes": 1 << 30})
    below = group(admin, "q-below", parent=top, quota={"vcpus": 0})
    assert limits(admin, below) == {("q-below", "vcpus"): (0, 0, 0, False), ("q-top", "vms"): (3, 0, 3, False), ("q-top", "memory_bytes"): (1 << 30, 0, 1 << 30, False)}
    refused(admin.call("POST", "/vms", {"name": "q-0", "group": below}), 409, "quota_exceeded")
    done(admin.call("PATCH", f"{GROUPS}/{below}", {"quota": None}))
    one, two = vm_of_ours(admin, "q-1", group=below), vm_of_ours(admin, "q-2", group=top, cpu={"vcpus": 3})
    usage = done(admin.call("GET", f"{GROUPS}/{top}/usage"))
    assert [usage[what] for what in ("vms", "vcpus", "memory_bytes", "disk_bytes")] == [2, 4, 128 << 20, 0], usage
    assert done(admin.call("GET", f"{GROUPS}/{below}/usage"))["vms"] == 1
    done(admin.call("PATCH", f"{GROUPS}/{top}", {"quota": {"vms": 1}}))  # less than is used; the rest of the quota stays
    assert limits(admin, top) == {("q-top", "vms"): (1, 2, 0, True), ("q-top", "memory_bytes"): (1 << 30, 128 << 20, (1 << 30) - (128 << 20), False)}
    error = refused(admin.call("POST", "/vms", {"name": "q-3", "group": below}), 409, "quota_exceeded")
    assert all(word in error["message"] for word in ("q-top", "1 virtual machines", "2 used", "1 more")) and error["hint"], error
    chinese = admin.call("POST", "/vms", {"name": "q-3", "group": below}, accept_language="zh")[1]
    assert "q-top" in chinese["message"] and "配额" in chinese["message"] and "台虚拟机" in chinese["message"], chinese
    refused(admin.call("POST", "/vms?dry_run=true", {"name": "q-3", "group": below}), 409, "quota_exceeded")
    done(admin.call("POST", f"{GROUPS}/{below}/release", {"vms": [one]}))
    done(admin.call("POST", f"{GROUPS}/{top}/release", {"vms": [two]}))
    assert done(admin.call("GET", f"{GROUPS}/{top}/usage"))["vms"] == 0


def vms_are_taken_in_as_far_as_the_quota_goes(m, admin):
    vms = [vm_of_ours(admin, f"take-{i}") for i in range(3)]
    top = group(admin, "t-top", quota={"vms": 2})
    below = group(admin, "t-below", parent=top)
    for path in (f"{GROUPS}/{below}/take", f"{GROUPS}/{below}/take?dry_run=true"):
        error = refused(admin.call("POST", path, {"vms": vms}), 409, "quota_exceeded")
        assert "t-top" in error["message"] and "3 more" in error["message"], error
    assert not items(admin, "/vms", f"group={below}")  # all or none
    done(admin.call("POST", f"{GROUPS}/{below}/take", {"vms": [vms[0], vms[1], vms[0]]}))
    refused(admin.call("POST", f"{GROUPS}/{top}/take", {"vms": [vms[2]]}), 409, "quota_exceeded")
    done(admin.call("POST", f"{GROUPS}/{top}/take", {"vms": vms[:2]}))  # they count there already
    stranger = vm_named(m, admin, "foreign")
    done(admin.call("POST", f"{GROUPS}/{below}/take", {"vms": [stranger]}))  # counts when it is adopted
    refused(admin.call("POST", f"/vms/{stranger}/adopt"), 409, "quota_exceeded")


def group_moves_under_a_quota_that_has_room(m, admin):
    top = group(admin, "m-top", quota={"vms": 1})
    full, more = group(admin, "m-full"), group(admin, "m-more")
    inner = group(admin, "m-inner", parent=more)
    vm_of_ours(admin, "m-1", group=full)
    vm_of_ours(admin, "m-2", group=inner)
    for query in ("?dry_run=true", ""):
        done(admin.call("PATCH", f"{GROUPS}/{full}{query}", {"parent": top}))
    for query in ("?dry_run=true", ""):
        error = refused(admin.call("PATCH", f"{GROUPS}/{more}{query}", {"parent": top}), 409, "quota_exceeded")
        assert "m-top" in error["message"], error
    refused(admin.call("PATCH", f"{GROUPS}/{inner}", {"parent": full}), 409, "quota_exceeded")
    assert limits(admin, full) == {("m-top", "vms"): (1, 1, 0, False)}
    done(admin.call("PATCH", f"{GROUPS}/{full}", {"parent": None}))
    done(admin.call("PATCH", f"{GROUPS}/{more}", {"parent": top}))
    assert limits(admin, inner) == {("m-top", "vms"): (1, 1, 0, False)}
    refused(admin.call("POST", "/vms", {"name": "m-3", "group": inner}), 409, "quota_exceeded")


def quota_is_for_whoever_may_write_groups(m, admin):
    rita = center.Client(m).login("rita", "rita's password")  # group.read, vm.*
    fixed = group(admin, "fixed", quota={"vms": 0})
    refused(rita.call("PATCH", f"{GROUPS}/{fixed}", {"quota": None}), 403, "forbidden")
    refused(rita.call("PATCH", f"{GROUPS}/{fixed}", {"quota": {"vms": 9}}), 403, "forbidden")
    refused(rita.call("PATCH", f"{GROUPS}/{fixed}", {"parent": None}), 403, "forbidden")
    assert limits(rita, fixed) == {("fixed", "vms"): (0, 0, 0, False)}
    refused(rita.call("POST", "/vms", {"name": "hers", "group": fixed}), 409, "quota_exceeded")
    vm = vm_of_ours(admin, "m-fixed", group=group(admin, "held", quota={"vms": 1}))
    for text in ('{"group": null}', '{"description": "mine", "gr\\u006fup": null}', f'{{"group": "{fixed}"}}'):  # out of the group, and so out of its quota
        assert refused(rita.call("PATCH", f"/vms/{vm}", text), 403, "forbidden")["params"]["permission"] == "group.write"
    ended(admin, rita.call("PATCH", f"/vms/{vm}", {"description": "mine"}))
    ended(admin, admin.call("PATCH", f"/vms/{vm}", {"group": None}))


def vms_are_made_in_the_group_of_whoever_makes_them(m, admin):
    """By naming no group nobody leaves a quota."""
    home = group(admin, "home", quota={"vms": 2})
    below, foreign = group(admin, "home below", parent=home), group(admin, "another's")
    role = made(admin.call("POST", "/roles", {"name": "self-service", "permissions": ["vm.*", "group.read", "user.write", "task.read"]}))["id"]
    user = made(admin.call("POST", "/users", {"name": "homer", "password": "homer's password", "roles": [role], "group": home}))["id"]
    homer = center.Client(m).login("homer", "homer's password")
    ended(homer, homer.call("POST", "/vms", {"name": "h-1", "memory_bytes": 64 << 20}))
    ended(homer, homer.call("POST", "/vms", {"name": "h-2", "memory_bytes": 64 << 20, "group": below}))
    assert [items(admin, "/vms", f'name="h-{n}"')[0]["group"] for n in (1, 2)] == [home, below]
    for query in ("", "?dry_run=true"):
        assert "home" in refused(homer.call("POST", f"/vms{query}", {"name": "h-3"}), 409, "quota_exceeded")["message"]
    assert refused(homer.call("POST", "/vms", {"name": "h-3", "group": foreign}), 403, "forbidden")["params"] == {"permission": "group.write", "object": foreign}
    assert refused(homer.call("PATCH", f"/users/{user}", {"group": None}), 403, "forbidden")["params"]["permission"] == "group.write"
    made(homer.call("POST", "/users", {"name": "homers-helper", "password": "helper's password", "roles": [role]}))
    assert items(admin, "/users", 'name="homers-helper"')[0]["group"] == home  # whom it makes is bound as it is
    refused(homer.call("POST", "/users", {"name": "x", "password": "helper's password", "group": foreign}), 403, "forbidden")
    free = made(admin.call("POST", "/users", {"name": "unbound", "password": "nobody's password", "roles": [role]}))["id"]
    for answer in (homer.call("POST", f"/users/{free}/change_password", {"new_password": "homer's choice"}), homer.call("DELETE", f"/users/{free}"),
                   homer.call("PATCH", f"/users/{free}", {"description": "his"})):
        assert refused(answer, 403, "forbidden")["params"] == {"permission": "group.write", "object": "unbound"}  # it would make VMs by that hand
    stranger = vm_named(m, admin, "h-found")
    for answer in (homer.call("POST", f"/vms/{stranger}/adopt"), homer.call("POST", "/vms/batch", {"verb": "adopt", "ids": [stranger]})):
        assert refused(answer, 403, "forbidden")["params"] == {"permission": "group.write", "object": stranger}
    done(admin.call("POST", f"{GROUPS}/{below}/take", {"vms": [stranger]}))
    refused(homer.call("POST", f"/vms/{stranger}/adopt"), 409, "quota_exceeded")  # it is asked for as a new one is
    vm = items(admin, "/vms", 'name="h-1"')[0]["id"]
    for method, verb, body in (("POST", "detach_disk", {"key": "disk-0"}), ("DELETE", "delete", {"how": "bin"}), ("DELETE", "delete", {"how": "forget"})):
        path = f"/vms/{vm}" if method == "DELETE" else f"/vms/{vm}/{verb}"
        for answer in (homer.call(method, path, body), homer.call("POST", "/vms/batch", {"verb": verb, "ids": [vm], "args": body})):
            assert refused(answer, 403, "forbidden")["params"] == {"permission": "volume.write", "object": vm}, verb  # what it lets go counts for nobody
    refused(homer.call("POST", f"/vms/{vm}/detach_disk", {"key": "disk-9", "volume": "bin"}), 404, "not_found")
    ended(homer, homer.call("DELETE", f"/vms/{vm}"))
    done(admin.call("PATCH", f"/roles/{role}", {"permissions": ["vm.*", "group.read", "user.write", "task.read", "volume.write"]}))  # such a one may have disks without a VM anyway
    other = items(admin, "/vms", 'name="h-2"')[0]["id"]
    ended(homer, homer.call("DELETE", f"/vms/{other}", {"how": "forget"}))
    refused(admin.call("DELETE", f"{GROUPS}/{home}"), 409, "group_not_empty")
    empty = group(admin, "whose users remain")
    done(admin.call("PATCH", f"/users/{user}", {"group": empty}))
    refused(admin.call("DELETE", f"{GROUPS}/{empty}"), 409, "in_use")  # else they would be free of it
    done(admin.call("PATCH", f"/users/{user}", {"group": home}))
    done(admin.call("PATCH", f"/roles/{role}", {"permissions": ["vm.*", "group.*", "task.read"]}))  # who may keep groups chooses
    ended(homer, homer.call("POST", "/vms", {"name": "h-4", "memory_bytes": 64 << 20}))
    assert "group" not in items(admin, "/vms", 'name="h-4"')[0]


def first_boot_settings_are_not_shown_again(m, admin):
    settings = {"hostname": "shown", "password": "hidden word", "user_data": "#cloud-config\nchpasswd: {list: ['root:hidden too']}\n"}
    vm = vm_of_ours(admin, "booted", cloud_init=settings)
    shown = done(admin.call("GET", f"/vms/{vm}"))["cloud_init"]
    assert shown["hostname"] == "shown" and not {"password", "user_data"} & set(shown), shown
    ended(admin, admin.call("PATCH", f"/vms/{vm}", {"cloud_init": {"hostname": "changed", "user_data": "#!/bin/sh\n# hidden in a patch\n"}, "description": "seen"}))
    status, task, _ = admin.call("POST", "/vms/batch", {"verb": "set_password", "ids": [vm], "args": {"user": "root", "password": "hidden in a batch"}})
    assert status == 202, task
    assert "hidden" not in str(done(admin.call("GET", f"/vms/{vm}")))
    tasks = done(admin.call("GET", "/tasks?limit=1000"))["items"] + done(admin.call("GET", "/ended-tasks?limit=1000"))["items"]
    for task in tasks:
        assert "hidden" not in str(task), task
    asked = [task.get("request") for task in tasks]
    assert {"patch": {"cloud_init": {"hostname": "changed"}, "description": "seen"}} in asked, asked  # the rest of it is told
    assert [one["args"] for one in asked if one and one.get("verb") == "set_password"] == [{"user": "root"}], asked


def what_nics_are_for_is_kept_and_judged(m, admin):
    host = done(admin.call("GET", "/hosts"))["items"][0]["id"]
    refused(admin.call("PATCH", f"/hosts/{host}", {"nic_roles": [{"nic": "a", "roles": ["storage"]}, {"nic": "a", "roles": []}]}), 400, "bad_value")
    refused(admin.call("PATCH", f"/hosts/{host}", {"nic_roles": [{"nic": "a", "roles": ["fun"]}]}), 400, "bad_value")
    now = done(admin.call("PATCH", f"/hosts/{host}", {"nic_roles": [{"nic": "ghost", "roles": ["storage"]}]}))
    assert [(w["rule"], w["role"], w.get("nic")) for w in now["nic_warnings"]] == [("absent", "storage", "ghost"), ("one_port", "storage", None)], now
    lines = {line["check"]: line for line in done(admin.call("GET", f"/hosts/{host}/check"))["lines"]}
    assert lines["storage_nics"]["state"] == "warn" and lines["storage_nics"]["advice"], lines
    assert "management_nics" not in lines
    assert not done(admin.call("PATCH", f"/hosts/{host}", {"nic_roles": []}))["nic_warnings"]


def found_vms_are_ignored_in_one_batch(m, admin):
    ids = [vm_named(m, admin, name) for name in ("guest-1", "guest-2")]
    body = {"verb": "ignore", "ids": ids}
    dry = done(admin.call("POST", "/vms/batch?dry_run=true", body))
    assert [r["id"] for r in dry["results"]] == ids and not any("error" in r for r in dry["results"]), dry
    assert {done(admin.call("GET", f"/vms/{id_}"))["management"] for id_ in ids} == {"found"}
    assert done(admin.call("POST", "/vms/batch", body)) == {"results": [{"id": id_} for id_ in ids]}
    assert {done(admin.call("GET", f"/vms/{id_}"))["management"] for id_ in ids} == {"ignored"}
    again = done(admin.call("POST", "/vms/batch", {"verb": "ignore", "ids": [*ids, "vm-999999"]}))["results"]
    assert [r["error"]["code"] for r in again] == ["wrong_state", "wrong_state", "not_found"], again
    assert [r["result"] for r in items(admin, "/audit-records", f"operation=vm_ignore and object={ids[0]}")] == ["refused", "done"]


def a_dry_batch_of_tasks_asks_for_each(m, admin):
    """One that is not there, one that is not ours, and none is changed."""
    id_ = vm_named(m, admin, "guest-3")
    dry = done(admin.call("POST", "/vms/batch?dry_run=true", {"verb": "start", "ids": [id_, "vm-999999"]}))
    assert [r["error"]["code"] for r in dry["results"]] == ["wrong_state", "not_found"] and dry["steps"] == [], dry
    for path, query in (("/tasks", f"target={id_}"), ("/audit-records", f"object={id_}")):
        assert not items(admin, path, query), items(admin, path, query)


TESTS = [groups_lie_in_groups, group_does_not_come_into_itself, groups_have_an_end, names_differ_among_siblings, vms_move_together_or_not_at_all,
         group_with_something_in_it_stays, groups_need_their_right,
         quota_is_counted_over_all_below, vms_are_taken_in_as_far_as_the_quota_goes, group_moves_under_a_quota_that_has_room,
         quota_is_for_whoever_may_write_groups, vms_are_made_in_the_group_of_whoever_makes_them, first_boot_settings_are_not_shown_again,
         what_nics_are_for_is_kept_and_judged,
         found_vms_are_ignored_in_one_batch, a_dry_batch_of_tasks_asks_for_each]


def main():
    print(f"1..{len(TESTS)}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="ws-groups-") as folder:
        data = os.path.join(folder, "data")
        os.mkdir(data, 0o700)
        site = Living(os.path.abspath(sys.argv[1]), data)
        try:
            site.start()
            with open(os.path.join(data, "initial-password"), encoding="ascii") as file:
                admin = center.Client(site).login("admin", file.read().strip())
            for number, test in enumerate(TESTS, 1):
                try:
                    test(site, admin)
                    print(f"ok {number} - {test.__name__}", flush=True)
                except Exception:
                    failed += 1
                    print(f"not ok {number} - {test.__name__}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
        finally:
            site.stop()
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
