"""The three hooks in `hooks/`, without a lab."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hook_world import GATEWAY, LAB, write
from hypothesis import given
from hypothesis import strategies as st

from vnet import api
from vnet.hooks import Hooks
from vnet.kernel import pcap

REPO = Path(__file__).resolve().parent.parent
NGINX, FLASK = LAB.guests
BLOCK = "# vnet lab shop begin\n172.18.255.2 nginx\n# vnet lab shop end\n"


#: Loads one of the three, and gives its module too.
Shipped = Callable[[str], tuple[Hooks, Any]]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of `hooks/` that is the caller's: the repository may be somebody else's."""
    return Path(
        shutil.copytree(REPO / "hooks", tmp_path_factory.mktemp("shipped") / "hooks", copy_function=shutil.copy)
    )


@pytest.fixture(scope="session")
def shipped(folder: Path) -> Shipped:
    """Give a function that loads one of the three."""

    def load(name: str) -> tuple[Hooks, Any]:
        loaded = Hooks.load([str(folder / f"{name}.py")], "shop")
        return loaded, next(
            sys.modules[key] for key in reversed(sys.modules) if re.fullmatch(rf"vnet_hooks_\d+_{name}", key)
        )

    return load


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a file in place of /etc/hosts."""
    path = Path(write(tmp_path / "hosts", "127.0.0.1\tlocalhost\n"))
    monkeypatch.setenv("VNET_ETC_HOSTS", str(path))
    return path


def test_each_is_documented_and_tried_on_a_lab() -> None:
    """docs/hooks.md has a row for each file in `hooks/`, and test_hooks_shipped_lab.py a test."""
    files = {path.stem for path in (REPO / "hooks").glob("*.py")}
    page = (REPO / "docs/hooks.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `hooks/(\w+)\.py` \|", page, re.MULTILINE)) == files
    tests = (REPO / "tests/test_hooks_shipped_lab.py").read_text(encoding="utf-8")
    assert set(re.findall(r"^def test_(\w+)_on_a_lab\(", tests, re.MULTILINE)) == files
    assert set(re.findall(r'shipped\("(\w+)"\)', tests)) == files


def unshared(*words: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run Python in namespaces of its own; skip where that is forbidden."""
    unshare = ["unshare", "--user", "--map-root-user", *words]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("user namespaces are forbidden here")
    argv = [*unshare, sys.executable, "-c", script]
    return subprocess.run(argv, check=True, capture_output=True, text=True, cwd=REPO, timeout=60)


def test_etc_hosts_names_guests_with_ports(hosts: Path, shipped: Shipped) -> None:
    """In and out again, with the mode kept; a guest that comes twice is there once; others are not named."""
    before = hosts.read_text(encoding="utf-8")
    hosts.chmod(0o640)
    loaded, _ = shipped("etc_hosts")
    for guest in (FLASK, NGINX, NGINX):
        loaded.up("vnet_after_guest_up", lab=LAB, guest=guest)
    assert hosts.read_text(encoding="utf-8") == before + BLOCK
    assert hosts.stat().st_mode & 0o7777 == 0o640
    for guest in (NGINX, FLASK):
        assert loaded.down("vnet_before_guest_down", lab=LAB, guest=guest) == []
    assert hosts.read_text(encoding="utf-8") == before
    loaded.up("vnet_after_guest_up", lab=LAB, guest=NGINX)
    assert loaded.down("vnet_after_bridge_down", lab=LAB) == []
    assert hosts.read_text(encoding="utf-8") == before
    assert [path.name for path in hosts.parent.iterdir()] == ["hosts"]


