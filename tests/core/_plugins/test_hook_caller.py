"""Calling hooks: which results are valid, which errors pass through, and what observers cannot do."""

from __future__ import annotations

import functools
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pluggy
import pytest
from attrs import evolve, field, frozen

from example_provider import (
    CANARY,
    HELPER,
    FakeStore,
    Observer,
    Provider,
    StorePlugin,
    StoringProvider,
    Wrapping,
    description,
    profile,
    token,
)
from freshkey._plugins import wiring
from freshkey._plugins.hook_caller import HookCaller
from freshkey.clock import SYSTEM
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    OutcomeUnknown,
    PluginBroken,
    ProviderRefused,
    TransientError,
)
from freshkey.events import Event, ObserverFailed
from freshkey.hooks import hookimpl
from freshkey.model.credential import ApiKey, Credential, OAuthToken
from freshkey.model.description import Description, Inspection
from freshkey.model.identity import Identity
from freshkey.model.interaction import Interaction, LoggingReporter, NonInteractive
from freshkey.model.profile import Profile
from freshkey.model.source import Detected, Source
from freshkey.secret import Secret
from promises import proves
from raises_code import raises_code


ASK = NonInteractive("me")
REPORT = LoggingReporter()
ME = profile()
OLD = token(refresh_token=Secret("rt-1"), source="sign-in", identity=Identity(account="ada", extra={"plan": "max"}))
NEW = token(access_token=Secret("at-2"), refresh_token=Secret("rt-2"))


def raising(error: BaseException) -> Callable[..., Any]:
    def raise_it(*args: object) -> None:
        raise error

    return raise_it


def returning(answer: object, *args: object) -> object:
    return answer


class Bench:
    """A hook caller for one provider, and the events it emitted."""

    def __init__(
        self,
        provider: object = None,
        *,
        observers: Mapping[str, object] | None = None,
        store: object = None,
        store_is_configured: bool = True,
        cleans: bool = True,
    ) -> None:
        self.events: list[Event] = []
        manager = wiring.wire(
            "example",
            provider or Provider(on_refresh=lambda old: NEW),
            store=("store fake", store or StorePlugin()),
            store_is_configured=store_is_configured,
            observers=observers or {},
        )
        self.hooks = HookCaller(manager, "example", self.events.append, cleans=cleans)

    def refresh(self) -> Credential:
        return self.hooks.refresh(ME, OLD, REPORT)


def shown(error: BaseException) -> str:
    """Return everything that a program could print about an exception, including its attributes."""
    return "".join(traceback.TracebackException.from_exception(error).format()) + repr(vars(error))


# --- results -------------------------------------------------------------------------------------------------------


def test_describe_works_with_and_without_a_profile() -> None:
    asked: list[object] = []

    class Asked(Provider):
        @hookimpl
        def describe(self, profile: Profile | None, credential: Credential | None) -> Description:
            asked.append((profile, credential))
            return description()

    bench = Bench(Asked())
    assert bench.hooks.describe(None) == bench.hooks.describe(ME) == description()
    assert asked == [(None, None), (ME, None)]


def test_inspect_returns_an_inspection() -> None:
    answer = Bench().hooks.inspect(ME, OLD)
    assert isinstance(answer, Inspection)


def test_acquire_sets_the_source_of_the_credential() -> None:
    got = Bench(Provider(on_acquire=lambda: NEW)).hooks.acquire(ME, HELPER, ASK)
    assert got == evolve(NEW, source="helper")


def test_acquire_passes_profile_source_and_interaction() -> None:
    asked: list[object] = []

    class Asked(Provider):
        @hookimpl
        def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> Credential:
            asked.extend([profile, source, interaction])
            return NEW

    Bench(Asked()).hooks.acquire(ME, HELPER, ASK)
    assert asked == [ME, HELPER, ASK]


def test_refresh_keeps_the_source_and_identity() -> None:
    got = Bench().refresh()
    assert got == evolve(NEW, source="sign-in", identity=OLD.identity)


