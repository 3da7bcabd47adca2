"""A parser with its inputs, and what must hold whatever it is given."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Final

from attrs import frozen
from hypothesis.strategies import SearchStrategy

from freshkey.errors import FreshkeyError
from fuzzing.inputs import SECRET, mutated
from quoting import quotes


MAX_SECONDS: Final = 0.5
"""CPU time of one input."""


@frozen(kw_only=True)
class Target:
    """A parser.

    Attributes:
        name: Its name in the table.
        modules: The modules of freshkey whose parsing it runs, without ``freshkey.``.
        run: Calls it with an input.
        examples: Valid inputs.
        tokens: What its grammar consists of.
        limit: The most bytes that it is ever given.
        allowed: What it may raise besides freshkey's errors, as it documents.
        frameless: Local variables in the traceback of its errors have no secret either.
    """

    name: str
    modules: tuple[str, ...]
    run: Callable[[bytes], object]
    examples: tuple[bytes, ...]
    tokens: tuple[bytes, ...] = ()
    limit: int = 1 << 16
    allowed: tuple[type[Exception], ...] = ()
    frameless: bool = False

    def inputs(self) -> SearchStrategy[bytes]:
        return mutated(self.examples, self.tokens, self.limit)


@frozen
class Found:
    """What an input led to.

    Attributes:
        seconds: CPU time.
        flaw: What is wrong with the outcome; None if nothing is.
    """

    seconds: float
    flaw: str | None


def tried(target: Target, data: bytes) -> Found:
    """Run a target with one input."""
    error: BaseException | None = None
    began = time.process_time()
    try:
        target.run(data)
    except Exception as raised:  # noqa: BLE001  to be judged
        error = raised
    seconds = time.process_time() - began
    return Found(seconds, None if error is None else _flaw(target, error))


def _flaw(target: Target, error: BaseException) -> str | None:
    if not isinstance(error, (FreshkeyError, *target.allowed)):
        return f"foreign exception {type(error).__name__} at {_place(error)}"
    if isinstance(error, FreshkeyError) and any(quotes(text, SECRET) for text in _said(error)):
        return f"{error.code} at {_place(error)} quotes the secret"
    if target.frameless and any(quotes(text, SECRET) for text in _locals(error.__traceback__)):
        return f"a local variable at {_place(error)} has the secret"
    return None


def _said(error: BaseException) -> Iterator[str]:
    """Yield the texts of an error, and of those that its traceback shows before it."""
    chain: list[BaseException | None] = [error]
    while chain:
        if (one := chain.pop()) is not None:
            yield from (str(one), repr(one), repr(one.args), repr(vars(one)))
            chain += [one.__cause__, None if one.__suppress_context__ else one.__context__]


def _locals(frames: TracebackType | None) -> Iterator[str]:
    while frames is not None:
        if "/freshkey" in frames.tb_frame.f_code.co_filename and "/tests/" not in frames.tb_frame.f_code.co_filename:
            yield repr(frames.tb_frame.f_locals)
        frames = frames.tb_next


def _place(error: BaseException) -> str:
    frames, place = error.__traceback__, "?"
    while frames is not None:
        place = f"{frames.tb_frame.f_code.co_filename.rpartition('/')[2]}:{frames.tb_lineno}"
        frames = frames.tb_next
    return place


def text(data: bytes) -> str:
    """Return an input as text; what is not UTF-8 becomes unpaired surrogates, as in an environment variable."""
    return data.decode("utf-8", "surrogateescape")


def words(*examples: str) -> tuple[bytes, ...]:
    """Return examples with the secret in place of ``SECRET``."""
    return tuple(example.replace("SECRET", SECRET).encode() for example in examples)


def modules(prefix: str, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{prefix}.{name}" for name in names)
