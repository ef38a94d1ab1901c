#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Logins by an identity provider that does what a real one never would: a real wincenterd, and a provider of our own on loopback. Prints TAP.

usage: center-oidc.py WINCENTERD

Keys, certificates and signatures are openssl's. A browser is a client that keeps its cookie. See tests/oidc for a real provider.
"""
import base64
import collections
import concurrent.futures
import hashlib
import hmac
import http.server
import importlib.util
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("center_api", os.path.join(HERE, "center-api.py"))
center = importlib.util.module_from_spec(spec)
spec.loader.exec_module(center)
CLIENT, SECRET = "winsphere", "s3cret & more:="
P256_BYTES = 32
FROM_ONE_ADDRESS = 500  # logins begun and not finished (src/center/auth/identity_login.c)


def b64(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else data.encode()).rstrip(b"=").decode()


def openssl(*words, data=b""):
    return subprocess.run(["openssl", *words], input=data, capture_output=True, check=True).stdout


class Key:
    """A key pair with its JWK."""

    def __init__(self, folder, name, kind="RSA", bits=2048):
        self.name, self.kind, self.path = name, kind, os.path.join(folder, name + ".pem")
        if kind == "RSA":
            openssl("genrsa", "-out", self.path, str(bits))
            modulus = openssl("rsa", "-in", self.path, "-noout", "-modulus").decode().strip().split("=")[1]
            self.jwk = {"kty": "RSA", "kid": name, "use": "sig", "n": b64(bytes.fromhex(modulus)), "e": "AQAB"}
        else:
            openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.path)
            point = openssl("ec", "-in", self.path, "-pubout", "-outform", "DER")[-2 * P256_BYTES:]
            self.jwk = {"kty": "EC", "crv": "P-256", "kid": name, "use": "sig", "x": b64(point[:P256_BYTES]), "y": b64(point[P256_BYTES:])}
        self.public = openssl("pkey", "-in", self.path, "-pubout")

    def sign(self, algorithm, text):
        if algorithm == "PS256":
            return openssl("dgst", "-sha256", "-sign", self.path, "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32", data=text.encode())
        signature = openssl("dgst", "-sha256", "-sign", self.path, data=text.encode())
        if algorithm != "ES256":
            return signature
        numbers = re.findall(r"INTEGER\s*:(\w+)", openssl("asn1parse", "-inform", "DER", data=signature).decode())
        return b"".join(int(number, 16).to_bytes(P256_BYTES, "big") for number in numbers)


class Provider:
    """Right in all things, but for what a test changes: `claims` and `header` of the ID token, `answer` to take the place of an answer."""

    def __init__(self, folder, keys):
        self.folder, self.keys, self.asked = folder, keys, []
        self.reset()
        cert, key = os.path.join(folder, "tls.crt"), os.path.join(folder, "tls.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                "-subj", "/CN=provider", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:TRUE")
        with open(cert, encoding="ascii") as file:
            self.ca = file.read()
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                length = int(self.headers.get("content-length", 0))
                body = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
                path = self.path.split("?")[0]
                provider.asked.append(path)
                if path in provider.answer:
                    return provider.answer[path](self)
                status, value = provider.serve(path, body, self.headers)
                self.say(status, value)

            def say(self, status, value):
                text = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = handle_any

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):  # who breaks off is what some tests are about
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.issuer = f"https://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def reset(self):
        self.codes, self.answer, self.header, self.claims, self.person = {}, {}, {}, {}, {"sub": "248289761001", "preferred_username": "jane"}
        self.key, self.algorithm, self.document, self.user_info, self.raw, self.published = self.keys["rsa"], "RS256", {}, {}, None, None

    def serve(self, path, body, headers):
        if path == "/.well-known/openid-configuration":
            return 200, {"issuer": self.issuer, "authorization_endpoint": self.issuer + "/authorize", "token_endpoint": self.issuer + "/token",
                         "jwks_uri": self.issuer + "/keys", "userinfo_endpoint": self.issuer + "/me", **self.document}
        if path == "/keys":
            return 200, {"keys": self.published or [key.jwk for key in self.keys.values()]}
        if path == "/me":
            return 200, {"sub": self.person["sub"], **self.user_info}
        if path == "/token":
            return self.tokens(body, headers)
        return 404, {}

    def tokens(self, body, headers):
        pair = base64.b64decode(headers.get("authorization", "Basic ").split()[1] if headers.get("authorization") else b"").decode()
        given = [urllib.parse.unquote(part) for part in pair.split(":")]
        if given != [CLIENT, SECRET]:
            return 401, {"error": "invalid_client"}
        login = self.codes.pop(body.get("code"), None)  # good once
        if not login or b64(hashlib.sha256(body["code_verifier"].encode()).digest()) != login["code_challenge"] or \
                body["redirect_uri"] != login["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "at-" + login["nonce"], "token_type": "Bearer", "id_token": self.id_token(login)}

    def id_token(self, login):
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": login["nonce"], **self.person, **self.claims}
        header = {"alg": self.algorithm, "kid": self.key.name, **self.header}
        text = ".".join(b64(json.dumps({k: v for k, v in part.items() if v is not None})) for part in (header, claims))
        return f"{text}.{b64(self.raw(text) if self.raw else self.key.sign(self.algorithm, text))}"

    def agree(self, url):
        """What the person's login there comes to: the parameters with which the browser is sent back."""
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
        assert query["code_challenge_method"] == "S256" and query["response_type"] == "code" and "openid" in query["scope"].split(), query
        code = b64(os.urandom(16))
        self.codes[code] = query
        return {"state": query["state"], "code": code}