def test_refresh_uses_a_new_identity_from_the_provider() -> None:
    bob = Identity(account="bob")
    assert Bench(Provider(on_refresh=lambda old: evolve(NEW, identity=bob))).refresh().identity == bob


def test_store_returns_the_result_of_the_hook() -> None:
    kept: Any = FakeStore()
    assert Bench(store=StorePlugin(lambda: kept)).hooks.store(ME) is kept


@pytest.mark.parametrize(
    ("configured", "of_provider", "expected"),
    [
        (True, True, "configured"),
        (True, False, "configured"),
        (False, True, "of the provider"),
        (False, False, "configured"),
    ],
    ids=["both", "configuration", "provider", "default"],
)
def test_configured_store_wins_then_the_provider_s_then_the_default(
    configured: bool, of_provider: bool, expected: str
) -> None:
    bench = Bench(
        StoringProvider(on_store=lambda: FakeStore("of the provider") if of_provider else None),
        store=StorePlugin(lambda: FakeStore("configured")),
        store_is_configured=configured,
    )
    store: Any = bench.hooks.store(ME)
    assert store.name == expected


def test_detect_calls_the_source() -> None:
    detected = Detected(kind="key", origin="here")
    looked: list[Profile] = []

    def detect(profile: Profile) -> Detected | None:
        looked.append(profile)
        return detected if len(looked) == 1 else None

    source = evolve(HELPER, detect=detect)
    hooks = Bench().hooks
    assert hooks.detect(ME, source) is detected
    assert hooks.detect(ME, source) is None
    assert looked == [ME, ME]


def test_setup_asks_the_source() -> None:
    hooks = Bench().hooks
    assert hooks.setup(ME, HELPER) is None
    assert hooks.setup(ME, evolve(HELPER, setup=lambda profile: f"Set x for {profile.name}")) == "Set x for me"
    wrong: Any = lambda profile: 7  # noqa: E731
    with raises_code(PluginBroken, "plugin-hook-failed"):
        hooks.setup(ME, evolve(HELPER, setup=wrong))


def test_user_is_told_once_which_settings_a_source_ignores() -> None:
    hooks, notices = Bench().hooks, list[str]()

    class Ear(LoggingReporter):
        def notice(self, message: str) -> None:
            notices.append(message)

    ask = NonInteractive("me", Ear())
    source = evolve(HELPER, ignores=lambda profile: ("aws_profile", "deadline"))
    for _ in range(2):
        hooks.acquire(ME, source, ask)
    assert notices == [f"Profile 'me': source {HELPER.id!r}: not used: aws_profile, deadline"]
    wrong: Any = lambda profile: "deadline"  # noqa: E731
    with raises_code(PluginBroken, "plugin-hook-failed"):
        hooks.ignores(ME, evolve(HELPER, ignores=wrong))


def test_redirect_port_is_ignored_by_sources_that_do_not_sign_in() -> None:
    hooks, chosen = Bench().hooks, evolve(ME, source=HELPER.id, redirect_port=8085)
    assert hooks.ignores(chosen, HELPER) == ("redirect_port",)
    assert hooks.ignores(chosen, evolve(HELPER, owned=True, interactive=True)) == ()
    assert hooks.ignores(chosen, evolve(HELPER, owned=True, interactive=True, pasted=True)) == ("redirect_port",)
    assert hooks.ignores(evolve(chosen, source=None), HELPER) == ()


def test_export_sees_the_profile_and_quotes_the_credential() -> None:
    hooks = Bench().hooks
    described = description(exports={"line": lambda me, it: f"{me.name}={it.renewal_secret.reveal()}", "odd": repr})
    assert hooks.export(described, ME, OLD, "line") == "me=rt-1"
    with raises_code(PluginBroken, "plugin-hook-failed") as caught:
        hooks.export(described, ME, OLD, "odd")
    assert "its export 'odd' raised TypeError" in caught.value.message
    with raises_code(PluginBroken, "plugin-hook-failed") as caught:
        hooks.export(description(exports={"odd": lambda *_: None}), ME, OLD, "odd")
    assert "its export 'odd' returned nothing instead of str" in caught.value.message


