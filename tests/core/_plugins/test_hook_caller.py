"""The hooks as verbs: what counts as an answer, which errors pass, and what observers cannot do."""

from __future__ import annotations

import functools
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
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
    ) -> None:
        self.events: list[Event] = []
        manager = wiring.wire(
            "example",
            provider or Provider(on_refresh=lambda old: NEW),
            store=("store fake", store or StorePlugin()),
            store_is_configured=store_is_configured,
            observers=observers or {},
        )
        self.hooks = HookCaller(manager, "example", self.events.append)

    def refresh(self) -> Credential:
        return self.hooks.refresh(ME, OLD, REPORT)


def shown(error: BaseException) -> str:
    """Everything that a program could print of an exception, with the variables of freshkey's own frames."""
    return "".join(traceback.TracebackException.from_exception(error).format()) + repr(vars(error))


# --- the verbs -------------------------------------------------------------------------------------------------------


def test_describe_asks_about_the_provider_or_about_a_profile() -> None:
    asked: list[object] = []

    class Asked(Provider):
        @hookimpl
        def describe(self, profile: Profile | None, credential: Credential | None) -> Description:
            asked.append((profile, credential))
            return description()

    bench = Bench(Asked())
    assert bench.hooks.describe(None) == bench.hooks.describe(ME) == description()
    assert asked == [(None, None), (ME, None)]


def test_inspect_asks_about_a_credential() -> None:
    answer = Bench().hooks.inspect(ME, OLD)
    assert isinstance(answer, Inspection)


def test_acquire_marks_the_credential_with_its_source() -> None:
    got = Bench(Provider(on_acquire=lambda: NEW)).hooks.acquire(ME, HELPER, ASK)
    assert got == evolve(NEW, source="helper")


def test_acquire_hands_profile_source_and_person_through() -> None:
    asked: list[object] = []

    class Asked(Provider):
        @hookimpl
        def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> Credential:
            asked.extend([profile, source, interaction])
            return NEW

    Bench(Asked()).hooks.acquire(ME, HELPER, ASK)
    assert asked == [ME, HELPER, ASK]


def test_refresh_keeps_the_source_and_a_known_identity() -> None:
    got = Bench().refresh()
    assert got == evolve(NEW, source="sign-in", identity=OLD.identity)


def test_refresh_takes_an_identity_that_the_provider_tells() -> None:
    bob = Identity(account="bob")
    assert Bench(Provider(on_refresh=lambda old: evolve(NEW, identity=bob))).refresh().identity == bob


def test_store_returns_what_the_hook_made() -> None:
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
def test_a_store_is_that_of_configuration_then_the_provider_s_then_the_default(
    configured: bool, of_provider: bool, expected: str
) -> None:
    bench = Bench(
        StoringProvider(on_store=lambda: FakeStore("of the provider") if of_provider else None),
        store=StorePlugin(lambda: FakeStore("configured")),
        store_is_configured=configured,
    )
    store: Any = bench.hooks.store(ME)
    assert store.name == expected


def test_look_asks_the_source() -> None:
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


def test_revoke_says_whether_the_provider_can() -> None:
    revoked: list[object] = []
    hooks = Bench().hooks
    assert not hooks.revoke(description(), ME, OLD)
    assert hooks.revoke(description(revoke=lambda *asked: revoked.extend(asked)), ME, OLD)
    assert revoked == [ME, OLD]


# --- answers of the wrong type ---------------------------------------------------------------------------------------

WRONG: list[tuple[str, Callable[[object], Provider], Callable[[HookCaller], object]]] = [
    ("describe", lambda answer: Provider(on_describe=lambda: answer), lambda it: it.describe(ME)),
    ("describe", lambda answer: Provider(on_inspect=lambda: answer), lambda it: it.inspect(ME, OLD)),
    ("acquire", lambda answer: Provider(on_acquire=lambda: answer), lambda it: it.acquire(ME, HELPER, ASK)),
    ("refresh", lambda answer: Provider(on_refresh=lambda _: answer), lambda it: it.refresh(ME, OLD, REPORT)),
]
ASKED = ["describe", "inspect", "acquire", "refresh"]


