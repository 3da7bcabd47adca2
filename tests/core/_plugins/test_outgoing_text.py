"""What leaves a plugin, as an error, a result, a report or an event, quotes no secret and is visible and short."""

from __future__ import annotations

import base64
import logging
import os
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, field, frozen

from example_provider import HELPER, FakeStore, Provider, StorePlugin, description, profile, token
from freshkey._interprocess.hints import Hints, HintsFile
from freshkey._plugins import wiring
from freshkey._plugins.clean_store import clean_store
from freshkey._plugins.hook_caller import HookCaller
from freshkey._plugins.outgoing_text import redactor
from freshkey._renewal.failure import shared_error
from freshkey._text import redact as redact_module
from freshkey.clock import Moment
from freshkey.errors import FreshkeyError, LoginRequired, PluginBroken, StoreUnavailable, TransientError
from freshkey.events import Event
from freshkey.hooks import hookimpl
from freshkey.model.credential import Credential
from freshkey.model.description import Inspection, Validity
from freshkey.model.identity import Identity
from freshkey.model.interaction import LoggingReporter, NonInteractive, Reporter, is_attended
from freshkey.model.profile import Profile
from freshkey.model.source import Detected
from freshkey.model.storage import Record
from freshkey.secret import Secret
from freshkey_testing import ScriptedUser
from promises import proves
from raises_code import raises_code


REFRESH = "rt-Qw8eRt7yUi6oPa5sDf4gHj3k"
ACCESS = "at-Zx9cVb2nMl1kJh8gFd7sAq6w"
SETTING = "cs-9PoIuYtReWqLkJhGfDsA0123"
NEVER_WRAPPED = "sk-ant-api03-nEvErWrApPeD123"
SECRETS = (REFRESH, ACCESS, SETTING, NEVER_WRAPPED)
OLD = token(access_token=Secret(ACCESS), refresh_token=Secret(REFRESH), source="sign-in")


@frozen(kw_only=True)
class Settings:
    """Settings with a secret."""

    client_secret: Secret = field(factory=lambda: Secret(SETTING))


ME = profile(settings=Settings())


def caller(provider: object, events: list[Event] | None = None, **observers: object) -> HookCaller:
    manager = wiring.wire(
        "example", provider, store=("store fake", StorePlugin()), store_is_configured=False, observers=observers
    )
    return HookCaller(manager, "example", (events if events is not None else []).append)


def raised(error: BaseException | Callable[[], BaseException]) -> FreshkeyError:
    def fails(*_: object) -> Any:
        raise error if isinstance(error, BaseException) else error()

    with pytest.raises(FreshkeyError) as caught:
        caller(Provider(on_refresh=fails)).refresh(ME, OLD, LoggingReporter())
    return caught.value


def everything(error: BaseException) -> str:
    """Return all that a log or a crash reporter may show of an exception."""
    frames = "".join(traceback.TracebackException.from_exception(error, capture_locals=False).format())
    return f"{error} {error!r} {error.args!r} {vars(error)!r} {frames} {error.__cause__!r} {error.__context__!r}"


def assert_clean(text: str) -> None:
    for secret in SECRETS:
        for form in (secret, secret[:14], secret[-10:], secret[::-1], base64.b64encode(secret.encode()).decode()):
            assert form not in text, text


class NoWords(TransientError):
    def __str__(self) -> str:
        raise ValueError(REFRESH)


class OwnWords(LoginRequired):
    @property
    def message(self) -> str:
        return f"own words: {REFRESH}"

    @message.setter
    def message(self, message: str) -> None:
        pass

    def __repr__(self) -> str:
        return REFRESH


class Holder(TransientError):
    def __init__(self, credential: object) -> None:  # does not call ours
        self.credential = credential
        self.payload = {"refresh_token": REFRESH}


def with_notes() -> FreshkeyError:
    error = TransientError("see the notes")
    error.add_note(f"sent {REFRESH}")
    return error


def caused() -> FreshkeyError:
    error = TransientError("see the cause")
    error.__cause__ = ValueError(REFRESH)
    error.__cause__.__context__ = KeyError(ACCESS)
    return error


