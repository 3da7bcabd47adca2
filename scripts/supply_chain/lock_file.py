"""Reads `requirements.lock`: exact versions, their hashes, and which package needs which."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from attrs import frozen


LOCK: Final = "requirements.lock"

_PINNED: Final = re.compile(
    r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^\s;\\]+)(?: ; (?P<marker>[^\\]+?))?(?: \\)?$"
)
_HASH: Final = re.compile(r"^    --hash=sha256:(?P<hash>[0-9a-f]{64})(?: \\)?$")
_VIA: Final = re.compile(r"^    # (?:via)? *(?P<name>[a-z0-9][a-z0-9._-]*)?(?: \(.*\))?$")


class LockFlawError(Exception):
    """The lock file has a line that pins nothing, such as a URL, a range or a package without hashes."""


@frozen(kw_only=True)
class Locked:
    """One locked package.

    Attributes:
        name: Its normalized name.
        version: Its exact version.
        marker: On which platforms and Python versions it is installed; None for all.
        hashes: SHA-256 of each of its files, in hexadecimal.
        needed_by: Names of the packages that depend on it.
    """

    name: str
    version: str
    marker: str | None
    hashes: tuple[str, ...]
    needed_by: frozenset[str]


def read_lock(text: str) -> tuple[Locked, ...]:
    """Return the packages of a lock file, in its order.

    Raises:
        LockFlawError: A line is not of the form that `scripts/lock` writes, or a package has no hash.
    """
    packages = tuple(map(_package, _blocks(text)))
    if unhashed := [one.name for one in packages if not one.hashes]:
        raise LockFlawError(f"packages without a hash: {', '.join(unhashed)}")
    return packages


def read(root: Path) -> tuple[Locked, ...]:
    """Return the packages of the lock file of a checkout; raises as `read_lock` does."""
    return read_lock((root / LOCK).read_text("utf-8"))


def needed_by(packages: Iterable[Locked], members: Iterable[str]) -> tuple[Locked, ...]:
    """Return the packages that one of the members needs, directly or not."""
    packages, reached = tuple(packages), set(members)
    while new := {one.name for one in packages if one.needed_by & reached} - reached:
        reached |= new
    return tuple(one for one in packages if one.name in reached)


def _blocks(text: str) -> Iterator[list[str]]:
    """Yield the lines of each package."""
    block: list[str] = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if not line.startswith(" ") and block:
            yield block
            block = []
        block.append(line)
    if block:
        yield block


def _package(block: list[str]) -> Locked:
    head = _PINNED.match(block[0])
    if head is None:
        raise LockFlawError(f"not an exact version: {block[0]}")
    hashes, parents = [], set()
    for line in block[1:]:
        if found := _HASH.match(line):
            hashes.append(found["hash"])
        elif found := _VIA.match(line):
            parents |= {found["name"]} - {None}
        else:
            raise LockFlawError(f"{head['name']}: unexpected line: {line}")
    return Locked(
        name=head["name"],
        version=head["version"],
        marker=head["marker"],
        hashes=tuple(hashes),
        needed_by=frozenset(parents),
    )
