"""freshkey trust FILE: a file that an environment variable names inside a project (TRU-13)."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from attrs import frozen

from cli_doubles import Done, finished
from typist import Typist


FILE = os.path.join("..", "the aws config")  # noqa: PTH118  as it is typed


@frozen(kw_only=True)
class Checkout:
    """A project whose own AWS configuration a variable names."""

    root: Path
    mine: Path

    @property
    def file(self) -> Path:
        return self.root / "the aws config"

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG", "SYSTEMROOT") if name in os.environ}
        places = {f"FRESHKEY_{name}_DIR": str(self.mine / name.lower()) for name in ("CONFIG", "STATE")}
        aws = {"AWS_CONFIG_FILE": FILE, "AWS_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true"}
        return {**kept, **places, **aws, "HOME": str(self.mine), "USERPROFILE": str(self.mine), "TERM": "xterm"}

    def command(self, *argv: str) -> list[str]:
        return [sys.executable, "-P", "-m", "freshkey", *argv]

    def run(self, *argv: str, **variables: str) -> Done:
        return finished(self.command(*argv), {**self.environ, **variables}, directory=self.root / "src")

    def keys(self) -> Done:
        return self.run("export", "bedrock", "--format", "credential-process", "--json")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    root, mine = tmp_path.resolve() / "checkout", tmp_path / "mine"
    for directory in (root / ".git", root / "src", mine / "config"):
        directory.mkdir(parents=True, mode=0o700)
    made = Checkout(root=root, mine=mine)
    made.file.write_text("[default]\naws_access_key_id = AKIAPROJECT\naws_secret_access_key = project\n")
    monkeypatch.chdir(root / "src")
    return made


def digest_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def hinted(done: Done) -> list[str]:
    """Return the arguments of the command that a hint names."""
    command = done.error["hint"].partition("run: ")[2]
    if sys.platform == "win32":
        words = [word.strip('"') for word in re.findall(r'"[^"]*"|[^ ]+', command)]
    else:
        words = shlex.split(command)
    assert words[:2] == ["freshkey", "trust"]
    return words[1:]


def test_each_hint_leads_to_the_next_step_until_the_file_is_used_and_an_edit_is_refused(checkout: Checkout) -> None:
    """TRU-13: what a hint names works as it is written."""
    refused = checkout.keys()
    assert (refused.code, refused.error["code"]) == (6, "project-file-not-trusted")
    no_terminal = checkout.run(*hinted(refused), "--json")
    assert (no_terminal.code, no_terminal.error["code"]) == (6, "trust-required")
    trusted = checkout.run(*hinted(no_terminal), "--json")
    assert (trusted.code, trusted.json["file"]) == (0, str(checkout.file))
    assert (trusted.json["digest"], trusted.json["named_by"]) == (digest_of(checkout.file), ["AWS_CONFIG_FILE"])
    assert "AKIAPROJECT" in checkout.keys().out
    checkout.file.write_text(checkout.file.read_text() + "\n")
    changed = checkout.keys()
    assert (changed.code, changed.error["code"]) == (6, "project-file-changed")
    assert hinted(changed) == hinted(refused)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_terminal_shows_what_names_the_file_and_what_it_decides(checkout: Checkout) -> None:
    """TRU-13: the answer decides, and a directory of settings that is named counts as well."""
    for answer, code in (("n", 6), ("y", 0)):
        with Typist(checkout.command("trust", FILE), checkout.environ) as typist:
            typist.read_until("[y/N]")
            typist.type(f"{answer}\n")
            assert typist.end() == code
            screen = typist.screen.replace("\r\n", "\n")
        assert f"{checkout.file} is named by AWS_CONFIG_FILE." in screen
        assert "whose credential is used, where secrets are sent, and what programs run" in screen
        assert "Anything that programs load or run is not checked." in screen
        assert (checkout.keys().code == 0) is (answer == "y")
    assert checkout.run("trust", FILE).code == 0  # nothing to ask


def test_trusted_file_is_listed_and_revoked(checkout: Checkout) -> None:
    assert checkout.run("trust", "--yes", str(checkout.file)).code == 0
    listed = {"file": str(checkout.file), "digest": digest_of(checkout.file), "changed": None}
    assert checkout.run("trust", "--list", "--json").json["files"] == [listed]
    checkout.file.write_text("[default]\n")
    changed = f"{checkout.file} changed after you trusted it"
    assert checkout.run("trust", "--list", "--json").json["files"] == [{**listed, "changed": changed}]
    assert changed in checkout.run("trust", "--list").out
    assert checkout.run("trust", "--revoke", FILE, "--json").json["revoked"] == [f"file {checkout.file}"]
    assert checkout.run("trust", "--list", "--json").json["files"] == []
    assert checkout.run("trust", "--revoke", FILE).error_code == "nothing-to-revoke"


def test_only_the_file_with_the_digest_is_trusted(checkout: Checkout) -> None:
    file = str(checkout.file)
    done = checkout.run("trust", "--yes", "--digest", "0" * 64, file)
    assert (done.code, done.error_code) == (6, "trust-digest-mismatch")
    assert checkout.run("trust", "--list", "--json").json["files"] == []
    assert checkout.run("trust", "--yes", "--digest", digest_of(checkout.file), file).code == 0
    assert checkout.keys().code == 0


def test_what_cannot_be_trusted_is_refused(checkout: Checkout) -> None:
    if sys.platform != "win32":
        os.mkfifo(checkout.root / "pipe")
        assert checkout.run("trust", "--yes", "../pipe").error_code == "cannot-trust-file"
    assert checkout.run("trust", "--yes", "../missing").error_code == "directory-not-found"
    state = str(checkout.root / "state")
    done = checkout.run("trust", "--yes", FILE, FRESHKEY_STATE_DIR=state)
    assert (done.code, done.error_code) == (6, "state-directory-in-project")


def test_secret_in_the_place_of_a_path_is_not_shown(checkout: Checkout) -> None:
    secret = "sk-ant-oat01-abcdefGHIJKL0123456789"
    for command in (["trust", secret], ["trust", "--revoke", secret]):
        done = checkout.run(*command)
        assert done.code == 6
        assert secret not in done.out + done.err
