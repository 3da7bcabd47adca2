"""Everything that renewals of one profile need: provider, store, observers, times."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import field, frozen

from example_provider import FakeStore, Provider, Settings, StoringProvider, description, token
from freshkey._commands.command import Command, run_command
from freshkey._config.configuration import Configuration
from freshkey._plugins import discovery
from freshkey._plugins.discovery import OBSERVERS, STORES, Loaded
from freshkey._renewal.context import ProfileContext, Runtime, build_context
from freshkey._trust.proposals import proposals
from freshkey.errors import ConfigurationError, PluginBroken, StoreUnavailable, TrustNeeded
from freshkey.events import Event
from freshkey.expiry import Freshness
from freshkey.hooks import hookimpl
from freshkey.model.description import Description
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey_testing import ManualClock
from raises_code import raises_code


def opened(
    table: Mapping[str, object],
    state_dir: Path,
    *,
    name: str = "me",
    provider: object = None,
    events: list[Event] | None = None,
    clock: ManualClock | None = None,
    **more: Any,
) -> ProfileContext:
    """Build the context of a profile with this configuration table."""
    table = {"provider": "example"} | dict(table)
    return build_context(
        name,
        Configuration.of({name: table}, state_dir=state_dir, **more),
        Runtime(
            providers={"example": provider or Provider()},
            emit=(events if events is not None else []).append,
            clock=clock or ManualClock(),
            random=lambda: 0.0,
        ),
    )


# --- the profile and its provider ------------------------------------------------------------------------------------


def test_the_profile_has_its_settings_typed(tmp_path: Path) -> None:
    context = opened({"region": "north", "lead": 60.0}, tmp_path)
    assert context.profile.settings_as(Settings) == Settings(region="north")
    assert (context.profile.name, context.profile.provider, context.profile.lead) == ("me", "example", 60.0)
    assert context.profile.state_dir == tmp_path


def test_provider_is_described_first_in_general_and_then_for_the_profile(tmp_path: Path) -> None:
    asked: list[str | None] = []

    class Asked(Provider):
        @hookimpl
        def describe(self, profile: Profile | None, credential: object) -> Description:
            asked.append(profile.settings_as(Settings).region if profile else None)
            return description(hosts=(profile.name,) if profile else ())

    context = opened({"region": "north"}, tmp_path, provider=Asked())
    assert asked == [None, "north"]
    assert context.description.hosts == ("me",)


def test_misspelled_setting_is_an_error(tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "unknown-setting") as caught:
        opened({"regoin": "north"}, tmp_path)
    assert "'regoin'" in caught.value.message
    assert "'region'" in str(caught.value)


def test_unknown_provider_names_the_profile(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        opened({"provider": "exmaple"}, tmp_path)
    assert caught.value.profile == "me"
    assert "'exmaple'" in caught.value.message
    assert "'example'" in str(caught.value)


def test_provider_without_hooks_is_rejected(tmp_path: Path) -> None:
    with raises_code(PluginBroken, "plugin-hooks-invalid") as caught:
        opened({}, tmp_path, provider=object())
    assert (caught.value.profile, caught.value.plugin) == ("me", "example")


def test_provider_passed_by_the_application_overrides_an_installed_one(tmp_path: Path) -> None:
    ours = Provider(on_describe=lambda: description(title="ours"))
    context = build_context(
        "claude_oauth",
        Configuration.of({"claude_oauth": {"provider": "claude_oauth", "store": "memory"}}, state_dir=tmp_path),
        Runtime(providers={"claude_oauth": ours}, emit=lambda event: None, clock=ManualClock(), random=lambda: 0.0),
    )
    assert context.description.title == "ours"


# --- observers -------------------------------------------------------------------------------------------------------


class Audit:
    def __init__(self) -> None:
        self.seen: list[str] = []

    @hookimpl(wrapper=True)
    def refresh(self, profile: Profile) -> Any:
        self.seen.append(profile.name)
        yield
        raise RuntimeError("after the answer")


def test_configured_observers_are_loaded_and_their_failures_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = Audit()
    loaded: list[str] = []

    real = discovery.load

    def load(name: str, group: str) -> Loaded:
        if group != OBSERVERS:
            return real(name, group)
        loaded.append(name)
        return Loaded(audit)

    monkeypatch.setattr(discovery, "load", load)
    events: list[Event] = []
    context = opened({}, tmp_path, events=events, observers=["audit"])
    answer: Any = None
    answer = context.hooks.refresh(context.profile, token(), answer)
    assert (loaded, audit.seen) == (["audit"], ["me"])
    assert answer == token()
    assert [type(event).__name__ for event in events] == ["ObserverFailed"]


def test_an_observer_that_is_not_installed_is_an_error(tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "unknown-plugin") as caught:
        opened({}, tmp_path, observers=["audit"])
    assert caught.value.profile == "me"
    assert "'audit'" in caught.value.message


# --- the store -------------------------------------------------------------------------------------------------------


def test_the_store_is_the_one_that_configuration_names(tmp_path: Path) -> None:
    context = opened({"store": "memory"}, tmp_path, provider=StoringProvider(on_store=FakeStore))
    assert context.store.kind == "memory"


def test_without_configured_store_the_provider_decides(tmp_path: Path) -> None:
    context = opened({}, tmp_path, provider=StoringProvider(on_store=FakeStore))
    assert context.store.kind == "fake"


def test_default_store_is_the_keychain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    class Kept:
        @hookimpl
        def store(self) -> object:
            return FakeStore()

    def load(name: str, group: str) -> Loaded:
        assert group == STORES
        loaded.append(name)
        return Loaded(Kept())

    monkeypatch.setattr(discovery, "load", load)
    context = build_context(
        "example",
        Configuration.of({}, state_dir=tmp_path),
        Runtime(providers={"example": Provider()}, emit=lambda event: None, clock=ManualClock(), random=lambda: 0.0),
    )
    assert context.store.kind == "fake"
    assert loaded == ["keyring"]


WRONG_STORE_SETTINGS = [
    ("[stores.keyring]\ntimeout = '3'", 5, "invalid-setting", ["'stores.keyring.timeout'", "number"]),
    ("[stores]\nkeyring = {timeout = 0}", 5, "invalid-setting", ["'stores.keyring.timeout'", "600"]),
    ("[stores.keyring]\n\ntimeot = 3", 6, "unknown-setting", ["'stores.keyring.timeot'", "'timeout'"]),
]


@pytest.mark.parametrize(("text", "line", "code", "facts"), WRONG_STORE_SETTINGS)
def test_invalid_store_setting_names_its_line(
    tmp_path: Path, text: str, line: int, code: str, facts: list[str]
) -> None:
    events: list[Event] = []
    path = tmp_path / "config.toml"
    path.write_text(f'[profiles.me]\nprovider = "example"\nstore = "keyring"\n{text}\n', "utf-8")
    context = build_context(
        "me",
        Configuration.load({"FRESHKEY_CONFIG_DIR": str(tmp_path), "FRESHKEY_STATE_DIR": str(tmp_path / "state")}),
        Runtime(providers={"example": Provider()}, emit=events.append, clock=ManualClock(), random=lambda: 0.0),
    )

    with raises_code(ConfigurationError, code) as caught:
        _ = context.store
    assert str(caught.value).startswith(f"me: {path}, line {line}: ")
    assert [fact for fact in facts if fact not in str(caught.value)] == []
    assert caught.value.__context__ is None


def test_invalid_store_setting_given_in_code_is_an_error(tmp_path: Path) -> None:
    context = opened({"store": "file"}, tmp_path, stores={"file": {"key_file": 5}})

    with raises_code(ConfigurationError, "invalid-setting") as caught:
        _ = context.store
    assert "'stores.file.key_file'" in caught.value.message


def test_store_is_opened_on_first_use_and_once_for_all_threads(tmp_path: Path) -> None:
    opened_stores: list[FakeStore] = []

    def on_store() -> FakeStore:
        time.sleep(0.01)
        opened_stores.append(FakeStore())
        return opened_stores[-1]

    context = opened({}, tmp_path, provider=StoringProvider(on_store=on_store))
    assert opened_stores == []
    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(context.store)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened_stores) == 1
    assert got == opened_stores * 8


def test_a_store_that_could_not_be_opened_is_tried_again(tmp_path: Path) -> None:
    outcomes: list[object] = [StoreUnavailable("locked", code="keychain-locked"), FakeStore()]

    def on_store() -> object:
        outcome = outcomes.pop(0)
        if isinstance(outcome, StoreUnavailable):
            raise outcome
        return outcome

    context = opened({}, tmp_path, provider=StoringProvider(on_store=on_store))
    with raises_code(StoreUnavailable, "keychain-locked") as caught:
        _ = context.store
    assert caught.value.profile == "me"
    assert context.store.kind == "fake"


def test_the_codec_writes_and_reads_the_provider_s_formats(tmp_path: Path) -> None:
    context = opened({}, tmp_path)
    assert context.codec.decode(context.codec.encode(token())) == token()
    assert context.codec is context.codec


# --- times -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of_profile", "of_credential", "of_provider", "expected"),
    [
        (60.0, 50.0, 40.0, 60.0),
        (None, 50.0, 40.0, 50.0),
        (None, None, 40.0, 40.0),
        (None, None, None, None),
        (None, 0.0, 40.0, 0.0),
    ],
)
def test_the_lead_is_the_profile_s_then_the_credential_s_then_the_provider_s(
    tmp_path: Path,
    of_profile: float | None,
    of_credential: float | None,
    of_provider: float | None,
    expected: float | None,
) -> None:  # TIM-3
    provider = Provider(on_describe=lambda: description(lead=of_provider))
    table = {} if of_profile is None else {"lead": of_profile}
    assert opened(table, tmp_path, provider=provider).lead(token(lead=of_credential)) == expected


@pytest.mark.parametrize(
    ("passed", "jitter", "expected"),
    [
        (3000.0 - 1, 0.0, Freshness.FRESH),
        (3000.0, 0.0, Freshness.DUE),
        (2980.0, 20.0, Freshness.DUE),
        (2979.0, 20.0, Freshness.FRESH),
        (3600.0, 0.0, Freshness.EXPIRED),
    ],
)
def test_freshness_counts_lead_and_jitter(tmp_path: Path, passed: float, jitter: float, expected: Freshness) -> None:
    clock = ManualClock()
    context = opened({"lead": 600.0}, tmp_path, clock=clock)
    credential = token(obtained=clock.now())
    clock.advance(passed)
    assert context.freshness(credential, jitter) is expected


def test_credential_without_expiry_is_fresh(tmp_path: Path) -> None:
    clock = ManualClock()
    context = opened({"lead": 600.0}, tmp_path, clock=clock)
    credential = token(obtained=clock.now(), lifetime=None)
    clock.advance(1e9)
    assert context.freshness(credential) is Freshness.FRESH


def test_repr_does_not_show_the_store(tmp_path: Path) -> None:
    context = opened({}, tmp_path)
    assert "open_store" not in repr(context)


def test_detect_calls_the_source_for_the_profile(tmp_path: Path) -> None:
    looked: list[str] = []
    source = Source(id="env", title="Variable", owned=False, detect=lambda profile: looked.append(profile.name))
    context = opened({}, tmp_path, provider=Provider(on_describe=lambda: description(sources=(source,))))
    assert context.hooks.detect(context.profile, context.description.sources[0]) is None
    assert looked == ["me"]


# --- a project's file ------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Commanded:
    """Settings with a command, and a setting that a project's file may set."""

    helper: Command | None = None
    region: str = field(default="here", metadata={"project": True})