@pytest.mark.parametrize(("answer", "said"), [(None, "nothing"), (CANARY, "a str"), ({"t": CANARY}, "a dict")])
@pytest.mark.parametrize(("hook", "provider", "interaction"), WRONG, ids=ASKED)
def test_an_answer_of_the_wrong_type_is_a_broken_plugin(
    hook: str,
    provider: Callable[[object], Provider],
    interaction: Callable[[HookCaller], object],
    answer: object,
    said: str,
) -> None:
    with pytest.raises(PluginBroken, match=rf"^me: provider 'example' .*its {hook} returned {said} instead of a") as it:
        interaction(Bench(provider(answer)).hooks)
    assert (it.value.plugin, it.value.profile) == ("example", "me")
    assert CANARY not in shown(it.value)


def test_a_description_is_no_inspection_and_an_inspection_no_description() -> None:
    with pytest.raises(PluginBroken, match="returned a Description instead of a Inspection"):
        Bench(Provider(on_inspect=description)).hooks.inspect(ME, OLD)


@pytest.mark.parametrize("verb", ["acquire", "refresh"])
def test_a_format_that_is_not_described_is_refused(verb: str) -> None:
    key = ApiKey(obtained=OLD.obtained, key=Secret(CANARY))
    hooks = Bench(Provider(on_acquire=lambda: key, on_refresh=lambda _: key)).hooks
    with pytest.raises(PluginBroken, match=f"its {verb} hook returned a format it does not describe"):
        hooks.acquire(ME, HELPER, ASK) if verb == "acquire" else hooks.refresh(ME, OLD, REPORT)


def test_a_subclass_of_a_described_format_is_another_format() -> None:
    @frozen(kw_only=True)
    class Special(OAuthToken):
        pass

    special = Special(obtained=OLD.obtained, access_token=Secret(CANARY))
    with pytest.raises(PluginBroken, match="does not describe"):
        Bench(Provider(on_refresh=lambda _: special)).refresh()


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
def test_a_plain_string_in_place_of_a_secret_is_refused_unseen(name: str) -> None:  # row 59, LEK-1
    plain = token(**{name: CANARY})
    with pytest.raises(PluginBroken, match=f"returned a {name} that is not a Secret") as it:
        Bench(Provider(on_refresh=lambda _: plain)).refresh()
    assert CANARY not in shown(it.value)


def test_the_secrets_of_a_provider_s_own_format_are_looked_at_too() -> None:  # row 59
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
            with pytest.raises(PluginBroken, match="returned a key that is not a Secret"):
                bench.refresh()


@pytest.mark.parametrize("answers", [True, False])
def test_the_provider_s_store_does_not_stand_in_for_the_configured_one(answers: bool) -> None:
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
        with pytest.raises(ConfigurationError, match=r"^me: the store 'vault' that is configured keeps nothing"):
            bench.hooks.store(configured)
    assert asked == []

    # Without one in configuration it is the provider's turn.
    if not answers:
        bench.hooks.store(ME)
        assert asked == ["the provider"]


def test_an_observer_sees_the_configured_store_too() -> None:
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


def test_something_without_the_methods_of_a_store_is_refused() -> None:
    class Half(FakeStore):
        withdraw: Any = None

    for answer in (Half(), object(), None):
        with pytest.raises(PluginBroken, match="not a store"):
            Bench(store=StorePlugin(functools.partial(returning, answer))).hooks.store(ME)


def test_a_look_that_returns_a_value_is_refused_unseen() -> None:  # LEK-1
    leaky: Any = lambda profile: CANARY  # noqa: E731
    with pytest.raises(PluginBroken, match="detect of source 'helper' returned a str") as it:
        Bench().hooks.detect(ME, evolve(HELPER, detect=leaky))
    assert CANARY not in shown(it.value)


# --- errors ----------------------------------------------------------------------------------------------------------


def raisers(error: BaseException) -> Iterator[Callable[[], object]]:
    """Yield every way in which a plugin's code may raise `error`."""
    fails = raising(error)
    hooks = Bench(Provider(fails, fails, fails, fails), store=StorePlugin(fails)).hooks
    working = Bench(Provider(on_inspect=fails, on_acquire=fails, on_refresh=fails)).hooks
    yield lambda: hooks.describe(ME)
    yield lambda: hooks.store(ME)
    yield lambda: working.inspect(ME, OLD)
    yield lambda: working.acquire(ME, HELPER, ASK)
    yield lambda: working.refresh(ME, OLD, REPORT)
    yield lambda: working.detect(ME, evolve(HELPER, detect=fails))
    yield lambda: working.revoke(description(revoke=fails), ME, OLD)


