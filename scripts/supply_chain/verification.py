"""Verifies a release as somebody who downloaded it would: from the files in its folder alone."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from scripts.supply_chain import bill_of_materials, provenance
from scripts.supply_chain.archives import Member, ReleaseFlawError, check_contents, digests, ensure_same


CHECKSUMS: Final = "SHA256SUMS"

_SIGNATURES: Final = frozenset({f"{CHECKSUMS}.sig", f"{CHECKSUMS}.asc"})
"""What ``ssh-keygen -Y sign`` and ``gpg --detach-sign --armor`` make of the checksums."""

_DESCRIPTIONS: Final = frozenset({bill_of_materials.FILE, provenance.FILE})


def write_checksums(folder: Path) -> None:
    """Write the SHA-256 of every file in a folder, in the format of ``sha256sum``."""
    lines = [f"{value}  {name}\n" for name, value in digests(folder).items()]
    (folder / CHECKSUMS).write_text("".join(lines), "utf-8")


def verify(folder: Path, released: Iterable[Member]) -> None:
    """Check a release: its checksums, its descriptions, and what is in its archives.

    Raises:
        ReleaseFlawError: A file is missing, unexpected, changed, not described, or contains what it should not.
    """
    listed = _listed(folder)
    there = {name: value for name, value in digests(folder).items() if name != CHECKSUMS}
    ensure_same(listed, there, "not as in the checksums")
    described = [(folder / name).read_text("utf-8") for name in sorted(_DESCRIPTIONS)]
    bill_of_materials.check((folder / bill_of_materials.FILE).read_text("utf-8"))
    archives = {name: value for name, value in there.items() if name not in _DESCRIPTIONS}
    for name, value in archives.items():
        if not all(name in text and value in text for text in described):
            raise ReleaseFlawError(f"the bill of materials or the provenance does not list {name}")
    with tempfile.TemporaryDirectory() as apart:
        for name in archives:
            (Path(apart) / name).symlink_to((folder / name).resolve())
        check_contents(Path(apart), released)


def ensure_same_release(ours: Path, theirs: Path) -> None:
    """Compare a release that was downloaded with one that was built: every file that the latter has, and what it lists.

    Of the provenance, the commit and the files must be the same, but not the versions of the build tools, as long as
    what they built is. Signatures of the checksums are passed over; nothing else may be there.

    Raises:
        ReleaseFlawError: They differ, or the checksums are not those of the files.
    """
    there = {name: value for name, value in digests(theirs).items() if name not in _SIGNATURES}
    ensure_same(_listed(theirs), {name: value for name, value in there.items() if name != CHECKSUMS}, "not as listed")
    one, other = (_compared(each) for each in (digests(ours), there))
    ensure_same(one, other, "not what this commit builds")
    if _built_from(ours) != _built_from(theirs):
        raise ReleaseFlawError(f"{provenance.FILE} names another commit, lock file or set of files")


def _compared(digests_by_name: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in digests_by_name.items() if name not in {provenance.FILE, CHECKSUMS}}


def _built_from(folder: Path) -> tuple[object, object]:
    """Return what a provenance says of the sources and the files, without the tools."""
    try:
        statement: dict[str, Any] = json.loads((folder / provenance.FILE).read_text("utf-8"))
        built: dict[str, Any] = statement["predicate"]["buildDefinition"]
        return statement["subject"], (built["externalParameters"]["commit"], built["resolvedDependencies"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ReleaseFlawError(f"{provenance.FILE} is missing or damaged") from None


def _listed(folder: Path) -> dict[str, str]:
    try:
        lines = (folder / CHECKSUMS).read_text("utf-8").splitlines()
        return {name: value for value, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError):
        raise ReleaseFlawError(f"{CHECKSUMS} is missing or is not in the format of sha256sum") from None
