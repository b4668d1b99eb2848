"""The part under sudo, asked by hand by somebody who may run it and nothing else: it serves her, and nobody else's things.

eve has the rule of docs/security.md. Whatever is refused has changed nothing: the machine is compared before and after.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Box, need_root
from lab_world import APP, as_root, inside
from machine import Machine
from sudo_world import ALICE, EVE, host, lab, program, question, restricted, speak, step

LONG = "a" * 300
GATEWAYS: list[dict[str, Any]] = [
    *({"uid": value} for value in (0, 3001, -1, 2**32, "3003", True, None)),
    *({"gid": value} for value in (0, 42, 3001, -1, "3003", None)),
    *({"way": value} for value in ("root", "", "user", 1)),
    *({"interface": name} for name in (
        "vnet", "eth0", "lo", "all", "default", "lan0", "x1", "vnet-x1", "vnet-x1x1", "", ".", "..", "../eth0", "a/b", "a b",
        "a\nnetns exec lan0 id", "-a", "--", "v%d", "$(id)", "name", LONG, "a\0", "\u202eb", 7, ["vnet2"],
    ) if name != "name"),
    *({"host_ip": ip} for ip in (
        "127.0.0.1", "8.8.8.9", "198.51.100.2", "172.18.255.1", "172.18.255.4", "0.0.0.1", "172.18.255.5/8", "::1", "", 5,
    )),
    *({"bridges": net} for net in ("127.0.0.0/8", "0.0.0.0/0", "172.19.0.1/19", "224.0.0.0/8", "", 1)),
    *({"mtu": value} for value in (0, -1, 10**9, "1500", 1500.0)),
    *({"iptables": value} for value in (1, "yes", None)),
]  # fmt: skip
LABS: list[dict[str, Any]] = [
    {}, {"gateway": {"way": "userns"}}, {"gateway": ALICE}, {"number": 0}, {"number": 10**6}, {"number": "1"},
    {"name": "../x"}, {"name": ""}, {"name": "a\nb"}, {"network": "127.0.0.0/24"}, {"network": "0.0.0.0/0"}, {"mtu": 1},
    {"guests": [{"name": "web", "ip": "10.0.0.1", "ports": []}]}, {"guests": [{"name": "-x", "ip": "172.18.0.1", "ports": []}]},
    {"guests": [{"name": "a", "ip": "172.18.0.1", "ports": [{"outside": 1, "protocol": "tcp\n-j", "inside": 1}]}]},
    {"guests": [{"name": "a", "ip": "172.18.0.1", "ports": [{"outside": 0, "protocol": "tcp", "inside": 70000}]}]},
]  # fmt: skip


@pytest.fixture(scope="module")
def eve() -> Iterator[Box]:
    """Give eve, alice's lab beside her, and a link and a namespace of somebody else's."""
    need_root()
    with restricted() as box:
        box.machine.run("ip", "link", "add", "name", "lan0", "type", "veth", "peer", "name", "lan1")
        yield box
        box.machine.run("ip", "link", "del", "dev", "lan0")


def refused(box: Box, *requests: Any, written: bool = True) -> list[str]:
    """Send what must be refused, each with one line that is no traceback; gives back the lines.

    Refused for what it asks: with `written`, its fields are those that a step has.
    """
    before = box.machine.snapshot()
    answers = speak(box, *requests)
    for request, answer in zip(requests, answers, strict=True):
        said = answer.get("error", "")
        assert answer.get("answer") == [] or said, f"{request} was answered {answer}"
        assert "Traceback" not in said, f"{request}: {said}"
        assert not (written and re.search("is not [A-Z][a-z]+Step$", said)), said
        assert "\n" not in said.strip(), f"{request}: {said}"
    assert before.diff(box.machine.snapshot()) == []
    return [answer.get("error", "") for answer in answers]


@pytest.mark.parametrize("way", ["up", "down"])
def test_no_step_on_the_host_but_her_own(eve: Box, way: str) -> None:
    """Each field of the gateway with what it must not be, in both directions."""
    refused(eve, *(host(way, each) for each in GATEWAYS if way == "up" or "host_ip" not in each), host(way, ALICE))


def test_nothing_is_taken_down_that_was_not_made(eve: Box) -> None:
    """A link of somebody else's stays, and the host goes on forwarding for alice."""
    assert refused(eve, host("down"), host("down", {"interface": "lan0"}), host("down", folder=True, tables=[1, 1, 1, 1])) == [
        "", "refused: lan0: a link that vnet has not made", "",
    ]  # fmt: skip
    assert refused(eve, host("down", ALICE | {"uid": 3003, "gid": 3003})) == ["refused: vnet is the vnet of uid 3001"]


