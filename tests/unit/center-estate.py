#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Site, host pools, clusters and the hosts in them, through the API of a real wincenterd. The hosts are enrolled but never dial in. Prints TAP.

usage: center-estate.py WINCENTERD
"""
import importlib.util
import os
import re
import subprocess
import sys
import time
import urllib.parse

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("center_api", os.path.join(HERE, "center-api.py"))
center = importlib.util.module_from_spec(spec)
spec.loader.exec_module(center)


def made(answer):
    status, body, _ = answer
    assert status == 201, (status, body)
    return body


def done(answer):
    status, body, _ = answer
    assert status == 200, (status, body)
    return body


def refused(answer, status, code):
    assert (answer[0], answer[1]["code"]) == (status, code), answer[:2]
    return answer[1]


def csr():
    return subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
                           "-keyout", "/dev/null"], capture_output=True, text=True, check=True).stdout


def enrol(m, admin, name, architecture="x86_64", **token):
    secret = made(admin.call("POST", "/join-tokens", {"host_name": name, **token}))["token"]
    body = made(center.Client(m).call("POST", "/enrol", {"token": secret, "csr": csr(), "hostname": name, "architecture": architecture}))
    return done(admin.call("GET", f"/hosts/{body['host']}"))


def first_pool(admin):
    return done(admin.call("GET", "/host-pools?sort=created"))["items"][0]


# ---- tests: each gets the manager and a logged-in administrator ----

def site_and_first_host_pool_are_there(m, admin):
    sites = done(admin.call("GET", "/sites"))
    assert sites["total"] == 1 and sites["items"][0]["cpu_overcommit_ratio"] == 4, sites
    pool = first_pool(admin)
    m.stop()
    m.start()
    assert done(admin.call("GET", "/sites"))["total"] == 1
    assert first_pool(admin)["id"] == pool["id"]


def new_host_goes_where_its_token_says(m, admin):
    pool = made(admin.call("POST", "/host-pools", {"name": "east"}))
    cluster = made(admin.call("POST", "/clusters", {"name": "c1", "host_pool": pool["id"]}))
    assert "architecture" not in cluster
    host = enrol(m, admin, "e1", cluster=cluster["id"])
    assert (host["cluster"], host["host_pool"]) == (cluster["id"], pool["id"]), host
    assert done(admin.call("GET", f"/clusters/{cluster['id']}"))["architecture"] == "x86_64"  # its first host's
    assert enrol(m, admin, "e2", host_pool=pool["id"])["host_pool"] == pool["id"]
    alone = enrol(m, admin, "e3")
    assert "cluster" not in alone and alone["host_pool"] == first_pool(admin)["id"], alone
    other = enrol(m, admin, "e4", architecture="aarch64", cluster=cluster["id"])
    assert "cluster" not in other, other
    events = done(admin.call("GET", f"/events?filter=object%3D{other['id']}"))["items"]
    assert any(e["text"] == "host_not_in_cluster" for e in events), events


def enrol_machine(m, admin, name, machine, product, **token):
    secret = made(admin.call("POST", "/join-tokens", token or {"host_name": name}))["token"]
    return lambda: center.Client(m).call("POST", "/enrol", {"token": secret, "csr": csr(), "hostname": name, "machine_hash": machine,
                                                            "product_uuid": product})


def machine_is_in_the_site_once(m, admin):
    machine, product = "ab" * 32, "4c4c4544-0042-3510-8057-b7c04f4b4c32"
    join = enrol_machine(m, admin, "first-name", machine, product)
    host = made(join())["host"]
    join = enrol_machine(m, admin, "second-name", machine, product.upper())
    error = refused(join(), 409, "host_known")
    assert "first-name" in error["message"] and "winctl join-token create --host" in error["hint"], error
    assert not [h for h in done(admin.call("GET", "/hosts"))["items"] if h["name"] == "second-name"]
    join = enrol_machine(m, admin, "clone", machine, "11111111-2222-3333-4444-555555555555")
    error = refused(join(), 409, "machine_id_taken")
    assert "first-name" in error["message"] and "systemd-machine-id-setup" in error["hint"], error
    join = enrol_machine(m, admin, "first-name", machine, product, host=host)  # the same machine, by a token of its own
    assert made(join())["host"] == host
    done_or_gone = admin.call("DELETE", f"/hosts/{host}")
    assert done_or_gone[0] in (202, 204), done_or_gone
    end = time.monotonic() + center.DEADLINE_S
    while admin.call("GET", f"/hosts/{host}")[0] != 404:
        assert time.monotonic() < end, "the host is not removed"
        time.sleep(0.05)
    join = enrol_machine(m, admin, "second-name", machine, product)  # and as a new one when that is gone
    assert made(join())["host"] != host


def cluster_takes_one_architecture(m, admin):
    pool = first_pool(admin)
    cluster = made(admin.call("POST", "/clusters", {"name": "arm", "host_pool": pool["id"], "architecture": "aarch64"}))
    host = enrol(m, admin, "x86", host_pool=pool["id"])
    error = refused(admin.call("POST", f"/hosts/{host['id']}/assign", {"cluster": cluster["id"]}), 409, "architecture_mismatch")
    assert "x86_64" in error["message"] and "arm" in error["message"] and error["hint"], error
    assert "cluster" not in done(admin.call("GET", f"/hosts/{host['id']}"))


def hosts_move_between_clusters_and_out(m, admin):
    a, b = (made(admin.call("POST", "/host-pools", {"name": name})) for name in ("move-a", "move-b"))
    one = made(admin.call("POST", "/clusters", {"name": "one", "host_pool": a["id"]}))
    two = made(admin.call("POST", "/clusters", {"name": "two", "host_pool": b["id"]}))
    host = enrol(m, admin, "wanderer", cluster=one["id"])
    path = f"/hosts/{host['id']}/assign"
    assert done(admin.call("POST", path + "?dry_run=true", {"cluster": two["id"]}))["dry_run"] is True
    assert done(admin.call("GET", f"/hosts/{host['id']}"))["cluster"] == one["id"]
    moved = done(admin.call("POST", path, {"cluster": two["id"]}))
    assert (moved["cluster"], moved["host_pool"]) == (two["id"], b["id"]), moved
    out = done(admin.call("POST", path, {"host_pool": a["id"]}))
    assert "cluster" not in out and out["host_pool"] == a["id"], out
    refused(admin.call("POST", path, {}), 400, "bad_value")
    refused(admin.call("POST", path, {"cluster": one["id"], "host_pool": a["id"]}), 400, "bad_value")
    refused(admin.call("POST", path, {"cluster": "cl-999999"}), 400, "bad_reference")
    status, body, _ = admin.call("POST", path, {"cluster": one["id"]}, If_Match='"1"')
    assert (status, body["code"]) == (412, "revision_mismatch"), body


def cluster_takes_its_hosts_along_to_another_host_pool(m, admin):
    a, b = (made(admin.call("POST", "/host-pools", {"name": name})) for name in ("along-a", "along-b"))
    cluster = made(admin.call("POST", "/clusters", {"name": "c", "host_pool": a["id"]}))
    hosts = [enrol(m, admin, f"along-{i}", cluster=cluster["id"])["id"] for i in range(3)]
    done(admin.call("PATCH", f"/clusters/{cluster['id']}", {"host_pool": b["id"]}))
    assert all(done(admin.call("GET", f"/hosts/{h}"))["host_pool"] == b["id"] for h in hosts)
    again = done(admin.call("PATCH", f"/clusters/{cluster['id']}", {"host_pool": b["id"]}))
    assert again["revision"] == done(admin.call("GET", f"/clusters/{cluster['id']}"))["revision"]


def what_holds_something_is_not_deleted(m, admin):
    pool = made(admin.call("POST", "/host-pools", {"name": "held"}))
    cluster = made(admin.call("POST", "/clusters", {"name": "held", "host_pool": pool["id"]}))
    host = enrol(m, admin, "holder", cluster=cluster["id"])
    refused(admin.call("DELETE", f"/host-pools/{pool['id']}"), 409, "in_use")
    refused(admin.call("DELETE", f"/clusters/{cluster['id']}"), 409, "in_use")
    done(admin.call("POST", f"/hosts/{host['id']}/assign", {"host_pool": first_pool(admin)["id"]}))
    assert admin.call("DELETE", f"/clusters/{cluster['id']}")[0] == 204
    assert admin.call("DELETE", f"/host-pools/{pool['id']}")[0] == 204


def names_are_kept_apart(m, admin):
    a, b = (made(admin.call("POST", "/host-pools", {"name": name})) for name in ("names-a", "names-b"))
    refused(admin.call("POST", "/host-pools", {"name": "names-a"}), 409, "name_taken")
    one = made(admin.call("POST", "/clusters", {"name": "same", "host_pool": a["id"]}))
    made(admin.call("POST", "/clusters", {"name": "same", "host_pool": b["id"]}))
    refused(admin.call("POST", "/clusters", {"name": "same", "host_pool": a["id"]}), 409, "name_taken")
    other = made(admin.call("POST", "/clusters", {"name": "other", "host_pool": a["id"]}))
    refused(admin.call("PATCH", f"/clusters/{other['id']}", {"name": "same"}), 409, "name_taken")
    done(admin.call("PATCH", f"/clusters/{one['id']}", {"name": "same", "description": "itself"}))
    refused(admin.call("POST", "/clusters", {"name": "x", "host_pool": "hp-999999"}), 400, "bad_reference")


def capacity_counts_hosts_of_the_scope(m, admin):
    pool = made(admin.call("POST", "/host-pools", {"name": "counted"}))
    cluster = made(admin.call("POST", "/clusters", {"name": "counted", "host_pool": pool["id"]}))
    inside = enrol(m, admin, "in", cluster=cluster["id"])
    enrol(m, admin, "beside", host_pool=pool["id"], architecture="aarch64")
    of = lambda path: done(admin.call("GET", f"{path}/capacity"))
    assert of(f"/clusters/{cluster['id']}")["hosts"] == 1
    both = of(f"/host-pools/{pool['id']}")
    assert both["hosts"] == 2 and both["hosts_connected"] == 0 and both["memory"]["total_bytes"] == 0, both
    assert {a["architecture"]: a["hosts"] for a in both["architectures"]} == {"x86_64": 1, "aarch64": 1}, both
    assert of(f"/hosts/{inside['id']}")["hosts"] == 1
    site = done(admin.call("GET", "/sites"))["items"][0]
    assert of(f"/sites/{site['id']}")["hosts"] == done(admin.call("GET", "/hosts?limit=1"))["total"]
    refused(admin.call("GET", "/clusters/cl-999999/capacity"), 404, "not_found")
    refused(admin.call("POST", f"/clusters/{cluster['id']}/capacity", {}), 405, "method_not_allowed")
    assert center.Client(m).call("GET", f"/clusters/{cluster['id']}/capacity")[0] == 401


def host_that_is_not_connected_cannot_enter_maintenance(m, admin):
    host = enrol(m, admin, "cold")
    refused(admin.call("POST", f"/hosts/{host['id']}/enter_maintenance", {}), 409, "wrong_state")
    refused(admin.call("POST", f"/hosts/{host['id']}/leave_maintenance", {}), 409, "wrong_state")


def search_finds_by_what_people_know(m, admin):
    pool = made(admin.call("POST", "/host-pools", {"name": "needle-pool", "description": "in the haystack", "labels": {"rack": "R17-needle"}}))
    cluster = made(admin.call("POST", "/clusters", {"name": "a needle", "host_pool": pool["id"]}))
    hits = done(admin.call("GET", "/search?q=Needle"))
    found = {hit["object"]: hit["field"] for hit in hits["items"]}
    assert found[pool["id"]] == "name" and found[cluster["id"]] == "name", hits
    assert hits["items"][0]["object"] == pool["id"], hits  # begins with it
    assert done(admin.call("GET", f"/search?q={cluster['id']}"))["items"][0]["object"] == cluster["id"]
    assert done(admin.call("GET", "/search?q=r17-NEEDLE"))["items"][0]["field"] == "labels"
    only = done(admin.call("GET", "/search?q=needle&types=clusters"))
    assert [hit["kind"] for hit in only["items"]] == ["clusters"] and only["total"] == 1, only
    one = done(admin.call("GET", "/search?q=needle&limit=1"))
    assert len(one["items"]) == 1 and one["total"] >= 2, one
    refused(admin.call("GET", "/search"), 400, "required")
    refused(admin.call("GET", "/search?q=x&limit=0"), 400, "out_of_range")
    refused(admin.call("GET", "/search?q=x&types=nonsense"), 400, "bad_value")


def search_sees_each_change(m, admin):
    def found(text):
        return {(h["object"], h["field"]) for h in done(admin.call("GET", "/search?limit=50&q=" + urllib.parse.quote(text)))["items"]}

    pool = made(admin.call("POST", "/host-pools", {"name": "Erste Reihe", "description": "Note A"}))["id"]
    assert found("erste") == {(pool, "name")} and found("note a") == {(pool, "description")}
    done(admin.call("PATCH", f"/host-pools/{pool}", {"name": "\u6d4b\u8bd5\u6c60 K\u00d6LN", "description": "Note B"}))
    assert found("erste") == found("note a") == set()
    assert found("\u8bd5\u6c60") == found("k\u00f6ln") == found("K\u00d6L") == {(pool, "name")} and found("NOTE B") == {(pool, "description")}
    assert admin.call("DELETE", f"/host-pools/{pool}")[0] == 204
    assert found("\u8bd5\u6c60") == found("note b") == set()


def a_search_counts_all_and_shows_the_best(m, admin):
    named = [made(admin.call("POST", "/host-pools", {"name": name}))["id"] for name in ("best-of", "a best-of", "best-of-two", "Best-Of-Three")]
    more = [made(admin.call("POST", "/host-pools", {"name": f"other-{i}", "description": "best-of"}))["id"] for i in range(3)]
    answer = done(admin.call("GET", "/search?q=best-of&limit=3"))
    assert answer["total"] == 7, answer
    assert [h["object"] for h in answer["items"]] == [named[0], *more[:2]], answer  # what is the text before what begins with it
    answer = done(admin.call("GET", "/search?q=best-of&limit=6"))
    assert [h["object"] for h in answer["items"]] == [named[0], *more, named[2], named[3]], answer
    for pool in named + more:
        assert admin.call("DELETE", f"/host-pools/{pool}")[0] == 204


def winctl_of(m):
    """What runs winctl as admin, and returns what it says."""
    folder = os.path.join(m.data, "..")
    environment = dict(os.environ, WINCTL_CONFIG=os.path.join(folder, "winctl.json"), LC_ALL="C.UTF-8")
    run = lambda *words: subprocess.run([sys.argv[2], *words], capture_output=True, text=True, check=True, env=environment).stdout
    run("login", f"https://127.0.0.1:{m.port}", "--user", "admin", "--ca", os.path.join(m.data, "ca.crt"), "--password-file",
        os.path.join(m.data, "initial-password"))
    return run


def winctl_shows_what_a_search_found(m, admin):
    """A view lists objects of its own form; its columns are their fields."""
    made(admin.call("POST", "/host-pools", {"name": "shown by winctl"}))
    lines = winctl_of(m)("system", "search", "--q", "shown by").splitlines()
    assert lines[0].split() == ["OBJECT", "KIND", "NAME", "FIELD", "VALUE"] and "shown by winctl" in lines[1], lines


def cluster_says_how_hosts_are_chosen(m, admin):
    cluster = made(admin.call("POST", "/clusters", {"name": "chosen", "host_pool": first_pool(admin)["id"]}))
    assert "placement" not in cluster, cluster  # spread, without anybody saying so
    path = f"/clusters/{cluster['id']}"
    told = done(admin.call("PATCH", path, {"placement": {"strategy": "concentrated"}}))
    assert told["placement"]["strategy"] == "concentrated", told
    error = refused(admin.call("PATCH", path, {"placement": {"strategy": "piled"}}), 400, "bad_value")
    assert error["field"] == "placement.strategy", error
    error = refused(admin.call("PATCH", path, {"placement": {"fill_threshold_percent": 101}}), 400, "out_of_range")
    assert error["field"] == "placement.fill_threshold_percent", error
    environment = dict(os.environ, WINCTL_CONFIG=os.path.join(m.data, "..", "winctl.json"), LC_ALL="C.UTF-8")  # logged in by the test before
    subprocess.run([sys.argv[2], "cluster", "update", "chosen", "--placement.strategy", "spread", "--placement.fill-threshold-percent", "70"],
                   capture_output=True, text=True, check=True, env=environment)
    assert done(admin.call("GET", path))["placement"] == {"strategy": "spread", "fill_threshold_percent": 70}


def search_shows_only_what_the_caller_may_read(m, admin):
    role = made(admin.call("POST", "/roles", {"name": "hosts only", "permissions": ["host.read"]}))
    made(admin.call("POST", "/users", {"name": "narrow", "password": "a long enough one", "roles": [role["id"]]}))
    narrow = center.Client(m).login("narrow", "a long enough one")
    pool = made(admin.call("POST", "/host-pools", {"name": "hidden-thing"}))
    host = enrol(m, admin, "hidden-thing-host", host_pool=pool["id"])
    hits = done(narrow.call("GET", "/search?q=hidden-thing"))["items"]
    assert [hit["object"] for hit in hits] == [host["id"]], hits


SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*)\})? (-?[0-9.e+-]+|NaN)')


def metrics_name_every_object_also_the_dead(m, admin):
    host = enrol(m, admin, 'quo"te\\d')
    for path in ("/metrics",):
        status, head, text = admin.raw("GET", path)
        assert status == 200 and head["content-type"].startswith("text/plain; version=0.0.4"), (status, head)
    lines = text.decode().splitlines()
    seen, family = set(), None
    for line in lines:
        if line.startswith("# TYPE "):
            family = line.split()[2]
            assert family not in seen, f"{family} comes twice"
            seen.add(family)
        elif not line.startswith("#"):
            sample = SAMPLE.fullmatch(line)
            assert sample and sample[1] == family, line
    up = [line for line in lines if line.startswith("winsphere_host_up{") and f'host="{host["id"]}"' in line]
    assert len(up) == 1 and up[0].endswith(" 0") and r'name="quo\"te\\d"' in up[0], up
    assert 'winsphere_objects{type="hosts"} ' in text.decode()
    assert not any(line.startswith("winsphere_host_cpu_percent{") and host["id"] in line for line in lines)
    assert center.Client(m).raw("GET", "/metrics")[0] == 401


def dashboards_and_rules_ask_for_what_there_is(m, admin):
    text = admin.raw("GET", "/metrics")[2].decode()
    there = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    folder = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../packaging/monitoring")
    made_now = subprocess.run([os.path.join(folder, "make-dashboards"), "--check"], capture_output=True, text=True, check=False)
    assert made_now.returncode == 0, made_now.stderr
    for name in os.listdir(folder):
        if name.endswith((".json", "alerts.yaml")):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                asked = set(re.findall(r"\bwinsphere_[a-z_]+", file.read()))
            assert asked and asked <= there, (name, asked - there)


def what_no_agent_has_told_is_not_made_up(m, admin):
    cluster = made(admin.call("POST", "/clusters", {"name": "untold", "host_pool": first_pool(admin)["id"]}))
    host = enrol(m, admin, "silent", cluster=cluster["id"])
    check = done(admin.call("GET", f"/hosts/{host['id']}/check"))
    assert (check["failed"], check["warned"], check["lines"]) == (0, 0, []), check
    baseline = done(admin.call("GET", f"/clusters/{cluster['id']}/cpu_baseline"))
    assert "model" not in baseline and baseline["hosts"] == 0 and baseline["unknown"] == ["silent"], baseline


def affinity_rule_says_what_it_lacks(m, admin):
    cluster = made(admin.call("POST", "/clusters", {"name": "ruled", "host_pool": first_pool(admin)["id"]}))["id"]
    host = enrol(m, admin, "ruled-1", cluster=cluster)["id"]
    other = enrol(m, admin, "elsewhere-1")["id"]

    def rule(**fields):
        return admin.call("POST", "/affinity-rules", {"name": "r", "cluster": cluster, **fields})

    for fields, field in (({"kind": "keep_apart"}, "vms"), ({"kind": "must_run_on", "vm_label": "a=b"}, "hosts"),
                          ({"kind": "keep_apart", "vm_label": "a=b", "hosts": [host]}, "hosts"),
                          ({"kind": "must_run_on", "vm_label": "a=b", "hosts": [other]}, "hosts[0]"),
                          ({"kind": "keep_apart", "vm_label": "no label"}, "vm_label")):
        error = refused(rule(**fields), 400, "bad_value")
        assert error["field"] == field, (fields, error)
    refused(rule(kind="keep_apart", vms=["vm-999999", "vm-999998"]), 400, "bad_value")
    good = made(rule(kind="must_run_on", vm_label="role=web", hosts=[host]))
    assert good["enabled"] and good["created"], good
    assert done(admin.call("GET", f"/affinity-rules/{good['id']}/violations"))["items"] == []
    assert done(admin.call("GET", f"/clusters/{cluster}/rule_violations"))["items"] == []
    refused(admin.call("PATCH", f"/affinity-rules/{good['id']}", {"hosts": []}), 400, "bad_value")
    assert done(admin.call("PATCH", f"/affinity-rules/{good['id']}", {"enabled": False}))["enabled"] is False
    refused(admin.call("DELETE", f"/clusters/{cluster}"), 409, "in_use")
    assert admin.call("DELETE", f"/affinity-rules/{good['id']}")[0] == 204


def rules_that_spread_need_so_many_fault_domains(m, admin):
    cluster = made(admin.call("POST", "/clusters", {"name": "racked", "host_pool": first_pool(admin)["id"]}))["id"]
    hosts = [enrol(m, admin, f"racked-{i}", cluster=cluster)["id"] for i in range(3)]

    def rule(**fields):
        return admin.call("POST", "/affinity-rules", {"name": "r", "cluster": cluster, "vm_label": "role=web", **fields})

    def in_rack(host, rack):
        return admin.call("PATCH", f"/hosts/{host}", {"fault_domain": rack})

    refused(in_rack(hosts[0], "x" * 65), 400, "bad_value")
    for host in hosts[:2]:
        assert done(in_rack(host, "rack-7"))["fault_domain"] == "rack-7"
    assert [h["id"] for h in done(admin.call("GET", "/hosts?filter=fault_domain=rack-7"))["items"]] == hosts[:2]
    winctl = winctl_of(m)
    winctl("host", "update", hosts[1], "--fault-domain", "rack-8")
    winctl("host", "update", hosts[1], "--fault-domain", "rack-7")
    listed = winctl("host", "list", "--filter", "fault_domain=rack-7")
    assert "racked-0" in listed and "rack-7" in listed and "racked-2" not in listed, listed
    for fields, code, field in (({"kind": "keep_apart", "min_domains": 2}, "bad_value", "min_domains"), ({"kind": "must_spread", "min_domains": 1}, "out_of_range", "min_domains"),
                                ({"kind": "must_spread", "hosts": [hosts[0]]}, "bad_value", "hosts"), ({"kind": "must_spread", "min_domains": 3}, "bad_value", "min_domains")):
        error = refused(rule(**fields), 400, code)
        assert error["field"] == field, (fields, error)
    assert "make up: 2" in error["message"], error  # rack-7, and the third host
    good = made(rule(kind="must_spread"))
    assert made(rule(kind="should_spread", min_domains=9))["min_domains"] == 9  # as far as it goes
    refused(admin.call("PATCH", f"/affinity-rules/{good['id']}", {"min_domains": 3}), 400, "bad_value")
    done(in_rack(hosts[1], None))
    assert done(admin.call("PATCH", f"/affinity-rules/{good['id']}", {"min_domains": 3}))["min_domains"] == 3
    done(in_rack(hosts[1], "rack-7"))  # a rule that stands bars nobody from saying where a host is, nor other rules
    made(rule(kind="keep_apart"))
    told = done(admin.call("PATCH", f"/affinity-rules/{good['id']}", {"description": "three racks"}))  # nor from what else the rule says
    assert told["description"] == "three racks" and told["min_domains"] == 3, told
    assert done(admin.call("PATCH", f"/affinity-rules/{good['id']}", {"enabled": False}))["enabled"] is False
    refused(admin.call("PATCH", f"/affinity-rules/{good['id']}", {"enabled": True}), 400, "bad_value")
    assert done(admin.call("GET", f"/clusters/{cluster}/rule_violations"))["items"] == []
    refused(admin.call("GET", f"/clusters/{cluster}/what_if?vms=1&rule_kind=must_spread&rule_min_domains=1"), 400, "out_of_range")
    assert admin.call("GET", f"/clusters/{cluster}/what_if?vms=1&rule_kind=must_spread&rule_min_domains=2")[0] == 200


def drs_of_an_empty_cluster_answers(m, admin):
    cluster = made(admin.call("POST", "/clusters", {"name": "idle", "host_pool": first_pool(admin)["id"], "drs": {"level": "manual"}}))
    assert cluster["drs"]["aggression"] == 3 and cluster["drs"]["rules"] == "automatic", cluster
    refused(admin.call("PATCH", f"/clusters/{cluster['id']}", {"drs": {"aggression": 6}}), 400, "out_of_range")
    enrol(m, admin, "idle-1", cluster=cluster["id"])
    status = done(admin.call("GET", f"/clusters/{cluster['id']}/drs_status"))
    assert status["level"] == "manual" and [h["name"] for h in status["hosts"]] == ["idle-1"], status
    assert status["hosts"][0]["in_service"] is False, status  # its agent was never there
    told = done(admin.call("POST", "/drs-recommendations/refresh", {"cluster": cluster["id"]}))
    assert told == {"pending": 0, "accepted": 0}, told
    assert done(admin.call("GET", f"/clusters/{cluster['id']}/drs_status"))["looked"]
    assert done(admin.call("POST", "/drs-recommendations/accept_all", {"cluster": cluster["id"]})) == {"accepted": 0}
    assert "storage_drs" not in cluster, cluster
    changed = done(admin.call("PATCH", f"/clusters/{cluster['id']}", {"storage_drs": {"level": "manual", "space_percent": 70}}))
    assert changed["storage_drs"]["space_percent"] == 70, changed
    refused(admin.call("PATCH", f"/clusters/{cluster['id']}", {"storage_drs": {"space_percent": 101}}), 400, "out_of_range")
    status = done(admin.call("GET", f"/clusters/{cluster['id']}/storage_drs_status"))
    assert status["level"] == "manual" and status["pending"] == 0 and status["pools"] == [], status
    done(admin.call("POST", "/drs-recommendations/refresh", {"cluster": cluster["id"]}))
    assert done(admin.call("GET", f"/clusters/{cluster['id']}/storage_drs_status"))["looked"]
    fit = done(admin.call("GET", f"/clusters/{cluster['id']}/fit?vcpus=2"))
    assert (fit["fit"], fit["fit_now"], fit["survives"]) == (0, 0, True), fit
    what = done(admin.call("GET", f"/clusters/{cluster['id']}/what_if?vms=2"))
    assert what["feasible"] is False and what["placed"] == 0 and "not in service" in what["reasons"][0], what
    refused(admin.call("GET", f"/clusters/{cluster['id']}/what_if?lost=vm-1"), 400, "bad_value")
    refused(admin.call("GET", f"/clusters/{cluster['id']}/what_if?lost=host-987654"), 400, "bad_reference")


center.TESTS = [site_and_first_host_pool_are_there, new_host_goes_where_its_token_says, machine_is_in_the_site_once,
                cluster_takes_one_architecture,
                hosts_move_between_clusters_and_out, cluster_takes_its_hosts_along_to_another_host_pool,
                what_holds_something_is_not_deleted, names_are_kept_apart, capacity_counts_hosts_of_the_scope,
                host_that_is_not_connected_cannot_enter_maintenance,
                metrics_name_every_object_also_the_dead, dashboards_and_rules_ask_for_what_there_is, search_finds_by_what_people_know,
                search_sees_each_change, a_search_counts_all_and_shows_the_best,
                winctl_shows_what_a_search_found, cluster_says_how_hosts_are_chosen, search_shows_only_what_the_caller_may_read, what_no_agent_has_told_is_not_made_up,
                affinity_rule_says_what_it_lacks, rules_that_spread_need_so_many_fault_domains, drs_of_an_empty_cluster_answers]

if __name__ == "__main__":
    sys.exit(1 if center.main() else 0)
