"""The contenders: each makes a lab, says where its guests are asked from, and takes it away again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from world import ALICE, BIN, HERE, World, guest_ip, names, prefix


class Contender:
    """What all have in common."""

    name = ""
    uid = 0
    most = 250
    """The largest lab that there is patience for."""

    def __init__(self, world: World) -> None:
        self.world = world

    def missing(self) -> str:
        """Say why it can't take part; empty where it can."""
        return ""

    def prepare(self, guests: int, labs: int = 1) -> None:
        """Write files that are not part of the work, for that many labs of so many guests."""

    def gateway(self, way: str) -> None:
        """Make (`up`) or remove (`down`) what all its labs share."""

    def up(self, lab: int, guests: int) -> None:
        """Make a lab; return when it says that it has."""
        raise NotImplementedError

    def source(self, lab: int) -> str:
        """Name the network namespace that guests are asked from."""
        raise NotImplementedError

    def down(self, lab: int, guests: int) -> None:
        """Remove a lab."""
        raise NotImplementedError

    def all_down(self, labs: int) -> None:
        """Remove so many labs of one guest; return when the kernel is done."""
        for lab in range(1, labs + 1):
            self.down(lab, 1)
        self.world.gone(self.uid)

    def ask(self, lab: int, guests: int) -> None:
        """Return when every guest has answered."""
        self.world.probe("ask", self.source(lab), guest_ip(1), guests)

    def ready(self, lab: int, guests: int) -> None:
        """Make a lab; return when every guest has answered."""
        self.up(lab, guests)
        self.ask(lab, guests)


class Vnet(Contender):
    """vnet, whole processes, as root."""

    name = "vnet"
    most = 1000

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.home = "/home/alice" if self.uid else "/root"

    def prepare(self, guests: int, labs: int = 1) -> None:
        """Write the settings of labs of that size."""
        self.write(names(guests), f'[networks]\nguests = "172.18.0.0/{prefix(guests)}"\n')

    def write(self, guests: Sequence[str], more: str = "") -> None:
        """Write the settings."""
        os.makedirs(f"{self.home}/lab", exist_ok=True)
        with open(f"{self.home}/lab/vnet.toml", "w") as file:
            file.write(more + "".join(f"[guests.{name}]\n" for name in guests))

    def vnet(self, verb: str, *words: str) -> str:
        """Run a verb in the project's folder."""
        return self.world.run(f"{BIN}/vnet-{verb}", *words, uid=self.uid, cwd=f"{self.home}/lab")

    def gateway(self, way: str) -> None:
        """Make the gateway with a first lab; or remove all."""
        self.prepare(1)
        if way == "up":
            self.vnet("up", "-q")
        self.vnet("down", "-q", *(() if way == "up" else ("--all", "--gateway")))

    def up(self, lab: int, guests: int) -> None:
        """Run vnet-up."""
        self.vnet("up", "-q", "-n", f"lab{lab}")

    def source(self, lab: int) -> str:
        """Ask from the bridge, under whatever number the lab got."""
        nodes = dict(line.split()[:2] for line in self._nodes(lab) if line.count(" ") == 2)
        return f"/run/netns/{nodes['bridge']}"

    def _nodes(self, lab: int) -> list[str]:
        with open(f"/run/vnet/{self.uid}/labs/lab{lab}/nodes") as file:
            return file.read().splitlines()[1:]

    def down(self, lab: int, guests: int) -> None:
        """Run vnet-down."""
        self.vnet("down", "-q", "-n", f"lab{lab}")

    def all_down(self, labs: int) -> None:
        """Run it once for all."""
        self.vnet("down", "-q", "--all")
        self.world.gone(self.uid)


