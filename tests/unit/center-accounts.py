#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Accounts: service accounts, roles, API tokens, and what a request may name; what they may, what is refused, how they end. A real wincenterd and winctl on loopback, no host. Prints TAP.

usage: center-accounts.py WINCENTERD WINCTL
"""
import hashlib
import importlib.util
import json
import os
import signal
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("winctl", os.path.join(HERE, "winctl.py"))
winctl = importlib.util.module_from_spec(spec)
spec.loader.exec_module(winctl)
center = winctl.center


def made(answer):
    status, body, _ = answer
    assert status == 201, (status, body)
    return body


def refused(answer, status, code, **params):
    got, body, _ = answer
    assert (got, body["code"]) == (status, code), (got, body)
    for name, value in params.items():
        assert body.get("params", {}).get(name, body.get(name)) == value, (name, body)


class World:
    def __init__(self, m, folder):
        self.m = m
        self.admin = center.Client(m).login("admin", m.password)
        self.shell = winctl.Shell(os.path.abspath(sys.argv[2]), m, folder)
        self.shell.login()
        self.reader = made(self.admin.call("POST", "/roles", {"name": "reads", "permissions": ["vm.read", "role.read"]}))["id"]

    def service(self, name, roles=None):
        return made(self.admin.call("POST", "/users", {"name": name, "kind": "service", "roles": [self.reader] if roles is None else roles}))["id"]

    def token(self, user, client=None, **others):
        return made((client or self.admin).call("POST", "/api-tokens", {"name": "key", "user": user, **others}))

    def person(self, name, permissions):
        role = made(self.admin.call("POST", "/roles", {"name": name, "permissions": permissions}))["id"]
        made(self.admin.call("POST", "/users", {"name": name, "password": f"{name}'s word", "roles": [role]}))
        return center.Client(self.m).login(name, f"{name}'s word")

    def by(self, token):
        return center.Client(self.m, token["token"])

    def audit(self, user):
        return self.admin.call("GET", f"/audit-records?filter=user={user}&limit=100")[1]["items"]


# ---- tests: each gets the world ----

def service_account_works_by_the_token_made_for_it(w):
    user = w.service("builder")
    token = w.token(user, permissions=["vm.read"], days=1)
    assert token["user"] == user
    builder = w.by(token)
    me = builder.call("GET", "/whoami")[1]
    assert (me["name"], me["user"], me["bound"]) == ("builder", user, ["vm.read"]), me
    assert builder.call("GET", "/vms")[0] == 200
    refused(builder.call("GET", "/roles"), 403, "forbidden", permission="role.read")  # within its role, outside its token
    refused(builder.call("POST", "/roles", {"name": "x", "permissions": []}), 403, "forbidden")
    record = w.audit("builder")[0]
    assert (record["operation"], record["result"], record["error"]) == ("role_create", "refused", "forbidden"), record


def it_is_shown_as_such_in_lists(w):
    kinds = {user["name"]: user["kind"] for user in w.admin.call("GET", "/users?limit=100")[1]["items"]}
    assert (kinds["builder"], kinds["admin"]) == ("service", "person"), kinds
    assert [u["name"] for u in w.admin.call("GET", "/users?filter=kind=service")[1]["items"]] == ["builder"]
    assert "Service account" in w.shell.out("user", "list"), w.shell.out("user", "list")
    assert "服务账号" in w.shell.out("user", "list", "--lang", "zh")


def it_has_no_password_and_no_login(w):
    refused(w.admin.call("POST", "/users", {"name": "worded", "kind": "service", "password": "a long word"}), 400, "bad_value", field="password")
    refused(w.admin.call("POST", "/users", {"name": "wordless"}), 400, "required", field="password")
    user = w.service("mute")
    refused(w.admin.call("POST", f"/users/{user}/change_password", {"new_password": "a long word"}), 409, "not_allowed", object="mute")
    refused(w.admin.call("PATCH", f"/users/{user}", {"password": "a long word"}), 422, "unsupported")
    refused(w.admin.call("PATCH", f"/users/{user}", {"kind": "person"}), 400, "immutable_field", field="kind")
    # The word that stands in for a hash nobody has; and none.
    for password in ("no user has this password", "", "mute"):
        refused(center.Client(w.m).call("POST", "/sessions", {"user_name": "mute", "password": password}), 401, "login_failed")
    own = w.by(w.token(user))
    refused(own.call("POST", f"/users/{user}/change_password", {"old_password": "", "new_password": "a long word"}), 409, "not_allowed")
    assert not w.admin.call("GET", f"/sessions?filter=user={user}")[1]["items"]


def tokens_of_others_take_the_right_to_keep_users(w):
    user = w.service("worker")
    lacking = w.person("lacking", ["token.*", "vm.read", "role.read"])
    refused(lacking.call("POST", "/api-tokens", {"name": "key", "user": user}), 403, "forbidden", permission="user.write")
    assert w.audit("lacking")[0]["error"] == "forbidden"
    keeper = w.person("keeping", ["token.*", "user.*", "vm.read", "role.read"])
    assert w.by(w.token(user, keeper)).call("GET", "/vms")[0] == 200


def nobody_makes_a_token_that_may_more_than_they(w):
    strong = w.service("strong", roles=[r["id"] for r in w.admin.call("GET", "/roles")[1]["items"] if r["name"] == "system administrator"])
    keeper = center.Client(w.m).login("keeping", "keeping's word")
    refused(keeper.call("POST", "/api-tokens", {"name": "key", "user": strong}), 403, "forbidden", permission="*")
    refused(keeper.call("POST", "/api-tokens", {"name": "key", "user": strong, "permissions": ["vm.read"]}), 403, "forbidden", permission="*")
    user = w.service("modest")
    refused(keeper.call("POST", "/api-tokens", {"name": "key", "user": user, "permissions": ["vm.power"]}), 403, "forbidden", permission="vm.power")
    # A token of the administrator that is bound is bound in this too.
    bound = center.Client(w.m, made(w.admin.call("POST", "/api-tokens", {"name": "b", "permissions": ["token.write", "user.write"]}))["token"])
    refused(bound.call("POST", "/api-tokens", {"name": "key", "user": user}), 403, "forbidden", permission="vm.read")
    # Nor does a service account prolong its own life.
    alone = w.service("alone", roles=[made(w.admin.call("POST", "/roles", {"name": "tokens", "permissions": ["token.write"]}))["id"]])
    own = w.by(w.token(alone))
    refused(own.call("POST", "/api-tokens", {"name": "next"}), 403, "forbidden", permission="user.write")


def nobody_makes_tokens_for_another_person(w):
    person = w.admin.call("GET", "/users?filter=name=keeping")[1]["items"][0]["id"]
    refused(w.admin.call("POST", "/api-tokens", {"name": "key", "user": person}), 409, "not_allowed", object="keeping")
    refused(w.admin.call("POST", "/api-tokens", {"name": "key", "user": "user-999999"}), 400, "bad_reference")


def tokens_are_listed_and_revoked(w):
    user = w.service("listed")
    token = w.token(user)
    assert [t["id"] for t in w.admin.call("GET", f"/api-tokens?filter=user={user}")[1]["items"]] == [token["id"]]
    assert w.by(token).call("GET", "/vms")[0] == 200
    assert w.admin.call("DELETE", f"/api-tokens/{token['id']}")[0] == 204
    refused(w.by(token).call("GET", "/vms"), 401, "unauthenticated")


def frozen_or_deleted_its_tokens_fail_at_once(w):
    user = w.service("ending")
    token = w.token(user)
    watch = center.Socket(w.by(token), "/watch?types=roles")
    assert watch.status == 101 and watch.message()["changes"] == []
    assert w.admin.call("PATCH", f"/users/{user}", {"frozen": True})[0] == 200
    refused(w.by(token).call("GET", "/vms"), 401, "unauthenticated")
    w.admin.call("POST", "/roles", {"name": "unseen", "permissions": []})
    assert watch.message() == 4401
    assert w.admin.call("PATCH", f"/users/{user}", {"frozen": False})[0] == 200
    assert w.by(token).call("GET", "/vms")[0] == 200
    assert w.admin.call("DELETE", f"/users/{user}")[0] == 204
    refused(w.by(token).call("GET", "/vms"), 401, "unauthenticated")
    assert not w.admin.call("GET", f"/api-tokens?filter=user={user}")[1]["items"]


def a_right_that_is_misspelt_is_refused(w):
    """It would give nothing, and nobody would know why."""
    refused(w.admin.call("POST", "/roles", {"name": "typo", "permissions": ["vm.read", "vm.raed"]}), 400, "bad_value")
    refused(w.admin.call("POST", "/api-tokens", {"name": "typo", "permissions": ["nosuch.*"]}), 400, "bad_value")
    role = made(w.admin.call("POST", "/roles", {"name": "patterns", "permissions": ["vm.*", "*.read", "group.write", "metrics.read"]}))["id"]
    refused(w.admin.call("PATCH", f"/roles/{role}", {"permissions": ["vm.*", "*.raed"]}), 400, "bad_value")
    assert w.admin.call("PATCH", f"/roles/{role}", {"permissions": ["*"]})[0] == 200


def it_is_never_the_last_administrator(w):
    """One that cannot log in does not open the console again."""
    assert w.admin.call("GET", "/users?filter=name=strong")[1]["total"] == 1
    me = w.admin.call("GET", "/whoami")[1]["user"]
    for change in ({"frozen": True}, {"roles": []}, {"roles": [w.reader]}):
        refused(w.admin.call("PATCH", f"/users/{me}", change), 409, "in_use")


def command_line_makes_account_and_token(w):
    w.shell.out("user", "create", "--kind", "service", "--name", "pipeline", "--roles", "reads")
    token = json.loads(w.shell.out("api-token", "create", "--name", "ci", "--user", "pipeline", "--permissions", "vm.read", "--days", "7", "-o", "json"))
    assert w.by(token).call("GET", "/whoami")[1]["name"] == "pipeline"
    assert "no password" in w.shell.refused("user", "create", "--kind", "service", "--name", "other", "--password", "a long word")
    assert token["user"] in w.shell.out("api-token", "list", "--filter", f"user={token['user']}")


def accounts_outlive_the_manager(w):
    user = w.service("lasting")
    token = w.token(user)
    w.m.stop(signal.SIGKILL)
    w.m.start(w.m.port)
    assert w.by(token).call("GET", "/whoami")[1]["name"] == "lasting"
    refused(center.Client(w.m).call("POST", "/sessions", {"user_name": "lasting", "password": "no user has this password"}), 401, "login_failed")
    w.admin = center.Client(w.m).login("admin", w.m.password)


def role_is_changed_by_those_who_may_give_it(w):
    """Who may only keep roles does not take rights from those who have more; and nobody takes the last administrator's."""
    all_of_it = made(w.admin.call("POST", "/roles", {"name": "chief", "permissions": ["*"]}))["id"]
    keeper = w.person("rolekeeper", ["role.*", "vm.read"])
    for method, body in (("PATCH", {"permissions": []}), ("PATCH", {"permissions": ["vm.read"]}), ("PATCH", {"name": "thief"}), ("DELETE", None)):
        refused(keeper.call(method, f"/roles/{all_of_it}", body), 403, "forbidden", permission="*")
    mine = made(keeper.call("POST", "/roles", {"name": "lookers", "permissions": ["vm.read"]}))["id"]
    assert keeper.call("PATCH", f"/roles/{mine}", {"permissions": []})[0] == 200
    assert keeper.call("DELETE", f"/roles/{mine}")[0] == 204


