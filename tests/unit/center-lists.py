#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Lists, watches, batches and dry runs keep their word: a real wincenterd, no host. Prints TAP.

usage: center-lists.py WINCENTERD
"""
import importlib.util
import json
import os
import socket
import sqlite3
import struct
import sys
import time
import urllib.parse

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("center_api", os.path.join(HERE, "center-api.py"))
center = importlib.util.module_from_spec(spec)
spec.loader.exec_module(center)
DEEP = 12000  # records: more than a page may have, and more than is read at one turn


class World:
    def __init__(self, m, folder):
        self.m, self.folder = m, folder
        self.admin = center.Client(m).login("admin", m.password)


def page(admin, path, **query):
    text = "&".join(f"{k}={urllib.parse.quote(str(v), safe='')}" for k, v in query.items())
    status, body, _ = admin.call("GET", f"{path}?{text}")
    assert status == 200, (path, query, body)
    return body


def whole(admin, path, **query):
    """All pages; each but the last is full, and none comes twice."""
    items, more = [], {}
    while True:
        body = page(admin, path, **query, **more)
        items += body["items"]
        if "next_cursor" not in body:
            assert len({i["id"] for i in items}) == len(items), "a record came twice"
            return items
        assert len(body["items"]) == query["limit"], (query, len(body["items"]))
        more = {"cursor": body["next_cursor"]}


def refused(answer, status, code, field=None):
    assert (answer[0], answer[1]["code"]) == (status, code), answer[:2]
    assert field is None or answer[1]["field"] == field, answer[1]
    return answer[1]


def made(answer):
    assert answer[0] == 201, answer[:2]
    return answer[1]["id"]


def role(admin, name):
    return made(admin.call("POST", "/roles", {"name": name, "permissions": []}))


def time_of(us):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(us // 1000000)) + f".{us % 1000000:06}Z"


# ---- history ----

def a_filter_loses_no_match_behind_others(w):
    pools = [made(w.admin.call("POST", "/host-pools", {"name": f"before-{i}"})) for i in range(5)]
    wanted = role(w.admin, "between")
    pools += [made(w.admin.call("POST", "/host-pools", {"name": f"after-{i}"})) for i in range(8)]
    found = page(w.admin, "/audit-records", limit=5, filter="user=admin and operation=role_create")
    assert [r["object"] for r in found["items"]] == [wanted] and "next_cursor" not in found, found
    found = whole(w.admin, "/audit-records", limit=3, filter="user=admin and operation~pool and object!=\"\"")
    assert [r["object"] for r in found] == pools[::-1], found


def a_full_page_has_a_cursor_only_if_something_is_behind_it(w):
    query = {"filter": "operation=host_pool_create", "limit": 13}
    assert len(whole(w.admin, "/audit-records", **query)) == 13
    assert "next_cursor" not in page(w.admin, "/audit-records", **query)
    assert "next_cursor" in page(w.admin, "/audit-records", **{**query, "limit": 12})


def history_takes_the_filters_that_other_lists_take(w):
    every = page(w.admin, "/audit-records", limit=1000)["items"]
    for text, match in (("risk=high", lambda r: r["risk"] == "high"), ("risk>low", lambda r: r["risk"] != "low"),
                        ("operation!=host_pool_create", lambda r: r["operation"] != "host_pool_create"),
                        ("operation~pool", lambda r: "pool" in r["operation"]), ('error=""', lambda r: "error" not in r),
                        ("result=done and user>=a and operation<p", lambda r: r["result"] == "done" and r["operation"] < "p"),
                        ("user=nobody and operation=role_create", lambda r: False)):
        found = page(w.admin, "/audit-records", limit=1000, filter=text)["items"]
        assert [r["id"] for r in found] == [r["id"] for r in every if match(r)], text
        assert found or "nobody" in text, text
    refused(w.admin.call("GET", "/audit-records?filter=nonsense=1"), 400, "bad_filter")


def history_deep(w):
    """Events in the database as if they had come long ago: their times run against their ids."""
    w.m.stop()
    with sqlite3.connect(os.path.join(w.m.data, "winsphere.db")) as db:
        w.first = db.execute('SELECT min(id) FROM "events"').fetchone()[0]
        rows = []
        for n in range(1, DEEP + 1):
            id_, at = 10_000_000 + n, time_of(1_000_000_000_000_000 - n * 1_000_000)
            body = {"id": f"event-{id_}", "revision": 1, "time": at, "level": "info", "object": f"vm-{n % 7}", "object_name": "rare" if n in (3, 6000) else "x",
                    "text": "old" if n % 2 else "older"}
            rows.append((id_, json.dumps(body), at, body["object"], body["text"]))
        db.executemany('INSERT INTO "events" (id, revision, body, "time", "object", "text") VALUES (?, 1, ?, ?, ?, ?)', rows)
        db.execute("UPDATE meta SET value = '20000000' WHERE name = 'next_id'")
    w.m.more = ["--event-days", "0"]
    w.m.start()
    w.admin = center.Client(w.m).login("admin", w.m.password)


def a_rare_record_is_found_however_deep_it_lies(w):
    history_deep(w)
    found = page(w.admin, "/events", limit=5, filter="object_name=rare")
    assert [e["id"] for e in found["items"]] == ["event-10006000", "event-10000003"] and "next_cursor" not in found, found
    found = whole(w.admin, "/events", limit=1, filter="object_name=rare and text=old")
    assert [e["id"] for e in found] == ["event-10000003"], found
    assert not page(w.admin, "/events", filter="object_name=none and level=info")["items"]


def a_limit_never_cuts_off_without_a_cursor(w):
    first = page(w.admin, "/events", limit=50000, fields="time", filter="level=info and text~old")
    assert len(first["items"]) == 10000, len(first["items"])
    rest = page(w.admin, "/events", limit=50000, fields="time", filter="level=info and text~old", cursor=first["next_cursor"])
    assert len(rest["items"]) == DEEP - 10000 and "next_cursor" not in rest
    assert len({e["id"] for e in first["items"] + rest["items"]}) == DEEP


def a_range_of_time_is_exact_and_newest_first(w):
    low, high = time_of(1_000_000_000_000_000 - 300_000_000), time_of(1_000_000_000_000_000 - 100_000_000)
    found = whole(w.admin, "/events", limit=33, filter=f"time>={low} and time<{high}")
    assert [int(e["id"][6:]) for e in found] == list(range(10_000_101, 10_000_301)), (found[0], found[-1], len(found))
    found = whole(w.admin, "/events", limit=7, filter=f"time>={low} and time<{high} and object=vm-3 and text=old")
    assert [int(e["id"][6:]) for e in found] == [10_000_000 + n for n in range(101, 301) if n % 7 == 3 and n % 2], found
    assert [e["id"] for e in page(w.admin, "/events", filter=f"time={low}")["items"]] == ["event-10000300"]
    assert len(page(w.admin, "/events", limit=1000, filter="time<2001-09-09 and object=vm-3")["items"]) > 0
    assert not page(w.admin, "/events", filter="time>2100-01-01")["items"]


def history_is_sorted_by_id_and_time_either_way(w):
    for sort, key in (("id", lambda n: n), ("-id", lambda n: -n), ("time", lambda n: -n), ("-time", lambda n: n)):
        for text, match in (("text~old", lambda n: True), ("text=older", lambda n: n % 2 == 0), ("object=vm-5", lambda n: n % 7 == 5), ("object=vm-5 and text=older", lambda n: n % 7 == 5 and n % 2 == 0)):
            found = whole(w.admin, "/events", limit=2500, sort=sort, fields="time", filter=f"{text} and time<2002-01-01")
            wanted = sorted((n for n in range(1, DEEP + 1) if match(n)), key=key)
            assert [int(e["id"][6:]) - 10_000_000 for e in found] == wanted, (sort, text, len(found), len(wanted))
    assert "time" in refused(w.admin.call("GET", "/events?sort=level"), 400, "bad_value", "sort")["message"]
    refused(w.admin.call("GET", "/events?sort=nonsense"), 400, "unknown_field", "nonsense")
    cursor = page(w.admin, "/events", limit=1, sort="time")["next_cursor"]
    refused(w.admin.call("GET", f"/events?sort=-time&cursor={cursor}"), 400, "bad_cursor")


# ---- watching ----

def changes(watch, n):
    got = []
    while len(got) < n:
        message = watch.message()
        assert "changes" in message, message
        got += message["changes"]
    return got


def new_records_are_told_after_their_list_and_once(w):
    role(w.admin, "listed")
    listed = page(w.admin, "/audit-records", limit=1000)
    roles = [role(w.admin, "told-1")]
    watch = center.Socket(w.admin, f"/watch?types=audit-records&since={listed['revision']}")
    roles += [role(w.admin, name) for name in ("told-2", "told-3")]
    told = changes(watch, 3)
    assert [c["op"] for c in told] == ["put"] * 3 and [c["object"]["object"] for c in told] == roles, told
    known = {r["id"] for r in listed["items"]} | {c["id"] for c in told}
    assert {r["id"] for r in page(w.admin, "/audit-records", limit=1000)["items"]} == known
    assert told[0]["object"]["chain"], told[0]


def a_record_is_told_with_the_change_it_is_of_and_filtered(w):
    watch = center.Socket(w.admin, "/watch?types=roles,audit-records")
    only = center.Socket(w.admin, "/watch?types=audit-records&filter=" + urllib.parse.quote("operation=role_create and result=done"))
    assert watch.message()["changes"] == only.message()["changes"] == []
    made(w.admin.call("POST", "/host-pools", {"name": "not asked for"}))
    id_ = role(w.admin, "together")
    assert [c["type"] for c in changes(only, 1)] == ["AuditRecord"]
    told = changes(watch, 3)
    assert [(c["type"], c["id"]) for c in told[1:2]] == [("Role", id_)] and told[2]["object"]["object"] == id_, told


def events_are_watched(w):
    """Also over an orderly restart: the manager says that it has started."""
    watch = center.Socket(w.admin, "/watch?types=events,ended-tasks,migrations")
    assert watch.status == 101 and watch.message()["changes"] == []
    now = w.admin.call("GET", "/whoami")[1]["revision"]
    w.m.stop()
    w.m.start()
    again = center.Socket(w.admin, f"/watch?types=events&since={now}")
    assert [c["type"] for c in changes(again, 1)] == ["Event"]


def history_is_watched_by_those_who_may_read_it(w):
    reader = made(w.admin.call("POST", "/roles", {"name": "reads roles", "permissions": ["role.read"]}))
    made(w.admin.call("POST", "/users", {"name": "rosa", "password": "rosa's password", "roles": [reader]}))
    rosa = center.Client(w.m).login("rosa", "rosa's password")
    assert center.Socket(rosa, "/watch?types=audit-records").status == 403
    assert center.Socket(rosa, "/watch?types=events,roles").status == 403
    watch = center.Socket(rosa, "/watch")
    assert watch.message()["changes"] == []
    role(w.admin, "seen")
    assert [c["type"] for c in changes(watch, 1)] == ["Role"]


def a_watch_of_all_is_of_objects_alone(w):
    watch = center.Socket(w.admin, "/watch")
    assert watch.message()["changes"] == []
    role(w.admin, "first"), role(w.admin, "second")
    assert [c["type"] for c in changes(watch, 2)] == ["Role", "Role"]


def a_watch_from_what_has_not_been_is_told_to_relist(w):
    now = w.admin.call("GET", "/whoami")[1]["revision"]
    watch = center.Socket(w.admin, f"/watch?types=roles&since={now + 1000000}")
    first = watch.message()
    message = first if first.get("relist") else watch.message()
    assert message["relist"] and watch.message() == 4410, message
    good = center.Socket(w.admin, f"/watch?types=roles&since={now}")
    assert good.message()["changes"] == []


# ---- query parameters ----

def unknown_parameters_are_refused_and_nothing_is_done(w):
    for path in ("/roles?dryrun=true", "/roles?dry_run=true&dryrun=true", "/roles?limit=5"):
        error = refused(w.admin.call("POST", path, {"name": "typo", "permissions": []}), 400, "unknown_parameter")
        assert error["field"] in path and "dry_run" in error["params"]["known"], error
    assert not page(w.admin, "/roles", filter="name=typo")["items"]
    refused(w.admin.call("GET", "/roles?limt=5"), 400, "unknown_parameter", "limt")
    refused(w.admin.call("GET", "/roles?limit=5&limit=6"), 400, "bad_value", "limit")
    refused(w.admin.call("GET", "/audit-records?sort_by=time"), 400, "unknown_parameter", "sort_by")
    refused(w.admin.call("GET", "/search?q=x&typs=vms"), 400, "unknown_parameter", "typs")
    assert center.Socket(w.admin, "/watch?type=roles").status == 400
    refused(w.admin.call("GET", "/watch?types=roles&filter=nonsense=1"), 400, "bad_filter")
    refused(w.admin.call("GET", "/watch?types=roles&ids=" + ",".join(["r-1"] * 1025)), 400, "bad_value", "ids")
    refused(w.admin.call("GET", "/watch?types=roles&ids=" + ",".join(["r-1"] * 1024)), 400, "bad_value", "Upgrade")
    for call in (("GET", "/roles?dry_run=true"), ("PUT", "/volumes/vol-1/data?dry_run=true"), ("GET", "/whoami?dry_run=true")):
        refused(w.admin.call(*call), 422, "unsupported", "dry_run")
    status, body, head = center.Client(w.m).call("POST", "/sessions?cookie=true", {"user_name": "admin", "password": w.m.password})
    assert status == 201 and "token" not in body and "winsphere_session" in head["set-cookie"], body


def a_dry_run_lets_no_host_in(w):
    """And the token is good as before."""
    token = w.admin.call("POST", "/join-tokens", {"minutes": 10})[1]
    before, stranger = page(w.admin, "/hosts")["total"], center.Client(w.m)
    for _ in range(2):
        status, body, _ = stranger.call("POST", "/enrol?dry_run=true", {"token": token["token"], "csr": "x", "hostname": "h"})
        assert status == 200 and body["dry_run"] and body["steps"], body
    refused(stranger.call("POST", "/enrol?dryrun=true", {"token": token["token"], "csr": "x", "hostname": "h"}), 400, "unknown_parameter", "dryrun")
    assert page(w.admin, "/hosts")["total"] == before
    assert w.admin.call("GET", f"/join-tokens/{token['id']}")[0] == 200


def a_body_that_is_no_object_is_named(w):
    id_ = role(w.admin, "bodies")
    for answer in (w.admin.call("POST", "/roles", "[]"), w.admin.call("PATCH", f"/roles/{id_}", "[]")):
        assert "body" in refused(answer, 400, "wrong_type", "body")["message"]


# ---- batches of what answers at once ----

def batch(admin, plural, verb, ids, dry=False, **more):
    return admin.call("POST", f"/{plural}/batch{'?dry_run=true' if dry else ''}", {"verb": verb, "ids": ids, **more})


def a_dry_batch_checks_each_object(w):
    ids = [role(w.admin, f"many-{i}") for i in range(3)]
    used = role(w.admin, "used")
    made(w.admin.call("POST", "/users", {"name": "ursula", "password": "ursula's password", "roles": [used]}))
    status, body, _ = batch(w.admin, "roles", "delete", [*ids, used, "role-999999"], dry=True)
    assert status == 200 and body["dry_run"] and body["steps"] == ["delete role"], body
    by_id = {r["id"]: r for r in body["results"]}
    assert all(by_id[i]["steps"] == ["delete role"] for i in ids) and by_id[used]["error"]["code"] == "in_use", body
    assert by_id["role-999999"]["error"]["code"] == "not_found", body
    assert all(w.admin.call("GET", f"/roles/{i}")[0] == 200 for i in [*ids, used])


def one_patch_goes_to_many(w):
    ids = [role(w.admin, f"patched-{i}") for i in range(3)]
    args = {"description": "all alike"}
    assert [r["steps"] for r in batch(w.admin, "roles", "update", ids, True, args=args)[1]["results"]] == [["update role"]] * 3
    assert "description" not in w.admin.call("GET", f"/roles/{ids[0]}")[1]
    status, body, _ = batch(w.admin, "roles", "update", [*ids, "role-999999"], args=args)
    assert status == 200 and [r.get("error", {}).get("code") for r in body["results"]] == [None, None, None, "not_found"], body
    assert all(w.admin.call("GET", f"/roles/{i}")[1]["description"] == "all alike" for i in ids)
    errors = [r["error"] for r in batch(w.admin, "roles", "update", ids, args={"name": "one for all"})[1]["results"] if "error" in r]
    assert [e["code"] for e in errors] == ["name_taken", "name_taken"], errors


def a_batch_is_found_by_verb_and_by_each_object(w):
    ids = [role(w.admin, f"traced-{i}") for i in range(2)]
    assert batch(w.admin, "roles", "delete", ids)[0] == 200
    assert all(w.admin.call("GET", f"/roles/{i}")[0] == 404 for i in ids)
    for id_ in ids:
        found = page(w.admin, "/audit-records", filter=f"object={id_} and operation=role_delete")["items"]
        assert [r["result"] for r in found] == ["done"], found
    whole_ = page(w.admin, "/audit-records", limit=1, filter="operation=role_batch")["items"][0]
    assert whole_["detail"] == f"delete: {ids[0]} {ids[1]}", whole_
    assert found[0]["request_id"] == whole_["request_id"] + "/2", (found, whole_)


def a_long_batch_is_audited_within_bounds(w):
    ids = [f"role-{900000 + i}" for i in range(1000)]
    status, body, _ = batch(w.admin, "roles", "delete", ids, dry=True)
    assert status == 200 and len(body["results"]) == 1000
    refused(batch(w.admin, "roles", "delete", ids + ["role-999998"]), 400, "bad_value", "ids")
    record = page(w.admin, "/audit-records", limit=1, filter="operation=role_batch")["items"][0]
    assert record["result"] == "refused" and len(record["detail"]) < 2200 and record["detail"].endswith(" ... of 1001"), record


def a_batch_needs_the_right_of_its_verb(w):
    id_ = role(w.admin, "kept")
    rosa = center.Client(w.m).login("rosa", "rosa's password")
    for dry in (True, False):
        refused(batch(rosa, "roles", "delete", [id_], dry), 403, "forbidden")
        refused(batch(rosa, "roles", "update", [id_], dry, args={"description": "x"}), 403, "forbidden")
    assert "description" not in w.admin.call("GET", f"/roles/{id_}")[1]
    for verb in ("list", "create", "nonsense", "change_password"):
        refused(batch(w.admin, "roles", verb, [id_]), 400, "bad_value", "verb")


def records_of(w, operation):
    return len(whole(w.admin, "/audit-records", limit=10000, fields="time", filter=f"operation={operation}"))


def a_repeated_batch_is_not_done_again_however_long_its_answer(w):
    ids = [f"role-{9_000_000_000_000_000_000 + i}" for i in range(1000)]
    head = {"Idempotency_Key": "long", "X_Request_Id": "r" * 47, "Accept_Language": "zh"}
    call = {"verb": "update", "ids": ids, "args": {"description": "again"}}
    status, body, _ = w.admin.call("POST", "/roles/batch", call, **head)
    assert status == 200 and len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()) > 256 * 1024
    assert len({r["error"]["request_id"] for r in body["results"]}) == 1000  # none is cut
    done = records_of(w, "role_update")
    status, again, _ = w.admin.call("POST", "/roles/batch", call, **head)
    assert status == 200 and [(r["id"], r["error"]["code"]) for r in again["results"]] == [(i, "not_found") for i in ids], again["results"][0]
    assert records_of(w, "role_update") == done


def wait_for(found):
    end = time.monotonic() + center.DEADLINE_S
    while not found():
        assert time.monotonic() < end
        time.sleep(0.01)


def a_batch_stops_where_its_caller_goes_away(w):
    ids = [role(w.admin, f"left-alone-{i}") for i in range(100)] * 10
    before = records_of(w, "role_update")
    text = json.dumps({"verb": "update", "ids": ids, "args": {"description": "seen"}}).encode()
    raw = socket.create_connection(("127.0.0.1", w.m.port), center.DEADLINE_S)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with w.m.context().wrap_socket(raw, server_hostname="127.0.0.1") as stream:
        stream.sendall((f"POST /api/v1/roles/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n"
                        f"X-Request-Id: goes-away\r\nAuthorization: Bearer {w.admin.token}\r\n\r\n").encode() + text)
        wait_for(lambda: records_of(w, "role_update") > before)
    wait_for(lambda: page(w.admin, "/audit-records", filter="operation=role_batch and request_id=goes-away")["items"])
    assert records_of(w, "role_update") < before + 1000
    last = page(w.admin, "/audit-records", limit=1, filter="operation=role_update")["items"][0]
    assert (last["result"], last["error"]) == ("refused", "cancelled"), last


def a_batch_stops_where_its_caller_loses_the_right(w):
    """Their session is one of the objects."""
    sessions = [center.Client(w.m).login("admin", w.m.password) for _ in range(3)]
    ids = [c.call("GET", "/whoami")[1]["session"] for c in sessions]
    before = records_of(w, "session_delete")
    status, body, _ = batch(sessions[1], "sessions", "delete", ids)
    assert status == 200 and [r.get("error", {}).get("code") for r in body["results"]] == [None, None, "unauthenticated"], body
    assert [c.call("GET", "/whoami")[0] for c in sessions] == [401, 401, 200]
    assert records_of(w, "session_delete") == before + 3  # that it was left alone, too


def each_change_of_a_long_revision_is_told(w):
    """A batch's first transaction has its tasks and their records: more changes than are read at a time."""
    w.m.stop()
    with sqlite3.connect(os.path.join(w.m.data, "winsphere.db")) as db:
        site = db.execute('SELECT min(id) FROM "clusters"').fetchone()[0]
        for n in range(600):
            insert(db, "vms", 15_000_000 + n, {"id": f"vm-{15_000_000 + n}", "name": f"watched-{n}", "state": "stopped", **({"cluster": f"cl-{site}"} if site else {})})
        db.execute("UPDATE meta SET value = '20000000' WHERE name = 'next_id'")
    w.m.start()
    w.admin = center.Client(w.m).login("admin", w.m.password)
    since = w.admin.call("GET", "/whoami")[1]["revision"]
    path = "/watch?types=audit-records&filter=" + urllib.parse.quote("operation=vm_update")
    watch = center.Socket(w.admin, path)
    assert watch.message()["changes"] == []
    ids = [f"vm-{15_000_000 + n}" for n in range(600)]
    status, body, _ = batch(w.admin, "vms", "update", ids, args={"description": "seen"})
    assert status == 202, body
    assert sorted(c["object"]["object"] for c in changes(watch, 600)) == sorted(ids)
    late = center.Socket(w.admin, f"{path}&since={since}")
    assert sorted(c["object"]["object"] for c in changes(late, 600)) == sorted(ids)


