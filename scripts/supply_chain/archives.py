"""Builds the wheels and source archives of all members from one commit, and checks what is in them."""

from __future__ import annotations

import configparser
import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import frozen
from packaging.requirements import Requirement


MEMBERS: Final = ("core", "plugins/*")

_SURROUNDINGS: Final = ({"TZ": "UTC", "LC_ALL": "C"}, {"TZ": "Asia/Kathmandu", "LC_ALL": "C.UTF-8"})
"""Two builds differ in these, in the path of the sources and in the permissions of new files, and must not differ."""

_UMASKS: Final = (0o022, 0o077)


class ReleaseFlawError(Exception):
    """What was built cannot be released."""


@frozen(kw_only=True)
class Member:
    """One distribution of this repository.

    Attributes:
        name: Its name, such as ``freshkey-cli``.
        version: Its version.
        folder: Its folder, relative to the root of the checkout.
        entry_points: What it declares, by group and name.
        requirements: Names of the packages that it requires.
    """

    name: str
    version: str
    folder: str
    entry_points: Mapping[str, Mapping[str, str]]
    requirements: frozenset[str]

    @property
    def package(self) -> str:
        """The name of its import package, which begins the names of its archives."""
        return self.name.replace("-", "_")


def members(root: Path) -> tuple[Member, ...]:
    """Return the members of a checkout.

    Raises:
        ReleaseFlawError: They do not all have the same version.
    """
    found = tuple(_member(project, root) for each in MEMBERS for project in sorted(root.glob(f"{each}/pyproject.toml")))
    if len({one.version for one in found}) != 1:
        raise ReleaseFlawError(f"versions differ: {', '.join(f'{one.name} {one.version}' for one in found)}")
    return found


def _member(project: Path, root: Path) -> Member:
    table: dict[str, Any] = tomllib.loads(project.read_text("utf-8"))["project"]
    points = dict(table.get("entry-points", {}))
    if scripts := table.get("scripts"):
        points["console_scripts"] = scripts
    return Member(
        name=table["name"],
        version=table["version"],
        folder=str(project.parent.relative_to(root)),
        entry_points=points,
        requirements=frozenset(Requirement(each).name for each in table.get("dependencies", [])),
    )


def export(root: Path, commit: str, to: Path) -> None:
    """Write the files of a commit to a new folder: what is not committed is not released."""
    to.mkdir(parents=True)
    archive = subprocess.run(["git", "-C", str(root), "archive", commit], capture_output=True, check=True)  # noqa: S603, S607
    subprocess.run(["tar", "-x", "-C", str(to)], input=archive.stdout, check=True)  # noqa: S603, S607


def build(sources: Path, to: Path, *, epoch: int, variant: int) -> None:
    """Build the source archive of every member, and from that its wheel.

    Args:
        sources: The exported sources.
        to: Where to put the archives.
        epoch: The time that all files in them get, in seconds since 1970-01-01T00:00:00Z.
        variant: In which of two surroundings, 0 or 1.
    """
    environ = {**os.environ, **_SURROUNDINGS[variant], "SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": str(variant)}
    for member in members(sources):
        done = subprocess.run(  # noqa: S603  our own build
            [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(to), str(sources / member.folder)],
            env=environ,
            umask=_UMASKS[variant],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ReleaseFlawError(f"cannot build {member.name}:\n{done.stdout}{done.stderr}")


def digest(file: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file in a folder by name, sorted."""
    return {file.name: digest(file) for file in sorted(folder.iterdir())}


def ensure_same(one: Mapping[str, str], other: Mapping[str, str], what: str) -> None:
    """Compare two sets of files by name and digest.

    Raises:
        ReleaseFlawError: They differ.
    """
    if different := sorted({name for name, _ in one.items() ^ other.items()}):
        raise ReleaseFlawError(f"{what}: {', '.join(different)}")


def check_contents(folder: Path, released: Iterable[Member]) -> None:
    """Check that there is one wheel and one source archive per member, and that they contain only what they should.

    Raises:
        ReleaseFlawError: A file is missing or unexpected, or a wheel declares other entry points than its sources.
    """
    released = tuple(released)
    expected = {name for one in released for name in (_wheel(one), _source_archive(one))}
    there = {file.name for file in folder.iterdir()}
    if there != expected:
        raise ReleaseFlawError(f"missing or unexpected: {', '.join(sorted(there ^ expected))}")
    for one in released:
        _check_wheel(folder / _wheel(one), one)
        _check_source_archive(folder / _source_archive(one), one)


def _wheel(member: Member) -> str:
    return f"{member.package}-{member.version}-py3-none-any.whl"


def _source_archive(member: Member) -> str:
    return f"{member.package}-{member.version}.tar.gz"


def _check_wheel(wheel: Path, member: Member) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        points = _entry_points(archive, f"{member.package}-{member.version}.dist-info/entry_points.txt")
    # A file beside the package would be installed next to other packages; one that ends in .pth runs at every start of
    # Python.
    own = (f"{member.package}/", f"{member.package}-{member.version}.dist-info/")
    strangers = [name for name in names if not name.startswith(own) or name.endswith(".pth") or ".." in name]
    missing = {f"{member.package}/py.typed", f"{own[1]}licenses/LICENSE", f"{own[1]}RECORD"} - set(names)
    if strangers or missing:
        raise ReleaseFlawError(f"{wheel.name}: unexpected: {strangers}; missing: {sorted(missing)}")
    if points != {group: dict(each) for group, each in member.entry_points.items()}:
        raise ReleaseFlawError(f"{wheel.name}: its entry points are not those of {member.folder}/pyproject.toml")


def _entry_points(archive: zipfile.ZipFile, name: str) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    if name in archive.namelist():
        parser.read_string(archive.read(name).decode("utf-8"))
    return {group: dict(parser.items(group)) for group in parser.sections()}


def _check_source_archive(archive: Path, member: Member) -> None:
    top = f"{member.package}-{member.version}"
    allowed = re.compile(
        rf"{re.escape(top)}/(?:{re.escape(member.package)}/.+\.(?:py|typed|tmpl)|[A-Z-]+(?:\.md)?|pyproject\.toml|\.gitignore)"
    )
    strangers = [name for name in _regular_files(archive) if not allowed.fullmatch(name)]
    if strangers:
        raise ReleaseFlawError(f"{archive.name}: unexpected: {strangers}")


def _regular_files(archive: Path) -> Iterator[str]:
    with tarfile.open(archive) as opened:
        for entry in opened:
            if not entry.isfile():
                raise ReleaseFlawError(f"{archive.name}: not a regular file: {entry.name}")
            yield entry.name
