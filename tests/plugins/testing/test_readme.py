"""Every block of the README runs: the provider, its contract, and the other tests, without a skip."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kit_runs import OPTIONS, Loaded


pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[3]
README = (ROOT / "plugins" / "testing" / "README.md").read_text("utf-8")


def test_the_blocks_run_as_written(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    blocks = re.findall(r"<!-- test: kit -->\n```python\n# (\w+)\.py\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == README.count("```python")
    pytester.makepyfile(**dict(blocks))
    pytester.syspathinsert()

    loaded = Loaded()
    outcomes = pytester.runpytest_inprocess(*OPTIONS, plugins=[loaded]).parseoutcomes()
    loaded.keep()

    assert outcomes.keys() == {"passed"}, outcomes


def test_the_tables_name_every_fixture_and_name() -> None:
    import freshkey_testing
    from freshkey_testing import pytest_plugin

    fixtures = {name for name in dir(pytest_plugin) if name.startswith("freshkey_")}
    assert {name for name in fixtures | set(freshkey_testing._HOMES) if f"`{name}`" not in README} == set()


def test_the_reference_has_every_name() -> None:
    import freshkey_testing

    page = (ROOT / "docs" / "reference" / "testing.md").read_text("utf-8")
    assert {name for name in freshkey_testing._HOMES if f"::: freshkey_testing.{name}\n" not in page} == set()
