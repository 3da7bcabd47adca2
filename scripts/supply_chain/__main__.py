"""Builds a release, or verifies one; see ``scripts/release``."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from attrs import frozen

from scripts.supply_chain import audit, bill_of_materials, provenance
from scripts.supply_chain.archives import (
    Member,
    ReleaseFlawError,
    build,
    check_contents,
    digest,
    digests,
    ensure_same,
    export,
    members,
)
from scripts.supply_chain.lock_file import LOCK, LockFlawError, read
from scripts.supply_chain.verification import CHECKSUMS, ensure_same_release, verify, write_checksums


ROOT: Final = Path(__file__).resolve().parents[2]
_TOO_OLD: Final = (
    f"the review in {audit.FILE} is {{days}} days old: look up the advisories of the packages it lists, and update it"
)


@frozen(kw_only=True)
class Source:
    """The commit that is released.

    Attributes:
        commit: Its hash.
        tag: Its tag, if it has one.
        epoch: When it was committed, in seconds since 1970-01-01T00:00:00Z.
    """

    commit: str
    tag: str | None
    epoch: int


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode != 0:
        raise ReleaseFlawError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def _source() -> Source:
    if changed := _git("status", "--porcelain"):
        raise ReleaseFlawError(f"not committed, so not part of a release:\n{changed}")
    tags = _git("tag", "--points-at", "HEAD", "--list", "v*").splitlines()
    return Source(
        commit=_git("rev-parse", "HEAD"),
        tag=tags[0] if tags else None,
        epoch=int(_git("log", "-1", "--format=%ct")),
    )


def _built(source: Source, to: Path, work: Path) -> tuple[Member, ...]:
    """Build everything twice, compare, check what is in it, and put it into the folder `to`."""
    built: list[dict[str, str]] = []
    for variant, sources in enumerate((work / "one", work / "another" / "deeper")):
        export(ROOT, source.commit, sources)
        archives = work / f"archives-{variant}"
        build(sources, archives, epoch=source.epoch, variant=variant)
        built.append(digests(archives))
    ensure_same(built[0], built[1], "two builds of the same commit differ in")
    released = members(work / "one")
    if source.tag not in {None, f"v{released[0].version}"}:
        raise ReleaseFlawError(f"the tag is {source.tag}, but the version is {released[0].version}")
    check_contents(work / "archives-0", released)
    for archive in (work / "archives-0").iterdir():
        archive.rename(to / archive.name)
    return released


def _audit(source: Source, released: tuple[Member, ...]) -> None:
    locked, review = read(ROOT), audit.load_review()
    runtime = bill_of_materials.runtime_packages(locked, released)
    wrong = [*audit.findings(locked, runtime, review), *audit.installed_findings(locked, runtime)]
    age = audit.age(review, source.epoch)
    if age > audit.MAX_AGE:
        told = _TOO_OLD.format(days=age.days)
        if source.tag is not None:
            wrong.append(told)
        else:
            print(f"warning: {told}", file=sys.stderr)
    if wrong:
        raise ReleaseFlawError("the audit found:\n" + "\n".join(f"  {each}" for each in wrong))
    print(f"audit: {len(locked)} locked packages, {len(runtime)} at run time, {len(review.advisories)} advisories")


def _describe(source: Source, released: tuple[Member, ...], folder: Path) -> None:
    """Write the bill of materials, the provenance and the checksums."""
    runtime = bill_of_materials.runtime_packages(read(ROOT), released)
    archives = digests(folder)
    text = bill_of_materials.bill_of_materials(released, runtime, archives, epoch=source.epoch)
    (folder / bill_of_materials.FILE).write_text(text, "utf-8")
    statement = provenance.provenance(
        digests(folder), commit=source.commit, tag=source.tag, lock_digest=digest(ROOT / LOCK)
    )
    (folder / provenance.FILE).write_text(statement, "utf-8")
    write_checksums(folder)


def _release(to: Path, against: Path | None) -> None:
    if to.exists() and any(to.iterdir()):
        raise ReleaseFlawError(f"{to} is not empty")
    to.mkdir(parents=True, exist_ok=True)
    source = _source()
    with tempfile.TemporaryDirectory(dir=to.parent) as work:
        released = _built(source, to, Path(work))
    _audit(source, released)
    _describe(source, released, to)
    verify(to, released)
    if against is not None:
        ensure_same_release(to, against)
    print((to / CHECKSUMS).read_text("utf-8"), end="")


def main() -> int:
    """Build a release into a folder, or compare one with what this commit builds."""
    parser = argparse.ArgumentParser(prog="scripts/release", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--outdir", type=Path, default=Path("dist"), help="a new or empty folder (default: dist)")
    parser.add_argument("--against", type=Path, metavar="DIR", help="a downloaded release, to compare with this commit")
    arguments = parser.parse_args()
    try:
        _release(arguments.outdir.resolve(), arguments.against)
    except (ReleaseFlawError, LockFlawError) as error:
        print(f"scripts/release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