class Browser:
    def __init__(self, m):
        self.client, self.cookies = center.Client(m), {}

    def post(self, path, body):
        head = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        status, head, data = self.client.raw("POST", path, json.dumps(body), head)
        if "set-cookie" in head:
            name, value = head["set-cookie"].split(";")[0].split("=", 1)
            self.cookies[name] = value
        return status, json.loads(data), head

    def start(self, provider):
        status, body, _ = self.post("/sessions/start_oidc", {"provider": provider})
        assert status == 200, (status, body)
        return body["url"]


class World:
    def __init__(self, m, folder):
        self.m = m
        keys = {"rsa": Key(folder, "rsa"), "other": Key(folder, "other"), "ec": Key(folder, "ec", "EC")}
        self.stranger = Key(folder, "stranger")
        self.weak = Key(folder, "weak", bits=1024)
        self.provider = Provider(folder, keys)
        self.told = collections.Counter()
        self.admin = center.Client(m).login("admin", m.password)
        self.roles = {name: self.admin.call("POST", "/roles", {"name": name, "permissions": rights})[1]["id"]
                      for name, rights in (("viewer", ["vm.read"]), ("operator", ["vm.*"]), ("auditor", ["audit.read"]))}
        self.id = self.make(name="company", create_users=True, roles=[self.roles["viewer"]],
                            group_roles=[{"group": "ops", "role": self.roles["operator"]}, {"group": "audit", "role": self.roles["auditor"]}])

    def make(self, client=None, **others):
        status, body, _ = (client or self.admin).call("POST", "/identity-providers", {
            "issuer": self.provider.issuer, "client_id": CLIENT, "client_secret": SECRET, "ca_certificate": self.provider.ca, **others})
        assert status == 201, (status, body)
        return body["id"]

    def login(self, provider=None, browser=None):
        """(status, body, headers) of the last step."""
        browser = browser or Browser(self.m)
        return browser.post("/sessions/finish_oidc", self.provider.agree(browser.start(provider or self.id)))

    def logged_in(self, provider=None):
        status, body, _ = self.login(provider)
        assert status == 201, (status, body)
        return center.Client(self.m, body["token"])

    def refused(self, answer, code, reason="", status=403):
        got, body, _ = answer
        assert (got, body["code"]) == (status, code) and reason in body["message"], (got, body)
        self.told[code] += 1
        return body

    def recorded(self):
        """How many refused logins the audit log has of each code."""
        sums = collections.Counter()
        for r in self.admin.items("/audit-records"):
            if (r["kind"], r["result"]) == ("login", "refused"):
                sums[r.get("error")] += r.get("count", 1)
        return sums

    def user(self, name):
        found = self.admin.call("GET", f"/users?filter=name={name}")[1]["items"]
        return found[0] if found else None


# ---- tests: each gets the world; the provider is right at the beginning of each ----

