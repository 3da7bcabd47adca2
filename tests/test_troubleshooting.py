"""``docs/troubleshooting.md`` quotes messages that exist, with their codes, and leads to every code that users meet."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from freshkey.errors import FreshkeyError
from source_tree import CORE, ROOT, load, modules, plugin_modules


PAGE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
ERRORS = (ROOT / "docs" / "errors.md").read_text("utf-8")
CODES = dict(re.findall(r"^### `([a-z0-9-]+)`\n\n([^.]*)\.", ERRORS, re.MULTILINE))
"""Each code, and the first sentence of its explanation, which names the exit codes."""
LINKED = re.findall(r"\[`([^`]+)`\]\(errors\.md#([^)]+)\)", PAGE)
ROWS = re.findall(r"^\| `([^`]+)` \| \[`([^`]+)`\]", PAGE, re.MULTILINE)
VARIES = "…"
FOR_THE_USER = {3, 4, 5}
SOURCES = [*modules(CORE), *plugin_modules()]


def default_codes() -> dict[str, str]:
    """Return the code of each error class that is raised without one."""
    load(SOURCES)
    found: list[type[FreshkeyError]] = [FreshkeyError]
    for kind in found:
        found += kind.__subclasses__()
    return {kind.__name__: kind.code for kind in found}


def texts(tree: ast.AST) -> Iterator[str]:
    """Return all strings in `tree`, with ``…`` for what varies."""
    if isinstance(tree, ast.JoinedStr):
        parts = (str(part.value) if isinstance(part, ast.Constant) else VARIES for part in tree.values)
        yield re.sub(r"\{\w+\}", VARIES, "".join(parts))
    elif isinstance(tree, ast.Constant):
        if isinstance(tree.value, str):
            yield re.sub(r"\{\w+\}", VARIES, tree.value)
    else:
        for child in ast.iter_child_nodes(tree):
            yield from texts(child)


def raised() -> Iterator[tuple[str, set[str]]]:
    """Return the codes of each error, and its message, or all strings of its module if it is composed elsewhere."""
    defaults = default_codes()
    for module in SOURCES:
        for call in (node for node in ast.walk(module.tree) if isinstance(node, ast.Call)):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            given = [text for each in call.keywords if each.arg == "code" for text in texts(each.value)]
            codes = given or [defaults[name]] if given or name in defaults else []
            literal = bool(call.args) and isinstance(call.args[0], ast.Constant | ast.JoinedStr)
            for code in codes:
                yield code, set(texts(call.args[0] if literal else module.tree))


@pytest.fixture(scope="module")
def messages() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for code, said in raised():
        found.setdefault(code, set()).update(said)
    return found


def test_every_link_names_an_explained_code() -> None:
    assert [label for label, target in LINKED if label != target] == []
    assert {target for _, target in LINKED} - set(CODES) == set()
    assert set(re.findall(r"errors\.md#([\w-]+)", PAGE)) == {target for _, target in LINKED}


def test_every_message_is_the_beginning_of_an_error_with_its_code(messages: dict[str, set[str]]) -> None:
    assert len(ROWS) > 40
    unknown = [
        (message, code)
        for message, code in ROWS
        if not any(said.startswith(message.rstrip(VARIES).rstrip()) for said in messages.get(code, ()))
    ]
    assert unknown == []


def test_every_row_of_a_table_is_read() -> None:
    assert len(ROWS) == len([line for line in PAGE.splitlines() if line.startswith("| `")])


def test_every_code_that_users_meet_is_linked() -> None:
    """Those with which the core says: sign in, see to the store, or try again."""
    core = {node.value for module in modules(CORE) for node in ast.walk(module.tree) if isinstance(node, ast.Constant)}
    met = {code for code, said in CODES.items() if FOR_THE_USER & {int(one) for one in re.findall(r"code (\d+)", said)}}
    assert (met & core) - {target for _, target in LINKED} == set()


@pytest.mark.parametrize("guide", ["README.md", "docs/errors.md", "docs/cli.md"])
def test_page_is_linked(guide: str) -> None:
    assert "troubleshooting.md)" in Path(ROOT / guide).read_text("utf-8")


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!errors\.md)([^)]+)\)", PAGE))))
def test_other_links_have_a_target(link: str) -> None:
    name, _, heading = link.partition("#")
    text = (ROOT / "docs" / name).read_text("utf-8")
    headings = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    assert heading in headings
