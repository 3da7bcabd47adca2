"""freshkey trust: a person sees what would run and says yes, in a terminal; it can be listed and taken back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import frozen

from cli_doubles import Done, finished
from freshkey._trust.project_commands import TrustedCommands
from freshkey._trust.source_consent import Answer, SourceAnswers
from typist import Typist


if sys.platform == "win32":
    pytest.skip("pseudo-terminals are POSIX", allow_module_level=True)

PROVIDER = """
from attrs import field, frozen
from freshkey._commands.command import Command, run_command
from freshkey.clock import SYSTEM
from freshkey._commands.helper import read_helper_line
from freshkey.hooks import hookimpl
from freshkey.model.credential import ApiKey
from freshkey.model.description import Description
from freshkey.model.source import Detected, Source

@frozen(kw_only=True)
class Settings:
    helper: Command | None = None

def detect(profile):
    return Detected(kind="key", origin="helper") if profile.settings.helper else None

@hookimpl
def describe(profile, credential):
    source = Source(id="helper", title="Helper", owned=False, handed_in=True, detect=detect)
    return Description(title="Acme", settings=Settings, formats={"key": ApiKey}, sources=(source,))

@hookimpl
def acquire(profile, source, interaction):
    key = read_helper_line(run_command(profile.settings.helper))
    return ApiKey(obtained=SYSTEM.now(), clock=SYSTEM, source=source.id, key=key, header="X-Key")

@hookimpl
def refresh(profile, credential, reporter):
    return acquire(profile, describe(profile, None).sources[0], None)
