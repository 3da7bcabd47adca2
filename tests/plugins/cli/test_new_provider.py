"""new-provider: what it writes is a package that installs, is clean, and passes its own tests untouched."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli_doubles import Done, Run, finished
from freshkey.errors import ConfigurationError
from freshkey_cli.new_provider import KINDS, checked_name, taken_by, write
from freshkey_testing import AuthorizationServer
from page_blocks import blocks
from raises_code import raises_code
from source_tree import ROOT


NOT_THEIRS = ("PYTEST", "PYTHON", "DISPLAY", "WAYLAND_DISPLAY", "FRESHKEY_", "WSL_")
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))}
NAMES = ["ab", "class", "a-name-as-long-as-a-name-may-be"]


# --- names and folders -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "name"),
    [("acme", "acme"), ("My_Bank", "my-bank"), ("my..bank", "my-bank"), ("freshkey-acme", "acme"), ("s3", "s3")],
)
def test_names_are_normalized(given: str, name: str) -> None:
    assert checked_name(given) == name


@pytest.mark.parametrize("given", ["", "-", "1st", "a b", "../up", "a/b", "ä", "acme-", "a" * 31, "freshkey-"])
def test_what_cannot_be_a_name_is_refused(given: str) -> None:
    with raises_code(ConfigurationError, "invalid-provider-name"):
        checked_name(given)


OWN = [each.parent.name for each in ROOT.glob("plugins/*/pyproject.toml")]


@pytest.mark.parametrize("given", ["keyring", "claude-oauth", *OWN])
def test_a_name_of_freshkey_itself_is_refused(given: str) -> None:
    with raises_code(ConfigurationError, "provider-name-taken"):
        checked_name(given)


@pytest.mark.parametrize("name", ["class", "json", "acme", "bank"])
def test_names_of_python_are_free(name: str) -> None:
    assert checked_name(name) == name
    assert taken_by(name) is None


ENTRY_POINTS = "other-1.2.dist-info/entry_points.txt"


@pytest.mark.parametrize(
    ("file", "text", "holder"),
    [
        (ENTRY_POINTS, "[freshkey.providers]\nmy_bank = other\n", "the package other 1.2"),
        (ENTRY_POINTS, "[freshkey.stores]\nmy-bank = other\n", "freshkey.stores"),
        (ENTRY_POINTS, "[freshkey.observers]\nmy_bank = other\n", "freshkey.observers"),
        (ENTRY_POINTS, "[freshkey.commands]\nmy-bank = other\n", "freshkey.commands"),
        ("freshkey_my_bank-3.dist-info/RECORD", "", "the installed package freshkey-my-bank 3"),
        ("freshkey_my_bank.py", "raise RuntimeError\n", "the module freshkey_my_bank"),
    ],
)
def test_a_name_that_is_installed_is_refused(
    file: str, text: str, holder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    if path.suffix != ".py":
        name, _, version = path.parent.name.removesuffix(".dist-info").partition("-")
        (path.parent / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert holder in (taken_by("my-bank") or "")
    assert taken_by("my-banks") is None


def test_of_a_name_that_is_taken_nothing_is_written(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "freshkey_my_bank.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    refused = run("new-provider", "my-bank", "--json")

    assert (refused.code, json.loads(refused.err)["error"]["code"]) == (6, "provider-name-taken")
    assert not list(tmp_path.glob("*freshkey-my-bank*"))


def test_an_existing_folder_stays_as_it_is(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freshkey-acme").mkdir()
    refused = run("new-provider", "acme", "--json")

    assert (refused.code, json.loads(refused.err)["error"]["code"]) == (6, "directory-exists")
    assert list((tmp_path / "freshkey-acme").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "directory-not-writable"):
        write(tmp_path / "missing" / "freshkey-acme", "acme", "oauth")


def fails_at(number: int, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the file with that number, and all after it, fail to be written."""
    really, calls = Path.write_text, itertools.count(1)

    def write_text(self: Path, *text: Any, **how: Any) -> int:
        if next(calls) >= number:
            self.touch()
            raise error
        return really(self, *text, **how)

    monkeypatch.setattr(Path, "write_text", write_text)