def with_anything() -> FreshkeyError:
    error = TransientError("bad answer", hint=f"send {REFRESH} again", retry_after=5.0, profile=f"p-{SETTING}")
    error.args = ("bad", OLD, REFRESH)
    vars(error).update(response=REFRESH.encode(), sent=[REFRESH, {"a": ACCESS}], credential=OLD, status=400)
    return error


ERRORS: dict[str, Callable[[], BaseException]] = {
    "refresh token": lambda: TransientError(f"bad token {REFRESH}"),
    "access token in base64": lambda: LoginRequired(f"{base64.b64encode(f'u:{ACCESS}'.encode()).decode()} refused"),
    "a secret setting": lambda: TransientError(f"client {SETTING[:16]}… is unknown"),
    "a secret that was never wrapped": lambda: TransientError(f"key {NEVER_WRAPPED} is unknown"),
    "notes": with_notes,
    "causes": caused,
    "arguments and attributes": with_anything,
    "no text": lambda: NoWords(REFRESH),
    "texts of its own": lambda: OwnWords(REFRESH),
    "a class that does not call ours": lambda: Holder(OLD),
    "half of a character": lambda: TransientError(f"\ud800 {REFRESH}"),
    "lines": lambda: TransientError(f"bad\nfreshkey: signed in {REFRESH[:10]}\n{REFRESH[10:]}"),
    "a group": lambda: ExceptionGroup(REFRESH, [ValueError(REFRESH), TransientError(ACCESS)]),
    "a type named after it": lambda: type(REFRESH, (Exception,), {})(REFRESH),
}


@proves("LEK-9")
@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_of_a_plugin_shows_no_secret(kind: str) -> None:
    error = raised(ERRORS[kind])
    assert_clean(everything(error))
    assert_clean(everything(error.for_another_caller()))
    assert str(error).isprintable()
    assert "\n" not in str(error)


@proves("LEK-9")
def test_class_code_and_numbers_of_an_error_are_kept() -> None:
    error = raised(with_anything)
    assert isinstance(error, TransientError)
    assert (error.code, error.retry_after, vars(error)["status"]) == ("temporarily-unavailable", 5.0, 400)
    assert (error.message, error.hint) == ("bad answer", "send [redacted] again")
    assert type(raised(lambda: OwnWords("x"))) is LoginRequired


@proves("LEK-9")
def test_a_long_message_is_cut_off() -> None:
    error = raised(lambda: TransientError(f"{'x ' * 25_000_000}{REFRESH}"))
    assert len(error.message) <= 1000


@proves("LEK-9")
@pytest.mark.parametrize("code", ["hunter-two-is-my-password", "bad-0123456789abcdef", "Bad_Code", "a" * 65, None, 7])
def test_a_code_that_quotes_a_secret_or_is_none_is_that_of_the_class(code: Any, tmp_path: Path) -> None:
    me = evolve(ME, settings=Settings(client_secret=Secret("hunter-two-is-my-password")))

    def fails(*_: object) -> Any:
        error = TransientError("bad")
        error.code = code
        raise error

    with raises_code(TransientError, "temporarily-unavailable"):
        caller(Provider(on_refresh=fails)).refresh(me, OLD, LoggingReporter())

    hints = HintsFile(tmp_path, "me")
    hints.write(Hints(kind="TransientError", error_code=code if isinstance(code, str) else None, failures=1))
    if code != "hunter-two-is-my-password":
        assert shared_error(hints.read(), "Wait").code == "temporarily-unavailable"


@proves("LEK-9")
def test_a_secret_that_the_plugin_made_meanwhile_is_removed() -> None:
    def fails(*_: object) -> Any:
        newer = Secret("qx7-Lm2Nb8Vc4Xz1-Kj9Hg5")
        raise TransientError(f"cannot use {newer.reveal()}")

    error = raised(fails)
    assert error.message == "cannot use [redacted]"


def test_forms_of_a_secret_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts work: with a key file in a variable, each text once cost as much as an encoding of that file."""
    made: list[tuple[str, int]] = []

    def counted(kind: str, make: Callable[[Any], Iterator[str]]) -> Callable[[Any], Iterator[str]]:
        def count(data: Any) -> Iterator[str]:
            made.append((kind, len(data)))
            return make(data)

        return count

    for kind in ("_written", "_encoded"):
        monkeypatch.setattr(redact_module, kind, counted(kind, getattr(redact_module, kind)))
    monkeypatch.setenv("TLS_KEY", key := "".join(f"{number:x}Zq/" for number in range(5_000)))
    assert 30_000 < len(key) < 32_767  # the longest on Windows
    for _ in range(20):
        assert redactor(Secret(ACCESS))("ada") == "ada"
    assert made == []  # no text so short quotes one
    for text in ["Google Vertex AI", "cannot read the file", "Environment variable GOOGLE_API_KEY"] * 20:
        assert redactor()(text) == text
    assert {kind for kind, _ in made} <= {"_written"}
    first = len(made)
    for text in ["HTTP 403 at https://id.example.com/x2", "The key was read"] * 20:
        assert redactor()(text) == text
    assert sum(kind == "_written" for kind, _ in made) == first
    encodings = len(made)
    assert max(size for _, size in made) <= 4096
    assert key[5:40] not in redactor()(f"bad key {key[5:40]}, b")
    assert key[-40:-5] not in redactor()(f"bad key {key[-40:-5]}, b")
    assert len(made) == encodings
    monkeypatch.setenv("TLS_KEY", key[::-1])
    assert key[::-1][5:40] not in redactor()(f"bad key {key[::-1][5:40]}, b")
    assert len(made) > encodings


@proves("LEK-9")
def test_a_secret_of_the_environment_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_API_KEY", "ek-qwertzuiop-1234567890")
    error = raised(lambda: TransientError(f"{os.environ['EXAMPLE_API_KEY']} is unknown"))
    assert error.message == "[redacted] is unknown"


@proves("LEK-9")
def test_results_show_no_secret() -> None:
    leaky = Identity(
        account=f"a {ACCESS}", email="ada@example.com", display_name=REFRESH, extra={"plan": f"x{NEVER_WRAPPED}"}
    )
    newer = evolve(OLD, identity=leaky)
    inspection = Inspection(validity=Validity.VALID, detail=f"good {ACCESS}\x1b[2J", identity=leaky)
    provider = Provider(on_refresh=lambda _: newer, on_inspect=lambda: inspection, on_acquire=lambda: newer)
    hooks = caller(provider)
    found = Detected(kind=f"key {SETTING}", origin=f"/x/{SETTING}", last_four=SETTING)
    sources = (evolve(HELPER, title=NEVER_WRAPPED),)
    answers = [
        hooks.refresh(ME, OLD, LoggingReporter()).identity,
        hooks.acquire(ME, HELPER, NonInteractive("me")).identity,
        hooks.inspect(ME, OLD),
        hooks.detect(ME, evolve(HELPER, detect=lambda _: found)),
        hooks.setup(ME, evolve(HELPER, setup=lambda _: f"add {SETTING}")),
        hooks.ignores(ME, evolve(HELPER, ignores=lambda _: (SETTING,))),
        caller(Provider(lambda: description(sources=sources, title=SETTING))).describe(ME),
    ]
    assert_clean(repr(answers))
    assert answers[0] is not None
    assert "ada@example.com" in repr(answers[0])
    assert hooks.refresh(ME, OLD, LoggingReporter()).token == Secret(ACCESS)


@proves("LEK-9")
def test_reports_show_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    heard: list[str] = []

    class Ear(LoggingReporter):
        def line(self, text: str) -> None:
            heard.append(text)

        def notice(self, message: str) -> None:
            heard.append(message)
            super().notice(message)

    class Talking(Provider):
        @hookimpl
        def refresh(self, profile: Profile, credential: Credential, reporter: Reporter) -> object:
            reporter.progress(f"sending {REFRESH}")
            reporter.line(f"> {REFRESH}")
            reporter.notice(f"sent {NEVER_WRAPPED}\nfreshkey: all is well")
            return OLD

    caller(Talking()).refresh(ME, OLD, Ear())
    assert_clean(" ".join([*heard, *caplog.messages]))
    assert len(heard) == 2
    assert not any("\n" in each for each in heard)


@proves("LEK-9")
def test_what_the_user_enters_is_a_secret_from_then_on() -> None:
    class Asking(Provider):
        @hookimpl
        def acquire(self, profile: Profile, source: object, interaction: Any) -> object:
            entered = interaction.read_code("Code: ", threading.Event())
            raise TransientError(f"the server refused {entered.reveal()}")

    user = ScriptedUser(paste="QwErTz123456")
    with pytest.raises(TransientError, match=r"refused \[redacted\]"):
        caller(Asking()).acquire(ME, HELPER, user)


def test_of_a_pasted_url_only_the_code_is_a_secret() -> None:
    """The prompt after an invalid paste shows the address again."""

    class Asking(Provider):
        @hookimpl
        def acquire(self, profile: Profile, source: object, interaction: Any) -> object:
            interaction.read_code("Code: ", threading.Event())
            raise TransientError("not QwErTz123456; visit http://127.0.0.1:4242/callback, state st-9f8e7d6c5b4a3f2e1d")

    pasted = "http://127.0.0.1:4242/callback?code=QwErTz123456&state=st-9f8e7d6c5b4a3f2e1d"
    with pytest.raises(TransientError, match=r"not \[redacted\]; visit http://127\.0\.0\.1:4242/callback, state st-9f"):
        caller(Asking()).acquire(ME, HELPER, ScriptedUser(paste=pasted))


class Questions(Provider):
    """Asks in every way that has a prompt, with a secret in it, and keeps the answers."""

    def __init__(self, ask: Callable[[Any], object]) -> None:
        super().__init__()
        self.ask = ask
        self.answers: list[object] = []

    @hookimpl
    def acquire(self, profile: Profile, source: object, interaction: Any) -> object:
        token = Secret(NEVER_WRAPPED)
        self.answers.append(self.ask(interaction))
        raise TransientError(f"{self.answers[-1]} {token}")


@proves("LEK-9")
def test_prompts_and_options_are_shown_without_secrets() -> None:
    secret = NEVER_WRAPPED
    user = ScriptedUser(text="a", secret="bcdefgh9", choice=lambda _, options: next(iter(options)))
    asking = Questions(
        lambda interaction: (
            interaction.read_text(f"Text\x1b[2J {secret}\nsecond line"),
            interaction.read_secret(f"Secret {secret}"),
            interaction.choose(f"Choose {secret}", {secret: f"label {secret}", "b": "B"}),
        )
    )
    with pytest.raises(TransientError):
        caller(asking).acquire(ME, HELPER, user)
    assert_clean(repr((user.prompts, user.offered)))
    assert user.prompts[0].count("\n") == 1
    assert "\x1b" not in user.prompts[0]
    assert asking.answers == [("a", Secret("bcdefgh9"), secret)]


@proves("LEK-9")
def test_an_entered_secret_is_removed_from_errors() -> None:
    asking = Questions(lambda interaction: interaction.read_secret("Database URL").reveal())
    with pytest.raises(TransientError) as caught:
        caller(asking).acquire(ME, HELPER, ScriptedUser(secret="postgres://ada:QwErTz123456@db/x"))
    assert "QwErTz123456" not in str(caught.value)


def test_options_that_look_alike_when_cleaned_are_numbered() -> None:
    user = ScriptedUser(choice="2")
    asking = Questions(lambda interaction: interaction.choose("Which?", {"a\u200b": "One", "a\u200c": "Two"}))
    with pytest.raises(TransientError):
        caller(asking).acquire(ME, HELPER, user)
    assert asking.answers == ["a\u200c"]


class Careless(ScriptedUser):
    """An application's interaction that returns what cannot be an answer."""

    def read_text(self, prompt: str) -> str:
        return "two\nlines"

    def read_secret(self, prompt: str) -> Secret:
        return Secret("two\nlines")

    def choose(self, prompt: str, options: Mapping[str, str]) -> str:
        return "c"


@pytest.mark.parametrize(
    "ask",
    [
        lambda interaction: interaction.read_text("?"),
        lambda interaction: interaction.read_secret("?"),
        lambda interaction: interaction.choose("?", {"a": "A"}),
    ],
)
def test_what_cannot_be_an_answer_is_refused(ask: Callable[[Any], object]) -> None:
    with raises_code(LoginRequired, "invalid-answer") as caught:
        caller(Questions(ask)).acquire(ME, HELPER, Careless())
    assert "lines" not in str(caught.value)


def test_a_secret_in_plain_text_is_a_fault_of_the_application() -> None:
    class Plain(ScriptedUser):
        def read_secret(self, prompt: str) -> Secret:
            return "canary-in-plain"  # type: ignore[return-value]  # the mistake

    with raises_code(LoginRequired, "invalid-answer") as caught:
        caller(Questions(lambda interaction: interaction.read_secret("?"))).acquire(ME, HELPER, Plain())
    assert "something else than a Secret" in caught.value.message
    assert "canary" not in str(caught.value)


def test_a_choice_without_options_is_a_fault_of_the_plugin() -> None:
    with raises_code(PluginBroken, "plugin-hook-failed"):
        caller(Questions(lambda interaction: interaction.choose("?", {}))).acquire(ME, HELPER, ScriptedUser())


