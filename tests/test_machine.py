"""The simulated machine is what it claims to be, its snapshots see what they should, and nothing outlives it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import WAYS, Box, need_root, wait_for
from inside import Process
from machine import DNS_IP, INTERNET_IP, MACHINE_IP, NEIGHBOUR_IP, SITE_IP, SITE_NAME, Machine
from snapshot import Snapshot, assert_same

VETH = "ip link add vx type veth peer name vy"
CHANGES = {
    "link": ("links", VETH),
    "link attribute": ("links", "ip link set eth0 mtu 1400"),
    "address": ("addresses", "ip address add 10.9.9.9/32 dev lo"),
    "IPv6 address": ("addresses", "ip address add fd00::9/128 dev lo"),
    "route": ("routes", "ip route add 10.9.9.0/24 via 198.51.100.3"),
    "route of another table": ("routes", "ip route add 10.9.9.0/24 via 198.51.100.3 table 77"),
    "IPv6 route": ("routes6", "ip route add fd00:9::/64 dev eth0"),
    "policy rule": ("rules", "ip rule add from 10.9.9.9 table 77"),
    "neighbour": ("neighbours", "ip neighbour add 198.51.100.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent"),
    "proxy": ("proxies", "ip neighbour add proxy 198.51.100.9 dev eth0"),
    "nft rule": ("firewall", "iptables-nft -A FORWARD -i eth0 -j ACCEPT"),
    "legacy rule": ("firewall", "iptables-legacy -t nat -A POSTROUTING -j MASQUERADE"),
    "IPv6 rule": ("firewall", "ip6tables-nft -A INPUT -j ACCEPT"),
    "IPv6 legacy rule": ("firewall", "ip6tables-legacy -A INPUT -j ACCEPT"),
    "empty chain": ("firewall", "iptables-nft -N EMPTY"),
    "policy": ("firewall", "iptables-nft -P FORWARD DROP"),
    "ip_forward": ("sysctls", "sysctl -q net.ipv4.ip_forward=1"),
    "sysctl of a link": ("sysctls", "sysctl -q net.ipv4.conf.eth0.rp_filter=2"),
    "sysctl of the bridges": ("sysctls", "sysctl -q net.bridge.bridge-nf-call-iptables=0"),
    "mount": ("mounts", "mount -t tmpfs none /mnt"),
    "propagation": ("mounts", "mount --make-private /run"),
    "file": ("files", "touch /run/something"),
    "mode": ("files", "chmod 700 /run/user"),
    "hosts": ("files", "echo 10.9.9.9 nine >>/etc/hosts"),
    "/etc/netns": ("files", "mkdir -p /etc/netns/x"),
    "named namespace": ("namespaces", "ip netns add x"),
    "namespace of a process": ("namespaces", "unshare --net sleep 99 >/dev/null 2>&1 &"),
    "process": ("processes", "sleep 99 >/dev/null 2>&1 &"),
}


def sh(machine: Machine, script: str, **kwargs: str) -> str:
    """Run a line of shell on the machine."""
    return machine.run("sh", "-c", script, **kwargs).stdout


SOME = [pytest.param(name, marks=[pytest.mark.long] * (at % 3 > 0)) for at, name in enumerate(CHANGES)]


@pytest.mark.parametrize("change", SOME)
def test_snapshot_sees(machine: Machine, change: str) -> None:
    """Whatever is changed shows up where it belongs."""
    before = machine.snapshot()
    section, script = CHANGES[change]
    sh(machine, script)

    def seen() -> list[str]:
        return [line for line in before.diff(machine.snapshot()) if line.startswith(f"{section}: ")]

    assert wait_for(seen, f"{section} in the difference")


def test_snapshots_of_an_idle_machine_are_equal(machine: Machine) -> None:
    """Looking changes nothing, nor does traffic, a rule that came and went, or looking at the rules' tables."""
    before = machine.snapshot()
    machine.run("ping", "-c1", INTERNET_IP)
    machine.run("iptables-legacy", "-t", "mangle", "-L")
    sh(machine, "for b in nft legacy; do iptables-$b -A INPUT -j ACCEPT && iptables-$b -D INPUT -j ACCEPT; done")
    sh(machine, f"{VETH} && ip link del vx")
    machine.run("sudo", "-n", "true", user="alice")
    assert_same(before, machine)
    assert_same(before, machine.snapshot())
    assert before == machine.snapshot()


