"""The providers in docs/examples are short, and pass the contract as they are."""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from freshkey import Profile
from freshkey.errors import LoginRequired
from freshkey.plugin import NonInteractive, Reason
from freshkey_testing import ManualClock, ProviderContract, ScriptedUser
from source_tree import ROOT


FOLDER = ROOT / "docs" / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
MAX_LINES = 120


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_short_and_in_the_guide(path: Path) -> None:
    text = path.read_text("utf-8")
    compile(text, path.name, "exec")
    assert len(text.splitlines()) <= MAX_LINES
    guide = (ROOT / "docs" / "guides" / "examples.md").read_text("utf-8")
    assert f"<!-- include: docs/examples/{path.name} -->" in guide


@pytest.fixture
def agent_file(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    return example("agent_file", monkeypatch)


def example(name: str, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Import an example by its name, as the contract does in another process."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("PYTHONPATH", str(FOLDER))
    return importlib.import_module(name)


@pytest.fixture
def agent(agent_file: types.ModuleType, tmp_path: Path) -> Profile:
    path = tmp_path / "token"
    path.write_text("made-up-agent-token\n", "ascii")
    settings = agent_file.Settings(path=str(path))
    return Profile(name="agent", provider="agent", settings=settings, state_dir=tmp_path / "state", clock=ManualClock())


class TestAgentFile(ProviderContract):
    @pytest.fixture
    def provider(self, agent_file: types.ModuleType) -> object:
        return agent_file

    @pytest.fixture
    def profile(self, agent: Profile) -> Profile:
        return agent


def test_what_was_refused_is_not_handed_out_again(agent_file: types.ModuleType, agent: Profile, tmp_path: Path) -> None:
    refresh: Callable[..., object] = agent_file.refresh
    held = agent_file.acquire(agent, agent_file.FILE, NonInteractive("agent"))
    with pytest.raises(LoginRequired):
        refresh(agent, held, ScriptedUser(), Reason.REFUSED)
    (tmp_path / "token").write_text("made-up-newer-token", "ascii")
    assert refresh(agent, held, ScriptedUser(), Reason.REFUSED) != held
