"""What the tests of hooks share: a lab as the engine would hand it over, and files."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from vnet import model

GATEWAY = model.Gateway(
    uid=0, gid=0, way="root", interface="vnet", host_ip=IPv4Address("172.18.255.1"),
    bridges=IPv4Network("172.18.192.0/19"), mtu=1500, iptables=True,
)  # fmt: skip
LAB = model.Lab(
    name="shop", number=3, file="/srv/shop/vnet.toml", gateway=GATEWAY, network=IPv4Network("172.18.0.0/24"), mtu=1500,
    guests=(
        model.Guest("nginx", IPv4Address("172.18.0.1"), (model.Port(8000, "tcp", 80),)),
        model.Guest("flask", IPv4Address("172.18.0.2")),
    ),
)  # fmt: skip


def write(path: Path, text: str) -> str:
    """Write a file, with its folder, and give its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def note(hook: str, arguments: str, text: str, more: str = "", options: str = "") -> str:
    """Write a hook that notes a text, which may name its arguments in braces."""
    head = f"import sys\nimport vnet\n\n@vnet.hookimpl{options}\ndef {hook}({arguments}):\n"
    return f"{head}    sys.vnet_said.append(f'{text}')\n    {more}\n"


def installed(folder: Path, name: str, entry_points: str) -> None:
    """Lay out a package as pip does."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")
