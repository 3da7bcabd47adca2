"""Every error has a code, ``docs/errors.md`` explains every code, and a test reaches every code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from freshkey.errors import FreshkeyError
from freshkey_cli import exits
from source_tree import CORE, ROOT, load, modules, plugin_modules


PAGE = (ROOT / "docs" / "errors.md").read_text("utf-8")
SECTION = re.compile(r"^### `([a-z0-9-]+)`\n\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
CLASSES = r"`\w+`(?: or `\w+`)*, exit code \d+"
FIRST_LINE = re.compile(rf"({CLASSES}(?:, or {CLASSES})*)\. \S")
MOST_SENTENCES = 100
SOURCES = [*modules(CORE), *plugin_modules()]
TESTS = [module for module in modules(ROOT / "tests") if module.path != Path(__file__)]


@frozen
class Raised:
    """A code in the source: its error class and its location."""

    code: str
    kind: str
    where: str


def sections() -> dict[str, str]:
    return dict(SECTION.findall(PAGE))


def named_classes(text: str) -> dict[str, int]:
    """Return the classes that an explanation begins with, and their exit codes."""
    first = FIRST_LINE.match(text)
    found: dict[str, int] = {}
    for classes in re.findall(CLASSES, first[1] if first else ""):
        names, _, exit_code = classes.partition(", exit code ")
        found |= dict.fromkeys(re.findall(r"`(\w+)`", names), int(exit_code))
    return found


def raised() -> Iterator[Raised]:
    for module in SOURCES:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                values = [each.value for each in node.body if isinstance(each, ast.Assign) and _assigns_code(each)]
                kind = node.name
            elif isinstance(node, ast.Call):
                values = [each.value for each in node.keywords if each.arg == "code"]
                kind = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "?")
            else:
                continue
            for code in {text for value in values for text in _texts(value)}:
                yield Raised(code, kind, f"{module.path.relative_to(ROOT)}:{node.lineno}")


def _assigns_code(statement: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "code" for target in statement.targets)


def _texts(tree: ast.AST) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def error_classes() -> Iterator[type[FreshkeyError]]:
    load(SOURCES)
    found = [FreshkeyError]
    for kind in found:
        found += kind.__subclasses__()
        if kind.__module__.startswith("freshkey"):
            yield kind


def test_every_error_class_has_its_own_code() -> None:
    kinds = list(error_classes())
    assert [kind.__name__ for kind in kinds if "code" not in vars(kind)] == []
    assert len({kind.code for kind in kinds}) == len(kinds)


def test_documented_codes_are_exactly_those_in_the_source() -> None:
    used = {each.code for each in raised()}
    assert used - set(sections()) == set()
    assert set(sections()) - used == set()


@pytest.mark.parametrize("code", sections())
def test_each_section_has_meaning_causes_and_remedy(code: str) -> None:
    text = sections()[code]
    assert FIRST_LINE.match(text)
    assert "\n- **Likely causes:** " in text
    assert "\n- **What to do:** " in text


def test_codes_are_documented_once_and_in_order() -> None:
    explained = [code for code, _ in SECTION.findall(PAGE)]
    assert explained == sorted(set(explained))


def test_documented_exit_codes_match_the_classes() -> None:
    kinds = {kind.__name__: kind for kind in error_classes()}
    for code, text in sections().items():
        for name, exit_code in named_classes(text).items():
            assert exits.code_of(kinds[name].__new__(kinds[name])) == exit_code, code


def test_every_class_that_is_raised_with_a_code_is_named() -> None:
    kinds = {kind.__name__ for kind in error_classes()}
    named = {code: named_classes(text) for code, text in sections().items()}
    assert [each for each in raised() if each.kind in kinds and each.kind not in named[each.code]] == []


def test_every_code_is_expected_by_a_test() -> None:
    """Strings of a test count, except those from which it makes an error itself."""
    expected = set()
    for module in (each for each in TESTS if each.path.name.startswith("test_")):
        made = {
            id(text)
            for node in ast.walk(module.tree)
            if isinstance(node, ast.keyword) and node.arg == "code"
            for text in ast.walk(node.value)
        }
        expected |= {
            node.value for node in ast.walk(module.tree) if isinstance(node, ast.Constant) and id(node) not in made
        }
    assert {each.code for each in raised()} - expected == set()


def test_codes_are_kebab_case() -> None:
    assert [each for each in raised() if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", each.code)] == []


def test_few_tests_match_sentences() -> None:
    """Tests that match sentences keep messages from being improved."""
    matched = [
        f"{module.path.relative_to(ROOT)}:{node.lineno}"
        for module in TESTS
        for node in ast.walk(module.tree)
        if isinstance(node, ast.keyword) and node.arg == "match" and any(" " in text for text in _texts(node.value))
    ]
    assert len(matched) <= MOST_SENTENCES, matched