def test_assert_same_tells_the_difference(machine: Machine) -> None:
    """A failure names what came, went and changed."""
    before = machine.snapshot()
    sh(machine, "ip link set eth0 mtu 1400; touch /run/left; rm /etc/hosts; echo x >/etc/hosts")
    with pytest.raises(AssertionError) as failure:
        assert_same(before, machine, timeout_s=0)
    assert "links: ~ eth0 mtu: 1500 -> 1400" in str(failure.value)
    assert "files: + /run/left" in str(failure.value)
    assert isinstance(before, Snapshot)


@pytest.mark.parametrize("way", WAYS)
def test_user_namespaces_and_sudo_are_there_or_not(way: str) -> None:
    """Each way's machine offers exactly what the way is named after."""
    need_root()
    options = WAYS[way][1]
    with Machine(**options) as machine:
        for user in ("alice", "root"):
            made = machine.run("unshare", "--user", "--map-root-user", "true", user=user, check=False)
            assert (made.returncode == 0) == options["userns"], made.stderr
        assert (machine.run("sudo", "-n", "id", "-u", user="alice", check=False).stdout == "0\n") == options["sudo"]
        assert (machine.run("sh", "-c", "command -v sudo", check=False).stdout != "") == options["sudo"]


@pytest.mark.parametrize("userns", [True, False])
def test_tools_work_below_sudo(userns: bool) -> None:
    """All that vnet needs root for works for those who may use sudo, even where user namespaces are forbidden."""
    need_root()
    with Machine(userns=userns) as machine:
        script = f"""set -e
            ip netns add x; {VETH} netns x; ip -n x link set lo up; ip netns exec x true
            mkdir /run/here; mount --bind /run/here /run/here; busybox brctl addbr b
            iptables-nft -A FORWARD -j ACCEPT; iptables-legacy -A FORWARD -m physdev --physdev-in vx -j ACCEPT
            echo 1 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables"""
        for user in ("alice", "bob"):
            assert machine.run("sudo", "-n", "id", "-u", user=user).stdout == "0\n"
        machine.run("sudo", "-n", "sh", "-c", script, user="alice")
        assert machine.run("sudo", "-n", "true", user="eve", check=False).returncode != 0


def test_users_have_their_own_homes_and_a_clean_environment(machine: Machine) -> None:
    """Commands start in their user's home, as that user only, and see nothing of the test runner."""
    for user, number in (("alice", 3001), ("bob", 3002), ("eve", 3003)):
        assert sh(machine, "id -u; id -g; id -G; pwd", user=user).split() == [str(number)] * 3 + [f"/home/{user}"]
    env = dict(line.split("=", 1) for line in machine.run("env", user="alice", env={"ONE": "1"}).stdout.splitlines())
    assert env.keys() == {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "ONE"}
    assert machine.run("ls", "/home/alice", user="bob", check=False).returncode != 0
    machine.write("/home/alice/a/b", "text", user="alice", mode=0o600)
    assert machine.run("stat", "-c%U %a", "a/b", user="alice").stdout == "alice 600\n"
    assert machine.run("cat", input="said", user="alice", cwd="/").stdout == "said"


def test_everyone_can_run_python_with_the_dependencies(machine: Machine) -> None:
    """The repository and what it depends on can be read by all, and written by none."""
    script = "import sys, glob; sys.path += glob.glob('/opt/vnet/.venv/lib/*/site-packages'); import pluggy, sh, toml"
    machine.run("python3", "-c", script, user="eve")
    assert machine.run("touch", "/opt/vnet/x", check=False).returncode != 0


def test_network_reaches_the_internet_and_the_neighbour(machine: Machine) -> None:
    """The uplink works both ways; names resolve once the DNS server runs."""
    for address in (INTERNET_IP, NEIGHBOUR_IP, SITE_IP, DNS_IP):
        machine.run("ping", "-c1", "-W5", address, user="alice")
    machine.neighbour("ping", "-c1", "-W5", MACHINE_IP)
    machine.internet("ping", "-c1", "-W5", MACHINE_IP)
    machine.start_dns()
    assert machine.run("getent", "hosts", SITE_NAME, user="alice").stdout.split() == [SITE_IP, SITE_NAME]


