#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What browsers meet: the console's files and addresses, the session cookie, and requests that other pages make a browser send. A real wincenterd
on loopback. Prints TAP.

usage: center-web.py WINCENTERD
"""
import gzip
import http.client
import importlib.util
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("center_api", os.path.join(HERE, "center-api.py"))
center = importlib.util.module_from_spec(spec)
spec.loader.exec_module(center)

PAGE = b"<!doctype html><title>console</title>"
SCRIPT = b"export default 1\n" * 200


class Browser:
    """Requests with a cookie; `headers` say what the browser adds by itself."""

    def __init__(self, m, password):
        self.client = center.Client(m)
        self.own = f"https://127.0.0.1:{m.port}"
        status, head, _ = self.client.raw("POST", "/sessions?cookie=true", f'{{"user_name":"admin","password":"{password}"}}', {"Origin": self.own})
        assert status == 201, status
        self.set_cookie = head["set-cookie"]
        self.cookie = self.set_cookie.split(";")[0]

    def ask(self, method, path, body=None, **headers):
        return self.client.raw(method, path, body, {"Cookie": self.cookie, **{k.replace("_", "-"): v for k, v in headers.items()}})[0]


def get(m, path, **headers):
    """A request outside of the API."""
    connection = http.client.HTTPSConnection("127.0.0.1", m.port, context=m.context(), timeout=center.DEADLINE_S)
    try:
        connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


# ---- tests: each gets the manager and a logged-in browser ----

def cookie_is_out_of_reach_of_scripts_and_of_other_sites(m, browser):
    words = [w.strip() for w in browser.set_cookie.split(";")]
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(words), words


def cookie_reads_without_origin(m, browser):
    assert browser.ask("GET", "/whoami") == 200
    assert browser.ask("GET", "/whoami", Sec_Fetch_Site="same-origin") == 200


def cookie_changes_with_our_origin(m, browser):
    assert browser.ask("POST", "/host-pools", '{"name":"mine"}', Origin=browser.own) == 201


def cookie_changes_nothing_for_other_pages(m, browser):
    for headers in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": browser.own.replace("https", "http")},
                    {"Origin": browser.own + ".evil.example"}, {"Origin": browser.own, "Sec_Fetch_Site": "cross-site"},
                    {"Origin": browser.own, "Sec_Fetch_Site": "same-site"}):
        assert browser.ask("POST", "/host-pools", '{"name":"theirs"}', **headers) == 401, headers
    assert browser.ask("GET", "/whoami", Sec_Fetch_Site="cross-site") == 401


def cookie_opens_no_socket_for_other_pages(m, browser):
    words = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13", "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    assert browser.ask("GET", "/watch", **words) == 401
    assert browser.ask("GET", "/watch", Origin="https://evil.example", **words) == 401


def page_is_at_every_address_of_the_console(m, browser):
    for path in ("/", "/vms", "/vms/vm-7/summary", "/tasks?filter=state%3Dfailed"):
        status, head, body = get(m, path)
        assert (status, body) == (200, PAGE), (path, status)
        assert "'unsafe" not in head["content-security-policy"], head
        assert head["cache-control"] == "no-cache", head


def what_looks_like_a_file_is_one_or_missing(m, browser):
    assert get(m, "/assets/app.js")[0] == 200
    for path in ("/assets/gone.js", "/vms/x.png", "/etc/passwd.txt"):
        assert get(m, path)[0] == 404, path
    assert get(m, "/../etc/passwd.txt")[0] in (400, 404)
    assert get(m, "/api/v1/nothing")[0] == 404


def files_are_sent_compressed_to_who_takes_it(m, browser):
    status, head, body = get(m, "/assets/app.js", Accept_Encoding="gzip, br")
    assert status == 200 and head["content-encoding"] == "gzip" and gzip.decompress(body) == SCRIPT, head
    assert "immutable" in head["cache-control"] and head["vary"] == "accept-encoding", head
    status, head, body = get(m, "/assets/app.js")
    assert status == 200 and "content-encoding" not in head and body == SCRIPT, head
    assert get(m, "/assets/app.js", If_None_Match=head["etag"])[0] == 304
    assert get(m, "/assets/app.js.gz")[0] == 404


TESTS = [cookie_is_out_of_reach_of_scripts_and_of_other_sites, cookie_reads_without_origin, cookie_changes_with_our_origin,
         cookie_changes_nothing_for_other_pages, cookie_opens_no_socket_for_other_pages, page_is_at_every_address_of_the_console,
         what_looks_like_a_file_is_one_or_missing, files_are_sent_compressed_to_who_takes_it]


def main():
    with tempfile.TemporaryDirectory() as room:
        web = os.path.join(room, "web")
        os.makedirs(os.path.join(web, "assets"))
        for name, text in (("index.html", PAGE), ("assets/app.js", SCRIPT), ("assets/app.js.gz", gzip.compress(SCRIPT))):
            with open(os.path.join(web, name), "wb") as file:
                file.write(text)
        os.makedirs(os.path.join(room, "data"), mode=0o700)
        m = center.Manager(sys.argv[1], os.path.join(room, "data"))
        m.more = ["--web", web]
        m.start()
        with open(os.path.join(m.data, "initial-password"), encoding="ascii") as file:
            password = file.read().strip()
        browser = Browser(m, password)
        failed = 0
        print(f"1..{len(TESTS)}")
        for number, test in enumerate(TESTS, 1):
            try:
                test(m, browser)
                print(f"ok {number} {test.__name__}", flush=True)
            except Exception as error:
                failed += 1
                print(f"not ok {number} {test.__name__}\n# {type(error).__name__}: {error}", flush=True)
        m.stop()
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