def all_that_ended_at_once_is_told_to_who_comes_later(w):
    """One revision again, behind which nothing comes: a user goes, and with them their sessions."""
    now = int(time.time() * 1000000)
    status, user, _ = w.admin.call("POST", "/users", {"name": "everywhere", "password": "a long password"})
    assert status == 201, user
    w.m.stop()
    with sqlite3.connect(os.path.join(w.m.data, "winsphere.db")) as db:
        for n in range(700):
            insert(db, "sessions", 16_000_000 + n, {"id": f"session-{16_000_000 + n}", "user": user["id"], "user_name": "everywhere", "token_hash": f"{n:064x}",
                                                    "created": time_of(now), "last_used": time_of(now), "expires": time_of(now + 86400 * 1000000)})
    w.m.start()
    w.admin = center.Client(w.m).login("admin", w.m.password)
    gone = {f"session-{16_000_000 + n}" for n in range(700)}
    path = f"/watch?types=sessions&since={w.admin.call('GET', '/whoami')[1]['revision']}"
    early = center.Socket(w.admin, path)
    assert w.admin.call("DELETE", f"/users/{user['id']}")[0] == 204
    for watch in (early, center.Socket(w.admin, path)):
        left = set(gone)
        while left:
            left -= {c["id"] for c in watch.message()["changes"] if c["op"] == "gone"}


