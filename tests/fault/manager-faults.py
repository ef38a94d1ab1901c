#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The manager on a disk that fails it. Prints TAP.

usage: manager-faults.py WINCENTERD FAIL_NTH.SO

Its first start, cut at each change of a file: by a full disk, by an error, by SIGKILL. Whatever became of it, the next start must come up
with a certificate, a password that lets the administrator in, and an audit log that proves itself. Then the disk that is full while it
serves: it reads on, refuses changes, tells so by an alarm, and goes on when there is room.
"""
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

DEADLINE_S = 200
ENOSPC, EIO = 28, 5
IO_STATUS = 74  # EX_IOERR: a sync failed


class Manager:
    """wincenterd on a directory, with or without faults."""

    def __init__(self, program, preload, top):
        self.program, self.preload, self.top = program, preload, top
        self.data = os.path.join(top, "data")
        self.log = os.path.join(top, "log")
        self.process = None
        self.token = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def start(self, **faults):
        """Returns once it answers (True) or has ended (False)."""
        environment = {**os.environ, "LD_PRELOAD": self.preload, "FAIL_DIR": self.data, "FAIL_COUNT": os.path.join(self.top, "count"),
                       **{name: str(value) for name, value in faults.items()}}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.program, "--data-dir", self.data, "--bind", "127.0.0.1", "--port", str(self.port)],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                return False
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask("GET", "/health")[0] == 200:
                    return True
            time.sleep(0.01)
        raise AssertionError(f"it neither answers nor ends: {self.words()}")

    def words(self):
        """The end of its log."""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()[-1500:]

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(DEADLINE_S)

    def operations(self):
        """How many changes of files there were."""
        try:
            with open(os.path.join(self.top, "count"), encoding="ascii") as file:
                return int(file.read() or 0)
        except FileNotFoundError:
            return 0

    def ask(self, method, path, body=None):
        """(status, JSON)."""
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=DEADLINE_S, context=context)
        head = {"Content-Type": "application/json"}
        if self.token:
            head["Authorization"] = f"Bearer {self.token}"
        with contextlib.closing(connection):
            connection.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), head)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None

    def login(self):
        with open(os.path.join(self.data, "initial-password"), encoding="ascii") as file:
            password = file.read().strip()
        status, answer = self.ask("POST", "/sessions", {"user_name": "admin", "password": password})
        assert status == 201, (status, answer)
        self.token = answer["token"]

    def is_whole(self):
        """Comes up without faults, and is all there."""
        assert self.start(), f"it does not start any more: {self.words()}"
        self.login()
        ssl.create_default_context(cafile=os.path.join(self.data, "ca.crt"))
        left = [name for name in os.listdir(self.data) if ".unfinished-" in name]
        assert not left, f"left behind: {left}"
        self.stop()

    def forget(self):
        """As if it had never been."""
        shutil.rmtree(self.data, ignore_errors=True)
        self.token = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.top, "count"))


def cut_first_start(manager, how, widen):
    """Every operation up to the first answer, later ones ever more sparsely."""
    n, runs = 1, 0
    while True:
        manager.forget()
        came_up = manager.start(FAIL_AT=n, FAIL_HOW=how)
        reached = manager.operations() >= n
        if came_up:
            manager.stop(signal.SIGKILL)
        elif how != "kill":
            assert manager.process.returncode in (1, IO_STATUS), f"operation {n}: status {manager.process.returncode}"
            assert "FATAL" not in manager.words() and "assert" not in manager.words(), manager.words()
        if not reached:
            break
        try:
            manager.is_whole()
        except AssertionError as error:
            raise AssertionError(f"cut at operation {n} ({how}): {error}") from error
        runs += 1
        n += 1 + n // widen
    print(f"# {n - 1} operations, {runs} cut", flush=True)
    assert runs > 10, runs


def first_start_is_cut_by_a_full_disk(manager):
    cut_first_start(manager, ENOSPC, 8)


def first_start_is_cut_by_an_error(manager):
    cut_first_start(manager, EIO, 8)


def first_start_is_cut_by_a_kill(manager):
    cut_first_start(manager, "kill", 12)


def site_that_lost_its_ca_gets_no_new_one(manager):
    """All its hosts trust the old one."""
    manager.forget()
    manager.is_whole()
    os.unlink(os.path.join(manager.data, "ca.crt"))
    assert not manager.start(), "it made a new CA"
    assert "restore it from a backup" in manager.words(), manager.words()
    assert os.path.exists(os.path.join(manager.data, "ca.key")), "it threw the key away"


def wait_for(what, condition):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def full_disk_makes_it_read_only_with_an_alarm(manager):
    full = os.path.join(manager.top, "full")
    manager.forget()
    assert manager.start(FAIL_WHILE=full, FAIL_HOW=ENOSPC), manager.words()
    manager.login()
    kept = {"name": "kept", "password": "a-long-enough-password"}
    assert manager.ask("POST", "/users", kept)[0] == 201

    def alarms():
        return [alarm["kind"] for alarm in manager.ask("GET", "/alarms")[1]["items"]]
    with open(full, "w", encoding="ascii"):
        pass
    status, answer = manager.ask("POST", "/users", {**kept, "name": "refused"})
    assert status == 503 and answer["code"] == "read_only", (status, answer)
    wait_for("the alarm", lambda: "store_read_only" in alarms())
    assert sorted(user["name"] for user in manager.ask("GET", "/users")[1]["items"]) == ["admin", "kept"]
    os.unlink(full)
    wait_for("writing again", lambda: manager.ask("POST", "/users", {**kept, "name": "later"})[0] == 201)
    wait_for("the alarm's end", lambda: "store_read_only" not in alarms())
    manager.stop(signal.SIGKILL)
    manager.token = None
    assert manager.start(), manager.words()
    manager.login()
    assert sorted(user["name"] for user in manager.ask("GET", "/users")[1]["items"]) == ["admin", "kept", "later"]
    manager.stop()


def failing_sync_ends_it_with_status_74_and_loses_nothing(manager):
    manager.forget()
    assert manager.start(), manager.words()
    manager.login()
    names = ["admin"]
    for round_ in range(5):
        manager.stop(signal.SIGKILL)
        manager.token = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(manager.top, "count"))
        assert manager.start(FAIL_AT=10 ** 9, FAIL_HOW=EIO), manager.words()
        manager.login()
        at = manager.operations()
        manager.stop(signal.SIGKILL)
        if not manager.start(FAIL_AT=at + 1 + round_, FAIL_HOW=EIO):
            continue  # it came before the door was open
        with contextlib.suppress(OSError, http.client.HTTPException):
            manager.token = None
            manager.login()
            for i in range(8):
                name = f"user-{round_}-{i}"
                if manager.ask("POST", "/users", {"name": name, "password": "a-long-enough-password"})[0] == 201:
                    names.append(name)
        manager.stop(signal.SIGKILL)
        manager.token = None
        assert manager.start(), manager.words()
        manager.login()
        found = {user["name"] for user in manager.ask("GET", "/users?limit=500")[1]["items"]}
        assert set(names) <= found, set(names) - found
    manager.stop()


TESTS = [first_start_is_cut_by_a_full_disk, first_start_is_cut_by_an_error, first_start_is_cut_by_a_kill, site_that_lost_its_ca_gets_no_new_one,
         full_disk_makes_it_read_only_with_an_alarm, failing_sync_ends_it_with_status_74_and_loses_nothing]


def main():
    print(f"1..{len(TESTS)}", flush=True)
    failed = 0
    for i, test in enumerate(TESTS):
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="ws-fault-", dir=base) as top:
            manager = Manager(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), top)
            start = time.monotonic()
            try:
                test(manager)
                print(f"ok {i + 1} - {test.__name__}", flush=True)
            except Exception as error:  # each failure is one line of TAP, and the next test runs
                failed += 1
                text = str(error).replace("\n", "\n# ")[:2500]
                print(f"not ok {i + 1} - {test.__name__}\n# {type(error).__name__}: {text}", flush=True)
            finally:
                manager.stop(signal.SIGKILL)
            print(f"# {time.monotonic() - start:.1f} s", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
