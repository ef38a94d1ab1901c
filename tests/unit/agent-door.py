#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who may come through the door for host agents: real managers of two sites, real certificates. Prints TAP.

usage: agent-door.py WINCENTERD WINSERVERD
"""
import importlib.util
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True


def load(name):
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), os.path.join(HERE, f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


center, join = load("center-api"), load("agent-join")


class Site:
    """A manager, its administrator, and hosts that joined it."""

    def __init__(self, programs, folder):
        self.programs, self.folder, self.n = programs, folder, 0
        self.manager = center.Manager(programs[0], os.path.join(folder, "data"))
        os.makedirs(self.manager.data, 0o700)
        self.manager.start()
        with open(os.path.join(self.manager.data, "initial-password"), encoding="ascii") as file:
            self.admin = center.Client(self.manager).login("admin", file.read().strip())

    def host(self):
        """A state directory with certificate and key."""
        self.n += 1
        host = join.Host(self.programs[1], self.manager, os.path.join(self.folder, f"host-{self.n}"))
        status, words = host.join(join.token_of(self.admin, host_name=f"host-{self.n}"))
        assert status == 0, words
        return host

    def knock(self, cert=None, key=None, path="/api/v1/agent"):
        """The status of an upgrade with this certificate, or the TLS error's reason."""
        context = self.manager.context()
        if cert:
            context.load_cert_chain(cert, key)
        try:
            with socket.create_connection(("127.0.0.1", self.manager.port), center.DEADLINE_S) as plain:
                with context.wrap_socket(plain, server_hostname="127.0.0.1") as stream:
                    stream.sendall((f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").encode())
                    head = stream.recv(4096)
                    return int(head.split()[1]) if head else "closed"
        except (ssl.SSLError, ConnectionResetError) as error:
            return type(error).__name__

    def state(self, host):
        return self.admin.call("GET", f"/hosts?filter=name=host-{host}")[1]["items"]


def files(host):
    return host.path("host.crt"), host.path("host.key")


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True)


# ---- tests: each gets two sites ----

def certificate_of_the_site_opens_the_door(ours, theirs):
    assert ours.knock(*files(ours.host())) == 101


def nobody_comes_without_one(ours, theirs):
    assert ours.knock() == 403
    assert ours.knock(path="/api/v1/agent/stream?stream=" + "x" * 32) == 403


def another_sites_certificate_is_refused(ours, theirs):
    host, stranger = ours.host(), theirs.host()
    assert theirs.knock(*files(stranger)) == 101, "it is not good at all"
    # The name in it is that of a host that we have too.
    assert ours.knock(*files(stranger)) in (403, "SSLError", "SSLCertVerificationError", "ConnectionResetError", "closed")
    assert ours.knock(*files(host)) == 101


def self_made_certificate_with_our_hosts_name_is_refused(ours, theirs):
    host = ours.host()
    name = ours.state(ours.n)[0]["id"]
    cert, key = os.path.join(ours.folder, "own.crt"), os.path.join(ours.folder, "own.key")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9", "-subj", f"/CN={name}",
            "-keyout", key, "-out", cert)
    assert ours.knock(cert, key) in (403, "SSLError", "ConnectionResetError", "closed")
    assert ours.knock(*files(host)) == 101


def managers_own_certificate_is_no_hosts(ours, theirs):
    server = [os.path.join(ours.manager.data, name) for name in ("server.crt", "server.key")]
    assert ours.knock(*server) in (403, "SSLError", "ConnectionResetError", "closed")


def revoked_certificate_is_refused_for_good(ours, theirs):
    host = ours.host()
    known = ours.state(ours.n)[0]["id"]
    assert ours.knock(*files(host)) == 101
    task = ours.admin.call("DELETE", f"/hosts/{known}", {"force": True})[1]
    while ours.admin.call("GET", f"/tasks/{task['id']}")[1]["state"] != "done":
        pass
    assert ours.knock(*files(host)) == 403
    ours.manager.stop(signal.SIGKILL)
    ours.manager.start()
    assert ours.knock(*files(host)) == 403


def replaced_certificate_is_refused(ours, theirs):
    host = ours.host()
    known = ours.state(ours.n)[0]["id"]
    for name in ("host.crt", "host.key"):
        os.rename(host.path(name), host.path(f"old-{name}"))
    assert host.join(join.token_of(ours.admin, host=known))[0] == 0
    assert ours.knock(*files(host)) == 101
    assert ours.knock(host.path("old-host.crt"), host.path("old-host.key")) == 403


def stream_names_are_not_guessed(ours, theirs):
    cert, key = files(ours.host())
    for name in ("", "x" * 16, "A" * 128, "%00", "../agent"):
        assert ours.knock(cert, key, f"/api/v1/agent/stream?stream={name}") in (400, 403), name


TESTS = [certificate_of_the_site_opens_the_door, nobody_comes_without_one, another_sites_certificate_is_refused,
         self_made_certificate_with_our_hosts_name_is_refused, managers_own_certificate_is_no_hosts, revoked_certificate_is_refused_for_good,
         replaced_certificate_is_refused, stream_names_are_not_guessed]


def main():
    print(f"1..{len(TESTS)}", flush=True)
    failed = 0
    programs = [os.path.abspath(word) for word in sys.argv[1:3]]
    with tempfile.TemporaryDirectory(prefix="ws-door-") as folder:
        sites = []
        try:
            for name in ("ours", "theirs"):
                sites.append(Site(programs, os.path.join(folder, name)))
            for i, test in enumerate(TESTS):
                try:
                    test(*sites)
                    print(f"ok {i + 1} - {test.__name__}", flush=True)
                except Exception as error:  # each failure is one line of TAP, and the next test runs
                    failed += 1
                    print(f"not ok {i + 1} - {test.__name__}\n# {type(error).__name__}: {str(error)[:1500]}", flush=True)
        finally:
            for site in sites:
                site.manager.stop(signal.SIGKILL)
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
