"""Runs a contract kit on code from a test, and returns which checks failed."""

from __future__ import annotations

import pytest


OPTIONS = ("-p", "no:cacheprovider", "-p", "no:xdist", "-q", "-W", "error", "-p", "freshkey_testing.pytest_plugin")


def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, source: str, *options: str) -> pytest.RunResult:
    """Write `source` as a test file and run it in this process, with no installed pytest plugin but ours."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(source)
    return pytester.runpytest_inprocess(*OPTIONS, *options)


def failures(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, source: str, *options: str) -> set[str]:
    """Run `source` as `run` does, and return what `failed` returns."""
    return failed(run(pytester, monkeypatch, source, *options))


def failed(result: pytest.RunResult) -> set[str]:
    """Return the names of the checks that failed, without their parameters."""
    reports = result.reprec.getreports("pytest_runtest_logreport")  # type: ignore[attr-defined]  # set in-process
    assert reports, "no check ran"
    return {report.nodeid.rpartition("::")[2].partition("[")[0] for report in reports if report.failed}
