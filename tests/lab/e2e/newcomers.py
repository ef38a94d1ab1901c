# SPDX-License-Identifier: Apache-2.0
"""Machines added over SSH: winctl, the manager, a real sshd and dpkg, the agent, libvirt."""
import contextlib
import os
import pty
import select
import subprocess
import termios
import time

from newcomer_site import PASSWORD, PLAIN_USER, PORT
from runkit.processes import wait_for
from whole_site import Case, check, refused

LOCAL_VM = "<domain type='qemu'><name>stranger</name><memory unit='MiB'>32</memory><os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"
SLOW = "#!/bin/sh\n# Waits until somebody says that it is enough.\ntouch /run/installing\nwhile [ ! -e /run/enough ]; do sleep 0.1; done\n"
TERMINAL_DEADLINE_S = 400
STATE = "/var/lib/winsphere/host"


class Newcomers(Case):
    """The first machine is added by a person at a terminal, the second by a program with a key."""

    def __init__(self, site):
        super().__init__(site)
        self.first, self.second = site.newcomers

    def body(self, machine, **changes):
        body = {"address": machine.address, "port": PORT, "password": PASSWORD, "host_key": machine.fingerprint(), "timeout_s": 600, **changes}
        return {key: value for key, value in body.items() if value is not None}

    def refused(self, code, machine, **changes):
        return refused(code, self.api.post, "hosts/add", self.body(machine, **changes))

    def tokens(self):
        return self.api.items("join-tokens")

    def is_clean(self, machine):
        check(not self.tokens(), self.tokens())
        check(not machine.agents(), "an agent runs")
        check(machine.run("test", "-e", f"{STATE}/host.crt")[0] != 0, "it has a certificate")
        check(not [host for host in self.api.items("hosts") if host["name"] == machine.lab_host.name], self.api.items("hosts"))

    # ---- refusals ----

    def nobody_who_listens_is_told_as_such(self):
        error = self.refused("ssh_unreachable", self.first, port=1)
        check(self.first.address in error.message and error.status == 503, error)

    def unknown_key_is_told_before_anything_is_said(self):
        before = self.first.log().count("Failed password") + self.first.log().count("Accepted")
        error = self.refused("host_key_unknown", self.first, host_key=None)
        check(error.params["host_key"] == self.first.fingerprint(), (error.params, self.first.fingerprint()))
        check(self.first.log().count("Failed password") + self.first.log().count("Accepted") == before, self.first.log())

    def other_key_is_refused_naming_both(self):
        error = self.refused("host_key_changed", self.first, host_key=self.second.fingerprint())
        check(self.first.fingerprint() in error.message and self.second.fingerprint() in error.message, error)

    def wrong_password_and_missing_one_are_refused(self):
        self.refused("ssh_refused", self.first, password="wrong")
        self.refused("required", self.first, password=None)
        self.refused("bad_value", self.first, private_key="no key", password=None)

    def user_who_is_not_root_is_refused(self):
        error = self.refused("not_root", self.first, user=PLAIN_USER)
        check(PLAIN_USER in error.message, error)

    def cluster_of_another_architecture_is_refused(self):
        self.site.make_package()
        error = self.refused("architecture_mismatch", self.first, cluster=self.site.other_cluster)
        check("aarch64" in error.message, error)
        os.unlink(os.path.join(self.site.packages, "winsphere-host_1.0_amd64.deb"))

    def machine_without_agent_needs_a_package(self):
        error = self.refused("agent_missing", self.first)
        check("amd64" in error.message, error)
        self.is_clean(self.first)

    def host_of_another_manager_is_left_alone(self):
        self.first.inside("mkdir", "-p", STATE)
        self.first.inside("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=host-7",
                          "-keyout", "/dev/null", "-out", f"{STATE}/host.crt")
        self.first.inside("cp", f"{STATE}/host.crt", f"{STATE}/ca.crt")
        self.first.inside("dd", "status=none", f"of={STATE}/manager", text="https://elsewhere:8443")
        error = self.refused("joined_elsewhere", self.first)
        check("https://elsewhere:8443" in error.message, error)
        self.first.inside("rm", "-r", STATE)

    # ---- the way back ----

    def failed_joining_takes_everything_back(self):
        os.rename(os.path.join(self.site.top, "package-1.0"), os.path.join(self.site.top, "tree"))
        self.site.make_package()
        task = self.api.wait(self.api.post("hosts/add", self.body(self.first, manager=f"https://{self.site.manager_address}:1")))
        check(task["state"] == "rolled_back" and task["error"]["code"] == "remote_failed", task)
        check(not self.first.has_package(), "the package is still there")
        self.is_clean(self.first)

    # ---- the way there ----

    def person_confirms_the_key_and_types_the_password(self):
        words = self.at_terminal([self.site.program("winctl"), "host", "add", self.first.address, "--port", str(PORT), "--name", "one",
                                  "--cluster", self.site.cluster, "--wait"], (b"[y/N]", b"y\n"), (b"assword", PASSWORD.encode() + b"\n"))
        check(self.first.fingerprint() in words, words)
        check(PASSWORD not in words, "the password was shown")
        host = next(host for host in self.api.items("hosts") if host["name"] == "one")
        check(host["state"] == "connected" and host["cluster"] == self.site.cluster, host)
        check(host["ssh"] == {"address": self.first.address, "port": PORT, "user": "root", "host_key": self.first.fingerprint()}, host["ssh"])
        check(self.first.has_package() and self.first.agents(), "no package or agent")
        check(not self.tokens(), self.tokens())

    def vms_of_the_machine_are_seen(self):
        self.first.inside("virsh", "define", "/dev/stdin", text=LOCAL_VM)
        host = next(host["id"] for host in self.api.items("hosts") if host["name"] == "one")
        wait_for("the VM of the host", lambda: [vm for vm in self.api.items("vms") if vm["name"] == "stranger" and vm["host"] == host], 30)

    def at_terminal(self, argv, *talk):
        """Runs winctl on a terminal of its own and answers its questions; its words. A password's question comes when nothing is shown any more."""
        ours, its = pty.openpty()
        process = subprocess.Popen(argv, stdin=its, stdout=its, stderr=its, env=self.site.product.environment, start_new_session=True)
        os.close(its)
        said = b""
        end = time.monotonic() + TERMINAL_DEADLINE_S

        def read():
            check(select.select([ours], [], [], max(0, end - time.monotonic()))[0], lambda: f"nothing more came after {said!r}")
            return os.read(ours, 4096)

        try:
            for question, answer in talk:
                while question not in said.split(b"\n")[-1]:
                    said += read()
                check(b"assword" not in question or not termios.tcgetattr(ours)[3] & termios.ECHO, "a password would be shown, or lost")
                os.write(ours, answer)
            with contextlib.suppress(OSError):  # the terminal's end
                while piece := read():
                    said += piece
            check(process.wait(TERMINAL_DEADLINE_S) == 0, said.decode(errors="replace"))
        finally:
            process.kill()
            process.wait()
            os.close(ours)
        return said.decode(errors="replace")

    def machine_is_not_added_twice(self):
        error = self.refused("host_known", self.first)
        check("one" in error.message, error)

    def pinned_key_is_kept_to(self):
        old = self.first.fingerprint()
        self.first.server.stop()
        self.first.new_key("host_key")
        self.first.listen()
        error = self.refused("host_key_changed", self.first)  # although the person has confirmed the new one
        check(old in error.message and self.first.fingerprint() in error.message, error)

    def password_is_kept_nowhere(self):
        found = subprocess.run(["grep", "-rlF", PASSWORD, self.site.manager_dir, self.site.manager.log], capture_output=True, text=True, check=False)
        check(found.returncode == 1, found.stdout)
        tasks = self.api.items("tasks")
        check(any(task["kind"] == "host_add" for task in tasks) and PASSWORD not in str(tasks), "in a task")

    def manager_killed_half_way_gives_up_and_says_so(self):
        self.site.make_package("2.0", SLOW)
        task = self.api.post("hosts/add", self.body(self.second))
        wait_for("the installation to begin", lambda: self.second.run("test", "-e", "/run/installing")[0] == 0, 60)
        found = subprocess.run(["grep", "-rlF", PASSWORD, self.site.manager_dir], capture_output=True, text=True, check=False)
        check(found.returncode == 1, found.stdout)
        self.site.kill(self.site.manager)
        self.site.start_manager("--packages", self.site.packages)
        self.api.login()
        ended = self.api.wait(task)
        check(ended["state"] == "rolled_back" and ended["error"]["code"] == "secret_gone", ended)
        check("host_add_left" in [line["text"] for line in ended["log"]], ended["log"])
        self.second.inside("touch", "/run/enough")
        wait_for("the installation to end", lambda: self.second.run("pgrep", "-x", "dpkg|apt-get")[0] != 0, 60)
        self.is_clean(self.second)

    def key_does_as_well(self):
        with open(self.second.path("login"), encoding="ascii") as file:
            key = file.read()
        task = self.api.do("hosts/add", self.body(self.second, password=None, private_key=key, name="two"))
        host = self.api.get(f"hosts/{task['result']}")
        check(host["name"] == "two" and host["state"] == "connected", host)

    def removed_host_can_be_added_again(self):
        """And its agent is there already."""
        host = next(host for host in self.api.items("hosts") if host["name"] == "two")["id"]
        self.api.do(f"hosts/{host}", {"force": True}, "DELETE")
        task = self.api.do("hosts/add", self.body(self.second, name="again"))
        check("host_add_has_agent" in [line["text"] for line in self.api.get(f"tasks/{task['id']}")["log"]], task)
        check([h["name"] for h in self.api.items("hosts") if h["state"] == "connected"].count("again") == 1, self.api.items("hosts"))
