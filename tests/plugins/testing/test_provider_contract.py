"""The kit passes a provider that meets the contract, and fails one that violates any part of it."""

from __future__ import annotations

import pytest

from broken_providers import BROKEN
from freshkey_testing import ProviderContract
from kit_runs import failures, run


pytest_plugins = ["pytester"]

SMALL_PROVIDER = """
import http.client
import os

import pytest
from attrs import evolve, frozen

from freshkey.clock import SYSTEM
from freshkey.errors import LoginRequired, OutcomeUnknown, TransientError
from freshkey.hooks import hookimpl
from freshkey.model.credential import ApiKey, Credential, OAuthToken
from freshkey.model.description import Description, Inspection, Validity
from freshkey.model.profile import Profile
from freshkey.model.source import Detected, Source
from freshkey.secret import Secret
from freshkey_testing import ProviderContract


@frozen
class Settings:
    client_id: str = ""


def detect(profile):
    key = os.environ.get("SMALL_KEY")
    return Detected(kind="API key", origin="environment variable SMALL_KEY", last_four=Secret(key).last_four())


class Small:
    sources = (
        Source(id="sign-in", title="Sign in", owned=True, interactive=True),
        Source(id="environment", title="A key", owned=False, detect=detect),
    )
    settings = Settings
    formats = {"key": ApiKey, "oauth": OAuthToken}
    hosts = ("example.com",)
    exports = {"token": lambda profile, credential: credential.token.reveal()}
    title = "Small"
    bound_to = "http://127.0.0.1:9/token"

    def __init__(self):
        self.ended = set()

    @hookimpl
    def describe(self, profile, credential):
        if credential is not None:
            return self.inspect(credential)
        return Description(
            revoke=self.revoke,
            title=self.title,
            settings=self.settings,
            formats=self.formats,
            sources=self.sources,
            hosts=self.hosts if profile else (),
            binding={"token_endpoint": self.bound_to} if profile else {},
            exports=self.exports,
        )

    def inspect(self, credential):
        try:
            self.call()
        except OSError:
            return Inspection(validity=Validity.UNREACHABLE)

    @hookimpl
    def acquire(self, profile, source, interaction):
        if source.id == "sign-in":
            interaction.open_url("https://example.com/authorize")
        return self.take_key()

    def take_key(self):
        return ApiKey(obtained=SYSTEM.now(), key=Secret(os.environ["SMALL_KEY"]))

    @hookimpl
    def refresh(self, profile, credential, reporter):
        if not credential.renewable:
            raise LoginRequired("no refresh token")
        try:
            self.call()
        except OSError as error:
            raise self.not_sent(credential) from None

    def not_sent(self, credential):
        return TransientError("no connection")

    def revoke(self, profile, credential):
        token = credential.refresh_token.reveal()
        if token == "small-token-to-end":
            self.end(token)
            return
        try:
            self.call()
        except OSError:
            raise self.not_sent(credential) from None

    def end(self, token):
        self.ended.add(token)

    def call(self):
        connection = http.client.HTTPConnection("127.0.0.1", 9, timeout=5)
        try:
            connection.request("GET", "/")
        finally:
            connection.close()


def make_signed_in():
    return OAuthToken(
        obtained=SYSTEM.now(),
        lifetime=3600.0,
        access_token=Secret("small-access-token"),
        refresh_token=Secret("small-refresh-token"),
        token_endpoint="http://127.0.0.1:9/token",
    )


{broken}


class TestSmall(ProviderContract):
    @pytest.fixture
    def provider(self):
        return Broken()

    @pytest.fixture
    def profile(self, tmp_path, monkeypatch):
        monkeypatch.setenv("SMALL_KEY", "small-key-0123456789abcdef")
        return Profile(name="contract", provider="small", settings=Settings(), state_dir=tmp_path)

    @pytest.fixture
    def signed_in(self):
        return make_signed_in()

    @pytest.fixture
    def revocable(self):
        return evolve(make_signed_in(), refresh_token=Secret("small-token-to-end"))
"""