def test_revoke_returns_whether_the_provider_can() -> None:
    revoked: list[object] = []
    hooks = Bench().hooks
    assert not hooks.revoke(description(), ME, OLD)
    assert hooks.revoke(description(revoke=lambda *asked: revoked.extend(asked)), ME, OLD)
    assert revoked == [ME, OLD]


# --- results of the wrong type ---------------------------------------------------------------------------------------

WRONG: list[tuple[str, Callable[[object], Provider], Callable[[HookCaller], object]]] = [
    ("describe", lambda answer: Provider(on_describe=lambda: answer), lambda it: it.describe(ME)),
    ("describe", lambda answer: Provider(on_inspect=lambda: answer), lambda it: it.inspect(ME, OLD)),
    ("acquire", lambda answer: Provider(on_acquire=lambda: answer), lambda it: it.acquire(ME, HELPER, ASK)),
    ("refresh", lambda answer: Provider(on_refresh=lambda _: answer), lambda it: it.refresh(ME, OLD, REPORT)),
]
ASKED = ["describe", "inspect", "acquire", "refresh"]


@pytest.mark.parametrize(("answer", "fact"), [(None, "nothing"), (CANARY, "str"), ({"t": CANARY}, "dict")])
@pytest.mark.parametrize(("hook", "provider", "call"), WRONG, ids=ASKED)
def test_result_of_the_wrong_type_is_a_broken_plugin(
    hook: str,
    provider: Callable[[object], Provider],
    call: Callable[[HookCaller], object],
    answer: object,
    fact: str,
) -> None:
    with raises_code(PluginBroken, "plugin-hook-failed") as it:
        call(Bench(provider(answer)).hooks)
    assert (it.value.plugin, it.value.profile) == ("example", "me")
    assert f"its {hook} hook returned {fact}" in it.value.message
    assert CANARY not in shown(it.value)


def test_description_is_not_a_valid_inspection() -> None:
    with raises_code(PluginBroken, "plugin-hook-failed") as it:
        Bench(Provider(on_inspect=description)).hooks.inspect(ME, OLD)
    assert "Description" in it.value.message
    assert "Inspection" in it.value.message


@pytest.mark.parametrize("verb", ["acquire", "refresh"])
def test_credential_format_that_is_not_described_is_rejected(verb: str) -> None:
    key = ApiKey(obtained=OLD.obtained, key=Secret(CANARY))
    hooks = Bench(Provider(on_acquire=lambda: key, on_refresh=lambda _: key)).hooks
    with raises_code(PluginBroken, "plugin-hook-failed") as it:
        hooks.acquire(ME, HELPER, ASK) if verb == "acquire" else hooks.refresh(ME, OLD, REPORT)
    assert f"its {verb} hook" in it.value.message
    assert "format" in it.value.message


def test_subclass_of_a_described_format_is_rejected() -> None:
    @frozen(kw_only=True)
    class Special(OAuthToken):
        pass

    special = Special(obtained=OLD.obtained, access_token=Secret(CANARY))
    with raises_code(PluginBroken, "plugin-hook-failed") as it:
        Bench(Provider(on_refresh=lambda _: special)).refresh()
    assert "format" in it.value.message


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
def test_plain_string_instead_of_a_secret_is_rejected_unquoted(name: str) -> None:  # FAULT-59, LEK-1
    plain = token(**{name: CANARY})
    with raises_code(PluginBroken, "plugin-hook-failed") as it:
        Bench(Provider(on_refresh=lambda _: plain)).refresh()
    assert name in it.value.message
    assert CANARY not in shown(it.value)


def test_secrets_of_a_provider_s_own_format_are_checked_too() -> None:  # FAULT-59
    @frozen(kw_only=True)
    class Keys(Credential):
        key_id: str
        key: Secret = field()

        def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
            return {}

    described = description(formats={"keys": Keys})
    plain: Any = CANARY
    for key, accepted in [(Secret(CANARY), True), (plain, False)]:
        answer = Keys(obtained=OLD.obtained, key_id="1", key=key)
        bench = Bench(Provider(lambda: described, on_refresh=functools.partial(returning, answer)))
        if accepted:
            assert isinstance(bench.refresh(), Keys)
        else:
            with raises_code(PluginBroken, "plugin-hook-failed") as it:
                bench.refresh()
            assert "returned key" in it.value.message


