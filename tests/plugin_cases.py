"""Cases of the pytest plugin, run by pytest on a simulated machine: see test_pytest_plugin.py.

Each writes a test file of a user and runs it (pytester), on real labs. Those marked `every_way` concern how vnet gets
its rights.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BIN = "/opt/vnet/bin"
DOCS = Path("/opt/vnet/docs")
TALK = f"exec {sys.executable} -I -S /opt/vnet/tests/talk.py"
CLIENT = f'#!/bin/sh\n{TALK} ask tcp "$1" 8000 3\n'
SERVER = f"#!/bin/sh\n{TALK} serve tcp 8000 word\n"
MARK = '@pytest.mark.vnet(guests=["a", "b"])'

every_way = pytest.mark.every_way


@pytest.fixture(autouse=True)
def project(pytester: pytest.Pytester) -> None:
    """Give a project with programs and settings of its own."""
    for name, text in (("server", SERVER), ("client", CLIENT)):
        path = pytester.path / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
    (pytester.path / "vnet.toml").write_text("[guests.server]\n[guests.client]\n", encoding="utf-8")
    (pytester.path / "cluster.toml").write_text("[guests.one]\n[guests.two]\n[guests.three]\n", encoding="utf-8")


def blocks(page: str) -> list[str]:
    """Take the blocks of code out of a page."""
    return re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def labs() -> set[str]:
    """Name the labs that are up."""
    done = subprocess.run([f"{BIN}/vnet-status", "--json"], check=True, capture_output=True, text=True)
    return {lab["name"] for lab in json.loads(done.stdout)["labs"]}


def run(pytester: pytest.Pytester, text: str, *options: str) -> pytest.RunResult:
    """Run a test file, with warnings as errors."""
    pytester.makepyfile(f"import pytest\n\n{text}")
    return pytester.runpytest_inprocess("-Werror", *options)


@pytest.mark.parametrize("number", range(len(blocks("pytest.md"))))
def test_the_page_of_the_plugin(pytester: pytest.Pytester, number: int) -> None:
    """Each of its blocks is a test file that passes."""
    text = blocks("pytest.md")[number]
    result = run(pytester, text)
    result.assert_outcomes(passed=len(re.findall(r"^def test_", text, re.MULTILINE)))


@every_way
def test_the_page_of_labs(pytester: pytest.Pytester) -> None:
    """Its blocks run one after the other; those that speak of `lab` get one."""
    head, *parts = blocks("python.md")
    body = "\n".join(f"    {line}".rstrip() for part in parts for line in part.splitlines())
    more = 'import socket\nimport subprocess\nwith vnet.up(["a", "b", "c"]) as lab:\n'
    path = pytester.makepyfile(page=f"{head}{more}{body}\n")
    done = subprocess.run([sys.executable, "-Werror", path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (pytester.path / "packets.pcap").stat().st_size > 100


def test_a_cut_is_healed_when_the_test_fails(pytester: pytest.Pytester) -> None:
    """And the processes of a test, which it has forgotten, end with its lab."""
    text = f"""
    from contextlib import suppress

    {MARK}
    def test_it(lab):
        lab.guest("a").popen("sleep", "1000", stdout=-1)
        lab.gateway.popen("sleep", "1000")
        with suppress(ZeroDivisionError), lab.partition("isolate", "a"):
            assert lab.cut()["kind"] == "isolate"
            1 / 0
        assert lab.cut() is None
        lab.guest("b").exec("ping", "-c1", "-W2", "a")
    """
    run(pytester, _dedent(text)).assert_outcomes(passed=1)


def test_a_failed_tests_lab_is_kept(pytester: pytest.Pytester) -> None:
    """And no other, under pytest-xdist too; the way in that is printed works. Each lab has a name and a pcap of its own."""
    text = f"""
    @pytest.mark.parametrize("word", ["--x", "$(id)", "1.2.3.4", "\N{LATIN SMALL LETTER E WITH ACUTE}" * 40])
    {MARK}
    def test_it(lab, word):
        with open("names", "a") as file:
            file.write(f"{{lab.name}} {{lab.file}}\\n")
        lab.guest("a").popen("sleep", "1000")
        lab.guest("b").exec("ping", "-c1", "-W2", "-p", "766e6574", "a")
        assert word != "1.2.3.4"
    """
    pytester.makepyfile(f"import pytest\n{_dedent(text)}")
    options = ("--vnet-keep=failed", "--vnet-pcap=packets", "-n2")
    result = pytester.runpytest_subprocess("-Werror", *options, timeout=120)
    result.assert_outcomes(passed=3, failed=1)
    words = (pytester.path / "names").read_text(encoding="utf-8").split()
    names, files = words[::2], words[1::2]
    assert [file for file in files if Path(file).parent.exists()] == []
    (name,) = labs() & set(names)
    assert (len(set(names)), "1-2-3-4" in name) == (4, True)
    assert all(file.read_bytes().count(b"vnet" * 8) == 2 for file in (pytester.path / "packets").iterdir())
    assert len(list((pytester.path / "packets").iterdir())) == 4
    ways = [line for line in result.outlines if f"vnet-exec -n {name} a bash; vnet-down -n {name}" in line]
    assert len(ways) == 2, result.outlines  # with the failure, and at the end
    subprocess.run([f"{BIN}/vnet-down", "--orphans"], check=True)
    enter, leave = ways[-1].partition(": ")[2].split("; ")
    path = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(enter.split(), input="hostname", env=path, capture_output=True, text=True)
    assert done.stdout == "a\n", done.stderr
    subprocess.run(leave.split(), env=path, check=True)
    assert name not in labs()


def test_a_failed_test_may_have_taken_its_lab_away(pytester: pytest.Pytester) -> None:
    """Then there is nothing to enter."""
    text = f"""
    {MARK}
    def test_it(lab):
        lab.down()
        lab.down()
        assert 0
    """
    result = run(pytester, _dedent(text), "--vnet-keep=failed")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*left standing*")


def test_scopes(pytester: pytest.Pytester) -> None:
    """The setting `vnet_scope` makes one lab for a module; a word that is none is refused."""
    text = """
    pytestmark = pytest.mark.vnet("a", "b")

    @pytest.fixture(scope="module")
    def seen(lab):
        return [lab.name]

    @pytest.mark.parametrize("n", "12")
    def test_it(lab, seen, n):
        assert seen == [lab.name]
    """
    run(pytester, _dedent(text), "-o", "vnet_scope=module").assert_outcomes(passed=2)
    result = run(pytester, _dedent(text), "-o", "vnet_scope=world")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*vnet_scope: 'world'; allowed: function, class, module, package, session"])


def test_mistakes_fail(pytester: pytest.Pytester) -> None:
    """They are told, and never lead to a test that is skipped."""
    text = f"""
    @pytest.mark.vnet(guests={{"a": {{"ip": "10.0.0.1"}}}})
    def test_settings(lab): ...

    @pytest.mark.vnet(gests=["a"])
    def test_mark(lab): ...

    @pytest.mark.vnet(file="nowhere.toml")
    def test_file(lab): ...

    {MARK}
    def test_port(lab):
        with pytest.raises(TimeoutError, match="a: nothing listens at TCP port 81 after 0.1 s; there is nothing at all"):
            lab.guest("a").wait_for_port(81, timeout_s=0.1)
        lab.guest("a").popen("python3", "-m", "http.server", "--bind", "127.0.0.1", "81", stderr=-3)
        with pytest.raises(TimeoutError, match=r"there is 81 \\(on loopback only\\)"):
            lab.guest("a").wait_for_port(81, timeout_s=3)
        gone = lab.guest("a").popen("false")
        with pytest.raises(ChildProcessError, match="a: the process ended with status 1 before it listened at 82"):
            lab.guest("a").wait_for_port(82, process=gone)
        with pytest.raises(LookupError, match="no guest 'c'; it has: a, b"):
            lab.guest("c")
    """
    result = run(pytester, _dedent(text))
    result.assert_outcomes(errors=3, passed=1)
    lines = ("*guests.a.ip: 10.0.0.1*allowed*", "*gests*", "*nowhere.toml*no such file*")
    for line in lines:
        result.stdout.fnmatch_lines([line])


def test_labs_for_other_scopes(pytester: pytest.Pytester) -> None:
    """Those of `vnet_labs` are named after the test that they are made for, and recorded, two of one test as well."""
    text = """
    @pytest.fixture
    def lab(vnet_labs):
        with vnet_labs(["a"]) as one, vnet_labs(["b"]) as two:
            yield one, two

    def test_it(lab):
        assert [made.guests[0].name for made in lab] == ["a", "b"]
        assert {made.name.partition("-")[0] for made in lab} == {"test_it"}
    """
    run(pytester, _dedent(text), "--vnet-pcap").assert_outcomes(passed=1)
    names = {file.name for file in (pytester.path / "vnet-pcap").iterdir()}
    assert names == {f"test_labs_for_other_scopes-py-test_it{number}.pcap" for number in ("", "-2")}


def test_no_mark_and_no_file(pytester: pytest.Pytester) -> None:
    """Say so."""
    (pytester.path / "vnet.toml").unlink()
    result = run(pytester, "def test_it(lab): ...")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*which lab? no mark says it*"])


@every_way
def test_inside(pytester: pytest.Pytester) -> None:
    """A thread alone is in the guest, nested, with asyncio, UDP and IPv6; after it all is as it was."""
    text = """
    import asyncio, os, socket, subprocess, threading

    @pytest.mark.vnet(guests=["a", "b"])
    def test_it(lab):
        a, b = lab.guest("a"), lab.guest("b")
        init = socket.socket.__init__

        def name(family=socket.AF_INET):
            with socket.socket(family, socket.SOCK_DGRAM) as made:
                assert not made.get_inheritable()
                made.connect(("172.18.0.254" if family == socket.AF_INET else "::ffff:172.18.0.254", 9))
                return made.getsockname()[0].rpartition(":")[2]

        def other():
            assert main_is_inside.wait(20)
            with b.inside():
                seen.append(name())
            seen.append(name())

        async def talk():
            async def serve(reader, writer):
                writer.write(await reader.readline())
                writer.close()
            async with await asyncio.start_server(serve, "172.18.0.1", 9000):
                reader, writer = await asyncio.open_connection("172.18.0.1", 9000)
                writer.write(b"word\\n")
                assert await reader.readline() == b"word\\n"
                writer.close()
                await writer.wait_closed()

        outside, seen, main_is_inside = name(), [], threading.Event()
        thread = threading.Thread(target=other)
        thread.start()
        with a.inside():
            assert name() == name(socket.AF_INET6) == "172.18.0.1"
            with b.inside():
                assert name() == "172.18.0.2"
            assert name() == "172.18.0.1"
            asyncio.run(talk())
            with pytest.raises(OSError, match="not supported"):
                socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET)
            assert b.exec("hostname").stdout == "b\\n"
            started = subprocess.run(["ip", "-4", "-o", "address"], capture_output=True, text=True).stdout
            assert ("172.18.0.1/" in started) == (os.getuid() == 0)
            main_is_inside.set()
            thread.join()
            assert seen == ["172.18.0.2", outside]
            assert name() == "172.18.0.1"
        assert name() == outside != "172.18.0.1"
        assert socket.socket.__init__ is init
        lab.down()
        with pytest.raises(Exception, match="not up|No such file"):
            with a.inside():
                name()
    """
    run(pytester, _dedent(text)).assert_outcomes(passed=1)


@every_way
def test_signals_reach_the_command(pytester: pytest.Pytester) -> None:
    """Whatever stands in front of it, also where it is root in the lab, and when its time is over."""
    text = """
    import os, subprocess

    @pytest.mark.vnet(guests=["a"])
    def test_it(lab):
        guest = lab.guest("a")
        script = "trap 'echo told; exit 7' TERM; echo ready; while :; do sleep 0.01; done"
        for root in (False, True):
            process = guest.popen("sh", "-c", script, root=root, stdout=-1, text=True)
            assert process.stdout.readline() == "ready\\n"
            process.terminate()
            assert process.communicate(timeout=10) == ("told\\n", None)
            assert process.returncode == 7
            process = guest.popen("sh", "-c", "echo $$; exec sleep 1000", root=root, stdout=-1, text=True)
            pid = process.stdout.readline().strip()
            process.kill()
            assert process.communicate(timeout=10) == ("", None)
            assert not os.path.exists(f"/proc/{pid}")
        for limit_s in (0.1, 0.5):  # before it is there, and after
            with pytest.raises(subprocess.TimeoutExpired):
                guest.run(["sleep", "1000"], timeout_s=limit_s)
        assert lab.status()["guests"][0]["pids"] == []
    """
    run(pytester, _dedent(text)).assert_outcomes(passed=1)


HANGS = """
    import os, time

    @pytest.mark.vnet(guests=["a"])
    def test_it(lab):
        process = lab.guest("a").popen("sh", "-c", "echo $$; exec sleep 1000", stdout=-1, text=True)
        with open("new", "w") as file:
            file.write(f"{os.getpid()} {lab.name} {lab.file} {process.stdout.readline()}")
        os.rename("new", "seen")
        process.wait()
    """


def end_by(pytester: pytest.Pytester, number: signal.Signals) -> tuple[str, tuple[Path, Path]]:
    """Signal a run whose test hangs; gives the name of its lab, and what shows that more than that is left."""
    path = pytester.makepyfile(f"import pytest\n{_dedent(HANGS)}")
    argv = [sys.executable, "-m", "pytest", "-q", str(path)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        pid, name, file, inner = _wait_for_file(pytester.path / "seen").split()
        os.kill(int(pid), number)
    assert process.returncode == (2 if number == signal.SIGINT else -number)
    return name, (Path(f"/proc/{inner}"), Path(file).parent)


def test_ctrl_c_takes_the_lab_away(pytester: pytest.Pytester) -> None:
    """With what runs in it."""
    name, others = end_by(pytester, signal.SIGINT)
    assert (name in labs(), [each for each in others if each.exists()]) == (False, [])


@every_way
def test_a_killed_run_is_cleaned_up_by_the_next(pytester: pytest.Pytester) -> None:
    """Its lab goes, with what runs in there; one of a process that lives and one of nobody stay."""
    up = [f"{BIN}/vnet-up", "-q", "-f", "vnet.toml"]
    subprocess.run([*up, "-n", "of-nobody"], check=True)
    subprocess.run([*up, "-n", "of-a-living", "--owner", str(os.getpid())], check=True)
    name, others = end_by(pytester, signal.SIGKILL)
    stay = {"of-nobody", "of-a-living"}
    assert labs() >= {*stay, name}
    assert all(each.exists() for each in others)
    run(pytester, f"{MARK}\ndef test_it(lab): ...").assert_outcomes(passed=1)
    assert labs() & {*stay, name} == stay
    assert [each for each in others if each.exists()] == []
    for each in stay:
        subprocess.run([f"{BIN}/vnet-down", "-q", "-n", each], check=True)


def _wait_for_file(path: Path) -> str:
    """Read a file, once it is there."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"waited 60 s in vain for {path}"
        time.sleep(0.01)
    return path.read_text(encoding="utf-8")


def _dedent(text: str) -> str:
    """Take the indentation of a text away."""
    return re.sub(r"^    ", "", text, flags=re.MULTILINE)
