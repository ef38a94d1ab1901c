#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hosts switched on and off through a BMC: a real wincenterd, ipmitool, and ipmi_sim as the BMC, on loopback. Prints TAP.

usage: center-bmc.py WINCENTERD

The machine behind the BMC is a file with 0 or 1. Hosts are enrolled but never dial in.
"""
import contextlib
import importlib.util
import json
import os
import re
import sqlite3
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("center_estate", os.path.join(HERE, "center-estate.py"))
estate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(estate)
center, made, done, refused, enrol = estate.center, estate.made, estate.done, estate.refused, estate.enrol
sys.path.insert(0, os.path.join(HERE, "../lab/e2e"))
import ipmi_sim  # noqa: E402

PASSWORD = ipmi_sim.PASSWORD
DEADLINE_S = 200

CHASSIS = """#!/bin/sh
# ipmi_sim asks: ADDRESS get|set WHAT [VALUE]. A file `lies` makes it take orders and do nothing.
cd "$(dirname "$0")" || exit 1
shift
case "$1 $2" in
"get power") echo "power:$(cat power)" ;;
"set power") [ -e lies ] || echo "$3" > power ;;
esac
"""


class Bmc(ipmi_sim.IpmiSim):
    """With the power of the machine behind it."""

    def __init__(self):
        super().__init__(CHASSIS)
        self.set(False)

    def is_on(self):
        with open(self.path("power"), encoding="ascii") as file:
            return file.read().strip() == "1"


BMC = Bmc()


def host_with(m, admin, name, **others):
    host = enrol(m, admin, name)
    return done(admin.call("PATCH", f"/hosts/{host['id']}", {"bmc": BMC.settings(**others)}))


def ended(admin, answer):
    status, task, _ = answer
    assert status == 202, (status, task)
    end = time.monotonic() + DEADLINE_S
    while task["state"] in ("queued", "running", "cancelling", "rolling_back"):
        assert time.monotonic() < end, task
        time.sleep(0.1)
        task = done(admin.call("GET", f"/tasks/{task['id']}"))
    return task


def verb(admin, host, word, **body):
    return ended(admin, admin.call("POST", f"/hosts/{host['id']}/{word}", body))


def power(admin, host):
    return done(admin.call("GET", f"/hosts/{host['id']}")).get("power", {})


def failed(task, code):
    assert (task["state"], task["error"]["code"]) == ("failed", code), task
    return task["error"]


# ---- tests ----

def power_is_what_the_bmc_says(m, admin):
    host = host_with(m, admin, "asked")
    for on in (False, True):
        BMC.set(on)
        assert verb(admin, host, "check_power")["state"] == "done"
        now = power(admin, host)
        assert (now["state"], now["source"]) == ("on" if on else "off", "bmc"), now
    rows = done(admin.call("GET", "/hosts?filter=power.state%3Don"))["items"]
    assert host["id"] in [row["id"] for row in rows], rows


def hard_power_off_ends_when_the_power_is_off(m, admin):
    host = host_with(m, admin, "cut")
    BMC.set(True)
    dry = done(admin.call("POST", f"/hosts/{host['id']}/power_off?dry_run=true", {"how": "hard"}))
    assert dry["dry_run"] and len(dry["steps"]) == 2 and BMC.is_on(), dry
    assert verb(admin, host, "power_off", how="hard")["state"] == "done"
    assert not BMC.is_on() and power(admin, host)["state"] == "off"


def orderly_power_off_needs_the_agent(m, admin):
    host = host_with(m, admin, "lost")
    BMC.set(True)
    refused(admin.call("POST", f"/hosts/{host['id']}/power_off", {}), 503, "host_unreachable")
    assert BMC.is_on()


def power_on_waits_for_the_agent_and_says_that_it_did_not_come(m, admin):
    host = host_with(m, admin, "woken")
    BMC.set(False)
    failed(verb(admin, host, "power_on", timeout_s=20), "deadline_exceeded")
    assert BMC.is_on()


def order_that_is_taken_and_not_carried_out_is_no_success(m, admin):
    host = host_with(m, admin, "liar")
    BMC.set(True)
    BMC.write("lies", "")
    try:
        error = failed(verb(admin, host, "power_off", how="hard", timeout_s=20), "power_unchanged")
        assert error["params"]["state"] == "on" and error["params"]["object"] == "liar", error
        assert power(admin, host).get("state") != "off"
        BMC.set(False)
        error = failed(verb(admin, host, "power_on", timeout_s=20), "power_unchanged")
        assert error["params"]["expected"] == "on", error
    finally:
        os.unlink(BMC.path("lies"))


def refusal_says_what_is_wrong(m, admin):
    for name, others, reason in (("bad-password", {"password": "wrong"}, "password"), ("bad-user", {"user": "nobody"}, "password"),
                                 ("bad-suite", {"cipher_suite": 17}, "cipher suite")):
        error = failed(verb(admin, host_with(m, admin, name, **others), "check_power"), "bmc_refused")
        assert reason in error["params"]["reason"] and error["params"]["host"] == name, error


def bmc_that_is_not_there_is_unreachable(m, admin):
    host = host_with(m, admin, "nowhere", port=BMC.port + 1 if BMC.port < 65535 else 1)
    failed(verb(admin, host, "check_power"), "bmc_unreachable")
    host = host_with(m, admin, "no-name", address="bmc.invalid")
    failed(verb(admin, host, "check_power"), "bmc_unreachable")


def without_settings_nothing_begins(m, admin):
    host = enrol(m, admin, "bare")
    for word, body in (("check_power", {}), ("power_off", {"how": "hard"}), ("reboot", {"how": "hard"}), ("power_on", {"how": "bmc"}),
                       ("power_on", {"how": "wake_on_lan"})):
        refused(admin.call("POST", f"/hosts/{host['id']}/{word}", body), 409, "not_allowed")
    for field, value in (("address", "-h"), ("address", "a b"), ("user", "x y"), ("password", "x" * 21), ("cipher_suite", 18)):
        status, body, _ = admin.call("PATCH", f"/hosts/{host['id']}", {"bmc": {"address": "h", field: value}})
        assert status == 400 and field in body["field"], body


def cancel_ends_the_wait(m, admin):
    host = host_with(m, admin, "patient")
    status, task, _ = admin.call("POST", f"/hosts/{host['id']}/power_on", {})
    assert status == 202, task
    admin.call("POST", f"/tasks/{task['id']}/cancel")
    assert ended(admin, (202, task, None))["state"] == "cancelled"


def password_is_told_to_nobody(m, admin):
    host = host_with(m, admin, "discreet")
    assert "password" not in host["bmc"], host
    verb(admin, host, "check_power")
    for plural in ("hosts", "tasks", "audit-records", "events"):
        text = json.dumps(done(admin.call("GET", f"/{plural}?limit=1000")))
        assert PASSWORD not in text, plural
    with open(m.log, encoding="utf-8", errors="replace") as log:
        assert PASSWORD not in log.read()


def files_with(m, word):
    """Names of the files of the data directory that hold these bytes."""
    found = []
    for folder, _, names in os.walk(m.data):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                if word.encode() in file.read():
                    found.append(name)
    return found


def restarted(m, edit=None):
    """The manager again, on the same port, with `edit` done to its database in between."""
    port = m.port
    m.stop()
    if edit:
        edit(os.path.join(m.data, "winsphere.db"))
    m.start(port)


def in_clear(path):
    """The database as a version before secrets were sealed left it."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        rows = db.execute("SELECT id, body FROM hosts WHERE body LIKE '%sealed:1:%'").fetchall()
        assert rows, "no password is sealed"
        for row, body in rows:
            text = body.decode() if isinstance(body, bytes) else body
            text = re.sub('"sealed:1:[^"]*"', json.dumps(PASSWORD), text)
            db.execute("UPDATE hosts SET body = ? WHERE id = ?", (text.encode() if isinstance(body, bytes) else text, row))


