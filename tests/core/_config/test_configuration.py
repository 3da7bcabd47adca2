"""Profiles from file, environment and code; every fault with its place and a way out."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import attrs
import pytest
from attrs import frozen

from freshkey._config.configuration import Configuration
from freshkey.errors import ConfigurationError
from freshkey.model.description import Description
from typed_profile import typed


@frozen(kw_only=True)
class Settings:
    client_id: str | None = None
    scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] = attrs.Factory(dict)

    def __attrs_post_init__(self) -> None:
        if self.client_id == "refused":
            raise ConfigurationError("this client cannot be used")
        if self.client_id == "odd":
            raise ValueError(self.client_id)


PROVIDER = Description(title="A provider", settings=Settings, formats={}, sources=())

Load = Callable[..., Configuration]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return what reads a configuration text, with chosen environment variables."""

    def load(text: str = "", **environ: str) -> Configuration:
        file = tmp_path / "config.toml"
        file.write_text(text)
        file.chmod(0o600)
        places = {"FRESHKEY_CONFIG_DIR": str(tmp_path), "FRESHKEY_STATE_DIR": str(tmp_path / "state")}
        return Configuration.load(places | environ)

    return load


FULL = """
default = "me"
observers = ["audit"]

[profiles.me]
provider = "claude_oauth"
store = "file"
source = "sign-in"
skip = ["api-key", "helper"]
lead = 30
client_id = "app"
scopes = ["a", "b"]
headers = { x-name = "value" }

[profiles.other]
provider = "bedrock"

[stores.file]
key_file = "/x"
[stores.keyring]
backend = "y"
"""


def test_everything_that_can_be_configured(load: Load, tmp_path: Path) -> None:
    configuration = load(FULL)
    profile = typed(configuration, "me", PROVIDER)

    assert configuration.profile_names() == ("me", "other")
    assert configuration.observers == ("audit",)
    assert configuration.config_dir == tmp_path
    assert profile.provider == "claude_oauth"
    assert profile.settings == Settings(client_id="app", scopes=("a", "b"), headers={"x-name": "value"})
    assert (profile.store, profile.source, profile.lead) == ("file", "sign-in", 30.0)
    assert (profile.skip, profile.bare) == (("api-key", "helper"), False)
    assert profile.store_settings == {"key_file": "/x"}
    assert profile.state_dir == tmp_path / "state"


def test_without_a_store_the_table_is_that_of_the_keychain(load: Load) -> None:
    profile = typed(load(FULL), "other", PROVIDER)

    assert profile.store is None
    assert profile.store_settings == {"backend": "y"}


def test_bare_provider_name_is_a_profile_with_default_settings(load: Load) -> None:
    configuration = load(FULL)

    assert not configuration.table("vertex").defined
    assert typed(configuration, "vertex", PROVIDER).provider == "vertex"
    assert typed(configuration, "vertex", PROVIDER).settings == Settings()


def test_table_without_provider_belongs_to_the_provider_of_that_name(load: Load) -> None:
    table = load('[profiles.claude_oauth]\nclient_id = "app"').table("claude_oauth")

    assert (table.provider, table.rest, table.defined) == ("claude_oauth", {"client_id": "app"}, True)


def test_store_of_the_run_overrides_every_profile(load: Load, tmp_path: Path) -> None:
    load(FULL)
    overridden = Configuration.load({"FRESHKEY_CONFIG_DIR": str(tmp_path)}, store="memory")

    assert typed(overridden, "me", PROVIDER).store == "memory"
    assert overridden.table("vertex").store == "memory"
    assert overridden.table("me").source == "sign-in"


def test_settings_of_the_run_override_the_profile_and_faults_elsewhere_keep_their_place(
    load: Load, tmp_path: Path
) -> None:
    load('[profiles.me]\nclient_id = "mine"\nscopes = ["a"]')
    places = {"FRESHKEY_CONFIG_DIR": str(tmp_path), "FRESHKEY_STATE_DIR": str(tmp_path / "state")}
    once = Configuration.load(places, overrides={"client_id": "for once"})

    assert typed(once, "me", PROVIDER).settings == Settings(client_id="for once", scopes=("a",))
    assert "for once" not in repr(once)

    load("[profiles.me]\nscopes = 5")
    with pytest.raises(ConfigurationError, match=r"config\.toml, line 2: 'scopes' must be a list"):
        typed(Configuration.load(places, overrides={"client_id": "for once"}), "me", PROVIDER)


def test_bare_reads_no_file(load: Load, tmp_path: Path) -> None:
    load("this is no TOML")
    bare = Configuration.load({"FRESHKEY_CONFIG_DIR": str(tmp_path), "FRESHKEY_PROFILE": "vertex"}, bare=True)
    profile = typed(bare, bare.select().name, PROVIDER)

    assert (profile.name, profile.bare, profile.settings) == ("vertex", True, Settings())
    assert bare.profile_names() == ()


