# SPDX-License-Identifier: Apache-2.0
"""A manager without hosts, and lab hosts with SSH servers: machines to be added. See cases.py and newcomers.py.

A lab host shares the machine's programs, so each gets a layer of its own over /usr and dpkg's lists, and users and passwords of its own: what is
installed there is gone with it.
"""
import os
import shutil

from labkit import namespaces
from runkit.processes import Process, run, wait_for
from runkit.product import Product
from estate_site import Estate
from whole_site import Api, check

PORT = 2222
PASSWORD = "a-pass word'of 3 \"parts\""
PLAIN_USER = "operator"
LAYERED = ("/usr", "/var/lib/dpkg")

SSHD = """Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
UsePAM no
PermitRootLogin yes
PasswordAuthentication yes
StrictModes no
LogLevel VERBOSE
"""


class Newcomer:
    """A lab host with an SSH server."""

    def __init__(self, site, lab_host):
        self.site = site
        self.lab_host = lab_host
        self.folder = os.path.join(site.top, f"ssh-{lab_host.name}")
        self.server = Process(site.top, f"sshd-{lab_host.name}")

    @property
    def address(self):
        return str(self.site.lab.address_of(self.lab_host).ip)

    def run(self, *argv, text=None):
        """(status, output) of a program in the host."""
        return namespaces.run(self.lab_host.running_init(), list(argv), text=text)

    def inside(self, *argv, text=None):
        status, output = self.run(*argv, text=text)
        check(status == 0, f"{' '.join(argv)} on {self.lab_host.name} ended with {status}: {output}")
        return output

    def path(self, name):
        return os.path.join(self.folder, name)

    def prepare(self):
        os.mkdir(self.folder)
        # The host's own layers lie in memory: what a layer lies on may be one itself.
        self.inside("mount", "-t", "tmpfs", "layers", "/mnt")
        for path in LAYERED:
            own = "/mnt" + path
            self.inside("mkdir", "-p", f"{own}/upper", f"{own}/work")
            self.inside("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={path},upperdir={own}/upper,workdir={own}/work", path)
        hashed = run("openssl", "passwd", "-6", PASSWORD).strip()
        for name, line in (("passwd", f"{PLAIN_USER}:x:1777:65534::/tmp:/bin/sh"), ("shadow", f"{PLAIN_USER}:{hashed}:19000::::::")):
            with open(f"/etc/{name}", encoding="utf-8") as file:
                lines = [f"root:{hashed}:19000::::::" if name == "shadow" and old.startswith("root:") else old for old in file.read().split("\n")]
            with open(self.path(name), "w", encoding="utf-8") as file:
                file.write("\n".join([line, *lines]))
            os.chmod(self.path(name), 0o640 if name == "shadow" else 0o644)
            self.inside("mount", "--bind", self.path(name), f"/etc/{name}")
        self.inside("mkdir", "-p", "/run/sshd")
        self.new_key("host_key")
        self.new_key("login")
        shutil.copy(self.path("login.pub"), self.path("authorized_keys"))
        with open(self.path("config"), "w", encoding="ascii") as file:
            file.write(SSHD.format(port=PORT, folder=self.folder))
        self.listen()

    def new_key(self, name):
        for old in (name, f"{name}.pub"):
            if os.path.exists(self.path(old)):
                os.unlink(self.path(old))
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", self.path(name))

    def fingerprint(self):
        """As the machine's own people see it."""
        return run("ssh-keygen", "-lf", self.path("host_key.pub")).split()[1]

    def listen(self):
        self.server.remember(namespaces.spawn(self.lab_host.running_init(), ["/usr/sbin/sshd", "-D", "-e", "-f", self.path("config")],
                                              self.server.log))
        wait_for("the SSH server", lambda: self.run("ssh-keyscan", "-p", str(PORT), "-T", "1", "127.0.0.1")[1].count("ssh-ed25519"), 20)

    def log(self):
        with open(self.server.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def has_package(self):
        status, output = self.run("dpkg-query", "--show", "--showformat=${db:Status-Status}", "winsphere-host")
        return status == 0 and output.strip() == "installed"

    def agents(self):
        """Pids, in the host."""
        return self.run("pgrep", "-x", "winserverd")[1].split()


class NewcomerSite(Estate):
    """The manager, and `hosts` machines that nobody has added."""

    def __init__(self, programs, hosts=2):
        super().__init__(programs, hosts)
        self.packages = os.path.join(self.top, "packages")
        self.newcomers = []

    def up(self):
        os.mkdir(self.packages)
        self.lab.up(self.n_hosts, "auto")
        self.start_manager("--packages", self.packages)
        with open(os.path.join(self.manager_dir, "initial-password"), encoding="ascii") as file:
            password = file.read().strip()
        ca_file = os.path.join(self.manager_dir, "ca.crt")
        self.product = Product(self.program("winctl"), f"https://127.0.0.1:{self.port}", self.top)
        self.product.login(password, ca_file)
        self.api = Api(self.port, ca_file, password)
        pool = self.api.items("host-pools")[0]["id"]
        self.cluster = self.api.post("clusters", {"name": "lab", "host_pool": pool})["id"]
        self.other_cluster = self.api.post("clusters", {"name": "arm", "host_pool": pool, "architecture": "aarch64"})["id"]
        self.newcomers = [Newcomer(self, host) for host in self.lab.hosts]
        for newcomer in self.newcomers:
            newcomer.prepare()

    def make_package(self, version="1.0", preinst=None):
        """A package of the agent as it was built, without what the real one depends on."""
        tree = os.path.join(self.top, f"package-{version}")
        os.makedirs(os.path.join(tree, "DEBIAN"))
        os.makedirs(os.path.join(tree, "usr/bin"))
        shutil.copy(self.program("winserverd"), os.path.join(tree, "usr/bin"))
        with open(os.path.join(tree, "DEBIAN/control"), "w", encoding="ascii") as file:
            file.write(f"Package: winsphere-host\nVersion: {version}\nArchitecture: amd64\nMaintainer: test <test@localhost>\n"
                       "Description: host agent\n")
        if preinst:
            with open(os.path.join(tree, "DEBIAN/preinst"), "w", encoding="ascii") as file:
                file.write(preinst)
            os.chmod(os.path.join(tree, "DEBIAN/preinst"), 0o755)
        run("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, self.packages)

    def last_words(self):
        return "\n".join(f"{p.name}: {p.last_words()}" for p in [self.manager, *(n.server for n in self.newcomers)])

    def down(self):
        for newcomer in self.newcomers:
            newcomer.server.stop()
        super().down()