@pytest.mark.parametrize("answers", [True, False])
def test_provider_s_store_does_not_replace_the_configured_one(answers: bool) -> None:
    class Shy:
        @hookimpl
        def store(self, profile: Profile) -> object:
            return FakeStore() if answers else None

    asked: list[str] = []

    def on_store() -> FakeStore:
        asked.append("the provider")
        return FakeStore()

    bench = Bench(StoringProvider(on_store=on_store), store=Shy())
    configured = evolve(ME, store="vault")
    if answers:
        assert isinstance(bench.hooks.store(configured), FakeStore)
    else:
        with raises_code(ConfigurationError, "store-declined") as it:
            bench.hooks.store(configured)
        assert it.value.profile == "me"
        assert "'vault'" in it.value.message
    assert asked == []

    # Without a configured store, the provider's is used.
    if not answers:
        bench.hooks.store(ME)
        assert asked == ["the provider"]


def test_observer_sees_the_configured_store() -> None:
    seen: list[object] = []

    class Watching:
        @hookimpl(wrapper=True)
        def store(self, profile: Profile) -> Generator[None, object, object]:
            answer = yield
            seen.append(answer)
            return answer

    bench = Bench(StoringProvider(on_store=FakeStore), observers={"audit": Watching()})
    store = bench.hooks.store(evolve(ME, store="fake"))
    assert seen == [store]


def test_object_without_the_methods_of_a_store_is_rejected() -> None:
    class Half(FakeStore):
        withdraw: Any = None

    for answer in (Half(), object(), None):
        with raises_code(PluginBroken, "plugin-hook-failed") as it:
            Bench(store=StorePlugin(functools.partial(returning, answer))).hooks.store(ME)
        assert "store hook" in it.value.message


def test_detect_that_returns_a_value_is_rejected_unquoted() -> None:  # LEK-1
    leaky: Any = lambda profile: CANARY  # noqa: E731
    with raises_code(PluginBroken, "plugin-hook-failed") as it:
        Bench().hooks.detect(ME, evolve(HELPER, detect=leaky))
    assert "detect() for source 'helper'" in it.value.message
    assert CANARY not in shown(it.value)


# --- errors ----------------------------------------------------------------------------------------------------------


def raisers(error: BaseException) -> Iterator[Callable[[], object]]:
    """Yield every call in which a plugin's code can raise `error`."""
    fails = raising(error)
    hooks = Bench(Provider(fails, fails, fails, fails), store=StorePlugin(fails)).hooks
    working = Bench(Provider(on_inspect=fails, on_acquire=fails, on_refresh=fails)).hooks
    yield lambda: hooks.describe(ME)
    yield lambda: hooks.store(ME)
    yield lambda: working.inspect(ME, OLD)
    yield lambda: working.acquire(ME, HELPER, ASK)
    yield lambda: working.refresh(ME, OLD, REPORT)
    yield lambda: working.detect(ME, evolve(HELPER, detect=fails))
    yield lambda: working.setup(ME, evolve(HELPER, setup=fails))
    yield lambda: working.ignores(ME, evolve(HELPER, ignores=fails))
    yield lambda: working.revoke(description(revoke=fails), ME, OLD)


@pytest.mark.parametrize("kind", [TransientError, OutcomeUnknown, LoginRequired, ProviderRefused, ConfigurationError])
def test_freshkey_errors_pass_through_with_the_profile_filled_in(kind: type[FreshkeyError]) -> None:
    for number, act in enumerate(raisers(error := kind("what happened"))):
        error.profile = None
        with pytest.raises(kind) as it:
            act()
        assert it.value is error, number
        assert (it.value.profile, it.value.code) == ("me", kind.code)


