"""The error tree, what its messages say, and how one failure is raised for many callers."""

from __future__ import annotations

import errno
import threading
import traceback

import pytest

from freshkey import errors
from freshkey.errors import (
    FreshkeyError,
    LoginRequired,
    OutcomeUnknown,
    PluginBroken,
    ProtocolError,
    StoreError,
    TransientError,
    frameless,
    our_own,
    suggestion,
)


CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, FreshkeyError)]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_is_drawn_in_the_tree_of_the_docstring(kind: type[FreshkeyError]) -> None:
    line = next(line for line in (errors.__doc__ or "").splitlines() if f" {kind.__name__}" in line)
    depth = len(line[4:]) - len(line[4:].lstrip("│├└─ "))
    assert depth == 4 * (len(kind.mro()) - len(FreshkeyError.mro()))


def test_what_follows_its_protocol_badly_has_an_unknown_outcome() -> None:  # NET-1
    assert issubclass(ProtocolError, OutcomeUnknown)
    assert not issubclass(OutcomeUnknown, TransientError)


@pytest.mark.parametrize(
    ("profile", "hint", "text"),
    [
        (None, None, "it broke"),
        ("work", None, "work: it broke"),
        (None, "Try again", "it broke. Try again"),
        ("work", "Try again", "work: it broke. Try again"),
    ],
)
def test_the_text_says_whose_what_and_what_next(profile: str | None, hint: str | None, text: str) -> None:
    assert str(FreshkeyError("it broke", profile=profile, hint=hint)) == text


def test_a_profile_filled_in_later_shows() -> None:
    error = LoginRequired("nobody is signed in")
    error.profile = "work"
    assert str(error) == "work: nobody is signed in"


@pytest.mark.parametrize("kind", CLASSES)
def test_a_copy_for_another_caller_says_the_same_without_a_traceback(kind: type[FreshkeyError]) -> None:
    error = kind("it broke", profile="work", hint="Try again")
    with pytest.raises(kind):
        raise error
    twin = error.for_another_caller()
    assert (type(twin), str(twin), twin.__dict__) == (kind, str(error), error.__dict__)
    assert twin is not error
    assert twin.__traceback__ is None


def test_a_copy_keeps_what_its_class_adds() -> None:
    assert TransientError("later", retry_after=7.0).for_another_caller().retry_after == 7.0
    assert PluginBroken("odd", plugin="aws").for_another_caller().plugin == "aws"


def test_a_copy_keeps_the_cause() -> None:
    cause = OSError("disk")
    with pytest.raises(StoreError) as caught:
        raise StoreError("cannot write") from cause
    assert caught.value.for_another_caller().__cause__ is cause


def test_a_class_of_a_plugin_with_arguments_of_its_own_can_be_copied() -> None:
    class QuotaSpent(TransientError):
        def __init__(self, quota: int, *, period: str) -> None:
            super().__init__(f"{quota} per {period} are spent")
            self.quota = quota

    twin = QuotaSpent(5, period="day").for_another_caller()
    assert (str(twin), twin.quota) == ("5 per day are spent", 5)


def test_copies_raised_at_once_do_not_mix_up_their_tracebacks() -> None:
    error = TransientError("later")
    shown: dict[int, str] = {}
    gate = threading.Barrier(8)

    def caller(number: int) -> None:
        gate.wait()
        try:
            raise error.for_another_caller()
        except TransientError:
            shown[number] = traceback.format_exc()

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shown) == 8
    assert {text.count("in caller") for text in shown.values()} == {1}
    assert error.__traceback__ is None


def test_a_process_without_means_is_told_so_and_may_try_again() -> None:
    error = our_own(OSError(errno.EMFILE, "canary"))
    assert isinstance(error, TransientError)
    assert "canary" not in str(error)
    assert "out of means" in error.message


def test_what_freshkey_should_not_have_let_happen_is_to_be_reported() -> None:
    error = our_own(OSError(errno.ENOENT, "canary"))
    assert isinstance(error, PluginBroken)
    assert "canary" not in str(error)
    assert "report" in str(error)


def test_the_frames_of_a_reader_do_not_show_in_its_errors() -> None:
    cause = ValueError("cause")

    @frameless
    def read(given: int, *, more: str) -> str:
        """Read."""
        bare = "canary"
        if given:
            raise TransientError(f"{more} failed", retry_after=given) from cause
        return bare

    assert (read(0, more=""), read.__name__, read.__doc__) == ("canary", "read", "Read.")
    with pytest.raises(TransientError, match="reading failed") as caught:
        read(7, more="reading")
    assert caught.value.retry_after == 7
    assert caught.value.__cause__ is cause
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert len(frames) == 2
    assert not any("bare" in local and local["bare"] == "canary" for local in frames)
    assert caught.value.__context__ is None


def test_suggestion_names_what_was_meant_or_everything() -> None:
    assert suggestion("client_di", {"client_id", "issuer"}) == "Did you mean 'client_id'?"
    assert suggestion("zzz", {"client_id", "issuer"}) == "Known names: client_id, issuer"
    assert suggestion("zzz", set()) == "Known names: none"
