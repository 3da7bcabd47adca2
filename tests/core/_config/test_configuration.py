"""Profiles from file, environment and code; every error names its line and a fix."""

from __future__ import annotations

import json
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
from raises_code import raises_code
from typed_profile import typed


@frozen(kw_only=True)
class Settings:
    client_id: str | None = None
    scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] = attrs.Factory(dict)

    def __attrs_post_init__(self) -> None:
        if self.client_id == "refused":
            raise ConfigurationError("this client cannot be used", code="example-client-refused")
        if self.client_id == "odd":
            raise ValueError(self.client_id)


PROVIDER = Description(title="A provider", settings=Settings, formats={}, sources=())

Load = Callable[..., Configuration]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a function that loads a configuration text, with the given environment variables."""

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
redirect_port = 8085
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


def test_all_keys_are_read(load: Load, tmp_path: Path) -> None:
    configuration = load(FULL)
    profile = typed(configuration, "me", PROVIDER)

    assert configuration.profile_names() == ("me", "other")
    assert configuration.observers == ("audit",)
    assert configuration.config_dir == tmp_path
    assert profile.provider == "claude_oauth"
    assert profile.settings == Settings(client_id="app", scopes=("a", "b"), headers={"x-name": "value"})
    assert (profile.store, profile.source, profile.lead) == ("file", "sign-in", 30.0)
    assert profile.redirect_port == 8085
    assert (profile.skip, profile.bare) == (("api-key", "helper"), False)
    assert profile.store_settings == {"key_file": "/x"}
    assert profile.state_dir == tmp_path / "state"


def test_default_store_settings_are_those_of_the_keychain(load: Load) -> None:
    profile = typed(load(FULL), "other", PROVIDER)

    assert profile.store is None
    assert profile.store_settings == {"backend": "y"}


def test_provider_name_is_a_profile_with_default_settings(load: Load) -> None:
    configuration = load(FULL)

    assert not configuration.table("vertex").defined
    assert typed(configuration, "vertex", PROVIDER).provider == "vertex"
    assert typed(configuration, "vertex", PROVIDER).settings == Settings()


def test_profile_without_provider_key_uses_the_provider_of_its_name(load: Load) -> None:
    table = load('[profiles.claude_oauth]\nclient_id = "app"').table("claude_oauth")

    assert (table.provider, table.rest, table.defined) == ("claude_oauth", {"client_id": "app"}, True)


def test_store_override_applies_to_every_profile(load: Load, tmp_path: Path) -> None:
    load(FULL)
    overridden = Configuration.load({"FRESHKEY_CONFIG_DIR": str(tmp_path)}, store="memory")

    assert typed(overridden, "me", PROVIDER).store == "memory"
    assert overridden.table("vertex").store == "memory"
    assert overridden.table("me").source == "sign-in"


def test_overrides_win_and_errors_in_other_keys_name_the_file(load: Load, tmp_path: Path) -> None:
    load('[profiles.me]\nclient_id = "mine"\nscopes = ["a"]')
    places = {"FRESHKEY_CONFIG_DIR": str(tmp_path), "FRESHKEY_STATE_DIR": str(tmp_path / "state")}
    once = Configuration.load(places, overrides={"client_id": "for once"})

    assert typed(once, "me", PROVIDER).settings == Settings(client_id="for once", scopes=("a",))
    assert "for once" not in repr(once)

    load("[profiles.me]\nscopes = 5")
    with raises_code(ConfigurationError, "invalid-setting") as caught:
        typed(Configuration.load(places, overrides={"client_id": "for once"}), "me", PROVIDER)
    assert "config.toml, line 2: 'scopes'" in caught.value.message


def test_bare_mode_reads_no_file(load: Load, tmp_path: Path) -> None:
    load("this is not TOML")
    bare = Configuration.load({"FRESHKEY_CONFIG_DIR": str(tmp_path), "FRESHKEY_PROFILE": "vertex"}, bare=True)
    profile = typed(bare, bare.select().name, PROVIDER)

    assert (profile.name, profile.bare, profile.settings) == ("vertex", True, Settings())
    assert bare.profile_names() == ()


# --- which profile ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "variable", "name", "by"),
    [
        ("other", "third", "other", "argument"),
        (None, "third", "third", "environment variable FRESHKEY_PROFILE"),
        (None, "", "me", "default in .*config.toml, line 2"),
    ],
)
def test_profile_is_selected_by_name_then_environment_then_default(
    load: Load, given: str | None, variable: str, name: str, by: str
) -> None:
    selection = load(FULL, FRESHKEY_PROFILE=variable).select(given)

    assert selection.name == name
    assert re.fullmatch(by, selection.selected_by)


def test_error_about_no_selected_profile_has_a_fix(load: Load, tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "no-profile-chosen") as caught:
        load("[profiles.a]\n[profiles.b]").select()
    for fact in ("a, b", "default = 'a'", str(tmp_path / "config.toml")):
        assert fact in str(caught.value.hint)
    with raises_code(ConfigurationError, "no-profile-chosen") as caught:
        load("").select()
    for fact in ("freshkey providers", str(tmp_path / "config.toml")):
        assert fact in str(caught.value.hint)


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "a" * 65, "a b", "a\n", "-x", "naïve", "dot.", "a\0"])
def test_names_that_are_unsafe_as_file_names_are_rejected(load: Load, name: str) -> None:
    with raises_code(ConfigurationError, "invalid-name"):
        load("").select(name)
    with raises_code(ConfigurationError, "invalid-name"):
        load("").table(name)
    for configuration in (load("", FRESHKEY_PROFILE=name.replace("/", " ")), load(f"default = {json.dumps(name)}\n")):
        with raises_code(ConfigurationError, "invalid-name"):
            configuration.select()


def test_only_the_variable_names_an_account_too(load: Load) -> None:
    selection = load("", FRESHKEY_PROFILE="mail/ada/b").select()
    assert (selection.name, selection.account) == ("mail", "ada/b")
    assert load("", FRESHKEY_PROFILE="mail").select().account is None
    assert load("", FRESHKEY_PROFILE="mail/ada").select("work").account is None
    for wrong, code in (("mail/", "invalid-account"), ("../x", "invalid-name")):
        with raises_code(ConfigurationError, code):
            load("", FRESHKEY_PROFILE=wrong).select()


@pytest.mark.parametrize("name", ["a", "work-eu.1", "_x", "A" * 64])
def test_ordinary_names_are_accepted(load: Load, name: str) -> None:
    assert load("").select(name).name == name


def test_unknown_name_suggests_profiles_and_providers(load: Load) -> None:
    configuration = load(FULL)

    profile = configuration.unknown(configuration.table("othr"), ["claude_oauth"])
    assert (profile.code, profile.profile) == ("unknown-profile", "othr")
    assert "'other'" in str(profile.hint)
    provider = configuration.unknown(configuration.table("claude_outh"), ["claude_oauth"])
    assert provider.code == "unknown-profile"
    assert "'claude_oauth'" in str(provider.hint)
    empty = Configuration.of({}, state_dir=Path("/x"))
    assert "pip install" in str(empty.unknown(empty.table("x"), []).hint)


@pytest.mark.parametrize(
    ("text", "environ", "fact"),
    [
        ('\ndefault = "wrk"\n[profiles.work]\n', {}, "config.toml, line 2"),
        ('default = "work"\n[profiles.work]\n', {"FRESHKEY_PROFILE": "wrk"}, "FRESHKEY_PROFILE"),
    ],
)
def test_unknown_name_is_traced_to_the_place_that_sets_it(
    load: Load, text: str, environ: dict[str, str], fact: str
) -> None:
    configuration = load(text, **environ)
    error = configuration.unknown(configuration.table(configuration.select().name), ["vertex"])

    assert error.code == "unknown-profile"
    assert fact in error.message
    assert "'work'" in str(error.hint)
    assert fact not in configuration.unknown(configuration.table("wor"), ["vertex"]).message


def test_provider_that_is_not_installed_is_named_with_its_line(load: Load) -> None:
    configuration = load(FULL)
    missing = configuration.unknown(configuration.table("me"), ["claude_desktop"])

    assert missing.code == "unknown-plugin"
    assert "line 6:" in missing.message
    assert "'claude_oauth'" in missing.message
    assert "'claude_desktop'" in str(missing.hint)


# --- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "code", "facts"),
    [
        ('\n[profile.me]\nprovider = "p"', 2, "unknown-setting", ["'profile'", "'profiles'"]),
        ("default = 3", 1, "invalid-setting", ["'default'", "string"]),
        ('observers = "audit"', 1, "invalid-setting", ["'observers'", "list of strings"]),
        ("observers = [1]", 1, "invalid-setting", ["'observers'", "list of strings"]),
        ("profiles = 3", 1, "invalid-setting", ["'profiles'", "table", "[profiles.NAME]"]),
        ("[profiles]\nme = 3", 2, "invalid-setting", ["'profiles.me'", "table", "[profiles.me]"]),
        ("[stores]\nfile = 3", 2, "invalid-setting", ["'stores.file'", "table", "[stores.file]"]),
        ('[profiles."a/b"]', 1, "invalid-name", ["'a/b'", "64"]),
        ("[profiles.me]\n[profiles.Me]", 2, "invalid-name", ["'me'", "'Me'"]),
        ("[stores.keyrign]", 1, "unknown-setting", ["'keyrign'", "'keyring'"]),
        ('[profiles.me]\nprovder = "p"', 2, "unknown-setting", ["'provder'", "'provider'"]),
        ("[profiles.me]\nprovider = 3", 2, "invalid-setting", ["'provider'", "string"]),
        ('[profiles.me]\nstore = ""', 2, "invalid-setting", ["'store'", "non-empty string"]),
        ("[profiles.me]\nsource = []", 2, "invalid-setting", ["'source'", "string"]),
        ('[profiles.me]\nskip = "a"', 2, "invalid-setting", ["'skip'", "list"]),
        ("[profiles.me]\nlead = 0", 2, "invalid-setting", ["'lead'", "positive number of seconds"]),
        ("[profiles.me]\nlead = true", 2, "invalid-setting", ["'lead'", "number"]),
        ("[profiles.me]\nlead = nan", 2, "invalid-setting", ["'lead'", "number"]),
        ("[profiles.me]\nlead = inf", 2, "invalid-setting", ["'lead'", "number"]),
        ("[profiles.me]\nredirect_port = 80", 2, "invalid-setting", ["'redirect_port'", "1024 to 65535"]),
        ("[profiles.me]\nredirect_port = 65536", 2, "invalid-setting", ["'redirect_port'", "1024 to 65535"]),
        ("[profiles.me]\nredirect_port = true", 2, "invalid-setting", ["'redirect_port'", "port"]),
        ('[profiles.me]\nredirect_port = "8085"', 2, "invalid-setting", ["'redirect_port'", "port"]),
        ("[profiles.me]\nredirect_port = 8085.0", 2, "invalid-setting", ["'redirect_port'", "port"]),
        ("[profiles.me]\nallow_insecure_loopback = 1", 2, "invalid-setting", ["'allow_insecure_loopback'", "true or"]),
        ("[profiles.me]\nredirect_prot = 8085", 2, "unknown-setting", ["'redirect_prot'", "'redirect_port'"]),
        ('[profiles.me]\n\nclient_di = "x"', 3, "unknown-setting", ["'client_di'", "'client_id'"]),
        ("[profiles.me]\nsorce = 1", 2, "unknown-setting", ["'sorce'", "'source'"]),
        ("[profiles.me]\nclient_id = 5", 2, "invalid-setting", ["'client_id'", "string"]),
        ('[profiles.me]\nscopes = "a b"', 2, "invalid-setting", ["'scopes'", "list", "string"]),
        ('[profiles.me]\nclient_id = "odd"', 1, "invalid-setting", ["combination"]),
    ],
)
def test_error_names_file_line_key_and_what_is_allowed(
    load: Load, text: str, line: int, code: str, facts: list[str]
) -> None:
    configuration = load(text)
    with raises_code(ConfigurationError, code) as caught:
        typed(configuration, "me", PROVIDER)

    for fact in (f"{configuration.path}, line {line}: ", *facts):
        assert fact in str(caught.value)


def test_error_from_a_settings_class_names_the_profile(load: Load) -> None:
    with raises_code(ConfigurationError, "example-client-refused") as caught:
        typed(load('[profiles.me]\nclient_id = "refused"'), "me", PROVIDER)
    assert caught.value.profile == "me"


def test_errors_never_quote_values(load: Load) -> None:
    for text in ('client_id = ["sk-canary"]', 'scopes = "sk-canary"', 'lead = "sk-canary"', 'zzz = "sk-canary"'):
        with pytest.raises(ConfigurationError) as caught:
            typed(load(f"[profiles.me]\n{text}"), "me", PROVIDER)
        assert "sk-canary" not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_third_party_store_can_have_a_table(load: Load) -> None:
    configuration = load('[profiles.me]\nstore = "keyrings"\n[stores.keyrings]\na = 1\n[stores.redis]\nurl = "x"')

    assert typed(configuration, "me", PROVIDER).store_settings == {"a": 1}


# --- from code, and lazily ----------------------------------------------------------------------------------------


def test_configuration_from_code_ignores_files_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHKEY_PROFILE", "other")
    monkeypatch.setenv("FRESHKEY_CONFIG_DIR", "/nonexistent")
    configuration = Configuration.of(
        {"me": {"provider": "p", "client_id": "app"}}, state_dir=tmp_path, default="me", stores={"keyring": {"a": 1}}
    )

    assert configuration.select().name == "me"
    assert configuration.state_dir == tmp_path
    assert typed(configuration, "me", PROVIDER).settings == Settings(client_id="app")
    assert typed(configuration, "me", PROVIDER).store_settings == {"a": 1}


def test_error_in_configuration_from_code_says_so(tmp_path: Path) -> None:
    configuration = Configuration.of({"me": {"client_di": "x"}}, state_dir=tmp_path)

    with raises_code(ConfigurationError, "unknown-setting") as caught:
        typed(configuration, "me", PROVIDER)
    assert "in code" in caught.value.message
    assert "'client_id'" in str(caught.value.hint)


def test_empty_variables_count_as_unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "s"))
    configuration = Configuration.load({"FRESHKEY_CONFIG_DIR": "", "FRESHKEY_STATE_DIR": "", "FRESHKEY_PROFILE": ""})

    assert configuration.config_dir.name == "freshkey"
    assert configuration.state_dir.name == "freshkey"
    if sys.platform == "linux":
        assert configuration.config_dir == tmp_path / "c" / "freshkey"
        assert configuration.state_dir == tmp_path / "s" / "freshkey"


def test_relative_directories_survive_a_chdir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    state = Configuration.load({"FRESHKEY_STATE_DIR": "state"}).state_dir
    monkeypatch.chdir("/")

    assert state == tmp_path / "state"


@pytest.mark.parametrize("variable", ["FRESHKEY_CONFIG_DIR", "FRESHKEY_STATE_DIR"])
def test_home_directory_of_an_unknown_user_is_an_error(variable: str) -> None:
    configuration = Configuration.load({variable: "~no-such-user/freshkey"})

    with raises_code(ConfigurationError, "no-home-directory") as caught:
        _ = configuration.config_dir, configuration.state_dir
    assert variable in caught.value.message


@pytest.mark.parametrize("variable", ["FRESHKEY_CONFIG_DIR", "FRESHKEY_STATE_DIR"])
@pytest.mark.parametrize(
    ("given", "flaw"),
    [('"{}"', "quotes"), ("'{}'", "quotes"), ("$HOME/x", "variable"), ("{}\r", "line break"), ("file://{}", "URL")],
)
def test_directory_that_only_a_shell_would_read_is_an_error(
    variable: str, given: str, flaw: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"FRESHKEY_CONFIG_DIR": str(tmp_path), "FRESHKEY_STATE_DIR": str(tmp_path)}
    configuration = Configuration.load(places | {variable: given.format(tmp_path)})

    with raises_code(ConfigurationError, "no-home-directory") as caught:
        _ = configuration.config_dir, configuration.state_dir
    assert variable in caught.value.message
    assert flaw in caught.value.message
    assert not list(tmp_path.iterdir())


def test_tilde_in_a_directory_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))

    assert Configuration.load({"FRESHKEY_STATE_DIR": "~/state"}).state_dir == tmp_path / "state"


@pytest.mark.skipif(sys.platform != "linux", reason="users are found elsewhere there")
def test_error_without_home_directory_names_the_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> NoReturn:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with raises_code(ConfigurationError, "no-home-directory") as caught:
        _ = Configuration.load({}).document
    assert "FRESHKEY_CONFIG_DIR" in str(caught.value.hint)
    with raises_code(ConfigurationError, "no-home-directory") as caught:
        _ = Configuration.load({}).state_dir
    assert "FRESHKEY_STATE_DIR" in str(caught.value.hint)


def test_repr_hides_unchecked_settings(load: Load) -> None:  # LEK-1
    table = load('[profiles.me]\nclient_secret = "CANARY"\n').table("me")

    assert table.rest == {"client_secret": "CANARY"}
    assert "CANARY" not in repr(table)


def test_file_is_read_on_first_use(tmp_path: Path) -> None:
    configuration = Configuration.load({"FRESHKEY_CONFIG_DIR": str(tmp_path)})
    (tmp_path / "config.toml").write_text('default = "late"')
    (tmp_path / "config.toml").chmod(0o600)

    assert configuration.select().name == "late"


def test_loading_imports_nothing_heavy() -> None:
    heavy = "cattrs tomllib platformdirs difflib httpx keyring importlib.metadata"
    program = (
        "import sys; from freshkey._config.configuration import Configuration; Configuration.load();"
        f"print([name for name in {heavy.split()} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows has drives")
def test_directory_of_windows_does_not_depend_on_where_the_process_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path is relative to the drive's own working directory, or to the drive."""
    monkeypatch.chdir(tmp_path)
    drive = tmp_path.drive
    for given, found in (
        (f"{drive}state", tmp_path / "state"),
        ("\\state", Path(f"{drive}\\state")),
        ("/a/../state", Path(f"{drive}\\state")),
        (tmp_path.as_posix(), tmp_path),
        ("\\\\server\\share\\state", Path("\\\\server\\share\\state")),
    ):
        state = Configuration.load({"FRESHKEY_STATE_DIR": given}).state_dir
        assert state.is_absolute()
        assert state == found


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows names the folder itself")
def test_usual_directories_of_windows_need_no_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "HOMEDRIVE", "HOMEPATH"):
        monkeypatch.delenv(name, raising=False)
    found = Configuration.load({"HOME": str(tmp_path)})
    assert found.state_dir.parts[-3:] == ("AppData", "Local", "freshkey")
    assert found.config_dir == found.state_dir
