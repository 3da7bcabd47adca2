"""A release: built twice from a commit, described, audited and verified."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest


if sys.platform == "win32":
    pytest.skip("releases are made and audited on Linux", allow_module_level=True)

from scripts.supply_chain import bill_of_materials, provenance
from scripts.supply_chain.archives import Member, ReleaseFlawError, check_contents, digests, ensure_same, members
from scripts.supply_chain.lock_file import read
from scripts.supply_chain.verification import CHECKSUMS, ensure_same_release, verify, write_checksums
from source_tree import ROOT


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the release command builds from a clone of the current commit."""
    work = tmp_path_factory.mktemp("release")
    git("clone", "--quiet", "--no-hardlinks", str(ROOT), str(work / "clone"))
    command = [sys.executable, "-m", "scripts.supply_chain", "--outdir", str(work / "dist")]
    done = subprocess.run(command, cwd=work / "clone", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    yield work / "dist"
    shutil.rmtree(work)


@pytest.fixture
def copy(release: Path, tmp_path: Path) -> Path:
    """Copy the release, for a test that changes it."""
    return Path(shutil.copytree(release, tmp_path / "copy"))


@pytest.mark.timeout(300)
def test_release_has_every_archive_and_describes_each(release: Path) -> None:
    """REL-1."""
    names = {file.name for file in release.iterdir()}
    assert {name for name in names if name.endswith((".whl", ".tar.gz"))} == {
        name
        for one in members(ROOT)
        for name in (f"{one.package}-{one.version}-py3-none-any.whl", f"{one.package}-{one.version}.tar.gz")
    }
    assert names >= {CHECKSUMS, bill_of_materials.FILE, provenance.FILE}
    statement = json.loads((release / provenance.FILE).read_text("utf-8"))
    subjects = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    assert subjects == {
        name: value for name, value in digests(release).items() if name not in {CHECKSUMS, provenance.FILE}
    }
    verify(release, members(ROOT))


def test_changed_missing_or_added_file_is_noticed(copy: Path) -> None:
    wheel = next(copy.glob("freshkey_cli-*.whl"))
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    with pytest.raises(ReleaseFlawError, match=r"not as in the checksums: freshkey_cli-.*\.whl"):
        verify(copy, members(ROOT))
    wheel.unlink()
    with pytest.raises(ReleaseFlawError, match="freshkey_cli"):
        verify(copy, members(ROOT))
    (copy / "evil.whl").write_bytes(b"")
    with pytest.raises(ReleaseFlawError, match=r"evil\.whl"):
        verify(copy, members(ROOT))


def test_changed_file_with_a_new_checksum_is_not_described(copy: Path) -> None:
    wheel = next(copy.glob("freshkey_cli-*.whl"))
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    (copy / CHECKSUMS).unlink()
    write_checksums(copy)
    with pytest.raises(ReleaseFlawError, match="does not list freshkey_cli"):
        verify(copy, members(ROOT))


def test_download_is_compared_with_what_the_commit_builds(release: Path, copy: Path) -> None:
    """REL-1."""
    for signature in (f"{CHECKSUMS}.sig", f"{CHECKSUMS}.asc"):
        (copy / signature).write_text("a signature")  # this is checked before, with other tools
    ensure_same_release(release, copy)
    rewrite(copy / provenance.FILE, '"python": "3', '"python": "4')
    ensure_same_release(release, copy)  # another Python that built the same
    archive = next(copy.glob("freshkey-*.tar.gz"))
    archive.write_bytes(b"other")
    with pytest.raises(ReleaseFlawError, match=r"not as listed: freshkey-.*\.tar\.gz"):
        ensure_same_release(release, copy)
    list_again(copy)
    with pytest.raises(ReleaseFlawError, match=r"not what this commit builds: freshkey-.*\.tar\.gz"):
        ensure_same_release(release, copy)


def test_download_with_another_provenance_is_refused(release: Path, copy: Path) -> None:
    """REL-1."""
    commit = json.loads((copy / provenance.FILE).read_text("utf-8"))["predicate"]["buildDefinition"][
        "externalParameters"
    ]["commit"]
    rewrite(copy / provenance.FILE, commit, "0" * 40)
    with pytest.raises(ReleaseFlawError, match="names another commit"):
        ensure_same_release(release, copy)
    (copy / provenance.FILE).write_text("[]")
    list_again(copy)
    with pytest.raises(ReleaseFlawError, match="is missing or damaged"):
        ensure_same_release(release, copy)


@pytest.mark.parametrize("name", ["INSTALL.sh", "freshkey_evil-0.2.0-py3-none-any.whl"])
def test_download_with_another_file_is_refused(release: Path, copy: Path, name: str) -> None:
    """REL-1."""
    (copy / name).write_bytes(b"")
    with pytest.raises(ReleaseFlawError, match=f"not as listed: {name}"):
        ensure_same_release(release, copy)
    list_again(copy)
    with pytest.raises(ReleaseFlawError, match=f"not what this commit builds: {name}"):
        ensure_same_release(release, copy)


def rewrite(file: Path, old: str, new: str) -> None:
    """Change a file, and its checksum in the list."""
    file.write_text(file.read_text("utf-8").replace(old, new), "utf-8")
    list_again(file.parent)


def list_again(folder: Path) -> None:
    """Write the checksums of a changed release."""
    (folder / CHECKSUMS).unlink()
    for signature in folder.glob(f"{CHECKSUMS}.*"):
        signature.unlink()
    write_checksums(folder)


def test_checksums_in_another_format_are_refused(copy: Path) -> None:
    (copy / CHECKSUMS).write_text("nonsense\n")
    with pytest.raises(ReleaseFlawError, match="format of sha256sum"):
        verify(copy, members(ROOT))


@pytest.mark.parametrize("changed", [".pth", "beside/__init__.py", "freshkey_cli/../../up.py"])
def test_wheel_with_a_file_that_would_be_installed_elsewhere_is_refused(copy: Path, changed: str) -> None:
    """REL-2."""
    with zipfile.ZipFile(next(copy.glob("freshkey_cli-*.whl")), "a") as wheel:
        wheel.writestr(f"freshkey_cli/at_start{changed}" if changed == ".pth" else changed, "")
    with pytest.raises(ReleaseFlawError, match=r"freshkey_cli-.*unexpected: \['"):
        check_contents(archives_of(copy), members(ROOT))


def test_wheel_with_an_undeclared_entry_point_is_refused(copy: Path) -> None:
    """REL-2."""
    wheel = next(copy.glob("freshkey_bedrock-*.whl"))
    changed = wheel.with_suffix(".new")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            more = b"\n[freshkey.observers]\nspy = freshkey_bedrock\n" if name.endswith("entry_points.txt") else b""
            new.writestr(name, old.read(name) + more)
    changed.rename(wheel)
    with pytest.raises(ReleaseFlawError, match=r"entry points are not those of plugins/bedrock/pyproject\.toml"):
        check_contents(archives_of(copy), members(ROOT))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.REGTYPE])