BREAKS: dict[str, tuple[str, str]] = {
    "a secret goes to a host that is not named": (
        """
class Broken(Small):
    def inspect(self, credential):
        connection = http.client.HTTPConnection("unnamed.example.com", 80, timeout=5)
        try:
            connection.request("GET", "/", headers=credential.headers())
        except OSError:
            return Inspection(validity=Validity.UNREACHABLE)
""",
        "test_secrets_reach_only_the_hosts_of_the_description",
    ),
    "an unbound setting decides where a secret goes": (
        """
from attrs import field
from urllib.parse import urlsplit
@frozen
class Moving:
    client_id: str = ""
    check_url: str = field(default="https://example.com/check", metadata={"bound": False})
Settings = Moving
class Broken(Small):
    settings = Moving
    @hookimpl
    def describe(self, profile, credential):
        if credential is None:
            hosts = (urlsplit(profile.settings.check_url).hostname,) if profile else ()
            return evolve(super().describe(profile, credential), hosts=hosts)
        connection = http.client.HTTPConnection(urlsplit(profile.settings.check_url).hostname, 80, timeout=5)
        try:
            connection.request("POST", "/", body=credential.access_token.reveal().encode())
        except OSError:
            return Inspection(validity=Validity.UNREACHABLE)
""",
        "test_settings_that_are_not_bound_move_no_secret",
    ),
    "a hook is missing": (
        """
class Broken:
    @hookimpl
    def describe(self, profile, credential):
        return None
""",
        "test_it_fits_the_hooks",
    ),
    "describe opens a file": (
        """
class Broken(Small):
    @hookimpl
    def describe(self, profile, credential):
        with open(os.devnull):
            pass
        return super().describe(profile, credential)
""",
        "test_describe_does_no_io",
    ),
    "describe resolves a name": (
        """
import socket
class Broken(Small):
    @hookimpl
    def describe(self, profile, credential):
        if profile is not None:
            try:
                socket.getaddrinfo("localhost", 80)
            except OSError:
                pass
        return super().describe(profile, credential)
""",
        "test_describe_does_no_io",
    ),
    "sources depend on the profile": (
        """
class Broken(Small):
    @hookimpl
    def describe(self, profile, credential):
        answer = super().describe(profile, credential)
        return answer if profile else evolve(answer, sources=answer.sources[:1])
""",
        "test_describe_says_the_same_with_and_without_a_profile",
    ),
    "two sources with the same id": (
        """
class Broken(Small):
    sources = (*Small.sources, Source(id="environment", title="Another", owned=False))
""",
        "test_it_can_be_read",
    ),
    "a setting without a default": (
        """
@frozen
class Strict:
    client_id: str
class Broken(Small):
    settings = Strict
""",
        "test_settings_have_defaults",
    ),
    "an empty host": (
        """
class Broken(Small):
    hosts = ("",)
""",
        "test_hosts_are_host_names",
    ),
    "a format that is not a credential": (
        """
class Broken(Small):
    formats = {**Small.formats, "text": str}
""",
        "test_formats_are_credentials",
    ),
    "detect uses the network": (
        """
import socket
def detect_online(profile):
    socket.getaddrinfo("localhost", 80)
class Broken(Small):
    sources = (Source(id="environment", title="A key", owned=False, detect=detect_online),)
""",
        "test_detect_is_offline",
    ),
    "detect shows the value": (
        """
def detect_too_much(profile):
    return Detected(kind="API key", origin=f"SMALL_KEY={os.environ['SMALL_KEY']}")
class Broken(Small):
    sources = (Source(id="environment", title="A key", owned=False, detect=detect_too_much),)
""",
        "test_detect_never_shows_the_value",
    ),
    "detect shows too much": (
        """
def detect_too_much(profile):
    return Detected(kind="API key", origin="SMALL_KEY", last_four=os.environ["SMALL_KEY"][-6:])
class Broken(Small):
    sources = (Source(id="environment", title="A key", owned=False, detect=detect_too_much),)
""",
        "test_detect_never_shows_the_value",
    ),
    "setup is not a hint": (
        """
class Broken(Small):
    sources = (Source(id="environment", title="A key", owned=False, setup=lambda profile: "client_id is missing."),)
""",
        "test_setup_is_a_hint",
    ),
    "ignores names no setting": (
        """
class Broken(Small):
    sources = (Source(id="environment", title="A key", owned=False, ignores=lambda profile: ("no_such_setting",)),)
""",
        "test_ignored_settings_exist",
    ),
    "chosen by no setting": (
        """
class Broken(Small):
    sources = (Source(id="environment", title="A key", owned=False, chosen_by=("SMALL_KEY", "no_such_setting")),)
""",
        "test_settings_that_choose_a_source_exist",
    ),
    "a sign-in continues without a user": (
        """
class Broken(Small):
    @hookimpl
    def acquire(self, profile, source, interaction):
        try:
            return super().acquire(profile, source, interaction)
        except LoginRequired:
            return self.take_key()
""",
        "test_without_a_user_a_sign_in_is_refused_at_once",
    ),
    "a source asks without being interactive": (
        """
class Broken(Small):
    @hookimpl
    def acquire(self, profile, source, interaction):
        try:
            interaction.show_device_code("ABCD", "https://example.com", None)
        except LoginRequired:
            pass
        return super().acquire(profile, source, interaction)
""",
        "test_sources_that_need_no_user_do_not_prompt",
    ),
    "a credential can be changed": (
        """
from attrs import define
class Loose(ApiKey):
    __setattr__ = object.__setattr__
class Broken(Small):
    formats = {**Small.formats, "key": Loose}
    def take_key(self):
        return Loose(obtained=SYSTEM.now(), key=Secret(os.environ["SMALL_KEY"]))
""",
        "test_credentials_are_frozen",
    ),
    "a credential shows its key": (
        """
@frozen(kw_only=True)
class Bare(OAuthToken):
    plain: str = ""
class Broken(Small):
    formats = {**Small.formats, "oauth": Bare}
def make_signed_in(make=make_signed_in):
    old = make()
    token, plain = old.access_token, old.access_token.reveal()
    return Bare(obtained=old.obtained, access_token=token, refresh_token=old.refresh_token, plain=plain)
""",
        "test_credentials_show_no_secret",
    ),
    "a token that is not a field": (
        """
@frozen(kw_only=True)
class Elsewhere(ApiKey):
    @property
    def token(self):
        return Secret("found-somewhere-else")
class Broken(Small):
    formats = {**Small.formats, "key": Elsewhere}
    def take_key(self):
        return Elsewhere(obtained=SYSTEM.now(), key=Secret(os.environ["SMALL_KEY"]))
""",
        "test_what_authorizes_is_wrapped",
    ),
    "the environment has a refresh token": (
        """
@frozen(kw_only=True)
class Generous(OAuthToken):
    def _environment(self):
        return {"REFRESH": self.refresh_token.reveal()}
class Broken(Small):
    formats = {**Small.formats, "oauth": Generous}
def make_signed_in(make=make_signed_in):
    old = make()
    return Generous(obtained=old.obtained, access_token=old.access_token, refresh_token=old.refresh_token)
""",
        "test_requests_carry_no_refresh_token",
    ),
    "an export has a refresh token": (
        """
class Broken(Small):
    exports = {"all": lambda profile, credential: credential.refresh_token.reveal()}
""",
        "test_exports_carry_no_refresh_token",
    ),
    "a field is lost in the store": (
        """
@frozen(kw_only=True)
class Loose(OAuthToken):
    more: dict = {}
class Broken(Small):
    formats = {**Small.formats, "oauth": Loose}
def make_signed_in(make=make_signed_in):
    old = make()
    return Loose(obtained=old.obtained, access_token=old.access_token, more={1: 2})
""",
        "test_a_credential_survives_a_store",
    ),
    "bound to another server": (
        """
class Broken(Small):
    bound_to = "https://example.com/token"
""",
        "test_a_credential_belongs_to_its_profile",
    ),
    "tries to renew without a refresh token": (
        """
class Broken(Small):
    @hookimpl
    def refresh(self, profile, credential, reporter):
        try:
            self.call()
        except OSError:
            raise TransientError("no connection") from None
""",
        "test_a_renewal_that_needs_the_user_says_so",
    ),
    "no network asks for a sign-in": (
        """
class Broken(Small):
    def not_sent(self, credential):
        return LoginRequired("no connection")
""",
        "test_what_was_not_sent_is_worth_another_try",
    ),
    "an error shows a token": (
        """
class Broken(Small):
    def not_sent(self, credential):
        return TransientError(f"could not send {credential.refresh_token.reveal()}")
""",
        "test_what_was_not_sent_is_worth_another_try",
    ),
    "an error outside the contract": (
        """
class Broken(Small):
    def not_sent(self, credential):
        return OSError("no connection")
""",
        "test_what_was_not_sent_is_worth_another_try",
    ),
    "no network counts as revoked": (
        """
class Broken(Small):
    def revoke(self, profile, credential):
        try:
            self.call()
        except OSError:
            pass
""",
        "test_a_revocation_without_a_network_is_not_one",
    ),
    "a sign-out asks for a sign-in": (
        """
class Broken(Small):
    def revoke(self, profile, credential):
        raise LoginRequired("sign in first")
""",
        "test_a_revocation_without_a_network_is_not_one",
    ),
    "a revocation shows a token": (
        """
class Broken(Small):
    def revoke(self, profile, credential):
        raise TransientError(f"could not revoke {credential.refresh_token.reveal()}")
""",
        "test_a_revocation_without_a_network_is_not_one",
    ),
    "a revocation breaks the contract": (
        """
class Broken(Small):
    def revoke(self, profile, credential):
        raise KeyError("revocation_endpoint")
""",
        "test_a_revocation_without_a_network_is_not_one",
    ),
    "a revocation writes": (
        """
class Broken(Small):
    def revoke(self, profile, credential):
        try:
            (profile.state_dir / "revoked").write_text("yes")
        except OSError:
            pass
""",
        "test_a_revocation_stores_nothing",
    ),
    "a revocation deletes": (
        """
class Broken(Small):
    def revoke(self, profile, credential):
        try:
            os.remove(profile.state_dir / "stored")
        except OSError:
            pass
""",
        "test_a_revocation_stores_nothing",
    ),
    "a second revocation is an error": (
        """
from freshkey.errors import ProviderRefused
class Broken(Small):
    def end(self, token):
        if token in self.ended:
            raise ProviderRefused("unknown token")
        self.ended.add(token)
""",
        "test_what_has_ended_can_be_ended_again",
    ),
    "a revocation that succeeds writes": (
        """
class Broken(Small):
    def end(self, token):
        try:
            open("revoked", "w").close()
        except OSError:
            pass
""",
        "test_what_has_ended_can_be_ended_again",
    ),
    "inspecting without a network is an error": (
        """
class Broken(Small):
    def inspect(self, credential):
        try:
            self.call()
        except OSError:
            raise TransientError("no connection") from None
""",
        "test_an_unreachable_provider_is_an_answer",
    ),
    "valid without a network": (
        """
class Broken(Small):
    def inspect(self, credential):
        super().inspect(credential)
        return Inspection(validity=Validity.VALID)
""",
        "test_an_unreachable_provider_is_an_answer",
    ),
}


