"""The audit that needs no network, and the lock file that it reads."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date, timedelta
from importlib.metadata import Distribution, PackagePath
from pathlib import Path

import pytest


if sys.platform == "win32":
    pytest.skip("releases are made and audited on Linux", allow_module_level=True)

from scripts.supply_chain import audit
from scripts.supply_chain.archives import members
from scripts.supply_chain.bill_of_materials import runtime_packages
from scripts.supply_chain.lock_file import Locked, LockFlawError, needed_by, read, read_lock
from source_tree import ROOT


HASH = "0" * 64
REVIEW = audit.read_review(
    'reviewed = 2026-01-31\nruntime = ["seen"]\n[[advisory]]\nid = "CVE-1"\npackage = "seen"\naffected = "<2.1"\n'
)


def locked(name: str, version: str, *parents: str) -> Locked:
    return Locked(name=name, version=version, marker=None, hashes=(HASH,), needed_by=frozenset(parents))


class Installed(Distribution):
    """Metadata of a made-up distribution."""

    def __init__(self, name: str, version: str, *files: str) -> None:
        self._text, self._files = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", files

    def read_text(self, filename: str) -> str | None:
        return {"METADATA": self._text, "RECORD": "".join(f"{file},,\n" for file in self._files)}.get(filename)

    def locate_file(self, path: object) -> Path:
        return Path(str(path))

    @property
    def files(self) -> list[PackagePath]:
        return [PackagePath(file) for file in self._files]


def found(packages: Sequence[Locked]) -> list[str]:
    return list(audit.findings(packages, packages, REVIEW))


def test_nothing_that_is_locked_or_installed_here_is_known_to_be_bad() -> None:
    """REL-3."""
    packages = read(ROOT)
    runtime = runtime_packages(packages, members(ROOT))
    assert list(audit.findings(packages, runtime, audit.load_review())) == []
    assert list(audit.installed_findings(packages, runtime)) == []


def test_locked_version_with_an_advisory_is_found() -> None:
    """REL-3."""
    assert found([locked("seen", "2.0.9")]) == ["seen 2.0.9: CVE-1 affects <2.1"]
    assert found([locked("seen", "2.1")]) == []


def test_runtime_dependency_that_nobody_reviewed_is_found() -> None:
    """REL-3."""
    assert found([locked("seen", "3"), locked("new", "1")]) == [
        "new: nobody has reviewed this runtime dependency; if it is wanted, add it to audit.toml"
    ]
    assert found([]) == ["seen: no longer a runtime dependency; remove it from audit.toml"]


@pytest.mark.parametrize("file", ["seen.pth", "sitecustomize.py", "deep/__editable__.pth"])
def test_package_that_runs_code_at_every_start_is_found(file: str) -> None:
    """REL-3."""
    installed = [Installed("Seen", "3", "seen/__init__.py", file)]
    assert list(audit.installed_findings([locked("seen", "3")], [locked("seen", "3")], installed)) == [
        f"seen installs {file}, which Python runs at every start"
    ]


def test_other_version_than_the_locked_one_is_found() -> None:
    installed = [Installed("Seen", "4"), Installed("unrelated", "1")]
    assert list(audit.installed_findings([locked("seen", "3"), locked("seen", "3.5")], [], installed)) == [
        "seen 4 is installed, but 3 or 3.5 is locked"
    ]


def test_review_has_an_age() -> None:
    assert REVIEW.day == date(2026, 1, 31)
    assert audit.age(REVIEW, 1_772_323_200) == timedelta(days=29)  # 2026-03-01T00:00Z


def test_runtime_packages_are_those_that_a_member_needs() -> None:
    packages = (locked("one", "1", "member"), locked("two", "1", "one", "tool"), locked("tool", "1", "workspace"))
    assert [one.name for one in needed_by(packages, ["member"])] == ["one", "two"]


def test_lock_file_is_read_with_markers_hashes_and_parents() -> None:
    text = (
        "# a comment\n"
        f"one==1.0 ; python_version < '3.12' \\\n    --hash=sha256:{HASH} \\\n    --hash=sha256:{'1' * 64}\n"
        "    # via\n    #   freshkey\n    #   workspace (pyproject.toml:dev)\n"
        f"two==2 \\\n    --hash=sha256:{HASH}\n    # via one\n"
    )
    first, second = read_lock(text)
    assert first == Locked(
        name="one",
        version="1.0",
        marker="python_version < '3.12'",
        hashes=(HASH, "1" * 64),
        needed_by=frozenset({"freshkey", "workspace"}),
    )
    assert second == locked("two", "2", "one")


@pytest.mark.parametrize(
    "text",
    [
        "one>=1\n",
        "one @ file:///tmp/one\n",
        "-e ./one\n",
        "one==1\n    # via freshkey\n",
        f"one==1 \\\n    --hash=md5:{HASH}\n",
        "--index-url elsewhere\n",
    ],
)
def test_line_that_pins_nothing_is_refused(text: str) -> None:
    """REL-3."""
    with pytest.raises(LockFlawError):
        read_lock(text)