def password_is_sealed_on_disk(m, admin):
    host = host_with(m, admin, "sealed")
    key = os.path.join(m.data, "secrets.key")
    assert os.stat(key).st_mode & 0o777 == 0o600, oct(os.stat(key).st_mode)
    assert files_with(m, PASSWORD) == [], files_with(m, PASSWORD)
    restarted(m)
    BMC.set(True)
    assert verb(admin, host, "check_power")["state"] == "done" and power(admin, host)["state"] == "on"


def password_of_an_older_version_is_sealed_when_the_manager_starts(m, admin):
    host = host_with(m, admin, "older")
    restarted(m, in_clear)
    m.stop()  # and what the log of the database held is folded in
    assert files_with(m, PASSWORD) == [], files_with(m, PASSWORD)
    m.start(m.port)
    assert verb(admin, host, "check_power")["state"] == "done"


def user_data_of_an_older_version_is_sealed_when_the_manager_starts(m, admin):
    """That version showed it, and kept it in clear."""
    host, words = enrol(m, admin, "seeded"), "user data of an older version"
    vm = {"name": "seeded", "uuid": "6f1d9a52-6f0c-4c3e-9a53-7b7f0e4a0001", "host": host["id"], "management": "managed", "memory_bytes": 64 << 20,
          "power": {"state": "off"}, "cloud_init": {"hostname": "seeded", "user_data": words}}

    def left_by_it(path):
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.row_factory = sqlite3.Row
            row = dict(db.execute("SELECT * FROM hosts WHERE id = ?", (host["id"].split("-")[1],)).fetchone())
            row["body"] = json.dumps({"id": f"vm-{row['id']}", "revision": json.loads(row["body"])["revision"], **vm})
            names = [column["name"] for column in db.execute("PRAGMA table_info(vms)")]
            db.execute(f"INSERT INTO vms ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", [row[name] for name in names])

    restarted(m, left_by_it)
    m.stop()
    assert files_with(m, words) == [], files_with(m, words)
    m.start(m.port)
    shown = done(admin.call("GET", "/vms?filter=name%3Dseeded"))["items"][0]
    assert shown["cloud_init"]["hostname"] == "seeded" and "user_data" not in shown["cloud_init"], shown