def last_administrator_keeps_the_role_that_makes_it(w):
    chief = next(r["id"] for r in w.admin.call("GET", "/roles?limit=100")[1]["items"] if r["name"] == "chief")
    made(w.admin.call("POST", "/users", {"name": "carol", "password": "carol's word", "roles": [chief]}))
    carol = center.Client(w.m).login("carol", "carol's word")
    me = w.admin.call("GET", "/whoami")[1]["user"]
    assert carol.call("PATCH", f"/users/{me}", {"frozen": True})[0] == 200
    for change in ({"permissions": ["vm.*"]}, {"permissions": []}):
        refused(carol.call("PATCH", f"/roles/{chief}", change), 409, "in_use", object="chief")
    refused(carol.call("PATCH", f"/roles/{chief}?dry_run=true", {"permissions": []}), 409, "in_use")
    assert carol.call("PATCH", f"/users/{me}", {"frozen": False})[0] == 200
    w.admin = center.Client(w.m).login("admin", w.m.password)
    assert w.admin.call("PATCH", f"/roles/{chief}", {"permissions": ["vm.read"]})[0] == 200  # there is another again


def token_made_by_a_token_ends_with_it(w):
    short = made(w.admin.call("POST", "/api-tokens", {"name": "short", "permissions": ["token.write", "vm.read"], "days": 1}))
    child = made(w.by(short).call("POST", "/api-tokens", {"name": "long", "permissions": ["vm.read"], "days": 3650}))
    assert child["expires"] == short["expires"], (child, short)
    assert made(w.admin.call("POST", "/api-tokens", {"name": "by login", "days": 3650}))["expires"] > short["expires"]


