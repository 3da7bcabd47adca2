"""Nobody answers no question, and what a provider reports without a person goes to the log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from freshkey.errors import LoginRequired
from freshkey.model.interaction import Interaction, LoggingReporter, NonInteractive, Reporter


CANARY = "canary-9b1d4e77aa02c3f8"


@pytest.mark.parametrize(
    "question",
    [
        lambda interaction: interaction.confirm("Use it?"),
        lambda interaction: interaction.open_url("https://as.example/authorize"),
        lambda interaction: interaction.read_code("Code: ", threading.Event()),
        lambda interaction: interaction.show_device_code("ABCD-EFGH", "https://as.example/device", None),
    ],
)
def test_every_question_says_which_command_helps(question: Callable[[Interaction], object]) -> None:
    with pytest.raises(LoginRequired, match=r"^work: .*\. Run: freshkey login work$"):
        question(NonInteractive("work"))


@pytest.mark.parametrize("reporter", [LoggingReporter(), NonInteractive("work")], ids=["quiet", "nobody"])
def test_progress_is_for_the_curious_and_notices_are_for_all(
    reporter: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "freshkey")
    reporter.progress("renewing")
    reporter.notice("the account changed")
    assert caplog.record_tuples == [
        ("freshkey", logging.DEBUG, "renewing"),
        ("freshkey", logging.INFO, "the account changed"),
    ]


@pytest.mark.parametrize("reporter", [LoggingReporter(), NonInteractive("work")], ids=["quiet", "nobody"])
def test_what_a_helper_program_printed_is_not_logged(
    reporter: Reporter, caplog: pytest.LogCaptureFixture
) -> None:  # LEK
    caplog.set_level(logging.DEBUG)
    reporter.line(f"export TOKEN={CANARY}")
    assert caplog.records == []


def test_what_is_no_question_reaches_a_reporter_that_was_given() -> None:
    heard: list[str] = []

    class Ear(LoggingReporter):
        def progress(self, message: str) -> None:
            heard.append(f"progress {message}")

        def line(self, text: str) -> None:
            heard.append(f"line {text}")

        def notice(self, message: str) -> None:
            heard.append(f"notice {message}")

    nobody = NonInteractive("work", Ear())
    nobody.progress("one")
    nobody.line("two")
    nobody.notice("three")
    assert heard == ["progress one", "line two", "notice three"]


def test_a_message_is_no_format(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "freshkey")
    LoggingReporter().progress("100 %s done %d")
    assert caplog.messages == ["100 %s done %d"]
