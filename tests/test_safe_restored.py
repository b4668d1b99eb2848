"""The host's own forwarding, hardening and namespaces: as they were while vnet is up where that can be, and afterwards in any case."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from conftest import Box, box_of
from lab_world import APP, GATEWAY, as_root, inside, pings, same_host, serve, standing
from machine import MACHINE_IP, Machine
from snapshot import assert_same
from sudo_world import EVE, lab, question, restricted, speak, step
from test_safe_net import FORGER, MARK, in_node, mac

LAB = "[guests.web]\n[guests.app]\n"
#: A network behind a link that the administrator lets forward, and one behind a link that he does not.
FAR = """
for far in open shut; do
    ip netns add $far
    ip link add name lan-$far type veth peer name eth0 netns $far
    for link in "ip -n $far link set dev eth0" "ip link set dev lan-$far"; do $link addrgenmode none; done
    ip link set dev lan-$far up
    ip -n $far link set dev eth0 up
done
ip address add 10.9.9.1/24 dev lan-open; ip -n open address add 10.9.9.2/24 dev eth0; ip -n open route add default via 10.9.9.1
ip address add 10.9.8.1/24 dev lan-shut; ip -n shut address add 10.9.8.2/24 dev eth0; ip -n shut route add default via 10.9.8.1
cd /proc/sys/net/ipv4/conf; echo 1 >lan-open/forwarding; echo 1 >eth0/forwarding; echo 0 >all/accept_redirects
"""
NFT = "add table ip other; add chain ip other through { type filter hook forward priority 0; }"


@pytest.fixture(params=["userns"])
def box(request: pytest.FixtureRequest) -> Iterator[Box]:
    """Give a machine, in one of the ways: the host's part is root's in all."""
    with box_of(request.param) as made:
        yield made


def test_links_that_forwarded_go_on_and_redirects_stay_refused(box: Box) -> None:
    """A neighbour's way through the host by links that were open stays open, the others' stay shut; all settings are put back."""
    machine = box.machine
    machine.run("sh", "-ec", FAR)
    for net in ("10.9.9.0/24", "10.9.8.0/24"):
        machine.neighbour("ip", "route", "add", net, "via", MACHINE_IP)

    def reached() -> list[str]:
        hosts = ("10.9.9.2", "10.9.8.2")
        return [each for each in hosts if machine.neighbour("ping", "-c1", "-W1", each, check=False).returncode == 0]

    assert reached() == ["10.9.9.2"]
    with standing(box, LAB):
        assert reached() == ["10.9.9.2"]
        assert machine.run("cat", "/proc/sys/net/ipv4/conf/all/accept_redirects").stdout == "0\n"
        machine.run("iptables", "-F")
        box.vnet("up")
        assert reached() == ["10.9.9.2"]
    assert reached() == ["10.9.9.2"]


def test_the_last_gateway_closes_what_the_first_one_opened() -> None:
    """Also where it has itself left the firewall alone."""
    with Machine(userns=True) as machine:
        boxes = []
        for user, toml in (
            ("alice", LAB),
            ("bob", f'[host]\nip = "172.18.255.5"\ninterface = "vnet2"\niptables = false\n{LAB}'),
        ):
            machine.run("mkdir", "project", user=user)
            boxes.append(Box(machine, user, "userns"))
            boxes[-1].write("vnet.toml", toml)
        before = machine.snapshot()
        for box in boxes:
            box.vnet("up")
        for box in boxes:
            assert box.vnet("down", "--all", "--gateway").stderr == ""
        assert_same(before, machine)


def test_forwarding_stays_on_for_chains_of_nftables(box: Box) -> None:
    """Somebody has made a table of his own since; one that was there before does not count."""
    nft = box.machine.run("sh", "-c", "command -v nft", check=False).returncode == 0
    assert nft, "there is no nft: the package nftables brings it"
    forward = ("cat", "/proc/sys/net/ipv4/ip_forward")
    box.write("vnet.toml", LAB)
    for new in (False, True):
        if not new:
            box.machine.run("nft", NFT)
        box.vnet("up")
        if new:
            box.machine.run("nft", NFT)
        done = box.vnet("down", "--all", "--gateway")
        assert ("chain ip/other/through of nftables" in done.stderr) is new
        assert box.machine.run(*forward).stdout == f"{new:d}\n"
        box.machine.run("nft", "delete table ip other")
    box.machine.run("sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward")


def test_forged_packets_of_a_neighbours_while_rules_are_away(box: Box) -> None:
    """From the gateway's own address, to a forwarded port, however the host's rules were taken away."""
    with standing(box):
        machine, server = box.machine, serve(box, "web", "udp", 53)
        machine.run("sh", "-c", "cd /proc/sys/net/ipv4/conf; echo 0 >all/rp_filter; echo 0 >eth0/rp_filter")
        to = mac(machine.run("ip", "-br", "link", "show", "dev", "eth0").stdout)
        for script in ("true", "iptables -F", "iptables -D FORWARD -j VNET-vnet; iptables -D FORWARD -j VNET-CLOSED"):
            box.vnet("up")
            machine.run("sh", "-c", script)
            ear = in_node(box, "web")
            for source in (GATEWAY, "172.18.255.1", "198.51.100.3"):
                machine.neighbour(*FORGER, "udp", "eth0", to, source, GATEWAY, "5353", MARK)
            assert inside(
                box, "app", "ping", "-c1", "-W2", "web"
            )  # the wire is not slow: had anything come, it would be there
            assert ear.heard() == set(), script
        server.terminate()
        server.wait(10)
        box.vnet("up")


def test_the_loopback_of_a_host_that_routes_it(box: Box) -> None:
    """With route_localnet a packet from the gateway to 127.0.0.1 would be taken; vnet's rule is in front of it."""
    with standing(box, LAB):
        rules = box.machine.run("iptables", "-S").stdout.splitlines()
        assert "-A INPUT -i vnet -j VNET-vnet-IN" in rules
        assert "-A VNET-vnet-IN -d 127.0.0.0/8 -j DROP" in rules
        box.machine.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet")
        to = mac(box.machine.run("ip", "-br", "link", "show", "dev", "vnet").stdout)
        as_root(box, "gateway", *FORGER, "udp", "vnet_guest", to, GATEWAY, "127.0.0.1", "7000", MARK)
        counted = box.machine.run("iptables", "-nvxL", "VNET-vnet-IN").stdout.splitlines()[-1].split()
        assert int(counted[0]) == 1, counted
        box.machine.run("sh", "-c", "echo 0 >/proc/sys/net/ipv4/conf/all/route_localnet")


