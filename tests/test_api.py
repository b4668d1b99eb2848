"""What Python code is given of a lab: values, and commands that go through vnet-exec. No lab is made here."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hook_world import LAB
from inside import wait_for

from vnet import api

REPO = Path(__file__).resolve().parent.parent
NGINX = LAB.guests[0]


def test_views_show_the_model() -> None:
    """Names, addresses and pins, as the kernel has them."""
    lab = api.lab_view(LAB)
    assert (lab.name, lab.number, lab.file, [guest.name for guest in lab.guests]) == (
        "shop", 3, "/srv/shop/vnet.toml", ["nginx", "flask"],
    )  # fmt: skip
    assert (str(lab.guest("nginx").ip), lab.guest("nginx").netns) == ("172.18.0.1", "/run/netns/vnet-x3x1")
    assert (str(lab.bridge.ip), lab.bridge.netns) == ("172.18.0.254", "/run/netns/vnet-x3")
    assert (str(lab.gateway.ip), str(lab.gateway.host_ip), lab.gateway.interface) == (
        "172.18.255.2", "172.18.255.1", "vnet",
    )  # fmt: skip
    with pytest.raises(LookupError, match="lab shop has no guest 'ngnix'; it has: nginx, flask"):
        lab.guest("ngnix")


def test_commands_go_through_vnet_exec() -> None:
    """By the path of its program; with no lab only the gateway can be meant."""
    program = str(REPO / "vnet/exec.py")
    assert api.exec_argv("shop", "nginx", root=True) == [
        sys.executable, "-I", "-S", program, "-n", "shop", "--root", "nginx", "--",
    ]  # fmt: skip
    assert api.exec_argv("", "gateway") == [sys.executable, "-I", "-S", program, "gateway", "--"]


def test_exec_gives_text_and_raises_with_what_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """As subprocess.run does; the command reads nothing unless it is given something."""
    monkeypatch.setattr(api, "exec_argv", lambda *_: [])
    guest = api.guest_view(NGINX, LAB)
    assert guest.exec("cat").stdout == ""
    assert guest.exec("cat", input="text").stdout == "text"
    assert guest.exec("false", check=False).returncode == 1
    with pytest.raises(subprocess.CalledProcessError) as error:
        guest.exec("sh", "-c", "echo no route >&2; exit 2")
    assert (error.value.returncode, error.value.__notes__) == (2, ["in nginx: no route"])
    with pytest.raises(subprocess.TimeoutExpired):
        guest.exec("sleep", "60", timeout_s=0.05)
    with guest.popen("sleep", "60") as process:
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: process.poll() is not None, "sleep to end")
