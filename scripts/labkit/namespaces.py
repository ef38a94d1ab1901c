# SPDX-License-Identifier: Apache-2.0
"""Start a process 1 in namespaces of its own, and run programs inside them.

Rules: process ids handled here are always those of the machine outside. A program started by run() or execute()
dies with its caller; one started by spawn() lives until it ends or its host dies. start_init() and spawn() fork without exec, so they
are for the main thread only; run() may be called from any. Linux 5.8 is needed.
"""
import contextlib
import ctypes
import os
import signal
import subprocess
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
ALL = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET
PR_SET_PDEATHSIG = 1

FOLDER = os.path.dirname(os.path.realpath(__file__))
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _set_stdio(log_path, keep=()):
    """Standard input from nowhere, output and errors appended to the file; nothing else that the caller has open, a lock for instance, goes along,
    except the descriptors to keep."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in keep:
            with contextlib.suppress(OSError):
                os.set_inheritable(int(name), False)
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)


def _fork_reporting(in_child):
    """Forks twice; the grandchild runs in_child(), which must exec. Returns the grandchild's pid.

    The child between enters or makes the namespaces, which count for ITS children; it is gone when this returns.
    """
    reading, writing = os.pipe()
    middle = os.fork()
    if middle == 0:
        try:
            os.close(reading)
            os.setsid()
            start = in_child()
            child = os.fork()
            if child == 0:
                os.close(writing)
                start()
                os._exit(127)
            os.write(writing, b"%d" % child)
            os._exit(0)
        except BaseException as error:  # whatever it is, it must not return into the caller's program
            os.write(writing, f"failed: {error}".encode())
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(middle, 0)
    if not answer.isdigit():
        raise OSError(answer or "the process that makes the namespaces died")
    return int(answer)


def start_init(arguments, log_path):
    """Starts init.py with the arguments as process 1 of new namespaces. Returns its pid once its mounts stand.

    Raises OSError with init's own words if it fails.
    """
    ready_reading, ready_writing = os.pipe()
    command = [sys.executable, os.path.join(FOLDER, "init.py"), str(ready_writing), *arguments]

    def in_child():
        _checked(_libc.unshare(ALL), "unshare")

        def start():
            os.set_inheritable(ready_writing, True)
            _set_stdio(log_path, (ready_writing,))
            os.chdir("/")
            os.execv(command[0], command)
        return start

    pid = _fork_reporting(in_child)
    os.close(ready_writing)
    with os.fdopen(ready_reading, "rb") as pipe:
        answer = pipe.read().decode()
    if answer != "ready":
        raise OSError(f"process 1 failed: {answer or 'no word'} (see {log_path})")
    return pid


def _enter(init_pid):
    pidfd = os.pidfd_open(init_pid)
    _checked(_libc.setns(pidfd, ALL), f"enter the namespaces of process {init_pid}")
    os.close(pidfd)


def _exec_there(argv, cwd):
    """Becomes the program, in the directory of that name as the host sees it."""
    try:
        os.chdir(cwd)
    except OSError:
        os.chdir("/")
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        print(f"lab: {argv[0]}: {error.strerror}", file=sys.stderr)
        os._exit(127)


def execute(init_pid, argv):
    """Runs the program with this process's own input and output; returns its exit status (128 + n for signal n).

    Signals sent to this process are handed on. To be called once, as the last thing a program does.
    """
    cwd = os.getcwd()
    _enter(init_pid)
    # Blocked until the child is known, so that none is lost.
    handed_on = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
    signal.pthread_sigmask(signal.SIG_BLOCK, handed_on)
    child = os.fork()
    if child == 0:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, handed_on)
        _exec_there(argv, cwd)
    for number in handed_on:
        signal.signal(number, lambda received, _frame: os.kill(child, received))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, handed_on)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def spawn(init_pid, argv, log_path):
    """Starts the program detached, with output to the file; returns its pid as the machine outside counts."""
    cwd = os.getcwd()

    def in_child():
        _set_stdio(log_path)  # before entering: the path is the machine's
        _enter(init_pid)
        return lambda: _exec_there(argv, cwd)
    return _fork_reporting(in_child)


def run(init_pid, argv, timeout_s=180, text=None):
    """Runs the program to its end; returns (exit status, output and errors). Raises TimeoutError. text: its standard input."""
    command = [sys.executable, os.path.join(FOLDER, "enter.py"), str(init_pid), *argv]
    try:
        done = subprocess.run(command, input=text or "", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"{' '.join(argv)}: not done within {timeout_s} s") from error
    return done.returncode, done.stdout
