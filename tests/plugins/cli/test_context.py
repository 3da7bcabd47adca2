"""How a command creates its keeper: with a reporter, and in a terminal with a way to ask the user."""

from __future__ import annotations

import sys

import pytest

from cli_doubles import ADA, FakeKeeper, Run
from freshkey.events import AccountChanged, ObserverFailed, Renewed, Unsaved
from freshkey.model.identity import Identity


class Terminal:
    """A terminal stream in which one line was typed."""

    def __init__(self, typed: str = "") -> None:
        self.typed = typed

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self.typed


def test_without_a_terminal_no_question_is_asked(run: Run, keeper: FakeKeeper) -> None:
    run("token")
    assert keeper.approve is None
    assert keeper.timeout is None
    assert not keeper.at_terminal


@pytest.mark.parametrize(("typed", "agreed"), [("y\n", True), ("n\n", False), ("", False)])
def test_in_a_terminal_the_user_is_asked(
    run: Run, keeper: FakeKeeper, monkeypatch: pytest.MonkeyPatch, typed: str, agreed: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run("token")
    assert keeper.approve is not None
    assert keeper.approve("Trust it?") is agreed
    assert keeper.timeout == 300  # the user needs time to answer


def test_command_is_typed_if_standard_error_is_a_terminal(
    run: Run, keeper: FakeKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run("token")
    assert keeper.at_terminal
    assert keeper.approve is None, "standard input is not one, so nothing can be asked"


def test_notices_and_helper_lines_are_shown_but_not_progress(
    run: Run, keeper: FakeKeeper, capfd: pytest.CaptureFixture[str]
) -> None:
    run("token")
    assert keeper.reporter is not None
    keeper.reporter.progress("renewing")
    keeper.reporter.line("open https://example.com/device\x1b[2J")
    keeper.reporter.notice("the helper has been running for 10 s\x1b[2J")
    assert capfd.readouterr().err == (
        "  open https://example.com/device\N{REPLACEMENT CHARACTER}[2J\n"
        "the helper has been running for 10 s\N{REPLACEMENT CHARACTER}[2J\n"
    )


def test_with_json_notices_are_not_shown(run: Run, keeper: FakeKeeper, capfd: pytest.CaptureFixture[str]) -> None:
    run("token", "--json")
    assert keeper.reporter is not None
    keeper.reporter.notice("slow")
    assert capfd.readouterr().err == ""


def test_events_that_no_result_contains_are_shown_on_stderr(run: Run, keeper: FakeKeeper) -> None:
    keeper.emits = (
        Unsaved(profile="me", error="the keychain is locked", code="keychain-locked"),
        ObserverFailed(profile="me", observer="audit", hook="refresh", error="ValueError"),
        AccountChanged(profile="me", before=Identity(), after=ADA),
        Renewed(profile="me", generation=2, expires_at=None),
    )
    done = run("refresh")

    assert done.err.splitlines() == [
        "me: renewed, but not stored yet: the keychain is locked",
        "me: observer 'audit' failed after refresh: ValueError",
        "me: the account changed from unknown to ada@example.com",
    ]
    assert run("refresh", "--json").err == ""