def a_person_is_made_and_known_again(w):
    first = w.logged_in()
    me = first.call("GET", "/whoami")[1]
    user = w.user("jane")
    assert me["user"] == user["id"] and user["roles"] == [w.roles["viewer"]], (me, user)
    assert (user["identity_issuer"], user["identity_subject"]) == (w.provider.issuer, "248289761001")
    w.provider.person["preferred_username"] = "jane.married"
    assert w.logged_in().call("GET", "/whoami")[1]["user"] == user["id"]
    assert not w.user("jane.married")
    record = w.admin.call("GET", "/audit-records?filter=user=jane&limit=1")[1]["items"][0]
    assert (record["operation"], record["result"], record["object"]) == ("session_finish_oidc", "done", user["id"]), record


def each_algorithm_is_taken(w):
    for key, algorithm in (("rsa", "RS256"), ("rsa", "PS256"), ("ec", "ES256")):
        w.provider.key, w.provider.algorithm = w.provider.keys[key], algorithm
        w.logged_in()
    w.provider.header = {"kid": None}  # only one of its kind
    w.logged_in()


def a_browser_gets_the_cookie_alone(w):
    browser = Browser(w.m)
    brought = w.provider.agree(browser.start(w.id))
    status, body, head = browser.post("/sessions/finish_oidc?cookie=true", brought)
    assert status == 201 and "token" not in body, body
    assert re.search(r"winsphere_session=wss_.*; Path=/; Secure; HttpOnly; SameSite=Strict", head["set-cookie"]), head
    host = f"127.0.0.1:{w.m.port}"
    status, _, data = center.Client(w.m).raw("GET", "/whoami", headers={"cookie": f"winsphere_session={browser.cookies['winsphere_session']}", "host": host})
    assert status == 200 and json.loads(data)["name"] == "jane", data


def signatures_that_do_not_hold_are_refused(w):
    provider = w.provider
    cases = [
        ("none", dict(header={"alg": "none"}, raw=lambda text: b""), "not signed by"),
        ("HS256 by the public key", dict(header={"alg": "HS256"}, raw=lambda text: hmac.digest(provider.key.public, text.encode(), "sha256")),
         "not signed by"),
        ("HS256 by the secret", dict(header={"alg": "HS256"}, raw=lambda text: hmac.digest(SECRET.encode(), text.encode(), "sha256")),
         "not signed by"),
        ("another's key under our name", dict(raw=lambda text: w.stranger.sign("RS256", text)), "does not hold"),
        ("an unknown key", dict(header={"kid": "stranger"}, raw=lambda text: w.stranger.sign("RS256", text)), "no such key"),
        ("another claim after signing", dict(raw=lambda text: provider.key.sign("RS256", text + "x")), "does not hold"),
        ("PKCS1 said to be PSS", dict(header={"alg": "PS256"}, raw=lambda text: provider.key.sign("RS256", text)), "does not hold"),
        ("an RSA key for ES256", dict(header={"alg": "ES256"}, raw=lambda text: bytes(64)), "no such key"),
        ("zeros for ES256", dict(header={"alg": "ES256", "kid": "ec"}, raw=lambda text: bytes(64)), "does not hold"),
        ("no signature", dict(raw=lambda text: b""), "does not hold"),
        ("a critical extension", dict(header={"crit": ["b64"], "b64": True}), "extensions"),
        ("no kid, two keys", dict(header={"kid": None}), "several keys"),
        ("a key too short", dict(header={"kid": "weak"}, raw=lambda text: w.weak.sign("RS256", text), published=[w.weak.jwk]), "no such key"),
        ("a key for encryption", dict(published=[dict(provider.keys["rsa"].jwk, use="enc")]), "no such key"),
        ("a key for another algorithm", dict(published=[dict(provider.keys["rsa"].jwk, alg="PS256")]), "no such key"),
        ("a point that is not on the curve", dict(key=provider.keys["ec"], algorithm="ES256", published=[dict(provider.keys["ec"].jwk, y=b64(bytes(32)))]),
         "no such key"),
    ]
    wrong = []
    for name, change, reason in cases:
        provider.reset()
        for what, value in change.items():
            setattr(provider, what, value)
        try:
            w.refused(w.login(), "identity_refused", reason)
        except AssertionError as error:
            wrong.append((name, str(error)[:300]))
    assert not wrong, wrong