def test_a_folder_of_anothers_is_not_given_away(eve: Box) -> None:
    """Ids of others; and where the folder's place is taken by a link, a foreign folder, or one that others can write."""
    refused(eve, *(step("StateStep", way, uid=uid, gid=gid) for way in ("up", "down")
                   for uid, gid in ((3001, 3001), (3003, 0), (0, 0), (3003, 42), ("3003", 3003), (-1, 3003))))  # fmt: skip
    eve.machine.write("/home/alice/keep", "", user="alice")
    for make in ("ln -s /home/alice", "install -d -o alice", "install -d -m 777 -o eve", "touch"):
        eve.run("sh", "-c", f"{make} /run/vnet/3003", user="root")
        said = refused(eve, step("StateStep", uid=3003, gid=3003), step("StateStep", "down", uid=3003, gid=3003))
        assert all("/run/vnet/3003: " in line and "so it is not trusted" in line for line in said)
        eve.run("rm", "-r", "/run/vnet/3003", user="root")


def test_no_step_in_labs_but_her_own(eve: Box) -> None:
    """Without a gateway of hers there is none that she may touch, whatever she says of it."""
    made = [lab(**each) for each in LABS]
    requests = [step(name, way, lab=each, **more) for way in ("up", "down") for each in made for name, more in (
        ("BridgeStep", {"namespace": True, "link": True, "device": True}), ("BridgeForwardsStep", {}), ("LabStep", {}),
        ("GuestsStep", {"named": ["web"], "namespaces": True, "links": True}),
        ("CutStep", {"blocks": [], "until": "", "live": 0, "left": []}),
    )]  # fmt: skip
    gateways = [EVE, ALICE, EVE | {"way": "userns"}, EVE | {"interface": "vnet"}, EVE | {"interface": "lan0"}]
    requests += [step("GatewayStep", gateway=each, folder=True, pin=True, new=True) for each in gateways]
    requests += [step("ForwardsStep", way, gateway=each, forwards=[]) for each in gateways for way in ("up", "down")]
    refused(eve, *requests)


def test_no_look_at_what_is_not_hers(eve: Box) -> None:
    """Neither by a path, nor by a name, nor by the number of a namespace: nothing of others is ended."""
    (inode,) = eve.machine.run("stat", "-Lc", "%i", "/proc/1/ns/net").stdout.split()
    labs = eve.machine.run("stat", "-c", "%i", "/run/netns/vnet-x1").stdout.split()
    names = (
        "vnet",
        "vnet-x1",
        "vnet-x1x1",
        "../../proc/1/ns/net",
        "/proc/1/ns/net",
        "",
        ".",
        "vnet2",
        "x\0",
        7,
        None,
        ["vnet"],
    )
    asked = [question(name, netns=each) for each in names for name in ("inodes", "cut_counts", "cut_now")]
    asked += [question(name, netns=[each]) for each in names for name in ("end", "hold")] + [question("relied")]
    asked += [question("end", inodes=[number]) for number in (int(inode), int(labs[0]))]
    asked += [question(name, lab=each, **more) for each in (lab(), lab(ALICE), {}, None, 1) for name, more in (
        ("ready", {"named": ["web"], "limit_s": 1.0}), ("lab", {"known": []}), ("probe", {}))]  # fmt: skip
    asked += [question(name, gateway=each) for each in (EVE, ALICE, [], "vnet") for name in ("gateway", "echo")]
    refused(eve, *asked)
    inside(Box(eve.machine, "alice", "sudo"), "web", "ping", "-c1", "-W2", APP)