@pytest.mark.parametrize("number", [1, 4])
def test_a_failure_leaves_nothing_behind(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_at(number, OSError(28, "No space left on device"), monkeypatch)
    with raises_code(ConfigurationError, "directory-not-writable"):
        write(tmp_path / "freshkey-acme", "acme", "oauth")
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_at(3, KeyboardInterrupt(), monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "freshkey-acme", "acme", "oauth")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_appears_meanwhile_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, really = tmp_path / "freshkey-acme", Path.rename

    def rename(self: Path, target: Path) -> Path:
        folder.mkdir()
        (folder / "mine").touch()
        return really(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with raises_code(ConfigurationError, "directory-exists"):
        write(folder, "acme", "oauth")
    assert [path.name for path in tmp_path.rglob("*")] == ["freshkey-acme", "mine"]


@pytest.mark.skipif(sys.platform == "win32", reason="file modes have no meaning there")
def test_the_folder_has_the_usual_mode(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    write(tmp_path / "freshkey-acme", "acme", "oauth")
    assert (tmp_path / "freshkey-acme").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_provider_that_signs_in_is_the_default(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("new-provider", "My.Bank", "--json").json

    assert result["kind"] == "oauth"
    assert "src/freshkey_my_bank/__init__.py" in result["files"]
    assert Path(result["folder"]).name == "freshkey-my-bank"


def test_two_kinds_are_a_usage_error(run: Run) -> None:
    assert run("new-provider", "acme", "--oauth", "--store").code == 2


# --- what is written -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_package_is_complete_and_clean(kind: str, name: str, tmp_path: Path) -> None:
    folder = tmp_path / f"freshkey-{name}"
    package = f"freshkey_{name.replace('-', '_')}"
    assert {"pyproject.toml", "README.md", "LICENSE", ".gitignore", f"src/{package}/py.typed"} < {
        *write(folder, name, kind)
    }
    for path in folder.rglob("*"):
        assert not path.is_file() or not re.search(r"@\w+@", path.read_text("utf-8")), path
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    assert "freshkey>=0.2,<1" in project["dependencies"]
    assert project["entry-points"] == {f"freshkey.{KINDS[kind][0]}": {name.replace("-", "_"): package}}
    for arguments in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "--no-cache", "."],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


ALONE = """\
import sys, time

def refuse(event, arguments=()):
    if event in {"socket.__new__", "sleep"} or event == "import" and arguments[0] == "keyring":
        raise RuntimeError(f"{event} {arguments}")

def sleep(seconds, real=time.sleep):
    if sys._getframe(1).f_globals["__name__"] != "subprocess":  # which waits so for the child that imports the package
        refuse("sleep", (seconds,))
    real(seconds)

sys.addaudithook(refuse)
time.sleep = sleep
"""
"""A plugin of pytest: tests that open a socket, reach for the keychain or sleep fail."""


# --- what is written works -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of a new environment that also has what is installed in this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/*/site-packages")
    ours = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    (site / "workspace.pth").write_text(f"import site; site.addsitedir({str(ours)!r})\n")
    (site / "alone.py").write_text(ALONE)
    python = folder / "bin" / "python"
    (folder / "bin" / "ruff").symlink_to(Path(sys.executable).with_name("ruff"))
    for program in ("freshkey", "mypy"):
        script = folder / "bin" / program
        script.write_text(f'#!/bin/sh\nexec "{python}" -m {program} "$@"\n')
        script.chmod(0o700)
    return python


def guide(name: str) -> str:
    """Return the commands of the guide that this file runs, for a provider in a folder with an environment."""
    (found,) = (block.text for block in blocks("docs/guides/provider.md", "sh") if block.about == name)
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="builds and type checks are the same on every system")
@pytest.mark.parametrize("kind", KINDS)
def test_package_installs_and_passes_its_checks(kind: str, tmp_path: Path, python: Path) -> None:
    folder = installed(f"of-{kind}", kind, tmp_path, python)
    assert list((folder / "dist").glob("*.tar.gz"))
    environ = {**ENVIRON, "MYPY_CACHE_DIR": str(python.parents[1] / "mypy"), "PYTEST_ADDOPTS": "-p alone"}
    said = checked(["sh", "-eu", "-c", guide("checks")], folder, environ)
    assert re.search(r"^=+ \d+ passed in ", said, re.MULTILINE), said


def installed(name: str, kind: str, below: Path, python: Path) -> Path:
    """Write a package, build it and install its wheel; return its folder."""
    folder = below / f"freshkey-{name}"
    write(folder, name, kind)
    checked([sys.executable, "-m", "hatchling", "build"], folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    (site,) = python.parents[1].glob("lib/*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    (folder / ".venv").symlink_to(python.parents[1])
    return folder


def checked(command: list[str], folder: Path, environ: dict[str, str] | None = None) -> str:
    """Run a command that must succeed, and return what it prints."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environ or ENVIRON,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- a sign-in with what is written ----------------------------------------------------------------------------------

BROWSER = "import sys\nfrom freshkey_testing.browser import follow\nfollow(sys.argv[1])\n"


@pytest.fixture
def server() -> Iterator[AuthorizationServer]:
    with AuthorizationServer() as server:
        yield server


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """Return where a user's configuration and state are, and the browser."""
    browser = tmp_path / "browser"
    browser.write_text(f"#!{sys.executable}\n{BROWSER}")
    browser.chmod(0o700)
    for name in ("config", "state"):
        (tmp_path / name).mkdir(mode=0o700)
    ours = {name: value for name, value in os.environ.items() if not name.startswith(NOT_THEIRS)}
    folders = {f"FRESHKEY_{name.upper()}_DIR": str(tmp_path / name) for name in ("config", "state")}
    return {**ours, **folders, "BROWSER": str(browser)}


@pytest.mark.skipif(sys.platform == "win32", reason="the browser is a script")
def test_guide_shows_a_sign_in(places: dict[str, str], tmp_path: Path, python: Path) -> None:
    folder = installed("acme", "oauth", tmp_path, python)
    config = Path(places["FRESHKEY_CONFIG_DIR"]) / "config.toml"
    with run_until_killed(["sh", "-eu", "-c", f"exec {guide('server')}"], folder, places) as server:
        lines = [next(server)]
        while "until Ctrl-C" not in lines[-1]:
            lines.append(next(server))
        assert str(config) in lines[0]
        config.write_text("".join(lines) + 'store = "file"\n')  # the user has a keychain
        config.chmod(0o600)
        checked(["sh", "-eu", "-c", guide("sign-in")], folder, places)
        told = "".join(itertools.takewhile(lambda line: "revoked" not in line, server))
    assert re.findall(r"grant\.\w+", told) == ["grant.authorization_code", "grant.refresh_token"]


@contextmanager
def run_until_killed(command: list[str], folder: Path, environ: dict[str, str]) -> Iterator[Iterator[str]]:
    """Start a program, and yield the lines that it prints."""
    program = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        yield program.stdout
    finally:
        program.kill()
        program.communicate()


def of_server(server: AuthorizationServer) -> str:
    """Return a profile ``work`` of the provider ``signs_in``."""
    settings = {
        "provider": "signs_in",
        "store": "file",
        "issuer": server.urls.issuer,
        "client_id": server.client_id,
        "allow_insecure_loopback": True,
    }
    return "\n".join(["[profiles.work]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())])


@pytest.mark.skipif(sys.platform == "win32", reason="the browser is a script")
def test_login_of_a_provider_that_signs_in(
    server: AuthorizationServer, places: dict[str, str], tmp_path: Path, python: Path
) -> None:
    installed("signs-in", "oauth", tmp_path, python)
    config = Path(places["FRESHKEY_CONFIG_DIR"]) / "config.toml"
    config.write_text(of_server(server))
    config.chmod(0o600)

    def run(*argv: str) -> Done:
        return finished([python, "-m", "freshkey", *argv], places)

    assert run("token", "work").code == 3
    login = run("login", "work", "--json")
    assert login.code == 0, login.err
    assert login.json["renewable"] is True
    first = run("token", "work").out.strip()
    assert first in server.secrets()
    assert run("refresh", "work").code == 0
    second = run("token", "work").out.strip()
    assert second in server.secrets() - {first}
    assert run("logout", "work", "--json").json["revoked"] is True
    assert server.count("revoked") == 1
