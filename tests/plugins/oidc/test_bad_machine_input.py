"""What machines hand in and get back, at its worst: secrets, keys, identity tokens, and the answers to them."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

import freshkey_oidc
from counterparts.signed import new_key, pem
from freshkey import Keeper
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    IntermediaryAnswer,
    LoginRequired,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey_oidc.settings import OidcSettings
from freshkey_oidc.sources import CLIENT_CREDENTIALS, IDENTITY_TOKEN
from raises_code import raises_code
from scripted_issuer import ISSUER, ScriptedIssuer


CANARY = "canary-0b7e84a55d2f"
SECRET = "APP_CLIENT_SECRET"
IDENTITY = "APP_IDENTITY_TOKEN"
ACTIONS = "https://tokens.actions.example/idtoken?api-version=2.0"

Arrange = Callable[[Path, pytest.MonkeyPatch], Mapping[str, object]]
Get = Callable[..., object]


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


JWT = f"{part({'alg': 'RS256'})}.{part({'sub': CANARY})}.{part(CANARY)}"


@pytest.fixture
def get(freshkey_keeper: Callable[..., Keeper], issuer: ScriptedIssuer) -> Get:
    """Get a token for these settings, without a user; any request to another host fails the test."""

    def take(**settings: object) -> object:
        profile = {"provider": "oidc", **issuer.settings, **settings}
        return freshkey_keeper({"oidc": freshkey_oidc}, {"work": profile}).get()

    return take


@pytest.fixture
def take(make_profile: Callable[..., Profile]) -> Get:
    """Get a token from a source once, as a keeper does, which tries again after some errors."""

    def once(source: Source, **settings: object) -> object:
        return freshkey_oidc.acquire(make_profile(**settings), source, NonInteractive("test"))

    return once


def asked_for_tokens(issuer: ScriptedIssuer) -> bool:
    return any(request.method == "POST" for request in issuer.http.requests)


def check_quotes_nothing(error: FreshkeyError, logged: str) -> None:
    assert CANARY not in str(error) + str(error.hint) + logged
    assert part({"sub": CANARY}) not in str(error) + str(error.hint) + logged


Place = tuple[Path, pytest.MonkeyPatch]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A folder for files, and what sets variables."""
    folder = tmp_path / "files"
    folder.mkdir()
    return folder, monkeypatch


# --- client secrets and keys -----------------------------------------------------------------------------------------


def on_this_system(rows: Iterable[str]) -> list[str]:
    """Return the rows that can be: on Windows, modes say nothing about who can change a file."""
    return [which for which in rows if sys.platform != "win32" or "for all to write" not in which]


def file(text: str, setting: str, mode: int = 0o600, **more: object) -> Arrange:
    def arrange(folder: Path, _: pytest.MonkeyPatch) -> Mapping[str, object]:
        path = folder / "secret"
        path.write_text(text)
        path.chmod(mode)
        return {setting: str(path), **more}

    return arrange


def absent(setting: str) -> Arrange:
    return lambda folder, _: {setting: str(folder / "nothing")}


def directory(setting: str) -> Arrange:
    return lambda folder, _: {setting: str(folder)}


def settings(**values: object) -> Arrange:
    return lambda *_: values


def variable(value: str, **more: object) -> Arrange:
    def arrange(_: Path, patch: pytest.MonkeyPatch) -> Mapping[str, object]:
        patch.setenv(SECRET, value)
        return {"client_secret_variable": SECRET, **more}

    return arrange


def with_passphrase(folder: Path, _: pytest.MonkeyPatch) -> Mapping[str, object]:
    key = ec.generate_private_key(ec.SECP256R1())
    path = folder / "key"
    hidden = BestAvailableEncryption(CANARY.encode())
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden))
    return {"private_key_file": str(path), "key_algorithm": "ES256"}


