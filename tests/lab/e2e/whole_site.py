# SPDX-License-Identifier: Apache-2.0
"""A whole site for tests: manager, one lab host with its agent, the small guest in the library. And how tests speak to it.

Everything lies in one temporary directory; down() ends and deletes it all, also when up() failed half-way. The product is
driven through winctl (Product.call) and the REST API (Api) only; inside() looks at the host behind its back.
"""
import contextlib
import http.client
import ipaddress
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
from labkit import services  # noqa: E402  (after the path)
from runkit.place import LabHost  # noqa: E402
from runkit.processes import Failure, Process, run, wait_for  # noqa: E402
from runkit.product import GUEST_MEMORY_BYTES, Product  # noqa: E402

LIVING = ("queued", "running", "cancelling", "rolling_back")
TASK_DEADLINE_S = ANSWER_DEADLINE_S = 400  # what hangs is ended so; no machine's pace decides
HTTP_DEADLINE_S = 120


class Skip(Exception):
    """The case cannot be tried on this machine; says why."""


class Refused(Exception):
    """An answer of 400 and above."""

    def __init__(self, status, answer):
        super().__init__(f"{status} {answer}")
        self.status = status
        self.answer = answer if isinstance(answer, dict) else {}
        error = self.answer.get("error", self.answer)
        self.code = error.get("code")
        self.message = error.get("message", "")
        self.params = error.get("params", {})


class Api:
    """The REST API as administrator; one connection for each request."""

    def __init__(self, port, ca_file, password):
        self.port = port
        self.context = ssl.create_default_context(cafile=ca_file)
        self.password = password
        self.login()

    def login(self):
        self.token = None
        self.token = self.post("sessions", {"user_name": "admin", "password": self.password})["token"]

    def raw(self, method, path, body=None, headers=None):
        """Sends bytes; returns (status, headers, bytes)."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=HTTP_DEADLINE_S, context=self.context)
        send = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        with contextlib.closing(connection):
            connection.request(method, f"/api/v1/{path}", body, {**send, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def send(self, method, path, body=None, headers=None):
        """Sends JSON, returns JSON; Refused for an error."""
        text = None if body is None else json.dumps(body)
        status, _, answer = self.raw(method, path, text, {"Content-Type": "application/json", **(headers or {})})
        value = json.loads(answer) if answer else None
        if status >= 400:
            raise Refused(status, value)
        return value

    def get(self, path):
        return self.send("GET", path)

    def post(self, path, body=None, **headers):
        return self.send("POST", path, {} if body is None else body, headers)

    def items(self, plural, **query):
        """All, however many."""
        words = "&".join(f"{key}={value}" for key, value in {"limit": 500, **query}.items())
        page = self.get(f"{plural}?{words}")
        items = page["items"]
        while "next_cursor" in page:
            page = self.get(f"{plural}?{words}&cursor={page['next_cursor']}")
            items += page["items"]
        return items

    def wait(self, task, deadline_s=TASK_DEADLINE_S):
        """The task once it has ended."""
        def ended():
            now = self.get(f"tasks/{task['id']}")
            return now if now["state"] not in LIVING else None
        return wait_for(f"the end of {task['kind']} {task['id']}", ended, max(deadline_s, TASK_DEADLINE_S))

    def do(self, path, body=None, method="POST"):
        """A verb from beginning to end: the task, which must be done."""
        task = self.wait(self.send(method, path, {} if body is None else body))
        check(task["state"] == "done", f"{path}: {json.dumps(task.get('error'))} ({task['state']})")
        return task

    def cancel(self, task):
        """As soon as it may be: one that has ended meanwhile is not cancelled any more."""
        with contextlib.suppress(Refused):
            self.post(f"tasks/{task['id']}/cancel")

    def socket(self, path):
        """A WebSocket: (status, stream). Reads are the caller's; see read_message()."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=HTTP_DEADLINE_S)
        stream = self.context.wrap_socket(plain, server_hostname="127.0.0.1")
        stream.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = stream.recv(1)
            check(byte, f"the manager closed the connection after {head!r}")
            head += byte
        return int(head.split()[1]), stream


def read_message(stream):
    """The payload of the next short frame of a server."""
    head = stream.recv(2)
    check(len(head) == 2, "the stream ended")
    return stream.recv(head[1])


def check(condition, why):
    if not condition:
        raise Failure(why() if callable(why) else str(why))


