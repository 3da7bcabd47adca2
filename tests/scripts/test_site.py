"""The hooks of the site: links, docstrings, and that nothing public is missing. ``scripts/site`` builds it, in CI."""

from __future__ import annotations

import enum
import html
import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import griffe
import pytest

import freshkey_testing
from scripts.site_build.docstrings import as_markdown, place
from scripts.site_build.docstrings import linked as linked_names
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


@pytest.mark.parametrize(
    ("where", "name", "entry"),
    [
        ("Purse", "Credential.judge", "freshkey.plugin.Credential.judge"),
        ("Purse", "LoginRequired", "freshkey.errors.LoginRequired"),
        ("Purse", "freshkey.oauth.discover", "freshkey.oauth.discover"),
        ("Purse", "coins", "money.Purse.coins"),
        ("Purse.pay", "coins", "money.Purse.coins"),
        ("Purse.pay", "price", None),  # its argument
        ("borrow", "Purse", "money.Purse"),
        ("borrow", "freshkey", None),
        ("borrow", "sum", None),
    ],
)
def test_a_name_leads_to_its_entry(where: str, name: str, entry: str | None) -> None:
    source = "class Purse:\n    coins = 3\n    price = 1\n    def pay(self, price): ...\ndef borrow(sum): ...\n"
    with griffe.temporary_visited_module(source, module_name="money") as module:
        assert place(name, module[where]) == entry
        shown = f"`{name}`" if entry is None else f'<autoref optional identifier="{entry}">`{name}`</autoref>'
        assert linked_names(f"See `{name}`, not ``{name}``.", module[where]) == f"See {shown}, not ``{name}``."


def test_every_page_is_in_the_navigation() -> None:
    docs = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    text = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]
    assert set(re.findall(r"- (?:[^:\n]+: )?(\S+\.md)$", text, re.MULTILINE)) == docs | set(PAGES.values())


def test_the_reference_lists_every_test_helper() -> None:
    page = (ROOT / "docs" / "reference" / "testing.md").read_text("utf-8")
    assert set(re.findall(r"^::: freshkey_testing\.(\w+)$", page, re.MULTILINE)) == set(freshkey_testing._HOMES)


# --- the reference, as it is built -----------------------------------------------------------------------------------

MODULES = ("freshkey", "freshkey.plugin", "freshkey.oauth", "freshkey.events", "freshkey.adapters.httpx")
HEADING = re.compile(r'<h\d[^>]* id="(freshkey[\w.]+)"')
OVERRIDDEN = {"__attrs_post_init__", "_headers", "_environment"}


def classes() -> Iterator[tuple[str, str, type]]:
    """Yield the page, the name and the class of each that is in the reference."""
    for module in map(importlib.import_module, (*MODULES, "freshkey_testing")):
        page = module.__name__.removeprefix("freshkey.").removeprefix("freshkey_").partition(".")[0]
        for name in getattr(module, "__all__", None) or dir(module):
            kind = getattr(module, name)
            home = "freshkey" if hasattr(module, "__all__") else module.__name__
            if inspect.isclass(kind) and kind.__module__.startswith(home) and name[0] != "_":
                yield page, f"{module.__name__}.{name}", kind


def entries(page: Path) -> dict[str, str]:
    """Return the text below each heading of a page of the reference, without markup, by name."""
    _, *parts = HEADING.split(page.read_text("utf-8"))
    texts = (" ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split()) for text in parts[1::2])
    return dict(zip(parts[::2], texts, strict=True))


def flaws(name: str, kind: type, shown: dict[str, str]) -> Iterator[str]:
    """Yield what the reference does not say of a class of attrs, or of an enum."""
    text = shown.get(name, "")
    if issubclass(kind, enum.Enum):
        yield from (f"{name}.{each}" for each in kind.__members__ if len(shown.get(f"{name}.{each}", "").split()) < 5)
    if not attrs.has(kind):
        return
    signature = text.partition(f"{kind.__name__}(")[2]
    for each in inspect.signature(kind).parameters.values():
        default = "" if each.default is each.empty else r" = \S"
        if not re.search(rf"\b{each.name}: \S[^=]*?{default or r'[,)]'}", signature):
            yield f"{name}({each.name}: …{default})"
    described = text.partition("Attributes: Name Type Description")[2]
    own = (each.name for each in attrs.fields(kind) if each.init and not each.inherited and each.name[0] != "_")
    yield from (f"{name}.{each}" for each in own if f"{each} " not in described)


@pytest.mark.skipif(sys.platform == "win32", reason="the site is the same on every system")
def test_the_reference_shows_fields_members_and_what_is_overridden(tmp_path: Path) -> None:
    subprocess.run(["sh", "scripts/site", str(tmp_path)], cwd=ROOT, env={**os.environ, "VENV": sys.prefix}, check=True)
    pages = {page.parent.name: entries(page) for page in (tmp_path / "reference").glob("*/index.html")}
    found = list(classes())
    assert sum(attrs.has(kind) for _, _, kind in found) > 60
    assert sum(issubclass(kind, enum.Enum) for _, _, kind in found) > 4
    assert [flaw for page, name, kind in found for flaw in flaws(name, kind, pages[page])] == []
    hooks = (tmp_path / "reference" / "hooks" / "index.html").read_text("utf-8")
    assert re.search(r'href="\.\./errors/#freshkey\.errors\.LoginRequired"[^>]*><code>LoginRequired</code></a>', hooks)
    underscored = {name.rpartition(".")[::2] for page in pages.values() for name in page if "._" in name}
    credentials = {of for of, name in underscored if name in OVERRIDDEN}
    assert {name for of, name in underscored if of == "freshkey.plugin.Credential"} == OVERRIDDEN
    assert {(of, name) for of, name in underscored if of not in credentials and name != "__call__"} == set()
