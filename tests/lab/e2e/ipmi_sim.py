# SPDX-License-Identifier: Apache-2.0
"""ipmi_sim as a BMC on loopback: settings, start, stop. What its orders do is a program of whoever starts it (chassis)."""
import os
import shutil
import socket
import subprocess
import tempfile
import time

PASSWORD = "quite-a-secret"
DEADLINE_S = 120
LAN = """name "bmc"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {port}
    priv_limit admin
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "{folder}/chassis 0x20"
  user 1 false "" "x" user 10 none md2 md5 straight
  user 2 true "admin" "{password}" admin 10 none md2 md5 straight
"""
COMMANDS = """mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_enable 0x20
"""


class IpmiSim:
    """One ipmi_sim in a folder of its own; `chassis` is run there for each order: ADDRESS get|set WHAT [VALUE]."""

    def __init__(self, chassis):
        self.folder = tempfile.mkdtemp(prefix="bmc-")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.write("chassis", chassis)
        os.chmod(self.path("chassis"), 0o700)
        self.write("lan.conf", LAN.format(port=self.port, folder=self.folder, password=PASSWORD))
        self.write("commands", COMMANDS)
        self.write("password", PASSWORD)
        os.mkdir(self.path("state"))
        self.process = None

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        """Whole or not at all: chassis reads at any time."""
        with open(self.path(name + ".new"), "w", encoding="ascii") as file:
            file.write(text)
        os.rename(self.path(name + ".new"), self.path(name))

    def set(self, on):
        """What chassis says of the power."""
        self.write("power", "1\n" if on else "0\n")

    def start(self):
        """Returns when it answers."""
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(["ipmi_sim", "-n", "-c", self.path("lan.conf"), "-f", self.path("commands"), "-s", self.path("state")],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + DEADLINE_S
        while subprocess.run(["ipmitool", "-I", "lanplus", "-C", "3", "-N", "1", "-R", "1", "-H", "127.0.0.1", "-p", str(self.port), "-U", "admin",
                              "-f", self.path("password"), "chassis", "power", "status"], capture_output=True, check=False).returncode:
            assert self.process.poll() is None and time.monotonic() < end, "ipmi_sim does not come up"

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder)

    def settings(self, **others):
        """Of a host, for the manager."""
        return {"address": "127.0.0.1", "port": self.port, "user": "admin", "password": PASSWORD, "cipher_suite": 3, **others}
