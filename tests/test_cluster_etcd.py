"""Three etcd members, as Debian has them: what a cluster that keeps its promises does when its leader is cut off."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import Box
from inside import wait_for
from machine import Completed

MEMBERS = {"a": "172.18.0.1", "b": "172.18.0.2", "c": "172.18.0.3"}
SETTINGS = "".join(f'[guests.{name}]\nip = "{ip}"\n' for name, ip in {**MEMBERS, "client": "172.18.0.9"}.items())
PEERS = ",".join(f"{name}=http://{ip}:2380" for name, ip in MEMBERS.items())
#: Seconds that a member gets to do what it can do; and what it can't, before it counts as refused.
ANSWER_S, REFUSAL_S = 10, 1
ELECTION_S = 20


@dataclass
class Cluster:
    """A lab with the members and a client."""

    box: Box

    def start(self, name: str) -> None:
        """Start a member in its guest, as the user himself."""
        here = f"http://{MEMBERS[name]}"
        argv = ["etcd", "--name", name, "--data-dir", f"{self.box.project}/{name}", "--logger", "zap"]
        argv += ["--listen-client-urls", "http://0.0.0.0:2379", "--advertise-client-urls", f"{here}:2379"]
        argv += ["--listen-peer-urls", f"{here}:2380", "--initial-advertise-peer-urls", f"{here}:2380"]
        argv += ["--initial-cluster", PEERS, "--heartbeat-interval", "50", "--election-timeout", "500"]
        argv += ["--log-outputs", f"{self.box.project}/{name}.log"]
        self.box.popen("/opt/vnet/bin/vnet-exec", name, "--", *argv)

    def ctl(self, node: str, member: str, *words: str, timeout_s: int = ANSWER_S) -> Completed:
        """Run etcdctl in a node of the lab, against one member."""
        flags = [f"--endpoints=http://{MEMBERS[member]}:2379", f"--command-timeout={timeout_s}s"]
        return self.box.vnet("exec", node, "--", "etcdctl", *flags, *words, check=False)

    def writes(self, node: str, member: str, key: str, value: str) -> bool:
        """Write, and tell whether the cluster took it."""
        return self.ctl(node, member, "put", key, value).stdout.strip() == "OK"

    def refuses(self, node: str, member: str, *words: str) -> bool:
        """Tell whether a member fails to do what only a majority can do."""
        answer = self.ctl(node, member, *words, timeout_s=REFUSAL_S)
        return answer.returncode != 0 and "OK" not in answer.stdout

    def status(self, node: str, member: str) -> dict[str, Any]:
        """Ask a member how it is; empty where it doesn't answer."""
        answer = self.ctl(node, member, "endpoint", "status", "--write-out=json", timeout_s=REFUSAL_S).stdout
        found = json.loads(answer or "[]")
        return dict(found[0]["Status"]) if found else {}

    def leader(self, *among: str) -> str:
        """Name the member that holds itself for the leader, once all of `among` agree, seen by the client."""
        found = {name: self.status("client", name) for name in among}
        if not all(found.values()) or len({each.get("leader") for each in found.values()}) != 1:
            return ""
        leads = [name for name, each in found.items() if each.get("leader") == each["header"]["member_id"]]
        return leads[0] if leads else ""

    def read(self, member: str, key: str) -> str:
        """Read what a member itself holds, right there, whatever the others hold (a serializable read)."""
        return self.ctl(member, member, "get", key, "--consistency=s", "--print-value-only").stdout.strip()


@pytest.fixture
def cluster(box: Box) -> Cluster:
    """Give three members that have a leader."""
    if box.run("sh", "-c", "command -v etcd && command -v etcdctl", check=False).returncode:
        pytest.skip("etcd is not installed: apt-get install etcd-server etcd-client")
    box.write("vnet.toml", SETTINGS)
    box.vnet("up")
    made = Cluster(box)
    for name in MEMBERS:
        made.start(name)
    return made


def elected(cluster: Cluster, *among: str) -> str:
    """Wait for a leader among some members."""
    return str(wait_for(lambda: cluster.leader(*among), f"a leader among {' '.join(among)}", timeout_s=ELECTION_S))


def holds(cluster: Cluster, member: str, key: str, value: str) -> Callable[[], bool]:
    """Make a condition: a member holds a value."""
    return lambda: cluster.read(member, key) == value


@pytest.mark.quick_in("userns")
def test_a_leader_that_is_cut_off_stops_and_comes_back_as_a_follower(cluster: Cluster) -> None:
    """Minority refuses writes, majority elects and goes on, the healed one reads what it missed."""
    old = elected(cluster, *MEMBERS)
    rest = [name for name in MEMBERS if name != old]
    assert cluster.writes("client", old, "before", "1")

    cluster.box.vnet("partition", "isolate", old)
    new = elected(cluster, *rest)
    assert cluster.refuses(old, old, "put", "split", "old")  # right beside it: it is up, and must say no
    assert cluster.refuses(old, old, "get", "before")  # a linearizable read takes a majority as well
    assert cluster.read(old, "before") == "1"  # while what it holds it may tell to who asks for just that
    assert cluster.refuses("client", old, "endpoint", "status")
    assert all(cluster.writes("client", member, f"at-{member}", "2") for member in rest)
    assert cluster.writes("client", new, "split", "new")
    assert cluster.read(old, "split") == ""

    cluster.box.vnet("partition", "fullmesh")
    wait_for(holds(cluster, old, "split", "new"), f"{old} to catch up", timeout_s=ELECTION_S)
    elected(cluster, *MEMBERS)
    assert cluster.writes("client", old, "after", "3")
    for member in rest:
        wait_for(holds(cluster, member, "after", "3"), f"{member} to hold what {old} was told")