@pytest.mark.parametrize("error", [LoginRequired("sign in"), ValueError(CANARY)])
def test_error_does_not_carry_variables_of_the_plugin(error: Exception) -> None:  # LEK-1
    def fails(*_: object, **__: object) -> Any:
        answer = {"refresh_token": CANARY}  # error reporters show the variables of every frame
        try:
            int(answer["refresh_token"])
        except ValueError:
            raise error from None

    with pytest.raises(FreshkeyError) as it:
        Bench(Provider(on_refresh=fails)).refresh()
    frames = {frame.f_code.co_name for frame, _ in traceback.walk_tb(it.value.__traceback__)}

    assert "fails" not in frames
    assert (it.value.__context__, it.value.__cause__) == (None, None)


def test_profile_named_by_the_plugin_is_kept() -> None:
    with pytest.raises(LoginRequired) as it:
        Bench(Provider(on_refresh=raising(LoginRequired("sign in", profile="other")))).refresh()
    assert it.value.profile == "other"


def test_code_of_the_plugin_s_error_is_kept() -> None:
    with raises_code(LoginRequired, "example-signed-out"):
        Bench(Provider(on_refresh=raising(LoginRequired("sign in", code="example-signed-out")))).refresh()


@pytest.mark.parametrize("error", [ValueError(CANARY), SystemExit(CANARY), StopIteration(CANARY), OSError(5, CANARY)])
def test_any_other_exception_is_a_broken_plugin_and_is_not_quoted(error: BaseException) -> None:  # FAULT-59
    for act in raisers(error):
        with raises_code(PluginBroken, "plugin-hook-failed") as it:
            act()
        assert it.value.profile == "me"
        assert "'example'" in it.value.message
        assert type(error).__name__ in it.value.message or "RuntimeError" in it.value.message
        assert f"in {Path(__file__).name}, line" in it.value.message
        assert it.value.plugin == "example"
        assert CANARY not in shown(it.value)


def test_keyboard_interrupt_passes_through() -> None:
    for act in raisers(KeyboardInterrupt()):
        with pytest.raises(KeyboardInterrupt):
            act()


def test_error_without_a_profile_names_none() -> None:
    with raises_code(PluginBroken, "plugin-hook-failed") as it:
        Bench(Provider(on_describe=raising(ValueError("odd")))).hooks.describe(None)
    assert it.value.profile is None


# --- observers -------------------------------------------------------------------------------------------------------


def passes() -> Wrapping:
    return (yield)


def raises_after() -> Wrapping:
    yield
    raise RuntimeError(CANARY)


def exits_after() -> Wrapping:
    yield
    raise SystemExit(CANARY)


def forbids_after() -> Wrapping:
    yield
    raise ProviderRefused("too late")


def answers_itself() -> Wrapping:
    yield
    return token(access_token=Secret("forged"))


def answers_nothing() -> Wrapping:
    yield
    return None


def yields_twice() -> Wrapping:
    yield
    yield
    return None


def swallows() -> Wrapping:
    try:
        yield
    except BaseException:  # noqa: BLE001  what an observer might do
        return token(access_token=Secret("forged"))
    return None


def replaces() -> Wrapping:
    try:
        return (yield)
    except BaseException as error:
        raise TransientError("try again") from error


class Forcing:
    """An old-style wrapper, which can replace the result."""

    @hookimpl(hookwrapper=True)
    def refresh(self) -> Iterator[None]:
        outcome: Any = yield
        outcome.force_result(token(access_token=Secret("forged")))


class ForcingAnError:
    @hookimpl(hookwrapper=True)
    def refresh(self) -> Iterator[None]:
        outcome: Any = yield
        outcome.force_exception(RuntimeError(CANARY))


class First:
    """A wrapper that tries to be the innermost."""

    @hookimpl(wrapper=True, trylast=True)
    def refresh(self) -> Wrapping:
        yield
        return token(access_token=Secret("forged"))


MEDDLERS: dict[str, object] = {
    "passes": Observer(passes),
    "raises": Observer(raises_after),
    "exits": Observer(exits_after),
    "forbids late": Observer(forbids_after),
    "answers": Observer(answers_itself),
    "answers nothing": Observer(answers_nothing),
    "yields twice": Observer(yields_twice),
    "swallows": Observer(swallows),
    "replaces": Observer(replaces),
    "forces a result": Forcing(),
    "forces an error": ForcingAnError(),
    "first": First(),
}
LOUD = ["raises", "exits", "forbids late", "yields twice", "forces an error"]


