# SPDX-License-Identifier: Apache-2.0
"""Programs that go on when this one ends, known by files: NAME.pid holds pid and start time, so that a pid that was
given to somebody else meanwhile is never taken for ours."""
import os
import signal
import subprocess
import time

STOP_DEADLINE_S = 60
LEAST_DEADLINE_S = 180  # what hangs may hang so long; a machine that is busy with other work must not fail for it


class Failure(Exception):
    """Something a person can act on; the text says what."""


def start_time(pid):
    """When the process started, in clock ticks since boot; None if there is no such process (or a dead one)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


class Process:
    """A program with a pid file and a log."""

    def __init__(self, folder, name):
        self.name = name
        self.pid_file = os.path.join(folder, f"{name}.pid")
        self.log = os.path.join(folder, f"{name}.log")

    def pid(self):
        """None if it does not run."""
        try:
            with open(self.pid_file, encoding="ascii") as file:
                pid, started = (int(word) for word in file.read().split())
        except (OSError, ValueError):
            return None
        return pid if start_time(pid) == started else None

    def remember(self, pid):
        started = start_time(pid)
        if started is None:
            raise Failure(f"{self.name} ended at once: see {self.log}\n{self.last_words()}")
        with open(self.pid_file, "w", encoding="ascii") as file:
            file.write(f"{pid} {started}\n")

    def last_words(self, lines=10):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return "".join(file.readlines()[-lines:]).rstrip()
        except OSError:
            return ""

    def is_older_than(self, program):
        """Was the program built again since this process started?"""
        pid = self.pid()
        try:
            return pid is not None and os.path.getmtime(program) > os.path.getmtime(self.pid_file)
        except OSError:
            return False

    def stop(self):
        """Ends it and waits; kills it if it does not obey."""
        for number, patience_s in ((signal.SIGTERM, STOP_DEADLINE_S), (signal.SIGKILL, STOP_DEADLINE_S)):
            pid = self.pid()
            if pid is None:
                break
            os.kill(pid, number)
            wait_for(f"the end of {self.name}", lambda: self.pid() is None, patience_s, give_up=False)
        if os.path.exists(self.pid_file):
            os.unlink(self.pid_file)


def wait_for(what, condition, deadline_s, give_up=True):
    """Polls until the condition is true and returns its value. After the deadline returns None if it is not to give up, else, after LEAST_DEADLINE_S
    at the soonest, raises Failure. Asked once more when the deadline has passed: who was kept from asking has not waited."""
    if give_up:
        deadline_s = max(deadline_s, LEAST_DEADLINE_S)
    end = time.monotonic() + deadline_s
    while True:
        over = time.monotonic() >= end
        value = condition()
        if value:
            return value
        if over:
            break
        time.sleep(0.05)
    if give_up:
        raise Failure(f"waited {deadline_s} s for {what}")
    return None


def run(*command, log=None):
    """Runs a program to its end; Failure with the end of its output if it does not end well. Returns its output."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False)
    if log:
        with open(log, "w", encoding="utf-8") as file:
            file.write(done.stdout)
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-25:])
        raise Failure(f"{' '.join(command)} ended with {done.returncode}:\n{tail}")
    return done.stdout