# ---- what is kept ----

def insert(db, table, id_, body, **columns):
    body = {"revision": 1, **body}
    names = "".join(f', "{name}"' for name in columns)
    db.execute(f'INSERT INTO "{table}" (id, revision, body{names}) VALUES (?, 1, ?{", ?" * len(columns)})', (id_, json.dumps(body), *columns.values()))


def old_history_goes_but_for_tasks_that_something_names(w):
    now = int(time.time() * 1000000)
    old, young = time_of(now - 3 * 86400 * 1000000), time_of(now - 3600 * 1000000)
    w.m.stop()
    with sqlite3.connect(os.path.join(w.m.data, "winsphere.db")) as db:
        for n in range(1, 1201):  # more than two portions; two in front of them stay
            id_, task, at = 11_000_000 + n, f"task-{12_000_000 + n}", young if n == 1200 else old
            insert(db, "ended-tasks", id_, {"id": f"etask-{id_}", "time": at, "task": task, "kind": "volume_clone", "state": "done"}, time=at, task=task)
        for n, at in ((1, old), (2, young)):
            insert(db, "migrations", 13_000_000 + n, {"id": f"move-{13_000_000 + n}", "time": at, "result": "done"}, time=at)
        insert(db, "tasks", 14_000_001, {"id": "task-14000001", "kind": "volume_clone", "state": "done", "parent": "task-12000001",
                                         "created": young, "ended": time_of(now)})
        insert(db, "alarms", 14_000_002, {"id": "alarm-14000002", "kind": "host_add_failed", "level": "minor", "params": {"task": "task-12000002"},
                                          "since": young})
        db.execute("UPDATE meta SET value = '20000000' WHERE name = 'next_id'")
    w.m.more = ["--event-days", "0", "--task-days", "1", "--migration-days", "1", "--host-cert-life", "10"]  # that life makes it look often
    w.m.start()
    w.admin = center.Client(w.m).login("admin", w.m.password)
    wanted = [{f"etask-{11_000_000 + n}" for n in (1, 2, 1200)}, {"move-13000002"}]
    end = time.monotonic() + center.DEADLINE_S
    while True:
        left = [{r["id"] for r in page(w.admin, path, limit=10000)["items"]} for path in ("/ended-tasks", "/migrations")]
        assert wanted[0] <= left[0] and wanted[1] <= left[1], left
        if left == wanted:
            break
        assert time.monotonic() < end, (len(left[0]), left[1])
        time.sleep(0.05)
    assert len(page(w.admin, "/events", limit=10000, filter="text~old")["items"]) == 10000  # they are kept for ever