def claims_that_are_not_for_this_login_are_refused(w):
    now = int(time.time())
    cases = [({"iss": "https://elsewhere.example"}, "another issuer"), ({"iss": w.provider.issuer + "/"}, "another issuer"),
             ({"aud": "somebody else"}, "another client"), ({"aud": ["somebody else"]}, "another client"), ({"aud": None}, "another client"),
             ({"aud": [CLIENT, "other"]}, "another client"), ({"azp": "other"}, "another client"),
             ({"aud": [CLIENT, "other"], "azp": "other"}, "another client"),
             ({"nonce": "of another login"}, "another login"), ({"nonce": None}, "another login"), ({"nonce": ""}, "another login"),
             ({"exp": now - 120}, "expired"), ({"exp": None}, "how long"), ({"exp": "soon"}, "how long"), ({"iat": None}, "how long"),
             ({"iat": now + 600}, "later time"), ({"nbf": now + 600}, "later time"), ({"exp": -1e300}, "how long"),
             ({"sub": None}, "who it is"), ({"sub": ""}, "who it is"), ({"sub": 7}, "who it is"), ({"sub": "x" * 256}, "who it is"),
             ({"at_hash": "AAAA"}, "access token")]
    wrong = []
    for claims, reason in cases:
        w.provider.reset()
        w.provider.claims = claims
        try:
            w.refused(w.login(), "identity_refused", reason)
        except AssertionError as error:
            wrong.append((claims, str(error)[:300]))
    assert not wrong, wrong
    for claims in ({"exp": now - 30}, {"iat": now + 30}, {"aud": [CLIENT, "other"], "azp": CLIENT}):  # clocks may differ by a minute
        w.provider.claims = claims
        w.logged_in()


def state_is_good_once_for_one_browser(w):
    browser = Browser(w.m)
    brought = w.provider.agree(browser.start(w.id))
    assert browser.post("/sessions/finish_oidc", brought)[0] == 201
    w.refused(browser.post("/sessions/finish_oidc", brought), "identity_refused", "finished already")
    brought = w.provider.agree(browser.start(w.id))
    w.refused(Browser(w.m).post("/sessions/finish_oidc", brought), "identity_refused", "another browser")
    w.refused(browser.post("/sessions/finish_oidc", brought), "identity_refused", "finished already")  # it was tried: it is gone
    other = Browser(w.m)
    other.start(w.id)
    w.refused(other.post("/sessions/finish_oidc", w.provider.agree(browser.start(w.id))), "identity_refused", "another browser")
    w.refused(browser.post("/sessions/finish_oidc", {"state": "made-up", "code": "x"}), "identity_refused", "finished already")


def code_is_good_once(w):
    browser = Browser(w.m)
    brought = w.provider.agree(browser.start(w.id))
    assert browser.post("/sessions/finish_oidc", brought)[0] == 201
    again = w.provider.agree(browser.start(w.id))
    w.refused(browser.post("/sessions/finish_oidc", dict(again, code=brought["code"])), "identity_refused", "does not take the code")
    # A code of another login: PKCE does not fit.
    one, two = Browser(w.m), Browser(w.m)
    first, second = w.provider.agree(one.start(w.id)), w.provider.agree(two.start(w.id))
    w.refused(two.post("/sessions/finish_oidc", dict(second, code=first["code"])), "identity_refused", "does not take the code")


def what_the_provider_refuses_is_said(w):
    browser = Browser(w.m)
    state = w.provider.agree(browser.start(w.id))["state"]
    body = w.refused(browser.post("/sessions/finish_oidc", {"state": state, "error": "access_denied"}), "identity_refused", "did not log you in")
    assert body["cause"] == "access_denied", body
    state = w.provider.agree(browser.start(w.id))["state"]
    w.refused(browser.post("/sessions/finish_oidc", {"state": state}), "required", status=400)
    brought = w.provider.agree(browser.start(w.id))
    w.refused(browser.post("/sessions/finish_oidc", dict(brought, iss="https://elsewhere.example")), "identity_refused", "another provider")
    wrong = w.make(name="wrong secret", client_secret="guessed")
    assert w.refused(w.login(wrong), "identity_refused", "does not take the code")["cause"] == "invalid_client"


def users_are_bound_to_issuer_and_subject_never_to_a_name(w):
    before = w.user("admin")
    w.provider.person = {"sub": "intruder", "preferred_username": "admin"}
    w.refused(w.login(), "name_taken", "admin", 409)
    assert {k: v for k, v in w.user("admin").items() if k != "revision"} == {k: v for k, v in before.items() if k != "revision"}
    w.provider.person = {"sub": "another jane", "preferred_username": "jane"}
    w.refused(w.login(), "name_taken", "jane", 409)
    for name in ("-x", "a b", "", None, "x" * 65, "jörg", "a/../b"):
        w.provider.person = {"sub": "strange", "preferred_username": name}
        w.refused(w.login(), "identity_refused", "no name")


