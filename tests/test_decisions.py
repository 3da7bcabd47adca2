"""Comments cite decisions by heading: each heading that is cited exists, and most decisions are cited at their code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from source_tree import ROOT


PAGE = (ROOT / "docs" / "decisions.md").read_text("utf-8")
CITED = 'docs/decisions.md, "'
ENTRY = re.compile(r"^- \[([^\]]+)\]\(#([^)]+)\)", re.MULTILINE)
HEADING = re.compile(r"^### (.+)$", re.MULTILINE)
DATED = re.compile(r"^### (.+)\n\n\*2\d{3}-\d{2}-\d{2}\.\* \S", re.MULTILINE)
FOLDERS = ("core", "plugins", "scripts", "tests")
SUFFIXES = {".py", ".sh", ""}
FEWEST = 40
"""Number of decisions that must be cited; the others are not about particular lines."""


def files() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            known = path.suffix in SUFFIXES and not {"node_modules", "__pycache__"} & set(path.parts)
            if known and path.is_file() and path != Path(__file__):
                yield path


def unwrapped(text: str) -> str:
    """Return text on one line, without the comment markers at the beginning of its lines."""
    return " ".join(re.sub(r"^\s*#\s", "", line).strip() for line in text.splitlines())


def cited_in(text: str) -> Iterator[str]:
    """Yield the headings that a file cites; a heading may contain quotes, but ends with a quote and a period."""
    for rest in unwrapped(text).split(CITED)[1:]:
        yield rest.partition('".')[0]


def anchor(heading: str) -> str:
    """Return the fragment by which the page's host links a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_citations_are_found_across_lines() -> None:
    comment = f'    # See docs/decisions.md,\n    # "A store is\n    # strings". See {CITED}Count as "refused"".\n'
    assert list(cited_in(comment)) == ["A store is strings", 'Count as "refused"']


def test_every_cited_decision_exists() -> None:
    known = set(HEADING.findall(PAGE))
    strangers = {
        f"{path.relative_to(ROOT)}: {heading}"
        for path in files()
        for heading in cited_in(path.read_text("utf-8"))
        if heading not in known
    }
    assert strangers == set()


def test_every_citation_names_a_heading() -> None:
    for path in files():
        text = unwrapped(path.read_text("utf-8"))
        assert text.count("docs/decisions.md") == text.count(CITED), path.relative_to(ROOT)


def test_most_decisions_are_cited() -> None:
    cited = {heading for path in files() for heading in cited_in(path.read_text("utf-8"))}
    assert len(cited) >= FEWEST


def test_every_decision_has_a_date() -> None:
    assert DATED.findall(PAGE) == HEADING.findall(PAGE)


def test_table_of_contents_links_every_decision_once() -> None:
    contents = PAGE.partition("\n## ")[0]
    headings = HEADING.findall(PAGE)
    entries = [(" ".join(title.split()), target) for title, target in ENTRY.findall(contents)]
    assert entries == [(heading, anchor(heading)) for heading in headings]
    assert contents.count("](") == len(headings) == len(set(headings))