def test_etc_hosts_of_labs_at_once(hosts: Path, shipped: Shipped) -> None:
    """Many labs come and go together; each leaves only its own lines, and then none."""
    before = hosts.read_text(encoding="utf-8")
    loaded, _ = shipped("etc_hosts")

    def come_and_go(number: int) -> bool:
        lab = LAB._replace(name=f"lab{number}")
        for _ in range(10):
            loaded.up("vnet_after_guest_up", lab=lab, guest=NGINX)
            there = f"# vnet lab lab{number} begin\n172.18.255.2 nginx\n" in hosts.read_text(encoding="utf-8")
            if not there or loaded.down("vnet_before_guest_down", lab=lab, guest=NGINX):
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(come_and_go, range(8)))
    assert hosts.read_text(encoding="utf-8") == before


@given(text=st.text(alphabet="a#\n\r\x0c\u2028 "))
def test_etc_hosts_are_given_back_byte_by_byte(text: str, shipped: Shipped) -> None:
    """Whatever is in the file, and whether or not its last line is ended."""
    _, module = shipped("etc_hosts")
    one = module.edit(text, "shop", lambda lines: [*lines, "172.18.255.2 nginx\n"])
    two = module.edit(one, "other", lambda lines: [*lines, "172.18.255.2 nginx\n"])
    assert BLOCK in two
    assert module.edit(module.edit(two, "shop", lambda _: []), "other", lambda _: []) == text


def test_etc_hosts_with_half_a_block_are_left_alone(hosts: Path, shipped: Shipped) -> None:
    """What stands behind it may be somebody's."""
    hosts.write_text("# vnet lab shop begin\n192.0.2.1 mine\n", encoding="utf-8")
    (error,) = shipped("etc_hosts")[0].down("vnet_after_bridge_down", lab=LAB)
    assert "ValueError" in str(error)
    assert "has no end: take it out by hand" in str(error)
    assert "192.0.2.1 mine" in hosts.read_text(encoding="utf-8")


def test_etc_hosts_that_are_mounted_are_written_in_place(hosts: Path, folder: Path) -> None:
    """As in a container: a file that is mounted over can't be replaced. Nor one that may not be written at all."""
    script = f"""if True:
        import subprocess, sys
        sys.path.insert(0, "tests")
        from hook_world import LAB
        from vnet.hooks import Hooks
        subprocess.run(["mount", "--bind", {str(hosts)!r}, {str(hosts)!r}], check=True)
        hooks = Hooks.load([{str(folder / "etc_hosts.py")!r}], "shop")
        hooks.up("vnet_after_guest_up", lab=LAB, guest=LAB.guests[0])
        subprocess.run(["mount", "-o", "remount,bind,ro", {str(hosts)!r}], check=True)
        print(*hooks.down("vnet_after_bridge_down", lab=LAB))
    """
    done = unshared("--mount", script=script)
    assert hosts.read_text(encoding="utf-8") == f"127.0.0.1\tlocalhost\n{BLOCK}"
    assert "vnet_after_bridge_down in lab shop: OSError: [Errno 30] Read-only file system" in done.stdout
    assert [path.name for path in hosts.parent.iterdir()] == ["hosts"]


def test_steplog_writes_a_line_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shipped: Shipped) -> None:
    """Time, hook, lab and guest, and after a step how long it took."""
    monkeypatch.setenv("VNET_STEPLOG", str(tmp_path / "new/steps.log"))
    loaded, _ = shipped("steplog")
    loaded.up("vnet_before_gateway_up", gateway=GATEWAY)
    for when in ("before", "after"):
        loaded.up(f"vnet_{when}_guest_up", lab=LAB, guest=NGINX)
        assert loaded.down(f"vnet_{when}_bridge_down", lab=LAB) == []
    assert loaded.failed("guests up", ValueError("no\nway")) == []
    lines = (tmp_path / "new/steps.log").read_text(encoding="utf-8").splitlines()
    times = [line.split(" ", 1)[0] for line in lines]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", time) for time in times)
    assert [re.sub(r"\d\.\d{3}$", "N", line.split(" ", 1)[1]) for line in lines] == [
        "vnet_before_gateway_up lab=shop",
        "vnet_before_guest_up lab=shop guest=nginx",
        "vnet_before_bridge_down lab=shop",
        "vnet_after_guest_up lab=shop guest=nginx seconds=N",
        "vnet_after_bridge_down lab=shop seconds=N",
        r"vnet_failed step='guests up' error='no\nway'",
    ]


