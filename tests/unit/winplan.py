#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""winplan.py WINPLAN: the program on files: what it reads, refuses, writes. TAP.

The instances of the ROADEF/EURO challenge 2012 lie outside of the repository, in ../shared/data/roadef2012 beside it; without them the tests that need them
are skipped, one by one."""
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
DATA = os.path.join(os.path.dirname(ROOT), "shared/data/roadef2012")
WINPLAN = sys.argv[1]
TESTS = []

MODEL = "2\n1 10\n0 5\n3\n0 0 30 40 20 20 0 1 2\n0 1 30 40 20 20 1 0 1\n1 1 30 40 20 20 2 1 0\n2\n1 0\n1 1 0\n4\n0 10 12 1\n0 8 9 1\n1 12 10 2\n1 5 6 3\n1\n0 1 2\n10\n1 10 100\n"
ASSIGNMENT = "0 1 0 1\n"


def test(function):
    TESTS.append(function)
    return function


class Skip(Exception):
    pass


def run(*words, status=0):
    done = subprocess.run([WINPLAN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=240, check=False,
                          env=dict(os.environ, LC_ALL="C.UTF-8"))
    assert done.returncode == status, f"{words}: status {done.returncode}, not {status}: {done.stdout}{done.stderr}"
    return done.stdout if status != 2 else done.stderr


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def instances():
    """(name, model, assignment, initial cost, best known) from the data's own table."""
    if not os.path.isdir(DATA):
        raise Skip("../shared/data/roadef2012 is not there")
    with open(os.path.join(DATA, "README.md"), encoding="utf-8") as file:
        for row in re.findall(r"^\| (a\d_\d) \| \d+ \| \d+ \| (\d+) \| (\d+) \|", file.read(), re.M):
            yield row[0], f"{DATA}/A/model_{row[0]}.txt", f"{DATA}/A/assignment_{row[0]}.txt", int(row[1]), int(row[2])


def cost_of(model, assignment, solution):
    return int(re.match(r"allowed, cost (\d+)", run("check", "--format", "roadef", model, assignment, solution))[1])


@test
def evaluator_knows_the_published_initial_costs(_folder):
    for name, model, assignment, initial, _best in instances():
        assert cost_of(model, assignment, assignment) == initial, name


@test
def published_instances_become_cheaper_and_stay_allowed(folder):
    out = os.path.join(folder, "out")
    for name, model, assignment, initial, best in instances():
        said = run("solve", "--format", "roadef", model, assignment, "-o", out, "--steps", "300000")
        cost = cost_of(model, assignment, out)
        assert f"-> {cost}\n" in said, name
        assert best <= cost < initial, f"{name}: {cost}, {said}"


@test
def small_model_is_solved_and_checked(folder):
    model, assignment, out = write(folder, "m", MODEL), write(folder, "a", ASSIGNMENT), os.path.join(folder, "out")
    run("solve", "--format", "roadef", model, assignment, "-o", out, "--steps", "5000")
    assert cost_of(model, assignment, out) <= cost_of(model, assignment, assignment)
    assert os.listdir(folder).count("out") == 1 and not [name for name in os.listdir(folder) if name.startswith("out.")]


@test
def same_seed_writes_the_same_file(folder):
    model, assignment = write(folder, "m", MODEL), write(folder, "a", ASSIGNMENT)
    texts = []
    for name in ("one", "two"):
        run("solve", "--format", "roadef", model, assignment, "-o", os.path.join(folder, name), "--steps", "5000", "--seed", "9", "--threads", "2")
        with open(os.path.join(folder, name), encoding="ascii") as file:
            texts.append(file.read())
    assert texts[0] == texts[1]


