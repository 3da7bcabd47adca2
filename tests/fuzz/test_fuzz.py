"""Some inputs for each parser of outside input; ``python -m benchmarks.fuzz`` tries 100,000 and measures their time."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from attrs import evolve

from freshkey.errors import ConfigurationError, ProtocolError
from fuzzing.inputs import SECRET
from fuzzing.registry import TARGETS
from fuzzing.run import fuzz, report
from fuzzing.target import Target, tried
from promises import proves


INPUTS = 40
LIMIT = 6_000
"""Longer inputs show how time grows, which is for the command to measure."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@proves("NET-10")
@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_any_input_gives_a_value_or_an_error_that_does_not_quote_it(target: Target) -> None:
    row = fuzz(evolve(target, limit=min(target.limit, LIMIT)), INPUTS, 1)
    assert row.inputs
    wrong = [failure for failure in row.failures if not failure.flaw.endswith(" s")]  # a busy machine is no failure
    assert not wrong, report(row)


@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_every_example_is_handled(target: Target) -> None:
    assert [found for found in (tried(target, example).flaw for example in target.examples) if found] == []


def raising(error: Exception) -> Target:
    def run(_data: bytes) -> None:
        raise error

    return Target(name="bad", modules=(), run=run, examples=(b"x",))


def test_a_foreign_exception_is_found() -> None:
    assert "foreign exception KeyError" in str(tried(raising(KeyError("x")), b"").flaw)


def test_a_part_of_the_secret_in_a_message_or_hint_is_found() -> None:
    assert "quotes" in str(tried(raising(ProtocolError(f"bad {SECRET[4:14]}")), b"").flaw)
    assert "quotes" in str(tried(raising(ConfigurationError("bad", hint=SECRET)), b"").flaw)
    assert tried(raising(ProtocolError("bad")), b"").flaw is None


def test_the_secret_in_an_error_that_led_to_another_is_found() -> None:
    error = ProtocolError("bad")
    error.__context__ = ValueError(SECRET)
    assert "quotes" in str(tried(raising(error), b"").flaw)


def test_a_run_reports_each_kind_of_failure_once() -> None:
    row = fuzz(raising(KeyError("x")), 20, 1)
    assert (row.failed, len(row.failures)) == (row.inputs, 1)
    assert "foreign exception KeyError" in report(row)


def test_the_same_start_gives_the_same_inputs() -> None:
    def inputs(start: int) -> list[bytes]:
        seen: list[bytes] = []
        fuzz(Target(name="", modules=(), run=seen.append, examples=(b"example",)), 20, start)
        return seen

    assert inputs(1) == inputs(1) != inputs(2)
