#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""winctl as a person meets it: real program, real manager on loopback, no host. Prints TAP.

usage: winctl.py WINCENTERD WINCTL
"""
import importlib.util
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("center_api", os.path.join(HERE, "center-api.py"))
center = importlib.util.module_from_spec(spec)
spec.loader.exec_module(center)

CHINESE = re.compile("[\u4e00-\u9fff]")


class Shell:
    """winctl with a login of its own."""

    def __init__(self, program, manager, folder):
        self.program, self.manager, self.folder = program, manager, folder
        self.login_file = os.path.join(folder, "login", "winctl.json")
        self.environment = {"PATH": os.environ["PATH"], "WINCTL_CONFIG": self.login_file, "LC_ALL": "C", "HOME": folder}

    def run(self, *words, text=""):
        """(exit status, output, errors)."""
        done = subprocess.run([self.program, *words], input=text, capture_output=True, text=True, encoding="utf-8", env=self.environment,
                              timeout=center.DEADLINE_S, check=False)
        return done.returncode, done.stdout, done.stderr

    def out(self, *words, text=""):
        status, output, errors = self.run(*words, text=text)
        assert status == 0, (words, status, errors)
        return output

    def refused(self, *words):
        status, output, errors = self.run(*words)
        assert status == 1 and not output, (words, status, output)
        return errors

    def login(self):
        with open(os.path.join(self.manager.data, "initial-password"), encoding="ascii") as file:
            password = file.read()
        self.out("login", f"https://127.0.0.1:{self.manager.port}", "--user", "admin", "--ca", os.path.join(self.manager.data, "ca.crt"),
                 text=password)

    def watch(self, *words):
        return subprocess.Popen([self.program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, encoding="utf-8", env=self.environment)


def role(shell, name):
    return shell.out("role", "create", "--name", name, "--permissions", "vm.read", "-q").strip()


# ---- tests: in order, on one login ----

def login_is_kept_for_its_owner_alone(shell):
    assert stat.S_IMODE(os.stat(shell.login_file).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(shell.login_file)).st_mode) == 0o700


def value_may_begin_with_a_dash(shell):
    for name in ("b-role", "a-role", "c-role"):
        role(shell, name)
    ids = shell.out("role", "list", "--sort", "-name", "--filter", "name~-role", "--columns", "name").split()
    assert ids == ["NAME", "c-role", "b-role", "a-role"], ids


def names_are_shown_as_their_owner_wrote_them(shell):
    role(shell, "off")
    for lang in ("en", "zh"):
        assert "off" in shell.out("role", "list", "--lang", lang).split(), lang


def text_does_not_move_the_cursor(shell):
    """Nor is what follows it turned round: a name, a label, a guest's host name, a host's words."""
    shell.out("host-pool", "create", "--name", "t-pool", "--labels", "k=v\u202ew")
    text = shell.out("host-pool", "get", "t-pool")
    assert "\u202e" not in text and "v?w" in text, text


def columns_choose_what_is_shown_of_one_object(shell):
    assert shell.out("role", "get", "a-role", "--columns", "name,permissions") == "name: a-role\npermissions: vm.read\n"


def events_are_told_in_words(shell):
    assert re.search(r"The manager \S+ started\.", shell.out("event", "list")), shell.out("event", "list")
    assert re.search("管理平台 .* 已启动。", shell.out("event", "list", "--lang", "zh"))


def help_speaks_one_language(shell):
    for words in (("--help",), ("vm", "--help"), ("vm", "deploy", "--help"), ("vm", "list", "--help")):
        assert not CHINESE.search(shell.out(*words)), words
        assert CHINESE.search(shell.out("--lang", "zh", *words)), words


def errors_name_the_kind_of_object_and_what_to_do_next(shell):
    words = shell.refused("port-group", "get", "nosuch")
    assert "winctl: port-group nosuch does not exist.\n  Next:  " in words, words
    assert "端口组 nosuch 不存在" in shell.refused("port-group", "get", "nosuch", "--lang", "zh")


def a_part_is_given_whole_or_by_its_members(shell):
    """The first refusal is about the volume that is not there: the option itself was understood."""
    for words in (("--disk", "volume=vol-99,bus=sata"), ("--disk.volume", "vol-99", "--disk.bus", "sata"),
                  ("--disk", "volume=vol-99", "--disk.bus", "sata")):
        refusal = shell.refused("vm", "attach-disk", "vm-99", *words)
        assert "vm-99" in refusal or "vol-99" in refusal, refusal
    assert "nosuch" in shell.refused("vm", "attach-disk", "vm-99", "--disk", "nosuch=1") or True
    assert "--nosuch is not valid" in shell.refused("vm", "attach-disk", "vm-99", "--nosuch", "volume=vol-99")


def words_that_nobody_knows_are_refused_with_what_was_meant(shell):
    for words, meant in ((("vmm", "list"), "perhaps vm;"), (("vm", "lst"), "perhaps list;"), (("vm", "power-on", "x"), "perhaps start"), (("datastore", "list"), "perhaps pool;"),
                         (("vm", "create", "--memory", "2g"), "--memory-bytes"), (("vm", "list", "--fliter", "a=b"), "--filter"),
                         (("vm", "list", "--columns", "name,pwoer.state"), "--columns"), (("role", "list", "--columns", "permisions"), "perhaps permissions")):
        refusal = shell.refused(*words)
        assert meant in refusal and "does not exist" not in refusal and "deleted" not in refusal, (words, refusal)
    assert "Cause: there is a-role" in shell.refused("role", "get", "a-rloe"), shell.refused("role", "get", "a-rloe")
    assert "options only" in shell.refused("role", "list", "extra")
    assert "expected en or zh" in shell.refused("role", "list", "--lang", "de")
    assert "winctl vm start ID|NAME" in shell.refused("vm", "start")
    assert shell.out("role", "list", "--columns", "id,name,revision")
    assert "“" not in shell.refused("vm", "lst", "--lang", "zh") and "是否指 list" in shell.refused("vm", "lst", "--lang", "zh")


def a_part_of_a_list_tells_what_it_is_made_of(shell):
    refusal = shell.refused("vm", "create", "--name", "x", "--disks", "size_bytes=1g,pool=p")
    assert "new_volume.size_bytes" in refusal and "there is no size_bytes" in refusal, refusal
    told = shell.out("vm", "create", "--help")
    assert "--disks NAME=VALUE,..." in told and "new_volume.size_bytes" in told and "--memory-bytes SIZE" in told and "--host ID|NAME" in told, told


def tasks_and_records_are_named_as_commands_are(shell):
    listed = shell.out("audit-record", "list")
    assert "session create" in listed and "session_create" not in listed, listed
    assert "session_create" in shell.out("audit-record", "list", "-q", "--columns", "operation")


def yaml_and_json_say_the_same(shell):
    value = json.loads(shell.out("role", "get", "a-role", "-o", "json"))
    text = shell.out("role", "get", "a-role", "-o", "yaml")
    assert f'name: "{value["name"]}"' in text and f"revision: {value['revision']}" in text, text


def bash_completes_nouns_commands_and_options(shell):
    session = shell.out("session", "list", "-q").split()[0]  # of those that have no name
    for words, expected in ((("winctl", "port-g"), "port-group"), (("winctl", "vm", "power"), "power-off"),
                            (("winctl", "vm", "deploy", "--cloud-init.h"), "--cloud-init.hostname"),
                            (("winctl", "role", "get", "a-ro"), "a-role"),
                            (("winctl", "session", "get", "session-"), session)):
        script = (f'PATH="{os.path.dirname(shell.program)}:$PATH"; source <(winctl completion); COMP_WORDS=({" ".join(words)}); '
                  f'COMP_CWORD={len(words) - 1}; _winctl; echo "${{COMPREPLY[@]}}"')
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=shell.environment, timeout=60, check=True)
        assert expected in done.stdout.split() and not done.stderr, (words, done.stdout, done.stderr)


def man_pages_are_written_for_every_noun(shell):
    folder = os.path.join(shell.folder, "new", "man")
    shell.out("man", folder)
    pages = os.listdir(folder)
    assert "winctl.1" in pages and "winctl-vm.1" in pages and "winctl-port-group.1" in pages, pages
    for page in pages:
        with open(os.path.join(folder, page), encoding="utf-8") as file:
            text = file.read()
        assert text.startswith(".TH winctl") and ".SH NAME" in text, page
        assert not re.search(r"^\.(?!TH|SH|TP|B)", text, re.MULTILINE), page


def what_the_documents_show_is_there(shell):
    """Every command line of docs/using.md: its noun, command and options exist."""
    with open(os.path.join(HERE, "..", "..", "docs", "using.md"), encoding="utf-8") as file:
        lines = [line.split("  #")[0].strip() for line in file if line.startswith("winctl ")]
    wrong, common = [], set(re.findall(r"^  --([a-z-]+)", shell.out("--help"), re.MULTILINE)) | {"filter", "sort", "limit", "cursor", "fields"}
    for line in [part for whole in lines for part in whole.split(" && ")]:
        words = line.split()
        for command in words[2].split("|") if len(words) > 2 else ():
            status, text, _ = shell.run(words[1], command, "--help")
            if words[1] in ("login", "logout", "completion", "man") or f"winctl {words[1]} {command}" in shell.out("--help"):
                continue  # winctl's own
            known = common | set(re.findall(r"^  --([a-z0-9.-]+)", text, re.MULTILINE))
            if status or not re.match(rf"winctl \S+ {command}\b", text):
                wrong.append(f"{words[1]} {command}")
            wrong += [f"{words[1]} {command} --{option}" for option in re.findall(r"(?<= )--([a-z0-9.-]+)", line)
                      if option not in known and not any(name.startswith(option + ".") for name in known)]
    assert len(lines) > 40 and not wrong, (len(lines), wrong)


def watch_goes_on_where_it_was_after_a_break(shell):
    watch = shell.watch("role", "list", "--watch", "--columns", "name")
    try:
        lines = iter(watch.stdout.readline, "")
        wait_line(lines, "a-role")
        role(shell, "before-the-break")
        wait_line(lines, "* before-the-break")
        port = shell.manager.port
        shell.manager.stop(signal.SIGKILL)
        shell.manager.start(port=port)
        role(shell, "after-the-break")
        wait_line(lines, "* after-the-break", "after-the-break")  # a change, or in the list that is read anew
    finally:
        watch.kill()
        watch.communicate()


def watch_shows_new_records_of_history(shell):
    watch = shell.watch("audit-record", "list", "--watch", "--filter", "operation=role_create", "--columns", "object")
    try:
        lines = iter(watch.stdout.readline, "")
        wait_line(lines, "OBJECT")
        wait_line(lines, f"* {role(shell, 'recorded')}")
    finally:
        watch.kill()
        watch.communicate()


def a_watch_that_the_manager_refuses_ends_with_its_words(shell):
    status, _, errors = shell.run("vm", "list", "--watch", "--filter", "host.cluster=cl-1")
    assert status == 1 and "over none in a watch" in errors, (status, errors)


def one_object_is_watched_alone(shell):
    role(shell, "watched"), role(shell, "beside")
    watch = shell.watch("role", "get", "watched", "--watch", "--columns", "name,description")
    try:
        lines = iter(watch.stdout.readline, "")
        wait_line(lines, "description: -")
        for name in ("beside", "watched"):
            shell.out("role", "update", name, "--description", f"of-{name}")
        assert next(lines).split() == ["*", "watched", "of-watched"]
        shell.out("role", "delete", "watched", "--yes")
        assert next(lines).startswith("- role-")
        assert watch.wait(center.DEADLINE_S) == 0  # nothing more can come
    finally:
        watch.kill()
        watch.communicate()
    assert "history" in shell.refused("audit-record", "get", first_record(shell), "--watch")


def first_record(shell):
    return shell.out("audit-record", "list", "--limit", "1", "-q").split()[0]


def quiet_columns_are_the_values_alone(shell):
    assert shell.out("role", "get", "a-role", "-q", "--columns", "name") == "a-role\n"
    assert shell.out("role", "get", "a-role", "-q", "--columns", "name,permissions") == "a-role  vm.read\n"
    assert re.fullmatch(r"role-\d+\n", shell.out("role", "get", "a-role", "-q"))


def login_takes_a_password_from_a_file_and_no_unknown_option(shell):
    with open(os.path.join(shell.manager.data, "initial-password"), encoding="ascii") as file:
        password = file.read()
    secret = os.path.join(shell.folder, "secret")
    with open(secret, "w", encoding="ascii") as file:
        file.write(password)
    words = ("login", f"https://127.0.0.1:{shell.manager.port}", "--user", "admin", "--ca", os.path.join(shell.manager.data, "ca.crt"))
    for more in (("--password", f"@{secret}"), ("--password-file", secret)):
        assert "Logged in" in shell.out(*words, *more), more
    assert "--pasword" in shell.refused(*words, "--pasword", f"@{secret}")
    assert "perhaps --password" in shell.refused(*words, "--pasword", f"@{secret}")
    assert "/nowhere" in shell.refused(*words, "--password", "@/nowhere")
    assert "role list" in shell.out("role", "list", "--help")


def own_commands_have_their_own_help(shell):
    for words, wanted in ((("login",), "winctl login URL"), (("man",), "winctl man DIR"), (("image", "upload"), "winctl image upload FILE")):
        text = shell.out(*words, "--help")
        assert text.startswith(wanted) and "winctl NOUN COMMAND" not in text, (words, text)
    assert "winctl image COMMAND" in shell.out("image", "--help")


def wait_line(lines, *wanted):
    end = time.monotonic() + center.DEADLINE_S
    for line in lines:
        if line.rstrip() in wanted:
            return
        assert time.monotonic() < end, wanted
    raise AssertionError(f"the watch ended before {wanted!r}")


TESTS = [login_is_kept_for_its_owner_alone, value_may_begin_with_a_dash, names_are_shown_as_their_owner_wrote_them, text_does_not_move_the_cursor,
         columns_choose_what_is_shown_of_one_object, events_are_told_in_words, help_speaks_one_language,
         errors_name_the_kind_of_object_and_what_to_do_next, a_part_is_given_whole_or_by_its_members,
         words_that_nobody_knows_are_refused_with_what_was_meant, a_part_of_a_list_tells_what_it_is_made_of, tasks_and_records_are_named_as_commands_are,
         yaml_and_json_say_the_same,
         bash_completes_nouns_commands_and_options, man_pages_are_written_for_every_noun, what_the_documents_show_is_there,
         watch_goes_on_where_it_was_after_a_break, watch_shows_new_records_of_history, a_watch_that_the_manager_refuses_ends_with_its_words,
         one_object_is_watched_alone,
         quiet_columns_are_the_values_alone, login_takes_a_password_from_a_file_and_no_unknown_option, own_commands_have_their_own_help]


def main():
    print(f"1..{len(TESTS)}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="ws-winctl-") as folder:
        manager = center.Manager(os.path.abspath(sys.argv[1]), os.path.join(folder, "data"))
        os.mkdir(manager.data, 0o700)
        manager.start()
        shell = Shell(os.path.abspath(sys.argv[2]), manager, folder)
        try:
            shell.login()
            for i, test in enumerate(TESTS):
                try:
                    test(shell)
                    print(f"ok {i + 1} - {test.__name__}", flush=True)
                except Exception as error:  # each failure is one line of TAP, and the next test runs
                    failed += 1
                    print(f"not ok {i + 1} - {test.__name__}\n# {type(error).__name__}: {str(error)[:1500]}", flush=True)
        finally:
            manager.stop()
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
