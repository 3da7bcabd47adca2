"""A project may set commands, which run only after the user trusts them, and few other settings."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest

from freshkey._text.shell_words import shell_quoted
from freshkey_bedrock.settings import BedrockSettings
from typist import Typist


PRINT_KEYS = "print-keys.cmd" if sys.platform == "win32" else "print-keys"

KEYS = {"Version": 1, "AccessKeyId": "AKIAPROJECT", "SecretAccessKey": "canary-of-the-project"}
OPEN = {"region", "aws_profile", "short_term_key_seconds", "auth_refresh", "credential_export"}
ATTACK = {
    str: "https://attacker.example",
    float: 1.0,
    bool: True,
}


class Project:
    """A project with a script, and a user who works in it."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.directory = self.home / "project"
        for folder in (self.home, self.home / "config", self.directory, self.directory / ".git"):
            folder.mkdir(mode=0o700)
        self.script(f"echo {json.dumps(KEYS)}" if sys.platform == "win32" else f"echo '{json.dumps(KEYS)}'")

    @property
    def environ(self) -> Mapping[str, str]:
        places = {"FRESHKEY_CONFIG_DIR": str(self.home / "config"), "FRESHKEY_STATE_DIR": str(self.home / "state")}
        return {**os.environ, **places, "HOME": str(self.home)}

    @property
    def ran(self) -> list[str]:
        return sorted(path.name for path in self.directory.glob("RAN-*"))

    def script(self, text: str) -> None:
        path = self.directory / PRINT_KEYS
        path.write_text(f"{'@echo off' if sys.platform == 'win32' else '#!/bin/sh'}\necho ran > RAN-it\n{text}\n")
        path.chmod(stat.S_IRWXU)

    def says(self, *lines: str) -> None:
        file = self.directory / ".freshkey.toml"
        file.write_text("\n".join(['[profiles.team]\nprovider = "bedrock"\nregion = "eu-west-1"', *lines]) + "\n")
        file.chmod(0o600)

    def freshkey(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "freshkey", *arguments],
            cwd=self.directory,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def export(self) -> subprocess.CompletedProcess[str]:
        return self.freshkey("export", "team", "--format", "credential-process")

    def trust(self) -> None:
        if sys.platform == "win32":  # test_console.py types there
            done = self.freshkey("trust", "--yes", str(self.directory))
            assert done.returncode == 0, done.stderr
            return
        with Typist([sys.executable, "-m", "freshkey", "trust", str(self.directory)], self.environ) as typist:
            typist.read_until("[y/N]")
            typist.type("y\n")
            assert typist.end() == 0, typist.screen


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path.resolve())


@pytest.mark.parametrize("setting", ["credential_export", "auth_refresh"])
def test_untrusted_command_is_not_run(project: Project, setting: str) -> None:  # TRU-3
    project.says(f'{setting} = ["./{PRINT_KEYS}"]')
    ran = project.export()
    assert (ran.returncode, ran.stdout) == (6, "")
    assert "[trust-required]" in ran.stderr
    assert "freshkey trust" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert project.ran == []


def test_trusted_command_runs_until_it_changes(project: Project) -> None:  # TRU-3
    project.says(f'credential_export = ["./{PRINT_KEYS}"]')
    project.trust()
    assert json.loads(project.export().stdout) == KEYS
    assert project.ran == ["RAN-it"]
    project.script("echo changed > RAN-changed")
    changed = project.export()
    assert (changed.returncode, changed.stdout) == (6, "")
    assert "[trusted-command-changed]" in changed.stderr
    assert PRINT_KEYS in changed.stderr
    assert "RAN-changed" not in project.ran


def test_aws_profile_that_a_project_picks_is_not_used_without_trust(project: Project) -> None:  # TRU-10
    keys = "[prod-root]\naws_access_key_id = AKIAPRODROOT00000000\naws_secret_access_key = secret-of-prod-root\n"
    Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"]).write_text(keys)
    project.says('aws_profile = "prod-root"')
    for arguments in (
        ["export", "team"],
        ["exec", "team", "--", sys.executable, "-c", "open('RAN-it', 'w')"],
        ["whoami", "team"],
    ):
        ran = project.freshkey(*arguments)
        assert (ran.returncode, ran.stdout) == (6, "")
        assert "[trust-required]" in ran.stderr
        assert f"freshkey trust {shell_quoted(str(project.directory))}" in ran.stderr
    assert project.ran == []

    project.trust()
    ran = project.freshkey("export", "team")
    assert "AKIAPRODROOT00000000" in ran.stdout
    told = f"using profile team, defined in {project.directory / '.freshkey.toml'} (aws_profile = prod-root)"
    assert told in ran.stderr.splitlines()
    project.says('aws_profile = "prod-root"', "# another commit")
    assert "[trust-required]" in project.freshkey("export", "team").stderr


@pytest.mark.parametrize("field", [field for field in attrs.fields(BedrockSettings) if field.name not in OPEN])
def test_project_may_not_set_other_settings(project: Project, field: attrs.Attribute[object]) -> None:  # TRU-5
    value = next((json.dumps(value) for kind, value in ATTACK.items() if kind.__name__ in str(field.type)), '"device"')
    project.says(f"{field.name} = {value}")
    ran = project.freshkey("explain", "team")
    assert (ran.returncode, ran.stdout) == (6, "")
    assert field.name in ran.stderr
    assert ".freshkey.toml" in ran.stderr
