# SPDX-License-Identifier: Apache-2.0
"""Certificates in the course of time, which is a clock that the test moves (tests/fault/clock-shift.c): what a machine takes for anything decides nothing."""
import os
import ssl
import struct

from whole_site import Case, check, wait_for

LIFE_S = 720         # of host and manager certificates here; a third of it is left when they are renewed, a sixth when somebody is told
DUE_S = LIFE_S * 68 // 100
LOOK_DEADLINE_S = 300  # both look at the clock once a minute: an alarm is three quarters of a minute later than that
NO_CHECK_TIME = 0x200000  # OpenSSL's X509_V_FLAG_NO_CHECK_TIME
YEAR_S = 366 * 86400
SHORT = ("--host-cert-life", str(LIFE_S), "--server-cert-life", str(LIFE_S))


class Certificates(Case):
    """Each case goes on where the one before ended; the last leaves the site as it was. The guest of all of them never notices."""

    def __init__(self, site):
        super().__init__(site)
        self.clock = os.path.join(site.top, "clock")
        self.lasting = self.qemu = None
        self.ahead_s = 0

    # ---- helpers ----

    def host(self):
        return self.api.get(f"hosts/{self.site.host}")

    def shift(self, seconds):
        """The site's wall clock that much ahead from now on; sessions do not survive that."""
        with open(self.clock, "r+b" if os.path.exists(self.clock) else "w+b", buffering=0) as file:
            file.write(struct.pack("=q", seconds))
        self.ahead_s = seconds

    def make_due(self):
        """What has just been renewed."""
        self.shift(self.ahead_s + DUE_S)
        self.api.login()

    def restart(self, *options):
        """Both daemons anew."""
        self.site.kill(self.site.agent)
        self.site.manager.stop()
        self.site.start_manager(*options)
        self.api.login()
        self.site.start_agent()

    def rejoin(self):
        """By a token that names the host."""
        status, words = self.site.join(self.api.post("join-tokens", {"host": self.site.host})["token"])
        check(status == 0, words)

    def qemu_of(self, vm):
        """The pid of its QEMU, in the host."""
        return self.site.inside("pgrep", "-o", "-f", self.site.vm(vm)["uuid"]).strip()

    def guest_lasts(self):
        check(self.qemu_of(self.lasting) == self.qemu, "the guest's QEMU is another")
        self.site.wait_power(self.lasting, "running")

    def server_serial(self):
        """Of the certificate that the manager shows now."""
        return ssl.get_server_certificate(("127.0.0.1", self.site.port), timeout=60)

    def alarms(self):
        return [alarm["kind"] for alarm in self.api.items("alarms")]

    def agent_log(self, since=0):
        with open(self.site.agent.log, encoding="utf-8") as file:
            file.seek(since)
            return file.read()

    # ---- cases ----

    def host_renews_in_time_and_nothing_else_notices(self):
        self.lasting = self.site.deploy("lasting")
        self.qemu = self.qemu_of(self.lasting)
        library = os.path.join(os.path.dirname(self.site.programs), "tests/fault/libclock-shift.so")
        self.site.before = ["env", f"LD_PRELOAD={library}", f"CLOCK_SHIFT_FILE={self.clock}"]
        self.api.context.verify_flags |= NO_CHECK_TIME  # this program's own clock stays
        self.shift(0)
        self.restart(*SHORT)
        self.site.wait_connected()
        long = self.host()["certificate"]["serial"]
        self.rejoin()
        wait_for("a link under the short certificate", lambda: self.host()["state"] == "connected" and
                 self.host()["certificate"]["serial"] != long and "previous_serial" not in self.host(), 30)
        since = wait_for("the link", lambda: self.host()["connection"]["state"] == "up" and self.host()["connection"]["since"], 10)
        serial, managers = self.host()["certificate"]["serial"], self.server_serial()
        self.make_due()

        def renewed():
            now = self.host()
            check(now["connection"] == {"state": "up", "since": since}, now["connection"])
            check("certificate_expiring" not in self.alarms(), "it renews too late")
            return now["certificate"]["serial"] != serial
        wait_for("its renewal", renewed, LOOK_DEADLINE_S)
        wait_for("the manager's", lambda: self.server_serial() != managers, LOOK_DEADLINE_S)
        self.guest_lasts()

    def manager_renews_its_own_without_a_pause_and_the_host_again(self):
        pid, first, since, serial = self.site.manager.pid(), self.server_serial(), self.host()["connection"]["since"], self.host()["certificate"]["serial"]
        status, watch = self.api.socket("/api/v1/watch?types=roles")
        check(status in (101, 401), status)
        self.make_due()
        wait_for("the manager's new certificate", lambda: self.server_serial() != first, LOOK_DEADLINE_S)
        wait_for("the host's next one", lambda: self.host()["certificate"]["serial"] != serial, LOOK_DEADLINE_S)
        check(self.site.manager.pid() == pid and self.host()["connection"] == {"state": "up", "since": since}, self.host()["connection"])
        check("server_certificate" not in self.alarms(), self.alarms())
        watch.close()

    def certificate_and_key_that_do_not_fit_are_made_anew(self):
        """A crash between the two files."""
        self.site.manager.stop()
        path = os.path.join(self.site.manager_dir, "server.key")
        with open(os.path.join(self.site.manager_dir, "ca.key"), "rb") as other:
            foreign = other.read()
        with open(path, "wb") as file:
            file.write(foreign)
        self.site.start_manager(*SHORT)
        self.api.login()
        self.site.wait_connected()

    def expired_host_is_refused_and_comes_back_by_a_token(self):
        self.shift(YEAR_S)
        before = os.path.getsize(self.site.agent.log)
        self.restart(*SHORT)
        agent = self.site.agent.pid()
        wait_for("the agent to say that it has expired", lambda: "certificate-expired" in self.agent_log(before), 30)
        check(self.host()["state"] == "lost", self.host()["state"])
        wait_for("the alarm", lambda: "certificate_expiring" in self.alarms(), 10)
        self.rejoin()
        self.site.wait_connected()
        check(self.site.agent.pid() == agent, "the agent was restarted")
        wait_for("the alarm's end", lambda: "certificate_expiring" not in self.alarms(), 10)
        self.guest_lasts()

    def clock_that_leaps_a_year_costs_no_link(self):
        manager, agent, host = self.site.manager.pid(), self.site.agent.pid(), self.host()
        first = self.server_serial()
        self.shift(2 * YEAR_S)
        wait_for("the manager's new certificate", lambda: self.server_serial() != first, LOOK_DEADLINE_S)
        self.api.login()
        wait_for("the host's new certificate", lambda: self.host()["certificate"]["serial"] != host["certificate"]["serial"], LOOK_DEADLINE_S)
        now = self.host()
        check(now["connection"] == host["connection"], now["connection"])
        check((self.site.manager.pid(), self.site.agent.pid()) == (manager, agent), "somebody was restarted")
        self.guest_lasts()

    def clock_set_back_is_no_trap(self):
        """Certificates of a future: the manager makes its own anew, the host comes back by a token."""
        self.site.before = []
        self.restart()
        self.rejoin()
        self.site.wait_connected()
        self.guest_lasts()
        self.site.destroy(self.lasting)
        self.site.product.login(self.api.password, os.path.join(self.site.manager_dir, "ca.crt"))  # its session ended years ago