COMMANDED = Provider(on_describe=lambda: description(settings=Commanded))
SCRIPT = "key.cmd" if sys.platform == "win32" else "key.sh"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current directory: a project whose file names a script."""
    project = tmp_path.resolve() / "project"
    project.mkdir(mode=0o700)
    (project / SCRIPT).write_text("@echo key\n" if sys.platform == "win32" else "#!/bin/sh\necho key\n")
    (project / SCRIPT).chmod(0o700)
    (project / ".freshkey.toml").write_text(f'[profiles.ci]\nprovider = "example"\nhelper = ["./{SCRIPT}"]\n')
    (project / ".freshkey.toml").chmod(0o600)
    monkeypatch.chdir(project)
    return project


def configuration(tmp_path: Path) -> Configuration:
    return Configuration.load(
        {"FRESHKEY_CONFIG_DIR": str(tmp_path / "none"), "FRESHKEY_STATE_DIR": str(tmp_path / "s")}
    )


def opened_in_project(name: str, tmp_path: Path, approve: Callable[[str], bool] | None) -> ProfileContext:
    return build_context(
        name,
        configuration(tmp_path),
        Runtime(
            providers={"example": COMMANDED},
            emit=lambda event: None,
            clock=ManualClock(),
            random=lambda: 0.0,
            approve=approve,
        ),
    )


def test_command_of_a_project_needs_consent_once(project: Path, tmp_path: Path) -> None:  # TRU-3
    with raises_code(TrustNeeded, "trust-required") as caught:
        opened_in_project("ci", tmp_path, None)
    assert caught.value.profile == "ci"
    asked = opened_in_project("ci", tmp_path, lambda question: True).profile
    again = opened_in_project("ci", tmp_path, None).profile
    command = again.settings_as(Commanded).helper
    assert asked == again
    assert command is not None
    assert run_command(command).reveal().splitlines() == ["key"]


def test_project_cannot_redefine_the_name_of_a_provider(project: Path, tmp_path: Path) -> None:
    (project / ".freshkey.toml").write_text('[profiles.example]\nprovider = "other"\nregion = "north"\n')
    context = opened_in_project("example", tmp_path, None)
    assert context.profile.provider == "example"
    assert context.profile.settings_as(Commanded) == Commanded()
    with pytest.raises(ConfigurationError) as caught:
        proposals(configuration(tmp_path), {"example": COMMANDED})
    assert "line 1: " in caught.value.message
    assert "'example'" in caught.value.message


def test_project_cannot_use_a_provider_name_in_another_case(project: Path, tmp_path: Path) -> None:
    (project / ".freshkey.toml").write_text('[profiles.Example]\nprovider = "other"\n')
    with raises_code(ConfigurationError, "unknown-profile"):
        opened_in_project("Example", tmp_path, None)
    with pytest.raises(ConfigurationError) as caught:
        proposals(configuration(tmp_path), {"example": COMMANDED})
    assert "'Example'" in caught.value.message


def test_broken_project_file_does_not_affect_provider_names(project: Path, tmp_path: Path) -> None:
    (project / ".freshkey.toml").write_text("this is not TOML")
    assert opened_in_project("example", tmp_path, None).profile.name == "example"
    with raises_code(ConfigurationError, "invalid-toml"):
        opened_in_project("ci", tmp_path, None)


def test_profile_of_the_user_does_not_look_for_a_project_file(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freshkey._config.project.find", lambda *_: pytest.fail("looked"))
    (tmp_path / "none").mkdir(mode=0o700)
    (tmp_path / "none" / "config.toml").write_text('[profiles.me]\nprovider = "example"\n')
    (tmp_path / "none" / "config.toml").chmod(0o600)
    assert opened_in_project("me", tmp_path, None).profile.name == "me"
    with pytest.raises(pytest.fail.Exception, match="looked"):
        opened_in_project("ci", tmp_path, None)


def test_proposals_are_validated_like_profiles_in_use(project: Path, tmp_path: Path) -> None:
    text = (project / ".freshkey.toml").read_text()
    (project / ".freshkey.toml").write_text(f'{text}[profiles.dull]\nprovider = "example"\nregion = "north"\n')
    (entry,) = proposals(configuration(tmp_path), {"example": COMMANDED})
    assert (entry.profile, entry.commands["helper"].argv) == ("ci", (str(project / SCRIPT),))

    (project / ".freshkey.toml").write_text(f'{text}[profiles.bad]\nprovider = "example"\ntoken_url = "https://x"\n')
    with pytest.raises(ConfigurationError) as caught:
        proposals(configuration(tmp_path), {"example": COMMANDED})
    assert caught.value.profile == "bad"
    assert "line 6: " in caught.value.message
    assert "'token_url'" in caught.value.message

    (project / ".freshkey.toml").unlink()
    assert proposals(configuration(tmp_path), {}) == ()