@pytest.mark.parametrize("box", ["root"], indirect=True)
def test_namespaces_that_are_somebody_elses_stay(box: Box) -> None:
    """Ones named as a lab's would be: before the gateway is up that is refused, afterwards the number is left out."""
    run = box.machine.run
    run("ip", "netns", "add", "vnet-x1")
    sleeper = box.machine.popen("ip", "netns", "exec", "vnet-x1", "sleep", "60")
    box.write("vnet.toml", LAB)
    done = box.vnet("up", check=False)
    assert done.returncode == 2
    assert "/run/netns/vnet-x1 is there already" in done.stderr
    assert 'set host.interface = "vnet1"' in done.stderr
    run("ip", "netns", "add", "vnet9")
    run("ip", "netns", "del", "vnet-x1")
    sleeper.terminate()
    sleeper.wait(10)
    with same_host(box):
        box.vnet("up", "-n", "first")
        run("ip", "netns", "add", "vnet-x2")
        sleeper = box.machine.popen("ip", "netns", "exec", "vnet-x2", "sleep", "60")
        box.vnet("up")
        (number,) = (
            each["number"]
            for each in json.loads(box.vnet("status", "--json").stdout)["labs"]
            if each["name"] == "project"
        )
        assert number == 3
        box.vnet("down", "--all")
        assert sleeper.poll() is None
        sleeper.terminate()
        sleeper.wait(10)
        run("ip", "netns", "del", "vnet-x2")
    run("ip", "netns", "del", "vnet9")


@pytest.mark.parametrize("box", ["root"], indirect=True)
def test_a_folder_of_pins_that_others_can_write_is_refused(box: Box) -> None:
    """They could put a namespace of theirs in the place of a guest's."""
    box.write("vnet.toml", LAB)
    for make in ("install -d -o eve", "install -d -m 777", "ln -s /home/eve"):
        box.run("sh", "-c", f"{make} /run/netns")
        done = box.vnet("up", check=False)
        assert (done.returncode, "/run/netns: " in done.stderr, "not trusted" in done.stderr) == (1, True, True), done
        box.run("rm", "-r", "/run/netns")


