"""Non-interactive sessions cannot ask questions, and messages of providers go to the log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from freshkey.errors import LoginRequired
from freshkey.model.interaction import (
    MAX_SECRET,
    MAX_TEXT,
    Interaction,
    LoggingReporter,
    NonInteractive,
    Reporter,
    flaw_of_secret,
    flaw_of_text,
    is_user_code,
)
from freshkey.secret import Secret
from promises import proves
from raises_code import raises_code


CANARY = "canary-9b1d4e77aa02c3f8"


@pytest.mark.parametrize(
    "question",
    [
        lambda interaction: interaction.require_attended(),
        lambda interaction: interaction.confirm("Use it?"),
        lambda interaction: interaction.read_text("Name?"),
        lambda interaction: interaction.read_secret("Password?"),
        lambda interaction: interaction.choose("Which?", {"a": "A"}),
        lambda interaction: interaction.open_url("https://as.example/authorize"),
        lambda interaction: interaction.read_code("Code: ", threading.Event()),
        lambda interaction: interaction.show_device_code("ABCD-EFGH", "https://as.example/device", None),
    ],
)
def test_every_question_raises_with_the_command_to_run(question: Callable[[Interaction], object]) -> None:
    with raises_code(LoginRequired, "not-signed-in") as caught:
        question(NonInteractive("work"))
    assert (caught.value.profile, caught.value.hint) == ("work", "Run: freshkey login work")


@pytest.mark.parametrize("reporter", [LoggingReporter(), NonInteractive("work")], ids=["logging", "non-interactive"])
def test_progress_is_logged_at_debug_and_notices_at_info(reporter: Reporter, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "freshkey")
    reporter.progress("renewing")
    reporter.notice("the account changed")
    assert caplog.record_tuples == [
        ("freshkey.model.interaction", logging.DEBUG, "renewing"),
        ("freshkey.model.interaction", logging.INFO, "the account changed"),
    ]


@pytest.mark.parametrize("reporter", [LoggingReporter(), NonInteractive("work")], ids=["logging", "non-interactive"])
def test_output_of_helper_programs_is_not_logged(reporter: Reporter, caplog: pytest.LogCaptureFixture) -> None:  # LEK-1
    caplog.set_level(logging.DEBUG)
    reporter.line(f"export TOKEN={CANARY}")
    assert caplog.records == []


def test_messages_reach_the_given_reporter() -> None:
    heard: list[str] = []

    class Ear(LoggingReporter):
        def progress(self, message: str) -> None:
            heard.append(f"progress {message}")

        def line(self, text: str) -> None:
            heard.append(f"line {text}")

        def notice(self, message: str) -> None:
            heard.append(f"notice {message}")

    interaction = NonInteractive("work", Ear())
    interaction.progress("one")
    interaction.line("two")
    interaction.notice("three")
    assert heard == ["progress one", "line two", "notice three"]


def test_messages_are_not_format_strings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "freshkey")
    LoggingReporter().progress("100 %s done %d")
    assert caplog.messages == ["100 %s done %d"]


@proves("LEK-9")
@pytest.mark.parametrize(
    "code", ["WDJB-MJHT", "123 456 789", "ABCD EFGH", "A1B2C3D4E", "abcd-efgh", "12-34-56-78-90", "A" * 32]
)
def test_codes_that_servers_send_are_codes(code: str) -> None:
    assert is_user_code(code)


@proves("LEK-9")
@pytest.mark.parametrize(
    "code", ["A" * 33, "call me", "CALL ME", "a\u200bb", "ABCD\n", "\uff37\uff24", "a.b", "", 5, None]
)
def test_other_texts_are_not_codes(code: object) -> None:
    assert not is_user_code(code)


@proves("LEK-9")
def test_logged_text_is_cleaned(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "freshkey")
    LoggingReporter().notice("a\x1b[2J\nfreshkey: Bearer abcdef123456")
    LoggingReporter().progress("x" * 5000)
    assert caplog.messages[0] == "a\ufffd[2J\ufffdfreshkey: Bearer [redacted]"
    assert len(caplog.messages[1]) <= 1000


@pytest.mark.parametrize("answer", ["", "ada@example.com", "Åsa Ωmega 日本", "x" * MAX_TEXT])
def test_one_visible_line_is_a_text(answer: str) -> None:
    assert flaw_of_text(answer) is None


@pytest.mark.parametrize("answer", ["x" * (MAX_TEXT + 1), "a\nb", "a\tb", "\x1b[2J", "a\u202eb", "a\u200bb", "\ud800"])
def test_other_answers_are_not(answer: str) -> None:
    assert flaw_of_text(answer) is not None


@pytest.mark.parametrize("answer", ["", "pass word\u200d", "x" * MAX_SECRET])
def test_one_line_without_control_characters_is_a_secret(answer: str) -> None:
    assert flaw_of_secret(Secret(answer)) is None


@pytest.mark.parametrize("answer", ["x" * (MAX_SECRET + 1), "a\nb", "a\r", "\x00", "\x7f", "a\u2028b"])
def test_flaws_of_secrets_quote_nothing(answer: str) -> None:
    flaw = flaw_of_secret(Secret(answer))
    assert flaw is not None
    assert answer not in flaw