def others_tokens_and_sessions_end_by_those_who_rule_over_them(w):
    taker = w.person("taker", ["token.*", "session.*", "vm.read"])
    theirs = made(w.admin.call("POST", "/api-tokens", {"name": "backup"}))["id"]
    session = w.admin.call("GET", "/whoami")[1]["session"]
    for path in (f"/api-tokens/{theirs}", f"/sessions/{session}", f"/api-tokens/{theirs}?dry_run=true"):
        refused(taker.call("DELETE", path), 403, "forbidden", permission="*")
    own = made(taker.call("POST", "/api-tokens", {"name": "own"}))["id"]
    assert taker.call("DELETE", f"/api-tokens/{own}")[0] == 204
    weaker = w.service("weaker")  # vm.read and role.read: the second one the taker has not
    refused(taker.call("DELETE", f"/api-tokens/{w.token(weaker)['id']}"), 403, "forbidden", permission="role.read")
    assert w.admin.call("DELETE", f"/api-tokens/{theirs}")[0] == 204
    assert taker.call("DELETE", f"/sessions/{taker.call('GET', '/whoami')[1]['session']}")[0] == 204


def session_is_no_place_to_try_passwords(w):
    guess = w.person("guessed", ["vm.read"])
    user = guess.call("GET", "/whoami")[1]["user"]
    for number in range(5):
        refused(guess.call("POST", f"/users/{user}/change_password", {"old_password": f"guess {number}", "new_password": "a long word"}), 400, "bad_value")
    refused(guess.call("POST", f"/users/{user}/change_password", {"old_password": "guessed's word", "new_password": "a long word"}), 429, "login_throttled")
    refused(center.Client(w.m).call("POST", "/sessions", {"user_name": "guessed", "password": "guessed's word"}), 429, "login_throttled")
    w.m.stop()  # with that what failed is written to its user, which else comes seconds later
    w.m.start(w.m.port)
    assert w.admin.call("GET", f"/users/{user}")[1]["failures"] == 5