KEY = pem(new_key())
CLIENTS: dict[str, tuple[Arrange, type[FreshkeyError], str]] = {
    "no secret": (settings(), LoginRequired, "no-credential-found"),
    "no variable": (settings(client_secret_variable=SECRET), LoginRequired, "no-credential-found"),
    "an empty variable": (variable(""), LoginRequired, "no-credential-found"),
    "a variable with a line break": (variable(f"{CANARY}\n{CANARY}"), ConfigurationError, "invalid-secret-input"),
    "no secret file": (absent("client_secret_file"), LoginRequired, "no-credential-found"),
    "an empty secret file": (file(" \n", "client_secret_file"), ConfigurationError, "invalid-secret-input"),
    "a huge secret file": (file(CANARY * 100_000, "client_secret_file"), ConfigurationError, "invalid-secret-input"),
    "a directory": (directory("client_secret_file"), ConfigurationError, "invalid-secret-input"),
    "a secret file for all to write": (file(CANARY, "client_secret_file", 0o666), ConfigurationError, "unsafe-file"),
    "no key file": (absent("private_key_file"), LoginRequired, "no-credential-found"),
    "a key file for all to write": (file(KEY, "private_key_file", 0o622), ConfigurationError, "unsafe-file"),
    "a key with a passphrase": (with_passphrase, ConfigurationError, "invalid-signing-key"),
    "a key of another kind": (file(KEY, "private_key_file"), ConfigurationError, "invalid-signing-key"),
    "a key that is none": (file(CANARY, "private_key_file"), ConfigurationError, "invalid-signing-key"),
    "a key and no file": (settings(client_authentication="private_key_jwt"), LoginRequired, "no-credential-found"),
}


