"""Runs a contract kit on code from a test, and returns which checks failed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from source_tree import ROOT


_LASTING: Final = (Path(sys.prefix), Path(sys.base_prefix), ROOT / "core", ROOT / "plugins")

OPTIONS = ("-p", "no:cacheprovider", "-p", "no:xdist", "-q", "-W", "error", "-p", "freshkey_testing.pytest_plugin")


def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, source: str, *options: str) -> pytest.RunResult:
    """Write `source` as a test file and run it in this process, with no installed pytest plugin but ours."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(source)
    loaded = Loaded()
    result = pytester.runpytest_inprocess(*OPTIONS, *options, plugins=[loaded])
    loaded.keep()
    return result


class Loaded:
    """Keeps what a run imported: pytester forgets it, and a second copy of httpcore is not the one that httpx knows."""

    def __init__(self) -> None:
        self._modules: dict[str, ModuleType] = {}

    def pytest_unconfigure(self) -> None:
        """Note what is loaded, before pytester forgets it."""
        self._modules = dict(sys.modules)

    def keep(self) -> None:
        """Put back all but what the test wrote."""
        for name, module in self._modules.items():
            path = getattr(module, "__file__", None)
            if path is not None and any(Path(path).is_relative_to(place) for place in _LASTING):
                sys.modules.setdefault(name, module)


def failures(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, source: str, *options: str) -> set[str]:
    """Run `source` as `run` does, and return what `failed` returns."""
    return failed(run(pytester, monkeypatch, source, *options))


def failed(result: pytest.RunResult) -> set[str]:
    """Return the names of the checks that failed, without their parameters."""
    reports = result.reprec.getreports("pytest_runtest_logreport")  # type: ignore[attr-defined]  # set in-process
    assert reports, "no check ran"
    return {report.nodeid.rpartition("::")[2].partition("[")[0] for report in reports if report.failed}
