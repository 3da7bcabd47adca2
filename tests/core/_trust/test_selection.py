"""A profile that a project chose needs the user's agreement; one that the user names does not."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from attrs import evolve, field, frozen

from example_provider import FakeStore, Provider, description
from freshkey._config.configuration import Configuration
from freshkey._config.project import FILE_NAME
from freshkey._renewal.context import Runtime, build_context
from freshkey._text.shell_words import shell_quoted
from freshkey._trust.entries import TrustedCommands
from freshkey._trust.selection import chosen, named, told
from freshkey.errors import ConfigurationError, LoginRequired, TrustNeeded
from freshkey.hooks import hookimpl
from freshkey.keeper import Keeper
from freshkey.model.description import Description
from freshkey.model.interaction import Approve
from freshkey.model.profile import Profile
from freshkey_testing import ManualClock
from raises_code import raises_code


@frozen(kw_only=True)
class Settings:
    region: str | None = field(default=None, metadata={"project": True})
    account: str | None = field(default=None, metadata={"project": "choice"})


class Choosing(Provider):
    """A provider with a setting that picks one of the user's identities."""

    @hookimpl
    def describe(self, profile: object, credential: object) -> Description:
        return description(settings=Settings)


PROVIDERS: Mapping[str, object] = {"example": Choosing()}

OWN = '[profiles.ci]\nprovider = "example"\n'

Load = Callable[..., Configuration]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a function that writes a project's file and returns the configuration of a user in it."""
    project = tmp_path.resolve() / "project"
    for directory in (project, tmp_path / "config"):
        directory.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(project)

    def load(text: str, *, default: str | None = None, **environ: str) -> Configuration:
        user = f"default = {json.dumps(default)}\n" if default else ""
        for file, content in (
            (tmp_path / "config" / "config.toml", f'{user}[profiles.prod-admin]\nprovider = "example"\n'),
            (project / FILE_NAME, text),
        ):
            file.touch(mode=0o600)
            file.write_text(content)
        places = {"FRESHKEY_CONFIG_DIR": str(tmp_path / "config"), "FRESHKEY_STATE_DIR": str(tmp_path / "state")}
        return Configuration.load(places | environ)

    return load


def use(configuration: Configuration, name: str | None = None, approve: Approve | None = None) -> str:
    return chosen(configuration, name, PROVIDERS, approve).name


