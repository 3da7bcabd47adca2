"""How the client authenticates: as the settings say, or as fits what they have and what the server takes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

import freshkey_oidc
from counterparts.signed import new_key, pem
from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, ProviderRefused
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey.oauth import Server
from freshkey.secret import Secret
from freshkey_oidc.client import authenticates_by, client, missing_secret
from freshkey_oidc.settings import OidcSettings
from freshkey_oidc.sources import CLIENT_CREDENTIALS
from raises_code import raises_code
from scripted_issuer import CLIENT, ISSUER, ScriptedIssuer


MakeProfile = Callable[..., Profile]

SECRET = "canary-client-secret:with%characters that need care"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def ask(profile: Profile) -> None:
    """Request a token for the client itself."""
    freshkey_oidc.acquire(profile, CLIENT_CREDENTIALS, NonInteractive("test"))


def authorization(issuer: ScriptedIssuer) -> str | None:
    return issuer.http.requests[-1].headers.get("Authorization")


@pytest.fixture(scope="module", params=["ES256", "RS256"])
def key(request: pytest.FixtureRequest) -> ECKey | RSAKey:
    return new_key("k1", request.param)


@pytest.fixture
def key_file(key: ECKey | RSAKey, tmp_path: Path) -> Path:
    file = tmp_path / "key.pem"
    file.write_text(pem(key))
    return file


# --- each method -----------------------------------------------------------------------------------------------------


def test_public_client_names_itself(make_profile: MakeProfile, issuer: ScriptedIssuer) -> None:
    ask(make_profile(client_authentication="none"))
    assert issuer.asked == [{"grant_type": ["client_credentials"], "client_id": [CLIENT]}]
    assert authorization(issuer) is None


def test_secret_is_sent_in_a_header(make_profile: MakeProfile, issuer: ScriptedIssuer) -> None:
    ask(make_profile(client_secret=Secret(SECRET)))
    assert issuer.asked == [{"grant_type": ["client_credentials"]}]
    scheme, _, pair = (authorization(issuer) or "").partition(" ")
    name, _, secret = base64.b64decode(pair).decode().partition(":")
    assert (scheme, unquote_plus(name), unquote_plus(secret)) == ("Basic", CLIENT, SECRET)


def test_secret_is_sent_in_the_body(make_profile: MakeProfile, issuer: ScriptedIssuer) -> None:
    ask(make_profile(client_secret=Secret(SECRET), client_authentication="client_secret_post"))
    assert issuer.asked == [{"grant_type": ["client_credentials"], "client_id": [CLIENT], "client_secret": [SECRET]}]
    assert authorization(issuer) is None


def test_secret_signs_and_is_not_sent(make_profile: MakeProfile, issuer: ScriptedIssuer) -> None:
    secret = "canary-secret-of-at-least-32-characters"
    ask(make_profile(client_secret=Secret(secret), client_authentication="client_secret_jwt"))
    (form,) = issuer.asked
    assert (form["client_id"], form["client_assertion_type"]) == ([CLIENT], [JWT_BEARER])
    claims = jwt.decode(form["client_assertion"][0], OctKey.import_key(secret), algorithms=["HS256"]).claims
    assert (claims["iss"], claims["sub"], claims["aud"]) == (CLIENT, CLIENT, ISSUER)
    assert secret.encode() not in issuer.http.requests[-1].body


def test_private_key_signs_what_rfc_7523_lists(
    make_profile: MakeProfile, issuer: ScriptedIssuer, key: ECKey | RSAKey, key_file: Path
) -> None:
    profile = make_profile(private_key_file=key_file, key_id="k1", key_algorithm=str(key.alg))
    ask(profile)
    ask(profile)
    tokens = [form["client_assertion"][0] for form in issuer.asked]
    assert [form["client_assertion_type"] for form in issuer.asked] == [[JWT_BEARER]] * 2
    found = [jwt.decode(token, key, algorithms=[str(key.alg)]) for token in tokens]
    assert [each.header["kid"] for each in found] == ["k1", "k1"]
    claims = found[0].claims
    assert (claims["iss"], claims["sub"], claims["aud"]) == (CLIENT, CLIENT, ISSUER)
    assert claims["iat"] <= profile.clock.now().wall < claims["exp"]
    assert found[0].claims["jti"] != found[1].claims["jti"]


def test_assertion_can_have_another_audience_and_name_a_certificate(
    make_profile: MakeProfile, issuer: ScriptedIssuer, key: ECKey | RSAKey, key_file: Path
) -> None:
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(b"a certificate").digest()).rstrip(b"=").decode()
    named = {"assertion_audience": f"{ISSUER}/token", "certificate_thumbprint": thumbprint}
    ask(make_profile(private_key_file=key_file, key_algorithm=str(key.alg), **named))
    token = issuer.asked[0]["client_assertion"][0]
    assert jwt.decode(token, key, algorithms=[str(key.alg)]).claims["aud"] == f"{ISSUER}/token"
    assert jws.extract_compact(token.encode()).headers()["x5t#S256"] == thumbprint


# --- which one -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "methods", "chosen"),
    [
        ({}, (), "none"),
        ({}, ("client_secret_basic",), "none"),
        ({"client_secret_variable": "S"}, (), "client_secret_basic"),
        ({"client_secret_variable": "S"}, ("client_secret_post",), "client_secret_post"),
        ({"client_secret_variable": "S"}, ("client_secret_basic",), "client_secret_basic"),
        ({"client_secret_variable": "S"}, ("client_secret_post", "client_secret_basic"), "client_secret_basic"),
        ({"client_secret_variable": "S"}, ("private_key_jwt", "client_secret_post"), "client_secret_post"),
        ({"client_secret_variable": "S"}, ("private_key_jwt",), "client_secret_basic"),
        ({"private_key_file": Path("/k").absolute()}, ("client_secret_basic",), "private_key_jwt"),
        ({"private_key_file": Path("/k").absolute(), "client_secret_variable": "S"}, (), "private_key_jwt"),
        ({"client_authentication": "client_secret_jwt", "client_secret_variable": "S"}, (), "client_secret_jwt"),
        ({"client_authentication": "none", "client_secret_variable": "S"}, ("client_secret_post",), "none"),
    ],
    ids=str,
)
def test_method_is_the_one_set_or_the_one_that_fits(
    settings: dict[str, Any], methods: tuple[str, ...], chosen: str
) -> None:
    server = Server(token_endpoint=f"{ISSUER}/token", authentication_methods=methods)
    assert authenticates_by(OidcSettings(**settings), server) == chosen


def test_method_follows_the_metadata(make_profile: MakeProfile, issuer: ScriptedIssuer) -> None:
    issuer.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    ask(make_profile(client_secret=Secret(SECRET)))
    assert issuer.asked[0]["client_secret"] == [SECRET]
    del issuer.metadata["token_endpoint_auth_methods_supported"]
    ask(make_profile(client_secret=Secret(SECRET)))
    assert "client_secret" not in issuer.asked[1]


# --- where the secret is, and that it is missing ---------------------------------------------------------------------


def test_secret_is_read_anew_from_its_variable_or_file(
    make_profile: MakeProfile, issuer: ScriptedIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    post: dict[str, Any] = {"client_authentication": "client_secret_post"}
    in_variable = make_profile(client_secret_variable="APP_SECRET", **post)
    in_file = make_profile(client_secret_file=file, **post)
    for secret in ("secret-1", "secret-2"):
        monkeypatch.setenv("APP_SECRET", f"{secret}-of-variable")
        file.write_text(f"{secret}-of-file\n")
        ask(in_variable)
        ask(in_file)
        assert [form["client_secret"] for form in issuer.asked[-2:]] == [
            [f"{secret}-of-variable"],
            [f"{secret}-of-file"],
        ]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"client_secret_variable": "NO_SECRET"}, (LoginRequired, "oidc-client-secret-missing")),
        ({"client_secret_file": "missing"}, (LoginRequired, "oidc-client-secret-missing")),
        ({"client_secret_file": "empty"}, (ConfigurationError, "invalid-secret-input")),
        ({"client_secret_file": "."}, (ConfigurationError, "invalid-secret-input")),
        ({"private_key_file": "missing"}, (LoginRequired, "oidc-client-secret-missing")),
        ({"private_key_file": "empty"}, (ConfigurationError, "invalid-secret-input")),
        ({"private_key_file": "words"}, (ConfigurationError, "invalid-signing-key")),
        ({"client_authentication": "client_secret_basic"}, (LoginRequired, "oidc-client-secret-missing")),
        ({"client_authentication": "client_secret_post"}, (LoginRequired, "oidc-client-secret-missing")),
        ({"client_authentication": "client_secret_jwt"}, (LoginRequired, "oidc-client-secret-missing")),
        ({"client_authentication": "private_key_jwt"}, (LoginRequired, "oidc-client-secret-missing")),
    ],
    ids=str,
)
def test_missing_secret_is_an_error_before_a_token_is_requested(
    make_profile: MakeProfile,
    tmp_path: Path,
    issuer: ScriptedIssuer,
    settings: dict[str, str],
    expected: tuple[type[FreshkeyError], str],
) -> None:
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "words").write_text("canary words")
    paths = {name: tmp_path / value for name, value in settings.items() if name.endswith("_file")}
    with raises_code(*expected) as caught:
        ask(make_profile(**settings | paths))
    assert issuer.asked == []
    assert not isinstance(caught.value, LoginRequired) or caught.value.unsent
    assert "canary" not in f"{caught.value} {caught.value.hint}"


def test_client_without_an_id_is_told_what_to_set(make_profile: MakeProfile) -> None:
    server = Server(token_endpoint=f"{ISSUER}/token")
    with raises_code(ProviderRefused, "oidc-client-id-missing") as caught:
        client(make_profile(client_id=None), server)
    assert caught.value.hint == 'Set client_id = "…" under [profiles.test] in config.toml'


def test_what_is_missing_is_found_without_reading_a_file(
    make_profile: MakeProfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("APP_SECRET", raising=False)
    missing, there = tmp_path / "missing", tmp_path / "there"
    there.touch()
    assert missing_secret(make_profile()) == (
        "Set client_secret_variable or private_key_file under [profiles.test] in config.toml"
    )
    assert missing_secret(make_profile(client_secret_variable="APP_SECRET")) == "Set APP_SECRET to the client secret"
    for name, what in (("client_secret_file", "secret"), ("private_key_file", "private key (PEM)")):
        told = missing_secret(make_profile(**{name: missing})) or ""
        assert told.startswith(f"Write the client's {what} to ")
        assert missing_secret(make_profile(**{name: there})) is None
    monkeypatch.setenv("APP_SECRET", "a-secret")
    assert missing_secret(make_profile(client_secret_variable="APP_SECRET")) is None
    assert missing_secret(make_profile(client_secret=Secret("a-secret"))) is None


def test_parameters_of_the_settings_are_in_every_request(
    make_profile: MakeProfile, issuer: ScriptedIssuer, sign_in: Callable[[Profile], object]
) -> None:
    profile = make_profile(token_parameters={"tenant": "t-1"}, client_authentication="none")
    ask(profile)
    sign_in(profile)
    assert [form["tenant"] for form in issuer.asked] == [["t-1"], ["t-1"]]
