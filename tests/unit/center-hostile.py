#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile requests against a real wincenterd, made from its own contract. Prints TAP.

usage: center-hostile.py WINCENTERD [all]

Every field of every body of the contract gets values that nobody should send; every path gets ids that are none; bodies are cut, too
deep, too long, of another type. The manager never answers with 5xx (but 503 for a host that is not there), names the field
that it refuses, and is as big afterwards as before. Without `all` each field gets a third of the values, another third each time.
"""
import http.client
import importlib.util
import itertools
import json
import os
import random
import re
import signal
import sys
import tempfile
import urllib.parse

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("center_api", os.path.join(HERE, "center-api.py"))
center = importlib.util.module_from_spec(spec)
spec.loader.exec_module(center)

NESTED = "x"
for _ in range(40):
    NESTED = [NESTED]
VALUES = [None, True, False, 0, 1, -1, 2 ** 31, 2 ** 53 + 1, 2 ** 63 - 1, -2 ** 63, 2 ** 64, 1e308, -0.5, "", " ", "a" * 256, "a" * 70000,
          "\0", "a\0b", "\ud800", "../../etc/passwd", "/etc/passwd", "$(reboot)", "`id`; rm -rf /", "%s%s%n", "<script>alert(1)</script>",
          "' OR 1=1 --", "a\r\nX-Header: 1", "\u202eabc", "\u0301" * 50, "vm-1", "vm-999999999999999999999", "NaN", [], {}, [[]], [None],
          [{}], {"a": 1}, ["x"] * 3000, NESTED]
RAW = ["NaN", "1e999", "-0", "01", "tru", '"\\u12"', '"\x01"', "1" * 5000, '"' + "\\" * 9, "{,}", "[1,]", "/**/1"]
NAMES_FIELD = {"bad_value", "wrong_type", "out_of_range", "unknown_field", "required", "read_only_field", "immutable_field"}
IDS = ["0", "-1", "x", "vm-0", "vm-1x", "vm--1", "vm-99999999999999999999999", "vm-1\0", "..", "%", "vm-1/..", "VM-1", " vm-1", "vm-1;x=1", "é",
       "a" * 3000]


class Pipe:
    """One connection, as long as the manager keeps it."""

    def __init__(self, client):
        self.client, self.connection = client, None

    def ask(self, method, path, text, kind="application/json"):
        head = {"Authorization": f"Bearer {self.client.token}", "Content-Type": kind, "Accept-Language": "zh"}
        for attempt in (1, 2):
            if not self.connection:
                self.connection = http.client.HTTPSConnection("127.0.0.1", self.client.manager.port, timeout=center.DEADLINE_S,
                                                              context=self.client.manager.context())
            try:
                self.connection.request(method, f"/api/v1{path}", text, head)
                answer = self.connection.getresponse()
                body = answer.read()
                if answer.will_close:
                    self.close()
                return answer.status, body
            except (OSError, http.client.HTTPException):
                self.close()
                if attempt == 2:
                    raise
        raise AssertionError

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


class Contract:
    """What may be sent where."""

    def __init__(self, document):
        self.document = document
        for path, methods in document["paths"].items():
            for operation in methods.values():
                for parameter in operation.get("parameters", []) if isinstance(operation, dict) else []:
                    if parameter.get("name") == "id":
                        PREFIXES[path.split("/")[1]] = parameter["schema"]["pattern"][1:].split("-[1-9]")[0]

    def resolve(self, schema):
        while "$ref" in schema:
            at = self.document
            for word in schema["$ref"].lstrip("#/").split("/"):
                at = at[word]
            schema = at
        return schema

    def bodies(self):
        """(method, path, schema) of each operation that takes JSON."""
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                content = operation.get("requestBody", {}).get("content", {}) if isinstance(operation, dict) else {}
                kind = next((kind for kind in content if "json" in kind), None)
                if kind and "password" not in path:
                    yield method.upper(), path, self.resolve(content[kind]["schema"]), kind

    def paths(self):
        """(method, path) of each operation on one object."""
        for path, methods in self.document["paths"].items():
            for method in methods:
                if "{id}" in path and method in ("get", "post", "patch", "delete", "put"):
                    yield method.upper(), path

    def example(self, schema, depth=0):
        """Something that fits."""
        schema = self.resolve(schema)
        if "enum" in schema:
            return schema["enum"][0]
        kind = schema.get("type")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "object":
            return {name: self.example(part, depth + 1) for name, part in schema.get("properties", {}).items()
                    if name in schema.get("required", [])} if depth < 6 else {}
        if kind == "array":
            return [self.example(schema["items"], depth + 1)] * schema.get("minItems", 0)
        if kind in ("integer", "number"):
            return schema.get("minimum", 1)
        if kind == "boolean":
            return False
        pattern = schema.get("pattern", "")
        if pattern.startswith("^") and "-[1-9]" in pattern:  # a reference
            return pattern[1:].split("-[1-9]")[0] + "-1"
        return {"uuid": "6f2b6a0e-5e0c-4a52-9d3c-1d2f9b1f0a11", "cidr": "192.0.2.0/24", "ipv4": "192.0.2.1", "mac": "52:54:00:00:00:01",
                "date-time": "2026-01-01T00:00:00Z", "sha256": "0" * 64}.get(schema.get("format"), "/pools/x" if "/[" in pattern else "abc")

    def fields(self, schema, depth=0):
        """Ways into it: lists of names and, for an item, 0."""
        schema = self.resolve(schema)
        if depth > 3:
            return
        for name, part in schema.get("properties", {}).items():
            part = self.resolve(part)
            yield [name]
            inner = part if part.get("type") == "object" else self.resolve(part.get("items", {})) if part.get("type") == "array" else {}
            for way in self.fields(inner, depth + 1):
                yield [name] + ([0] if part.get("type") == "array" else []) + way


def put(contract, schema, body, way, value):
    """The body with the value at the end of the way; what is missing on the way is made up."""
    body = json.loads(json.dumps(body))
    at, part = body, contract.resolve(schema)
    for i, step in enumerate(way):
        last = i == len(way) - 1
        part = contract.resolve(part["items"] if step == 0 else part["properties"][step])
        if last:
            at[step] = value
        elif step == 0:
            at = at[0]
        else:
            if not at.get(step):
                inner = contract.example(part)
                at[step] = [contract.example(part["items"])] if part.get("type") == "array" else inner
            at = at[step]
    return body


def judge(method, path, sent, status, body):
    where = f"{method} {path} {str(sent)[:300]!r}: {status} {body[:400]!r}"
    answer = json.loads(body) if body else {}
    if status == 413 and path in OPEN:  # refused before it was read: who has not logged in sends little
        return
    assert status < 500 or (status == 503 and answer.get("code") in ("host_unreachable", "ssh_unreachable")), where
    if status >= 400:
        assert answer.get("code") and answer.get("message") and answer.get("request_id"), where
        assert answer["code"] not in NAMES_FIELD or answer.get("field"), where
        # Asked in Chinese, answered in it: no piece of an English sentence is left.
        assert CHINESE.search(answer["message"]) and not ENGLISH.search(answer["message"]), where


def judge_field(way, status, body):
    """A type or size that does not fit is told of this field, or of what is in it."""
    answer = json.loads(body) if body else {}
    name = "".join(f"[{step}]" if step == 0 else f".{step}" for step in way).lstrip(".")
    if status == 400 and answer["code"] in ("wrong_type", "out_of_range"):
        assert answer["field"] == name or answer["field"].startswith((name + ".", name + "[")), (name, answer)


def resident_kib(manager):
    with open(f"/proc/{manager.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def url(path):
    """With an id of the right kind, of nothing that is there."""
    word = path.split("/")[1]
    prefix = PREFIXES.get(word)
    return path.replace("{id}", f"{prefix}-1")


CHINESE = re.compile("[\u4e00-\u9fff]")
ENGLISH = re.compile(r"[A-Za-z]{2,} [A-Za-z]{2,} [A-Za-z]{2,}")
OPEN = {"/sessions", "/sessions/start_oidc", "/sessions/finish_oidc", "/enrol"}  # without a login
PREFIXES = {}  # of the paths, from the contract's ids


# ---- tests ----

def fields_of_every_body_with_values_that_nobody_should_send(m, admin, contract, thorough):
    pipe, n, turn = Pipe(admin), 0, itertools.count()
    for method, path, schema, kind in contract.bodies():
        example = contract.example(schema)
        for way in contract.fields(schema):
            part = next(turn) % 3
            for i, value in enumerate(VALUES):
                if not thorough and i % 3 != part:
                    continue
                text = json.dumps(put(contract, schema, example, way, value))
                target = url(path)
                status, body = pipe.ask(method, f"{target}?dry_run=true" if i % 2 else target, text, kind)
                judge(method, path, f"{way} = {value!r}"[:200], status, body)
                judge_field(way, status, body)
                n += 1
    print(f"# {n} requests", flush=True)
    assert n > 5000, n


def values_that_are_no_json(m, admin, contract, thorough):
    pipe = Pipe(admin)
    for method, path, schema, kind in contract.bodies():
        name = next(iter(schema.get("properties", {"x": 0})), "x")
        for raw in RAW:
            status, body = pipe.ask(method, url(path), f'{{"{name}":{raw}}}'.encode("latin-1"), kind)
            judge(method, path, raw, status, body)
            assert status >= 400, (method, path, raw, status)


def bodies_that_are_cut_anywhere(m, admin, contract, thorough):
    pipe = Pipe(admin)
    for method, path, schema, kind in contract.bodies():
        text = json.dumps(contract.example(schema))
        for cut in {0, 1, len(text) // 3, len(text) // 2, len(text) - 1}:
            status, body = pipe.ask(method, url(path), text[:cut], kind)
            judge(method, path, text[:cut], status, body)


def bodies_of_other_types_are_refused_before_they_are_read(m, admin, contract, thorough):
    pipe = Pipe(admin)
    for method, path, _, _ in contract.bodies():
        for kind in ("text/plain", "application/xml", "multipart/form-data; boundary=x", "application/jsonx", ""):
            status, body = pipe.ask(method, url(path), "{}", kind)
            judge(method, path, kind, status, body)
            assert status in (415, 401, 403), (method, path, kind, status, body)


def too_deep_and_too_long_bodies(m, admin, contract, thorough):
    pipe = Pipe(admin)
    for method, path, schema, kind in contract.bodies():
        name = next(iter(schema.get("properties", {"x": 0})), "x")
        for text in ("[" * 100000, f'{{"{name}":' * 20000, f'{{"{name}":' + "[" * 60000):
            status, body = pipe.ask(method, url(path), text, kind)
            judge(method, path, text[:40], status, body)
            assert status >= 400, (method, path, status)
    status, body = Pipe(admin).ask("POST", "/roles", b'{"name":"' + b"x" * (6 << 20) + b'"}')
    assert status == 413, (status, body)


def ids_that_are_none(m, admin, contract, thorough):
    pipe = Pipe(admin)
    for method, path in contract.paths():
        for text in [*IDS, f"{PREFIXES[path.split('/')[1]]}-999999"]:
            target = path.replace("{id}", urllib.parse.quote(text, safe=""))
            try:
                status, body = pipe.ask(method, target, "{}" if method != "GET" else None)
            except OSError as error:
                raise AssertionError(f"{method} {target[:80]}: {error}") from error
            where = (method, target[:80], status, body[:200])
            assert 400 <= status < 500, where


def queries_that_mean_nothing(m, admin, contract, thorough):
    pipe, rand = Pipe(admin), random.Random(7)
    words = ["name", "=", "~", "!=", "<", '"', "\\", " and ", "(", "power.state", "disks.volume", "labels.x", "\0", "é", "9" * 40, "vm-1", "%"]
    for path in [path for path in contract.document["paths"] if "get" in contract.document["paths"][path] and "{id}" not in path]:
        for _ in range(12):
            text = "".join(rand.choice(words) for _ in range(rand.randint(1, 9)))
            for key in ("filter", "sort", "fields", "cursor", "limit"):
                status, body = pipe.ask("GET", f"{path}?{key}={urllib.parse.quote(text, safe='')}", None)
                assert status < 500, (path, key, text, status, body[:300])


TESTS = [fields_of_every_body_with_values_that_nobody_should_send, values_that_are_no_json, bodies_that_are_cut_anywhere,
         bodies_of_other_types_are_refused_before_they_are_read, too_deep_and_too_long_bodies, ids_that_are_none, queries_that_mean_nothing]


def main():
    print(f"1..{len(TESTS) + 1}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="ws-hostile-") as folder:
        data = os.path.join(folder, "data")
        os.mkdir(data, 0o700)
        manager = center.Manager(os.path.abspath(sys.argv[1]), data)
        manager.start()
        try:
            with open(os.path.join(data, "initial-password"), encoding="ascii") as file:
                admin = center.Client(manager).login("admin", file.read().strip())
            contract = Contract(admin.call("GET", "/openapi.json")[1])
            before, pid = resident_kib(manager), manager.process.pid
            for i, test in enumerate(TESTS):
                try:
                    test(manager, admin, contract, "all" in sys.argv[2:])
                    print(f"ok {i + 1} - {test.__name__}", flush=True)
                except Exception as error:  # each failure is one line of TAP, and the next test runs
                    failed += 1
                    print(f"not ok {i + 1} - {test.__name__}\n# {type(error).__name__}: {str(error)[:1500]}", flush=True)
                    if manager.process.poll() is not None:
                        manager.start()
            grown = resident_kib(manager) - before
            print(f"# {grown} KiB more than before", flush=True)
            with open(manager.program, "rb") as file:
                sanitized = b"__asan_init" in file.read()  # keeps what was freed, to see who uses it all the same
            good = manager.process.pid == pid and manager.process.poll() is None and (sanitized or grown < 96 << 10)
            failed += not good
            print(f"{'ok' if good else 'not ok'} {len(TESTS) + 1} - manager_is_as_big_as_before", flush=True)
            if good:
                manager.stop()
        finally:
            manager.stop(signal.SIGKILL)
            if failed:
                with open(manager.log, encoding="utf-8", errors="replace") as file:
                    print("".join(f"# {line}" for line in file.readlines()[-10:]))
    return failed


if __name__ == "__main__":
    sys.exit(main())