def patch_of_a_task_under_way_is_sealed_on_disk(m, admin):
    """The VM of the test above: its host never comes, so that the task waits."""
    vm = done(admin.call("GET", "/vms?filter=name%3Dseeded"))["items"][0]
    status, task, _ = admin.call("PATCH", f"/vms/{vm['id']}", {"cloud_init": {"user_data": "user data in a patch"}})
    assert status == 202, task
    m.stop()
    assert files_with(m, "user data in a patch") == [], files_with(m, "user data in a patch")
    m.start(m.port)
    now = done(admin.call("GET", f"/tasks/{task['id']}"))
    assert now["state"] == "running" and "failed" not in str(now["steps"]), now  # it is read again


def database_without_its_key_does_not_start_and_says_so(m, admin):
    host = host_with(m, admin, "keyless")
    key, port = os.path.join(m.data, "secrets.key"), m.port
    m.stop()
    os.rename(key, key + ".away")
    run = subprocess.run([m.program, "--data-dir", m.data, "--bind", "127.0.0.1", "--port", "0"], stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert run.returncode != 0 and "secrets.key" in run.stderr and "cannot be read" in run.stderr, run
    assert "damaged" not in run.stderr, run.stderr
    os.rename(key + ".away", key)
    m.start(port)
    assert verb(admin, host, "check_power")["state"] == "done"


center.TESTS = [power_is_what_the_bmc_says, hard_power_off_ends_when_the_power_is_off, orderly_power_off_needs_the_agent,
                power_on_waits_for_the_agent_and_says_that_it_did_not_come, order_that_is_taken_and_not_carried_out_is_no_success,
                refusal_says_what_is_wrong, bmc_that_is_not_there_is_unreachable, without_settings_nothing_begins, cancel_ends_the_wait,
                password_is_told_to_nobody, password_is_sealed_on_disk, password_of_an_older_version_is_sealed_when_the_manager_starts,
                user_data_of_an_older_version_is_sealed_when_the_manager_starts, patch_of_a_task_under_way_is_sealed_on_disk, database_without_its_key_does_not_start_and_says_so]

if __name__ == "__main__":
    try:
        BMC.start()
        result = center.main()
    finally:
        BMC.stop()
    sys.exit(1 if result else 0)