def what_is_named_takes_a_right_too(w):
    """A right on VMs alone reaches no network, pool, host or volume."""
    maker = w.person("maker", ["vm.*", "image.write", "user.write"])
    one = {"name": "x"}
    for body, right in (({"nics": [{"port_group": "pg-9"}]}, "network.read"), ({"host": "host-9"}, "host.read"), ({"cluster": "cl-9"}, "cluster.read"),
                        ({"disks": [{"volume": "vol-9"}]}, "volume.write"), ({"cdroms": [{"volume": "vol-9"}]}, "volume.read"),
                        ({"disks": [{"new_volume": {"size_bytes": 1 << 20, "pool": "pool-9"}}]}, "pool.read"), ({"group": "bg-9"}, "group.read")):
        for query in ("", "?dry_run=true"):
            refused(maker.call("POST", f"/vms{query}", {**one, **body}), 403, "forbidden", permission=right)
    refused(maker.call("POST", "/vms/deploy", {"name": "x", "image": "img-9"}), 403, "forbidden", permission="image.read")
    refused(maker.call("POST", "/vms/vm-9/attach_disk", {"disk": {"volume": "vol-9"}}), 403, "forbidden", permission="volume.write", object="vol-9")
    refused(maker.call("POST", "/vms/vm-9/insert_cd", {"volume": "vol-9"}), 403, "forbidden", permission="volume.read")
    refused(maker.call("POST", "/vms/batch", {"verb": "insert_cd", "ids": ["vm-9"], "args": {"volume": "vol-9"}}), 403, "forbidden", permission="volume.read")
    refused(maker.call("POST", "/images", {"name": "x", "pool": "pool-9", "source": "vol-9"}), 403, "forbidden")
    refused(maker.call("POST", "/vms/vm-9/attach_disk", {"disk": {"new_volume": {"size_bytes": 1 << 20}}}), 404, "not_found")  # nothing is named
    copier = w.person("copier", ["image.*", "pool.read", "volume.read"])
    refused(copier.call("POST", "/images", {"name": "x", "pool": "pool-9", "source": "vol-9"}), 403, "forbidden", permission="volume.write")