def source_of(broken: str) -> str:
    return SMALL_PROVIDER.replace("{broken}", broken)


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_provider_fails(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    code, caught_by = BREAKS[broken]
    result = run(pytester, monkeypatch, source_of(code), "-k", caught_by)
    outcomes = result.parseoutcomes()
    expected = "errors" if caught_by == "test_it_fits_the_hooks" else "failed"
    assert outcomes.get(expected) == 1, outcomes


def test_failures_never_quote_a_secret(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    for broken in ("detect shows the value", "an error shows a token", "a credential shows its key"):
        code, caught_by = BREAKS[broken]
        result = run(pytester, monkeypatch, source_of(code), "-k", caught_by)
        errors = [line for line in result.outlines if line.startswith("E ") or "holds a secret" in line]
        assert any("holds a secret" in line for line in errors)
        assert not [line for line in errors if "small-key-" in line or "small-refresh-" in line]


def checks() -> set[str]:
    return {name for name in dir(ProviderContract) if name.startswith("test_")}


def test_every_check_fails_for_some_provider() -> None:
    caught_by = {test for _, test in BREAKS.values()} | {test.partition("[")[0] for *_, test, _ in BROKEN.values()}
    assert checks() - caught_by == set()


MODULE = """
from freshkey.hooks import hookimpl
from freshkey.model.description import Description
from attrs import frozen
{first_import}

@frozen
class Settings:
    pass

@hookimpl
def describe(profile, credential):
    from freshkey.model.source import Source
    source = Source(id="nothing", title="Nothing", owned=True, interactive=True)
    return Description(title="Module", settings=Settings, formats={}, sources=(source,))

@hookimpl
def acquire(profile, source, interaction):
    return None

@hookimpl
def refresh(profile, credential, reporter):
    return None
"""

MODULE_TEST = """
import importlib
import pytest
from freshkey.model.profile import Profile
from freshkey_testing import ProviderContract

class TestModule(ProviderContract):
    @pytest.fixture
    def provider(self):
        return importlib.import_module("{name}")

    @pytest.fixture
    def profile(self, tmp_path):
        return Profile(name="contract", provider="module", settings=None, state_dir=tmp_path)
"""


@pytest.mark.parametrize(
    ("name", "first_import", "failed"),
    [
        ("kit_light_provider", "", set()),
        ("kit_heavy_provider", "import httpx", {"test_its_import_is_cheap"}),
    ],
)
def test_a_provider_must_be_cheap_to_import(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str, first_import: str, failed: set[str]
) -> None:
    pytester.makepyfile(**{name: MODULE.replace("{first_import}", first_import)})
    pytester.syspathinsert()
    source = MODULE_TEST.replace("{name}", name)
    assert (
        failures(pytester, monkeypatch, source, "-k", "test_its_import_is_cheap or test_describe_does_no_io") == failed
    )


def run_bare(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str, old: str = "", new: str = "", *options: str
) -> pytest.RunResult:
    module = MODULE.replace("{first_import}", "")
    pytester.makepyfile(**{name: module.replace(old, new) if old else module})
    pytester.syspathinsert()
    return run(pytester, monkeypatch, MODULE_TEST.replace("{name}", name), "-ra", *options)


def test_what_is_left_out_fails_once_and_names_the_fixture(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run_bare(pytester, monkeypatch, "kit_bare_provider")
    said = [line for line in result.outlines if line.startswith("define the fixture users: it returns")]
    assert any("ScriptedUser who signs in, for source 'nothing'" in line for line in said)
    assert len(set(said)) == len(said)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("def refresh(", "def refrehs(", "implements the unknown hook 'refrehs'. Did you mean 'refresh'?"),
        ("credential, reporter)", "crednetial, reporter)", "takes an unknown argument 'crednetial' in its hook 're*"),
    ],
)
def test_hooks_that_do_not_fit_are_one_failure(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, old: str, new: str, sentence: str
) -> None:
    result = run_bare(pytester, monkeypatch, "freshkey_tidepool", old, new)
    outcomes = result.parseoutcomes()
    assert {name: outcomes[name] for name in outcomes if name != "unchecked"} == {"errors": 1}
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of TestModule.test_it_fits_the_hooks*",
            f"the hooks do not fit the contract: provider 'tidepool' {sentence}",
            f"{outcomes['unchecked']} checks of the contract could not be run: see the failure of test_it_fits*",
        ]
    )
    assert len(result.outlines) < 10


