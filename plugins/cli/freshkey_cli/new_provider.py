"""The command ``new-provider``: write a package with a working provider, store or observer, and its tests."""

from __future__ import annotations

import argparse
import os
import re
import shutil
from importlib import metadata, resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from freshkey.errors import ConfigurationError
from freshkey_cli import commands, exits


if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from freshkey_cli.context import Context

KINDS: Final = {
    "oauth": ("providers", "a provider that signs the user in with OAuth (the default)"),
    "password": ("providers", "a provider to which the user signs in with email and password"),
    "machine": ("providers", "a provider for programs without a user: client credentials"),
    "lease": ("providers", "a provider of leases, such as database logins"),
    "borrowed": ("providers", "a provider that reads another tool's file"),
    "store": ("stores", "a store"),
    "observer": ("observers", "an observer"),
}
"""Each kind of package: its entry point group, and what it is."""

_REQUIRES: Final = {"store": ["cryptography>=44"], "observer": []}
"""What a kind requires in addition to freshkey, if that is not attrs alone."""

PREFIX: Final = "freshkey-"

_RESERVED: Final = frozenset(
    {"bedrock", "claude-oauth", "cli", "core", "file", "keyring", "memory", "oidc", "plugin", "testing", "vertex"}
)
"""Names of freshkey's own packages and stores, installed or not, and what could be mistaken for one."""

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
_MAX_NAME: Final = 30
_TEMPLATES: Final = "templates"
_SUFFIX: Final = ".tmpl"
"""Templates are no modules of this package: linters and importers leave files with this suffix alone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the name and the kind."""
    parser.add_argument("name", metavar="NAME", help="name of the provider, such as acme: writes freshkey-acme/")
    kinds = parser.add_mutually_exclusive_group()
    for kind, (_, title) in KINDS.items():
        kinds.add_argument(f"--{kind}", action="store_const", dest="kind", const=kind, default="oauth", help=title)


def run(context: Context) -> int:
    """Write the package below the current directory, and say what to do next."""
    kind = context.arguments.kind
    name = checked_name(context.arguments.name)
    if (holder := taken_by(name)) is not None:
        raise ConfigurationError(
            f"the name {name!r} is taken by {holder}",
            hint="Choose another name, or use an environment in which that is not installed",
            code="provider-name-taken",
        )
    folder = Path.cwd() / f"{PREFIX}{name}"
    written = write(folder, name, kind)
    context.out.result(
        {"folder": str(folder), "kind": kind, "files": written},
        [
            f"Wrote {folder.name}/ with {len(written)} files. Next:",
            f"  cd {folder.name}",
            "  python3 -m venv .venv",
            "  .venv/bin/python -m pip install --upgrade pip",
            "  .venv/bin/python -m pip install --group dev --editable .",
            "  .venv/bin/python -m pytest",
        ],
    )
    return exits.OK


def checked_name(text: str) -> str:
    """Return a name as package indexes normalize it (PEP 503), without the prefix of the package.

    A keyword of Python, or the name of one of its modules, will do: the module of the package is ``freshkey_class``.

    Raises:
        ConfigurationError: It cannot be the name of a package and a provider, or it is one of freshkey's own.
    """
    name = re.sub(r"[-_.]+", "-", text).lower().removeprefix(PREFIX)
    if _NAME.fullmatch(name) is None or len(name) > _MAX_NAME:
        raise ConfigurationError(
            "this cannot be the name of a provider",
            hint=f"Use letters and digits, joined by hyphens, at most {_MAX_NAME} characters: my-bank",
            code="invalid-provider-name",
        )
    if name in _RESERVED:
        raise ConfigurationError(
            f"the name {name!r} belongs to freshkey itself", hint="Choose another name", code="provider-name-taken"
        )
    return name


def taken_by(name: str) -> str | None:
    """Return what has a name in this environment, in words: a plugin, a package or a module; None if nothing has."""
    from freshkey import admin

    for group in (*sorted({f"freshkey.{group}" for group, _ in KINDS.values()}), commands.GROUP):
        for plugin in admin.find(group):
            if provider_id(plugin.name) == provider_id(name):
                return f"the package {plugin.origin}, which has it in the group {group}"
    try:
        return f"the installed package {PREFIX}{name} {metadata.version(PREFIX + name)}"
    except metadata.PackageNotFoundError:
        module = package_name(name)
        return None if find_spec(module) is None else f"the module {module}"


def provider_id(name: str) -> str:
    """Return the name of the entry point, which profiles use: ``my_bank``."""
    return name.replace("-", "_")


def package_name(name: str) -> str:
    """Return the name of the module: ``freshkey_my_bank``."""
    return f"freshkey_{provider_id(name)}"


def write(folder: Path, name: str, kind: str) -> list[str]:
    """Write a package, and return its files; a failure, or Ctrl-C, leaves nothing behind.

    Args:
        folder: The folder to create.
        name: The normalized name.
        kind: One of `KINDS`.

    Raises:
        ConfigurationError: The folder exists, or cannot be written.
    """
    if os.path.lexists(folder):
        raise _existing(folder)
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        unfinished.mkdir()
        files = sorted(_files(unfinished, name, kind))
        unfinished.rename(folder)
    except OSError as error:
        raise (_existing(folder) if os.path.lexists(folder) else _unwritable(folder, error)) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return files


def _existing(folder: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{folder.name} already exists, and nothing was written",
        hint="Choose another name or directory, or remove it",
        code="directory-exists",
    )


def _unwritable(folder: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"cannot write {folder.name}: {error.strerror}",
        hint="Go to a directory that you can write to",
        code="directory-not-writable",
    )


def _files(folder: Path, name: str, kind: str) -> Iterator[str]:
    words = {
        "group": KINDS[kind][0],
        "id": provider_id(name),
        "name": name,
        "package": package_name(name),
        "requires": "".join(f'    "{each}",\n' for each in _REQUIRES.get(kind, ["attrs>=24.2"])),
        "title": name.replace("-", " ").title(),
        "upper": provider_id(name).upper(),
    }
    templates = resources.files("freshkey_cli") / _TEMPLATES
    for template, relative in (*_found(templates / "common"), *_found(templates / kind)):
        place = _filled(relative, words)
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_filled(template.read_text("utf-8"), words), "utf-8", newline="\n")
        yield place


def _found(folder: Traversable, below: str = "") -> Iterator[tuple[Traversable, str]]:
    """Return the templates in a folder, and where each is written."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _found(entry, f"{below}{entry.name}/")
        elif entry.name.endswith(_SUFFIX):
            yield entry, below + entry.name.removesuffix(_SUFFIX)


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub(r"@(\w+)@", lambda found: words[found[1]], text)