@pytest.mark.parametrize("box", ["sudo"], indirect=True)
def test_root_with_a_users_environment_writes_as_the_user(box: Box) -> None:
    """As in a shell of su(1) from a guest: a link in the user's folder leads root nowhere."""
    with standing(box, LAB):
        box.run("sh", "-c", "echo keep >/etc/victim", user="root")
        box.run("ln", "-s", "/etc/victim", "/run/vnet/3001/labs/project/record.json.new")
        env = {"VNET_UID": "3001", "VNET_LAB": "project", "VNET_NODE": "web", "VNET_IP": "172.18.0.1"}
        box.machine.run("/opt/vnet/bin/vnet-partition", "isolate", "web", env=env, check=False)
        assert box.machine.run("cat", "/etc/victim").stdout == "keep\n"
        box.run("rm", "-f", "/run/vnet/3001/labs/project/record.json.new")
        box.vnet("partition", "fullmesh")
        assert pings(box, "web", APP) == []
        for odd in ("²", "9" * 5000):
            done = box.machine.run("/opt/vnet/bin/vnet-exec", "web", "true", env=env | {"VNET_UID": odd}, check=False)
            assert (done.returncode, done.stderr.count("\n")) == (3, 1), done
        box.machine.run("rm", "/etc/victim")


def test_what_a_restricted_users_commands_gain_by_sudo_in_a_node() -> None:
    """Host names and networks in sudoers(5) are the host's, and a node's are what its user has written into his settings."""
    with restricted() as eve:
        rules = "eve laptop = (ALL) NOPASSWD: ALL\neve 10.66.0.0/24 = (bob) NOPASSWD: ALL\n"
        eve.machine.write("/etc/sudoers.d/hosts", rules, mode=0o440)
        eve.write("vnet.toml", '[host]\nip = "172.18.255.5"\ninterface = "vnet2"\n[networks]\nguests = "10.66.0.0/24"\n'
                               "[guests.laptop]\n[guests.app]\n")  # fmt: skip
        eve.vnet("up")
        for argv in (("laptop", "sudo", "-n", "id", "-u"), ("app", "sudo", "-n", "-u", "bob", "id", "-u")):
            done = eve.vnet("exec", *argv, check=False)
            assert (done.returncode, done.stdout) == (1, ""), done
        assert eve.vnet("exec", "laptop", "id", "-u").stdout == "3003\n"
        done = eve.vnet("exec", "laptop", "vnet-partition", "isolate", "app", check=False)
        assert (done.returncode, done.stderr.count("\n"), "outside of this node" in done.stderr) == (1, 1, True), done
        eve.vnet("down", "--all", "--gateway")
        eve.machine.run("rm", "/etc/sudoers.d/hosts")


def test_a_namespace_of_roots_that_has_the_name_of_a_lab() -> None:
    """It is not the caller's by its name: the gateway that it would belong to is refused."""
    with restricted() as eve:
        run = eve.machine.run
        run("ip", "netns", "add", "build-x86")
        eve.write("vnet.toml", '[host]\nip = "172.18.255.5"\ninterface = "build"\n[guests.web]\n')
        assert eve.vnet("up", check=False).returncode == 2
        gateway = EVE | {"interface": "build"}
        down = step("BridgeStep", "down", lab=lab(gateway, number=86), namespace=True, link=True, device=True)
        answers = speak(eve, question("inodes", netns=["build-x86"]), question("end", netns=["build-x86"]), down)
        assert ["error" in each for each in answers] == [True] * 3, answers
        assert "build-x86" in run("ls", "/run/netns").stdout
        run("ip", "netns", "del", "build-x86")


@pytest.mark.parametrize("box", ["root"], indirect=True)
def test_a_project_in_a_folder_that_no_text_can_name(box: Box) -> None:
    """It is refused as a mistake in the settings; strange but printable folders are served."""
    with same_host(box):
        for name, status in (
            (b"\xff\xfe", 2),
            (b"a\nweb vnet 1.2.3.4", 2),
            (b"\x1b[31m", 2),
            ("ä \u202e%d $(id)".encode(), 0),
        ):
            folder = f"{box.project}/" + name.decode(errors="surrogateescape")
            box.run("mkdir", folder)
            box.run("cp", "/dev/stdin", f"{folder}/vnet.toml", input='name = "odd"\n[guests.web]\n')
            done = box.vnet("up", cwd=folder, check=False)
            assert (done.returncode, "Traceback" in done.stderr) == (status, False), done
            if status == 0:
                assert box.vnet("exec", "web", "pwd", cwd=folder).returncode == 0
                assert "\u202e" not in box.vnet("status").stdout
                box.vnet("down", cwd=folder)
            box.run("rm", "-r", folder)