def test_steplog_knows_every_hook(shipped: Shipped) -> None:
    """A new hook is not forgotten there."""
    from vnet.hooks import specs as hookspecs

    _, module = shipped("steplog")
    assert {name for name in vars(module) if name.startswith("vnet_")} == set(hookspecs.specs())


@pytest.fixture
def capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shipped: Shipped) -> Any:
    """Load hooks/capture.py, with a recorder that needs no network, started without vnet-exec."""
    loaded, module = shipped("capture")
    monkeypatch.setattr(api, "exec_argv", lambda *_: [])
    source, folder = f"{inspect.getsource(record)}\nrecord()\n", tmp_path / "project"
    monkeypatch.setattr(module, "RECORDER", write(tmp_path / "recorder.py", source))
    folder.mkdir()
    return loaded, LAB._replace(file=str(folder / "vnet.toml")), folder


def record() -> None:
    """Stand in for the recorder: it listens, and its file is complete when it has been ended."""
    import os
    import signal
    import sys

    signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"packets"), os._exit(0)))
    print("listening", file=sys.stderr, flush=True)
    while True:
        signal.pause()


def test_capture_is_ended_by_another_process(capture: Any, shipped: Shipped) -> None:
    """vnet-down knows nothing but the files that vnet-up left."""
    loaded, lab, folder = capture
    loaded.up("vnet_after_bridge_up", lab=lab)
    pid = int((folder / ".shop.capture.pid").read_text(encoding="ascii").split()[0])
    assert os.getsid(pid) == pid, "Ctrl-C at the terminal would end it"
    other, module = shipped("capture")
    assert not module._started
    assert other.down("vnet_before_bridge_down", lab=lab) == []
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == {"shop.pcap": "packets"}
    os.waitpid(pid, 0)


def test_capture_ends_no_stranger(capture: Any) -> None:
    """A process that has got the number of a recorder that is gone is left alone."""
    loaded, lab, folder = capture
    write(folder / ".shop.capture.pid", f"{os.getpid()} 1\n")
    assert loaded.down("vnet_before_bridge_down", lab=lab) == []
    assert not (folder / ".shop.capture.pid").exists()


def test_capture_that_does_not_start_is_told_and_leaves_nothing(capture: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the recorder's own words."""
    loaded, lab, folder = capture
    monkeypatch.setattr(api, "exec_argv", lambda *_: ["sh", "-c", "echo no such thing >&2; exit 3"])
    with pytest.raises(Exception, match="the recorder ended with status 3: no such thing"):
        loaded.up("vnet_after_bridge_up", lab=lab)
    assert [path.name for path in folder.iterdir()] == ["shop.pcap"]


def test_the_recorder_records(tmp_path: Path) -> None:
    """Real packets, the last ones too, in a file that says what it is."""
    script = f"""if True:
        import socket, subprocess, sys
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        argv = [sys.executable, "-I", {pcap.__file__!r}, "lo", "udp port 9"]
        file = open({str(tmp_path / "lo.pcap")!r}, "wb")
        with file, subprocess.Popen(argv, stdout=file, stderr=-1) as process:
            said = process.stderr.readline()
            assert said == b"listening on lo\\n", said + process.stderr.read()
            with socket.socket(type=socket.SOCK_DGRAM) as sender:
                for port in (9, 10, 9):
                    sender.sendto(b"payload %d" % port, ("127.0.0.1", port))
                process.terminate()
        assert process.returncode == 0, process.returncode
    """
    unshared("--net", script=script)
    content = (tmp_path / "lo.pcap").read_bytes()
    assert struct.unpack_from("=I", content)[0] == 0xA1B2C3D4
    assert content.count(b"payload 9") == 2
    assert b"payload 10" not in content