def administrators_link_users(w):
    quiet = w.make(name="quiet", create_users=False)
    w.provider.person = {"sub": "sub of li", "preferred_username": "li"}
    body = w.refused(w.login(quiet), "identity_unknown", "sub of li")
    assert body["params"]["subject"] == "sub of li"
    li = w.admin.call("POST", "/users", {"name": "li.wei", "password": "li's long word", "roles": [w.roles["viewer"]]})[1]["id"]
    link = {"provider": quiet, "subject": "sub of li"}
    assert w.admin.call("POST", f"/users/{li}/link_identity", link)[0] == 200
    assert w.logged_in(quiet).call("GET", "/whoami")[1]["name"] == "li.wei"
    assert center.Client(w.m).login("li.wei", "li's long word")
    jane = w.user("jane")["id"]
    status, body, _ = w.admin.call("POST", f"/users/{jane}/link_identity", link)
    assert (status, body["code"]) == (409, "in_use"), body
    service = w.admin.call("POST", "/users", {"name": "robot", "kind": "service"})[1]["id"]
    assert w.admin.call("POST", f"/users/{service}/link_identity", dict(link, subject="robot"))[1]["code"] == "not_allowed"
    session = w.logged_in(quiet)
    assert w.admin.call("POST", f"/users/{li}/unlink_identity", {})[0] == 200
    assert session.call("GET", "/vms")[0] == 401
    w.refused(w.login(quiet), "identity_unknown")


def roles_follow_from_groups_at_each_login(w):
    given = w.roles
    w.provider.person = {"sub": "grouped", "preferred_username": "grouped", "groups": ["ops", "unknown"]}
    w.logged_in()
    user = w.user("grouped")
    assert set(user["roles"]) == {given["viewer"], given["operator"]}, user
    w.provider.person["groups"] = "audit"  # one, as a text
    w.logged_in()
    assert set(w.user("grouped")["roles"]) == {given["viewer"], given["auditor"]}
    extra = w.admin.call("POST", "/roles", {"name": "extra", "permissions": ["host.read"]})[1]["id"]
    assert w.admin.call("PATCH", f"/users/{user['id']}", {"roles": [extra, given["auditor"]]})[0] == 200
    del w.provider.person["groups"]
    w.provider.user_info = {"groups": ["ops"]}  # said by UserInfo alone
    w.logged_in()
    assert set(w.user("grouped")["roles"]) == {extra, given["operator"]}, w.user("grouped")
    w.provider.user_info = {}
    w.logged_in()
    assert w.user("grouped")["roles"] == [extra]
    w.provider.user_info = {"sub": "somebody else", "groups": ["ops"]}
    w.refused(w.login(), "identity_refused", "different things")


def frozen_users_and_switched_off_providers_are_refused(w):
    session = w.logged_in()
    jane = w.user("jane")["id"]
    assert w.admin.call("PATCH", f"/users/{jane}", {"frozen": True})[0] == 200
    assert session.call("GET", "/vms")[0] == 401
    w.refused(w.login(), "identity_refused", "frozen")
    assert w.admin.call("PATCH", f"/users/{jane}", {"frozen": False})[0] == 200
    session, browser = w.logged_in(), Browser(w.m)
    brought = w.provider.agree(browser.start(w.id))
    w.provider.person = {"sub": "tokens", "preferred_username": "tokens", "groups": ["ops"]}
    keys = w.admin.call("POST", "/roles", {"name": "keys", "permissions": ["token.*"]})[1]["id"]
    holder = w.logged_in()
    assert w.admin.call("PATCH", f"/users/{w.user('tokens')['id']}", {"roles": [w.roles["operator"], keys]})[0] == 200
    _, token, _ = holder.call("POST", "/api-tokens", {"name": "kept"})
    assert "token" in token, token
    program = center.Client(w.m, token["token"])
    assert program.call("GET", "/vms")[0] == 200
    assert w.admin.call("PATCH", f"/identity-providers/{w.id}", {"enabled": False})[0] == 200
    assert session.call("GET", "/vms")[0] == 401
    assert w.user("tokens")["roles"] == [keys] and program.call("GET", "/vms")[0] == 403  # what its groups gave is gone
    w.refused(browser.post("/sessions/finish_oidc", brought), "identity_refused", "switched off")
    w.refused(browser.post("/sessions/start_oidc", {"provider": w.id}), "identity_refused", "switched off")
    assert w.id not in [c["provider"] for c in center.Client(w.m).call("GET", "/identity-providers/choices")[1]["items"]]
    assert w.admin.call("PATCH", f"/identity-providers/{w.id}", {"enabled": True})[0] == 200
    w.logged_in()
    assert set(w.user("tokens")["roles"]) == {w.roles["operator"], keys} and program.call("GET", "/vms")[0] == 200


