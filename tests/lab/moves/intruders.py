# SPDX-License-Identifier: Apache-2.0
"""The source of a move is in somebody else's hands: root there, who has the session's socket and talks to the target's libvirt."""
import struct

from live import Cases
from runkit.processes import wait_for
from whole_site import LIVING, check

SLOW = 8 << 20  # bytes/s: a move lasts long enough to be used
SESSIONS = "/run/winsphere/moves"

# libvirt's RPC in few words; what it answers is only read up to the end of the connection.
SPEAK = """
import socket, sys
line = socket.socket(socket.AF_UNIX)
line.settimeout(60)
line.connect(sys.argv[1])
answers = 0
for word in sys.argv[2:]:
    line.sendall(bytes.fromhex(word))
    head = line.recv(4, socket.MSG_WAITALL)
    if len(head) < 4:
        break
    line.recv(int.from_bytes(head, "big") - 4, socket.MSG_WAITALL)
    answers += 1
print("answers:", answers)
"""


def text(value):
    data = value.encode()
    return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)


def call(procedure, serial, body=b""):
    return (struct.pack(">7I", 28 + len(body), 0x20008086, 1, procedure, 0, serial, 0) + body).hex()


def finish(name, serial):
    """The end of a move of the VM with this name: cancelled, so that what arrived of it goes."""
    return call(306, serial, struct.pack(">I", 1) + text("destination_name") + struct.pack(">I", 7) + text(name) + struct.pack(">III", 0, 3, 1))


class Intruders(Cases):
    """Each finds that one word which is no part of the move ends all of it, and that nothing came of it."""

    @property
    def victim(self):
        """A VM that lives on the target and has nothing to do with the moves."""
        if getattr(self, "_victim", None) is None:
            self._victim = self.estate.prover("victim", held_mib=4)
            self.moved(self._victim, self.away)
        return self._victim

    @property
    def decoy(self):
        if getattr(self, "_decoy", None) is None:
            self._decoy = self.estate.prover("decoy", held_mib=64)
        return self._decoy

    def session(self):
        """The task of a move that has begun, and the socket of its session on the source."""
        task = self.estate.migrate(self.decoy, self.away, bandwidth_bytes_per_s=SLOW)

        def carries():
            now = self.api.get(f"tasks/{task['id']}")
            check(now["state"] in LIVING, lambda: f"it ended: {now.get('error')}")
            return now.get("progress", {}).get("total")
        wait_for("bytes to move", carries, 180)
        return task, self.home.inside("find", SESSIONS, "-name", "libvirt").split()[0]

    def virsh(self, socket, *words):
        return self.home.attempt("virsh", "-c", f"qemu+unix:///system?socket={socket}", *words)

    def nothing_came(self, task, reason):
        ended = self.api.wait(task, 240)
        check(ended["state"] in ("failed", "rolled_back"), ended)
        error = ended["error"]
        check(error["code"] == "move_refused" and reason in error["params"]["reason"], error)
        for vm, host in ((self.decoy, self.home), (self.victim, self.away)):
            wait_for("the VM to be free", lambda: not self.estate.vm(vm).get("activity"), 60)
            self.estate.only_on(vm, host)
            self.estate.runs_once(vm)
            self.estate.wait_held(vm, 1)
        told = [row for row in self.api.items("events") if row["text"] == "move_peer_refused"]
        check(any(row["level"] == "critical" and self.away.name in row["params"]["host"] and reason in row["params"]["reason"] for row in told), told)

    def definition_of_another_vm_cannot_be_read(self):
        uuid = self.estate.vm(self.victim)["uuid"]
        task, socket = self.session()
        status, said = self.virsh(socket, "dumpxml", uuid)
        check(status != 0 and "<domain" not in said, said[:400])
        self.nothing_came(task, "procedure 24")

    def other_vms_cannot_even_be_listed(self):
        task, socket = self.session()
        status, said = self.virsh(socket, "list", "--all", "--uuid")
        check(status != 0 and self.estate.vm(self.victim)["uuid"] not in said, said[:400])
        self.nothing_came(task, "procedure 273")

    def another_vm_cannot_be_ended_as_if_it_were_the_one_that_moves(self):
        name = f"vm-{self.victim.removeprefix('vm-')}"
        task, socket = self.session()
        words = [call(66, 0), call(1, 1, struct.pack(">I", 1) + text("qemu:///system") + struct.pack(">I", 0)), finish(name, 2)]
        said = self.home.inside("python3", "-c", SPEAK, socket, *words)
        check("answers: 2" in said, said)
        self.nothing_came(task, "did not begin on this connection")

    def volumes_cannot_be_read_and_the_next_move_goes_over(self):
        task, socket = self.session()
        status, said = self.virsh(socket, "pool-list", "--all")
        check(status != 0, said[:400])
        self.nothing_came(task, "procedure 281")
        self.moved(self.decoy, self.away, 240)
        self.estate.only_on(self.decoy, self.away)
        self.estate.prove(self.decoy)
        self.estate.destroy(self.decoy, self.victim)