"""

FILE = """profile = "ci"
[profiles.ci]
provider = "acme"
helper = ["./key.sh", "--for", "all of us"]
"""


@frozen(kw_only=True)
class Machine:
    """A person with an installed provider that takes commands, and a project that names one."""

    home: Path
    project: Path

    @property
    def environ(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FRESHKEY_")}
        places = {"FRESHKEY_CONFIG_DIR": str(self.home / "config"), "FRESHKEY_STATE_DIR": str(self.state)}
        return inherited | places | {"HOME": str(self.home), "PYTHONPATH": str(self.home / "site")}

    @property
    def state(self) -> Path:
        return self.home / "state"

    def command(self, *argv: str) -> list[str]:
        # Not -m: it would import what lies in the working directory.
        return [sys.executable, "-P", "-m", "freshkey", *argv]

    def run(self, *argv: str) -> Done:
        return finished(self.command(*argv), self.environ, directory=self.project)

    def answer(self, answer: str, *argv: str) -> tuple[int, str]:
        with Typist(self.command(*argv), self.environ) as typist:
            typist.read_until("[y/N]")
            typist.type(f"{answer}\n")
            return typist.end(), typist.screen.replace("\r\n", "\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    home = tmp_path.resolve() / "home"
    for directory in (home, home / "config", home / "project", home / "site" / "acme_freshkey-3.4.dist-info"):
        directory.mkdir(mode=0o700, parents=True)
    info = home / "site" / "acme_freshkey-3.4.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-freshkey\nVersion: 3.4\n")
    (info / "entry_points.txt").write_text("[freshkey.providers]\nacme = fixture_acme\n")
    (home / "site" / "fixture_acme.py").write_text(PROVIDER)
    (home / "project" / ".freshkey.toml").write_text(FILE)
    (home / "project" / ".freshkey.toml").chmod(0o600)
    (home / "project" / "key.sh").write_text("#!/bin/sh\necho key-1\n")
    (home / "project" / "key.sh").chmod(0o700)
    monkeypatch.chdir(home / "project")
    return Machine(home=home, project=home / "project")


def test_without_a_terminal_nothing_is_trusted(machine: Machine) -> None:  # TRU-3
    done = machine.run("trust")
    assert (done.code, done.out) == (6, "")
    assert "nothing was trusted: there is no terminal to ask at" in done.err
    assert f"{machine.project}/key.sh --for 'all of us'" in done.err

    done = machine.run("token", "--json")
    assert (done.code, done.error["kind"], done.error["profile"]) == (6, "TrustNeeded", "ci")
    assert done.error["hint"] == f"Look at it, then run: freshkey trust {machine.project}"
    assert machine.run("trust", "--list").err == "Nothing is trusted yet\n"


def test_a_line_break_cannot_make_a_word_look_like_another_command(machine: Machine) -> None:
    file = machine.project / ".freshkey.toml"
    file.write_text(FILE.replace("all of us", r"all\n  ci, helper: /usr/bin/true"))
    for command in (["trust"], ["token"]):
        _, screen = machine.answer("n", *command)
        assert not [line for line in screen.splitlines() if line.lstrip().startswith("ci, helper: /usr/bin/true")]
        assert "all\N{REPLACEMENT CHARACTER}  ci, helper: /usr/bin/true" in screen


def test_trusted_once_it_runs_until_it_changes(machine: Machine) -> None:
    code, screen = machine.answer("y", "trust")
    assert code == 0
    assert f"ci, helper: {machine.project}/key.sh --for 'all of us' (files: {machine.project}/key.sh)" in screen
    assert "Trusted: helper of ci" in screen
    assert machine.run("token").out == "key-1\n"

    again = machine.run("trust", str(machine.project), "--json")  # nothing to ask
    assert again.json["commands"] == [
        {
            "file": str(machine.project / ".freshkey.toml"),
            "profile": "ci",
            "setting": "helper",
            "argv": [str(machine.project / "key.sh"), "--for", "all of us"],
            "files": [str(machine.project / "key.sh")],
        }
    ]

    (machine.project / "key.sh").write_text("#!/bin/sh\ntouch ran; echo key-2\n")
    done = machine.run("token")
    assert (done.code, done.out) == (6, "")
    assert "key.sh is not what it was when you trusted it" in done.err
    assert not (machine.project / "ran").exists()
    assert "not what it was" in machine.run("trust", "--list").out


@pytest.mark.parametrize("answer", ["n", "", "maybe"])
def test_anything_but_a_yes_trusts_nothing(machine: Machine, answer: str) -> None:
    code, screen = machine.answer(answer, "trust")
    assert code == 6
    assert "nothing was trusted" in screen
    assert TrustedCommands(machine.state).all() == ()


def test_any_command_asks_at_a_terminal(machine: Machine) -> None:
    code, screen = machine.answer("n", "token")
    assert code == 6
    assert "wants to run a command as you for profile 'ci'" in screen
    assert "key-1" not in screen
    code, screen = machine.answer("yes", "token")
    assert (code, screen.endswith("key-1\n")) == (0, True)
    assert machine.run("token").out == "key-1\n"


@pytest.mark.parametrize("name", ["ci", ".", "{0}", "{0}/.freshkey.toml"])
def test_trust_can_be_taken_back(machine: Machine, name: str) -> None:
    machine.answer("y", "trust")
    listed = machine.run("trust", "--list")
    assert str(machine.project) in listed.out
    assert machine.run("trust", "--list", "--json").json["commands"][0]["changed"] is None

    done = machine.run("trust", "--revoke", name.format(machine.project))
    assert done.out == f"No longer trusted: ci of {machine.project}/.freshkey.toml\n"
    assert machine.run("token").code == 6
    done = machine.run("trust", "--revoke", name.format(machine.project))
    assert done.code == 6
    assert "Run: freshkey trust --list" in done.err


def test_what_was_said_about_found_keys_is_listed_and_can_be_taken_back(machine: Machine) -> None:
    answer = Answer(profile="me", source="api-key", fingerprint="f00d", agreed=False)
    SourceAnswers(machine.state).remember(answer)
    listed = machine.run("trust", "--list")
    assert "me/api-key" in listed.out
    assert "not used instead of the sign-in" in listed.out
    assert machine.run("trust", "--list", "--json").json["answers"] == [
        {"profile": "me", "source": "api-key", "agreed": False}
    ]
    assert "f00d" not in listed.out + listed.err
    assert machine.run("trust", "--revoke", "me/api-key", "--json").json == {"revoked": ["me/api-key"]}
    assert SourceAnswers(machine.state).all() == ()


def test_where_there_is_nothing_to_trust(machine: Machine, tmp_path: Path) -> None:
    (machine.project / ".freshkey.toml").write_text('profile = "me"\n')
    done = machine.run("trust")
    assert done.code == 0
    assert "names no command" in done.out
    (machine.project / ".freshkey.toml").unlink()
    done = machine.run("trust")
    assert done.code == 6
    assert f"no .freshkey.toml in {machine.project}" in done.err
    assert "there is no directory nowhere" in machine.run("trust", "nowhere").err
    assert machine.run("trust", "--list", "--revoke", "x").code == 2


def test_explain_names_the_project(machine: Machine) -> None:
    machine.answer("y", "trust")
    selection = machine.run("explain", "--json").json["selection"]
    assert selection[2] == {
        "place": ".freshkey.toml",
        "found": "ci",
        "wins": True,
        "why": f"profile in {machine.project}/.freshkey.toml, line 1",
    }
    assert f"profile in {machine.project}/.freshkey.toml, line 1" in machine.run("explain").out


def test_what_a_file_says_is_shown_and_never_obeyed(machine: Machine) -> None:
    (machine.project / ".freshkey.toml").write_text(FILE.replace("all of us", r"\u001b]0;owned\u0007\u202e"))
    done = machine.run("trust")
    assert done.code == 6
    assert not {"\x1b", "\x07", "\u202e"} & set(done.err)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["trust"], "there is no .freshkey.toml in ."),
        (["trust", "x" * 5000], "there is no directory x"),
        (["trust", "--revoke", "x"], "nothing is trusted by the name 'x'"),
    ],
)
def test_a_directory_that_was_removed_or_cannot_be(machine: Machine, argv: list[str], says: str) -> None:
    in_a_removed_one = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    command = ["sh", "-c", in_a_removed_one, "sh", *machine.command(*argv)]
    done = subprocess.run(command, env=machine.environ, cwd=machine.home, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.startswith(f"freshkey: {says}")
