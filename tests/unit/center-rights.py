#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who may what, tried on every route of the contract against a real wincenterd. Prints TAP.

usage: center-rights.py WINCENTERD WINSERVERD CLOCK_SHIFT_LIBRARY

The routes come from /openapi.json. Each is asked by: nobody, an unknown token, an ended session, a revoked and an expired API token, a user without any right,
one with all rights but the route's, one with just it, and by API tokens of the administrator bound in the same two ways; on objects that are there and on one
that is not. Each mutating request must leave exactly one audit record, whatever became of it.
"""
import collections
import http.client
import importlib.util
import json
import os
import sqlite3
import struct
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("agent_join", os.path.join(HERE, "agent-join.py"))
agent_join = importlib.util.module_from_spec(spec)
spec.loader.exec_module(agent_join)
center = agent_join.center
NO_CHECK_TIME = 0x200000  # OpenSSL's X509_V_FLAG_NO_CHECK_TIME
SOCKETS = {"watch", "agent", "agent_stream", "console"}  # asked as WebSockets elsewhere
ABSENT = 999999


class Manager(center.Manager):
    """May live at another time than this program."""

    def context(self):
        context = super().context()
        context.verify_flags |= NO_CHECK_TIME
        return context


class Caller:
    """Somebody with a token (None: nobody), on one connection."""
    number = 0

    def __init__(self, m, name, token):
        self.m, self.name, self.token, self.connection = m, name, token, None

    def ask(self, route, path, body=b"{}"):
        """(status, code, params); the request's id is noted with its route."""
        Caller.number += 1
        identity = f"req-{Caller.number}"
        head = {"X-Request-Id": identity, "Content-Type": "application/octet-stream" if route.bytes else "application/json"}
        if self.token:
            head["Authorization"] = f"Bearer {self.token}"
        send = None if route.method == "GET" else b"" if route.bytes else body
        for attempt in (1, 2):
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPSConnection("127.0.0.1", self.m.port, context=self.m.context(), timeout=60)
                self.connection.request(route.method, f"/api/v1{path}", send, head)
                answer = self.connection.getresponse()
                text = answer.read()
                break
            except (OSError, http.client.HTTPException):
                self.connection = None
                assert attempt == 1, (self.name, route.operation)
        if answer.headers.get("connection") == "close":
            self.connection = None
        error = json.loads(text) if answer.status >= 400 and text else {}
        if route.audited:
            self.m.asked[identity] = (route.operation, answer.status)
        return answer.status, error.get("code"), error.get("params", {})


class Route:
    def __init__(self, path, method, spec):
        self.path, self.method, self.operation, self.permission = path, method.upper(), spec["operationId"], spec["x-permission"]
        self.audited = "x-audit" in spec
        self.plural = path.split("/")[1]
        content = spec.get("requestBody", {}).get("content", {})
        self.bytes = "application/octet-stream" in content
        self.prefix = next((p["schema"]["pattern"][1:].split("-")[0] for p in spec.get("parameters", []) if p.get("name") == "id"), None)

    def at(self, number):
        """The path with an id in it."""
        return self.path.replace("{id}", f"{self.prefix}-{number}") if self.prefix else self.path

    def __str__(self):
        return self.operation