@pytest.mark.parametrize("name", MEDDLERS)
def test_observer_cannot_change_or_lose_a_result(name: str) -> None:
    bench = Bench(observers={name: MEDDLERS[name]})
    assert bench.refresh() == evolve(NEW, source="sign-in", identity=OLD.identity)


@pytest.mark.parametrize("name", MEDDLERS)
def test_observer_cannot_change_or_lose_an_error(name: str) -> None:
    error = LoginRequired("sign in again")
    bench = Bench(Provider(on_refresh=raising(error)), observers={name: MEDDLERS[name]})
    with pytest.raises(LoginRequired) as it:
        bench.refresh()
    assert it.value is error
    assert CANARY not in shown(it.value)


def test_all_observers_together_cannot_change_or_lose_anything() -> None:
    assert Bench(observers=MEDDLERS).refresh() == evolve(NEW, source="sign-in", identity=OLD.identity)
    error = LoginRequired("sign in again")
    with pytest.raises(LoginRequired) as it:
        Bench(Provider(on_refresh=raising(error)), observers=MEDDLERS).refresh()
    assert it.value is error


@pytest.mark.parametrize("name", MEDDLERS)
def test_exception_after_the_yield_of_an_observer_is_emitted(name: str) -> None:
    bench = Bench(observers={name: MEDDLERS[name]})
    bench.refresh()
    assert [type(event) for event in bench.events] == ([ObserverFailed] if name in LOUD else [])
    for event in bench.events:
        assert isinstance(event, ObserverFailed)
        assert (event.profile, event.observer, event.hook) == ("me", name, "refresh")
        assert CANARY not in repr(event)


def test_error_that_an_observer_lets_through_is_not_its_failure() -> None:
    bench = Bench(Provider(on_refresh=raising(TransientError("later"))), observers={"audit": Observer(passes)})
    with pytest.raises(TransientError):
        bench.refresh()
    assert bench.events == []


def test_error_that_an_observer_replaces_is_raised_and_the_replacement_emitted() -> None:
    error = LoginRequired("gone")
    bench = Bench(Provider(on_refresh=raising(error)), observers={"audit": Observer(replaces)})
    with pytest.raises(LoginRequired) as it:
        bench.refresh()
    assert it.value is error
    failed = ObserverFailed(profile="me", observer="audit", hook="refresh", error="TransientError")
    assert bench.events == [failed]


class Inner:
    @hookimpl(wrapper=True)
    def refresh(self) -> Wrapping:
        yield
        raise ValueError(CANARY)


class Outer:
    @hookimpl(wrapper=True)
    def refresh(self) -> Wrapping:
        return (yield)


@pytest.mark.parametrize("order", [["inner", "outer"], ["outer", "inner"]])
def test_event_names_the_observer_that_raised(order: list[str]) -> None:
    both = {"inner": Inner(), "outer": Outer()}
    bench = Bench(observers={name: both[name] for name in order})
    bench.refresh()
    assert [event.observer for event in bench.events if isinstance(event, ObserverFailed)] == ["inner"]


@pytest.mark.filterwarnings("ignore::pluggy.PluggyTeardownRaisedWarning")
def test_old_style_wrapper_that_raises_loses_nothing() -> None:
    class Old:
        @hookimpl(hookwrapper=True)
        def refresh(self) -> Iterator[None]:
            yield
            raise ValueError(CANARY)

    bench = Bench(observers={"old": Old()})
    assert bench.refresh().token == NEW.access_token
    assert [event.observer for event in bench.events if isinstance(event, ObserverFailed)] == ["old"]


def test_observer_sees_arguments_and_result() -> None:
    seen: list[object] = []

    class Audit:
        @hookimpl(wrapper=True)
        def refresh(self, profile: Profile, credential: Credential) -> Wrapping:
            seen.extend([profile, credential])
            answer = yield
            seen.append(answer)
            return answer

    Bench(observers={"audit": Audit()}).refresh()
    assert seen == [ME, OLD, NEW]