def refused(code, call, *arguments):
    """Calls; must be refused with the code. Returns the refusal."""
    try:
        answer = call(*arguments)
    except Refused as error:
        check(error.code == code, f"refused with {error}, not {code}")
        return error
    raise Failure(f"{arguments} was not refused with {code}: {answer}")


class Console:
    """A VM's serial line by `winctl vm console`."""

    def __init__(self, argv, environment):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        env=environment)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.text = ""   # come, not looked for yet
        self.seen = ""   # what stood before the words found last

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()  # the console ends with its input
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def type(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait_for(self, words):
        """Waits until the words come, and forgets all up to them."""
        def look():
            self.text += (self.process.stdout.read() or b"").decode(errors="replace")
            check(self.process.poll() is None, lambda: f"winctl ended: {self.text}")
            return words in self.text
        try:
            wait_for(f"{words!r} on the serial line", look, ANSWER_DEADLINE_S)
        except Failure as failure:
            raise Failure(f"{failure}; there was {self.text[-500:]!r}") from failure
        self.seen, _, self.text = self.text.partition(words)


class Case:
    """What groups of cases share."""

    def __init__(self, site):
        self.site = site
        self.api = site.api

    @property
    def vm(self):
        """The one guest that boots; deployed by the first who needs it."""
        if self.site.guest is None:
            self.site.guest = self.site.deploy("guest")
            self.site.wait_guest(self.site.guest)
        return self.site.guest

    def disk(self):
        """The volume of its first disk."""
        return self.site.vm(self.vm)["disks"][0]["volume"]


class Site:
    """Manager, lab host, agent."""

    def __init__(self, programs):
        self.top = tempfile.mkdtemp(prefix="e2e-")
        self.programs = programs
        self.guest = None
        self.before = []  # words before the daemons' own: env NAME=VALUE ...
        self.manager = Process(self.top, "manager")
        self.agent = Process(self.top, "agent")
        self.place = LabHost(os.path.join(self.top, "host"))
        self.manager_dir = os.path.join(self.top, "manager")
        self.pool_path = f"{self.place.pool_root}/local"
        with socket.socket() as probe:  # the agent remembers the port, so it is chosen once
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def program(self, name):
        return os.path.join(self.programs, name)

    # ---- up and down ----

    def up(self):
        self.place.lab.up(1, "auto")
        number = self.place.lab.network().ip.packed[2]  # of this lab alone, so several sites may be up; neither make run's own nor the other tests'
        self.guest_network = ipaddress.ip_network(f"10.78.{number}.0/24")
        self.place.up(self.guest_network)
        self.start_manager()
        with open(os.path.join(self.manager_dir, "initial-password"), encoding="ascii") as file:
            password = file.read().strip()
        ca_file = os.path.join(self.manager_dir, "ca.crt")
        self.product = Product(self.program("winctl"), f"https://127.0.0.1:{self.port}", self.top)
        self.api = Api(self.port, ca_file, password)
        self.product.login(password, ca_file)
        status, output = self.join()
        check(status == 0, f"the host cannot join: {output}")
        self.start_agent()
        self.host = self.product.connected_host()["id"]
        self.pool = self.product.ensure("pool", "local", "--hosts", self.host, "--path", self.pool_path)["id"]
        switch = self.product.ensure("switch", "internal", "--host", self.host)["id"]
        self.group = self.product.ensure("port-group", "guests", "--switch", switch, "--subnet.cidr", str(self.guest_network))["id"]
        self.guest_file = os.path.join(self.top, "guest.qcow2")
        run(os.path.join(ROOT, "scripts/make-guest"), self.guest_file)
        self.image = self.product.image(self.pool, self.guest_file)

    def down(self):
        for process in (self.agent, self.manager):
            with contextlib.suppress(Failure):
                process.stop()
        self.place.down()
        shutil.rmtree(self.top, ignore_errors=True)

    def last_words(self):
        return f"manager: {self.manager.last_words()}\nagent: {self.agent.last_words()}"

    def winctl_refused(self, *words):
        """Runs winctl, which must fail; returns its words."""
        try:
            answer = self.product.call(*words)
        except Failure as error:
            return str(error)
        raise Failure(f"winctl {' '.join(words)} was not refused: {answer}")

    def start_manager(self, *options):
        """Returns when it answers. self.before stands before the command."""
        command = [*self.before, self.program("wincenterd"), "--data-dir", self.manager_dir, "--port", str(self.port),
                   "--name", self.place.manager_address, *options]
        with open(self.manager.log, "ab") as log:
            self.manager.remember(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                   start_new_session=True).pid)
        wait_for("the manager's answer", self.manager_answers, 30)

    def manager_answers(self):
        check(self.manager.pid() is not None, lambda: f"the manager ended: {self.manager.last_words()}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20,
                                                     context=ssl._create_unverified_context())
            with contextlib.closing(connection):
                connection.request("GET", "/api/v1/health")
                return connection.getresponse().status == 200
        return False

    def join(self, token=None):
        """(exit status, output) of the host's joining with the token, or with a fresh one."""
        return self.place.run([*self.before, self.program("winserverd"), "--join", "-", "--manager",
                               f"https://{self.place.manager_address}:{self.port}", "--state-dir", self.place.state_dir],
                              text=token or self.product.join_token())

    def start_agent(self):
        self.agent.remember(self.place.spawn([*self.before, self.program("winserverd"), "--state-dir", self.place.state_dir,
                                              "--pool-root", self.place.pool_root], self.agent.log))

    def kill(self, process):
        """kill -9, and wait for the end."""
        pid = process.pid()
        check(pid is not None, lambda: f"{process.name} does not run: {process.last_words()}")
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        wait_for(f"the end of {process.name}", lambda: process.pid() is None, 10)

    def wait_connected(self):
        wait_for("the host to connect", lambda: self.api.get(f"hosts/{self.host}")["state"] == "connected", 60)

    # ---- behind the product's back ----

    def inside(self, *argv):
        """Runs a program in the host; its output."""
        status, output = self.place.run(list(argv))
        check(status == 0, f"{' '.join(argv)} ended with {status}: {output}")
        return output

    def kill_libvirtd(self, init):
        """kill -9, and wait for the end."""
        service = services.find("libvirtd")
        self.inside("kill", "-9", str(services.pid_of(init, service)))
        wait_for("the end of libvirtd", lambda: services.pid_of(init, service) is None, 10)

    def start_libvirtd(self, init):
        """Returns when it serves."""
        services.start(init, services.find("libvirtd"))

    def domains(self):
        """UUID to state of every domain of the host. A few calls, however many there are."""
        states = {uuid: state for state in ("running", "paused", "shut off")
                  for uuid in self.inside("virsh", "list", "--uuid", f"--state-{state.replace(' ', '')}").split()}
        return {uuid: states.get(uuid) or self.inside("virsh", "domstate", uuid).strip()
                for uuid in self.inside("virsh", "list", "--all", "--uuid").split()}

    def pool_files(self):
        return {name for name in self.inside("find", self.pool_path, "-type", "f", "-printf", "%P\\n").split()}

    # ---- VMs ----

    def vm(self, vm):
        return self.api.get(f"vms/{vm}")

    def power(self, vm):
        return self.vm(vm)["power"]["state"]

    def deploy(self, name, **options):
        """A VM from the small guest; its id."""
        body = {"name": name, "image": self.image, "pool": self.pool, "port_group": self.group, "linked": True,
                "memory_bytes": GUEST_MEMORY_BYTES, **options}
        return self.api.do("vms/deploy", body)["result"]

    def deaf(self, name):
        """A VM that runs, with nobody in it who would ever hear anything; its id."""
        vm = self.api.do("vms", {"name": name, "host": self.host, "memory_bytes": 67108864,
                                 "disks": [{"new_volume": {"size_bytes": 1048576, "pool": self.pool}}]})["result"]
        self.api.do(f"vms/{vm}/start")
        return vm

    def wait_guest(self, vm):
        """The VM once its guest has answered with an address."""
        def answered():
            now = self.vm(vm)
            return now if now.get("guest", {}).get("ips") else None
        return wait_for(f"the guest in {vm} to answer", answered, ANSWER_DEADLINE_S)

    def console(self, vm):
        return Console([self.program("winctl"), "vm", "console", vm], self.product.environment)

    def wait_power(self, vm, state, deadline_s=20):
        wait_for(f"{vm} to be {state}", lambda: self.power(vm) == state, deadline_s)

    def destroy(self, *vms):
        for vm in vms:
            if self.power(vm) in ("running", "paused"):
                self.api.do(f"vms/{vm}/power_off")
            self.api.do(f"vms/{vm}", {"how": "destroy"}, "DELETE")
