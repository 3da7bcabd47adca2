"""Runs the command line with a fake keeper whose results each test chooses."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

import pytest

import freshkey_cli
from cli_doubles import Done, FakeKeeper, Run
from freshkey._config.configuration import Configuration
from freshkey.model.interaction import Approve, Reporter
from freshkey_cli import streams


if sys.platform == "win32":

    @pytest.fixture(autouse=True)
    def consoles_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
        """Take a stream for a console if it says that it is a terminal: those of the tests have no handle."""
        monkeypatch.setattr(streams, "_is_console", lambda _: True)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a configuration file with one profile, which is the default."""
    file = tmp_path / "config.toml"
    file.touch(mode=0o600)
    file.write_text('default = "me"\n[profiles.me]\nprovider = "claude_oauth"\n')
    return file


@pytest.fixture
def keeper() -> FakeKeeper:
    return FakeKeeper()


@pytest.fixture
def run(config: Path, keeper: FakeKeeper, capfd: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command line with the fake keeper."""

    def make(
        *,
        configuration: Configuration,
        reporter: Reporter,
        approve: Approve | None,
        at_terminal: bool,
        timeout: float | None = None,
    ) -> AbstractContextManager[FakeKeeper]:
        keeper.configuration, keeper.reporter, keeper.approve = configuration, reporter, approve
        keeper.timeout, keeper.at_terminal = timeout, at_terminal
        return keeper

    def run(*argv: str, **environ: str) -> Done:
        places = {"FRESHKEY_CONFIG_DIR": str(config.parent), "FRESHKEY_STATE_DIR": str(config.parent / "state")}
        code = freshkey_cli.run(argv, keeper_factory=cast("Any", make), environ=places | environ)
        out, err = capfd.readouterr()
        return Done(code=code, out=out, err=err)

    return run