class VnetUser(Vnet):
    """vnet, as a user: labs in a user namespace."""

    name = "vnet, no root"
    uid = ALICE
    most = 250

    def prepare(self, guests: int, labs: int = 1) -> None:
        """Let the other gateway be."""
        where = '[host]\nip = "172.18.254.1"\ninterface = "vnetu"\n'
        self.write(names(guests), f'{where}[networks]\nguests = "172.18.0.0/{prefix(guests)}"\n')

    def ask(self, lab: int, guests: int) -> None:
        """Ask from the bridge, which nobody outside the user's mount namespace finds."""
        source = self.source(lab)
        pins = f"/run/vnet/{self.uid}.ns"
        enter = ("nsenter", f"--mount={pins}/mnt", f"--net={pins}/gateway")
        self.world.run(*enter, f"{self.world.programs}/probe", "ask", source, guest_ip(1), str(guests))


class Pasted(Vnet):
    """The same network by a shell script, one process a command: what `vnet-up --dry-run` prints. It uses vnet's gateway."""

    name = "shell script"
    most = 250

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.printed: tuple[int, ...] = ()

    def prepare(self, guests: int, labs: int = 1, *, whole: bool = False) -> None:
        """Have the scripts printed, each with the others' labs up, as each takes a number; `whole`: with the gateway."""
        if self.printed == (guests, labs):
            return
        super().prepare(guests)
        for lab in range(1, labs + 1):
            self._print("up", lab, "-n", f"lab{lab}")
            super().up(lab, guests)
        for lab in range(1, labs + 1):
            self._print("down", lab, *(("--all", "--gateway") if whole else ("-n", f"lab{lab}")))
        self.vnet("down", "-q", "--all", *(("--gateway",) if whole else ()))
        self.printed = (guests, labs)

    def _print(self, verb: str, lab: int, *words: str) -> None:
        """Write a script."""
        with open(f"{self.home}/{verb}{lab}.sh", "w") as file:
            file.write(self.vnet(verb, "--dry-run", *words))

    def gateway(self, way: str) -> None:
        """Leave it to vnet."""

    def up(self, lab: int, guests: int) -> None:
        """Run what was printed."""
        self.world.run("sh", "-e", f"{self.home}/up{lab}.sh")

    def down(self, lab: int, guests: int) -> None:
        """Run what was printed."""
        self.world.run("sh", "-e", f"{self.home}/down{lab}.sh")

    def all_down(self, labs: int) -> None:
        """Run one after the other."""
        Contender.all_down(self, labs)


class Script(Contender):
    """A network of the same shape by a shell script that one would write by hand, without what only vnet does."""

    name = "short script"

    def script(self, *words: object) -> None:
        """Run it."""
        self.world.run(f"{HERE}/script.sh", *map(str, words))

    def gateway(self, way: str) -> None:
        """Make or remove the gateway."""
        self.script("gateway", way)

    def up(self, lab: int, guests: int) -> None:
        """Make a lab."""
        self.script("up", lab, guests, prefix(guests))

    def source(self, lab: int) -> str:
        """Ask from the bridge."""
        return f"/run/netns/script-x{lab}"

    def down(self, lab: int, guests: int) -> None:
        """Remove it."""
        self.script("down", lab, guests)


class Floor(Contender):
    """Netlink from C, two threads, no processes. It uses the short script's gateway."""

    name = "C floor"
    most = 1000

    def up(self, lab: int, guests: int) -> None:
        """Make a lab."""
        self.world.run(f"{self.world.programs}/floor", "up", str(lab), str(guests), str(prefix(guests)))

    def source(self, lab: int) -> str:
        """Ask from the bridge."""
        return f"/run/netns/floor-x{lab}"

    def down(self, lab: int, guests: int) -> None:
        """Remove it."""
        self.world.run(f"{self.world.programs}/floor", "down", str(lab), str(guests))


OWN = (Vnet, VnetUser, Pasted, Script, Floor)


@contextlib.contextmanager
def ready(world: World, kinds: Sequence[type[Contender]]) -> Iterator[list[Contender]]:
    """Make the gateways of those that can take part, and note what the machine has then."""
    able = []
    for kind in kinds:
        contender = kind(world)
        if missing := contender.missing():
            world.say(f"without {contender.name}: {missing}")
            world.emit("missing", contender.name, 0, missing)
        else:
            able.append(contender)
    for contender in able:
        contender.gateway("up")
    world.settle()
    yield able
    for contender in reversed(able):
        contender.gateway("down")