def test_what_is_no_request_is_refused(eve: Box) -> None:
    """One line for each, and the next request is answered."""
    refused(eve, "", "null", "7", "[]", "{", "{}", '{"step": "HostStep"}', '{"step": ["HostStep"], "way": "up", "fields": {}}',
            '{"question": {}, "fields": {}}', '{"question": "no", "fields": {}}', question("end"), question("lab", x=1),
            "[" * 100_000, "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"), "1e999", '"' + LONG * 1000 + '"',
            step("Maker"), step("__class__"), step("HostStep", "sideways"), step("HostStep"), host(extra=1),
            step("CutStep", lab=lab(), blocks=[{"sources": ["web"], "deaf": ["no"]}], until="", live=0, left=[]),
            written=False)  # fmt: skip


def test_she_can_be_served(eve: Box) -> None:
    """The rule is enough for all verbs as oneself. What her gateway is called she can't change afterwards."""
    eve.vnet("up", "-n", "trial", "--host-ip", "172.18.255.5", check=False)  # alice has the interface
    toml = '[host]\nip = "172.18.255.5"\ninterface = "vnet2"\n[guests.web]\ncommand = "id -u"\n[guests.app]\n'
    eve.write("vnet.toml", toml)
    assert "3003" in eve.vnet("run", "--mode", "wait-all-successful").stdout
    eve.vnet("up")
    assert inside(eve, "web", "id", "-u").stdout == "3003\n"
    inside(eve, "web", "ping", "-c1", "-W2", APP)
    eve.vnet("partition", "isolate", "web")
    assert json.loads(eve.vnet("status", "--json").stdout)["labs"][0]["cut"]["kind"] == "isolate"
    refused(eve, host("up", {"interface": "vnet3", "host_ip": "172.18.255.9"}),
            host("up", {"host_ip": "172.18.255.9"}), host("down", {"host_ip": "172.18.255.9"}),
            step("GatewayStep", gateway=EVE | {"way": "userns"}, folder=True, pin=True, new=True))  # fmt: skip
    for text in ("-j\n-A FORWARD -M /tmp/x", "2026 -M /tmp/x", "x"):
        refused(eve, step("CutStep", lab=lab(), blocks=[], until=text, live=0, left=[]),
                step("CutStep", lab=lab(), blocks=[], until="", live=1, left=[f"cut-2-{text}"]))  # fmt: skip
    root = as_root(eve, "web", "id", "-u", check=False)
    assert root.returncode != 0
    assert "password is required" in root.stderr
    eve.vnet("down", "--all", "--gateway")


def test_a_name_that_somebody_else_has_taken_since(eve: Box) -> None:
    """Where her link is gone and another one has its name, it is not hers to delete."""
    eve.write("vnet.toml", '[host]\nip = "172.18.255.5"\ninterface = "vpn0"\n[guests.web]\n')
    eve.vnet("up")
    eve.run("ip", "link", "del", "dev", "vpn0", user="root")
    eve.run("ip", "link", "add", "name", "vpn0", "type", "veth", "peer", "name", "vpn1", user="root")
    said = eve.vnet("down", "--all", "--gateway", check=False)
    assert (said.returncode, "vpn0: a link that vnet has not made" in said.stderr) == (1, True), said
    eve.run("ip", "link", "del", "dev", "vpn0", user="root")
    eve.vnet("down", "--all", "--gateway")


