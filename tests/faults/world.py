"""A simulated machine with the driver on it: what campaign and tests do harm to."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from machine import Machine

DRIVER = "/opt/vnet/tests/faults/driver.py"
WAYS = {
    "root": ("root", {"userns": True, "sudo": False}),
    "userns": ("alice", {"userns": True, "sudo": True}),
    "sudo": ("alice", {"userns": False, "sudo": True}),
}


class World:
    """A machine of one way, with an empty project."""

    def __init__(self, way: str) -> None:
        self.way = way
        self.user, options = WAYS[way]
        self.machine = Machine(**options)
        self.home = "/root" if self.user == "root" else f"/home/{self.user}"
        self.uid = 0 if self.user == "root" else 3001
        self.machine.run("mkdir", "project", user=self.user)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.driver = self.machine.popen("python3", "-I", "-S", DRIVER, self.user, **pipes)
        self._answer()

    def close(self) -> None:
        """End the machine."""
        self.driver.kill()
        self.machine.close()

    def do(self, what: str, **words: Any) -> Any:
        """Ask the driver."""
        assert self.driver.stdin
        self.driver.stdin.write(json.dumps({"do": what, **words}) + "\n")
        self.driver.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self.driver.stdout
        line = self.driver.stdout.readline()
        assert line, "the driver ended"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["answer"]

    def verb(self, *argv: str, fault: dict[str, Any] | None = None, limit_s: float = 60) -> dict[str, Any]:
        """Run a verb, with a fault or none."""
        told = self.do("verb", argv=list(argv), fault=fault, limit_s=limit_s)
        assert "error" not in told, told["error"]
        return dict(told)

    def settings(self, text: str) -> None:
        """Write the project's vnet.toml."""
        self.machine.write(f"{self.home}/project/vnet.toml", text, user=self.user)

    def sh(self, script: str) -> str:
        """Run a line of shell on the machine, as root."""
        return self.machine.run("sh", "-c", script).stdout
