"""Extension of griffe: docstrings that are written for `help` are read as Markdown, and their names lead to entries."""

from __future__ import annotations

import importlib
import re
from typing import Any, Final

import griffe


_ALONE: Final = re.compile(r"^::\n\n", re.MULTILINE)
_AT_END: Final = re.compile(r"(?<=\S)::(?=\n\n)")
"""Two colons before an indented block: alone on their line, and at the end of a sentence."""

_SHARED: Final = re.compile(r"^ +(?:\w+, )+\w+: (As for .*)\n", re.MULTILINE)
"""Several arguments on one line, which belong to a base class."""

_NAME: Final = re.compile(r"(?<![`\w])`([A-Za-z_][\w.]*)`(?!`)")
"""A name of the code; what is between two backticks on each side is text of any kind."""

_MODULES: Final = ("freshkey.events", "freshkey", "freshkey.oauth", "freshkey.plugin", "freshkey.errors")
"""The pages that names lead to; of two that have a name, the later one."""


def _public() -> dict[str, str]:
    """Return where each public name is in the reference."""
    found: dict[str, str] = {}
    for module in map(importlib.import_module, _MODULES):
        own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        found |= {name: f"{module.__name__}.{name}" for name in getattr(module, "__all__", own) if name[0] != "_"}
    return found


_PUBLIC: Final = _public()


def as_markdown(docstring: str) -> str:
    """Return a docstring without what only a plain text needs."""
    return _SHARED.sub("", _AT_END.sub(":", _ALONE.sub("", docstring)))


def place(name: str, of: griffe.Object) -> str | None:
    """Return the entry that a name in the docstring of an object may have in the reference, or None.

    Args:
        name: The name as it is written: ``LoginRequired``, ``Credential.judge``, or that of a member beside it.
        of: The object.
    """
    head, dot, rest = name.partition(".")
    if head in {"freshkey", "freshkey_testing"}:
        return name if dot else None
    if head in _PUBLIC:
        return _PUBLIC[head] + dot + rest
    if isinstance(of, griffe.Function) and name in of.parameters:
        return None
    beside = of if isinstance(of, griffe.Class | griffe.Module) else of.parent
    return f"{beside.path}.{name}" if beside is not None and name in beside.members else None


def linked(docstring: str, of: griffe.Object) -> str:
    """Return a docstring whose names lead to their entries; one without an entry stays as it is."""

    def link(found: re.Match[str]) -> str:
        entry = place(found[1], of)
        return found[0] if entry is None else f'<autoref optional identifier="{entry}">{found[0]}</autoref>'

    return _NAME.sub(link, docstring)


class Docstrings(griffe.Extension):
    """Changes every docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:  # noqa: ANN401  as declared by griffe
        """Change the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = linked(as_markdown(obj.docstring.value), obj)