class World:
    """The manager, its routes, and one object of every kind that can be made without a host."""

    def __init__(self, m, admin, winserverd, folder):
        self.m, self.admin = m, admin
        m.asked, self.began = {}, time.monotonic()
        self.document = admin.call("GET", "/openapi.json")[1]
        self.routes = [Route(path, method, spec) for path, item in self.document["paths"].items() for method, spec in item.items()
                       if method in ("get", "post", "put", "patch", "delete") and spec["operationId"] not in SOCKETS]
        self.permissions = sorted({route.permission for route in self.routes if "." in route.permission})
        agent_join.Host(winserverd, m, os.path.join(folder, "host")).join(agent_join.token_of(admin, host_name="foreign"))
        for plural, body in (("roles", {"name": "foreign", "permissions": []}), ("users", {"name": "foreign", "password": "foreign word"}),
                             ("api-tokens", {"name": "foreign", "permissions": ["vm.read"]}), ("join-tokens", {}),
                             ("host-pools", {"name": "foreign"})):
            status, answer, _ = admin.call("POST", f"/{plural}", body)
            assert status == 201, (plural, answer)
        self.objects = {}  # plural -> number of one that is there
        for route in self.routes:
            if route.method == "GET" and route.path.count("/") == 1 and route.operation.endswith("_list"):
                items = admin.call("GET", f"{route.path}?limit=1")[1]["items"]
                if items and "id" in items[0]:
                    self.objects[route.plural] = int(items[0]["id"].rsplit("-", 1)[1])
        self.role = admin.call("POST", "/roles", {"name": "tried", "permissions": []})[1]["id"]
        admin.call("POST", "/users", {"name": "tried", "password": "tried's word", "roles": [self.role]})
        self.user = center.Client(m).login("tried", "tried's word")

    def guarded(self):
        """Routes with a right of their own."""
        return [route for route in self.routes if "." in route.permission]

    def give(self, permissions):
        """The tried user has these rights from now on."""
        status, body, _ = self.admin.call("PATCH", f"/roles/{self.role}", {"permissions": permissions})
        assert status == 200, body

    def token(self, permissions):
        status, body, _ = self.admin.call("POST", "/api-tokens", {"name": "bound", "permissions": permissions, "days": 1})
        assert status == 201, body
        return body

    def numbers(self, route):
        """Ids to try: of one that is there, and of none."""
        if not route.prefix:
            return [0]
        there = self.objects.get(route.plural)
        return [ABSENT] if there is None else [there, ABSENT]

    def state(self):
        """All that is configured, to see that a refusal changed nothing."""
        words = {}
        for plural in sorted(self.objects):
            if plural not in ("sessions", "audit-records", "events", "idempotency-keys", "tasks", "ended-tasks", "alarms"):
                words[plural] = [{k: v for k, v in item.items() if k not in ("revision", "last_used", "failures", "last_failure")}
                                 for item in self.admin.call("GET", f"/{plural}?limit=1000")[1]["items"]]
        return words

    def all_refuse(self, caller, expected):
        """Every route but the public ones refuses the caller in the same way."""
        wrong = []
        for route in self.routes:
            if route.permission in ("public", "host-certificate"):
                continue
            for number in self.numbers(route):
                got = caller.ask(route, route.at(number))[:2]
                if got != expected:
                    wrong.append((str(route), route.at(number), got))
        assert not wrong, (caller.name, len(wrong), wrong[:10])


# ---- tests: each gets the world ----

def without_a_login_everything_is_closed(w):
    before = w.state()
    w.all_refuse(Caller(w.m, "nobody", None), (401, "unauthenticated"))
    w.all_refuse(Caller(w.m, "unknown token", "wss_" + "x" * 43), (401, "unauthenticated"))
    assert w.state() == before


def ended_sessions_and_revoked_tokens_open_nothing(w):
    ended = center.Client(w.m).login("tried", "tried's word")
    me = ended.call("GET", "/whoami")[1]
    assert ended.call("DELETE", f"/sessions/{me['session']}")[0] == 204
    w.all_refuse(Caller(w.m, "ended session", ended.token), (401, "unauthenticated"))
    token = w.token(["*"])
    assert center.Client(w.m, token["token"]).call("GET", "/roles")[0] == 200
    assert w.admin.call("DELETE", f"/api-tokens/{token['id']}")[0] == 204
    w.all_refuse(Caller(w.m, "revoked token", token["token"]), (401, "unauthenticated"))


