#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The manager's database as an administrator handles it: backup, damage, restore, moving to PostgreSQL and back. Real programs. Prints TAP.

usage: center-database.py WINCENTERD CLOCK_SHIFT_LIBRARY
"""
import glob
import importlib.util
import os
import pwd
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("center_api", os.path.join(HERE, "center-api.py"))
center = importlib.util.module_from_spec(spec)
spec.loader.exec_module(center)
PAGE = 4096


class Skip(Exception):
    pass


class Server:
    """A PostgreSQL cluster on a Unix socket, run without rights."""

    def __init__(self, folder):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not found:
            raise Skip("no PostgreSQL here: scripts/install-deps installs it")
        self.bin, self.dir = found[-1], tempfile.mkdtemp(prefix="ws-pg-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else folder)
        self.user = {}
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self.dir, account.pw_uid, account.pw_gid)
            self.user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self.cluster = os.path.join(self.dir, "cluster")
        with open(os.path.join(folder, "postgres.log"), "wb") as log:
            subprocess.run([f"{self.bin}/initdb", "-D", self.cluster, "-U", "winsphere", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
                           check=True, stdout=log, stderr=log, cwd="/", **self.user)
            self.process = subprocess.Popen([f"{self.bin}/postgres", "-D", self.cluster, "-c", "listen_addresses=", "-c",
                                             f"unix_socket_directories={self.dir}", "-c", "fsync=off"], stdout=log, stderr=log, cwd="/", **self.user)
        end = time.monotonic() + center.DEADLINE_S
        while self.sql("SELECT 1") != "1":
            assert time.monotonic() < end, "PostgreSQL does not start"
            time.sleep(0.05)

    def address(self):
        return f"postgresql:///postgres?host={self.dir}&user=winsphere"

    def sql(self, text):
        done = subprocess.run(["psql", "-X", "-A", "-t", "-q", self.address(), "-c", text], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def stop(self):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(center.DEADLINE_S)
        shutil.rmtree(self.dir)


def command(m, *args, code=0):
    done = subprocess.run([m.program, "--data-dir", m.data, "--log", os.devnull, "--port", "0", "--bind", "127.0.0.1", *args],
                          capture_output=True, text=True, timeout=center.DEADLINE_S, check=False)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


class Late(center.Manager):
    """Its certificates are of another time than this program."""

    def context(self):
        context = super().context()
        context.verify_flags |= 0x200000  # OpenSSL's X509_V_FLAG_NO_CHECK_TIME
        return context


def admin(m):
    return center.Client(m).login("admin", m.password)


def make(m, *names):
    client = admin(m)
    for name in names:
        status, body, _ = client.call("POST", "/roles", {"name": name, "permissions": []})
        assert status == 201, body


def roles(m):
    status, body, _ = admin(m).call("GET", "/roles?limit=1000")
    assert status == 200, body
    return {item["name"] for item in body["items"]}


def database(m):
    return os.path.join(m.data, "winsphere.db")


def backup_folder(m):
    folder = os.path.join(m.data, "backups")
    os.makedirs(folder, 0o700, exist_ok=True)
    return folder


# ---- tests: each gets a manager that runs, and leaves one that runs ----

def a_running_manager_is_left_alone(m):
    path = os.path.join(m.data, "refused.backup")
    for args in (("--backup", path), ("--move-database", os.path.join(m.data, "other.db"))):
        assert "another process has it open" in command(m, *args, code=1)
    assert not os.path.exists(path) and not os.path.exists(os.path.join(m.data, "other.db"))


def a_backup_restores_database_and_keys(m):
    make(m, "before")
    m.stop()
    path = os.path.join(backup_folder(m), "20260101T000000Z.backup")
    said = command(m, "--backup", path)
    assert "roles" in said and "rows." in said, said
    assert os.stat(path).st_mode & 0o7777 == 0o600
    m.start()
    make(m, "after")
    m.stop()
    with open(os.path.join(m.data, "ca.crt"), "rb") as file:
        ca = file.read()
    for name in ("ca.crt", "ca.key", "server.crt", "server.key"):
        os.unlink(os.path.join(m.data, name))
    assert "restore it from a backup" in command(m, code=1)
    said = command(m, "--restore", path)
    assert "Restored and compared" in said and "is kept" in said, said
    with open(os.path.join(m.data, "ca.crt"), "rb") as file:
        assert file.read() == ca
    assert os.stat(os.path.join(m.data, "ca.key")).st_mode & 0o7777 == 0o600
    m.start()
    assert {"before"} <= roles(m) and "after" not in roles(m)


def any_damaged_page_is_found_at_the_start_and_a_backup_named(m):
    folder = backup_folder(m)
    make(m, *(f"many-{i}" for i in range(60)))
    m.stop()
    good = os.path.join(folder, "20990102T000000Z.backup")
    command(m, "--backup", good)
    with open(good, "rb") as file:
        sick = bytearray(file.read())
    sick[len(sick) // 2] ^= 1
    with open(os.path.join(folder, "20990103T000000Z.backup"), "wb") as file:  # newer, and no use
        file.write(sick)
    with open(database(m), "rb") as file:
        whole = file.read()
    pages = len(whole) // PAGE
    found = 0
    for page in range(pages):
        damaged = bytearray(whole)
        for offset in (100 if page == 0 else 0, PAGE // 2, PAGE - 200):
            damaged[page * PAGE + offset] ^= 0x55
        with open(database(m), "wb") as file:
            file.write(damaged)
        said = command(m, code=65)
        assert "damaged" in said and good in said and "--restore" in said, (page, said)
        found += 1
    assert found == pages > 20, (found, pages)
    command(m, "--restore", good)
    m.start()
    assert "many-59" in roles(m)


def a_password_in_the_address_is_refused(m):
    m.stop()
    said = command(m, "--database", "postgresql://u:sesame@127.0.0.1:1/d", code=1)
    assert "sesame" not in said and "passfile" in said, said
    m.start()


def the_database_moves_to_postgresql_and_back(m):
    with tempfile.TemporaryDirectory() as folder:
        server = Server(folder)
        try:
            before = roles(m)
            m.stop()
            said = command(m, "--move-database", server.address())
            assert "Moved and compared" in said, said
            m.start()  # the same options: it knows
            assert roles(m) == before
            make(m, "on-server")
            assert server.sql("SELECT count(*) FROM winsphere.roles WHERE body LIKE '%on-server%'") == "1"
            # a second manager by mistake, with the same database and a data directory of its own
            second = center.Manager(m.program, os.path.join(folder, "second"))
            said = command(second, "--database", server.address(), code=1)
            assert "another manager has it open" in said and f"process {m.process.pid}" in said, said
            # the old file does not start any more
            said = command(second, "--database", database(m), code=1)
            assert "moved to" in said, said
            m.stop(signal.SIGKILL)
            m.start()
            assert "on-server" in roles(m)
            m.stop()
            path = os.path.join(folder, "server.backup")
            command(m, "--backup", path)
            said = command(m, "--move-database", "file")
            assert "Moved and compared" in said and "is kept" in said, said
            m.start()
            assert roles(m) == before | {"on-server"}
            assert os.path.exists(database(m))
        finally:
            m.stop()
            server.stop()
        m.start()


def ended(client, status, body):
    """The task that a call started, when it has ended."""
    assert status == 202, (status, body)
    end = time.monotonic() + center.DEADLINE_S
    while body["state"] in ("queued", "running", "cancelling", "rolling_back"):
        assert time.monotonic() < end, body
        time.sleep(0.02)
        _, body, _ = client.call("GET", f"/tasks/{body['id']}")
    return body


def backups(client):
    status, body, _ = client.call("GET", "/backups?limit=1000")
    assert status == 200, body
    return body["items"]


def the_api_makes_verifies_and_deletes_backups(m):
    client = admin(m)
    status, body, _ = client.call("POST", "/backups", {"note": "before the upgrade"})
    task = ended(client, status, body)
    assert task["state"] == "done", task
    made = client.call("GET", f"/backups/{task['result']}")[1]
    path = os.path.join(m.data, "backups", made["file"])
    assert made["note"] == "before the upgrade" and made["kind"] == "manual" and made["database"] == "sqlite" and made["rows"] > 10, made
    assert os.stat(path).st_mode & 0o7777 == 0o600 and os.stat(path).st_size == made["size_bytes"]
    assert os.stat(os.path.dirname(path)).st_mode & 0o7777 == 0o700
    task = ended(client, *client.call("POST", f"/backups/{made['id']}/verify")[:2])
    assert task["state"] == "done", task
    with open(path, "r+b") as file:
        file.seek(made["size_bytes"] // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    task = ended(client, *client.call("POST", f"/backups/{made['id']}/verify")[:2])
    assert task["error"]["code"] == "backup_damaged", task
    task = ended(client, *client.call("DELETE", f"/backups/{made['id']}")[:2])
    assert task["state"] == "done" and not os.path.exists(path), task
    assert made["id"] not in [item["id"] for item in backups(client)]
    records = client.call("GET", "/audit-records?limit=50")[1]["items"]
    assert {"backup_create", "backup_verify", "backup_delete"} <= {r["operation"] for r in records}, [r["operation"] for r in records]


def who_may_not_is_refused(m):
    client = admin(m)
    status, role, _ = client.call("POST", "/roles", {"name": "no backups", "permissions": ["vm.read"]})
    assert status == 201, role
    status, body, _ = client.call("POST", "/users", {"name": "guest", "password": "A long pass phrase 7", "roles": [role["id"]]})
    assert status == 201, body
    guest = center.Client(m).login("guest", "A long pass phrase 7")
    before = os.listdir(os.path.join(m.data, "backups"))
    for method, path in (("GET", "/backups"), ("POST", "/backups"), ("DELETE", "/backups/backup-1")):
        status, body, _ = guest.call(method, path, {} if method == "POST" else None)
        assert status == 403, (method, path, status, body)
    assert os.listdir(os.path.join(m.data, "backups")) == before


def a_backup_that_cannot_be_written_leaves_nothing(m):
    client, folder = admin(m), os.path.join(m.data, "backups")
    shutil.rmtree(folder)
    with open(folder, "w", encoding="ascii"):
        pass
    task = ended(client, *client.call("POST", "/backups", {})[:2])
    os.unlink(folder)
    os.mkdir(folder, 0o700)
    assert task["state"] in ("failed", "rolled_back") and task["error"]["code"] == "io_error", task


def folder_and_inventory_agree_after_a_start(m):
    client, folder = admin(m), os.path.join(m.data, "backups")
    gone = client.call("GET", "/backups/" + ended(client, *client.call("POST", "/backups", {})[:2])["result"])[1]
    kept = client.call("GET", "/backups/" + ended(client, *client.call("POST", "/backups", {})[:2])["result"])[1]
    m.stop()
    os.rename(os.path.join(folder, gone["file"]), os.path.join(folder, "20260104T000000Z-foreign.backup"))
    m.start()
    client = admin(m)
    now = {item["file"]: item for item in backups(client)}
    assert gone["file"] not in now and now[kept["file"]]["id"] == kept["id"], now
    found = now["20260104T000000Z-foreign.backup"]
    assert found["kind"] == "imported" and "sha256" not in found, found
    task = ended(client, *client.call("POST", f"/backups/{found['id']}/verify")[:2])
    assert task["state"] == "done", task
    found = client.call("GET", f"/backups/{found['id']}")[1]
    assert found["sha256"] == gone["sha256"] and found["rows"] == gone["rows"], found


def the_schedule_makes_them_and_lets_old_ones_go(m):
    client = admin(m)
    site = client.call("GET", "/sites")[1]["items"][0]
    assert site["backup_interval_hours"] == 24 and site["backup_keep"] == 7, site
    status, body, _ = client.call("PATCH", f"/sites/{site['id']}", {"backup_interval_hours": 1, "backup_keep": 2})
    assert status == 200, body
    by_hand = {item["id"] for item in backups(client)}
    seen, clock, more = [], os.path.join(m.data, "..", "clock"), m.more
    m.more = ["--host-cert-life", "10"]  # that life makes it look after the house each half second
    try:
        for hours in (3, 6, 9):
            m.stop()
            with open(clock, "wb") as file:
                file.write(struct.pack("=q", hours * 3600))
            m.start(env=dict(os.environ, LD_PRELOAD=m.library, CLOCK_SHIFT_FILE=clock))
            client, end, fresh = admin(m), time.monotonic() + center.DEADLINE_S, []
            now = {}
            while not fresh or len(now) > len(by_hand) + 2:
                assert time.monotonic() < end, (fresh, now)
                now = {item["id"]: item for item in backups(client)}
                fresh = [i for i in now if i not in by_hand and i not in seen]
                time.sleep(0.05)
            assert len(fresh) == 1 and now[fresh[0]]["kind"] == "scheduled", fresh
            seen += fresh
        assert by_hand <= set(now) and seen[0] not in now and set(seen[1:]) <= set(now), (seen, now)  # those by hand stay
        files = {item["file"] for item in now.values()}
        end = time.monotonic() + center.DEADLINE_S
        while set(os.listdir(os.path.join(m.data, "backups"))) != files:
            assert time.monotonic() < end, (os.listdir(os.path.join(m.data, "backups")), files)
            time.sleep(0.05)
    finally:
        m.stop()
        m.more = more


TESTS = (the_api_makes_verifies_and_deletes_backups, who_may_not_is_refused, a_backup_that_cannot_be_written_leaves_nothing,
         folder_and_inventory_agree_after_a_start, the_schedule_makes_them_and_lets_old_ones_go, a_running_manager_is_left_alone, a_backup_restores_database_and_keys, any_damaged_page_is_found_at_the_start_and_a_backup_named,
         a_password_in_the_address_is_refused, the_database_moves_to_postgresql_and_back)


def main():
    print(f"1..{len(TESTS)}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="ws-database-") as folder:
        m = Late(os.path.abspath(sys.argv[1]), os.path.join(folder, "data"))
        m.library = os.path.abspath(sys.argv[2])
        os.mkdir(m.data, 0o700)
        m.start()
        try:
            with open(os.path.join(m.data, "initial-password"), encoding="ascii") as file:
                m.password = file.read().strip()
            for i, test in enumerate(TESTS):
                try:
                    if m.process.poll() is not None:
                        m.start()
                    test(m)
                    print(f"ok {i + 1} - {test.__name__}", flush=True)
                except Skip as reason:
                    print(f"ok {i + 1} - {test.__name__} # SKIP {reason}", flush=True)
                except Exception as error:  # each failure is one line of TAP, and the next test runs
                    failed += 1
                    print(f"not ok {i + 1} - {test.__name__}\n# {type(error).__name__}: {str(error)[:1500]}", flush=True)
        finally:
            m.stop()
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
