"""Record every packet at the lab's bridge into a pcap file, from the bridge's birth to its end.

    [hooks]
    load = ["hooks/capture.py"]

The file is `LAB.pcap` beside vnet.toml (for a lab without one, in ~/.local/state/vnet), written anew with each lab;
`tcpdump -r shop.pcap host 172.18.0.1` and Wireshark read it, also while the lab runs. A packet from guest to guest is
in it once, with the guests' own addresses; one that a cut drops is in it too, as it did arrive at the bridge.

VNET_CAPTURE_FILE: another file. VNET_CAPTURE_FILTER: what to record, as in pcap-filter(7): `tcp port 8000`.

It needs libpcap, which tcpdump is made of, and not tcpdump itself (see vnet/kernel/pcap.py, the recorder).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import vnet
from vnet.kernel import pcap

if TYPE_CHECKING:
    from vnet.api import Lab

#: The bridge's own link: in promiscuous mode it sees what passes from port to port as well.
INTERFACE = "bridge"
#: The program that records.
RECORDER = pcap.__file__
#: Seconds until the recorder listens, or has ended.
LIMIT_S = 10.0
#: Recorders that this process started: for the others, vnet-down is a stranger.
_started: dict[str, subprocess.Popen[bytes]] = {}


@vnet.hookimpl
def vnet_after_bridge_up(lab: Lab) -> None:
    """Start the recorder, and wait until it listens."""
    _end(lab)
    target = Path(os.environ.get("VNET_CAPTURE_FILE") or _folder(lab) / f"{lab.name}.pcap")
    words = _folder(lab) / f".{lab.name}.capture.log"
    argv = (sys.executable, "-I", "-S", RECORDER, INTERFACE, os.environ.get("VNET_CAPTURE_FILTER", ""))
    with target.open("wb") as packets, words.open("wb") as log:
        process = lab.bridge.popen(
            *argv, root=True, stdin=subprocess.DEVNULL, stdout=packets, stderr=log, start_new_session=True
        )
    _started[lab.name] = process
    _pid_file(lab).write_text(f"{process.pid} {_birth(process.pid)}\n", encoding="ascii")
    try:
        _wait_until_listening(process, words)
    except (RuntimeError, TimeoutError):
        _end(lab)
        raise


@vnet.hookimpl
def vnet_before_bridge_down(lab: Lab) -> None:
    """End the recorder; the file is complete then."""
    _end(lab)


def _folder(lab: Lab) -> Path:
    """Find the place for the lab's files, the same for vnet-up and vnet-down wherever they are called."""
    if lab.file:
        return Path(lab.file).absolute().parent
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()) / "vnet"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _pid_file(lab: Lab) -> Path:
    """Name the file that tells vnet-down which process records."""
    return _folder(lab) / f".{lab.name}.capture.pid"


def _birth(pid: int) -> str | None:
    """Tell when a process was started, in clock ticks (proc_pid_stat(5)): pids come again, this pair does not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _wait_until_listening(process: subprocess.Popen[bytes], words: Path) -> None:
    """Wait for the recorder's word; TimeoutError, or RuntimeError with what it said instead."""
    deadline_s = time.monotonic() + LIMIT_S
    while "listening" not in (said := words.read_text(encoding="utf-8", errors="replace")):
        if process.poll() is not None:
            raise RuntimeError(f"the recorder ended with status {process.returncode}: {said.strip()}")
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"the recorder does not listen after {LIMIT_S:.0f} s: {said.strip()}")
        time.sleep(0.01)


def _end(lab: Lab) -> None:
    """End the recorder that the pid file names, if it is still that process; first gently."""
    file = _pid_file(lab)
    with contextlib.suppress(FileNotFoundError, ValueError):
        pid, birth = file.read_text(encoding="ascii").split()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if _birth(int(pid)) == birth:
                _signal(lab, int(pid), number)
                _wait_until_gone(lab, int(pid), birth)
        if _birth(int(pid)) == birth:
            raise TimeoutError(f"the recorder, process {pid}, does not end")
    file.unlink(missing_ok=True)
    (_folder(lab) / f".{lab.name}.capture.log").unlink(missing_ok=True)


def _signal(lab: Lab, pid: int, number: int) -> None:
    """Send a signal; where vnet needs sudo the process is root's, and only root in the lab may."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        lab.bridge.exec("sh", "-c", 'kill -"$1" "$2"', "sh", str(number), str(pid), root=True, check=False)


def _wait_until_gone(lab: Lab, pid: int, birth: str) -> None:
    """Wait for the end of a process, half of the limit for each signal."""
    deadline_s = time.monotonic() + LIMIT_S / 2
    while _birth(pid) == birth and time.monotonic() < deadline_s:
        time.sleep(0.005)
    if (process := _started.pop(lab.name, None)) and process.pid == pid:
        process.poll()