TESTS = [a_filter_loses_no_match_behind_others, a_full_page_has_a_cursor_only_if_something_is_behind_it,
         history_takes_the_filters_that_other_lists_take, a_rare_record_is_found_however_deep_it_lies, a_limit_never_cuts_off_without_a_cursor,
         a_range_of_time_is_exact_and_newest_first, history_is_sorted_by_id_and_time_either_way, new_records_are_told_after_their_list_and_once,
         a_record_is_told_with_the_change_it_is_of_and_filtered, events_are_watched, history_is_watched_by_those_who_may_read_it,
         a_watch_of_all_is_of_objects_alone, a_watch_from_what_has_not_been_is_told_to_relist, unknown_parameters_are_refused_and_nothing_is_done,
         a_dry_run_lets_no_host_in, a_body_that_is_no_object_is_named, a_dry_batch_checks_each_object, one_patch_goes_to_many,
         a_batch_is_found_by_verb_and_by_each_object, a_long_batch_is_audited_within_bounds, a_batch_needs_the_right_of_its_verb,
         a_repeated_batch_is_not_done_again_however_long_its_answer, a_batch_stops_where_its_caller_goes_away,
         a_batch_stops_where_its_caller_loses_the_right, each_change_of_a_long_revision_is_told, all_that_ended_at_once_is_told_to_who_comes_later,
         old_history_goes_but_for_tasks_that_something_names]

if __name__ == "__main__":
    sys.exit(1 if center.run_tests("ws-lists-", TESTS, World) else 0)
