"""What a crash report that prints local variables would show of freshkey's own frames."""

from __future__ import annotations

import traceback
from pathlib import Path


_TESTS = Path(__file__).parents[1]


def crash_report(error: BaseException) -> str:
    """Return the report of an error, with the errors before it, but without the frames of tests."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    one: traceback.TracebackException | None = report
    while one is not None:
        kept = [frame for frame in one.stack if _TESTS not in Path(frame.filename).parents]
        one.stack = traceback.StackSummary.from_list(kept)
        one = one.__cause__ or one.__context__
    return "".join(report.format())