def test_exec_leads_nowhere_else(eve: Box) -> None:
    """By hand: namespaces, paths and files that are not hers; and by vnet-exec itself, with her own record forged."""
    eve.write("vnet.toml", '[host]\nip = "172.18.255.5"\ninterface = "vnet2"\n[guests.web]\n')
    eve.vnet("up")
    folder, own = "/run/vnet/3003", "vnet2-x1x1"
    eve.machine.write("/root/secret/hosts", "secret\n")
    before = eve.machine.snapshot()

    def ask(*words: str, verb: str = "exec") -> str:
        done = eve.run(*program(eve, verb, *words), check=False)
        assert done.returncode != 0, (words, done.stdout)
        assert done.stdout == ""
        assert "Traceback" not in done.stderr, done.stderr
        return done.stderr

    env = f"{folder}/environment.1"
    for path in (
        "/etc/shadow",
        f"{folder}/../3001/gateway.json",
        "/run/vnet/3001/environment.1",
        f"{folder}/..",
        env,
        folder,
        "",
    ):
        assert ask("project", "web", path, "/", "022", "id").startswith("vnet-exec: ")
    for lab_ in ("../../3001/labs/project", "..", "a/b"):
        assert "not the name of a lab" in ask(lab_, "web", env, "/", "022", "id")
    assert "password is required" in ask("project", "web", env, "/", "022", "id", verb="exec-root")
    for few in ((), ("project",), ("project", "web", env, "/"), ("project", "web", env, "/", "0x2", "id")):
        ask(*few)
    eve.run("ln", "-s", "/root/secret/hosts", f"{env[:-1]}2")
    assert "vnet-exec: " in ask("project", "web", f"{env[:-1]}2", "/", "022", "id")

    nodes = eve.run("cat", f"{folder}/labs/project/nodes").stdout
    for forged in (
        nodes.replace(own, "../../proc/1/ns/net"),
        nodes.replace(own, "vnet-x1"),
        nodes.replace("sudo", "userns"),
        nodes.replace("3003", "3001"),
        nodes.replace("sudo", "root"),
        "",
        "\n\n",
        "sudo 3003\n\nweb a b c\n",
    ):
        eve.machine.write(f"{folder}/labs/project/nodes", forged, user="eve")
        done = inside(eve, "web", "id", check=False)
        assert (done.returncode, done.stdout) == (125, "") or done.returncode == 3, (forged, done)
        assert "Traceback" not in done.stderr, done.stderr
    eve.machine.write(f"{folder}/labs/project/nodes", nodes, user="eve")

    hosts = eve.run("cat", f"{folder}/labs/project/hosts").stdout
    eve.run("rm", f"{folder}/labs/project/hosts")
    eve.run("ln", "-s", "/root/secret/hosts", f"{folder}/labs/project/hosts")
    done = inside(eve, "web", "cat", "/etc/hosts", check=False)
    assert (done.returncode, done.stdout) == (125, ""), done
    eve.run("rm", f"{folder}/labs/project/hosts", f"{env[:-1]}2")
    eve.machine.write(f"{folder}/labs/project/hosts", hosts, user="eve")
    changed = [line for line in before.diff(eve.machine.snapshot()) if "/run/vnet/3003/" not in line]
    assert changed == []
    eve.vnet("down", "--all", "--gateway")


def test_links_in_her_folder_lead_root_nowhere(eve: Box) -> None:
    """What root removes of her folder is the link, not what it leads to."""
    speak(eve, step("StateStep", uid=3003, gid=3003))
    eve.machine.write("/home/alice/labs/keep", "", user="alice")
    eve.run("ln", "-s", "/home/alice/labs", "/run/vnet/3003/labs")
    eve.run("ln", "-s", "/home/alice", "/run/vnet/3003/locks")
    (answer,) = speak(eve, step("StateStep", "down", uid=3003, gid=3003))
    assert answer == {"answer": []}
    eve.run("test", "-e", "/home/alice/labs/keep", user="root")
    assert eve.run("ls", "/run/vnet/3003", check=False).returncode != 0


def test_it_is_for_sudo_alone(machine: Machine) -> None:
    """Not for root by himself, nor for somebody who only says that sudo started it."""
    argv = ("python3", "-I", "-B", "/opt/vnet/vnet/workers/root.py")
    for user in ("root", "eve"):
        for env in ({}, {"SUDO_UID": "x", "SUDO_GID": "0"}, {"SUDO_UID": "0"}):
            done = machine.run(*argv, user=user, env=env, check=False)
            assert (done.returncode, done.stderr) == (2, "vnet: this part is for sudo to start\n")
    assert machine.run(*argv, user="eve", env={"SUDO_UID": "0", "SUDO_GID": "0"}, check=False).returncode == 2
