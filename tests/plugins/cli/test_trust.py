"""freshkey trust: review and confirm commands in a terminal, list them, and revoke trust."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve, frozen

from cli_doubles import Done, finished
from freshkey._text.shell_words import shell_joined, shell_quoted
from freshkey._trust.entries import TrustedCommands
from freshkey._trust.source_consent import Answer, SourceAnswers
from promises import proves
from typist import Typist


in_a_terminal = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
KEY = "key.cmd" if sys.platform == "win32" else "key.sh"

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

FILE = f"""profile = "ci"
[profiles.ci]
provider = "acme"
helper = ["./{KEY}", "--for", "all of us"]
"""


@frozen(kw_only=True)
class Machine:
    """A machine with a provider that runs a configured command, and a project that configures one."""

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

    @property
    def key(self) -> Path:
        """The program in the project that prints a key."""
        return self.project / KEY

    @property
    def asked(self) -> str:
        """The command of the project, as the user is shown it."""
        return shell_joined([str(self.key), "--for", "all of us"])

    def write_key(self, key: str, *, more: str = "") -> None:
        lines = [f"@{line}" if sys.platform == "win32" else line for line in (more, f"echo {key}") if line]
        self.key.write_text("\n".join([*([] if sys.platform == "win32" else ["#!/bin/sh"]), *lines, ""]))
        self.key.chmod(0o700)

    def trust(self) -> None:
        assert self.run("trust", "--yes", ".").code == 0

    def command(self, *argv: str) -> list[str]:
        # With -P: -m alone would import modules from the working directory.
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
    monkeypatch.chdir(home / "project")
    machine = Machine(home=home, project=home / "project")
    machine.write_key("key-1")
    return machine


@proves("TRU-3")
def test_without_a_terminal_nothing_is_trusted(machine: Machine) -> None:
    done = machine.run("trust")
    assert (done.code, done.out, done.error_code) == (6, "", "trust-required")
    assert machine.asked in done.err

    done = machine.run("token", "--json")
    assert (done.code, done.error["kind"], done.error["profile"]) == (6, "TrustNeeded", "ci")
    assert f"freshkey trust {shell_quoted(str(machine.project))}" in done.error["hint"]
    assert machine.run("trust", "--list").err == "Nothing is trusted yet\n"


@in_a_terminal
def test_line_break_in_an_argument_cannot_look_like_another_command(machine: Machine) -> None:
    file = machine.project / ".freshkey.toml"
    file.write_text(FILE.replace("all of us", r"all\n  ci, helper: /usr/bin/true"))
    for command in (["trust"], ["token"]):
        _, screen = machine.answer("n", *command)
        assert not [line for line in screen.splitlines() if line.lstrip().startswith("ci, helper: /usr/bin/true")]
        assert r"all\u{a}  ci, helper: /usr/bin/true" in screen


@in_a_terminal
def test_question_shows_the_command_and_its_files(machine: Machine) -> None:
    code, screen = machine.answer("y", "trust")
    assert code == 0
    assert f"ci, helper: {machine.asked} (files: {machine.key})" in screen
    assert "Trusted: helper in profile ci" in screen
    assert "Anything that programs load or run is not checked." in screen
    assert machine.run("token").out == "key-1\n"


def test_trusted_command_runs_until_it_changes(machine: Machine) -> None:
    machine.trust()
    assert machine.run("token").out == "key-1\n"

    again = machine.run("trust", str(machine.project), "--json")  # nothing to ask
    assert again.json["commands"] == [
        {
            "file": str(machine.project / ".freshkey.toml"),
            "profile": "ci",
            "setting": "helper",
            "argv": [str(machine.key), "--for", "all of us"],
            "files": [str(machine.key)],
        }
    ]

    machine.write_key("key-2", more="echo x > ran")
    done = machine.run("token")
    assert (done.code, done.out) == (6, "")
    assert str(machine.key) in done.err
    assert not (machine.project / "ran").exists()
    listed = machine.run("trust", "--list", "--json").json["commands"]
    assert KEY in listed[0]["changed"]
    assert listed[0]["changed"] in machine.run("trust", "--list").out


@in_a_terminal
@pytest.mark.parametrize("answer", ["n", "", "maybe"])
def test_any_answer_but_yes_trusts_nothing(machine: Machine, answer: str) -> None:
    code, screen = machine.answer(answer, "trust")
    assert code == 6
    assert "trust-declined" in screen
    assert TrustedCommands(machine.state).all() == ()


@in_a_terminal
def test_every_command_asks_in_a_terminal(machine: Machine) -> None:
    code, screen = machine.answer("n", "token")
    assert code == 6
    assert "ci" in screen
    assert str(machine.key) in screen
    assert "key-1" not in screen
    code, screen = machine.answer("yes", "token")
    assert (code, screen.endswith("key-1\n")) == (0, True)
    assert machine.run("token").out == "key-1\n"


@pytest.mark.parametrize("name", ["ci", ".", "{0}", str(Path("{0}", ".freshkey.toml"))])
def test_trust_can_be_revoked(machine: Machine, name: str) -> None:
    machine.trust()
    listed = machine.run("trust", "--list")
    assert str(machine.project) in listed.out
    assert machine.run("trust", "--list", "--json").json["commands"][0]["changed"] is None

    done = machine.run("trust", "--revoke", name.format(machine.project))
    assert done.out == f"No longer trusted: profile ci in {machine.project / '.freshkey.toml'}\n"
    assert machine.run("token").code == 6
    done = machine.run("trust", "--revoke", name.format(machine.project))
    assert (done.code, done.error_code) == (6, "nothing-to-revoke")
    assert "Run: freshkey trust --list" in done.err


def test_answers_about_found_keys_are_listed_and_can_be_revoked(machine: Machine) -> None:
    answer = Answer(profile="me", source="api-key", fingerprint="f00d", agreed=False)
    SourceAnswers(machine.state).remember(answer)
    listed = machine.run("trust", "--list")
    assert "me/api-key" in listed.out
    assert "not used; the sign-in is used instead" in listed.out
    assert machine.run("trust", "--list", "--json").json["answers"] == [
        {"profile": "me", "source": "api-key", "agreed": False}
    ]
    assert "f00d" not in listed.out + listed.err
    assert machine.run("trust", "--revoke", "me/api-key", "--json").json == {"revoked": ["me/api-key"]}
    assert SourceAnswers(machine.state).all() == ()


def test_nothing_to_trust(machine: Machine, tmp_path: Path) -> None:
    (machine.project / ".freshkey.toml").write_text('[profiles.ci]\nprovider = "acme"\n')
    done = machine.run("trust")
    assert done.code == 0
    assert str(machine.project / ".freshkey.toml") in done.out
    (machine.project / ".freshkey.toml").unlink()
    done = machine.run("trust")
    assert (done.code, done.error_code) == (6, "nothing-to-trust")
    assert str(machine.project) in done.err
    done = machine.run("trust", "nowhere")
    assert (done.code, done.error_code) == (6, "directory-not-found")
    assert "nowhere" in done.err
    assert machine.run("trust", "--list", "--revoke", "x").code == 2


def test_explain_names_the_project(machine: Machine) -> None:
    machine.trust()
    selection = machine.run("explain", "--json").json["selection"]
    assert selection[2] == {
        "place": ".freshkey.toml",
        "found": "ci",
        "wins": True,
        "why": f"profile in {machine.project / '.freshkey.toml'}, line 1",
    }
    assert f"profile in {machine.project / '.freshkey.toml'}, line 1" in machine.run("explain").out


def test_control_characters_in_a_project_file_are_not_printed(machine: Machine) -> None:
    (machine.project / ".freshkey.toml").write_text(FILE.replace("all of us", r"\u001b]0;owned\u0007\u202e"))
    done = machine.run("trust")
    assert done.code == 6
    assert not {"\x1b", "\x07", "\u202e"} & set(done.err)


@pytest.mark.skipif(sys.platform == "win32", reason="there, the directory of a process cannot be removed")
@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["trust"], "nothing-to-trust"),
        (["trust", "x" * 5000], "directory-not-found"),
        (["trust", "--revoke", "x"], "nothing-to-revoke"),
    ],
)
def test_trust_in_a_removed_directory_is_an_error(machine: Machine, argv: list[str], code: str) -> None:
    in_a_removed_one = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    command = ["sh", "-c", in_a_removed_one, "sh", *machine.command(*argv)]
    done = subprocess.run(command, env=machine.environ, cwd=machine.home, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (6, "")
    assert f" [{code}]" in done.stderr


def text_digest(file: Path) -> str:
    """Return the SHA-256 of a file with line ends as on Linux."""
    return hashlib.sha256(file.read_text("utf-8").encode()).hexdigest()


@proves("TRU-10")
def test_yes_trusts_exactly_this_file_without_a_question(machine: Machine) -> None:
    file = machine.project / ".freshkey.toml"
    (machine.project / "below").mkdir()
    (machine.project / ".git").mkdir()
    for path, code in ((".", 0), (str(file), 0), ("below", 6), ("below/.freshkey.toml", 6), ("missing", 6)):
        done = machine.run("trust", "--yes", path, "--json")
        assert (path, done.code) == (path, code), done.err
        if code:
            assert done.error["code"] in {"nothing-to-trust", "directory-not-found"}
        else:
            digest = text_digest(file)
            assert (done.json["file"], done.json["digest"]) == (str(file), digest)
    assert machine.run("token").out == "key-1\n"
    assert digest in machine.run("trust").out
    file.write_text(FILE + "# more")
    assert machine.run("token").error_code == "trusted-command-changed"
    assert machine.run("trust", "--yes").code == 2
    assert machine.run("trust", "--yes", "--list").code == 2


@proves("TRU-10")
def test_file_with_another_digest_is_not_trusted(machine: Machine) -> None:
    file = machine.project / ".freshkey.toml"
    digest = text_digest(file)
    file.write_text(FILE + "# more")
    done = machine.run("trust", "--yes", ".", "--digest", digest)
    assert (done.code, done.error_code) == (6, "trust-digest-mismatch")
    assert text_digest(file) in done.err
    assert TrustedCommands(machine.state).all() == ()
    assert machine.run("trust", "--yes", ".", "--digest", "f00d").code == 2
    file.write_text(FILE)
    assert machine.run("trust", "--yes", ".", "--digest", digest.upper()).code == 0
    assert machine.run("token").out == "key-1\n"


def test_choices_are_listed_and_revoked(machine: Machine) -> None:
    (machine.project / ".freshkey.toml").write_text('profile = "acme"\n')
    if sys.platform == "win32":  # where pseudo-terminals are missing
        machine.trust()
    else:
        code, screen = machine.answer("y", "trust")
        assert (code, "acme, selected: when you name no profile" in screen) == (0, True)
    (listed,) = machine.run("trust", "--list", "--json").json["choices"]
    assert (listed["setting"], listed["value"], listed["changed"]) == ("profile", "acme", None)
    assert "selected: when you name no profile" in machine.run("trust", "--list").out
    assert machine.run("trust", "--revoke", str(machine.project)).code == 0
    assert machine.run("trust", "--list", "--json").json["choices"] == []


FLOODS = {
    "blank": "\u2800" * 3200,
    "long": "x" * 5000,
    "wide": "界" * 1000,
}


@proves("TRU-12")
@in_a_terminal
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_what_does_not_fit_a_screen_is_not_asked(machine: Machine, flood: str) -> None:
    (machine.project / ".freshkey.toml").write_text(FILE.replace("all of us", f"harm{flood}less"))
    for command in (["trust"], ["token"]):
        with Typist(machine.command(*command), machine.environ) as typist:
            typist.read_until("trust-question-too-long")
            assert typist.end() == 6
            assert "[y/N]" not in typist.screen
    assert TrustedCommands(machine.state).all() == ()
    assert machine.run("trust", "--yes", ".").code == 0  # as the error says


@proves("TRU-12")
@in_a_terminal
def test_question_shows_what_is_not_visible_and_ends_with_the_program(machine: Machine) -> None:
    (machine.project / ".freshkey.toml").write_text(FILE.replace("all of us", r"a\u2800b\u202ec\u3164\ufe0f"))
    for command in (["trust"], ["token"]):
        _, screen = machine.answer("n", *command)
        assert r"a\u{2800}b\u{202e}c\u{3164}\u{fe0f}" in screen
        assert f"run {KEY}? [y/N]" in screen


HOSTILE = "p\x1b]0;owned\x07\x1b[2J\r\n\u202e\u2028x"


@proves("TRU-12")
@pytest.mark.skipif(sys.platform == "win32", reason="names of files have no control characters there")
def test_escapes_in_the_name_of_a_directory_are_never_printed(machine: Machine) -> None:
    hostile = machine.home / HOSTILE
    machine.project.rename(hostile)
    here = evolve(machine, project=hostile)
    for argv in (
        ["trust"],
        ["trust", str(hostile)],
        ["token"],
        ["login"],
        ["explain"],
        ["trust", "--yes", str(hostile), "--digest", "0" * 64],
        ["trust", "--yes", str(hostile)],
        ["trust", "--list"],
        ["trust", "--list", "--json"],
        ["trust", str(hostile), "--json"],
        ["token"],
        ["trust", "--revoke", str(hostile)],
        ["trust", "--revoke", str(hostile)],
        ["trust", str(hostile / "missing")],
        ["trust", "--yes", str(hostile), "--json"],
        ["trust", "--revoke", str(hostile), "--json"],
    ):
        done = here.run(*argv)
        printed = done.out + done.err
        assert not {"\x1b", "\x07", "\r", "\u202e", "\u2028"} & set(printed), argv
        assert not [line for line in printed.splitlines() if line.startswith("x")], argv
