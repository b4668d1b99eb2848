"""What may be done to a standing lab's parts and records behind vnet's back, and back to life after a reboot."""

from __future__ import annotations

from faults.verbs import Bench

#: Each: who does it (`host`, the labs' mount namespace `pins`, or a node), and a line of shell. RUN is the records' folder.
MEDDLES = {
    "the host's link": ("host", "ip link del vnet"),
    "a guest's link": ("b", "ip link del eth0"),
    "the uplink": ("bridge", "ip link del uplink"),
    "the bridge": ("bridge", "ip link del bridge"),
    "a guest's pin": ("pins", "umount --no-mtab /run/netns/vnet-x1x1; rm /run/netns/vnet-x1x1"),
    "the bridge's pin": ("pins", "umount --no-mtab /run/netns/vnet-x1; rm /run/netns/vnet-x1"),
    "the gateway's pin": ("pins", "umount --no-mtab /run/netns/vnet; rm /run/netns/vnet"),
    "a mount stacked on a guest's pin": ("pins", "mount --no-mtab --bind /run/netns/vnet-x1x2 /run/netns/vnet-x1x1"),
    "a mount stacked on the bridge's pin": ("pins", "mount --no-mtab --bind /run/netns/vnet-x1x2 /run/netns/vnet-x1"),
    "a file in place of a guest's pin": ("pins", "umount --no-mtab /run/netns/vnet-x1x1"),
    "a file in place of the bridge's pin": ("pins", "umount --no-mtab /run/netns/vnet-x1"),
    "one rule of the host": ("host", "iptables -D FORWARD -j VNET-vnet"),
    "one nat rule of the host": ("host", "iptables -t nat -D POSTROUTING -j VNET-vnet"),
    "all rules of the host": ("host", "iptables -F; iptables -X; iptables -t nat -F; iptables -t nat -X"),
    "all rules of the bridge": ("bridge", "iptables -F; iptables -t nat -F"),
    "all rules of the gateway": ("gateway", "iptables -F; iptables -t nat -F"),
    "ip_forward of the host": ("host", "echo 0 >/proc/sys/net/ipv4/ip_forward"),
    "ip_forward of the bridge": ("bridge", "echo 0 >/proc/sys/net/ipv4/ip_forward"),
    "the lab's record is gone": ("host", "rm RUN/labs/project/record.json"),
    "the lab's folder is gone": ("host", "rm -r RUN/labs/project"),
    "the gateway's record is gone": ("host", "rm RUN/gateway.json"),
    "all records are gone": ("host", "rm -r RUN/*"),
    "the lab's record is of another boot": ("host", "sed -i 's/\"boot\": \"[^\"]*\"/\"boot\": \"x\"/' RUN/labs/project/record.json"),
    "the gateway's record is of another boot": ("host", "sed -i 's/\"boot\": \"[^\"]*\"/\"boot\": \"x\"/' RUN/gateway.json"),
    "the lab's record is of a newer vnet": ("host", "sed -i 's/\"schema\": [0-9]*/\"schema\": 99/' RUN/labs/project/record.json"),
    "the gateway's record is of a newer vnet": ("host", "sed -i 's/\"schema\": [0-9]*/\"schema\": 99/' RUN/gateway.json"),
    "the lab's record is a folder": ("host", "rm RUN/labs/project/record.json; mkdir RUN/labs/project/record.json"),
    "the lab's record can't be read": ("host", "chmod 0 RUN/labs/project/record.json; chown 0:0 RUN/labs/project/record.json"),
    "the lab's record is noise": ("host", "head -c 999 /dev/urandom > RUN/labs/project/record.json"),
    "the gateway's record is noise": ("host", "head -c 999 /dev/urandom > RUN/gateway.json"),
    "a folder's owner is another": ("host", "chown 3003:3003 RUN/labs/project/record.json"),
}  # fmt: skip


def meddle(bench: Bench, name: str) -> None:
    """Do it."""
    where, script = MEDDLES[name]
    script = script.replace("RUN", f"/run/vnet/{bench.world.uid}")
    if where == "host":
        bench.world.sh(script)
    elif where == "pins":
        mnt = f"/run/vnet/{bench.world.uid}.ns/mnt"
        enter = ["nsenter", f"--mount={mnt}", "--"] if bench.way == "userns" else []
        bench.world.machine.run(*enter, "sh", "-c", script)
    else:
        bench.world.do("inside", name=where, script=script)


def recovers(bench: Bench, name: str, *, down: bool, both: bool = True) -> list[str]:
    """Do it to a standing lab, recover, and tell what was wrong; `both`: vnet-down, also after vnet-up."""
    bench.go("lab")
    meddle(bench, name)
    wrong = bench.recover_down() if down else bench.recover_up()
    if both and not down and not wrong:
        wrong = bench.recover_down()
    return [f"{bench.way}: {name}, then {'down' if down else 'up, down'}: {line}" for line in wrong]


def cut_off(bench: Bench, record: str, at: int) -> list[str]:
    """Cut a record of a standing lab off behind a number of bytes, recover, and tell what was wrong."""
    bench.go("lab")
    bench.world.sh(f"truncate -s {at} /run/vnet/{bench.world.uid}/{record}")
    wrong = bench.recover_down() if at % 2 else bench.recover_up()
    return [f"{bench.way}: {record} cut off at {at}: {line}" for line in wrong]


def campaign(bench: Bench, every: int) -> tuple[int, list[str]]:
    """Do all of it, and cut the records off at each byte; gives the number of runs, and what was wrong."""
    wrong, runs = list[str](), 0
    for name in MEDDLES:
        for down in (False, True):
            wrong += recovers(bench, name, down=down)
            runs += 1
    for record in ("labs/project/record.json", "gateway.json"):
        bench.go("lab")
        size = int(bench.world.sh(f"stat -c %s /run/vnet/{bench.world.uid}/{record}"))
        for at in range(0, size, every):
            wrong += cut_off(bench, record, at)
            runs += 1
    return runs, wrong
