"""A small measurement: each kind of trouble prevents a renewal; the table compares with the control run."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.endurance import latency
from benchmarks.endurance.latency import CONTROL, PROFILE, TROUBLES, Row, Spread, Stage, measure, report
from freshkey import Credential, Keeper
from freshkey._stores.keychain import store as keychain_store
from freshkey._stores.keychain.worker import SerialWorker


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="halts a process, and limits the size of files")

CALLS = 50
SPREAD = Spread(median=1e-6, p99=2e-6, longest=3e-6)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_calls_are_timed_while_the_trouble_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str) -> None:
    monkeypatch.setattr(keychain_store, "WORKER", SerialWorker("freshkey-keychain"))
    opened = dict(keychain_store._opened)
    row = measure(trouble, CALLS, tmp_path / "state", lifetime=4.0)
    assert row.trouble == trouble
    for spread in (row.fresh, row.due):
        assert 0 < spread.median <= spread.p99 <= spread.longest
    assert keychain_store._opened == opened


def test_measurement_fails_if_the_credential_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def nothing(stage: Stage) -> Iterator[None]:
        yield

    returned: list[Credential] = []

    def until_renewed(keeper: Keeper, calls: int, seconds: float) -> Spread:
        returned.append(keeper.get(PROFILE))
        while len(returned) > 1 and returned[-1] == returned[0]:
            time.sleep(0.01)
            returned.append(keeper.get(PROFILE))
        return SPREAD

    monkeypatch.setitem(TROUBLES, "nothing", nothing)
    monkeypatch.setattr(latency, "_time", until_renewed)
    with pytest.raises(RuntimeError, match="nothing"):
        measure("nothing", CALLS, tmp_path / "state", lifetime=4.0)


def test_spread_sorts_its_samples() -> None:
    samples = [float(number) for number in reversed(range(200))]
    assert Spread.of(samples) == Spread(median=100.0, p99=198.0, longest=199.0)
    assert Spread.of([0.5]) == Spread(0.5, 0.5, 0.5)


def test_table_has_microseconds_and_multiples_of_the_control_run() -> None:
    slower = Spread(median=2e-6, p99=5e-6, longest=6e-6)
    lines = report([Row(CONTROL, SPREAD, slower), Row("a trouble", slower, SPREAD)]).splitlines()
    table = [[" ".join(cell.split()) for cell in line.split("|")] for line in lines[2:]]
    assert table == [
        [CONTROL, "1.00 2.00 3.0 1.00", "2.00 5.00 6.0 1.00"],
        ["a trouble", "2.00 5.00 6.0 2.50", "1.00 2.00 3.0 0.40"],
    ]


def test_command_measures_every_trouble(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[tuple[str, int]] = []

    def measured(trouble: str, calls: int, folder: Path) -> Row:
        asked.append((trouble, calls))
        return Row(trouble, SPREAD, SPREAD)

    monkeypatch.setattr(latency, "measure", measured)
    assert latency.main(["--calls", "7"]) == 0
    assert asked == [(trouble, 7) for trouble in TROUBLES]
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(TROUBLES)


def test_without_the_provider_it_names_the_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(latency, "find", lambda: ())
    assert latency.main([]) == 6
    assert "freshkey-claude-oauth" in capsys.readouterr().err
