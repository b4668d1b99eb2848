"""Where settings files are found, and whose are trusted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from settings_world import World

from vnet.config import files
from vnet.project import find_project

STRANGER = 54321


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Give three places for settings files."""
    return World(tmp_path)


def test_find_project_looks_upwards(tmp_path: Path) -> None:
    """The nearest vnet.toml counts."""
    deep = tmp_path / "a/b/c"
    deep.mkdir(parents=True)
    assert find_project(str(deep)) is None
    (tmp_path / "vnet.toml").touch()
    assert find_project(str(deep)) == str(tmp_path / "vnet.toml")
    (tmp_path / "a/b/vnet.toml").touch()
    assert find_project(str(deep) + "/") == str(tmp_path / "a/b/vnet.toml")
    assert find_project("") is None
    assert find_project("\0") is None


def test_a_lab_is_named_after_the_folder_of_its_file(world: World) -> None:
    """Not after the one that the command was typed in; messages then name the whole path."""
    world.project.touch()
    deep = world.project.parent / "src/deep"
    deep.mkdir(parents=True)
    loaded = world.load(cwd=str(deep))
    assert (loaded.name, loaded.file) == ("shop", str(world.project))
    world.project.write_text("[host]\nip = 1")
    assert world.mistakes(cwd=str(deep))[0].startswith(f"{world.project}: host.ip: ")


def test_a_flag_wins_over_vnet_file_over_the_folder(world: World) -> None:
    """`-f`, then VNET_FILE, then vnet.toml; relative to the working directory."""
    for name in ("one", "two"):
        (world.project.parent / f"{name}.toml").write_text(f'name = "{name}"')
    world.project.write_text('name = "project"')
    assert world.load().name == "project"
    world.environ["VNET_FILE"] = "one.toml"
    assert world.load().name == "one"
    assert world.load(file="two.toml").name == "two"
    assert world.load(file="../shop/two.toml").file == str(world.project.parent / "two.toml")


def test_a_link_to_a_file_belongs_to_the_folder_of_the_link(world: World, tmp_path: Path) -> None:
    """Folders by their real name, as getcwd(3) gives it; the file by its own."""
    (tmp_path / "common.toml").touch()
    world.project.symlink_to(tmp_path / "common.toml")
    (tmp_path / "alias").symlink_to(world.project.parent)
    loaded = world.load(file=str(tmp_path / "alias/vnet.toml"))
    assert (loaded.name, loaded.file) == ("shop", str(world.project))


def test_xdg_config_home(world: World, tmp_path: Path) -> None:
    """It moves the user's file; the specification has relative paths ignored."""
    world.user.write_text("[networks]\nmtu = 1000")
    (tmp_path / "xdg/vnet").mkdir(parents=True)
    (tmp_path / "xdg/vnet/settings.toml").write_text("[networks]\nmtu = 2000")
    assert world.load().networks.mtu == 1000
    world.environ["XDG_CONFIG_HOME"] = "relative"
    assert world.load().networks.mtu == 1000
    world.environ["XDG_CONFIG_HOME"] = str(tmp_path / "xdg")
    assert world.load().networks.mtu == 2000


def test_home_is_that_of_the_environment(world: World) -> None:
    """$HOME, where sudo is not involved."""
    world.user.write_text("[networks]\nmtu = 1000")
    assert world.load(home=None, environ={"HOME": str(world.home)}).networks.mtu == 1000


# Under sudo


@pytest.fixture
def sudo(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Give a world in which a stranger called sudo."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    world.environ["SUDO_UID"] = str(STRANGER)
    world.user.write_text("[networks]\nmtu = 1000")
    return world


def test_a_file_of_the_caller_of_sudo_is_read(sudo: World) -> None:
    """Root reads the settings of whoever called sudo."""
    if os.getuid() == 0:
        os.chown(sudo.user, STRANGER, STRANGER)
    else:
        sudo.environ["SUDO_UID"] = str(os.getuid())
    assert sudo.load().networks.mtu == 1000


def test_a_file_of_anybody_else_is_not_trusted_under_sudo(sudo: World) -> None:
    """And says so, rather than to skip it."""
    if os.getuid() == 0:
        os.chown(sudo.user, STRANGER + 1, 0)
    owner = sudo.user.stat().st_uid
    assert sudo.mistakes() == [
        f"{sudo.user}: it belongs to user {owner}, neither to you nor to root; give it back with chown"
    ]


def test_the_home_under_sudo_is_in_the_password_database(sudo: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By user id, else by name, and never $HOME, which is root's."""
    asked: list[int | str] = []

    def password(who: int | str) -> tuple[int | None, str | None]:
        asked.append(who)
        return (sudo.user.stat().st_uid, str(sudo.home)) if who == "alice" else (None, None)

    monkeypatch.setattr(files, "_password", password)
    sudo.environ |= {"SUDO_USER": "alice", "HOME": "/nowhere"}
    assert sudo.load(home=None).networks.mtu == 1000
    assert asked[:2] == [str(STRANGER), "alice"]


@pytest.mark.parametrize("uid", ["", "x", "-1", "9" * 30, "\u00b2", "1.5"])
def test_an_odd_caller_has_no_settings(sudo: World, uid: str) -> None:
    """A container may have a user behind sudo that it does not know."""
    sudo.environ |= {"SUDO_UID": uid, "SUDO_USER": "no such user"}
    assert sudo.load(home=None).networks.mtu == 1500


def test_a_stranger_s_file_further_up_is_not_trusted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its hooks would run; whoever names it, or works beside it, wants it."""
    world.project.touch()
    deep = world.project.parent / "deep"
    deep.mkdir()
    monkeypatch.setattr(files, "_owners", lambda environ, cwd: frozenset({STRANGER}))
    owner = world.project.stat().st_uid
    assert world.mistakes(cwd=str(deep)) == [
        f"{world.project}: it belongs to user {owner}, neither to you nor to root; name it with -f if you trust it"
    ]
    assert world.load(cwd=str(deep), file="../vnet.toml").name == "shop"
    assert world.load().name == "shop", "the working directory is the user's own choice"


def test_who_may_own_a_file_further_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller, root, the owner of the working directory."""
    owners = files._owners({"SUDO_UID": "0"}, str(world.home))
    assert owners == {0, os.geteuid(), world.home.stat().st_uid}
    assert files._owners({}, "/nowhere/at/all") == {0, os.geteuid()}
