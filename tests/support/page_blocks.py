"""The fenced blocks of the pages, and what the comment before a block says about it.

A comment that directly precedes a block is for the test, and not shown to readers:

- ``<!-- not run: REASON -->``: it is not checked, and why.
- ``<!-- run -->``: a shell block that is run; ``<!-- run in: FOLDER -->`` says where.
- ``<!-- command: NAME -->``: a shell block of the README that ``.ci/run`` runs.
- ``<!-- test: NAME -->``: another test, which names it so, runs it.
- ``<!-- file: PATH -->``: it is written to this file, for the blocks after it.
- ``<!-- setup: CODE -->``: Python code, of one or more lines, that is run before a Python block.
- ``<!-- pytest: CODE -->``: a Python block that is a test module, which CODE begins.
- ``<!-- project -->``, ``<!-- profile: PROVIDER -->``, ``<!-- pyproject -->``: a TOML block that is a project's file,
  part of a profile, or of ``pyproject.toml``. Any other one is a ``config.toml``;
  the first of a page is that of the blocks after it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from attrs import frozen

from source_tree import ROOT


_BLOCK: Final = re.compile(
    r"^(?:<!-- (?P<marker>[a-z ]+?)(?:: ?(?P<about>[^\0]*?))? -->\n)?```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@frozen
class Block:
    """One block of a page.

    Attributes:
        page: The page, relative to the repository.
        line: The line of its first line of text.
        language: The word after the fence, empty if there is none.
        text: What is in it.
        marker: What the comment before it begins with; empty if there is none.
        about: The rest of that comment.
    """

    page: str
    line: int
    language: str
    text: str
    marker: str
    about: str


def pages() -> list[str]:
    """Return every page of the repository that readers get, relative to its root."""
    found = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(path for part in ("core", "plugins/*", "tests/support", "benchmarks") for path in ROOT.glob(f"{part}/*.md")),
    ]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def blocks(page: str, language: str | None = None) -> list[Block]:
    """Return the blocks of a page, or those in one language, in order."""
    text = Path(ROOT / page).read_text("utf-8")
    found = [
        Block(
            page,
            text.count("\n", 0, match.start("text")) + 1,
            match["language"],
            match["text"],
            match["marker"] or "",
            match["about"] or "",
        )
        for match in _BLOCK.finditer(text)
    ]
    return [block for block in found if language in (None, block.language)]
