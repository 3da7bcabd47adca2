"""Verifies a release as somebody who downloaded it would: from the files in its folder alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from scripts.supply_chain import bill_of_materials, provenance
from scripts.supply_chain.archives import Member, ReleaseFlawError, check_contents, digests, ensure_same


CHECKSUMS: Final = "SHA256SUMS"

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
    """Compare the archives and the bill of materials of two releases.

    Provenance names the versions of the build tools, which may differ as long as the archives do not.

    Raises:
        ReleaseFlawError: They differ.
    """
    one, other = (
        {name: value for name, value in digests(each).items() if name not in {provenance.FILE, CHECKSUMS}}
        for each in (ours, theirs)
    )
    ensure_same(one, other, "not what this commit builds")


def _listed(folder: Path) -> dict[str, str]:
    try:
        lines = (folder / CHECKSUMS).read_text("utf-8").splitlines()
        return {name: value for value, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError):
        raise ReleaseFlawError(f"{CHECKSUMS} is missing or is not in the format of sha256sum") from None