def on_disk(w, *words):
    """Which of the words stand in a file of the manager's."""
    found = set()
    for folder, _, files in os.walk(w.m.data):
        for name in files:
            with open(os.path.join(folder, name), "rb") as file:
                text = file.read()
            found |= {word for word in words if word.encode() in text}
    return found


def repeats_leave_no_secret_on_disk(w):
    """What is kept to answer a repeated request holds neither the token that was given nor a plain hash of what was asked, which may be a password."""
    body = {"name": "kept", "permissions": ["vm.read"]}
    first = made(w.admin.call("POST", "/api-tokens", body, Idempotency_Key="a-key-for-this"))
    assert made(w.admin.call("POST", "/api-tokens", body, Idempotency_Key="a-key-for-this"))["token"] == first["token"]
    refused(w.admin.call("POST", "/api-tokens", {**body, "days": 2}, Idempotency_Key="a-key-for-this"), 422, "idempotency_reused")
    join = made(w.admin.call("POST", "/join-tokens", {}, Idempotency_Key="another-key"))["token"]
    login = {"user_name": "admin", "password": w.m.password}
    session = made(center.Client(w.m).call("POST", "/sessions", login, Idempotency_Key="key-of-a-login"))
    assert made(center.Client(w.m).call("POST", "/sessions", login, Idempotency_Key="key-of-a-login"))["token"] == session["token"]
    asked = [hashlib.sha256(f"POST /api/v1/sessions\n{text}".encode()).hexdigest() for text in (json.dumps(login), json.dumps(login, separators=(",", ":")))]
    hashes = [hashlib.sha256(first["token"].encode()).hexdigest()]
    assert on_disk(w, first["token"], join.split(".")[0], session["token"], "a-key-for-this", *asked) == set()
    assert on_disk(w, *hashes) == set(hashes)  # it is looked for where it would be
    w.m.stop(signal.SIGKILL)
    w.m.start(w.m.port)
    again = made(w.admin.call("POST", "/api-tokens", body, Idempotency_Key="a-key-for-this"))
    assert again["id"] == first["id"] and "token" not in again, again  # no second one
    assert made(center.Client(w.m).call("POST", "/sessions", login, Idempotency_Key="key-of-a-login"))["token"]


TESTS = [service_account_works_by_the_token_made_for_it, it_is_shown_as_such_in_lists, it_has_no_password_and_no_login,
         tokens_of_others_take_the_right_to_keep_users, nobody_makes_a_token_that_may_more_than_they, nobody_makes_tokens_for_another_person,
         tokens_are_listed_and_revoked, frozen_or_deleted_its_tokens_fail_at_once, a_right_that_is_misspelt_is_refused, it_is_never_the_last_administrator,
         command_line_makes_account_and_token, role_is_changed_by_those_who_may_give_it, last_administrator_keeps_the_role_that_makes_it,
         token_made_by_a_token_ends_with_it, others_tokens_and_sessions_end_by_those_who_rule_over_them, session_is_no_place_to_try_passwords, what_is_named_takes_a_right_too, repeats_leave_no_secret_on_disk,
         accounts_outlive_the_manager]


if __name__ == "__main__":
    sys.exit(1 if center.run_tests("ws-accounts-", TESTS, World) else 0)
