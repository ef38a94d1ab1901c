#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The manager's API as a client meets it: a real wincenterd on loopback, no host. Prints TAP.

usage: center-api.py WINCENTERD
"""
import base64
import http.client
import json
import os
import random
import re
import signal
import socket
import sqlite3
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import zlib

DEADLINE_S = 200


class Manager:
    """One wincenterd with its data directory."""

    def __init__(self, program, data):
        self.program, self.data, self.process, self.port = program, data, None, 0
        self.more = []  # further options
        self.log = os.path.join(data, "..", "log")

    def start(self, port=0, **popen):
        """port 0: any."""
        with open(self.log, "ab") as log:
            before = log.tell()
            self.process = subprocess.Popen([self.program, "--data-dir", self.data, "--bind", "127.0.0.1", "--port", str(port), *self.more],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, **popen)
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                log.seek(before)
                said = log.read()
            assert self.process.poll() is None, said[-2000:]
            started = re.search(r" started .*\bport=(\d+) ", said)
            if started:
                self.port = int(started[1])
                assert Client(self).call("GET", "/health")[0] == 200
                return
            time.sleep(0.05)
        raise AssertionError("the manager does not start")

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(DEADLINE_S)
            assert how == signal.SIGKILL or self.process.returncode == 0, f"the manager ended with {self.process.returncode}"

    def context(self):
        return ssl.create_default_context(cafile=os.path.join(self.data, "ca.crt"))


class Client:
    def __init__(self, manager, token=None):
        self.manager, self.token, self.source = manager, token, None

    def raw(self, method, path, body=None, headers=None):
        connection = http.client.HTTPSConnection("127.0.0.1", self.manager.port, context=self.manager.context(), timeout=DEADLINE_S,
                                                 source_address=self.source)
        head = dict(headers or {})
        if self.token:
            head["Authorization"] = f"Bearer {self.token}"
        if body is not None and "content-type" not in head:
            head["content-type"] = "application/json"
        try:
            connection.request(method, f"/api/v1{path}", body, head)
            answer = connection.getresponse()
            return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), answer.read()
        finally:
            connection.close()

    def call(self, method, path, body=None, **headers):
        text = json.dumps(body) if body is not None and not isinstance(body, (str, bytes)) else body
        status, head, data = self.raw(method, path, text, {k.replace("_", "-"): v for k, v in headers.items()})
        return status, json.loads(data) if data else None, head

    def items(self, path, limit=1000):
        """Of a list: those of all its pages, however many there are."""
        items, cursor = [], ""
        while True:
            status, page, _ = self.call("GET", f"{path}{'&' if '?' in path else '?'}limit={limit}{cursor}")
            assert status == 200, page
            items += page["items"]
            if "next_cursor" not in page:
                return items
            cursor = f"&cursor={page['next_cursor']}"

    def login(self, user, password):
        status, body, _ = self.call("POST", "/sessions", {"user_name": user, "password": password})
        assert status == 201, body
        self.token = body["token"]
        return self


class Socket:
    """As much of a WebSocket client as a watch needs."""

    def __init__(self, client, path, deflate=False):
        raw = socket.create_connection(("127.0.0.1", client.manager.port), DEADLINE_S)
        self.stream = client.manager.context().wrap_socket(raw, server_hostname="127.0.0.1")
        key = base64.b64encode(os.urandom(16)).decode()
        self.stream.sendall((f"GET /api/v1{path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
                             + ("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" if deflate else "")
                             + f"Authorization: Bearer {client.token}\r\n\r\n").encode())
        self.buffer = b""
        self.compressed = 0  # messages that came so
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.stream.recv(4096)
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        self.status = int(head.split()[1])
        self.head = head.decode()

    def take(self, n):
        while len(self.buffer) < n:
            more = self.stream.recv(65536)
            if not more:
                raise EOFError
            self.buffer += more
        part, self.buffer = self.buffer[:n], self.buffer[n:]
        return part

    def message(self):
        """The next text message as JSON; a close as (code)."""
        while True:
            first, second = self.take(2)
            size = second & 127
            if size == 126:
                size = struct.unpack(">H", self.take(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", self.take(8))[0]
            data = self.take(size)
            if first & 15 == 8:
                return struct.unpack(">H", data[:2])[0]
            if first & 15 == 9:  # who does not answer is taken for dead
                self.stream.sendall(b"\x8a" + bytes([0x80 | len(data)]) + bytes(4) + data)
            if first & 0x40:
                self.compressed += 1
                data = zlib.decompressobj(-15).decompress(data + b"\0\0\xff\xff")
            if first & 15 == 1:
                return json.loads(data)


# ---- tests: each gets the manager and a logged-in administrator ----

def login_is_needed_and_wrong_ones_are_alike(m, admin):
    status, body, _ = Client(m).call("GET", "/vms")
    assert (status, body["code"]) == (401, "unauthenticated"), body
    for name in ("admin", "nobody"):
        status, body, _ = Client(m).call("POST", "/sessions", {"user_name": name, "password": "wrong password"})
        assert (status, body["code"]) == (401, "login_failed"), body
    status, _, _ = Client(m, "wss_" + "x" * 43).call("GET", "/vms")
    assert status == 401


def logout_ends_the_session(m, admin):
    other = Client(m).login("admin", m.password)
    me = other.call("GET", "/whoami")[1]
    assert me["name"] == "admin" and me["permissions"] == ["*"], me
    assert me["revision"] >= other.call("GET", f"/sessions/{me['session']}")[1]["revision"], me  # from which to watch
    assert other.call("DELETE", f"/sessions/{me['session']}")[0] == 204
    assert other.call("GET", "/whoami")[0] == 401


def failures_close_for_a_while(m, admin):
    admin.call("POST", "/users", {"name": "locked", "password": "right password"})
    for _ in range(5):
        Client(m).call("POST", "/sessions", {"user_name": "locked", "password": "wrong"})
    status, body, _ = Client(m).call("POST", "/sessions", {"user_name": "locked", "password": "right password"})
    assert (status, body["code"]) == (429, "login_throttled"), body


def secrets_are_never_shown(m, admin):
    status, user, _ = admin.call("POST", "/users", {"name": "secretive", "password": "a secret word"})
    assert status == 201
    text = json.dumps([user, admin.call("GET", "/users?limit=1000")[1], admin.call("GET", "/sessions?limit=1000")[1],
                       admin.call("GET", "/audit-records?limit=1000")[1]])
    assert "a secret word" not in text and "argon2" not in text and "_hash" not in text
    assert "a secret word" not in open(m.log, encoding="utf-8").read()
    with open(os.path.join(m.data, "winsphere.db-wal"), "rb") as file:
        assert b"a secret word" not in file.read()


def rights_bound_users_and_tokens(m, admin):
    role = admin.call("POST", "/roles", {"name": "reader", "permissions": ["*.read"]})[1]["id"]
    admin.call("POST", "/users", {"name": "reader", "password": "reader's word", "roles": [role]})
    reader = Client(m).login("reader", "reader's word")
    assert reader.call("GET", "/vms")[0] == 200
    status, body, _ = reader.call("POST", "/roles", {"name": "more", "permissions": ["*"]})
    assert (status, body["code"], body["params"]["permission"]) == (403, "forbidden", "role.write"), body
    status, body, _ = reader.call("GET", "/volumes/vol-1/data")  # what is on a disk is not for everybody who sees that it is there
    assert (status, body["params"]["permission"]) == (403, "volume.download"), body
    token = admin.call("POST", "/api-tokens", {"name": "t", "permissions": ["vm.read"], "days": 1})[1]
    bounded = Client(m, token["token"])
    assert bounded.call("GET", "/vms")[0] == 200 and bounded.call("GET", "/users")[0] == 403
    assert admin.call("DELETE", f"/api-tokens/{token['id']}")[0] == 204
    assert bounded.call("GET", "/vms")[0] == 401


def nobody_gives_rights_they_lack(m, admin):
    giver_role = admin.call("POST", "/roles", {"name": "user keeper", "permissions": ["user.*", "role.read"]})[1]["id"]
    admin.call("POST", "/users", {"name": "keeper", "password": "keeper's word", "roles": [giver_role]})
    keeper = Client(m).login("keeper", "keeper's word")
    system = [r for r in admin.call("GET", "/roles")[1]["items"] if r["name"] == "system administrator"][0]["id"]
    status, body, _ = keeper.call("POST", "/users", {"name": "puppet", "password": "puppet's word", "roles": [system]})
    assert (status, body["code"]) == (403, "forbidden"), body


def last_administrator_stays(m, admin):
    me = admin.call("GET", "/whoami")[1]["user"]
    assert admin.call("DELETE", f"/users/{me}")[0] == 409
    assert admin.call("PATCH", f"/users/{me}", {"frozen": True})[0] == 409


def bodies_are_strict_and_errors_name_the_field(m, admin):
    cases = [
        ('{"nam":"x"}', 400, "unknown_field", "nam"), ('{"name":5,"permissions":[]}', 400, "wrong_type", "name"),
        ('{"name":"x"}', 400, "required", "permissions"), ('{"name":"x","permissions":["bad perm!"]}', 400, "bad_value", "permissions[0]"),
        ('{"name":"x","permissions":[],"built_in":true}', 400, "read_only_field", "built_in"), ('{"name":"x",', 400, "bad_json", None),
        ("[" * 5000, 400, None, None), ('{"name":"' + "x" * 70 + '","permissions":[]}', 400, "bad_value", "name"),
        ('{"name":"a\\u0000b","permissions":[]}', 400, None, None), ('{"name":"x","name":"y","permissions":[]}', 400, None, None),
    ]
    for text, status, code, field in cases:
        got, body, _ = admin.call("POST", "/roles", text)
        assert got == status and code in (None, body["code"]) and (field is None or body.get("field") == field), (text[:60], got, body)
        assert body["message"] and body["request_id"]
    assert admin.raw("POST", "/roles", "name=x", {"content-type": "application/x-www-form-urlencoded"})[0] == 415
    assert admin.raw("POST", "/roles", b"{" + b" " * (5 << 20) + b"}", {"content-type": "application/json"})[0] == 413


def one_record_of_history_is_read(m, admin):
    newest = admin.call("GET", "/audit-records?limit=1")[1]["items"][0]
    status, body, _ = admin.call("GET", f"/audit-records/{newest['id']}")
    assert status == 200 and body["chain"] == newest["chain"], body
    for plural in ("audit-records/audit", "events/event", "ended-tasks/etask"):
        assert admin.call("GET", f"/{plural}-999999")[0] == 404, plural


def wrong_paths_and_methods_are_told_apart(m, admin):
    assert admin.call("GET", "/nonsense")[1]["code"] == "not_found"
    assert admin.call("GET", "/vms/vm-999")[1]["code"] == "not_found"
    assert admin.call("GET", "/vms/pool-1")[0] == 404
    assert admin.call("PUT", "/vms")[0] == 405
    assert admin.raw("GET", "/vms/%2e%2e/users")[0] in (400, 404)


def errors_come_in_chinese_when_asked(m, admin):
    body = admin.call("GET", "/vms/vm-999", accept_language="zh-CN,en;q=0.5")[1]
    assert "不存在" in body["message"], body


def same_patch_twice_is_no_change(m, admin):
    role = admin.call("POST", "/roles", {"name": "patched", "permissions": ["vm.read"]})[1]
    one = admin.call("PATCH", f"/roles/{role['id']}", {"description": "new"})[1]
    two = admin.call("PATCH", f"/roles/{role['id']}", {"description": "new"})[1]
    assert one["revision"] > role["revision"] and two["revision"] == one["revision"]
    gone = admin.call("PATCH", f"/roles/{role['id']}", {"description": None})[1]
    assert "description" not in gone


def stale_etags_are_refused(m, admin):
    role, head = admin.call("POST", "/roles", {"name": "tagged", "permissions": []})[1:]
    path = f"/roles/{role['id']}"
    assert admin.call("PATCH", path, {"description": "a"}, If_Match=head["etag"])[0] == 200
    status, body, _ = admin.call("PATCH", path, {"description": "b"}, If_Match=head["etag"])
    assert (status, body["code"]) == (412, "revision_mismatch"), body
    now = admin.call("GET", path)[2]["etag"]
    assert admin.raw("GET", path, None, {"If-None-Match": now})[0] == 304


def idempotency_keys_execute_once(m, admin):
    body = {"name": "once", "permissions": []}
    one = admin.call("POST", "/roles", body, Idempotency_Key="k-1")
    two = admin.call("POST", "/roles", body, Idempotency_Key="k-1")
    assert one[0] == two[0] == 201 and one[1]["id"] == two[1]["id"]
    status, answer, _ = admin.call("POST", "/roles", {"name": "other", "permissions": []}, Idempotency_Key="k-1")
    assert (status, answer["code"]) == (422, "idempotency_reused"), answer
    m.stop(signal.SIGKILL)
    m.start()
    assert admin.call("POST", "/roles", body, Idempotency_Key="k-1")[1]["id"] == one[1]["id"]


def dry_runs_change_nothing(m, admin):
    before = admin.call("GET", "/roles?limit=1000")[1]
    status, body, _ = admin.call("POST", "/roles?dry_run=true", {"name": "dry", "permissions": []})
    assert status == 200 and body["dry_run"] and body["steps"], body
    assert admin.call("POST", "/roles?dry_run=true", {"name": "reader", "permissions": []})[0] == 409
    after = admin.call("GET", "/roles?limit=1000")[1]
    assert (before["total"], before["items"]) == (after["total"], after["items"])


def lists_page_filter_and_sort(m, admin):
    for i in range(25):
        admin.call("POST", "/roles", {"name": f"page-{i}", "permissions": ["vm.read"], "description": "even" if i % 2 == 0 else "odd"})
    seen = [r["name"] for r in admin.items("/roles?filter=name~page-&sort=-name", 7)]
    assert seen == [f"page-{i}" for i in range(24, -1, -1)], seen  # natural order
    page = admin.call("GET", "/roles?filter=description=even%20and%20name~page&fields=name&limit=100")[1]
    assert page["total"] == 13 and set(page["items"][0]) == {"id", "revision", "name"}, page["items"][0]
    assert admin.call("GET", "/roles?filter=nonsense")[1]["code"] == "bad_filter"
    assert admin.call("GET", "/roles?sort=nonsense")[0] == 400
    assert admin.call("GET", "/roles?limit=0")[1]["code"] == "out_of_range"
    assert admin.call("GET", "/roles?cursor=nonsense")[1]["code"] == "bad_cursor"


def watches_get_each_change_once_in_order(m, admin):
    base = admin.call("GET", "/roles?limit=1")[1]["revision"]
    watch = Socket(admin, f"/watch?types=roles&since={base}")
    assert watch.status == 101 and watch.message()["changes"] == []
    made = [admin.call("POST", "/roles", {"name": f"watched-{i}", "permissions": []})[1] for i in range(5)]
    admin.call("DELETE", f"/roles/{made[0]['id']}")
    got, revisions = [], []
    while len(got) < 6:
        message = watch.message()
        revisions.append(message["revision"])
        got += [(c["op"], c["id"]) for c in message["changes"]]
    assert got == [("put", r["id"]) for r in made] + [("gone", made[0]["id"])], got
    assert revisions == sorted(revisions)
    again = Socket(admin, f"/watch?types=roles&since={revisions[0]}")
    again.message()
    missed = []
    while len(missed) < 5:
        missed += [c["id"] for c in again.message()["changes"]]
    assert missed[:4] == [r["id"] for r in made[1:]], missed


def a_watch_may_ask_for_what_changed_only(m, admin):
    role = admin.call("POST", "/roles", {"name": "delta", "description": "before", "permissions": ["vm.read"]})[1]
    watch = Socket(admin, f"/watch?types=roles&delta=true&since={role['revision']}", deflate=True)
    assert "permessage-deflate; server_no_context_takeover" in watch.head, watch.head
    assert watch.message()["changes"] == []
    many = [("vm.read", "volume.read", "*.read", "vm.power")[i % 4] for i in range(100)]
    first = admin.call("PATCH", f"/roles/{role['id']}", {"permissions": many})[1]
    second = admin.call("PATCH", f"/roles/{role['id']}", {"description": None})[1]
    fresh = admin.call("POST", "/roles", {"name": "delta-new", "permissions": []})[1]
    got = []
    while len(got) < 3:
        got += watch.message()["changes"]
    assert got[0] == {"type": "Role", "id": role["id"], "op": "patch", "base": role["revision"],
                      "object": {"id": role["id"], "revision": first["revision"], "permissions": many}}, got[0]
    assert got[1] == {"type": "Role", "id": role["id"], "op": "patch", "base": first["revision"],
                      "object": {"id": role["id"], "revision": second["revision"], "description": None}}, got[1]
    assert got[2]["op"] == "put" and got[2]["object"] == fresh, got[2]
    assert watch.compressed >= 1
    # What comes into a filter is new to who looks through it; what leaves it is gone.
    seen = Socket(admin, f"/watch?types=roles&delta=true&filter=name%3Ddelta2&since={fresh['revision']}")
    seen.message()
    admin.call("PATCH", f"/roles/{role['id']}", {"name": "delta2"})
    admin.call("PATCH", f"/roles/{role['id']}", {"description": "after"})
    admin.call("PATCH", f"/roles/{role['id']}", {"name": "delta3"})
    got = []
    while len(got) < 3:
        got += seen.message()["changes"]
    assert [c["op"] for c in got] == ["put", "patch", "gone"], got
    assert got[0]["object"]["permissions"] == many and got[1]["object"]["description"] == "after", got
    assert Socket(admin, "/watch?delta=maybe").status == 400


def a_watch_may_ask_to_hear_that_nothing_happened(m, admin):
    beating, silent = Socket(admin, "/watch?types=api-tokens&beat=true"), Socket(admin, "/watch?types=api-tokens")
    told = beating.message()["revision"]
    silent.message()
    admin.call("POST", "/roles", {"name": "beat", "permissions": []})  # of another type: it moves the revision alone
    beat = beating.message()
    assert beat["changes"] == [] and beat["revision"] > told, beat
    token = admin.call("POST", "/api-tokens", {"name": "after-a-beat", "permissions": []})[1]
    assert silent.message()["changes"][0]["id"] == token["id"]  # nobody who did not ask has heard one
    assert Socket(admin, "/watch?beat=maybe").status == 400


def watch_too_old_is_told_to_relist(m, admin):
    watch = Socket(admin, "/watch?types=roles&since=1")
    first = watch.message()
    message = first if first.get("relist") else watch.message()
    assert message["relist"] and message["error"]["code"] == "relist", message
    assert watch.message() == 4410


def audit_has_every_mutating_call_refused_ones_too(m, admin):
    start = admin.call("GET", "/audit-records?limit=1")[1]["items"][0]["id"]
    admin.call("POST", "/roles", {"name": "audited", "permissions": []}, X_Request_Id="req-good")
    admin.call("POST", "/roles", {"name": "audited", "permissions": []}, X_Request_Id="req-taken")
    Client(m).call("POST", "/roles", {"name": "z", "permissions": []}, X_Request_Id="req-nobody")
    admin.call("GET", "/roles")
    new = [r for r in admin.call("GET", "/audit-records?limit=20")[1]["items"] if int(r["id"][6:]) > int(start[6:])]
    by_request = {r["request_id"]: (r["operation"], r["result"], r.get("error")) for r in new}
    assert by_request == {"req-good": ("role_create", "done", None), "req-taken": ("role_create", "refused", "name_taken"),
                          "req-nobody": ("role_create", "refused", "unauthenticated")}, by_request


def nothing_acknowledged_is_lost_by_kill(m, admin):
    chance = random.Random(7)
    kept = set()
    for round_ in range(4):
        acknowledged, victim = [], m.process
        kill_after = chance.randint(3, 25)
        for i in range(60):
            try:
                status, body, _ = admin.call("POST", "/roles", {"name": f"kill-{round_}-{i}", "permissions": []})
                if status == 201:
                    acknowledged.append(body["id"])
            except (OSError, http.client.HTTPException):
                break
            if i == kill_after:
                victim.send_signal(signal.SIGKILL)
        victim.wait(DEADLINE_S)
        kept |= set(acknowledged)
        m.start()
        now = {r["id"] for r in admin.call("GET", "/roles?limit=10000")[1]["items"]}
        assert kept <= now, kept - now


def second_manager_on_the_same_data_is_refused(m, admin):
    done = subprocess.run([m.program, "--data-dir", m.data, "--bind", "127.0.0.1", "--port", "0"], capture_output=True, text=True,
                          timeout=DEADLINE_S, check=False)
    assert done.returncode != 0 and "another process" in done.stderr, done.stderr


def newer_database_is_refused(m, admin):
    m.stop()
    path = os.path.join(m.data, "winsphere.db")
    with sqlite3.connect(path) as db:
        version = db.execute("pragma user_version").fetchone()[0]
        db.execute("pragma user_version = 1000000")
    done = subprocess.run([m.program, "--data-dir", m.data, "--port", "0"], capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    with sqlite3.connect(path) as db:
        db.execute(f"pragma user_version = {version}")
    m.start()
    assert done.returncode != 0 and done.stderr, done.stderr


def openapi_document_is_served(m, admin):
    status, document, _ = Client(m).call("GET", "/openapi.json")
    assert status == 200 and document["openapi"].startswith("3.1") and "/vms/{id}/start" in document["paths"]


def files_are_for_the_owner_only(m, admin):
    for name in ("ca.key", "server.key", "winsphere.db", "initial-password"):
        mode = os.stat(os.path.join(m.data, name)).st_mode & 0o777
        assert mode == 0o600, (name, oct(mode))
    assert os.stat(m.data).st_mode & 0o777 == 0o700


def asked_to_stop_the_manager_ends_in_order(m, admin):
    m.stop()


def long_lists_come_in_pieces_also_to_who_leaves(m, admin):
    """A list that is longer than what may be on the way: whole, equal to its pages; who breaks off in the middle harms nobody."""
    connection = http.client.HTTPSConnection("127.0.0.1", m.port, context=m.context(), timeout=DEADLINE_S)
    head = {"Authorization": f"Bearer {admin.token}", "content-type": "application/json"}
    words = " ".join(f"{'abcdefghijklmnopqrstuvwxyz_'[i % 27]} long word of a note {'x' * (i // 27)}" for i in range(120))
    for i in range(700):
        connection.request("POST", "/api/v1/roles", json.dumps({"name": f"long-{i}", "description": words, "permissions": []}), head)
        answer = connection.getresponse()
        assert answer.status == 201, answer.read()
        answer.read()
    connection.close()
    path = "/roles?filter=name~long-&sort=name"
    status, _, text = admin.raw("GET", f"{path}&limit=1000")
    whole = json.loads(text)
    assert status == 200 and len(text) > 3 << 19 and whole["total"] == 700 and "next_cursor" not in whole, (status, len(text))
    assert [r["name"] for r in whole["items"]] == [f"long-{i}" for i in range(700)]
    first = admin.call("GET", f"{path}&limit=600")[1]
    assert first["items"] == whole["items"][:600]
    assert admin.call("GET", f"{path}&limit=100&cursor={first['next_cursor']}")[1]["items"] == whole["items"][600:]
    assert admin.raw("HEAD", f"{path}&limit=1000")[::2] == (200, b"")
    for read in (0, 1, 100, 100000) * 5:
        plain = socket.create_connection(("127.0.0.1", m.port), DEADLINE_S)
        with m.context().wrap_socket(plain, server_hostname="127.0.0.1") as stream:
            stream.sendall(f"GET /api/v1{path}&limit=1000 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin.token}\r\n\r\n".encode())
            while read > 0:
                read -= len(stream.recv(min(read, 16384)))
    assert admin.raw("GET", f"{path}&limit=1000")[2] == text


TESTS = [login_is_needed_and_wrong_ones_are_alike, logout_ends_the_session, failures_close_for_a_while, secrets_are_never_shown,
         rights_bound_users_and_tokens, nobody_gives_rights_they_lack, last_administrator_stays,
         bodies_are_strict_and_errors_name_the_field, one_record_of_history_is_read, wrong_paths_and_methods_are_told_apart, errors_come_in_chinese_when_asked,
         same_patch_twice_is_no_change, stale_etags_are_refused, idempotency_keys_execute_once, dry_runs_change_nothing,
         lists_page_filter_and_sort, long_lists_come_in_pieces_also_to_who_leaves, watches_get_each_change_once_in_order, a_watch_may_ask_for_what_changed_only, a_watch_may_ask_to_hear_that_nothing_happened, watch_too_old_is_told_to_relist,
         audit_has_every_mutating_call_refused_ones_too, nothing_acknowledged_is_lost_by_kill,
         second_manager_on_the_same_data_is_refused, newer_database_is_refused, openapi_document_is_served, files_are_for_the_owner_only,
         asked_to_stop_the_manager_ends_in_order]


def run_tests(prefix, tests, make_world, before=lambda world: None, manager=Manager):
    """All tests on one fresh manager, each with the world that was made of it; how many failed."""
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        m = manager(os.path.abspath(sys.argv[1]), os.path.join(folder, "data"))
        os.mkdir(m.data, 0o700)
        m.start()
        try:
            with open(os.path.join(m.data, "initial-password"), encoding="ascii") as file:
                m.password = file.read().strip()
            world = make_world(m, folder)
            for i, test in enumerate(tests):
                before(world)
                try:
                    test(world)
                    print(f"ok {i + 1} - {test.__name__}", flush=True)
                except Exception as error:  # each failure is one line of TAP, and the next test runs
                    failed += 1
                    print(f"not ok {i + 1} - {test.__name__}\n# {type(error).__name__}: {str(error)[:1500]}", flush=True)
                    if m.process.poll() is not None:
                        m.start()
        finally:
            m.stop(signal.SIGKILL)
    return failed


def main():
    print(f"1..{len(TESTS)}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="ws-api-") as folder:
        data = os.path.join(folder, "data")
        os.mkdir(data, 0o700)
        manager = Manager(os.path.abspath(sys.argv[1]), data)
        manager.start()
        try:
            with open(os.path.join(data, "initial-password"), encoding="ascii") as file:
                manager.password = file.read().strip()
            admin = Client(manager).login("admin", manager.password)
            for i, test in enumerate(TESTS):
                try:
                    test(manager, admin)
                    print(f"ok {i + 1} - {test.__name__}", flush=True)
                except Exception as error:  # each failure is one line of TAP, and the next test runs
                    failed += 1
                    print(f"not ok {i + 1} - {test.__name__}\n# {type(error).__name__}: {str(error)[:1500]}", flush=True)
                    if manager.process.poll() is not None:
                        manager.start()
        finally:
            manager.stop(signal.SIGKILL)
            with open(manager.log, encoding="utf-8", errors="replace") as file:
                if failed:
                    print("".join(f"# {line}" for line in file.readlines()[-20:]))
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