def test_hooks_that_do_not_fit_fail_a_check_that_is_run_alone(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run_bare(pytester, monkeypatch, "freshkey_tidepool", "def refresh(", "def refrehs(", "-k", "detect")
    outcomes = result.parseoutcomes()
    assert (outcomes["errors"], outcomes["unchecked"]) == (1, 2)


def test_a_hook_that_hangs_is_one_failure(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile(
        kit_hanging_provider=MODULE.replace("{first_import}", "import threading").replace(
            "    return Description(", "    threading.Event().wait()\n    return Description("
        )
    )
    pytester.syspathinsert()
    source = MODULE_TEST.replace("{name}", "kit_hanging_provider").replace(
        "Contract):", "Contract):\n    deadline = 0.1"
    )
    outcomes = run(pytester, monkeypatch, source).parseoutcomes()
    assert (outcomes.get("errors"), outcomes.get("failed"), outcomes.get("passed")) == (1, None, None)


def test_an_exception_of_a_plugin_is_shown_with_its_traceback(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising = '    raise ValueError("where")\n    return Description('
    result = run_bare(pytester, monkeypatch, "kit_raising_provider", "    return Description(", raising)
    result.stdout.fnmatch_lines(["What the plugin raised:", '    raise ValueError("where")', "ValueError: where"])
    assert "hook_caller.py" not in result.stdout.str()


def test_a_source_that_raises_is_one_failure(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of("class Broken(Small): pass").replace(
        'monkeypatch.setenv("SMALL_KEY", "small-key-0123456789abcdef")', 'monkeypatch.setattr(Small, "take_key", None)'
    )
    source = source.replace('key = os.environ.get("SMALL_KEY")', 'key = "made-up"')
    result = run(pytester, monkeypatch, source, "-k", "Leaks or what_authorizes or show_no_secret or carry_no_refresh")
    outcomes = result.parseoutcomes()
    assert (outcomes.get("errors"), outcomes.get("failed")) == (1, None)
    assert outcomes["unchecked"] >= 2
    result.stdout.fnmatch_lines(["there is no credential from source 'environment': *hook raised TypeError*"])


def test_without_a_provider_the_kit_names_the_fixture(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from freshkey_testing import ProviderContract\nclass TestMine(ProviderContract): pass\n"
    result = run(pytester, monkeypatch, source, "-k", "test_it_fits_the_hooks")
    result.stdout.fnmatch_lines(["*fixture pro*"])
    result.assert_outcomes(errors=1)