@test
def evaluator_names_the_broken_rule(folder):
    model, assignment = write(folder, "m", MODEL), write(folder, "a", ASSIGNMENT)
    for solution, word in (("0 0 0 1", "two processes"), ("0 2 0 1", ""), ("1 0 1 0", "capacity"), ("0 1 2 1", "not in its neighbourhood")):
        path = write(folder, "s", solution + "\n")
        said = run("check", "--format", "roadef", model, assignment, path, status=0 if not word else 1)
        assert word in said, f"{solution}: {said}"


@test
def malformed_files_are_refused_with_their_line(folder):
    assignment, out = write(folder, "a", ASSIGNMENT), os.path.join(folder, "out")
    lines = MODEL.splitlines()
    cases = [("", 1), ("x", 1), (MODEL.replace("1 10\n", "1 -10\n", 1), 2), (MODEL.replace("1 10\n", "2 10\n", 1), 2),
             (MODEL.replace("30 40", "30 4e1", 1), 5), (MODEL.replace("0 10 12 1", "7 10 12 1"), 12), (MODEL.replace("1 1 0\n4", "1 1 9\n4"), 10),
             (MODEL.replace("30 40", "30 99999999999999999999999", 1), 5), (MODEL + "1\n", 20), (MODEL.replace("0 1 2\n10", "0 2 2\n10"), 17),
             ("\n".join(lines[:-1]) + "\n", 19), (MODEL.replace("2\n1 0\n1 1 0", "4000000\n1 0\n1 1 0"), 8), ("1\n0 1\n65535\n", 3), ("0\n", 1)]
    for text, line in cases:
        model = write(folder, "m", text)
        said = run("solve", "--format", "roadef", model, assignment, "-o", out, "-t", "1", status=2)
        assert f"m:{line} is not valid: expected " in said, f"{line}: {said}"
        said = run("check", "--format", "roadef", model, assignment, assignment, status=2)
        assert " is not valid: expected " in said, said
    model = write(folder, "m", MODEL)
    for text, line in (("0 1 0\n", 2), ("0 1 0 3\n", 1), ("0 1 0 1 1\n", 1), ("0 1\n0 b\n", 2)):
        said = run("solve", "--format", "roadef", model, write(folder, "b", text), "-o", out, status=2)
        assert f"b:{line} is not valid" in said, said
    said = run("solve", "--format", "roadef", model, write(folder, "b", "0 0 1 1\n"), "-o", out, status=2)
    assert "one group on different hosts" in said, said
    assert not os.path.exists(out)


@test
def command_line_is_checked(folder):
    model, assignment = write(folder, "m", MODEL), write(folder, "a", ASSIGNMENT)
    for words, said in (((model, assignment), "--format"), (("--format", "roadef", model, assignment), "-o is required"),
                        (("--format", "roadef", model, "-o", "x"), "command line"), (("--format", "roadef", "--threads", "0", model, assignment), "--threads"),
                        (("--format", "roadef", "-t", "soon", model, assignment), "-t"), (("--what", "1"), "--what"), (("-o",), "-o is required"),
                        (("--format", "roadef", model + "none", assignment, "-o", "x"), "none")):
        assert said in run("solve", *words, status=2), words
    run("nothing", status=2)
    assert "winplan solve" in run("--help")


@test
def file_that_cannot_be_written_is_told(folder):
    model, assignment = write(folder, "m", MODEL), write(folder, "a", ASSIGNMENT)
    said = run("solve", "--format", "roadef", model, assignment, "-o", os.path.join(folder, "no/such/folder"), "--steps", "1000", status=2)
    assert "no/such/folder" in said


def generate(folder, hosts, *more):
    cluster, use = os.path.join(folder, "cluster"), os.path.join(folder, "use")
    run("generate", "--format", "ganeti", "--hosts", str(hosts), "-o", cluster, "-U", use, *more)
    return cluster, use


def balanced(text):
    """(score before, score after, [(vm, places before, places after, action)])."""
    before, after = re.search(r"Cluster score improved from ([\d.]+) to ([\d.]+)", text).groups()
    steps = re.findall(r"^ +\d+\. (\S+) (\S+) => (\S+) [\d.]+ a=(.*)$", text, re.M)
    assert len(steps) == int(re.search(r"Solution length=(\d+)", text)[1])
    return float(before), float(after), steps


