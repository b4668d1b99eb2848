"""A folder that stands in for the machine's, the user's and the project's settings files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from vnet.config import files, settings
from vnet.config.schema import KEYS
from vnet.errors import SettingsError

NAMED = "vnet.toml: "
LONG = "a" * 64


def allowed(key: str) -> str:
    """Give the end of a message: what the table says is allowed for a key."""
    return "; allowed: " + next(row.allowed for row in KEYS if row.name == key)


class World:
    """Three places for settings files, and a load that looks at no others."""

    def __init__(self, root: Path) -> None:
        root = Path(os.path.realpath(root))
        self.system = root / "etc/vnet/settings.toml"
        self.home = root / "home"
        self.user = self.home / ".config/vnet/settings.toml"
        self.project = root / "shop/vnet.toml"
        self.environ: dict[str, str] = {}
        for file in (self.system, self.user, self.project):
            file.parent.mkdir(parents=True, exist_ok=True)

    def load(self, **given: Any) -> settings.Settings:
        """Load as a command in the project's folder does."""
        here = {"environ": self.environ, "cwd": str(self.project.parent), "home": str(self.home)}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files, "SYSTEM", str(self.system))
            return settings.load(**(here | given))

    def read(self, text: str, **given: Any) -> settings.Settings:
        """Load with this as the project's file."""
        self.project.write_text(text, encoding="utf-8")
        return self.load(**given)

    def mistakes(self, text: str | bytes | None = None, **given: Any) -> list[str]:
        """Load what is wrong and give its mistakes, with this as the project's file."""
        if text is not None:
            self.project.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(SettingsError) as caught:
            self.load(**given)
        assert caught.value.status == 2
        assert str(caught.value).splitlines() == list(caught.value.mistakes), "one line each"
        return list(caught.value.mistakes)
