"""Runs the tests in pieces, each in a process and a prefix of its own, and adds up what came of them.

A Wine server can crash, and a test that hangs ends its process: either costs the results of one piece, whose files are
then run one by one.
"""

from __future__ import annotations

import queue
import threading
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from attrs import define, field, frozen

from scripts.windows_rig.interpreter import RigError, windows_path
from scripts.windows_rig.wine import Wine


_FILES: Final = 6
"""How many files a piece has at most; starting one takes some seconds."""

_SHARES: Final = 3
"""How many pieces each worker gets at least, lest one of them work alone at the end."""

_SECONDS: Final = 1500.0
_OPTIONS: Final = (
    "-q",
    "-p",
    "no:cacheprovider",
    "--timeout",
    "300",
    "--tb",
    "short",
    "--continue-on-collection-errors",
)
_ALONE: Final = ("-n", "1", "--max-worker-restart", "20")
"""For a file by itself: a test that hangs ends only the worker."""


@frozen
class Result:
    """What became of one test.

    Attributes:
        name: Its file, class and name.
        outcome: ``passed``, ``failed`` or ``skipped``.
        reason: Why it was skipped, or the first line of the failure.
        report: The failure as pytest shows it.
    """

    name: str
    outcome: str
    reason: str = ""
    report: str = ""


@define
class Tally:
    """The results of all pieces so far."""

    results: list[Result] = field(factory=list)
    _lock: threading.Lock = field(factory=threading.Lock)

    def add(self, results: Sequence[Result], title: str, seconds: float) -> None:
        """Add what came of a piece, and print it."""
        counts = Counter(result.outcome for result in results)
        told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))
        with self._lock:
            self.results += results
            print(f"{title}: {told} ({seconds:.0f} s)", flush=True)
            for result in results:
                if result.outcome == "failed":
                    print(f"FAILED {result.name}: {result.reason}\n{result.report}", flush=True)

    def summary(self) -> Iterator[str]:
        """Yield the reasons of the skipped tests, the failures, and a last line with all counts."""
        reasons = Counter(result.reason for result in self.results if result.outcome == "skipped")
        for reason, number in reasons.most_common():
            yield f"SKIPPED [{number}] {reason}"
        yield from (f"FAILED {result.name}: {result.reason}" for result in self.results if result.outcome == "failed")
        counts = Counter(result.outcome for result in self.results)
        yield f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped"

    @property
    def is_good(self) -> bool:
        """Whether something was run, and nothing failed."""
        return bool(self.results) and all(result.outcome != "failed" for result in self.results)


def test_files(root: Path, paths: Iterable[str]) -> list[str]:
    """Return the test files among paths, relative to the root of the checkout."""
    found = [
        file for path in paths for file in ([root / path] if path.endswith(".py") else (root / path).rglob("test_*.py"))
    ]
    return sorted({file.relative_to(root).as_posix() for file in found if "node_modules" not in file.parts})


def run(root: Path, rig: Path, paths: Iterable[str], workers: int) -> Tally:
    """Run the test files among paths, relative to `root`, in as many prefixes at once as there are workers."""
    files, tally = test_files(root, paths), Tally()
    pieces: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
    size = max(1, min(_FILES, len(files) // (workers * _SHARES)))
    for start in range(0, len(files), size):
        pieces.put(files[start : start + size])

    def work(number: int) -> None:
        wine = Wine(rig, number)
        while not pieces.empty():
            with suppress(queue.Empty):
                piece = pieces.get_nowait()
                try:
                    _run_piece(wine, rig, number, piece, tally)
                except RigError as error:
                    tally.add([Result(file, "failed", str(error)) for file in piece], piece[0], 0.0)

    threads = [threading.Thread(target=work, args=[number]) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tally


def _run_piece(wine: Wine, rig: Path, number: int, piece: Sequence[str], tally: Tally) -> None:
    """Run the files of a piece together, and one by one if that was cut off."""
    began = time.monotonic()
    results = _results(wine, rig, number, piece)
    if results is not None:
        more = f" and {len(piece) - 1} more" if len(piece) > 1 else ""
        tally.add(results, f"{piece[0]}{more}", time.monotonic() - began)
        return
    for file in piece:
        began = time.monotonic()
        results = _results(wine, rig, number, [file], _ALONE)
        lost = [Result(file, "failed", "its process ended before it, or it has no test")]
        tally.add(lost if results is None else results, file, time.monotonic() - began)


def _results(
    wine: Wine, rig: Path, number: int, files: Sequence[str], options: Sequence[str] = ()
) -> list[Result] | None:
    """Run files and return the results; None if the process ended early or ran no test. What it prints is kept."""
    report = rig / f"results-{number}.xml"
    report.unlink(missing_ok=True)
    words = ["-m", "pytest", *_OPTIONS, *options, f"--junitxml={windows_path(report)}", *files]
    with (rig / f"output-{number}.txt").open("ab") as output:
        wine.python(words, seconds=_SECONDS, output=output)
    return (list(parsed(report.read_text("utf-8"))) or None) if report.is_file() else None


def parsed(report: str) -> Iterator[Result]:
    """Yield the results in a report of pytest in the format of JUnit."""
    for case in ET.fromstring(report).iter("testcase"):  # noqa: S314  written by pytest
        name = f"{case.get('classname')}::{case.get('name')}"
        children = {child.tag: child for child in case}
        bad = children.get("failure", children.get("error"))
        skipped = children.get("skipped")
        if bad is not None:
            yield Result(name, "failed", (bad.get("message") or "").partition("\n")[0][:200], bad.text or "")
        elif skipped is not None:
            yield Result(name, "skipped", skipped.get("message") or "")
        else:
            yield Result(name, "passed")
