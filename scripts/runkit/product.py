# SPDX-License-Identifier: Apache-2.0
"""What `make run` asks of the product. Everything goes through winctl, as a user's own commands would.

Each step looks first and does only what is missing, so a second run finds everything in place.
"""
import hashlib
import json
import os
import subprocess

from .processes import Failure, wait_for

GUEST_MEMORY_BYTES = 268435456
VM = "first"
ANSWER_DEADLINE_S = 120


class Product:
    """The manager at a URL, spoken to as administrator. `folder` keeps winctl's login."""

    def __init__(self, winctl, url, folder):
        self.winctl = winctl
        self.url = url
        self.environment = dict(os.environ, WINCTL_CONFIG=os.path.join(folder, "winctl.json"))

    def call(self, *words, text=None):
        """Runs winctl; returns what it answered, parsed. `text` goes to its standard input."""
        command = [self.winctl, *words, "-o", "json"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, env=self.environment, check=False,
                              stdin=subprocess.DEVNULL if text is None else None)
        if done.returncode != 0:
            raise Failure(f"winctl {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def login(self, password, ca_file):
        self.call("login", self.url, "--user", "admin", "--ca", ca_file, "--password-stdin", text=password)

    def find(self, noun, name):
        """The object of that name, or None."""
        items = self.call(noun, "list", "--filter", f'name = "{name}"')["items"]
        return items[0] if items else None

    def ensure(self, noun, name, *options):
        """The object of that name, made with the options if it is absent."""
        found = self.find(noun, name)
        if found is None:
            self.call(noun, "create", "--name", name, *options, "--wait")
            found = self.find(noun, name)
        return found

    def join_token(self):
        return self.call("join-token", "create")["token"]

    def connected_host(self):
        """The first host once it is connected."""
        def look():
            hosts = self.call("host", "list", "--filter", 'state = "connected"')["items"]
            return hosts[0] if hosts else None
        return wait_for("the host to connect", look, 150)

    def prepare(self, host, pool_root, guests, uplink):
        """Pool, switch and port group on the host; returns the ids of pool and port group. guests: their network."""
        pool = self.ensure("pool", "local", "--hosts", host["id"], "--path", f"{pool_root}/local")
        uplinks = ["--uplinks", uplink] if uplink else []
        switch = self.ensure("switch", "internal", "--host", host["id"], *uplinks)
        group = self.ensure("port-group", "guests", "--switch", switch["id"], "--subnet.cidr", str(guests),
                            "--subnet.dhcp-last", str(guests[199]))
        return pool["id"], group["id"]

    def image(self, pool, path):
        """The small guest in the library, uploaded if it is not there."""
        found = self.find("image", "small-guest")
        if found and found["state"] == "ready":
            return found["id"]
        if found:
            self.call("image", "delete", found["id"], "--yes", "--wait")
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        self.call("image", "create", "--name", "small-guest", "--pool", pool, "--cloud-init", "true", "--guest-agent",
                  "true", "--min-memory-bytes", str(GUEST_MEMORY_BYTES), "--upload-bytes", str(os.path.getsize(path)),
                  "--sha256", digest, "--wait")
        self.call("volume", "upload", self.find("image", "small-guest")["volume"], path, "--wait")
        return wait_for("the image", lambda: self.find("image", "small-guest")["state"] == "ready" and
                        self.find("image", "small-guest"), 60)["id"]

    def running_vm(self, image, pool, group):
        """The first VM, deployed or started if need be, once its guest answers with an address."""
        vm = self.find("vm", VM)
        if vm is None:
            self.call("vm", "deploy", "--image", image, "--name", VM, "--pool", pool, "--port-group", group,
                      "--memory-bytes", str(GUEST_MEMORY_BYTES), "--cloud-init.hostname", VM, "--wait")
        elif vm["power"]["state"] != "running":
            self.call("vm", "start", vm["id"], "--wait")

        def answered():
            now = self.find("vm", VM)
            return now if now.get("guest", {}).get("ips") else None
        return wait_for("the guest to answer", answered, ANSWER_DEADLINE_S)

    def shut_down_all(self):
        """Asks every running guest to shut down; returns when all are off or the patience is over."""
        for vm in self.call("vm", "list", "--filter", 'power.state = "running"')["items"]:
            self.call("vm", "shutdown", vm["id"], "--yes")
        wait_for("guests to shut down", lambda: not self.call(
            "vm", "list", "--filter", 'power.state = "running"')["items"], 20, give_up=False)
