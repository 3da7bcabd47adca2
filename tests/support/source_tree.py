"""The project's source code as syntax trees: imports and sizes."""

from __future__ import annotations

import ast
import importlib
import io
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

from attrs import field, frozen


ROOT = Path(__file__).parents[2]
CORE = ROOT / "core"
PLUGINS = ROOT / "plugins"
BENCHMARKS = ROOT / "benchmarks"

NOT_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}

Function = ast.FunctionDef | ast.AsyncFunctionDef


_ON_A_BUS: Final = tuple(
    f"freshkey._stores.keychain.{name}" for name in ("bus", "kwallet", "libsecret", "secret_service")
)
"""What needs jeepney, which only Linux has."""


@frozen
class Import:
    """One name that a module imports, at the top or inside a function."""

    target: str
    line: int
    for_types_only: bool


@frozen
class Module:
    """One Python file."""

    name: str
    path: Path
    text: str = field(repr=False)
    tree: ast.Module = field(repr=False)

    @property
    def functions(self) -> Iterator[Function]:
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))


def read(path: Path, root: Path) -> Module:
    parts = path.relative_to(root).with_suffix("").parts
    text = path.read_text("utf-8")
    return Module(".".join(part for part in parts if part != "__init__"), path, text, ast.parse(text))


def modules(root: Path) -> list[Module]:
    return [read(path, root) for path in sorted(root.rglob("*.py"))]


def plugin_modules() -> list[Module]:
    """Return the modules of each plugin; the import package is directly in the plugin's folder."""
    return [module for plugin in sorted(PLUGINS.iterdir()) if plugin.is_dir() for module in modules(plugin)]


def benchmark_modules() -> list[Module]:
    """Return the modules of the benchmarks, which are not a distribution and are imported from the root."""
    return [read(path, ROOT) for path in sorted(BENCHMARKS.rglob("*.py"))]


def load(found: Iterable[Module]) -> None:
    """Import modules, where the system has what they need."""
    for module in found:
        imported(module.name.removesuffix(".__main__"))


def imported(name: str) -> ModuleType | None:
    """Return a module, or None if it is for another system (Windows, a session bus) or needs what Wine 8 lacks."""
    try:
        return importlib.import_module(name)
    except (ImportError, AssertionError) as error:
        if sys.platform == "win32" and "_pydantic_core" in str(error):
            return None
        windows_only = name.rpartition(".")[2].startswith("windows_")
        if windows_only != (sys.platform == "win32") and (windows_only or name.startswith(_ON_A_BUS)):
            return None
        raise


def imports(tree: ast.Module) -> Iterator[Import]:
    """Yield what a module imports, as ``package.module.name``; the last part may or may not be a module."""
    for_types = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for statement in node.body
        for child in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield Import(name, node.lineno, id(node) in for_types)


def code_lines(module: Module) -> set[int]:
    """Return the numbers of the lines that contain code, not only blanks, comments or docstrings."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type not in NOT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines
