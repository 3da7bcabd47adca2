"""The error classes, their messages and codes, and how one failure is raised for many callers."""

from __future__ import annotations

import errno
import json
import os
import threading
import traceback
from collections.abc import Callable

import pytest

from freshkey import errors
from freshkey.clock import utc_time
from freshkey.errors import (
    FreshkeyError,
    IntermediaryAnswer,
    LoginRequired,
    OutcomeUnknown,
    PluginBroken,
    ProtocolError,
    StoreError,
    TransientError,
    frameless,
    is_code,
    our_own,
    safe_code,
    suggestion,
)


CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, FreshkeyError)]


@pytest.mark.parametrize("kind", CLASSES)
def test_docstring_has_the_class_tree(kind: type[FreshkeyError]) -> None:
    line = next(line for line in (errors.__doc__ or "").splitlines() if f" {kind.__name__}" in line)
    depth = len(line[4:]) - len(line[4:].lstrip("│├└─ "))
    assert depth == 4 * (len(kind.mro()) - len(FreshkeyError.mro()))


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (FreshkeyError, "freshkey-error"),
        (TransientError, "temporarily-unavailable"),
        (OutcomeUnknown, "outcome-unknown"),
        (ProtocolError, "invalid-response"),
        (IntermediaryAnswer, "answered-in-between"),
        (LoginRequired, "sign-in-required"),
        (errors.ProviderRefused, "provider-refused"),
        (errors.ConfigurationError, "invalid-configuration"),
        (errors.TrustNeeded, "trust-required"),
        (PluginBroken, "plugin-broken"),
        (StoreError, "store-error"),
        (errors.StoreUnavailable, "store-unavailable"),
        (errors.StoreBusy, "store-busy"),
        (errors.RecordUnreadable, "record-unreadable"),
        (errors.GenerationConflict, "generation-conflict"),
        (errors.CredentialExpired, "credential-expired"),
        (errors.KeeperClosed, "keeper-closed"),
    ],
)
def test_each_class_has_a_default_code_and_takes_a_narrower_one(kind: type[FreshkeyError], code: str) -> None:
    assert kind("it broke").code == code
    narrower = kind("it broke", code="keychain-locked")
    assert (narrower.code, narrower.for_another_caller().code) == ("keychain-locked", "keychain-locked")


def test_protocol_error_is_an_unknown_outcome() -> None:  # NET-1
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
def test_text_has_profile_message_and_hint(profile: str | None, hint: str | None, text: str) -> None:
    assert str(FreshkeyError("it broke", profile=profile, hint=hint)) == text


@pytest.mark.parametrize("code", ["a", "keychain-locked", "example-2fa-needed", "a" * 64])
def test_codes_are_words_joined_by_hyphens(code: str) -> None:
    assert is_code(code)
    assert safe_code(FreshkeyError("it broke", code=code)) == code


@pytest.mark.parametrize("code", ["-a", "a-", "a--b", "A", "a b", "a\n", "a" * 65, "é", 5, None])
def test_code_that_is_not_one_is_replaced_by_that_of_the_class(code: object) -> None:
    assert not is_code(code)
    error = type("Acme", (StoreError,), {"code": code})("it broke")
    assert safe_code(error) == "store-error"


def test_profile_set_later_is_shown() -> None:
    error = LoginRequired("not signed in")
    error.profile = "work"
    assert str(error) == "work: not signed in"


@pytest.mark.parametrize("kind", CLASSES)
def test_copy_for_another_caller_is_equal_without_a_traceback(kind: type[FreshkeyError]) -> None:
    error = kind("it broke", profile="work", hint="Try again")
    with pytest.raises(kind):
        raise error
    twin = error.for_another_caller()
    assert (type(twin), str(twin), twin.__dict__) == (kind, str(error), error.__dict__)
    assert twin is not error
    assert twin.__traceback__ is None


def test_copy_keeps_attributes_of_its_class() -> None:
    assert TransientError("later", retry_after=7.0).for_another_caller().retry_after == 7.0
    assert PluginBroken("odd", plugin="aws").for_another_caller().plugin == "aws"


def test_a_copy_keeps_the_cause() -> None:
    cause = OSError("disk")
    with pytest.raises(StoreError) as caught:
        raise StoreError("cannot write") from cause
    assert caught.value.for_another_caller().__cause__ is cause


def test_error_class_of_a_plugin_with_other_arguments_can_be_copied() -> None:
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


def test_lack_of_file_descriptors_is_a_transient_error() -> None:
    error = our_own(OSError(errno.EMFILE, "canary"))
    assert isinstance(error, TransientError)
    assert error.code == "out-of-resources"
    assert "canary" not in str(error)
    assert os.strerror(errno.EMFILE) in error.message


def test_unexpected_exception_is_an_internal_error() -> None:
    error = our_own(OSError(errno.ENOENT, "canary"))
    assert isinstance(error, PluginBroken)
    assert error.code == "internal-error"
    assert "canary" not in str(error)


def test_frameless_removes_frames_from_tracebacks() -> None:
    cause = ValueError("cause")

    @frameless
    def read(given: int, *, more: str) -> str:
        """Read."""
        bare = "canary"
        if given:
            raise TransientError(f"{more} failed", retry_after=given, code="example-failed") from cause
        return bare

    assert (read(0, more=""), read.__name__, read.__doc__) == ("canary", "read", "Read.")
    with pytest.raises(TransientError) as caught:
        read(7, more="reading")
    assert caught.value.code == "example-failed"
    assert caught.value.retry_after == 7
    assert caught.value.__cause__ is cause
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert len(frames) == 2
    assert not any("bare" in local and local["bare"] == "canary" for local in frames)
    assert caught.value.__context__ is None


def test_suggestion_names_the_closest_word_or_all() -> None:
    assert suggestion("client_di", {"client_id", "issuer"}) == "Did you mean 'client_id'?"
    assert suggestion("zzz", {"client_id", "issuer"}) == "Known names: client_id, issuer"
    assert suggestion("zzz", set()) == "Known names: none"


@pytest.mark.parametrize("act", [lambda: os.environ["NO_SUCH_VARIABLE"], lambda: json.loads("{")], ids=["os", "json"])
def test_a_plugin_is_told_its_own_line_where_the_library_of_python_raised(act: Callable[[], object]) -> None:
    with pytest.raises((KeyError, ValueError)) as caught:
        act()
    assert "in test_errors.py, line " not in errors.describe_raise(caught.value)
    assert "in test_errors.py, line " in errors.describe_raise(caught.value, by_plugin=True)


def test_a_plugin_is_told_its_own_line_and_its_package() -> None:
    def wrong() -> None:
        utc_time("noon")  # type: ignore[arg-type]  # the mistake

    with pytest.raises(TypeError) as caught:
        wrong()
    assert errors.describe_raise(caught.value).startswith("TypeError in clock.py, line ")
    assert errors.describe_raise(caught.value, by_plugin=True).startswith("TypeError in test_errors.py, line ")
    code = compile("raise KeyError('x')", "/site-packages/freshkey_acme/__init__.py", "exec")
    with pytest.raises(KeyError) as lost:
        exec(code)  # noqa: S102  as a plugin's module
    assert errors.describe_raise(lost.value) == "KeyError in freshkey_acme/__init__.py, line 1"
