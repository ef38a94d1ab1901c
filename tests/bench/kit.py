# SPDX-License-Identifier: Apache-2.0
"""What the benches share: processes and their cost, nginx as the peer, a manager, rounds that alternate, the machine's noise."""
import http.client
import json
import os
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import time

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]
UP_DEADLINE_S = 60
REQUESTS = 40000
RATE = 2000
RATE_SECONDS = 5


def on_core(core):
    return lambda: os.sched_setaffinity(0, {core})


def cpu_seconds(pid):
    """User and system time of a process, all its threads, ended ones too, to the nanosecond."""
    return time.clock_gettime(~pid << 3 | 2)  # the process's own CPU clock: clock_getcpuclockid(3)


def resident_kib(pid, what="VmRSS"):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(what))


def private_kib(pid):
    """Resident memory that is this process's own: neither files nor shared."""
    return resident_kib(pid, "RssAnon")


def noise_percent(seconds=0.3):
    """How much of a busy loop's time went to others, on the core where it is worst."""
    worst = 0
    mine = os.sched_getaffinity(0)
    for core in CORES:
        os.sched_setaffinity(0, {core})
        began, cpu = time.monotonic(), time.process_time()
        while time.monotonic() - began < seconds:
            pass
        worst = max(worst, 100 * (1 - (time.process_time() - cpu) / (time.monotonic() - began)))
    os.sched_setaffinity(0, mine)
    return max(0, worst)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, condition, deadline_s=UP_DEADLINE_S):
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    return sys.exit(f"waited {deadline_s} s for {what}")


def client(*words, core=CLIENT_CORE, **more):
    """Runs a client to its end, by default on its own core (None: any)."""
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
                          preexec_fn=None if core is None else on_core(core), **more)


class Server:
    """Something with a pid and a port that serves over TLS."""
    name = pid = port = process = None

    def answers(self, path):
        return subprocess.run(["curl", "-skfo", "/dev/null", f"https://127.0.0.1:{self.port}{path}"], check=False).returncode == 0

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)

    def may_use(self, cores):
        """All its threads."""
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            os.sched_setaffinity(int(thread), set(cores))


class Nginx(Server):
    """One worker that serves the directory's files; its certificate is server.crt there."""
    name = "nginx"

    def __init__(self, directory, port, certificates=None):
        certificates = certificates or directory
        self.port = port
        config = f"""
            daemon off; master_process off; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/error.log;
            events {{ worker_connections 4096; }}
            http {{
              access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush on; open_file_cache max=100;
              client_body_temp_path {directory}/t1; proxy_temp_path {directory}/t2; fastcgi_temp_path {directory}/t3;
              uwsgi_temp_path {directory}/t4; scgi_temp_path {directory}/t5;
              server {{
                listen 127.0.0.1:{port} ssl http2; root {directory}; default_type application/json;
                ssl_certificate {certificates}/server.crt; ssl_certificate_key {certificates}/server.key;
                ssl_protocols TLSv1.2 TLSv1.3;
              }}
            }}"""
        path = f"{directory}/nginx.conf"
        with open(path, "w", encoding="ascii") as file:
            file.write(config)
        self.process = subprocess.Popen(["nginx", "-c", path, "-p", directory], stderr=subprocess.DEVNULL,
                                        preexec_fn=on_core(SERVER_CORE), env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        self.pid = self.process.pid


class Manager(Server):
    """A wincenterd on loopback, with an administrator logged in."""
    name = "winsphere"

    def __init__(self, program, data, core=SERVER_CORE, names=(), bind="127.0.0.1"):
        self.program, self.data, self.names, self.core, self.bind = program, data, names, core, bind
        self.port, self.token = free_port(), None
        self.start()

    def start(self):
        words = [self.program, "--data-dir", self.data, "--port", str(self.port)]
        words += [word for name in self.names for word in ("--name", name)] or ["--bind", self.bind]
        began = time.monotonic()
        with open(f"{self.data}.log", "ab") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=None if self.core is None else on_core(self.core))
        self.pid = self.process.pid
        wait_for("the manager's answer", lambda: self.process.poll() is not None or self.answers("/api/v1/health"))
        assert self.process.poll() is None, f"the manager ended: {self.data}.log"
        self.start_seconds = time.monotonic() - began

    @property
    def ca(self):
        return f"{self.data}/ca.crt"

    def call(self, method, path, body=None):
        """One request; the answer's JSON, or None."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60,
                                                 context=ssl.create_default_context(cafile=self.ca))
        head = {"Content-Type": "application/json", **({"Authorization": f"Bearer {self.token}"} if self.token else {})}
        try:
            connection.request(method, f"/api/v1/{path}", None if body is None else json.dumps(body), head)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status < 400, f"{method} {path}: {answer.status} {text[:500]}"
            return json.loads(text) if text else None
        finally:
            connection.close()

    def login(self):
        with open(f"{self.data}/initial-password", encoding="ascii") as file:
            self.token = self.call("POST", "sessions", {"user_name": "admin", "password": file.read().strip()})["token"]
        return self


def get_cpu_us(server, path, version=1, headers=()):
    """The server's own time for one GET, under as many as it can take."""
    words = ["h2load", "-n", str(REQUESTS), "-c", "32", *headers, f"https://127.0.0.1:{server.port}{path}"]
    before = cpu_seconds(server.pid)
    out = client(*words, *(["--h1"] if version == 1 else ["-m", "4"])).stdout
    assert f"{REQUESTS} succeeded" in out and "2xx" in out, out
    return (cpu_seconds(server.pid) - before) / REQUESTS * 1e6


def get_p99_us(server, path, directory, headers=()):
    """As the client sees it at RATE a second."""
    log = f"{directory}/latency.log"
    if os.path.exists(log):
        os.unlink(log)
    clients = 20
    client("h2load", "--h1", "-c", str(clients), "-n", str(RATE * RATE_SECONDS), f"--rps={RATE // clients}", f"--log-file={log}",
           *headers, f"https://127.0.0.1:{server.port}{path}")
    with open(log, encoding="ascii") as file:
        times = sorted(int(line.split()[2]) for line in file)
    assert len(times) == RATE * RATE_SECONDS
    return times[int(len(times) * 0.99)]


def alternate(probes, servers, rounds):
    """Each probe on each server, in rounds of changing order after one to warm up; medians, and the ratio of the first two."""
    results = {name: {s.name: [] for s in servers} for name in probes}
    for number in range(rounds + 1):
        for name, probe in probes.items():
            for server in servers if number % 2 else reversed(servers):
                value = probe(server)
                if number > 0:
                    results[name][server.name].append(value)
    for values in results.values():
        for server in servers:
            values[server.name] = statistics.median(values[server.name])
        values["ratio"] = values[servers[0].name] / values[servers[1].name]
    return results
