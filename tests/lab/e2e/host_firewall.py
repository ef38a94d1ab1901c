# SPDX-License-Identifier: Apache-2.0
"""Who may connect to a host: a real port, asked for from another host."""
import contextlib
import os
import signal

from labkit import namespaces
from whole_site import Case, check, refused, wait_for

PORTS = (2222, 8080)
SERVE = """import selectors, socket, sys
doors = selectors.DefaultSelector()
for port in sys.argv[1:]:
    doors.register(socket.create_server(("0.0.0.0", int(port))), selectors.EVENT_READ)
while True:
    for key, _ in doors.select():
        guest, _ = key.fileobj.accept()
        guest.sendall(b"hello")
        guest.close()
"""
ASK = "import socket, sys\ns = socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)\nassert s.recv(5) == b'hello'\n"


class HostFirewall(Case):
    """The first host serves two ports, the second asks for them."""

    @contextlib.contextmanager
    def served(self, member):
        pid = namespaces.spawn(member.lab_host.running_init(), ["python3", "-c", SERVE, *map(str, PORTS)], os.path.join(self.site.top, "served"))
        try:
            wait_for("the ports to be served", lambda: all(self.opens(member, port) for port in PORTS), 30)
            yield
        finally:
            os.kill(pid, signal.SIGKILL)

    def opens(self, member, port):
        address = self.site.lab.address_of(member.lab_host).ip
        return self.site.members[1].run("python3", "-c", ASK, str(address), str(port))[0] == 0

    def comes_in(self, member, port):
        """On a busy machine a connection may take its time; what is shut stays shut."""
        wait_for(f"port {port} to open; the tables are {member.inside('nft', 'list', 'ruleset')}", lambda: self.opens(member, port), 30)

    def set(self, member, **body):
        self.api.do(f"hosts/{member.id}/set_firewall", body)

    def only_what_is_listed_comes_in(self):
        member, other = self.site.members[:2]
        source = f"{self.site.lab.address_of(other.lab_host).ip}/32"
        with self.served(member):
            self.set(member, rules=[{"source": source, "ports": "2222"}])
            self.comes_in(member, 2222)
            check(not self.opens(member, 8080), "what is not listed comes in")
            self.set(member, rules=[{"source": "203.0.113.0/24", "ports": "2000-9000"}])
            check(not self.opens(member, 2222), "another's source comes in")
            check(member.now()["state"] == "connected", "the agent locked itself out")

            member.agent.stop()  # the manager says the list again whenever it reads the host anew
            member.inside("nft", "delete", "table", "inet", "winsphere_host")  # as after a boot
            self.comes_in(member, 8080)
            member.start_agent()
            member.wait_connected()
            wait_for("the list to be there again", lambda: not self.opens(member, 8080), 20)

            self.set(member, rules=[])
            check(not self.opens(member, 8080) and member.now()["state"] == "connected", "an empty list")
            self.api.do(f"hosts/{member.id}/sync")
            self.set(member, enabled=False)
            self.comes_in(member, 8080)
            check("winsphere_host" not in member.inside("nft", "list", "tables"), "the table is not gone")

    def list_that_cannot_be_is_refused_and_the_one_before_stays(self):
        member = self.site.members[0]
        self.set(member, rules=[{"ports": "22"}])
        before = member.inside("nft", "list", "table", "inet", "winsphere_host")
        for rule in ({"ports": "70000"}, {"ports": "9-1"}, {"protocol": "icmp", "ports": "1"}, {"ports": "0"}, {"source": "1.2.3.4/99"}):
            refused("bad_value", self.api.post, f"hosts/{member.id}/set_firewall", {"rules": [rule]})
        check(member.inside("nft", "list", "table", "inet", "winsphere_host") == before, "something was changed")
        self.set(member, enabled=False)

    def vm_still_moves_to_a_host_that_lets_nobody_in(self):
        for member in self.site.members:
            self.set(member, rules=[])
        vm = self.site.deploy("through-the-wall")
        self.site.wait_guest(vm)
        self.api.wait(self.api.post(f"vms/{vm}/migrate", {"host": self.site.members[1].id}), 180)
        now = self.site.vm(vm)
        check(now["host"] == self.site.members[1].id and now["power"]["state"] == "running", now)
        self.site.destroy(vm)
        for member in self.site.members:
            self.set(member, enabled=False)