def after_steps(cluster, steps, folder):
    """The cluster's file with the steps done."""
    with open(cluster, encoding="utf-8") as file:
        sections = [part.split("\n") for part in file.read().rstrip("\n").split("\n\n")]
    nodes = {line.split("|")[0]: line.split("|") for line in sections[1] if line}
    vms = {line.split("|")[0]: line.split("|") for line in sections[2] if line}
    for vm, before, after, _action in steps:
        row, (old, old_second), (new, new_second) = vms[vm], before.split(":"), after.split(":")
        assert row[6:8] == [old, old_second], vm
        nodes[old][3] = str(int(nodes[old][3]) + int(row[1]))
        nodes[new][3] = str(int(nodes[new][3]) - int(row[1]))
        for name, sign in ((old, 1), (old_second, 1), (new, -1), (new_second, -1)):
            nodes[name][5] = str(int(nodes[name][5]) + sign * int(row[2]))
        assert int(nodes[new][3]) >= 0 and int(nodes[new][5]) >= 0 and int(nodes[new_second][5]) >= 0, vm
        row[6:8] = [new, new_second]
    sections[1] = ["|".join(row) for row in nodes.values()]
    sections[2] = ["|".join(row) for row in vms.values()]
    return write(folder, "after", "\n\n".join("\n".join(part) for part in sections) + "\n")


@test
def score_is_that_of_hbal(folder):
    """Figures of hbal 3.0.2 for this cluster."""
    cluster, use = generate(folder, 25)
    before, after, steps = balanced(run("balance", "--format", "ganeti", "-t", cluster))
    assert abs(before - 21.79959542) < 1e-8 and after < 0.6819 and len(steps) <= 51, (before, after, len(steps))
    before, after, steps = balanced(run("balance", "--format", "ganeti", "-t", cluster, "-U", use))
    assert abs(before - 7.61656745) < 1e-8 and after < 0.907 and len(steps) < 107, (before, after, len(steps))


@test
def moves_are_possible_and_a_second_run_finds_none(folder):
    for hosts, seed in ((5, 1), (25, 2), (60, 3), (300, 4)):
        cluster, use = generate(folder, hosts, "--seed", str(seed))
        for words in ((), ("-U", use)):
            before, after, steps = balanced(run("balance", "--format", "ganeti", "-t", cluster, *words))
            assert after < before and steps, hosts
            done = after_steps(cluster, steps, folder)
            again, still, none = balanced(run("balance", "--format", "ganeti", "-t", done, *words))
            assert abs(again - after) < 1e-6 and not none and still == again, (hosts, words, again, after, none)


@test
def nodes_out_of_service_are_emptied(folder):
    cluster, _use = generate(folder, 30)
    _before, _after, steps = balanced(run("balance", "--format", "ganeti", "-t", cluster, "-O", "node2", "--evac-mode"))
    assert steps and all("node2" in before.split(":") for _vm, before, _to, _action in steps)
    places = " ".join(to for _vm, _before, to, _action in steps)
    assert not re.search(r"\bnode2\b", places), places