@pytest.mark.parametrize("which", on_this_system(CLIENTS))
def test_client_that_cannot_authenticate_sends_nothing_to_the_token_endpoint(
    which: str, get: Get, issuer: ScriptedIssuer, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    arrange, kind, code = CLIENTS[which]
    with raises_code(kind, code) as caught:
        get(flow="client-credentials", **arrange(*place))
    assert not asked_for_tokens(issuer)
    check_quotes_nothing(caught.value, caplog.text)


UNREADABLE = [name for name, (_, kind, _) in CLIENTS.items() if kind is ConfigurationError]


@pytest.mark.parametrize("which", on_this_system(UNREADABLE))
def test_client_that_cannot_authenticate_opens_no_browser(
    which: str, freshkey_keeper: Callable[..., Keeper], issuer: ScriptedIssuer, place: Place
) -> None:
    arrange, kind, code = CLIENTS[which]
    settings = {"provider": "oidc", **issuer.settings, **arrange(*place)}
    with issuer.user() as user, raises_code(kind, code):
        freshkey_keeper({"oidc": freshkey_oidc}, {"work": settings}).login(interaction=user)
    assert user.opened == []


def refuse(issuer: ScriptedIssuer, **answer: Any) -> None:
    """Have the token endpoint answer so."""
    issuer.metadata["token_endpoint"] = f"{ISSUER}/other-token"
    issuer.http.on("POST", f"{ISSUER}/other-token", **answer)


def error(name: str, status: int = 400) -> Mapping[str, Any]:
    text = f"{CANARY} {JWT}"
    return {"status": status, "json": {"error": name, "error_description": text, "error_uri": text}}


ANSWERS: dict[str, tuple[Mapping[str, Any], type[FreshkeyError], str]] = {
    "the secret": (error("invalid_client", 401), LoginRequired, "client-not-accepted"),
    "the scope": (error("invalid_scope"), ProviderRefused, "request-refused"),
    "the resource": (error("invalid_target"), ProviderRefused, "request-refused"),
    "the flow": (error("unauthorized_client"), ProviderRefused, "request-refused"),
    "with a page": ({"status": 403, "body": b"<!DOCTYPE html><html></html>"}, TransientError, "request-blocked"),
    "in no words": ({"status": 400}, IntermediaryAnswer, "answered-in-between"),
    "bearer tokens": (
        {"json": {"access_token": CANARY, "token_type": "mac"}},
        ProviderRefused,
        "unsupported-token-type",
    ),
}


@pytest.mark.parametrize("which", ANSWERS)
def test_client_credentials_are_refused(
    which: str, take: Get, issuer: ScriptedIssuer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(SECRET, CANARY)
    answer, kind, code = ANSWERS[which]
    refuse(issuer, **answer)
    with raises_code(kind, code) as caught:
        take(CLIENT_CREDENTIALS, flow="client-credentials", client_secret_variable=SECRET)
    check_quotes_nothing(caught.value, caplog.text)


# --- identity tokens -------------------------------------------------------------------------------------------------


def named(value: str) -> Arrange:
    def arrange(_: Path, patch: pytest.MonkeyPatch) -> Mapping[str, object]:
        patch.setenv(IDENTITY, value)
        return {"identity_token_variable": IDENTITY}

    return arrange


IN_FILE = "identity_token_file"
CODE = "oidc-invalid-identity-token"
IDENTITY_TOKENS: dict[str, tuple[Arrange, type[FreshkeyError], str]] = {
    "nothing set": (settings(identity_token="file"), LoginRequired, "no-credential-found"),
    "an unset variable": (settings(identity_token_variable=IDENTITY), LoginRequired, "no-credential-found"),
    "a password": (named(CANARY), ConfigurationError, CODE),
    "two tokens": (named(f"{JWT} {JWT}"), ConfigurationError, CODE),
    "bytes that are no text": (named(JWT + "\udcff"), ConfigurationError, CODE),
    "no file": (absent(IN_FILE), LoginRequired, "no-credential-found"),
    "an empty file": (file("", IN_FILE), ConfigurationError, CODE),
    "a huge file": (file(JWT + "a" * 20_000, IN_FILE), ConfigurationError, CODE),
    "a private key": (file(KEY, IN_FILE), ConfigurationError, CODE),
    "a file for all to write": (file(JWT, IN_FILE, 0o666), ConfigurationError, "unsafe-file"),
}


@pytest.mark.parametrize("which", on_this_system(IDENTITY_TOKENS))
def test_identity_token_that_is_none_is_not_sent(
    which: str, get: Get, issuer: ScriptedIssuer, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    arrange, kind, code = IDENTITY_TOKENS[which]
    with raises_code(kind, code) as caught:
        get(**arrange(*place))
    assert not asked_for_tokens(issuer)
    check_quotes_nothing(caught.value, caplog.text)


@pytest.fixture
def workload(monkeypatch: pytest.MonkeyPatch) -> None:
    """An identity token in a variable."""
    monkeypatch.setenv(IDENTITY, JWT)


EXCHANGES = ["token-exchange", "jwt-bearer", "client-assertion"]
REFUSALS: dict[str, tuple[Mapping[str, Any], type[FreshkeyError], str]] = {
    "it is over": (error("invalid_grant"), LoginRequired, "oidc-exchange-refused"),
    "it is for another audience": (error("invalid_request"), ProviderRefused, "oidc-exchange-refused"),
    "the resource is unknown": (error("invalid_target"), ProviderRefused, "oidc-exchange-refused"),
    "the client is unknown": (error("invalid_client", 401), LoginRequired, "oidc-exchange-refused"),
    "the server is away": (error("temporarily_unavailable", 503), TransientError, "server-unavailable"),
    "a refresh token is issued": (
        {
            "json": {
                "access_token": CANARY,
                "issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token",
                "token_type": "N_A",
            }
        },
        ProviderRefused,
        "unsupported-token-type",
    ),
}


@pytest.mark.usefixtures("workload")
@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("which", REFUSALS)
def test_identity_token_is_not_exchanged(
    exchange: str, which: str, take: Get, issuer: ScriptedIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    answer, kind, code = REFUSALS[which]
    refuse(issuer, **answer)
    with raises_code(kind, code) as caught:
        take(IDENTITY_TOKEN, identity_token_variable=IDENTITY, exchange=exchange)
    check_quotes_nothing(caught.value, caplog.text)


# --- GitHub Actions --------------------------------------------------------------------------------------------------


ACTIONS_ANSWERS: dict[str, tuple[Mapping[str, Any], type[FreshkeyError], str]] = {
    "a refusal": ({"status": 403, "json": {}}, ProviderRefused, "provider-refused"),
    "an unknown job": ({"status": 401, "json": {}}, LoginRequired, "sign-in-required"),
    "an error": ({"status": 500}, TransientError, "temporarily-unavailable"),
    "silence": ({"fault": "after-sending"}, TransientError, "oidc-identity-token-unavailable"),
    "a page": ({"body": b"<!DOCTYPE html><html></html>"}, IntermediaryAnswer, "answered-in-between"),
    "no value": ({"json": {"count": 0}}, ConfigurationError, CODE),
    "a value that is no text": ({"json": {"value": [JWT]}}, ConfigurationError, CODE),
    "half a character": ({"body": b'{"value": "eyJ\\ud800.a.b"}'}, ConfigurationError, CODE),
    "a password": ({"json": {"value": CANARY}}, ConfigurationError, CODE),
    "no object": ({"json": [CANARY]}, ProtocolError, "invalid-response"),
}


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of a job with the permission to ask for identity tokens."""
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", ACTIONS)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", CANARY)


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize("which", ACTIONS_ANSWERS)
def test_answer_of_github_actions_that_has_no_identity_token(
    which: str, take: Get, issuer: ScriptedIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    answer, kind, code = ACTIONS_ANSWERS[which]
    issuer.http.on("GET", ACTIONS.partition("?")[0], **answer)
    with raises_code(kind, code) as caught:
        take(IDENTITY_TOKEN, identity_token="github-actions")
    assert not asked_for_tokens(issuer)
    check_quotes_nothing(caught.value, caplog.text)


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize(
    "address", ["http://tokens.actions.example/", "file:///etc/passwd", "https://a@b.example/", "nonsense", CANARY]
)
def test_request_token_of_github_actions_goes_to_no_unsafe_address(
    address: str, get: Get, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", address)
    with raises_code(ConfigurationError, "invalid-url") as caught:
        get(identity_token="github-actions")
    check_quotes_nothing(caught.value, caplog.text)


def test_job_without_permission_is_told_how_to_get_it(
    get: Get, issuer: ScriptedIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with raises_code(LoginRequired, "no-credential-found") as caught:
        get(identity_token="github-actions")
    assert "id-token: write" in str(caught.value.hint)
    assert not asked_for_tokens(issuer)


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "PATH", "Path", "PYTHONPATH", "BASH_ENV", "HOME"]
)
def test_issuer_chooses_no_code_that_programs_load(name: str, make_profile: Callable[..., Profile]) -> None:
    with raises_code(ConfigurationError, "invalid-setting"):
        make_profile(environment_variable=name)


@pytest.mark.parametrize("name", ["APP_TOKEN", "NODE_AUTH_TOKEN", "GITHUB_TOKEN", "ENV_TOKEN"])
def test_token_may_have_any_other_variable(name: str, make_profile: Callable[..., Profile]) -> None:
    assert make_profile(environment_variable=name).settings_as(OidcSettings).environment_variable == name


ONE_MISTAKE: dict[str, dict[str, object]] = {
    "a secret as the name of a variable": {"client_secret_variable": f"{CANARY}"},
    "a secret as a file": {"client_secret_file": Path(CANARY)},
    "a secret as an issuer": {"issuer": CANARY},
    "a secret in an issuer": {"issuer": f"https://{CANARY}@id.example.test"},
    "an issuer without TLS": {"issuer": "http://id.example.test"},
    "two client secrets": {"client_secret_variable": SECRET, "client_secret_file": Path("/secret")},
    "a redirect elsewhere": {"redirect_path": "@evil.example/"},
    "a host with a path": {"hosts": ("evil.example/x",)},
}


@pytest.mark.parametrize("which", ONE_MISTAKE)
def test_setting_that_is_wrong_is_not_quoted(which: str, make_profile: Callable[..., Profile]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_profile(**ONE_MISTAKE[which])
    check_quotes_nothing(caught.value, "")
    assert caught.value.code in {"invalid-setting", "invalid-url"}