# --- which profile ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "variable", "name", "by"),
    [
        ("other", "third", "other", "name given"),
        (None, "third", "third", "environment variable FRESHKEY_PROFILE"),
        (None, "", "me", "default in .*config.toml, line 2"),
    ],
)
def test_selection_goes_by_name_then_environment_then_default(
    load: Load, given: str | None, variable: str, name: str, by: str
) -> None:
    selection = load(FULL, FRESHKEY_PROFILE=variable).select(given)

    assert selection.name == name
    assert re.fullmatch(by, selection.selected_by)


def test_nothing_selected_says_what_to_do(load: Load) -> None:
    with pytest.raises(ConfigurationError, match=r"Name one of: a, b; or write default = 'a' at the top of .*config"):
        load("[profiles.a]\n[profiles.b]").select()
    with pytest.raises(ConfigurationError, match=r"freshkey providers lists them.*config\.toml"):
        load("").select()


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "a" * 65, "a b", "a\n", "-x", "naïve", "dot.", "a\0"])
def test_names_that_could_leave_their_directory_are_refused(load: Load, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be a name"):
        load("").select(name)
    with pytest.raises(ConfigurationError, match="cannot be a name"):
        load("").table(name)
    with pytest.raises(ConfigurationError, match="cannot be a name"):
        load("", FRESHKEY_PROFILE=name).select()


@pytest.mark.parametrize("name", ["a", "work-eu.1", "_x", "A" * 64])
def test_ordinary_names_are_taken(load: Load, name: str) -> None:
    assert load("").select(name).name == name


def test_unknown_name_suggests_profiles_and_providers(load: Load) -> None:
    configuration = load(FULL)

    assert "Did you mean 'other'?" in str(configuration.unknown(configuration.table("othr"), ["claude_oauth"]))
    assert "Did you mean 'claude_oauth'?" in str(
        configuration.unknown(configuration.table("claude_outh"), ["claude_oauth"])
    )
    empty = Configuration.of({}, state_dir=Path("/x"))
    assert "No provider is installed" in str(empty.unknown(empty.table("x"), []))
    missing = str(configuration.unknown(configuration.table("me"), ["claude_desktop"]))
    assert "line 6: there is no provider 'claude_oauth' installed" in missing
    assert "Did you mean 'claude_desktop'?" in missing


# --- faults -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('\n[profile.me]\nprovider = "p"', 2, "no key 'profile'. Did you mean 'profiles'?"),
        ("default = 3", 1, "'default' must be a string"),
        ('observers = "audit"', 1, "'observers' must be a list of strings"),
        ("observers = [1]", 1, "'observers' must be a list of strings"),
        ("profiles = 3", 1, "'profiles' must be a table"),
        ("[profiles]\nme = 3", 2, r"'profiles.me' must be a table. Write \[profiles.me\]"),
        ("[stores]\nfile = 3", 2, "'stores.file' must be a table"),
        ('[profiles."a/b"]', 1, "'a/b' cannot be a name"),
        ("[profiles.me]\n[profiles.Me]", 2, "'me' and 'Me' differ only in case"),
        ("[stores.keyrign]", 1, "no store is named 'keyrign'. Did you mean 'keyring'?"),
        ('[profiles.me]\nprovder = "p"', 2, "no setting 'provder'. Did you mean 'provider'?"),
        ("[profiles.me]\nprovider = 3", 2, "'provider' must be a string"),
        ('[profiles.me]\nstore = ""', 2, "'store' must be a string"),
        ("[profiles.me]\nsource = []", 2, "'source' must be a string"),
        ("[profiles.me]\nlead = 0", 2, "'lead' must be a number of seconds above zero"),
        ("[profiles.me]\nlead = true", 2, "'lead' must be a number"),
        ("[profiles.me]\nlead = nan", 2, "'lead' must be a number"),
        ("[profiles.me]\nlead = inf", 2, "'lead' must be a number"),
        ('[profiles.me]\n\nclient_di = "x"', 3, "no setting 'client_di'. Did you mean 'client_id'?"),
        ("[profiles.me]\nsorce = 1", 2, "Did you mean 'source'?"),
        ("[profiles.me]\nclient_id = 5", 2, "'client_id' must be a string"),
        ('[profiles.me]\nscopes = "a b"', 2, "'scopes' must be a list, each item a string"),
        ('[profiles.me]\nclient_id = "odd"', 1, "does not accept these settings together"),
    ],
)
def test_fault_names_file_line_and_way_out(load: Load, tmp_path: Path, text: str, line: int, says: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"config\.toml, line {line}: .*{says}") as caught:
        typed(load(text), "me", PROVIDER)

    assert str(tmp_path) in str(caught.value)


