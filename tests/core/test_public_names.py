"""Public modules: every name with its signature, and that each is imported on first use.

``public_names.txt`` lists names and signatures, so that any change of the public API shows as a diff there. After an
intended change::

    .venv/bin/python tests/core/test_public_names.py > tests/core/public_names.txt
"""

from __future__ import annotations

import ast
import difflib
import enum
import importlib
import inspect
import json
import re
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import get_origin

import attrs
import pytest


HELD = Path(__file__).with_name("public_names.txt")
LAZY = ("freshkey", "freshkey.plugin", "freshkey.admin", "freshkey.oauth")
PAGES = (*LAZY, "freshkey.errors", "freshkey.events", "freshkey.hooks", "freshkey.adapters.httpx")

QUALIFIED = re.compile(r"\b[\w.]+\.(?=\w)")
"""The module prefix of a qualified name."""

PLAIN = (type(None), bool, int, float, str, tuple, frozenset)
"""Types of defaults that are shown; other defaults are shown as an ellipsis."""


# --- how a module is listed ------------------------------------------------------------------------------------------


def names_of(page: ModuleType) -> list[str]:
    """Return the public names of a module: those it imports lazily, and those it defines."""
    loaded = getattr(page, "__all__", [])
    own = [
        name
        for name, value in vars(page).items()
        if not name.startswith("_") and (name.isupper() or getattr(value, "__module__", "") == page.__name__)
    ]
    type_variables = {name for name in own if len(name) == 1}
    return sorted({*loaded, *own} - type_variables - {"TYPE_CHECKING"})


def written(default: object) -> str:
    if isinstance(default, enum.Enum) and default is not attrs.NOTHING:
        return f"{type(default).__name__}.{default.name}"
    return repr(default) if isinstance(default, PLAIN) else "…"


def annotation(value: object) -> str:
    return value if isinstance(value, str) else QUALIFIED.sub("", getattr(value, "__name__", str(value)))


def signature(of: Callable[..., object], *, drop_first: bool = False) -> str:
    """Format a signature: annotations as in the source, defaults if they are plain."""
    found = inspect.signature(of)
    parameters = list(found.parameters.values())[drop_first:]
    shown, starred = [], False
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            shown.append("*")
        starred |= parameter.kind in {parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL}
        text = str(parameter.replace(annotation=parameter.empty, default=parameter.empty))
        if parameter.annotation is not parameter.empty:
            text += f": {annotation(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            text += f" = {written(parameter.default)}"
        shown.append(text)
    given = found.return_annotation
    end = "" if given is found.empty or inspect.isclass(of) else f" -> {annotation(given)}"
    return f"({', '.join(shown)}){end}"


def class_lines(qualified: str, kind: type) -> Iterator[str]:
    bases = ", ".join(base.__name__ for base in kind.__bases__ if base is not object)
    protocol = "Protocol" in bases
    # The signature of a class with the constructor of `Exception` differs between Python versions.
    plain = protocol or issubclass(kind, enum.Enum) or isinstance(kind.__init__, types.WrapperDescriptorType)
    made_with = "" if plain else signature(kind)
    yield f"{qualified}: class" + (f" of {bases}" if bases else "") + (f", {made_with}" if made_with else "")
    for name, value in sorted(vars(kind).items()):
        if name.startswith("_"):
            continue
        if issubclass(kind, enum.Enum) and isinstance(value, kind):
            yield f"    {name}"
        elif name == "code" and issubclass(kind, Exception):
            yield f"    code = {value!r}"
        elif isinstance(value, property):
            yield f"    {name}: {annotation(inspect.signature(value.fget).return_annotation) if value.fget else ''}"
        elif isinstance(value, classmethod | staticmethod):
            word = type(value).__name__
            yield f"    {word} {name}{signature(value.__func__, drop_first=word == 'classmethod')}"
        elif inspect.isfunction(value):
            yield f"    {name}{signature(value, drop_first=True)}"


def lines() -> Iterator[str]:
    """Yield one line for each name of each module, and one for each public method of a class."""
    told: dict[int, str] = {}
    for page in map(importlib.import_module, PAGES):
        for name in names_of(page):
            value, qualified = getattr(page, name), f"{page.__name__}.{name}"
            made = inspect.isclass(value) or inspect.isfunction(value)
            if made and (before := told.setdefault(id(value), qualified)) != qualified:
                yield f"{qualified} = {before}"
            elif inspect.isclass(value):
                yield from class_lines(qualified, value)
            elif inspect.isfunction(value):
                yield f"{qualified}{signature(value)}"
            elif get_origin(value):
                yield f"{qualified} = {QUALIFIED.sub('', str(value))}"
            else:
                yield f"{qualified}: {type(value).__name__}"


# --- the tests -------------------------------------------------------------------------------------------------------


def test_public_names_and_signatures_match_the_file() -> None:
    held, now = HELD.read_text("utf-8").splitlines(), list(lines())
    assert list(difflib.unified_diff(held, now, lineterm="", n=0)) == [], "if intended, see the docstring of this file"


@pytest.mark.parametrize("name", LAZY)
def test_dunder_all_is_complete_and_sorted(name: str) -> None:
    page = importlib.import_module(name)
    assert sorted(" ".join(page._HOMES.values()).split()) == sorted(page.__all__)

    def rank(each: str) -> tuple[int, str]:
        return (0 if each.isupper() else 1 if each[0].isupper() else 2, each)

    assert list(page.__all__) == sorted(set(page.__all__), key=rank)


@pytest.mark.parametrize("name", LAZY)
def test_type_checkers_see_the_names_that_are_imported(name: str) -> None:
    page = importlib.import_module(name)
    assert page.__file__ is not None
    block = next(
        node
        for node in ast.parse(Path(page.__file__).read_text("utf-8")).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {
        (each.module, alias.name)
        for each in block.body
        if isinstance(each, ast.ImportFrom) and (each.module or "").startswith("freshkey")
        for alias in each.names
    }
    assert seen == {(f"freshkey.{home}", each) for home, names in page._HOMES.items() for each in names.split()}


@pytest.mark.parametrize("page", LAZY)
def test_each_name_exists_and_is_cached(page: str) -> None:
    module = importlib.import_module(page)
    for name in module.__all__:
        value = getattr(module, name)
        assert vars(module)[name] is value
        assert name in dir(module)


@pytest.mark.parametrize("page", LAZY)
def test_unknown_name_raises_attribute_error(page: str) -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        importlib.import_module(page).nonsense  # noqa: B018  the access is the test


LOADING = """
import importlib, json, sys

def ours():
    return {name for name in sys.modules if name.partition(".")[0] == "freshkey"}

def anew(*modules):
    for name in ours():
        del sys.modules[name]
    for name in modules:
        importlib.import_module(name)
    return ours()

page = sys.argv[1]
found = {"": sorted(anew(page))}
homes = dict(sys.modules[page]._HOMES)
for home, names in homes.items():
    expected = anew(page, f"freshkey.{home}")
    for name in names.split():
        anew(page)
        getattr(sys.modules[page], name)
        if ours() != expected:
            found[name] = sorted(ours() ^ expected)
print(json.dumps(found))
"""


@pytest.mark.parametrize("page", LAZY)
def test_each_name_imports_only_its_home_module(page: str) -> None:
    done = subprocess.run([sys.executable, "-c", LOADING, page], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == {"": sorted({"freshkey", page})}


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines())