def who_was_made_so_has_no_password(w):
    w.logged_in()
    for password in ("", "no user has this password", "jane"):
        status, body, _ = center.Client(w.m).call("POST", "/sessions", {"user_name": "jane", "password": password})
        assert (status, body["code"]) == (401, "login_failed"), body
    me = w.logged_in()
    status, body, _ = me.call("POST", f"/users/{w.user('jane')['id']}/change_password", {"old_password": "", "new_password": "a long word"})
    assert (status, body.get("field")) == (400, "old_password"), body


def discovery_of_another_issuer_is_refused(w):
    for document, reason in (({"issuer": "https://elsewhere.example"}, "another issuer"), ({"token_endpoint": "http://127.0.0.1/token"}, "lacks an https"),
                             ({"jwks_uri": None}, "lacks an https"), ({"authorization_endpoint": "javascript:alert(1)"}, "lacks an https")):
        w.provider.document = document
        fresh = w.make(name="changing")  # nothing of it is known yet
        w.refused(Browser(w.m).post("/sessions/start_oidc", {"provider": fresh}), "identity_refused", reason)
        w.admin.call("DELETE", f"/identity-providers/{fresh}")


def broken_answers_are_refused(w):
    def answer(status, text):
        return lambda handler: handler.say(status, text)

    def drop(handler):
        handler.connection.close()

    def redirect(handler):
        handler.send_response(302)
        handler.send_header("location", w.provider.issuer + "/keys")
        handler.send_header("content-length", "0")
        handler.end_headers()

    for path in ("/token", "/keys", "/me"):
        for how in (answer(200, b"<html>"), answer(200, b""), answer(500, b"{}"), answer(200, b'{"a":1,"a":2}'), answer(200, b"[]"), drop, redirect):
            w.provider.reset()
            w.provider.answer = {path: how}
            status, body, _ = w.login()
            assert status in (403, 502) and body["code"].startswith("identity_"), (path, status, body)
            w.refused((status, body, None), body["code"], status=status)


def a_gigabyte_is_not_read(w):
    sent = [0]

    def flood(handler):
        handler.send_response(200)
        handler.send_header("content-type", "application/json")
        handler.end_headers()
        handler.close_connection = True
        piece = b" " * 65536
        try:
            while sent[0] < 1 << 30:
                handler.wfile.write(piece)
                sent[0] += len(piece)
        except OSError:
            pass

    w.provider.answer = {"/keys": flood}
    body = w.refused(w.login(), "identity_unreachable", status=502)
    assert "too large" in body["cause"] and sent[0] < 64 << 20, (body, sent)


def a_provider_that_hangs_holds_up_nobody(w):
    """Twice as many as it has workers wait for it; meanwhile others log in, by password and at another provider, and work."""
    elsewhere = Provider(w.provider.folder, w.provider.keys)
    other = w.make(name="elsewhere", issuer=elsewhere.issuer, ca_certificate=elsewhere.ca, create_users=True)
    elsewhere.person["preferred_username"] = "joe"

    def by_password():
        center.Client(w.m).login("admin", w.m.password)

    def at_another():
        browser = Browser(w.m)
        status, body, _ = browser.post("/sessions/finish_oidc", elsewhere.agree(browser.start(other)))
        assert status == 201, body

    def work():
        assert w.admin.call("POST", "/roles", {"name": f"made {os.urandom(4).hex()}", "permissions": []})[0] == 201

    for what in (by_password, at_another, work):
        for _ in range(TRIES):  # the manager waits ten seconds for a provider: a machine may be slower than that
            if done_while_it_hangs(w, what):
                break
        else:
            raise AssertionError(f"{what.__name__} waited for the provider each time")


TRIES = 6