def test_error_of_a_settings_class_gets_the_name_of_its_profile(load: Load) -> None:
    with pytest.raises(ConfigurationError, match="me: this client cannot be used"):
        typed(load('[profiles.me]\nclient_id = "refused"'), "me", PROVIDER)


def test_faults_never_quote_values(load: Load) -> None:
    for text in ('client_id = ["sk-canary"]', 'scopes = "sk-canary"', 'lead = "sk-canary"', 'zzz = "sk-canary"'):
        with pytest.raises(ConfigurationError) as caught:
            typed(load(f"[profiles.me]\n{text}"), "me", PROVIDER)
        assert "sk-canary" not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_store_of_a_third_party_may_have_a_table(load: Load) -> None:
    configuration = load('[profiles.me]\nstore = "keyrings"\n[stores.keyrings]\na = 1\n[stores.redis]\nurl = "x"')

    assert typed(configuration, "me", PROVIDER).store_settings == {"a": 1}


# --- in code, and lazily ------------------------------------------------------------------------------------------


def test_configuration_in_code_looks_at_no_file_and_no_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRESHKEY_PROFILE", "other")
    monkeypatch.setenv("FRESHKEY_CONFIG_DIR", "/nonexistent")
    configuration = Configuration.of(
        {"me": {"provider": "p", "client_id": "app"}}, state_dir=tmp_path, default="me", stores={"keyring": {"a": 1}}
    )

    assert configuration.select().name == "me"
    assert configuration.state_dir == tmp_path
    assert typed(configuration, "me", PROVIDER).settings == Settings(client_id="app")
    assert typed(configuration, "me", PROVIDER).store_settings == {"a": 1}


def test_fault_in_code_says_so(tmp_path: Path) -> None:
    configuration = Configuration.of({"me": {"client_di": "x"}}, state_dir=tmp_path)

    with pytest.raises(ConfigurationError, match=r"given in code: there is no setting 'client_di'"):
        typed(configuration, "me", PROVIDER)


def test_empty_variables_count_as_unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "s"))
    configuration = Configuration.load({"FRESHKEY_CONFIG_DIR": "", "FRESHKEY_STATE_DIR": "", "FRESHKEY_PROFILE": ""})

    assert configuration.config_dir.name == "freshkey"
    assert configuration.state_dir.name == "freshkey"
    if sys.platform == "linux":
        assert configuration.config_dir == tmp_path / "c" / "freshkey"
        assert configuration.state_dir == tmp_path / "s" / "freshkey"


def test_relative_directories_hold_when_the_process_moves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    state = Configuration.load({"FRESHKEY_STATE_DIR": "state"}).state_dir
    monkeypatch.chdir("/")

    assert state == tmp_path / "state"


@pytest.mark.parametrize("variable", ["FRESHKEY_CONFIG_DIR", "FRESHKEY_STATE_DIR"])
def test_home_of_a_user_that_does_not_exist_is_a_fault_of_the_configuration(variable: str) -> None:
    configuration = Configuration.load({variable: "~nobody-of-that-name/freshkey"})

    with pytest.raises(ConfigurationError, match=f"{variable} names no directory that can be found"):
        _ = configuration.config_dir, configuration.state_dir


@pytest.mark.skipif(sys.platform != "linux", reason="users are found elsewhere there")
def test_without_a_home_directory_the_variables_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> NoReturn:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match=r"this user has no home.* Set HOME or FRESHKEY_CONFIG_DIR to an abs"):
        _ = Configuration.load({}).document
    with pytest.raises(ConfigurationError, match=r"this user has no home.* Set HOME or FRESHKEY_STATE_DIR to an abs"):
        _ = Configuration.load({}).state_dir


def test_settings_that_nobody_has_read_yet_are_not_shown(load: Load) -> None:  # LEK-1
    table = load('[profiles.me]\nclient_secret = "CANARY"\n').table("me")

    assert table.rest == {"client_secret": "CANARY"}
    assert "CANARY" not in repr(table)


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    configuration = Configuration.load({"FRESHKEY_CONFIG_DIR": str(tmp_path)})
    (tmp_path / "config.toml").write_text('default = "late"')
    (tmp_path / "config.toml").chmod(0o600)

    assert configuration.select().name == "late"


def test_making_one_loads_nothing_heavy() -> None:
    heavy = "cattrs tomllib platformdirs difflib httpx keyring importlib.metadata"
    program = (
        "import sys; from freshkey._config.configuration import Configuration; Configuration.load();"
        f"print([name for name in {heavy.split()} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"
