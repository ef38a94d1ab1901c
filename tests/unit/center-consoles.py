#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Console tickets: what they are worth when who got one may not any more. A manager whose hosts are simulated. Prints TAP.

usage: center-consoles.py LIVING_SITE
"""
import importlib.util
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("center_groups", os.path.join(HERE, "center-groups.py"))
groups = importlib.util.module_from_spec(spec)
spec.loader.exec_module(groups)
center, made, done, refused, ended = groups.center, groups.made, groups.done, groups.refused, groups.ended


class World:
    def __init__(self, m, _folder):
        self.m, self.admin = m, center.Client(m).login("admin", m.password)
        self.vm = groups.vm_of_ours(self.admin, "seen")
        ended(self.admin, self.admin.call("POST", f"/vms/{self.vm}/start"))

    def person(self, name):
        self.role = made(self.admin.call("POST", "/roles", {"name": name, "permissions": ["vm.read", "vm.console", "token.write"]}))["id"]
        self.user = made(self.admin.call("POST", "/users", {"name": name, "password": f"{name}'s word", "roles": [self.role]}))["id"]
        return center.Client(self.m).login(name, f"{name}'s word")

    def ticket(self, client):
        return done(client.call("POST", f"/vms/{self.vm}/console"))["ticket"]

    def open(self, ticket):
        """The status of its WebSocket. No login goes along: the ticket is all."""
        return center.Socket(center.Client(self.m, "none"), f"/console?ticket={ticket}").status


# ---- tests: each gets the world ----

def ticket_is_good_once(w):
    ticket = w.ticket(w.person("once"))
    assert (w.open(ticket), w.open(ticket), w.open("no-ticket")) == (101, 403, 403)


def frozen_user_sees_nothing(w):
    ticket = w.ticket(w.person("frozen"))
    done(w.admin.call("PATCH", f"/users/{w.user}", {"frozen": True}))
    assert w.open(ticket) == 403


def ended_session_sees_nothing(w):
    client = w.person("left")
    ticket = w.ticket(client)
    session = client.call("GET", "/whoami")[1]["session"]
    assert client.call("DELETE", f"/sessions/{session}")[0] == 204
    assert w.open(ticket) == 403


def right_that_is_gone_sees_nothing(w):
    ticket = w.ticket(w.person("demoted"))
    done(w.admin.call("PATCH", f"/roles/{w.role}", {"permissions": ["vm.read"]}))
    assert w.open(ticket) == 403


def revoked_token_sees_nothing(w):
    token = made(w.person("program").call("POST", "/api-tokens", {"name": "key", "permissions": ["vm.console"]}))
    ticket, other = (w.ticket(center.Client(w.m, token["token"])) for _ in range(2))
    assert w.open(other) == 101
    assert w.admin.call("DELETE", f"/api-tokens/{token['id']}")[0] == 204
    assert w.open(ticket) == 403


TESTS = [ticket_is_good_once, frozen_user_sees_nothing, ended_session_sees_nothing, right_that_is_gone_sees_nothing, revoked_token_sees_nothing]


if __name__ == "__main__":
    sys.exit(1 if center.run_tests("ws-consoles-", TESTS, World, manager=groups.Living) else 0)