def done_while_it_hangs(w, what):
    """Does that; whether all who wait for the provider waited still."""
    let_go = threading.Event()

    def hang(handler):
        let_go.wait(center.DEADLINE_S)
        handler.close_connection = True

    browsers = [Browser(w.m) for _ in range(8)]
    brought = [w.provider.agree(browser.start(w.id)) for browser in browsers]
    w.provider.answer = {"/token": hang}
    w.provider.asked.clear()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(browser.post, "/sessions/finish_oidc", b) for browser, b in zip(browsers, brought)]
        end = time.monotonic() + center.DEADLINE_S
        while w.provider.asked.count("/token") < 4:
            assert time.monotonic() < end, w.provider.asked
            time.sleep(0.01)
        try:
            what()
            waited = not any(one.done() for one in waiting)
        finally:
            let_go.set()
        for one in waiting:
            status, body, _ = one.result()
            assert (status, body["code"]) == (502, "identity_unreachable"), (status, body)
    w.provider.answer = {}
    return waited


def one_address_cannot_take_all_the_room(w):
    """Whoever begins logins for nothing is stopped, and those who come from elsewhere are not."""
    here, elsewhere = (Browser(w.m) for _ in range(2))
    begun = []
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for status, body, _ in pool.map(lambda _: here.post("/sessions/start_oidc", {"provider": w.id}), range(FROM_ONE_ADDRESS + 10)):
            assert status == 200 or (status, body["code"]) == (429, "too_many_requests"), (status, body)
            begun += [body["url"]] if status == 200 else []
    assert FROM_ONE_ADDRESS - 30 < len(begun) <= FROM_ONE_ADDRESS, len(begun)  # tests before this one left some
    elsewhere.client.source = ("127.0.0.2", 0)
    assert elsewhere.post("/sessions/finish_oidc", w.provider.agree(elsewhere.start(w.id)))[0] == 201
    for url in begun[:50]:  # an end, good or bad, makes room
        assert here.post("/sessions/finish_oidc", {**w.provider.agree(url), "code": "wrong"})[0] == 403
    w.logged_in()


def it_may_only_be_set_up_within_ones_own_rights(w):
    role = w.admin.call("POST", "/roles", {"name": "identity keeper", "permissions": ["identity.*", "vm.read"]})[1]["id"]
    w.admin.call("POST", "/users", {"name": "idkeeper", "password": "keeper's word", "roles": [role]})
    keeper = center.Client(w.m).login("idkeeper", "keeper's word")
    system = [r["id"] for r in w.admin.call("GET", "/roles?limit=100")[1]["items"] if r["name"] == "system administrator"][0]
    body = {"name": "up", "issuer": "https://evil.example", "client_id": "x"}
    for more in ({"roles": [system]}, {"group_roles": [{"group": "all", "role": system}]}):
        status, answer, _ = keeper.call("POST", "/identity-providers", dict(body, **more))
        assert (status, answer["code"], answer["params"]["permission"]) == (403, "forbidden", "*"), answer
    admin = w.user("admin")["id"]
    assert w.admin.call("POST", f"/users/{admin}/link_identity", {"provider": w.id, "subject": "the admin"})[0] == 200
    status, answer, _ = keeper.call("POST", "/identity-providers", dict(body, issuer=w.provider.issuer))  # a client of their own, to come in as admin
    assert (status, answer["code"], answer["params"]["permission"]) == (403, "forbidden", "*"), answer
    assert w.admin.call("POST", f"/users/{admin}/unlink_identity", {})[0] == 200
    role = w.admin.call("POST", "/roles", {"name": "user keeper", "permissions": ["user.*"]})[1]["id"]
    status, answer, _ = w.admin.call("POST", "/users", {"name": "ukeeper", "password": "keeper's word", "roles": [role]})
    status, answer, _ = center.Client(w.m).login("ukeeper", "keeper's word").call(
        "POST", f"/users/{answer['id']}/link_identity", {"provider": w.id, "subject": "an operator"})  # whose groups would raise the keeper
    assert (status, answer["code"]) == (403, "forbidden"), answer
    mine = w.make(keeper, name="mine", issuer="https://sso.example", roles=[w.roles["viewer"]])
    assert keeper.call("PATCH", f"/identity-providers/{mine}", {"roles": [system]})[0] == 403
    assert keeper.call("PATCH", f"/identity-providers/{w.id}", {"ca_certificate": w.provider.ca})[0] == 403  # it lets in operators
    assert keeper.call("DELETE", f"/identity-providers/{w.id}")[0] == 403
    assert keeper.call("PATCH", f"/identity-providers/{mine}", {"issuer": "https://other.example"})[1]["code"] == "immutable_field"
    for field, value in (("issuer", "http://plain.example"), ("issuer", "https://user:word@x.example"), ("ca_certificate", "nonsense"),
                         ("client_id", ""), ("scopes", ["a b"])):
        status, answer, _ = w.admin.call("POST", "/identity-providers", dict(body, **{field: value}))
        assert status == 400 and answer["field"].startswith(field), (field, answer)
    assert w.admin.call("DELETE", f"/identity-providers/{mine}")[0] == 204