def frozen_user_is_out_on_every_route_with_all_tokens(w):
    body = {"name": "cold", "password": "cold's word", "roles": [w.role]}
    user = w.admin.call("POST", "/users", body)[1]["id"]
    w.give(["token.write", "vm.read"])
    cold = center.Client(w.m).login("cold", "cold's word")
    token = cold.call("POST", "/api-tokens", {"name": "cold", "permissions": ["vm.read"]})[1]["token"]
    assert center.Client(w.m, token).call("GET", "/vms")[0] == 200
    assert w.admin.call("PATCH", f"/users/{user}", {"frozen": True})[0] == 200
    for caller in (Caller(w.m, "frozen session", cold.token), Caller(w.m, "frozen token", token)):
        w.all_refuse(caller, (401, "unauthenticated"))


def without_its_right_each_route_is_refused_naming_it(w):
    """A user, and an administrator's token, with every right but one; and with none at all."""
    before = w.state()
    user = Caller(w.m, "user", w.user.token)
    wrong = []
    for lacking in w.permissions:
        others = [permission for permission in w.permissions if permission != lacking]
        w.give(others)
        token = Caller(w.m, "token", w.token(others)["token"])
        for route in w.guarded():
            if route.permission != lacking:
                continue
            for caller in (user, token):
                for number in w.numbers(route):
                    for query in ("", "?dry_run=true"):
                        status, code, params = caller.ask(route, route.at(number) + query) if not query or route.method != "GET" else (403, "forbidden", {"permission": lacking})
                        if (status, code, params.get("permission")) != (403, "forbidden", lacking):
                            wrong.append((caller.name, str(route), number, query, status, code, params))
                        if query and route.audited:
                            w.m.asked.pop(f"req-{Caller.number}", None)  # a dry run changes nothing and is not recorded
    w.give([])
    for route in w.guarded():
        for number in w.numbers(route):
            if user.ask(route, route.at(number))[:2] != (403, "forbidden"):
                wrong.append(("no right", str(route), number))
    assert not wrong, (len(wrong), wrong[:10])
    after = w.state()
    for words in (before, after):
        words["roles"] = [role for role in words["roles"] if role["name"] != "tried"]
        words["api-tokens"] = [token for token in words["api-tokens"] if token["name"] != "bound"]
    assert before == after, [(plural, before[plural], after[plural]) for plural in before if before[plural] != after[plural]]


def its_right_alone_opens_each_route(w):
    """On an object that is not there, or with a body that is not whole: it is looked at, not refused."""
    user = Caller(w.m, "user", w.user.token)
    wrong = []
    for only in w.permissions:
        w.give([only])
        token = Caller(w.m, "token", w.token([only])["token"])
        for route in w.guarded():
            if route.permission != only or route.operation in ("api_token_create", "join_token_create"):
                continue
            for caller in (user, token):
                status, code, params = caller.ask(route, route.at(ABSENT), b'{"nonsense": 1}' if route.method != "GET" else b"{}")
                if status in (401, 403) or status >= 500:
                    wrong.append((caller.name, str(route), status, code, params))
    assert not wrong, (len(wrong), wrong[:10])


def batches_ask_for_the_verbs_right_on_each_object(w):
    user = Caller(w.m, "user", w.user.token)
    tried = 0
    wrong = []
    for batch in (route for route in w.routes if route.path.endswith("/batch")):
        for verb in w.routes:
            one = verb.path == f"/{batch.plural}/{{id}}" and verb.method == "DELETE"
            if verb.plural != batch.plural or not verb.prefix or "." not in verb.permission or not (one or verb.path.count("/") == 3):
                continue
            name = "delete" if one else verb.path.rsplit("/", 1)[1]
            w.give([permission for permission in w.permissions if permission != verb.permission])
            for number in w.numbers(verb):
                body = json.dumps({"verb": name, "ids": [f"{verb.prefix}-{number}", f"{verb.prefix}-{ABSENT}"]}).encode()
                status, code, params = user.ask(batch, batch.path, body)
                tried += 1
                if (status, code) != (403, "forbidden") and code != "bad_value":  # a verb that cannot run on many
                    wrong.append((str(batch), name, status, code, params))
    assert tried > 20 and not wrong, (tried, wrong[:10])


