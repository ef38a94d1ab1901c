#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The doors that stand open to strangers: what they may do there, how often, and what it leaves behind. A real wincenterd on loopback, whose addresses
127.0.0.x play the world. Prints TAP.

usage: center-strangers.py WINCENTERD WINCTL
"""
import http.client
import importlib.util
import json
import os
import sqlite3
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

FLOOD, CONNECTIONS, NAMES = 20000, 8, 40
LONG = ("--login-window", "86400")  # so long that none of it passes while a slow machine is at a test


def at(w, address, token=None):
    """A client at that address."""
    client = center.Client(w.m, token)
    client.source = (address, 0)
    return client


def log_in(client, name, password, **headers):
    return client.call("POST", "/sessions", {"user_name": name, "password": password}, **headers)


def throttled(answer, code="login_throttled"):
    status, body, head = answer
    assert (status, body["code"]) == (429, code), answer
    assert head["retry-after"] == body["params"]["seconds"] and 1 <= int(head["retry-after"]) <= 86400, answer
    assert body["hint"], body
    return int(head["retry-after"])


def failed(answer):
    assert (answer[0], answer[1]["code"]) == (401, "login_failed"), answer


def wait_for(what, condition):
    end = time.monotonic() + center.DEADLINE_S
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} does not come")


def number(record):
    return int(record["id"][6:])


def records(w, **wanted):
    """Of the whole audit log, oldest first. Its pages are short, so that a log of any length has many of them: what is wrong with reading on
    does not wait for a machine that is fast enough to fill a long one."""
    items = sorted(w.admin.items("/audit-records", 50), key=number)
    return [r for r in items if all(r.get(k) == v for k, v in wanted.items())]


class World:
    def __init__(self, m):
        self.m, self.admin = m, center.Client(m).login("admin", m.password)

    def again(self, *more):
        """Another life of the manager: nothing of what was counted is left."""
        self.m.stop()
        self.m.more = list(more)
        self.m.start()

    def user(self, name):
        status, body, _ = self.admin.call("POST", "/users", {"name": name, "password": f"{name}'s word"})
        assert status == 201, body
        return body["id"]


# ---- tests ----

def wrong_passwords_close_the_account_there_and_nowhere_else(w):
    w.user("ann")
    for _ in range(5):
        failed(log_in(at(w, "127.0.0.2"), "ann", "a guess"))
    assert throttled(log_in(at(w, "127.0.0.2"), "ann", "a guess")) <= 86400 / 5
    throttled(log_in(at(w, "127.0.0.2"), "ann", "ann's word"))  # not even looked at
    assert log_in(at(w, "127.0.0.3"), "ann", "ann's word")[0] == 201
    failed(log_in(at(w, "127.0.0.2"), "nobody here", "a guess"))  # others there are not touched
    answer = log_in(at(w, "127.0.0.2"), "ann", "a guess", Accept_Language="zh")
    assert "登录失败次数过多" in answer[1]["message"], answer


def right_password_wipes_out_what_was_mistyped(w):
    w.user("ben")
    for _ in range(3):
        for _ in range(4):
            failed(log_in(at(w, "127.0.0.4"), "ben", "mistyped"))
        assert log_in(at(w, "127.0.0.4"), "ben", "ben's word")[0] == 201


def dry_run_of_a_login_is_a_try_and_leaves_a_record(w):
    w.user("cho")
    for _ in range(5):
        failed(at(w, "127.0.0.5").call("POST", "/sessions?dry_run=true", {"user_name": "cho", "password": "a guess"}))
    throttled(at(w, "127.0.0.5").call("POST", "/sessions?dry_run=true", {"user_name": "cho", "password": "cho's word"}))
    assert records(w, address="127.0.0.5", error="login_failed")


def many_at_once_are_no_more_tries_than_one_by_one(w):
    w.user("dan")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(log_in(at(w, "127.0.0.6"), "dan", "a guess")[1]["code"])) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (answers.count("login_failed"), answers.count("login_throttled")) == (5, 25), answers
    w.m.stop()  # with that what failed is written to its user, which else comes seconds later
    w.m.start()
    user = w.admin.call("GET", "/users?filter=name=dan")[1]["items"][0]
    assert user["failures"] == 5 and user["last_failure"], user  # those that nobody looked at are not in it


def login_that_fits_ends_what_failed_before(w):
    w.user("dee")
    for _ in range(3):
        failed(log_in(at(w, "127.0.0.16"), "dee", "mistyped"))
    assert log_in(at(w, "127.0.0.16"), "dee", "dee's word")[0] == 201
    w.m.stop()
    w.m.start()
    assert w.admin.call("GET", "/users?filter=name=dee")[1]["items"][0]["failures"] == 0


def failed_logins_are_recorded_alike_whoever_they_name(w):
    """A record of its own is written before the answer, which takes its time: the first has one, whether there is such a user or not."""
    user = w.user("des")
    failed(log_in(at(w, "127.0.0.17"), "no such user", "a guess"))
    for _ in range(2):
        failed(log_in(at(w, "127.0.0.17"), "des", "a guess"))
    w.again(*LONG)
    found = [(r.get("object"), r.get("count")) for r in records(w, address="127.0.0.17", error="login_failed")]
    assert found == [(None, None), (user, 2)], found


def spraying_closes_the_address_but_not_to_those_it_knows(w):
    w.again(*LONG)
    w.user("eve")
    w.user("fay")
    assert log_in(at(w, "127.0.0.7"), "eve", "eve's word")[0] == 201
    for i in range(100):
        failed(log_in(at(w, "127.0.0.7"), f"sprayed-{i}", "a guess"))
    throttled(log_in(at(w, "127.0.0.7"), "sprayed-x", "a guess"))
    throttled(log_in(at(w, "127.0.0.7"), "fay", "fay's word"))
    throttled(log_in(at(w, "127.0.0.7"), "eve", "a guess"))  # as all the others are told
    assert log_in(at(w, "127.0.0.7"), "eve", "eve's word")[0] == 201
    for _ in range(6):  # and for as long, though its own time is five times that
        assert throttled(log_in(at(w, "127.0.0.7"), "eve", "a guess")) <= 86400 / 100
    assert log_in(at(w, "127.0.0.8"), "fay", "fay's word")[0] == 201
    assert at(w, "127.0.0.7", w.admin.token).call("GET", "/whoami")[0] == 200  # who is logged in does not notice


def nothing_of_it_outlives_the_manager(w):
    failed(log_in(at(w, "127.0.0.20"), "ann", "a guess"))
    w.again(*LONG)
    failed(log_in(at(w, "127.0.0.2"), "ann", "a guess"))
    assert log_in(at(w, "127.0.0.2"), "ann", "ann's word")[0] == 201


def refused_calls_are_bounded_by_address_and_right_ones_are_served(w):
    w.again("--address-refusals", "50", *LONG)
    there = at(w, "127.0.0.9")
    for path in ("/vms", "/whoami") * 25:
        assert there.call("GET", path)[0] == 401
    throttled(there.call("GET", "/vms"), "too_many_refusals")
    throttled(there.call("POST", "/enrol", {"token": "wsj_x", "csr": "x", "hostname": "x"}), "too_many_refusals")
    assert at(w, "127.0.0.9", w.admin.token).call("GET", "/vms")[0] == 200
    assert there.call("GET", "/health")[0] == 200 and there.call("GET", "/identity-providers/choices")[0] == 200
    assert log_in(there, "ann", "ann's word")[0] == 201
    assert at(w, "127.0.0.10").call("GET", "/vms")[0] == 401
    token = w.admin.call("POST", "/join-tokens", {"minutes": 10})[1]["token"]
    status, body, _ = there.call("POST", "/enrol?dry_run=true", {"token": token, "csr": "x", "hostname": "x"})
    assert status == 200, body  # a right join token is one wherever it comes from


def mistake_of_somebody_logged_in_is_no_strangers(w):
    w.again("--address-refusals", "5", *LONG)
    there = at(w, "127.0.0.18", w.admin.token)
    for _ in range(10):
        status, body, _ = there.call("PATCH", "/roles/role-1", {}, If_Match="nonsense")
        assert (status, body["field"]) == (400, "If-Match"), (status, body)
    assert [r["user"] for r in records(w, address="127.0.0.18")] == ["admin"] * 10
    stranger = at(w, "127.0.0.18")
    for _ in range(5):
        assert stranger.call("PATCH", "/roles/role-1", {}, If_Match="nonsense")[0] == 401
    throttled(stranger.call("PATCH", "/roles/role-1", {}, If_Match="nonsense"), "too_many_refusals")
    status, body, _ = stranger.call("POST", "/enrol", {})
    assert (status, body["code"]) == (400, "required"), body  # what is wrong with a call is said all the same


def refused_calls_alike_are_two_records_and_none_is_lost(w):
    w.again()
    for _ in range(30):
        assert at(w, "127.0.0.11").call("POST", "/vms", {"name": "x"})[0] == 401
    for _ in range(20):
        assert at(w, "127.0.0.11").call("DELETE", "/vms/vm-7")[0] == 401
    for _ in range(10):
        status, body, _ = at(w, "127.0.0.11").call("POST", "/enrol", {"token": "wsj_x", "csr": "x", "hostname": "x"})
        assert (status, body["code"]) == (403, "ticket_invalid"), body
    w.again()  # an orderly end writes down what was counted
    found = records(w, address="127.0.0.11")
    sums = {}
    for record in found:
        assert record["user"] == "nobody" and record["result"] == "refused", record
        sums.setdefault(record["operation"], []).append(record.get("count", 1))
    assert sums == {"vm_create": [1, 29], "vm_delete": [1, 19], "enrol": [1, 9]}, sums
    assert w.admin.call("POST", "/audit-records/verify", {})[0] == 200
    w.m.stop()
    done = subprocess.run([w.m.program, "--verify-audit", "--data-dir", w.m.data], capture_output=True, text=True, timeout=center.DEADLINE_S, check=False)
    assert done.returncode == 0, done.stderr
    w.m.start()


def refusal_that_cannot_be_recorded_is_counted_until_one_can(w):
    w.again()
    db = sqlite3.connect(os.path.join(w.m.data, "winsphere.db"), timeout=center.DEADLINE_S, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")  # nobody else can write
    for _ in range(30):
        assert at(w, "127.0.0.21").call("POST", "/vms", {"name": "x"})[0] == 401
    db.execute("ROLLBACK")
    db.close()
    for _ in range(10):
        assert at(w, "127.0.0.21").call("POST", "/vms", {"name": "x"})[0] == 401
    w.again()
    counts = [r.get("count", 1) for r in records(w, address="127.0.0.21", operation="vm_create")]
    assert sum(counts) == 40, counts


def body_of_a_stranger_is_small(w):
    big = json.dumps({"user_name": "x", "password": "x" * 100000})
    assert at(w, "127.0.0.12").raw("POST", "/sessions", big)[0] == 413
    status, body, _ = w.admin.call("POST", "/roles", {"name": "x" * 100000})
    assert status == 400 and body["code"] != "too_large", body


def attack_is_an_alarm_that_ends_by_itself(w):
    w.again("--login-window", "30", "--address-failures", "20")
    user = w.user("gil")
    there = at(w, "127.0.0.13")
    alarms = lambda: sorted(a.get("object", "") for a in w.admin.call("GET", "/alarms?limit=1000")[1]["items"] if a["kind"] == "login_attack")

    def hammer():
        for _ in range(30):
            log_in(there, "gil", "a guess")
        return alarms() == ["", user]
    wait_for("the alarm", hammer)
    texts = [e["text"] for e in w.admin.call("GET", "/events?limit=200")[1]["items"]]
    assert "login_attack_account" in texts and "login_attack_address" in texts, texts
    assert log_in(at(w, "127.0.0.14"), "gil", "gil's word")[0] == 201
    wait_for("the end of it", lambda: not alarms())
    w.again(*LONG, "--address-failures", "20")
    for _ in range(30):
        log_in(there, "gil", "a guess")
    wait_for("the alarm", lambda: len(alarms()) == 2)
    w.again()
    wait_for("the end of one that a restart cut short", lambda: not alarms())


def flood(w, address, n, answers):
    """Failed logins over one connection."""
    connection = http.client.HTTPSConnection("127.0.0.1", w.m.port, context=w.m.context(), timeout=center.DEADLINE_S, source_address=(address, 0))
    for i in range(n):
        name = "admin" if i % 2 else f"name-{i % NAMES}"
        connection.request("POST", "/api/v1/sessions", json.dumps({"user_name": name, "password": "a guess"}), {"content-type": "application/json"})
        answer = connection.getresponse()
        code = json.loads(answer.read())["code"]
        answers[code] = answers.get(code, 0) + 1
    connection.close()


def flood_of_failed_logins_leaves_little_and_the_administrator_works_on(w):
    w.again(*LONG)
    before, admin, began_at = number(records(w)[-1]), center.Client(w.m, w.admin.token), time.monotonic()
    answers = [{} for _ in range(CONNECTIONS)]
    threads = [threading.Thread(target=flood, args=(w, f"127.0.1.{i % 2 + 1}", FLOOD // CONNECTIONS, answers[i])) for i in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    calls = slowest = 0
    while any(thread.is_alive() for thread in threads):
        began = time.monotonic()
        status, role, _ = admin.call("POST", "/roles", {"name": f"while-{calls}", "permissions": ["vm.read"]})
        assert status == 201, role
        assert admin.call("GET", "/whoami")[0] == 200
        if calls % 10 == 0:  # a right password gets in, from an address that does nothing wrong
            status, body, _ = log_in(at(w, "127.0.1.9"), "admin", w.m.password)
            assert status == 201, body
        slowest = max(slowest, time.monotonic() - began)
        calls += 1
    for thread in threads:
        thread.join()
    told = {code: sum(a.get(code, 0) for a in answers) for code in {c for a in answers for c in a}}
    assert sum(told.values()) == FLOOD and set(told) <= {"login_failed", "login_throttled", "too_many_requests"}, told
    assert calls > 0 and told["login_failed"] <= 2 * 100 + CONNECTIONS, (calls, told)
    w.again()
    minutes = int(time.monotonic() - began_at) // 60 + 1
    log = records(w)
    strangers = [r for r in log if number(r) > before and r["user"] == "nobody"]
    tries = sum(r.get("count", 1) for r in strangers if r["operation"] == "session_create")
    print(f"# {calls} rounds of the administrator meanwhile, the slowest {slowest:.2f} s; answers {told}; {len(strangers)} records")
    status, whole, _ = w.admin.call("POST", "/audit-records/verify", {})
    assert (status, whole.get("records")) == (200, len(log)), (whole, len(log))  # else what is missing below was not read
    assert tries == FLOOD, (tries, told, strangers)
    # Two addresses, three answers, about the administrator or nobody: each is two records a minute at most.
    assert len(strangers) <= 2 * 3 * 2 * 2 * (minutes + 1), (len(strangers), minutes)


def people_behind_a_proxy_are_told_apart_and_strangers_are_not_believed(w):
    w.again(*LONG, "--trusted-proxy", "127.0.0.64/26")
    w.user("noa")
    for _ in range(5):
        failed(log_in(at(w, "127.0.0.66"), "noa", "a guess", X_Forwarded_For="198.51.100.9, 192.0.2.1"))
    throttled(log_in(at(w, "127.0.0.67"), "noa", "a guess", X_Forwarded_For="192.0.2.1, 127.0.0.66"))
    assert log_in(at(w, "127.0.0.66"), "noa", "noa's word", X_Forwarded_For="192.0.2.2")[0] == 201
    failed(log_in(at(w, "127.0.0.20"), "noa", "a guess", X_Forwarded_For="192.0.2.3"))  # this one is no proxy
    assert records(w, address="192.0.2.1", error="login_failed") and records(w, address="192.0.2.2", operation="session_create")
    assert records(w, address="127.0.0.20", error="login_failed") and not records(w, address="192.0.2.3")
    for bad in ("proxy.example", "127.0.0.64/33"):
        said = subprocess.run([w.m.program, "--data-dir", w.m.data + "-none", "--bind", "127.0.0.1", "--port", "0", "--trusted-proxy", bad],
                              capture_output=True, text=True, timeout=center.DEADLINE_S, check=False)
        assert said.returncode != 0 and "trusted_proxies" in said.stderr and bad in said.stderr, said
    w.again(*LONG)


def winctl_says_what_to_do(w):
    w.again(*LONG)
    w.user("hal")
    with tempfile.TemporaryDirectory(prefix="ws-strangers-cli-") as home:
        environment = dict(os.environ, WINCTL_CONFIG=os.path.join(home, "winctl.json"))

        def login(*more):
            return subprocess.run([w.m.winctl, "login", f"https://127.0.0.1:{w.m.port}", "--user", "hal", "--ca", os.path.join(w.m.data, "ca.crt"),
                                   "--password-stdin", *more], input="a guess", text=True, capture_output=True, env=environment, check=False)
        for _ in range(5):
            assert "User name or password is wrong" in login().stderr
        done = login()
        assert done.returncode != 0 and "the next one is looked at in" in done.stderr and "Wait, check user name" in done.stderr, done.stderr
        assert "登录失败次数过多" in login("--lang", "zh").stderr


def no_other_door_is_open(w):
    """Whoever opens one says in center/auth/strangers.h what bounds it."""
    contract = w.admin.call("GET", "/openapi.json")[1]
    found = {f"{method.upper()} {path}" for path, methods in contract["paths"].items() for method, route in methods.items()
             if isinstance(route, dict) and route.get("x-permission") in ("public", "host-certificate")}
    assert found == {"POST /sessions", "POST /sessions/start_oidc", "POST /sessions/finish_oidc", "POST /enrol", "GET /console", "GET /agent",
                     "GET /agent/stream", "GET /identity-providers/choices", "GET /openapi.json", "GET /health", "GET /ca"}, found


TESTS = [wrong_passwords_close_the_account_there_and_nowhere_else, right_password_wipes_out_what_was_mistyped,
         dry_run_of_a_login_is_a_try_and_leaves_a_record, many_at_once_are_no_more_tries_than_one_by_one, login_that_fits_ends_what_failed_before,
         failed_logins_are_recorded_alike_whoever_they_name,
         spraying_closes_the_address_but_not_to_those_it_knows, nothing_of_it_outlives_the_manager,
         refused_calls_are_bounded_by_address_and_right_ones_are_served, mistake_of_somebody_logged_in_is_no_strangers,
         refused_calls_alike_are_two_records_and_none_is_lost, refusal_that_cannot_be_recorded_is_counted_until_one_can,
         body_of_a_stranger_is_small, people_behind_a_proxy_are_told_apart_and_strangers_are_not_believed, attack_is_an_alarm_that_ends_by_itself, flood_of_failed_logins_leaves_little_and_the_administrator_works_on,
         winctl_says_what_to_do, no_other_door_is_open]


def main():
    print(f"1..{len(TESTS)}", flush=True)
    failures = 0
    with tempfile.TemporaryDirectory(prefix="ws-strangers-") as folder:
        m = center.Manager(os.path.abspath(sys.argv[1]), os.path.join(folder, "data"))
        m.winctl = os.path.abspath(sys.argv[2])
        os.mkdir(m.data, 0o700)
        m.more = list(LONG)
        m.start()
        try:
            with open(os.path.join(m.data, "initial-password"), encoding="ascii") as file:
                m.password = file.read().strip()
            w = World(m)
            for i, test in enumerate(TESTS):
                try:
                    test(w)
                    print(f"ok {i + 1} - {test.__name__}", flush=True)
                except Exception as error:  # each failure is one line of TAP, and the next test runs
                    failures += 1
                    print(f"not ok {i + 1} - {test.__name__}\n# {type(error).__name__}: {str(error)[:1500]}", flush=True)
                    if m.process.poll() is not None:
                        m.start()
        finally:
            m.stop()
    return failures


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
