"""``SECURITY.md``: each promise to a user names an ID of ``docs/promises.md`` and a test that shows it."""

from __future__ import annotations

import ast
import re

import pytest

from source_tree import ROOT


PAGE = (ROOT / "SECURITY.md").read_text("utf-8")
PROMISES = (ROOT / "docs" / "promises.md").read_text("utf-8")
ACTORS = re.search(r"^## What freshkey protects against\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)


def promises() -> list[tuple[str, str]]:
    """Return the actor and the text of each promise."""
    assert ACTORS is not None
    found = []
    for section in re.finditer(r"^### (.+?)\n(.*?)(?=^### |\Z)", ACTORS[1], re.MULTILINE | re.DOTALL):
        found += [(section[1], bullet) for bullet in re.split(r"^- ", section[2], flags=re.MULTILINE)[1:]]
    return found


def test_every_actor_has_promises() -> None:
    assert ACTORS is not None
    assert {actor for actor, _ in promises()} == set(re.findall(r"^### (.+)$", ACTORS[1], re.MULTILINE))


@pytest.mark.parametrize(("actor", "promise"), promises())
def test_every_promise_has_an_id_and_a_test(actor: str, promise: str) -> None:
    ids = re.findall(r"\b[A-Z]{3}-\d+\b", promise)
    assert ids
    assert [each for each in ids if not re.search(rf"^### {each}$", PROMISES, re.MULTILINE)] == []
    tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", promise)
    assert tests
    for file, name in tests:
        functions = {
            node.name
            for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8")))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert name in functions, f"{file} has no test {name}"