@pytest.mark.parametrize("kind", [TransientError, OutcomeUnknown, LoginRequired, ProviderRefused, ConfigurationError])
def test_the_contract_s_errors_pass_with_the_profile_filled_in(kind: type[FreshkeyError]) -> None:
    for number, act in enumerate(raisers(error := kind("what happened"))):
        error.profile = None
        with pytest.raises(kind) as it:
            act()
        assert it.value is error, number
        assert str(it.value) == "me: what happened"


@pytest.mark.parametrize("error", [LoginRequired("sign in"), ValueError(CANARY)])
def test_no_variable_of_a_plugin_comes_along_with_its_error(error: Exception) -> None:  # LEK-1
    def fails(*_: object, **__: object) -> Any:
        answer = {"refresh_token": CANARY}  # tools that report errors show the variables of every frame
        try:
            int(answer["refresh_token"])
        except ValueError:
            raise error from None

    with pytest.raises(FreshkeyError) as it:
        Bench(Provider(on_refresh=fails)).refresh()
    frames = {frame.f_code.co_name for frame, _ in traceback.walk_tb(it.value.__traceback__)}

    assert "fails" not in frames
    assert (it.value.__context__, it.value.__cause__) == (None, None)


def test_a_profile_that_the_plugin_named_stays() -> None:
    with pytest.raises(LoginRequired, match=r"^other: "):
        Bench(Provider(on_refresh=raising(LoginRequired("sign in", profile="other")))).refresh()


@pytest.mark.parametrize("error", [ValueError(CANARY), SystemExit(CANARY), StopIteration(CANARY), OSError(5, CANARY)])
def test_any_other_exception_is_a_broken_plugin_and_its_text_is_not_told(error: BaseException) -> None:  # row 59
    for act in raisers(error):
        with pytest.raises(PluginBroken, match=r"^me: provider 'example' broke its contract: its .* raised") as it:
            act()
        assert type(error).__name__ in it.value.message or "RuntimeError" in it.value.message
        assert f"in {__file__.rpartition('/')[2]}, line" in it.value.message
        assert it.value.plugin == "example"
        assert CANARY not in shown(it.value)


def test_a_keyboard_interrupt_is_the_person_s_and_passes() -> None:
    for act in raisers(KeyboardInterrupt()):
        with pytest.raises(KeyboardInterrupt):
            act()


def test_without_a_profile_there_is_no_name_to_fill_in() -> None:
    with pytest.raises(PluginBroken) as it:
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
    """An old-style wrapper, which can force a result."""

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
    """A wrapper that wants to be the innermost."""

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
def test_no_observer_can_change_or_lose_an_answer(name: str) -> None:
    bench = Bench(observers={name: MEDDLERS[name]})
    assert bench.refresh() == evolve(NEW, source="sign-in", identity=OLD.identity)


@pytest.mark.parametrize("name", MEDDLERS)
def test_no_observer_can_change_or_lose_an_error(name: str) -> None:
    error = LoginRequired("sign in again")
    bench = Bench(Provider(on_refresh=raising(error)), observers={name: MEDDLERS[name]})
    with pytest.raises(LoginRequired) as it:
        bench.refresh()
    assert it.value is error
    assert CANARY not in shown(it.value)


def test_all_of_them_together_cannot_either() -> None:
    assert Bench(observers=MEDDLERS).refresh() == evolve(NEW, source="sign-in", identity=OLD.identity)
    with pytest.raises(LoginRequired, match="sign in again"):
        Bench(Provider(on_refresh=raising(LoginRequired("sign in again"))), observers=MEDDLERS).refresh()


@pytest.mark.parametrize("name", MEDDLERS)
def test_what_an_observer_raises_after_its_yield_is_told(name: str) -> None:
    bench = Bench(observers={name: MEDDLERS[name]})
    bench.refresh()
    assert [type(event) for event in bench.events] == ([ObserverFailed] if name in LOUD else [])
    for event in bench.events:
        assert isinstance(event, ObserverFailed)
        assert (event.profile, event.observer, event.hook) == ("me", name, "refresh")
        assert CANARY not in repr(event)


def test_an_error_that_an_observer_lets_through_is_not_the_observer_s() -> None:
    bench = Bench(Provider(on_refresh=raising(TransientError("later"))), observers={"audit": Observer(passes)})
    with pytest.raises(TransientError):
        bench.refresh()
    assert bench.events == []


