"""What tells in /run what is vnet's and whose: folders, pins, and the marks that root made (docs/architecture.md lists them)."""

from __future__ import annotations

import os

from vnet.kernel import namespace

TYPE_CHECKING = False  # `typing` has the same; vnet-exec does without
if TYPE_CHECKING:
    from vnet.model import Gateway

#: The folder of all users' states.
RUN = "/run/vnet"
#: Where namespaces are pinned, as ip-netns(8) has it; with the way `userns`, as seen in the labs' own mounts.
PINS = "/run/netns"
#: Is there where the folder of pins was not, before vnet.
PINS_MARK = f"{RUN}/netns"
#: The pinned namespaces of a `userns` caller: himself, root to him, and what root in there owns.
USER_PINS = ("user", "admin", "mnt", "gateway")
OUTSIDE = {"mnt", "gateway"}
#: What to say where a `userns` caller's namespaces are not pinned any more.
GONE = "the namespaces of your labs are gone ({}); vnet-up makes them anew"
#: Is there while vnet has turned forwarding on: the last gateway turns it off again, unless somebody else has come to rely on
#: it since. So it holds the host's rules as they were before.
CLOSED_MARK = f"{RUN}/closed"
#: Holds what turning forwarding on changes besides, as it was before; see `forwarding.py`.
FORWARDING_MARK = f"{RUN}/forwarding"
#: Holds what the kernel's tables of neighbours were set to before.
TABLES_MARK = f"{RUN}/neighbours"


def pin(netns: str) -> str:
    """Tell where a network namespace is pinned."""
    return f"{PINS}/{netns}"


def state_folder(uid: int) -> str:
    """Name the folder with a user's records: his own, 0700."""
    return f"{RUN}/{uid}"


def pins_folder(uid: int) -> str:
    """Name the folder with a user's pinned namespaces: root's."""
    return f"{RUN}/{uid}.ns"


def link_mark(gateway: Gateway) -> str:
    """Name the file, root's, that tells whose link this is, with the namespaces and rules named after it.

    It holds a second record of the gateway, of root's own.
    """
    return f"{RUN}/link-{gateway.interface}.{gateway.uid}"


def link_holders() -> dict[str, int]:
    """Map the interface of each vnet on this host to its owner, as the marks tell."""
    try:
        names = os.listdir(RUN)
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # the last: root was killed before it opened it
        names = []
    marks = (name.removeprefix("link-").rpartition(".") for name in names if name.startswith("link-"))
    return {interface: int(uid) for interface, _, uid in marks}


def is_named_after(netns: str, interface: str) -> bool:
    """Tell whether a namespace has the name of a gateway, or of one of its labs: `vnet`, `vnet-x5`, `vnet-x5x1`."""
    if netns == interface:
        return True
    lab, _, guest = netns.removeprefix(f"{interface}-x").partition("x")
    numbers = (lab, guest or "0")
    return netns.startswith(f"{interface}-x") and all(each.isascii() and each.isdecimal() for each in numbers)


def pins() -> list[str]:
    """Name all network namespaces that are pinned, whoever's they are."""
    return os.listdir(PINS) if os.path.isdir(PINS) else []


def pins_stand(gateway: Gateway) -> bool:
    """Tell whether the namespaces that a `userns` caller's labs live in are still pinned."""
    return gateway.way != "userns" or user_pins(gateway.uid) == {*USER_PINS}


def user_pins(uid: int) -> set[str]:
    """Name those of a `userns` caller's namespaces that are pinned; those `OUTSIDE` are not seen from inside a lab."""
    return {name for name in USER_PINS if namespace.is_pin(f"{pins_folder(uid)}/{name}")}


def distrust(path: str, found: os.stat_result, owner: int, *others: int, mask: int = 0o022) -> str:
    """Say why a folder is not believed; nothing where it is a real one of its owner's, or of `others`, that nobody else can write.

    `found`: what lstat(2) says of it. `mask`: the rights that nobody else may have to it.
    """
    real = found.st_mode & 0o170000 == 0o040000
    if real and found.st_uid in (owner, *others) and not found.st_mode & mask:
        return ""
    if real and found.st_uid == owner:
        return (
            f"{path}: others can write this folder (mode {found.st_mode & 0o7777:04o}), so it is not trusted; chmod it to "
            "0755 at most if nobody has meddled with it, else move it away as root"
        )
    return f"{path}: not a folder of uid {owner}, so it is not trusted; move it away as root"
