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
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Final

from attrs import define, field, frozen

from scripts.windows_rig.interpreter import windows_path
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

_ALL_RAN: Final = (0, 1, 5)
"""Exit codes of pytest: the tests ran to their end, and passed or failed; or whole files were skipped."""


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
    """The results of all pieces so far.

    Attributes:
        left: The files for which there are no results yet.
        results: The results of the others.
    """

    left: set[str]
    results: list[Result] = field(factory=list)
    _lock: threading.Lock = field(factory=threading.Lock)

    def add(self, results: Sequence[Result], files: Sequence[str], seconds: float) -> None:
        """Add what came of a piece, and print it."""
        title = f"{files[0]} and {len(files) - 1} more" if len(files) > 1 else files[0]
        counts = Counter(result.outcome for result in results)
        told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))
        with self._lock:
            self.results += results
            self.left.difference_update(files)
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
        """Whether something was run, everything was, and nothing failed."""
        return bool(self.results) and not self.left and all(result.outcome != "failed" for result in self.results)


def test_files(root: Path, paths: Iterable[str]) -> list[str]:
    """Return the test files among paths, relative to the root of the checkout."""
    found = [
        file for path in paths for file in ([root / path] if path.endswith(".py") else (root / path).rglob("test_*.py"))
    ]
    return sorted({file.relative_to(root).as_posix() for file in found if "node_modules" not in file.parts})


def run(root: Path, rig: Path, paths: Iterable[str], workers: int) -> Tally:
    """Run the test files among paths, relative to `root`, in as many prefixes at once as there are workers."""
    files = test_files(root, paths)
    tally, pieces = Tally(set(files)), queue.SimpleQueue[list[str]]()
    size = max(1, min(_FILES, len(files) // (workers * _SHARES)))
    for start in range(0, len(files), size):
        pieces.put(files[start : start + size])
    benches = [_Bench(Wine(rig, number), rig / f"results-{number}.xml", tally) for number in range(workers)]
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(bench.work, pieces) for bench in benches]
        try:
            for future in futures:
                future.result()
        except BaseException:  # Ctrl-C, or a bug in here: nothing goes on behind it
            _stop(benches, futures)
            raise
    return tally


def _stop(benches: Sequence[_Bench], futures: Sequence[Future[None]]) -> None:
    for bench in benches:
        bench.closed.set()
    while wait(futures, timeout=1.0).not_done:
        for bench in benches:
            bench.wine.end()


@define
class _Bench:
    """One of the prefixes in which pieces run.

    Attributes:
        wine: The prefix.
        report: Where pytest writes its results; what it prints is kept beside it.
        tally: Where the results are added up.
        closed: Set when nothing more is to be started in it.
    """

    wine: Wine
    report: Path
    tally: Tally
    closed: threading.Event = field(factory=threading.Event)

    def work(self, pieces: queue.SimpleQueue[list[str]]) -> None:
        """Run one piece after the other until none is left."""
        while not self.closed.is_set():
            try:
                piece = pieces.get_nowait()
            except queue.Empty:
                return
            if not self._ran(piece):
                for file in piece:
                    if not self.closed.is_set() and not self._ran([file], _ALONE):
                        lost = Result(file, "failed", "its process ended before it did, or it has no tests")
                        self.tally.add([lost], [file], 0.0)

    def _ran(self, files: Sequence[str], options: Sequence[str] = ()) -> bool:
        """Run files and add up the results; return whether all of them ran to their end."""
        began = time.monotonic()
        self.report.unlink(missing_ok=True)
        words = ["-m", "pytest", *_OPTIONS, *options, f"--junitxml={windows_path(self.report)}", *files]
        with self.report.with_suffix(".txt").open("ab") as output:
            if self.wine.python(words, seconds=_SECONDS, output=output) not in _ALL_RAN:
                return False
        try:
            results = list(parsed(self.report.read_text("utf-8")))
        except (OSError, ET.ParseError):  # it crashed while it wrote them
            return False
        if not results:
            return False
        self.tally.add(results, files, time.monotonic() - began)
        return True


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
