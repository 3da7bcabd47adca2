"""Extension of griffe: docstrings that are written for `help` are read as Markdown."""

from __future__ import annotations

import re
from typing import Any, Final

import griffe


_ALONE: Final = re.compile(r"^::\n\n", re.MULTILINE)
_AT_END: Final = re.compile(r"(?<=\S)::(?=\n\n)")
"""Two colons before an indented block: alone on their line, and at the end of a sentence."""

_SHARED: Final = re.compile(r"^ +(?:\w+, )+\w+: (As for .*)\n", re.MULTILINE)
"""Several arguments on one line, which belong to a base class."""


def as_markdown(docstring: str) -> str:
    """Return a docstring without what only a plain text needs."""
    return _SHARED.sub("", _AT_END.sub(":", _ALONE.sub("", docstring)))


class Docstrings(griffe.Extension):
    """Changes every docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:  # noqa: ANN401  as declared by griffe
        """Change the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)