def test_source_archive_with_a_link_or_a_stray_file_is_refused(copy: Path, kind: bytes) -> None:
    """REL-2."""
    archive = next(copy.glob("freshkey-*.tar.gz"))
    entry = tarfile.TarInfo(f"{archive.name.removesuffix('.tar.gz')}/freshkey/stray.so")
    entry.type, entry.linkname = kind, "/etc/passwd" if kind == tarfile.SYMTYPE else ""
    with tarfile.open(archive, "w:gz") as new:
        new.addfile(entry, io.BytesIO())
    with pytest.raises(ReleaseFlawError, match=r"stray\.so"):
        check_contents(archives_of(copy), members(ROOT))


def archives_of(folder: Path) -> Path:
    """Remove everything but the archives."""
    for name in (CHECKSUMS, bill_of_materials.FILE, provenance.FILE):
        (folder / name).unlink()
    return folder


def test_builds_that_differ_are_named() -> None:
    """REL-1."""
    with pytest.raises(ReleaseFlawError, match=r"^two builds differ in: b\.whl, c\.whl$"):
        ensure_same({"a.whl": "1", "b.whl": "2"}, {"a.whl": "1", "b.whl": "3", "c.whl": "4"}, "two builds differ in")


def test_bill_of_materials_lists_each_runtime_package_with_its_hashes() -> None:
    """REL-3."""
    released, locked = members(ROOT), read(ROOT)
    runtime = bill_of_materials.runtime_packages(locked, released)
    text = bill_of_materials.bill_of_materials(released, runtime, {}, epoch=1_700_000_000)
    bill_of_materials.check(text)
    assert text == bill_of_materials.bill_of_materials(released, runtime, {}, epoch=1_700_000_000)
    bom = json.loads(text)
    assert bom["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"
    listed = {one["name"]: one for one in bom["components"]}
    assert set(listed) == {one.name for one in released} | {one.name for one in runtime}
    for one in runtime:
        hashes = {each["value"] for each in listed[one.name]["properties"] if each["name"] == "freshkey:sha256"}
        assert hashes == set(one.hashes)
    needed = {one["ref"]: one.get("dependsOn", []) for one in bom["dependencies"]}
    assert {each.partition("==")[0] for each in needed["freshkey-cli"]} == {"attrs", "freshkey", "rich"}


def test_bill_of_materials_that_does_not_follow_the_schema_is_refused() -> None:
    with pytest.raises(ReleaseFlawError, match=r"schema of CycloneDX 1\.6"):
        bill_of_materials.check('{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": 1}')


def test_members_of_different_versions_are_not_released(tmp_path: Path) -> None:
    for name, version in (("core", "1"), ("plugins/one", "2")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "pyproject.toml").write_text(f'[project]\nname = "{name[-3:]}"\nversion = "{version}"\n')
    with pytest.raises(ReleaseFlawError, match="versions differ: ore 1, one 2"):
        members(tmp_path)


def test_every_distribution_has_the_licence_of_the_repository() -> None:
    licence = (ROOT / "LICENSE").read_bytes()
    folders = [ROOT / one.folder for one in members(ROOT)]
    # A link would leave the source archive with a link to nowhere.
    assert [folder.name for folder in folders if (folder / "LICENSE").is_symlink()] == []
    assert [folder.name for folder in folders if (folder / "LICENSE").read_bytes() != licence] == []


def test_member_names_what_it_declares() -> None:
    cli = next(one for one in members(ROOT) if one.name == "freshkey-cli")
    assert cli == Member(
        name="freshkey-cli",
        version=cli.version,
        folder="plugins/cli",
        entry_points=cli.entry_points,
        requirements=cli.requirements,
    )
    assert "freshkey" in cli.requirements
