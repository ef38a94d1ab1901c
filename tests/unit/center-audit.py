#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The audit log proves itself: a real wincenterd, whose database this program tampers with. Prints TAP.

usage: center-audit.py WINCENTERD WINCTL CLOCK_SHIFT_LIBRARY
"""
import hashlib
import importlib.util
import json
import os
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("center_api", os.path.join(HERE, "center-api.py"))
center = importlib.util.module_from_spec(spec)
spec.loader.exec_module(center)
NO_CHECK_TIME = 0x200000  # OpenSSL's X509_V_FLAG_NO_CHECK_TIME
RISKS, RESULTS = ("low", "medium", "high"), ("done", "accepted", "refused", "failed")


class Manager(center.Manager):
    """May live at another time than this program."""

    def context(self):
        context = super().context()
        context.verify_flags |= NO_CHECK_TIME
        return context

    def database(self):
        return sqlite3.connect(os.path.join(self.data, "winsphere.db"), timeout=center.DEADLINE_S)

    def change(self, sql, *values):
        """Behind the manager's back."""
        with self.database() as db:
            return db.execute(sql, values).rowcount

    def records(self):
        """All of them, oldest first."""
        with self.database() as db:
            return [dict(json.loads(body), id=f"audit-{id_}") for id_, body in db.execute('SELECT id, body FROM "audit-records" ORDER BY id')]


def chain_of(previous, r):
    """As the documentation says it, written a second time."""
    words = [previous, r["time"]] + [r.get(key, "") for key in ("user", "address", "operation", "object", "object_name", "kind", "error",
                                                                "task", "detail", "request_id")]
    words += [str(RISKS.index(r["risk"]) + 1), str(RESULTS.index(r["result"]) + 1)]
    words += [str(r["count"])] if "count" in r else []
    return hashlib.sha256("\x1f".join(words).encode()).hexdigest()


def make(admin, n, name):
    for i in range(n):
        status, body, _ = admin.call("POST", "/roles", {"name": f"{name}-{i}", "permissions": []})
        assert status in (201, 409), body


def verify(admin, **body):
    status, answer, _ = admin.call("POST", "/audit-records/verify", body)
    return answer if status == 200 else (status, answer["code"], answer["params"].get("object"))


def offline(m):
    done = subprocess.run([m.program, "--verify-audit", "--data-dir", m.data], capture_output=True, text=True, timeout=center.DEADLINE_S,
                          check=False)
    return done.returncode, done.stdout + done.stderr


# ---- tests: each gets the manager and a logged-in administrator ----

def chain_is_what_the_documentation_says(m, admin):
    make(admin, 20, "plain")
    answer = verify(admin)
    rows = m.records()
    previous = ""
    for row in rows:
        assert row["chain"] == chain_of(previous, row), row
        previous = row["chain"]
    # Its own record came after it.
    assert (answer["records"], answer["newest"], answer["chain"]) == (len(rows) - 1, rows[-2]["id"], rows[-2]["chain"]), answer