def test_mounts_are_shared_on_the_machine_alone(machine: Machine) -> None:
    """The machine looks like a systemd host, but its mounts and files stay on it."""
    mounted = Path("/proc/self/mountinfo").read_text()
    assert machine.run("findmnt", "-no", "PROPAGATION", "/").stdout == "shared\n"
    sh(machine, "ip netns add x; mount -t tmpfs none /mnt; echo x >/etc/only-here; hostname elsewhere")
    assert Path("/proc/self/mountinfo").read_text() == mounted
    assert not Path("/etc/only-here").exists()
    assert "elsewhere" not in (os.uname().nodename, machine.internet("hostname").stdout)
    assert machine.run("stat", "-c%a", "/run", "/run/user").stdout.split() == ["755", "755"]
    assert machine.run("ls", "/etc/vnet", check=False).returncode != 0


def test_bridges_can_be_filtered(machine: Machine) -> None:
    """The kernel has br_netfilter, on as in any new namespace; without it cuts can't be tried."""
    assert sh(machine, "cat /proc/sys/net/bridge/bridge-nf-call-iptables") == "1\n"


def test_run_tells_what_went_wrong(machine: Machine) -> None:
    """A failed or slow command shows its words, status and output."""
    with pytest.raises(AssertionError, match=r"(?s)'sh', '-c', .* status 3\nstdout: out\n\nstderr: err"):
        machine.run("sh", "-c", "echo out; echo err >&2; exit 3")
    with pytest.raises(AssertionError, match=r"more than 0\.1 s"):
        machine.run("sleep", "99", timeout_s=0.1)


def test_signals_reach_the_command_itself(machine: Machine) -> None:
    """A process that a test holds is the command, not something in front of it."""
    process = machine.popen(
        "sh",
        "-c",
        "trap 'echo got; exit 5' INT; echo $$; while :; do sleep 0.01; done",
        user="alice",
        stdout=subprocess.PIPE,
    )
    assert int(process.stdout.readline()) == process.inner_pid()
    process.send_signal(signal.SIGINT)
    assert (process.stdout.readline(), process.wait(10)) == ("got\n", 5)


def test_orphans_are_buried(machine: Machine) -> None:
    """A process whose parent ended does not stay as a zombie: vnet must not look as if it had left it."""
    before = machine.snapshot()
    sh(machine, "(sh -c 'sleep 0.05; exit 3' >/dev/null 2>&1 &)")
    assert_same(before, machine)


def test_nothing_is_left_after_close() -> None:
    """All processes die, also those that ran away, and no namespace is held."""
    need_root()
    machine = Machine()
    here = machine.popen("sleep", "99")
    machine.internet_popen("sleep", "99")
    machine.neighbour_popen("sleep", "99")
    sh(machine, "ip netns add x; ip netns exec x setsid sleep 99 >/dev/null 2>&1 &")
    if os.geteuid() == 0:
        assert len(machine.holders()) >= 5
    machine.close()
    machine.close()
    assert here.returncode == -signal.SIGKILL
    assert not Path("/proc", str(machine.pid)).exists()


def test_machine_dies_with_its_test_runner() -> None:
    """A test runner that is killed takes its machine with it."""
    need_root()
    script = "from machine import Machine; m = Machine(); m.popen('sleep', '98'); print(m.pid, flush=True)"
    runner = subprocess.Popen(
        [sys.executable, "-c", f"{script}; input()"],
        cwd=Path(__file__).parent,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with runner:
        machine = Path("/proc", runner.stdout.readline().split()[0])
        assert machine.exists()
        runner.kill()
    wait_for(lambda: not machine.exists(), "the machine to end")


def test_box_runs_as_the_user_of_its_way(box: Box) -> None:
    """A box's commands run in its project."""
    box.write("vnet.toml", "[guests]\n")
    user, project, text = box.run("sh", "-c", "id -un; pwd; cat vnet.toml").stdout.split()
    assert (user, project, text) == (box.user, box.project, "[guests]")
    process = box.popen("pwd", stdout=subprocess.PIPE)
    assert process.communicate() == (f"{box.project}\n", None)
    assert isinstance(process, Process)
