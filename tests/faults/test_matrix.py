"""Every row of the fault matrix has a test, and every requirement that ships is cited by one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from matrix import ROWS


TESTS = Path(__file__).parents[1]

REQUIRED = (
    *(f"ROT-{number}" for number in range(1, 13)),
    *(f"TIM-{number}" for number in range(1, 7)),
    *(f"NET-{number}" for number in (1, 2, 3, 4, 5, 6, 8, 9)),
    *(f"FLO-{number}" for number in range(1, 13)),
    *(f"STO-{number}" for number in range(1, 11)),
    *(f"LEK-{number}" for number in (1, 3, 4, 5, 6, 7, 8)),
    *(f"TRU-{number}" for number in range(1, 7)),
)
"""What the product promises today."""

NOT_YET = {
    "FLO-13": "ID tokens are not read: whose a credential is comes from the token response and the profile endpoint",
    "TRU-7": "events are told to subscribers; nothing writes an audit trail",
    "TRU-8": "`freshkey explain` and `status` say what is there; there is no `doctor`",
}
"""Promises that are not kept yet, and what holds instead."""


def test_every_row_has_a_test() -> None:
    assert sorted(set(ROWS) - {number for number, _ in cited_rows()}) == []


def test_every_requirement_is_cited() -> None:
    text = "\n".join(path.read_text("utf-8") for path in TESTS.rglob("test_*.py") if path != Path(__file__))
    assert [name for name in REQUIRED if not re.search(rf"\b{name}\b", text)] == []


def test_rows_cite_requirements_that_exist() -> None:
    known = {*REQUIRED, *NOT_YET}
    prefixes = {name.split("-")[0] for name in known}
    strangers = {
        name for _, names in cited_rows() for name in names if name.split("-")[0] in prefixes and name not in known
    }
    assert strangers == set()


def cited_rows() -> Iterator[tuple[int, tuple[str, ...]]]:
    """Return the arguments of every `row(…)` in the tests."""
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "row":
                number, *names = (ast.literal_eval(argument) for argument in node.args)
                yield number, tuple(names)
