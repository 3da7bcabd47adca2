"""Runs a target with many inputs, and reports what was found."""

from __future__ import annotations

from attrs import Factory, define, frozen
from hypothesis import HealthCheck, Phase, given, seed, settings

from fuzzing.target import MAX_SECONDS, Target, tried


_KEPT = 20


@frozen
class Failure:
    """An input that was not handled.

    Attributes:
        flaw: What is wrong.
        data: The input.
    """

    flaw: str
    data: bytes


@define
class Row:
    """What the inputs of one target led to.

    Attributes:
        name: The target.
        inputs: How many were tried.
        slowest: CPU time of the slowest, in seconds.
        failed: How many failed.
        failures: The first input of each kind of failure.
    """

    name: str
    inputs: int = 0
    slowest: float = 0.0
    failed: int = 0
    failures: list[Failure] = Factory(list)


def fuzz(target: Target, inputs: int, start: int) -> Row:
    """Try at most that many inputs; the same `start` gives the same ones."""
    row = Row(target.name)

    @seed(start)
    @settings(
        max_examples=inputs,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(target.inputs())
    def run(data: bytes) -> None:
        found = tried(target, data)
        row.inputs += 1
        row.slowest = max(row.slowest, found.seconds)
        flaw = found.flaw or (f"{found.seconds:.1f} s" if found.seconds >= MAX_SECONDS else None)
        if flaw is not None:
            row.failed += 1
            kinds = {failure.flaw for failure in row.failures}
            if flaw not in kinds and len(kinds) < _KEPT:
                row.failures.append(Failure(flaw, data))

    run()
    return row


def report(row: Row) -> str:
    """Return a row of the table, with a line for each kind of failure."""
    lines = [f"{row.name:32} {row.inputs:7} inputs  {row.failed:5} failed  slowest {row.slowest:.3f} s"]
    lines += [f"    {failure.flaw}: {failure.data[:100]!r} ({len(failure.data)} bytes)" for failure in row.failures]
    return "\n".join(lines)
