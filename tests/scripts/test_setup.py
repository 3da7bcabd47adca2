"""The environment of a checkout, where interpreters of environments are in ``bin``, and as on Windows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


if sys.platform == "win32":
    pytest.skip("the scripts need a POSIX shell", allow_module_level=True)

ROOT = Path(__file__).parents[2]
POSIX, WINDOWS = "bin/python", "Scripts/python.exe"

INTERPRETER = """#!/bin/sh
# Makes environments with one file in them, and notes what it would install or run.
case "$*" in
    "-m venv --without-pip "*) mkdir -p "$(dirname "$4/$LAYOUT")" && cp "$0" "$4/$LAYOUT" ;;
    "-m pip --version") ;;
    "-m pip --python "* | "-m scripts."*) echo "$0 $*" >>"$NOTES" ;;
    *) exec "$REAL" "$@" ;;
esac
"""
OFFER = "#!/bin/sh\necho 'Python was not found; get it from the store' >&2\nexit 49\n"


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "a checkout"
    for name in ("scripts/setup", "scripts/report"):
        program(root / name, (ROOT / name).read_text("utf-8"))
    for name in ("requirements.lock", "core/pyproject.toml", "plugins/one/pyproject.toml"):
        program(root / name, "")
    program(tmp_path / "programs" / "python3", INTERPRETER)
    return root


def run(script: str, checkout: Path, layout: str) -> list[str]:
    """Return what was installed and run, without the path of the checkout."""
    notes = checkout.parent / "notes"
    notes.write_text("")
    environ = {name: value for name, value in os.environ.items() if name not in {"PYTHON", "VENV"}} | {
        "PATH": os.pathsep.join([str(checkout.parent / "programs"), os.environ["PATH"]]),
        "LAYOUT": layout,
        "NOTES": str(notes),
        "REAL": sys.executable,
    }
    subprocess.run(["sh", str(checkout / script)], env=environ, check=True, timeout=60)
    return notes.read_text().replace(str(checkout.parent), "").splitlines()


@pytest.mark.parametrize("layout", [POSIX, WINDOWS])
def test_environment_is_made_once_and_installed_into(checkout: Path, layout: str) -> None:
    locked, members = run("scripts/setup", checkout, layout)
    assert locked.startswith(f"/programs/python3 -m pip --python .venv/{layout} ")
    assert members.startswith(f"/programs/python3 -m pip --python .venv/{layout} ")
    assert run("scripts/setup", checkout, layout) == []
    (checkout / "requirements.lock").write_text("# changed")
    assert len(run("scripts/setup", checkout, layout)) == 2


@pytest.mark.parametrize("layout", [POSIX, WINDOWS])
def test_report_is_written_by_the_interpreter_of_the_environment(checkout: Path, layout: str) -> None:
    assert run("scripts/report", checkout, layout)[-1] == f".venv/{layout} -m scripts.platform_report"


def test_launcher_of_windows_is_used_where_python3_only_offers_to_install_one(checkout: Path) -> None:
    shutil.move(checkout.parent / "programs" / "python3", checkout.parent / "programs" / "py")
    program(checkout.parent / "programs" / "python3", OFFER)
    locked, _ = run("scripts/setup", checkout, WINDOWS)
    assert locked.startswith("/programs/py -m pip ")


def test_checkout_has_no_carriage_returns_whatever_git_is_set_to() -> None:
    assert "* text=auto eol=lf" in (ROOT / ".gitattributes").read_text("utf-8").splitlines()