def test_observer_can_forbid_a_call() -> None:
    called: list[Credential] = []

    def forbids() -> Wrapping:
        raise ProviderRefused("not at night", code="example-policy")
        yield

    bench = Bench(Provider(on_refresh=called.append), observers={"policy": Observer(forbids)})
    with raises_code(ProviderRefused, "example-policy") as it:
        bench.refresh()
    assert it.value.profile == "me"
    assert called == []
    assert bench.events == []


@pytest.mark.parametrize("error", [ValueError(CANARY), SystemExit(CANARY)])
def test_observer_that_fails_before_its_yield_is_named(error: BaseException) -> None:
    def fails() -> Wrapping:
        raise error
        yield

    bench = Bench(observers={"outer": Outer(), "policy": Observer(fails)})
    with raises_code(PluginBroken, "plugin-hook-failed") as it:
        bench.refresh()
    assert (it.value.plugin, it.value.profile) == ("policy", "me")
    assert "refresh hook" in it.value.message
    assert "'policy'" in str(it.value.hint)
    assert CANARY not in shown(it.value)


def test_observer_that_never_yields_is_named() -> None:
    def never() -> Wrapping:
        if ME.name == "another profile":
            yield
        return None

    with raises_code(PluginBroken, "plugin-hook-failed") as it:
        Bench(observers={"policy": Observer(never)}).refresh()
    assert it.value.plugin == "policy"


def test_observer_that_suppresses_the_refusal_of_another_does_not_cause_a_call() -> None:
    called: list[Credential] = []

    def forbids() -> Wrapping:
        raise ProviderRefused("not at night")
        yield

    bench = Bench(
        Provider(on_refresh=called.append), observers={"policy": Observer(forbids), "hiding": Observer(swallows)}
    )
    with raises_code(PluginBroken, "plugin-hook-failed") as it:
        bench.refresh()
    assert "hiding" in it.value.plugin
    assert called == []


def test_describe_is_not_called_between_a_result_and_its_return() -> None:
    """The formats are known before the token is spent, so that a failing describe cannot lose the result."""
    spent: list[Credential] = []

    class DescribeForbidden:
        @hookimpl(wrapper=True)
        def describe(self) -> Wrapping:
            if spent:
                raise ProviderRefused("no more questions")
            return (yield)

    def refresh(old: Credential) -> Credential:
        spent.append(old)
        return NEW

    bench = Bench(Provider(on_refresh=refresh), observers={"policy": DescribeForbidden()})
    assert bench.refresh().token == NEW.access_token


def test_observer_can_call_another_hook_before_its_yield() -> None:
    asked: list[Inspection] = []
    bench: Bench

    class Curious:
        @hookimpl(wrapper=True)
        def refresh(self, credential: Credential) -> Wrapping:
            asked.append(bench.hooks.inspect(ME, credential))
            return (yield)

    bench = Bench(observers={"curious": Curious()})
    assert bench.refresh().token == NEW.access_token
    assert len(asked) == 1


