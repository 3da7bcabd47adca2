"""The command ``new-provider``: write a package with a working provider, store or observer, and its tests."""

from __future__ import annotations

import argparse
import re
import shutil
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from freshkey.errors import ConfigurationError
from freshkey_cli import exits


if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
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

_RESERVED: Final = frozenset({"cli", "testing", "keyring", "file", "memory"})
"""Names of freshkey's own packages and stores."""

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
    from freshkey import admin

    kind = context.arguments.kind
    name = checked_name(context.arguments.name, {plugin.name for plugin in admin.find()})
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


def checked_name(text: str, taken: Collection[str]) -> str:
    """Return a name as package indexes normalize it (PEP 503), without the prefix of the package.

    Args:
        text: The name as it was given.
        taken: IDs of installed providers.

    Raises:
        ConfigurationError: It cannot be the name of a package and a provider, or another one has it.
    """
    name = re.sub(r"[-_.]+", "-", text).lower().removeprefix(PREFIX)
    if _NAME.fullmatch(name) is None or len(name) > _MAX_NAME:
        raise ConfigurationError(
            "this cannot be the name of a provider",
            hint=f"Use letters and digits, joined by hyphens, at most {_MAX_NAME} characters: my-bank",
            code="invalid-provider-name",
        )
    if name in _RESERVED or provider_id(name) in taken:
        raise ConfigurationError(
            f"the name {name!r} is taken",
            hint="Choose another name; freshkey providers lists those of installed packages",
            code="provider-name-taken",
        )
    return name


def provider_id(name: str) -> str:
    """Return the name of the entry point, which profiles use: ``my_bank``."""
    return name.replace("-", "_")


def write(folder: Path, name: str, kind: str) -> list[str]:
    """Write a package, and return its files; a failure leaves nothing behind.

    Args:
        folder: The folder to create.
        name: The normalized name.
        kind: One of `KINDS`.

    Raises:
        ConfigurationError: The folder exists, or cannot be written.
    """
    try:
        folder.mkdir()
    except FileExistsError:
        raise ConfigurationError(
            f"{folder.name} already exists, and nothing was written",
            hint="Choose another name or directory, or remove it",
            code="directory-exists",
        ) from None
    except OSError as error:
        raise _unwritable(folder, error) from None
    try:
        return sorted(_files(folder, name, kind))
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise _unwritable(folder, error) from None


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
        "package": f"freshkey_{provider_id(name)}",
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