@test
def malformed_clusters_are_refused_with_their_line(folder):
    cluster, use = generate(folder, 3, "--per-host", "2")
    with open(cluster, encoding="utf-8") as file:
        good = file.read()
    for old, new, line in (("|M|", "|M|", None), ("node1|262144|", "node1|lots|", 4), ("|drbd||1\n", "|drbd\n", 7), ("|running|Y|node", "|running|Y|mode", 7),
                           ("|running|Y|", "|running|maybe|", 7), ("node1|", "node0|", 4), ("|preferred||", "", 1), ("|4.0|", "|x|", 15), ("|N|1111", "|N|2111", 3)):
        if line:
            said = run("balance", "--format", "ganeti", "-t", write(folder, "bad", good.replace(old, new, 1)), status=2)
            assert f"bad:{line} is not valid: expected " in said, f"{old}: {said}"
    run("balance", "--format", "ganeti", "-t", write(folder, "bad", "x\0y"), status=2)
    with open(use, encoding="utf-8") as file:
        text = file.read()
    for broken, line in ((text.replace("vm1 ", "none ", 1), 2), (text.replace(" 0", " -0.1", 1), 1), (text + "vm0 1 1\n", 7)):
        said = run("balance", "--format", "ganeti", "-t", cluster, "-U", write(folder, "bad", broken), status=2)
        assert f"bad:{line} is not valid" in said, said
    assert "node77" in run("balance", "--format", "ganeti", "-t", cluster, "-O", "node77", status=2)


NUMA = "slot 16 0\nhost a 16 64 16 64\nhost b 16 64  # one node\nvm x 8 8 a 0\nvm y 8 8 b 0\nvm z 16 16 a 1\n"


def defragmented(text):
    """(slots before, slots after, [(vm, from, to, slots)])."""
    before, after = re.search(r"Slots of \d+ CPUs: from (\d+) to (\d+)", text).groups()
    return int(before), int(after), re.findall(r"^ +\d+\. (\S+) (\S+) => (\S+) (\d+)$", text, re.M)


@test
def fragments_are_joined(folder):
    before, after, steps = defragmented(run("defrag", "--format", "numa", "-t", write(folder, "n", NUMA)))
    assert (before, after, len(steps)) == (0, 1, 1) and steps[0][3] == "1", (before, after, steps)
    for mix in ("small", "mixed", "large", "odd"):
        cluster = os.path.join(folder, mix)
        run("generate", "--format", "numa", "--hosts", "30", "--vms", "200", "--mix", mix, "-o", cluster)
        before, after, steps = defragmented(run("defrag", "--format", "numa", "-t", cluster, "--limit", "10"))
        assert before < after and 0 < len(steps) <= 10, (mix, before, after, steps)
        assert (before, after, steps) == defragmented(run("defrag", "--format", "numa", "-t", cluster, "--limit", "10")), mix


@test
def malformed_numa_clusters_are_refused_with_their_line(folder):
    for old, new, line in (("slot 16 0\n", "", 1), ("slot 16", "slot 0", 1), ("slot 16 0\n", "slot 16 0\nslot 16 0\n", 2), ("host a 16", "host a lots", 2),
                           ("host b", "host a", 3), ("vm y", "vm x", 5), ("8 b 0", "8 c 0", 5), ("8 b 0", "8 b 2", 5), ("vm y 8", "vm y 17", 5), ("8 b 0", "8 b 1", 5),
                           ("vm y 8", "vm y -8", 5), ("vm z 16 16 a 1", "vm z 15 16 a both", 6), ("vm z", "pm z", 6), ("8 a 0", "8 a", 4), (NUMA, "slot 1 1\n", 1)):
        said = run("defrag", "--format", "numa", "-t", write(folder, "bad", NUMA.replace(old, new, 1)), status=2)
        assert f"bad:{line} is not valid: expected " in said, f"{old}: {said}"
    assert "--mix" in run("generate", "--format", "numa", "--mix", "none", "-o", os.path.join(folder, "x"), status=2)


def main():
    print(f"1..{len(TESTS)}")
    failed = False
    for number, function in enumerate(TESTS, 1):
        with tempfile.TemporaryDirectory() as folder:
            try:
                function(folder)
                print(f"ok {number} {function.__name__}", flush=True)
            except Skip as why:
                print(f"ok {number} {function.__name__} # SKIP {why}", flush=True)
            except (AssertionError, subprocess.TimeoutExpired, TypeError) as failure:
                failed = True
                print(f"not ok {number} {function.__name__}\n# {str(failure)[:1500]}".replace("\n", "\n# ").replace("# # ", "# "), flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
