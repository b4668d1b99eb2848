"""Checks of the machine itself: its programs, the caller's rights, the kernel, and what killed vnets have left."""

from __future__ import annotations

from collections.abc import Iterator

from vnet.doctor.facts import TOOLS, Facts, unseen
from vnet.doctor.said import Level, Said, ok
from vnet.doctor.tries import FEATURES, NAMESPACES


def python(facts: Facts) -> Iterator[Said]:
    """Check Python, and the packages that vnet imports."""
    version = ".".join(map(str, facts.python))
    if facts.lacking:
        yield Said(
            "fail", f"Python {version} has no {', '.join(facts.lacking)}", f"pip install {' '.join(facts.lacking)}"
        )
    else:
        yield ok(f"{version}, with all packages")


def tools(facts: Facts) -> Iterator[Said]:
    """Check the host's tools: iproute2, iptables, util-linux and busybox."""
    missing = [name for name, there in facts.tools.items() if not there]
    if missing:
        packages = " ".join(dict.fromkeys(TOOLS[name] for name in missing))
        how = f"sudo apt-get install {packages}" if facts.apt else f"install these packages: {packages}"
        yield Said("fail", f"missing: {', '.join(missing)}", how)
    elif not facts.brctl:
        yield Said("fail", "this busybox has no brctl", "sudo apt-get install --reinstall busybox")
    else:
        yield ok("ip, iptables, mount, busybox brctl and what comes with them")


def rights(facts: Facts) -> Iterator[Said]:
    """Check where root's rights come from: root, sudo with user namespaces, or sudo alone."""
    if facts.way == "root":
        yield ok("root: no sudo is needed")
        return
    userns = "once, then user namespaces" if facts.way == "userns" else "for each verb that needs root"
    if facts.gateway_up and facts.way == "userns":
        yield ok("user namespaces: the gateway is up, and labs need no sudo")
    elif facts.sudo == "missing":
        yield Said("fail", "no sudo, and making the gateway takes root once", "su -c 'apt-get install sudo && adduser "
                   f"{_name(facts.uid)} sudo'")  # fmt: skip
    elif facts.sudo == "blocked":
        yield Said("fail", "sudo can't work here: this process may gain no rights (no_new_privs)",
                   "run it in a terminal outside of this sandbox or container")  # fmt: skip
    else:
        yield ok(f"sudo {userns}{'' if facts.sudo == 'free' else '; it asks for a password'}")


def user_namespaces(facts: Facts) -> Iterator[Said]:
    """Check for user namespaces, which spare the sudo: AppArmor or a setting may forbid them."""
    off = [key for key in ("user/max_user_namespaces", "user/max_net_namespaces") if facts.sysctls.get(key) == "0"]
    if facts.way != "sudo" and not off:
        yield ok("not needed by root" if facts.way == "root" else "allowed")
    elif not facts.tools["unshare"]:
        yield Said("note", "not tried, for lack of unshare", "sudo apt-get install util-linux")
    elif facts.sysctls.get("kernel/apparmor_restrict_unprivileged_userns") == "1":
        yield _forbidden("AppArmor", "kernel.apparmor_restrict_unprivileged_userns=0")
    elif facts.sysctls.get("kernel/unprivileged_userns_clone") == "0":
        yield _forbidden("a setting of the kernel", "kernel.unprivileged_userns_clone=1")
    elif off:
        key = off[0].replace("/", ".")
        level: Level = "fail" if "net" in key else "warn" if facts.way != "root" else "note"
        yield Said(level, f"forbidden: {key} is 0", f"sudo sysctl -w {key}=15000")
    else:
        yield Said("warn", "forbidden by what runs this machine, so sudo is used for each verb that needs root",
                   "start the container with --security-opt seccomp=unconfined")  # fmt: skip


def _forbidden(who: str, setting: str) -> Said:
    """Say that there are none, which costs comfort only."""
    return Said(
        "warn", f"forbidden by {who}, so sudo is used for each verb that needs root", f"sudo sysctl -w {setting}"
    )


def kernel(facts: Facts) -> Iterator[Said]:
    """Check what the kernel has to know, each feature tried in a throwaway network namespace."""
    if facts.features is None:
        yield Said("note", f"not tried: {unseen(facts)}", "sudo vnet-doctor")
        return
    refused = facts.features.get(NAMESPACES, "")
    if refused:
        how = "start the container with --privileged" if facts.container else "run it on the machine itself, as root"
        yield Said("fail", f"no network namespace can be made: {refused}", how)
        return
    for each in FEATURES:
        why = facts.features.get(each.name, "")
        if why and not _tool_missing(facts, each.tool, each.argv):
            how = f"sudo modprobe {each.module}" if each.module else "run it on the machine itself"
            how += ", on the machine that runs this container" if facts.container else ""
            yield Said("fail" if each.needed else "warn", f"no {each.name}, for {each.purpose}: {_short(why)}", how)
    if not any(facts.features.values()):
        yield ok(f"network namespaces, {', '.join(each.name for each in FEATURES)}")


def _tool_missing(facts: Facts, tool: str, argv: tuple[str, ...]) -> bool:
    """Tell whether a try failed for lack of a tool, which another check tells."""
    return not facts.tools.get(argv[0] if argv else f"{tool}-restore", True)


def _short(why: str) -> str:
    """Leave out of a tool's words what does not fit on a line."""
    return why if len(why) <= 100 else f"{why[:97]}..."


def leftovers(facts: Facts) -> Iterator[Said]:
    """Check for what killed vnets have left: half-made labs, records, namespaces, rules."""
    said = [Said("fail", what, how) for what, _, how in (text.partition("; ") for text in facts.untrusted)]
    said += [Said("warn", f"the lab {name} is half made, or is being made right now", f"vnet-down -n {name}")
             for name in facts.half_made]  # fmt: skip
    if facts.strays:
        names = " ".join(facts.strays)
        said.append(Said("warn", f"namespaces that belong to no lab on record: {names}",
                         f"for name in {names}; do sudo ip netns del $name; done"))  # fmt: skip
    text = "\n".join((facts.rules or {}).values())
    words = (
        line.split()[0][6:]
        for line in text.splitlines()
        if line.startswith(":VNET-") and not line[6:].startswith("CLOSED")
    )
    for name in sorted({word.removesuffix("-IN") for word in words} - facts.links):
        save, load = (f"iptables-{way}" for way in ("save", "restore"))
        said.append(Said("warn", f"rules of a vnet whose interface {name} is gone",
                         f"sudo sh -c '{save} | grep -v VNET-{name} | {load}'"))  # fmt: skip
    yield from said or [ok("none")]


def _name(uid: int) -> str:
    """Name a user."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
