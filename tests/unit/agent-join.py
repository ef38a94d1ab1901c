#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How a host joins: a real winserverd against a real manager on loopback. No link is made, so no libvirt is needed. Prints TAP.

usage: agent-join.py WINCENTERD WINSERVERD
"""
import ctypes
import importlib.util
import os
import subprocess
import sys
import tempfile
import uuid

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("center_api", os.path.join(HERE, "center-api.py"))
center = importlib.util.module_from_spec(spec)
spec.loader.exec_module(center)


CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000


class Host:
    """A state directory, and what is done with it. Each is a machine of its own, with an id that only its programs see."""

    def __init__(self, program, manager, folder, machine=None):
        self.program, self.manager, self.state = program, manager, folder
        self.machine = machine or f"{folder}.machine-id"
        if not machine:
            with open(self.machine, "w", encoding="ascii") as file:
                file.write(uuid.uuid4().hex + "\n")

    def take_own_machine(self):
        """In the child: mounts that nobody else sees."""
        libc = ctypes.CDLL(None, use_errno=True)
        if (libc.unshare(CLONE_NEWNS) or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None)
                or libc.mount(self.machine.encode(), b"/etc/machine-id", None, MS_BIND, None)):
            raise OSError(ctypes.get_errno(), "an /etc/machine-id of its own")

    def run(self, *options, text=""):
        """(exit status, what it said)."""
        done = subprocess.run([self.program, *options, "--manager", f"https://127.0.0.1:{self.manager.port}", "--state-dir", self.state],
                              preexec_fn=self.take_own_machine, input=text, capture_output=True, text=True, timeout=center.DEADLINE_S, check=False)
        return done.returncode, done.stderr

    def join(self, token):
        return self.run("--join", "-", text=token + "\n")

    def path(self, name):
        return os.path.join(self.state, name)

    def read(self, name):
        with open(self.path(name), encoding="ascii") as file:
            return file.read()

    def has_joined(self):
        return os.path.exists(self.path("host.crt"))


def token_of(admin, **body):
    status, answer, _ = admin.call("POST", "/join-tokens", body)
    assert status == 201, answer
    return answer["token"]


# ---- tests: each gets a host that has not joined, and an administrator ----

def token_on_the_command_line_is_refused(host, admin):
    token = token_of(admin)
    status, words = host.run("--join", token)
    assert status == 2 and "standard input" in words and token not in words, words
    assert not host.has_joined()


def token_by_standard_input_lets_the_host_in(host, admin):
    status, words = host.join(token_of(admin, host_name="joiner"))
    assert status == 0, words
    assert host.has_joined() and os.stat(host.path("host.key")).st_mode & 0o777 == 0o600
    assert admin.call("GET", "/hosts?filter=name=joiner")[1]["total"] == 1


def token_works_once(host, admin):
    token = token_of(admin)
    assert host.join(token)[0] == 0
    os.unlink(host.path("host.crt"))
    status, words = host.join(token)
    assert status == 1 and "used or has expired" in words, words
    assert not host.has_joined()


def token_of_another_site_is_refused_before_anything_is_told(host, admin):
    secret = token_of(admin).split(".")[0]
    status, words = host.join(f"{secret}.{'0' * 64}")
    assert status == 1 and "refused" in words, words
    assert not host.has_joined() and not os.path.exists(host.path("ca.crt"))


def nonsense_and_nothing_are_refused(host, admin):
    for text in ("", "nonsense", "x" * 2000, "wsj_x.y"):
        status, words = host.join(text)
        assert status == 1 and "token" in words, (text, words)
    assert not host.has_joined()


def known_host_comes_back_as_itself(host, admin):
    assert host.join(token_of(admin, host_name="returner"))[0] == 0
    known = admin.call("GET", "/hosts?filter=name=returner")[1]["items"][0]
    first = host.read("host.crt")
    os.unlink(host.path("host.key"))  # its disk is another
    assert host.join(token_of(admin, host=known["id"], host_name="other"))[0] == 0
    now = admin.call("GET", f"/hosts/{known['id']}")[1]
    assert now["name"] == "returner" and now["certificate"]["serial"] != known["certificate"]["serial"], now
    assert host.read("host.crt") != first and admin.call("GET", "/hosts?filter=name=other")[1]["total"] == 0
    events = admin.call("GET", f"/events?filter=text=host_joined_again%20and%20object=%22{known['id']}%22")[1]["items"]
    assert len(events) == 1, events


def machine_that_is_here_is_refused_under_another_name(host, admin):
    assert host.join(token_of(admin, host_name="first"))[0] == 0
    again = Host(host.program, host.manager, host.state + "-again", host.machine)
    status, words = again.join(token_of(admin, host_name="second"))
    assert status == 1 and "as first" in words and not again.has_joined(), words
    assert admin.call("GET", "/hosts?filter=name=second")[1]["total"] == 0


def token_for_a_host_that_went_is_worth_nothing(host, admin):
    assert host.join(token_of(admin, host_name="goer"))[0] == 0
    known = admin.call("GET", "/hosts?filter=name=goer")[1]["items"][0]["id"]
    token = token_of(admin, host=known)
    task = admin.call("DELETE", f"/hosts/{known}", {"force": True})[1]
    while admin.call("GET", f"/tasks/{task['id']}")[1]["state"] != "done":
        pass
    status, words = host.join(token)
    assert status == 1 and "used or has expired" in words, words
    status, body, _ = admin.call("POST", "/join-tokens", {"host": known})
    assert (status, body["code"]) == (400, "bad_reference"), body


TESTS = [known_host_comes_back_as_itself, machine_that_is_here_is_refused_under_another_name, token_for_a_host_that_went_is_worth_nothing, token_on_the_command_line_is_refused, token_by_standard_input_lets_the_host_in, token_works_once,
         token_of_another_site_is_refused_before_anything_is_told, nonsense_and_nothing_are_refused]


def main():
    print(f"1..{len(TESTS)}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="ws-join-") as folder:
        manager = center.Manager(os.path.abspath(sys.argv[1]), os.path.join(folder, "data"))
        os.mkdir(manager.data, 0o700)
        manager.start()
        try:
            with open(os.path.join(manager.data, "initial-password"), encoding="ascii") as file:
                admin = center.Client(manager).login("admin", file.read().strip())
            for i, test in enumerate(TESTS):
                try:
                    test(Host(os.path.abspath(sys.argv[2]), manager, os.path.join(folder, f"host-{i}")), admin)
                    print(f"ok {i + 1} - {test.__name__}", flush=True)
                except Exception as error:  # each failure is one line of TAP, and the next test runs
                    failed += 1
                    print(f"not ok {i + 1} - {test.__name__}\n# {type(error).__name__}: {str(error)[:1500]}", flush=True)
        finally:
            manager.stop()
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