def test_concurrent_calls_do_not_mix_up_their_results() -> None:
    gate = threading.Barrier(8)

    def refresh(old: Credential) -> Credential:
        gate.wait()
        if old.lifetime == 3.0:
            raise TransientError("three", code="example-three")
        return evolve(old, access_token=Secret(f"new of {old.lifetime}"))  # type: ignore[call-arg]

    def meets() -> Wrapping:
        gate.wait()
        yield
        raise RuntimeError(CANARY)

    bench = Bench(Provider(on_refresh=refresh), observers={"meets": Observer(meets)})
    results: dict[float, object] = {}

    def caller(number: float) -> None:
        try:
            got = bench.hooks.refresh(ME, token(lifetime=number), REPORT)
            results[number] = got.token.reveal() if got.token else None
        except TransientError as error:
            results[number] = error.code

    threads = [threading.Thread(target=caller, args=(float(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {float(n): "example-three" if n == 3 else f"new of {float(n)}" for n in range(8)}


def test_no_credential_is_kept_after_a_call() -> None:
    bench = Bench()
    bench.refresh()
    assert vars(bench.hooks._innermost._calls) == {"outcome": None}


def test_watching_wrapper_is_inside_all_others() -> None:
    bench = Bench(observers=MEDDLERS)
    caller: pluggy.HookCaller = bench.hooks._manager.hook.refresh
    wrappers = [each for each in caller.get_hookimpls() if each.wrapper or each.hookwrapper]
    assert wrappers[0].plugin is bench.hooks._innermost
    assert len(wrappers) == len(MEDDLERS) + 1


# --- secrets in credential classes -----------------------------------------------------------------------------------


@frozen(kw_only=True)
class PlainKey(OAuthToken):
    api_key: str = ""


@frozen(kw_only=True)
class Disguised(OAuthToken):
    blob: str = ""

    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.blob}"}


@proves("LEK-11")
@pytest.mark.parametrize("kind", [PlainKey, Disguised])
def test_provider_whose_credentials_show_a_secret_is_refused(kind: type[OAuthToken]) -> None:
    class Showing(Provider):
        @hookimpl
        def describe(self, profile: Profile | None, credential: Credential | None) -> Description:
            return description(formats={"it": kind})

        @hookimpl
        def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> Credential:
            now, secret = SYSTEM.now(), Secret(CANARY)
            return Disguised(obtained=now, access_token=secret, blob=CANARY) if kind is Disguised else OLD

    with raises_code(PluginBroken, "plugin-shows-secret") as caught:
        Bench(Showing()).hooks.acquire(ME, HELPER, ASK)
    assert kind.__name__ in caught.value.message or "'blob'" in caught.value.message
    assert "Secret" in caught.value.message
    assert CANARY not in shown(caught.value)


# --- for the author of a plugin -------------------------------------------------------------------------------------


def _looks_up() -> object:
    answer = {"access_token": CANARY}
    return answer["acces_token"]


def _refuses() -> object:
    raise LoginRequired(f"sign in again: {OLD.refresh_token and OLD.refresh_token.reveal()} {CANARY}")


@pytest.mark.parametrize(
    ("act", "facts"),
    [(_looks_up, ["KeyError: 'acces_token'", 'answer["acces_token"]']), (_refuses, ["LoginRequired: sign in again"])],
)
def test_whole_traceback_is_shown_if_wanted_without_secrets(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], facts: list[str]
) -> None:
    monkeypatch.setenv("FRESHKEY_DEBUG", "1")
    given = evolve(OLD, access_token=Secret(CANARY), refresh_token=Secret("a-refresh-token-5417"))
    with pytest.raises(FreshkeyError) as caught:
        Bench(Provider(on_refresh=lambda _: act())).hooks.refresh(ME, given, REPORT)
    text = shown(caught.value)
    for fact in (*facts, "test_hook_caller.py", "in refresh", act.__name__):
        assert fact in text
    assert CANARY not in text
    assert "FRESHKEY_DEBUG" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_without_it_the_hint_says_how_to_see_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRESHKEY_DEBUG", raising=False)
    with pytest.raises(PluginBroken) as caught:
        Bench(Provider(on_refresh=lambda _: _looks_up())).refresh()
    assert "Set FRESHKEY_DEBUG=1 to see the whole traceback" in str(caught.value.hint)
    assert "acces_token" not in shown(caught.value)


@pytest.mark.parametrize("act", [_looks_up, _refuses])
def test_contract_kit_always_sees_the_traceback(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    monkeypatch.delenv("FRESHKEY_DEBUG", raising=False)
    hooks = Bench(Provider(on_refresh=lambda _: act()), cleans=False).hooks
    with pytest.raises(FreshkeyError) as caught:
        hooks.refresh(ME, evolve(OLD, access_token=Secret(CANARY)), REPORT)
    (note,) = caught.value.__notes__
    assert act.__name__ in note
    assert CANARY not in note
    assert "FRESHKEY_DEBUG" not in str(caught.value)
