# SPDX-License-Identifier: Apache-2.0
"""A BMC for a lab host: ipmi_sim, whose orders pull the plug of the host and give it power again.

ipmi_sim runs a program for each order. That one leaves the order in a file; a thread here carries it out, and says what the power is.
"""
import os
import threading

from ipmi_sim import IpmiSim

CHASSIS = """#!/bin/sh
# ipmi_sim asks: ADDRESS get|set WHAT [VALUE]
cd "$(dirname "$0")" || exit 1
shift
case "$1 $2" in
"get power") echo "power:$(cat power)" ;;
"set power") echo "$3" > order.new && mv order.new order ;;
esac
"""


class Bmc(IpmiSim):
    """Of one member of the estate; from start() to stop()."""

    def __init__(self, member):
        super().__init__(CHASSIS)
        self.member = member
        self.orders = []  # what was ordered, "0" and "1"
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._obey, daemon=True)

    def start(self):
        self.set(self.member.lab_host.init_pid())
        super().start()
        self.thread.start()
        return self

    def stop(self):
        self.ended.set()
        if self.thread.is_alive():
            self.thread.join()
        super().stop()

    def _obey(self):
        """A host that has asked its system to shut down goes off too (that it asked stands in /run)."""
        while not self.ended.wait(0.2):
            on = self.member.lab_host.init_pid() is not None
            order = None
            if os.path.exists(self.path("order")):
                with open(self.path("order"), encoding="ascii") as file:
                    order = file.read().strip()
                os.unlink(self.path("order"))
                self.orders.append(order)
            if on and (order == "0" or self.member.run("test", "-e", "/run/asked-to-shut-down")[0] == 0):
                self.member.lab_host.power_off()
            elif not on and order == "1":
                self.member.estate.lab.power_on([self.member.lab_host])
                self.member.start_agent()
            self.set(self.member.lab_host.init_pid())