def a_certificate_of_another_ca_is_refused(w):
    """The inside CA alone counts, and without it the system's."""
    ca = openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "/dev/null", "-days", "2", "-subj", "/CN=other").decode()
    for change in ({"ca_certificate": ca}, {"ca_certificate": None}):
        status, body, _ = w.admin.call("PATCH", f"/identity-providers/{w.id}", change)
        assert status == 200, body
        w.refused(Browser(w.m).post("/sessions/start_oidc", {"provider": w.id}), "identity_unreachable", status=502)
    assert w.admin.call("PATCH", f"/identity-providers/{w.id}", {"ca_certificate": w.provider.ca})[0] == 200
    w.logged_in()


def each_refused_login_is_in_the_log(w):
    """Of those that are alike the first has a record of its own; the others are counted, and written when the manager ends at the latest. Kinds for
    which there was no room are counted together, without a code."""
    w.m.stop()
    w.m.start(w.m.port)
    found = w.recorded()
    assert w.told and sum((w.told - found).values()) <= found[None], (found, w.told)
    print(f"# told {dict(w.told)}, recorded {dict(found)}")


def logins_under_way_do_not_outlive_the_manager(w):
    browser = Browser(w.m)
    brought = w.provider.agree(browser.start(w.id))
    session = w.logged_in()
    w.m.stop(signal.SIGKILL)
    w.m.start(w.m.port)
    w.refused(browser.post("/sessions/finish_oidc", brought), "identity_refused", "not begun here")
    assert session.call("GET", "/whoami")[1]["name"] == "jane"
    w.logged_in()


def secrets_are_in_no_answer_log_or_database(w):
    browser = Browser(w.m)
    brought = w.provider.agree(browser.start(w.id))
    assert browser.post("/sessions/finish_oidc", brought)[0] == 201
    shown = json.dumps([w.admin.call("GET", f"/{plural}?limit=1000")[1] for plural in ("identity-providers", "audit-records", "events", "users", "sessions")])
    texts = {"answers": shown.encode()}
    for name in ("winsphere.db", "winsphere.db-wal"):
        with open(os.path.join(w.m.data, name), "rb") as file:
            texts[name] = file.read()
    with open(w.m.log, "rb") as file:
        texts["log"] = file.read()
    for where, text in texts.items():
        for secret in (SECRET, brought["code"], brought["state"], "at-", "eyJ"):
            assert not re.search(rb"(?<![A-Za-z0-9_-])" + re.escape(secret.encode()), text), (where, secret)


TESTS = [a_person_is_made_and_known_again, each_algorithm_is_taken, a_browser_gets_the_cookie_alone, signatures_that_do_not_hold_are_refused,
         claims_that_are_not_for_this_login_are_refused, state_is_good_once_for_one_browser, code_is_good_once, what_the_provider_refuses_is_said,
         users_are_bound_to_issuer_and_subject_never_to_a_name, administrators_link_users, roles_follow_from_groups_at_each_login,
         frozen_users_and_switched_off_providers_are_refused, who_was_made_so_has_no_password, discovery_of_another_issuer_is_refused,
         broken_answers_are_refused, a_gigabyte_is_not_read, a_provider_that_hangs_holds_up_nobody, one_address_cannot_take_all_the_room,
         it_may_only_be_set_up_within_ones_own_rights,
         a_certificate_of_another_ca_is_refused, each_refused_login_is_in_the_log, logins_under_way_do_not_outlive_the_manager, secrets_are_in_no_answer_log_or_database]


if __name__ == "__main__":
    sys.exit(1 if center.run_tests("ws-oidc-", TESTS, World, lambda world: world.provider.reset()) else 0)
