"""Audits what is locked and installed, without a network: a list of advisories kept by hand, and what was reviewed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final

from attrs import frozen
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from scripts.supply_chain.lock_file import Locked


FILE: Final = "audit.toml"
MAX_AGE: Final = timedelta(days=30)
"""How old the review may be when a version is released."""

_RUNS_AT_START: Final = (".pth", "sitecustomize.py", "usercustomize.py")
"""Python runs these at every start, whether or not their package is used."""


@frozen(kw_only=True)
class Advisory:
    """A published vulnerability of a package.

    Attributes:
        id: Its identifier, such as a CVE number.
        package: The normalized name of the package.
        affected: The versions that have it.
    """

    id: str
    package: str
    affected: SpecifierSet


@frozen(kw_only=True)
class Review:
    """What somebody looked at, and when.

    Attributes:
        day: When the advisories of all runtime packages were last looked up.
        advisories: The known ones.
        runtime: Names of the packages that may be installed with a distribution of this repository.
    """

    day: date
    advisories: tuple[Advisory, ...]
    runtime: frozenset[str]


def read_review(text: str) -> Review:
    """Return the review from its TOML text."""
    table: dict[str, Any] = tomllib.loads(text)
    advisories = tuple(
        Advisory(id=one["id"], package=one["package"], affected=SpecifierSet(one["affected"]))
        for one in table["advisory"]
    )
    return Review(day=table["reviewed"], advisories=advisories, runtime=frozenset(table["runtime"]))


def load_review() -> Review:
    """Return the review of this checkout."""
    return read_review((Path(__file__).parent / FILE).read_text("utf-8"))


def findings(locked: Iterable[Locked], runtime: Iterable[Locked], review: Review) -> Iterator[str]:
    """Yield what is wrong with the locked packages.

    Args:
        locked: All locked packages; none may have a known vulnerability.
        runtime: Those that a user installs; each must have been reviewed.
        review: What they are compared with.
    """
    for one in locked:
        for advisory in review.advisories:
            if one.name == advisory.package and advisory.affected.contains(Version(one.version), prereleases=True):
                yield f"{one.name} {one.version}: {advisory.id} affects {advisory.affected}"
    names = {one.name for one in runtime}
    for name in sorted(names - review.runtime):
        yield f"{name}: nobody has reviewed this runtime dependency; if it is wanted, add it to {FILE}"
    for name in sorted(review.runtime - names):
        yield f"{name}: no longer a runtime dependency; remove it from {FILE}"


def installed_findings(
    locked: Iterable[Locked], runtime: Iterable[Locked], installed: Iterable[Distribution] | None = None
) -> Iterator[str]:
    """Yield what is wrong with the installed packages: other versions, and files that Python runs at every start.

    Args:
        locked: All locked packages.
        runtime: Those that a user installs.
        installed: Distributions; those of this interpreter by default.
    """
    versions: dict[str, set[str]] = {}
    for one in locked:
        versions.setdefault(one.name, set()).add(one.version)
    names = {one.name for one in runtime}
    for each in distributions() if installed is None else installed:
        name = str(canonicalize_name(each.name))
        if name in versions and each.version not in versions[name]:
            yield f"{name} {each.version} is installed, but {' or '.join(sorted(versions[name]))} is locked"
        if name in names:
            for file in each.files or ():
                if file.name.endswith(_RUNS_AT_START):
                    yield f"{name} installs {file}, which Python runs at every start"


def age(review: Review, epoch: int) -> timedelta:
    """Return how old the review was at a time in seconds since 1970-01-01T00:00:00Z."""
    return datetime.fromtimestamp(epoch, UTC).date() - review.day