@pytest.mark.parametrize("attended", [True, False])
def test_a_session_without_a_user_is_known_as_such(attended: bool) -> None:
    seen: list[Any] = []

    class Looking(Provider):
        @hookimpl
        def acquire(self, profile: Profile, source: object, interaction: Any) -> object:
            seen.append(interaction)
            return token()

    caller(Looking()).acquire(ME, HELPER, NonInteractive("me", attended=attended))
    assert isinstance(seen[0], NonInteractive)
    assert is_attended(seen[0]) is attended
    with raises_code(LoginRequired, "not-signed-in"):
        seen[0].confirm("?")


@proves("LEK-9")
@pytest.mark.parametrize(
    "code", ["call 555 and read the number", "call-now-555-and-read-the-number-there", "\u202eABC", ""]
)
def test_a_device_code_that_is_a_sentence_is_refused(code: str) -> None:
    class Asking(Provider):
        @hookimpl
        def acquire(self, profile: Profile, source: object, interaction: Any) -> object:
            interaction.show_device_code(code, "https://id.example.com/device", None)
            return token()

    shown: list[str] = []
    user = ScriptedUser(device=lambda *each: shown.extend(map(str, each)))
    with raises_code(FreshkeyError, "invalid-user-code") as caught:
        caller(Asking()).acquire(ME, HELPER, user)
    assert shown == []
    assert "555" not in str(caught.value)


@proves("LEK-9")
def test_an_observer_s_exception_class_is_shown_without_a_secret() -> None:
    events: list[Event] = []

    class Failing:
        @hookimpl(wrapper=True)
        def refresh(self, credential: Credential) -> Iterator[None]:
            yield
            raise type(NEVER_WRAPPED, (Exception,), {})(REFRESH)

    caller(Provider(), events, audit=Failing()).refresh(ME, OLD, LoggingReporter())
    assert_clean(repr(events))
    assert len(events) == 1


@proves("LEK-9")
def test_a_plugin_s_store_shows_nothing_that_is_stored() -> None:
    class Leaky(FakeStore):
        def save(self, record: Record) -> None:
            raise StoreUnavailable(f"cannot write {record.payload.reveal() if record.payload else ''}")

        @contextmanager
        def lock(self, timeout: float) -> Iterator[None]:  # type: ignore[override]
            try:
                yield
            finally:
                self.left = True

    inner = Leaky()
    store = clean_store(inner, "store vault", ME)  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable) as caught:
        store.save(Record(generation=1, payload=Secret(f'{{"refresh_token": "{REFRESH}"}}'), written_at=0.0))
    assert_clean(everything(caught.value))
    with pytest.raises(PluginBroken, match="inside"), store.lock(1.0):
        raise PluginBroken("inside")
    assert inner.left
    assert store.kind == "fake"
    same: object = store
    assert same == inner


def test_the_hints_file_has_no_text_of_an_error(tmp_path: Path) -> None:
    error = raised(lambda: TransientError(f"bad {REFRESH}", code="example-refused", hint=REFRESH))
    HintsFile(tmp_path, "me").write(
        Hints(kind="TransientError", error_code=error.code, failures=1, attempted=Moment(1.0, 1.0, "boot"))
    )
    (file,) = (tmp_path / "hints").iterdir()
    assert_clean(file.read_text())
    assert "bad" not in file.read_text()
    assert "example refused" in shared_error(HintsFile(tmp_path, "me").read(), "Wait").message