def test_an_error_in_place_of_the_hook_s_is_told_and_the_hook_s_is_raised() -> None:
    bench = Bench(Provider(on_refresh=raising(LoginRequired("gone"))), observers={"audit": Observer(replaces)})
    with pytest.raises(LoginRequired, match="gone"):
        bench.refresh()
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
def test_of_several_observers_the_one_that_raised_is_named(order: list[str]) -> None:
    both = {"inner": Inner(), "outer": Outer()}
    bench = Bench(observers={name: both[name] for name in order})
    bench.refresh()
    assert [event.observer for event in bench.events if isinstance(event, ObserverFailed)] == ["inner"]


@pytest.mark.filterwarnings("ignore::pluggy.PluggyTeardownRaisedWarning")
def test_an_old_style_wrapper_that_raises_loses_nothing() -> None:
    class Old:
        @hookimpl(hookwrapper=True)
        def refresh(self) -> Iterator[None]:
            yield
            raise ValueError(CANARY)

    bench = Bench(observers={"old": Old()})
    assert bench.refresh().token == NEW.access_token
    assert [event.observer for event in bench.events if isinstance(event, ObserverFailed)] == ["old"]


def test_an_observer_sees_arguments_and_the_answer() -> None:
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


def test_an_observer_may_forbid_a_call_before_it_is_made() -> None:
    called: list[Credential] = []

    def forbids() -> Wrapping:
        raise ProviderRefused("not at night")
        yield

    bench = Bench(Provider(on_refresh=called.append), observers={"policy": Observer(forbids)})
    with pytest.raises(ProviderRefused, match=r"^me: not at night"):
        bench.refresh()
    assert called == []
    assert bench.events == []


@pytest.mark.parametrize("error", [ValueError(CANARY), SystemExit(CANARY)])
def test_an_observer_that_fails_before_its_yield_is_named(error: BaseException) -> None:
    def fails() -> Wrapping:
        raise error
        yield

    bench = Bench(observers={"outer": Outer(), "policy": Observer(fails)})
    with pytest.raises(PluginBroken, match=r"^me: observer 'policy' failed before the refresh hook") as it:
        bench.refresh()
    assert it.value.plugin == "policy"
    assert CANARY not in shown(it.value)


def test_an_observer_that_never_yields_is_named() -> None:
    def never() -> Wrapping:
        if ME.name == "somebody else":
            yield
        return None

    with pytest.raises(PluginBroken, match="observer 'policy' failed before") as it:
        Bench(observers={"policy": Observer(never)}).refresh()
    assert it.value.plugin == "policy"


def test_a_refusal_that_another_observer_hides_is_a_refusal_still() -> None:
    called: list[Credential] = []

    def forbids() -> Wrapping:
        raise ProviderRefused("not at night")
        yield

    bench = Bench(
        Provider(on_refresh=called.append), observers={"policy": Observer(forbids), "hiding": Observer(swallows)}
    )
    with pytest.raises(PluginBroken, match=r"observer '.*' hid the refresh hook"):
        bench.refresh()
    assert called == []


def test_nothing_can_fail_between_the_answer_and_its_return() -> None:
    """The formats are known before the token is spent, so no observer of describe can lose the answer."""
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


def test_an_observer_may_ask_something_else_before_its_yield() -> None:
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


def test_calls_at_once_do_not_mix_up_their_answers() -> None:
    gate = threading.Barrier(8)

    def refresh(old: Credential) -> Credential:
        gate.wait()
        if old.lifetime == 3.0:
            raise TransientError("three")
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
            results[number] = error.message

    threads = [threading.Thread(target=caller, args=(float(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {float(n): "three" if n == 3 else f"new of {float(n)}" for n in range(8)}


def test_no_credential_is_remembered_after_a_call() -> None:
    bench = Bench()
    bench.refresh()
    assert vars(bench.hooks._innermost._calls) == {"outcome": None}


def test_the_watching_wrapper_is_inside_all_others() -> None:
    bench = Bench(observers=MEDDLERS)
    caller: pluggy.HookCaller = bench.hooks._manager.hook.refresh
    wrappers = [each for each in caller.get_hookimpls() if each.wrapper or each.hookwrapper]
    assert wrappers[0].plugin is bench.hooks._innermost
    assert len(wrappers) == len(MEDDLERS) + 1
