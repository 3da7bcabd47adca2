"""Every id that is cited anywhere is defined in ``docs/promises.md``, and every promise names tests that cite it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from freshkey import _failpoints
from source_tree import ROOT


PAGE = (ROOT / "docs" / "promises.md").read_text("utf-8")
ID = re.compile(r"\b(?:ROT|TIM|NET|FLO|STO|LEK|TRU|REL|ACT|FAULT)-\d+\b")
DEFINITION = re.compile(rf"^(?:### |\| |- \*\*)({ID.pattern})\b", re.MULTILINE)
# Tests are named instead of counted, so that a reader can run them.
# See docs/decisions.md, "Promises have IDs, and each lists its tests".
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
MADE = {
    "ROT-": [*range(1, 13)],
    "TIM-": [*range(1, 7)],
    "NET-": [*range(1, 7), 8, 9, 10],
    "FLO-": [*range(1, 16)],
    "STO-": [*range(1, 14)],
    "LEK-": [1, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    "TRU-": [*range(1, 7), 9, 10, 11, 12, 13, 14, 15],
    "REL-": [1, 2, 3],
    "FAULT-": [*range(1, 61)],
}
FOLDERS = ("core", "plugins", "tests", "benchmarks", "docs", "scripts", ".ci")
SUFFIXES = {".py", ".md", ".toml", ".mjs", ".sh", ""}


def promises() -> dict[str, list[tuple[str, str]]]:
    """Return the tests that each promise names, as file and function."""
    found = {}
    for line in re.finditer(r"^\| (FAULT-\d+) \|(.*)$", PAGE, re.MULTILINE):
        found[line[1]] = NAMED.findall(line[2])
    for section in re.finditer(rf"^### ({ID.pattern})\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL):
        found[section[1]] = NAMED.findall(section[2])
    return found


def files() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            known = path.suffix in SUFFIXES and not {"node_modules", "__pycache__"} & set(path.parts)
            if known and path.is_file():
                yield path
    yield from ROOT.glob("*.md")


def function_text(file: str, name: str) -> str | None:
    """Return the source of a test with its decorators and the comments on its lines; None if it is not there."""
    path = ROOT / file
    if not path.is_file():
        return None
    text = path.read_text("utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    return None


def test_every_cited_id_is_defined() -> None:
    defined = set(DEFINITION.findall(PAGE))
    strangers = {
        f"{path.relative_to(ROOT)}: {each}"
        for path in files()
        for each in ID.findall(path.read_text("utf-8"))
        if each not in defined
    }
    assert strangers == set()


def test_nothing_that_was_promised_is_dropped() -> None:
    """A promise that is withdrawn goes from here too, and into the changelog."""
    made = {family: [int(each.split("-")[1]) for each in promises() if each.startswith(family)] for family in MADE}
    assert made == MADE


def test_every_id_is_defined_once() -> None:
    defined = DEFINITION.findall(PAGE)
    assert sorted(defined) == sorted(set(defined))


@pytest.mark.parametrize(("promise", "tests"), promises().items())
def test_every_promise_names_tests_that_cite_it(promise: str, tests: list[tuple[str, str]]) -> None:
    assert tests
    for file, name in tests:
        text = function_text(file, name)
        assert text is not None, f"{file} has no test {name}"
        assert promise in ID.findall(text), f"{file}::{name} does not cite {promise}"


def test_the_points_of_a_renewal_are_listed_in_their_order() -> None:
    text = re.search(r"`freshkey\._failpoints` lists in their order:(.*?)\n\n", PAGE, re.DOTALL)
    assert text is not None
    assert tuple(re.findall(r"`(\w+)`", text[1])) == _failpoints.POINTS
