"""The hooks of the site: links, docstrings, and that nothing public is missing. ``scripts/site`` builds it, in CI."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import freshkey_testing
from scripts.site_build.docstrings import as_markdown
from scripts.site_build.pages import PAGES, linked


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("page", "written", "shown"),
    [
        ("cli.md", "[e](errors.md#codes)", "[e](errors.md#codes)"),
        ("errors.md", "[s](../SECURITY.md)", "[s](project/security.md)"),
        ("index.md", "[c](docs/cli.md#trust)", "[c](cli.md#trust)"),
        ("index.md", "[core](core)", "[core](packages/core.md)"),
        ("index.md", "[hooks.py](core/freshkey/hooks.py)", "hooks.py"),
        ("packages/vertex.md", "[c](../../docs/cli.md)", "[c](../cli.md)"),
        ("guides/store.md", "[e](../errors.md)", "[e](../errors.md)"),
        ("cli.md", "[gone](nowhere.txt)", "[gone](nowhere.txt)"),
        ("cli.md", "[w](https://example.com/a.md) [here](#trust)", "[w](https://example.com/a.md) [here](#trust)"),
        (
            "index.md",
            "```python\na[0](core)\n```\n[core](core)",
            "```python\na[0](core)\n```\n[core](packages/core.md)",
        ),
    ],
)
def test_links_are_those_of_the_site(page: str, written: str, shown: str) -> None:
    assert linked(written, page) == shown


def test_docstrings_become_markdown() -> None:
    assert as_markdown("By what.\n\n::\n\n    a tree\n") == "By what.\n\n    a tree\n"
    assert as_markdown("Subclass it::\n\n    class A:\n") == "Subclass it:\n\n    class A:\n"
    assert as_markdown("Args:\n    a, b: As for `Base`.\n    c: One.\n") == "Args:\n    c: One.\n"


def test_every_page_is_in_the_navigation() -> None:
    docs = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    text = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]
    assert set(re.findall(r"- (?:[^:\n]+: )?(\S+\.md)$", text, re.MULTILINE)) == docs | set(PAGES.values())


def test_the_reference_lists_every_test_helper() -> None:
    page = (ROOT / "docs" / "reference" / "testing.md").read_text("utf-8")
    assert set(re.findall(r"^::: freshkey_testing\.(\w+)$", page, re.MULTILINE)) == set(freshkey_testing._HOMES)
