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


TESTS = [groups_lie_in_groups, group_does_not_come_into_itself, groups_have_an_end, names_differ_among_siblings, vms_move_together_or_not_at_all,
         group_with_something_in_it_stays, groups_need_their_right, what_nics_are_for_is_kept_and_judged]


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
