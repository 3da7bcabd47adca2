"""Two projects that give their profiles one name share nothing, whatever the store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import frozen

from cli_doubles import Done, finished
from freshkey.plugin import shell_quoted
from promises import proves
from runnable import python


FILE = 'profile = "ci"\n[profiles.ci]\nprovider = "claude_oauth"\n'


@frozen(kw_only=True)
class Machine:
    """A user with two projects."""

    home: Path

    @property
    def environ(self) -> dict[str, str]:
        foreign = ("ANTHROPIC_", "CLAUDE_", "FRESHKEY_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        places = {"FRESHKEY_CONFIG_DIR": str(self.home / "config"), "FRESHKEY_STATE_DIR": str(self.home / "state")}
        return inherited | places | {"HOME": str(self.home), "USERPROFILE": str(self.home)}

    def run(self, project: str, *argv: str) -> Done:
        command = [sys.executable, "-P", "-m", "freshkey", *argv]
        return finished(command, self.environ, directory=self.home / project)

    def keep(self, project: str, key: str, name: str = "ci") -> None:
        command = [sys.executable, "-P", "-m", "freshkey", "login", name, "--api-key", "--store", "file"]
        where = self.home / project
        done = subprocess.run(
            command, cwd=where, env=self.environ, input=key, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def key(self, project: str, name: str = "ci") -> str | None:
        """Return the key that a project gets."""
        done = self.run(project, "token", name, "--store", "file")
        assert done.code in {0, 3}, done.err
        return done.out.strip() or None

    def configure(self, text: str) -> None:
        file = self.home / "config" / "config.toml"
        file.touch(mode=0o600)
        file.write_text(text)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    home = tmp_path.resolve() / "home"
    for directory in ("", "config", "a", "b"):
        (home / directory).mkdir(mode=0o700)
    for project in ("a", "b"):
        (home / project / ".freshkey.toml").touch(mode=0o600)
        (home / project / ".freshkey.toml").write_text(FILE)
    return Machine(home=home)


KEYS = [f"sk-ant-api03-{letter * 40}" for letter in "abc"]


@proves("TRU-11")
def test_each_project_has_its_own_sign_in(machine: Machine) -> None:
    machine.configure('[profiles.ci]\nprovider = "claude_oauth"\nstore = "file"\n')
    (machine.home / "config-only").mkdir()
    machine.keep("config-only", KEYS[2])
    machine.configure("")  # the user's own profile is gone, its key is not
    assert machine.key("a") is None

    machine.keep("a", KEYS[0])
    assert (machine.key("a"), machine.key("b")) == (KEYS[0], None)
    machine.keep("b", KEYS[1])
    assert (machine.key("a"), machine.key("b")) == (KEYS[0], KEYS[1])

    shown = machine.run("a", "status", "ci", "--store", "file", "--json").json["profiles"][0]
    assert shown["profile"] == "ci"
    assert "@" not in machine.run("a", "status", "ci", "--store", "file").out

    assert machine.run("b", "logout", "ci", "--store", "file").out.startswith("ci: ")
    assert (machine.key("a"), machine.key("b")) == (KEYS[0], None)

    machine.configure('[profiles.ci]\nprovider = "claude_oauth"\nstore = "file"\n')
    assert machine.key("config-only") == KEYS[2]  # still readable under its own name


@proves("TRU-11")
def test_link_is_the_same_project_and_another_place_is_not(machine: Machine) -> None:
    machine.keep("a", KEYS[0])
    if sys.platform != "win32":  # where links need a privilege
        (machine.home / "link").symlink_to("a")
        assert machine.key("link") == KEYS[0]
    (machine.home / "a" / "below").mkdir()
    (machine.home / "a" / ".git").mkdir()
    assert machine.key("a/below") == KEYS[0]
    (machine.home / "a").rename(machine.home / "moved")
    assert machine.key("moved") is None
    (machine.home / "moved").rename(machine.home / "a")
    assert machine.key("a") == KEYS[0]


@proves("TRU-10")
def test_login_and_logout_follow_no_project_even_if_it_is_trusted(machine: Machine) -> None:
    machine.keep("a", KEYS[0])
    assert machine.run("a", "trust", "--yes", ".").code == 0
    told = machine.run("a", "token", "--store", "file")
    assert told.out.strip() == KEYS[0]
    file = machine.home / "a" / ".freshkey.toml"
    assert told.err == f"using profile ci, selected by {file}\n"
    for command in ("login", "logout"):
        done = machine.run("a", command, "--json")
        assert (done.code, done.error["code"]) == (6, "profile-not-named")
        assert str(file) in done.error["message"]
        assert done.error["hint"].endswith(f"freshkey {command} ci")
    assert machine.key("a") == KEYS[0]


COMMANDS = {
    "token": [],
    "export": [],
    "whoami": [],
    "refresh": [],
    "exec": ["--", *python("open('RAN', 'w').close()")],
}


@proves("TRU-10")
def test_nothing_follows_an_untrusted_choice(machine: Machine) -> None:
    machine.configure('[profiles.prod-admin]\nprovider = "claude_oauth"\nstore = "file"\n')
    machine.keep("a", KEYS[2], "prod-admin")
    (machine.home / "b" / ".freshkey.toml").write_text('profile = "prod-admin"\n')
    for command, more in COMMANDS.items():
        done = machine.run("b", command, *more)
        assert (done.code, done.out, done.error_code) == (6, "", "trust-required")
        assert f"freshkey trust {shell_quoted(str(machine.home / 'b'))}" in done.err
        assert KEYS[2] not in done.err
    assert not (machine.home / "b" / "RAN").exists()
    assert machine.run("b", "explain").code == 0
    assert machine.key("b", "prod-admin") == KEYS[2]  # by name, without a question

    assert json.loads(machine.run("b", "trust", "--yes", ".", "--json").out)["choices"] == [
        {
            "file": str(machine.home / "b" / ".freshkey.toml"),
            "profile": "prod-admin",
            "setting": "profile",
            "value": "prod-admin",
        }
    ]
    told = f"using profile prod-admin, selected by {machine.home / 'b' / '.freshkey.toml'}\n"
    for command in ("token", "export"):
        done = machine.run("b", command)
        assert (done.code, done.err) == (0, told)
        assert KEYS[2] in done.out
    assert machine.run("b", "exec", "--", *python("pass")).err.startswith(told)
    machine.configure('[profiles.prod-admin]\nprovider = "claude_oauth"\nstore = "file"\nlead = 5\n')
    assert machine.run("b", "token").code == 0  # the user's own settings may change
    assert machine.run("b", "trust", "--revoke", "prod-admin").code == 0
    assert machine.run("b", "token").error_code == "trust-required"
