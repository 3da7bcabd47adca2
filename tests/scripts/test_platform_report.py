"""The report about a machine that nobody here has: it says what happened, and names nobody."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path, PureWindowsPath

import pytest

from scripts.platform_report import __main__ as report
from scripts.platform_report.__main__ import Outcome, Step, facts, harmless, private, rendered


GOOD = Step(title="What works", arguments=("-c", "print('fine \u2192')"))
BAD = Step(
    title="What fails", arguments=("-c", "import pathlib; print('in', pathlib.Path.home()); raise SystemExit(3)")
)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(report, "STEPS", (GOOD, BAD))
    monkeypatch.setattr(report, "ROOT", tmp_path)
    return tmp_path / report.FILE


def test_report_says_how_each_step_ended_and_is_no_success_if_one_failed(written: Path) -> None:
    assert report.main([]) == 1
    text = written.read_text("utf-8")
    assert "| What works | as expected |" in text
    assert "| What fails | exit code 3 |" in text
    assert "fine \u2192" in text
    assert "in ~\n" in text


def test_short_report_leaves_out_the_last_steps(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_SHORT", 1)
    assert report.main(["--short"]) == 0
    assert BAD.title not in written.read_text("utf-8")


def test_step_that_takes_too_long_is_ended_and_said(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "STEPS", (Step(title="Endless", arguments=("-c", "import time; time.sleep(600)")),))
    monkeypatch.setattr(report, "_SECONDS", 1.0)
    assert report.main([]) == 1
    assert "| Endless | took too long |" in written.read_text("utf-8")


def test_failures_before_the_last_lines_are_kept() -> None:
    output = "\n".join(["FAILED tests/x.py::test_y", *(f"line {number}" for number in range(100))])
    text = rendered({}, [(GOOD, Outcome(code=1, seconds=1.0, output=output))])
    assert "FAILED tests/x.py::test_y\nline 40\n" in text


def test_the_user_and_the_machine_are_not_named() -> None:
    home, user, host = str(Path.home()), getpass.getuser(), socket.gethostname()
    text = harmless(f"{home}/.local of {user} on {host}.local; {user}ish", private())
    assert text == f"~/.local of USER on HOST.local; {user}ish"


def test_home_directory_of_windows_is_not_named_however_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: PureWindowsPath(r"C:\Users\adalo"))
    monkeypatch.setattr(getpass, "getuser", lambda: "ada.lovelace")
    text = r"C:\Users\adalo\x 'C:\\Users\\adalo\\x' file:///C:/Users/adalo/x D:\adalo ada.lovelace"
    assert harmless(text, private()) == r"~\x '~\\x' file:///~/x D:\USER USER"


def test_facts_name_no_directory_and_the_longest_name_is_replaced_first() -> None:
    assert harmless("/home/ada/x", {"/home": "H", "/home/ada": "~"}) == "~/x"
    assert str(Path.home()) not in harmless(str(facts()), private())