def own_and_foreign_are_told_apart(w):
    """Routes of permission self: one's own session and password; not another's, and not by a token that was given for something else."""
    w.give([])
    other = w.admin.call("GET", "/users?filter=name=foreign")[1]["items"][0]["id"]
    me = w.user.call("GET", "/whoami")[1]
    mine, theirs = w.user, w.admin.call("GET", "/whoami")[1]
    assert mine.call("DELETE", f"/sessions/{theirs['session']}")[0] == 403
    assert mine.call("POST", f"/users/{other}/change_password", {"new_password": "a stolen word"})[0] == 403
    body = {"old_password": "tried's word", "new_password": "tried's new word"}
    assert mine.call("POST", f"/users/{me['user']}/change_password", dict(body, old_password="wrong word"))[1]["field"] == "old_password"
    assert mine.call("POST", f"/users/{me['user']}/change_password", body)[0] == 204
    assert mine.call("POST", f"/users/{me['user']}/change_password", {"old_password": "tried's new word", "new_password": "tried's word"})[0] == 204
    w.give(["vm.read", "token.write"])
    token = mine.call("POST", "/api-tokens", {"name": "narrow", "permissions": ["vm.read"]})[1]["token"]
    narrow = center.Client(w.m, token)
    assert narrow.call("GET", "/vms")[0] == 200
    assert narrow.call("DELETE", f"/sessions/{me['session']}")[0] == 403
    assert narrow.call("POST", f"/users/{me['user']}/change_password", body)[0] == 403


def whoever_keeps_users_does_not_rule_over_administrators(w):
    """Else a password reset is the way up."""
    w.give(["user.*", "role.*", "token.*"])
    admin = w.admin.call("GET", "/whoami")[1]["user"]
    keeper = w.user
    for method, path, body in (("POST", f"/users/{admin}/change_password", {"new_password": "a stolen word"}),
                               ("PATCH", f"/users/{admin}", {"frozen": True}), ("PATCH", f"/users/{admin}", {"roles": []}),
                               ("DELETE", f"/users/{admin}", None), ("POST", "/roles", {"name": "mine", "permissions": ["*"]}),
                               ("PATCH", f"/roles/{w.role}", {"permissions": ["*"]}),
                               ("POST", "/api-tokens", {"name": "mine", "permissions": ["vm.power"]})):
        status, answer, _ = keeper.call(method, path, body)
        assert (status, answer["code"]) == (403, "forbidden"), (method, path, status, answer)
    foreign = w.admin.call("GET", "/users?filter=name=foreign")[1]["items"][0]["id"]
    assert keeper.call("POST", f"/users/{foreign}/change_password", {"new_password": "a new word"})[0] == 204


def watchers_are_dismissed_with_their_session_token_and_rights(w):
    w.give(["role.read", "session.read"])
    sessions = [center.Client(w.m).login("tried", "tried's word") for _ in range(2)]
    token = w.token(["role.read"])
    watches = [center.Socket(client, "/watch?types=roles") for client in (*sessions, center.Client(w.m, token["token"]))]
    for watch in watches:
        assert watch.status == 101 and watch.message()["changes"] == []
    sessions[0].call("DELETE", f"/sessions/{sessions[0].call('GET', '/whoami')[1]['session']}")
    w.admin.call("DELETE", f"/api-tokens/{token['id']}")
    w.give(["vm.read"])  # the second session's role
    w.admin.call("POST", "/roles", {"name": "unseen", "permissions": []})
    for watch in watches:
        seen = []
        while not isinstance(message := watch.message(), int):
            seen += [change["object"]["name"] for change in message["changes"] if change["op"] == "put"]
        assert message == 4401 and "unseen" not in seen, (message, seen)


