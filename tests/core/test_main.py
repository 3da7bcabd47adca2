"""The `freshkey` script without the command line installed, with a broken one, and with a working one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import freshkey


MARK = '"' if sys.platform == "win32" else "'"


def started(
    tmp_path: Path, *arguments: str, package: str | None, pip: bool = True, ending: str = "sys.exit(code)"
) -> subprocess.CompletedProcess[str]:
    """Run the script with `package` as the source of `freshkey_cli`; None means not installed.

    No other site packages are available, except the core.
    """
    core = Path(freshkey.__file__).parents[1]
    if package is not None:
        (tmp_path / "freshkey_cli").mkdir()
        (tmp_path / "freshkey_cli" / "__init__.py").write_text(package)
    if pip:
        (tmp_path / "pip.py").touch()
    program = (
        "import sys; sys.path[:0] = sys.argv[1:3]; sys.argv[:] = ['freshkey', *sys.argv[3:]];"
        f"from freshkey.__main__ import main; code = main(); {ending}"
    )
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(tmp_path), str(core), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_missing_command_line_says_how_to_install_it(tmp_path: Path) -> None:
    done = started(tmp_path, "login", "me", "--set", "a b", package=None)

    assert (done.returncode, done.stdout) == (2, "")
    assert f"\n  {sys.executable} -m pip install {MARK}freshkey[cli]=={freshkey.__version__}{MARK}\n" in done.stderr
    assert done.stderr.endswith(f": freshkey login me --set {MARK}a b{MARK}\n")


def test_without_pip_it_suggests_uv(tmp_path: Path) -> None:
    done = started(tmp_path, package=None, pip=False)

    assert done.returncode == 2
    assert f"  uv pip install --python {sys.executable} {MARK}freshkey[cli]==" in done.stderr
    assert done.stderr.endswith(": freshkey\n")


def test_leftover_directory_does_not_count_as_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "freshkey_cli" / "__pycache__").mkdir(parents=True)
    done = started(tmp_path, package=None)

    assert (done.returncode, done.stdout) == (2, "")
    assert "is not installed" in done.stderr


@pytest.mark.parametrize("package", ["import rich_of_another_time", "raise ImportError('libsomething.so is missing')"])
def test_broken_command_line_is_not_reported_as_missing(tmp_path: Path, package: str) -> None:
    done = started(tmp_path, package=package)

    assert done.returncode == 1
    assert "not installed" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(("ModuleNotFoundError: No module named 'rich", "ImportError: libs"))


def test_exit_code_of_the_command_line_is_returned(tmp_path: Path) -> None:
    done = started(tmp_path, "a", package="def main():\n    import sys\n    print(sys.argv)\n    return 5\n")

    assert (done.returncode, done.stdout, done.stderr) == (5, "['freshkey', 'a']\n", "")


def test_script_without_the_command_line_imports_almost_nothing(tmp_path: Path) -> None:
    done = started(tmp_path, package=None, ending="print(*sys.modules)")

    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.startswith("freshkey")} == {
        "freshkey",
        "freshkey.__main__",
        "freshkey._text",
        "freshkey._text.shell_words",
    }
    assert not loaded & {"importlib.metadata", "attr", "attrs", "json", "argparse"}