class User:
    """Answers questions, and records them."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.questions: list[str] = []

    def __call__(self, asked: str) -> bool:
        self.questions.append(asked)
        return self.answers.pop(0)


CHOICES: dict[str, tuple[str, dict[str, str]]] = {
    "a profile of the user": ('profile = "prod-admin"', {}),
    "a provider": ('profile = "example"', {}),
    "its own": (f'profile = "ci"\n{OWN}', {}),
    "its own, by a variable": (OWN, {"FRESHKEY_PROFILE": "ci"}),
    "its own, by the default": (OWN, {"default": "ci"}),
}


@pytest.mark.parametrize(("text", "more"), CHOICES.values(), ids=CHOICES)
def test_choice_needs_trust_once(load: Load, tmp_path: Path, text: str, more: dict[str, str]) -> None:  # TRU-10
    configuration = load(text, **more)
    for approve in (None, User(False), _no_terminal):
        with raises_code(TrustNeeded, "trust-required") as caught:
            use(configuration, approve=approve)
    name = configuration.select().name
    assert caught.value.profile == name
    directory = shell_quoted(str(tmp_path.resolve() / "project"))
    assert caught.value.hint == f"Review it, then run: freshkey trust {directory}"
    with raises_code(ConfigurationError, "profile-not-named") as refused:
        named(configuration, None, PROVIDERS)
    assert str(tmp_path / "project" / FILE_NAME) in refused.value.message
    assert refused.value.profile == name

    user = User(True)
    assert use(configuration, approve=user) == name
    assert f"'{name}'" in user.questions[0]
    assert use(load(text, **more)) == name
    with raises_code(ConfigurationError, "profile-not-named"):  # not even then
        named(configuration, None, PROVIDERS)

    with raises_code(TrustNeeded, "trust-required"):
        use(load(f"{text}\n# another commit", **more))
    assert len(TrustedCommands(configuration.state_dir).all()) == 1


def _no_terminal(asked: str) -> bool:
    raise LoginRequired("no terminal", code="no-terminal")


def test_another_choice_is_asked_about_again(load: Load) -> None:  # TRU-10
    use(load('profile = "prod-admin"'), approve=User(True))
    with raises_code(TrustNeeded, "trust-required"):
        use(load('profile = "example"'))


@pytest.mark.parametrize("name", ["prod-admin", "example", "ci"])
def test_profile_that_the_user_names_needs_no_trust(load: Load, name: str) -> None:
    configuration = load(f'profile = "prod-admin"\n{OWN}region = "north"\n')
    assert use(configuration, name) == name
    assert named(configuration, name, PROVIDERS).name == name


def test_own_profile_by_variable_or_default_needs_no_trust(load: Load) -> None:
    for configuration in (load(OWN, FRESHKEY_PROFILE="prod-admin"), load(OWN, default="prod-admin")):
        assert use(configuration) == named(configuration, None, PROVIDERS).name == "prod-admin"
        assert told(configuration.select(), configuration, PROVIDERS) is None


CHOSEN_IDENTITY = f'{OWN}account = "root"\n'


@pytest.mark.parametrize("line", ['account = "root"', 'source = "env"'])
def test_identity_that_a_project_picks_needs_trust_even_if_its_profile_is_named(load: Load, line: str) -> None:
    configuration = load(f"{OWN}{line}\n")  # TRU-10
    for do in (Keeper.get, Keeper.login, Keeper.logout, Keeper.refresh, Keeper.inspect):
        with (
            Keeper(configuration=configuration, providers=PROVIDERS) as keeper,
            raises_code(TrustNeeded, "trust-required") as caught,
        ):
            do(keeper, "ci")
        assert line.partition(" ")[0] in caught.value.message


def test_own_choice_replaces_that_of_the_project(load: Load) -> None:
    configuration = evolve(load(CHOSEN_IDENTITY), overrides={"account": "mine"})
    with Keeper(configuration=configuration, providers=PROVIDERS) as keeper:
        assert keeper.describe("ci").title


def test_owned_source_of_a_project_is_no_choice(load: Load) -> None:
    configuration = load(f'{OWN}source = "sign-in"\n')
    owned = {source.id for source in description().sources if source.owned}
    assert "sign-in" in owned
    with Keeper(configuration=configuration, providers=PROVIDERS) as keeper:
        assert keeper.describe("ci").title


def test_keeper_follows_and_changes_nothing_untrusted(load: Load) -> None:  # TRU-10
    configuration = load('profile = "prod-admin"')
    with Keeper(configuration=configuration, providers=PROVIDERS) as keeper:
        keeper.explain()  # gives nothing out
        keeper.describe("prod-admin")
        for use_it in (keeper.get, keeper.refresh, keeper.inspect):
            with raises_code(TrustNeeded, "trust-required"):
                use_it()
        for change in (keeper.login, keeper.logout, lambda: keeper.import_key(None, "service", "name")):
            with raises_code(ConfigurationError, "profile-not-named"):
                change()


def test_user_hears_what_a_project_chose(
    load: Load, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:  # TRU-10
    file = tmp_path.resolve() / "project" / FILE_NAME
    configuration = load(f'profile = "ci"\n{CHOSEN_IDENTITY}')
    with caplog.at_level(logging.INFO, "freshkey"):
        use(configuration, approve=User(True))
    expected = f"using profile ci, selected by {file} (account = root)"
    assert expected in caplog.messages
    assert told(configuration.select(), configuration, PROVIDERS) == expected
    assert told(configuration.select("ci"), configuration, PROVIDERS) == expected.replace("selected by", "defined in")
    assert told(configuration.select("prod-admin"), configuration, PROVIDERS) is None


def test_store_of_others_gets_a_name_that_no_other_project_has(load: Load) -> None:  # TRU-11
    names: list[str] = []

    class Storing(Choosing):
        @hookimpl
        def store(self, profile: Profile) -> FakeStore:
            names.append(profile.name)
            return FakeStore()

    for name in ("ci", "prod-admin"):
        runtime = Runtime(providers={"example": Storing()}, clock=ManualClock(), random=lambda: 0.0)
        context = build_context(name, load(OWN), runtime)
        assert context.store is not None
        assert context.profile.name == name
        assert names.pop() == context.profile.key


def test_commands_trusted_by_an_earlier_version_stay_trusted_but_choices_are_asked(load: Load, tmp_path: Path) -> None:
    configuration = load(f'profile = "ci"\n{OWN}')
    use(configuration, approve=User(True))
    file = tmp_path / "state" / "trust.json"
    kept = json.loads(file.read_text())
    for one in kept["answers"]:
        del one["choices"], one["selected"]
    file.write_text(json.dumps(kept))
    (entry,) = TrustedCommands(configuration.state_dir).all()
    assert (entry.choices, entry.selected) == ({}, False)
    with raises_code(TrustNeeded, "trust-required"):
        use(configuration)