def chain_stays_whole_when_many_write_and_half_are_refused(m, admin):
    failures = []

    def worker():
        try:
            client = center.Client(m, admin.token)
            for i in range(40):
                client.call("POST", "/roles", {"name": f"same-{i}", "permissions": []})
                client.call("POST", "/roles", {"name": "bad", "nonsense": 1})
        except Exception as error:
            failures.append(error)
    threads = [threading.Thread(target=worker) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    answer = verify(admin)
    assert isinstance(answer, dict) and answer["records"] >= 8 * 80, answer


def refused_without_the_right_and_half_an_anchor(m, admin):
    role = admin.call("POST", "/roles", {"name": "no audit", "permissions": ["vm.*"]})[1]["id"]
    admin.call("POST", "/users", {"name": "blind", "password": "blind's word", "roles": [role]})
    blind = center.Client(m).login("blind", "blind's word")
    assert verify(blind)[:2] == (403, "forbidden"), verify(blind)
    assert verify(admin, record="audit-3")[:2] == (400, "required")


def winctl_verifies_by_the_short_name(m, admin):
    with tempfile.TemporaryDirectory(prefix="ws-audit-cli-") as home:
        environment = dict(os.environ, WINCTL_CONFIG=os.path.join(home, "winctl.json"))
        login = [m.winctl, "login", f"https://127.0.0.1:{m.port}", "--user", "admin", "--ca", os.path.join(m.data, "ca.crt"), "--password-stdin"]
        subprocess.run(login, input=m.password, text=True, check=True, capture_output=True, env=environment)
        done = subprocess.run([m.winctl, "audit", "verify", "-o", "json"], capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0 and json.loads(done.stdout)["records"] > 0, (done.stdout, done.stderr)


def changed_record_is_named(m, admin):
    rows = m.records()
    victim = rows[len(rows) // 2]
    number = int(victim["id"][6:])
    before = json.dumps(victim)
    assert m.change('UPDATE "audit-records" SET body = json_set(body, \'$.user\', \'somebody\') WHERE id = ?', number) == 1
    assert verify(admin) == (409, "audit_broken", victim["id"]), verify(admin)
    assert "audit_broken" in [a["kind"] for a in admin.call("GET", "/alarms")[1]["items"]]
    m.stop()
    status, words = offline(m)
    assert status == 1 and victim["id"] in words, words
    m.change('UPDATE "audit-records" SET body = json_set(body, \'$.user\', ?) WHERE id = ?', victim["user"], number)
    status, words = offline(m)
    assert status == 0 and "records from" in words, words
    m.start()
    assert isinstance(verify(admin), dict), (verify(admin), before)
    assert "audit_broken" not in [a["kind"] for a in admin.call("GET", "/alarms")[1]["items"]]


def removed_record_is_missed(m, admin):
    rows = m.records()
    m.stop()
    with m.database() as db:
        for gone, named in ((0, 1), (5, 6)):
            number = int(rows[gone]["id"][6:])
            kept = db.execute('SELECT * FROM "audit-records" WHERE id = ?', (number,)).fetchone()
            db.execute('DELETE FROM "audit-records" WHERE id = ?', (number,))
            db.commit()
            status, words = offline(m)
            assert status == 1 and f"at {rows[named]['id']}" in words, words
            db.execute(f'INSERT INTO "audit-records" VALUES ({",".join("?" * len(kept))})', kept)
            db.commit()
    m.start()
    assert isinstance(verify(admin), dict), verify(admin)


def newest_record_is_missed_by_the_manager_that_wrote_it(m, admin):
    make(admin, 3, "tail")
    newest = m.records()[-1]
    with m.database() as db:
        kept = db.execute('SELECT * FROM "audit-records" WHERE id = ?', (int(newest["id"][6:]),)).fetchone()
        db.execute('DELETE FROM "audit-records" WHERE id = ?', (kept[0],))
        db.commit()
        assert verify(admin)[:2] == (409, "audit_broken"), verify(admin)
        db.execute(f'INSERT INTO "audit-records" VALUES ({",".join("?" * len(kept))})', kept)
        db.commit()
    assert isinstance(verify(admin), dict), verify(admin)


def chain_written_anew_does_not_match_what_was_noted(m, admin):
    noted = verify(admin)
    good = {"record": noted["newest"], "chain": noted["chain"]}
    assert isinstance(verify(admin, **good), dict)
    m.stop()
    previous = ""
    for number, row in enumerate(m.records()):  # what a patient forger would do
        row["user"] = "innocent" if number == 3 else row.get("user", "")
        previous = chain_of(previous, row)
        m.change('UPDATE "audit-records" SET body = json_set(body, \'$.user\', ?, \'$.chain\', ?) WHERE id = ?', row["user"], previous,
                 int(row["id"][6:]))
    m.start()
    assert isinstance(verify(admin), dict), "the chain by itself cannot tell"
    assert verify(admin, **good) == (409, "audit_broken", noted["newest"])


def retention_takes_the_beginning_and_the_rest_proves_itself(m, admin):
    noted = verify(admin)
    make(admin, 700, "many")  # more than one portion
    before = m.records()
    clock = os.path.join(m.data, "..", "clock")
    with open(clock, "wb") as file:
        file.write(struct.pack("=q", 3 * 86400))
    m.stop()
    m.more = ["--audit-days", "1", "--host-cert-life", "10"]  # that life makes it look each half second
    m.start(env=dict(os.environ, LD_PRELOAD=m.library, CLOCK_SHIFT_FILE=clock))
    late = center.Client(m).login("admin", m.password)
    end = time.monotonic() + center.DEADLINE_S
    while time.monotonic() < end and any(row["id"] == before[0]["id"] for row in m.records()):
        time.sleep(0.05)
    rows = m.records()
    assert rows[0]["time"] >= before[-1]["time"], (rows[0], before[-1])
    # The newest of all always stays, so a second cut may follow once that is another.
    cut = [row for row in m.records() if row["operation"] == "audit_expire"]
    assert 1 <= len(cut) <= 2 and all(row["user"] == "system" for row in cut), cut
    answer = verify(late)
    cut = [row for row in m.records() if row["operation"] == "audit_expire"][-1:]
    assert isinstance(answer, dict) and answer["expired"] in [row["detail"].split()[1] for row in cut], answer
    assert isinstance(verify(late, record=noted["newest"], chain=noted["chain"]), dict)
    # The cut cannot be moved without a trace.
    m.change('UPDATE "audit-records" SET body = json_set(body, \'$.detail\', ?) WHERE id = ?', cut[0]["detail"].replace("chain ", "chain 0"),
             int(cut[0]["id"][6:]))
    assert verify(late)[:2] == (409, "audit_broken"), verify(late)
    m.change('UPDATE "audit-records" SET body = json_set(body, \'$.detail\', ?) WHERE id = ?', cut[0]["detail"], int(cut[0]["id"][6:]))
    m.stop()
    status, words = offline(m)
    assert status == 0, words
    m.start(env=dict(os.environ, LD_PRELOAD=m.library, CLOCK_SHIFT_FILE=clock))
    assert isinstance(verify(late), dict), verify(late)


TESTS = [chain_is_what_the_documentation_says, chain_stays_whole_when_many_write_and_half_are_refused,
         refused_without_the_right_and_half_an_anchor, winctl_verifies_by_the_short_name, changed_record_is_named, removed_record_is_missed,
         newest_record_is_missed_by_the_manager_that_wrote_it, chain_written_anew_does_not_match_what_was_noted,
         retention_takes_the_beginning_and_the_rest_proves_itself]


def main():
    print(f"1..{len(TESTS)}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="ws-audit-") as folder:
        m = Manager(os.path.abspath(sys.argv[1]), os.path.join(folder, "data"))
        m.winctl, m.library = os.path.abspath(sys.argv[2]), os.path.abspath(sys.argv[3])
        os.mkdir(m.data, 0o700)
        m.start()
        try:
            with open(os.path.join(m.data, "initial-password"), encoding="ascii") as file:
                m.password = file.read().strip()
            admin = center.Client(m).login("admin", m.password)
            for i, test in enumerate(TESTS):
                try:
                    test(m, admin)
                    print(f"ok {i + 1} - {test.__name__}", flush=True)
                except Exception as error:  # each failure is one line of TAP, and the next test runs
                    failed += 1
                    print(f"not ok {i + 1} - {test.__name__}\n# {type(error).__name__}: {str(error)[:1500]}", flush=True)
                    if m.process.poll() is not None:
                        m.start()
        finally:
            m.stop()
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