def each_mutating_request_left_exactly_one_record(w):
    w.m.stop()  # with that what was counted is written
    w.m.start()
    with sqlite3.connect(os.path.join(w.m.data, "winsphere.db"), timeout=60) as db:
        rows = [json.loads(body) for (body,) in db.execute('SELECT body FROM "audit-records"')]
    count = collections.Counter(row.get("request_id") for row in rows)
    operations = {row.get("request_id"): row["operation"] for row in rows}
    assert len(w.m.asked) > 1000, len(w.m.asked)
    known = {identity: operation for identity, (operation, status) in w.m.asked.items() if status != 401}
    wrong = [(identity, operation, count[identity], operations.get(identity)) for identity, operation in known.items()
             if count[identity] != 1 or operations[identity] != operation]
    assert not wrong, (len(wrong), wrong[:10])
    # Of those without a login many share one, and none is lost.
    strange = [row for row in rows if row["user"] == "nobody" and row["result"] == "refused" and row["operation"] != "session_create"]
    counted = sum(row.get("count", 1) for row in strange)
    assert counted == len(w.m.asked) - len(known), (counted, len(strange), len(w.m.asked), len(known))
    # One place has 16 kinds and one more for all others, each with a first record and a count in a minute.
    minutes = int(time.monotonic() - w.began) // 60 + 1
    assert len(strange) <= 17 * 2 * (minutes + 1), (counted, len(strange), minutes)
    status, body, _ = w.admin.call("POST", "/audit-records/verify", {})
    assert status == 200, body


def expired_tokens_open_nothing(w):
    """The last: the manager lives two days later from here on."""
    token = w.token(["*"])["token"]
    clock = os.path.join(w.m.data, "..", "clock")
    with open(clock, "wb") as file:
        file.write(struct.pack("=q", 2 * 86400))
    w.m.stop()
    w.m.start(env=dict(os.environ, LD_PRELOAD=w.m.library, CLOCK_SHIFT_FILE=clock))
    w.all_refuse(Caller(w.m, "expired token", token), (401, "unauthenticated"))


TESTS = [without_a_login_everything_is_closed, ended_sessions_and_revoked_tokens_open_nothing,
         frozen_user_is_out_on_every_route_with_all_tokens, without_its_right_each_route_is_refused_naming_it,
         its_right_alone_opens_each_route, batches_ask_for_the_verbs_right_on_each_object, own_and_foreign_are_told_apart,
         whoever_keeps_users_does_not_rule_over_administrators, watchers_are_dismissed_with_their_session_token_and_rights,
         each_mutating_request_left_exactly_one_record, expired_tokens_open_nothing]


def main():
    print(f"1..{len(TESTS)}", flush=True)
    failed = 0
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # thousands of commits: it is not about the disk
    with tempfile.TemporaryDirectory(prefix="ws-rights-", dir=memory) as folder:
        m = Manager(os.path.abspath(sys.argv[1]), os.path.join(folder, "data"))
        m.more = ["--address-refusals", "1000000"]  # what is asked for without a login is the test
        m.library = os.path.abspath(sys.argv[3])
        os.mkdir(m.data, 0o700)
        m.start()
        try:
            with open(os.path.join(m.data, "initial-password"), encoding="ascii") as file:
                m.password = file.read().strip()
            world = World(m, center.Client(m).login("admin", m.password), os.path.abspath(sys.argv[2]), folder)
            for i, test in enumerate(TESTS):
                try:
                    test(world)
                    print(f"ok {i + 1} - {test.__name__}", flush=True)
                except Exception as error:  # each failure is one line of TAP, and the next test runs
                    failed += 1
                    print(f"not ok {i + 1} - {test.__name__}\n# {type(error).__name__}: {str(error)[:2500]}", flush=True)
                    if m.process.poll() is not None:
                        m.start()
        finally:
            m.stop()
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
