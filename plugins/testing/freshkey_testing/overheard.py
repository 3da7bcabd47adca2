"""Everything that code says while a test listens: standard output and error, log records of every level, warnings."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from attrs import field, frozen


@frozen
class Overheard:
    """What was said, as pairs of where and what."""

    said: list[tuple[str, str]] = field(factory=list)

    @contextmanager
    def records(self) -> Iterator[None]:
        """Record log records of every level and warnings within the block."""
        root, handler = logging.getLogger(), _Recorder(self.said)
        level, shown = root.level, warnings.showwarning
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        warnings.showwarning = _told(self.said, shown)
        try:
            yield
        finally:
            warnings.showwarning = shown
            root.setLevel(level)
            root.removeHandler(handler)

    @contextmanager
    def output(self) -> Iterator[None]:
        """Record what is printed within the block, in place of showing it."""
        out, err = io.StringIO(), io.StringIO()
        try:
            with redirect_stdout(out), redirect_stderr(err):
                yield
        finally:
            self.said.extend((("standard output", out.getvalue()), ("standard error", err.getvalue())))


class _Recorder(logging.Handler):
    """Keeps what every log record says, with the traceback of its exception."""

    def __init__(self, said: list[tuple[str, str]]) -> None:
        super().__init__(logging.DEBUG)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{logging.Formatter().format(record)} {record.__dict__!r}"
        self._said.append((f"a log record of {record.name!r}", text))


def _told(said: list[tuple[str, str]], show: Callable[..., None]) -> Callable[..., None]:
    def showwarning(message: Warning | str, category: type[Warning], *more: object, **named: object) -> None:
        said.append((f"a {category.__name__}", str(message)))
        show(message, category, *more, **named)

    return showwarning
