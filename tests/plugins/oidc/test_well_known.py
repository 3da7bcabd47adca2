"""The tables of the README work with issuers that differ from the standards as their documentation says.

No vendor has been called: each is a script that answers as its documentation describes, with the sources in the README.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import define, field
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws, jwt

import freshkey_oidc
from counterparts.authentication import CLIENT_ASSERTION
from counterparts.exchanging import CLIENT_CREDENTIALS, JWT_TYPE, TOKEN_EXCHANGE, IdentityProvider
from counterparts.signed import new_key, public
from freshkey.errors import LoginRequired, ProviderRefused
from freshkey.model.profile import Profile
from freshkey.plugin import LoggingReporter, Request, Response, Secret
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.sources import CLIENT_CREDENTIALS as PROGRAM
from freshkey_oidc.sources import IDENTITY_TOKEN, SIGN_IN
from freshkey_testing import ManualClock, ScriptedExchanges, ScriptedUser
from page_blocks import blocks
from patience import Patience
from raises_code import raises_code


TABLES = {
    name: table
    for block in blocks("plugins/oidc/README.md", "toml")
    for name, table in tomllib.loads(block.text)["profiles"].items()
}

MakeProfile = Callable[..., Profile]


@pytest.fixture
def make_profile(freshkey_profile: Callable[..., Profile]) -> MakeProfile:
    """Return the profile of a table in the README; arguments are settings that replace those of the table."""

    def make(name: str, **changes: object) -> Profile:
        settings = {key: value for key, value in TABLES[name].items() if key not in {"provider", "redirect_port"}}
        if "client_secret" in settings:
            settings["client_secret"] = Secret(settings["client_secret"])
        return freshkey_profile(freshkey_oidc, settings | changes)

    return make


@define
class Vendor:
    """Answers as one vendor does.

    Attributes:
        http: The script.
        clock: The clock of the profile.
        key: Signs ID tokens.
        opened: The parameters of the last authorization request.
        pauses: The seconds before each question whether the user has entered a code.
    """

    http: ScriptedExchanges
    clock: ManualClock
    key: Any = field(factory=new_key, repr=False)
    opened: dict[str, list[str]] = field(factory=dict, repr=False)
    pauses: list[float] = field(factory=list)

    def says(self, url: str, members: Mapping[str, object], *, post: bool = False, times: int | None = None) -> None:
        self.http.on("POST" if post else "GET", url, json=dict(members), times=times)

    def publishes(self, url: str) -> None:
        self.says(url, {"keys": [public(self.key)]})

    def grants(self, url: str, claims: Mapping[str, object], **members: object) -> None:
        """Answer token requests with tokens, and an ID token with these claims."""

        def reply(_: Request) -> Response:
            now = int(self.clock.now().wall)
            nonce = {"nonce": self.opened["nonce"][0]} if "nonce" in self.opened else {}
            signed = jwt.encode({"alg": "ES256"}, {"iat": now, "exp": now + 300, **nonce, **claims}, self.key)
            answer = {"access_token": "access-1", "token_type": "Bearer", "expires_in": 3600, "id_token": signed}
            return self.http.response(json=answer | members)

        self.http.on("POST", url, reply=reply)

    def forms(self, url: str) -> list[dict[str, str]]:
        """Return the fields of all requests to a URL."""
        sent = [request.body.decode() for request in self.http.requests if request.url == url]
        return [{name: values[0] for name, values in parse_qs(body).items()} for body in sent]

    def called(self) -> set[str]:
        return {urlsplit(request.url).hostname or "" for request in self.http.requests}

    def sign_in(self, profile: Profile) -> OidcToken:
        def redirected(urls: Sequence[str]) -> str:
            self.opened = parse_qs(urlsplit(next(url for url in urls if "state=" in url)).query)
            return f"{self.opened['redirect_uri'][0]}?code=a-code&state={self.opened['state'][0]}"

        with ScriptedUser(paste=redirected, device=lambda *_: None) as user, Patience(self.clock) as patience:
            token = freshkey_oidc.acquire(profile, SIGN_IN, user)
        self.pauses = patience.waited
        assert isinstance(token, OidcToken)
        return token


@pytest.fixture
def vendor(freshkey_http: ScriptedExchanges, freshkey_clock: ManualClock) -> Vendor:
    return Vendor(freshkey_http, freshkey_clock)


# --- GitHub ----------------------------------------------------------------------------------------------------------

DEVICE = "https://github.com/login/device/code"
TOKEN = "https://github.com/login/oauth/access_token"
CODE = {
    "device_code": "a-device-code",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://github.com/login/device",
    "expires_in": 900,
    "interval": 5,
}
FROM_GITHUB = {
    "access_token": "ghu_access",
    "expires_in": 28800,
    "refresh_token": "ghr_refresh",
    "refresh_token_expires_in": 15897600,
    "scope": "read:user,offline_access",
    "token_type": "bearer",
}


@pytest.fixture
def github(vendor: Vendor, make_profile: MakeProfile) -> OidcToken:
    """A sign-in at GitHub, whose errors have the status 200."""
    vendor.says(DEVICE, CODE, post=True)
    vendor.says(TOKEN, {"error": "authorization_pending"}, post=True, times=1)
    vendor.says(TOKEN, {"error": "slow_down", "interval": 10}, post=True, times=1)
    vendor.says(TOKEN, FROM_GITHUB, post=True, times=1)
    vendor.says("https://api.github.com/user", {"id": 583231, "login": "ada", "name": None})
    return vendor.sign_in(make_profile("github"))


def test_github_signs_in_with_a_code_and_no_secret(github: OidcToken, vendor: Vendor) -> None:
    assert (github.identity.account, github.identity.display_name) == ("583231", "ada")
    assert (github.lifetime, github.renewable_for) == (28800.0, 15897600.0)
    polls = vendor.forms(TOKEN)
    assert [form["device_code"] for form in polls] == ["a-device-code"] * 3
    assert vendor.pauses == [5.0, 5.0, 10.0]  # slow_down: five seconds more, as GitHub's own answer says
    assert not any("client_secret" in form for form in polls)
    asked = next(request for request in vendor.http.requests if request.url == TOKEN)
    assert asked.headers["Accept"] == "application/json"
    assert vendor.called() == {"github.com", "api.github.com"}


def test_github_renews_and_says_when_a_sign_in_is_over(
    github: OidcToken, vendor: Vendor, make_profile: MakeProfile
) -> None:
    vendor.says(TOKEN, FROM_GITHUB | {"access_token": "ghu_second"}, post=True, times=1)
    renewed = freshkey_oidc.refresh(make_profile("github"), github, LoggingReporter())
    assert isinstance(renewed, OidcToken)
    assert renewed.access_token.reveal() == "ghu_second"
    assert "scope" not in vendor.forms(TOKEN)[-1]  # GitHub does not allow it
    vendor.says(TOKEN, {"error": "bad_refresh_token"}, post=True)
    with pytest.raises(LoginRequired):
        freshkey_oidc.refresh(make_profile("github"), renewed, LoggingReporter())


# --- others ----------------------------------------------------------------------------------------------------------


def test_gitlab_signs_in_with_a_code_although_its_metadata_do_not_name_the_endpoint(
    vendor: Vendor, make_profile: MakeProfile
) -> None:
    url = "https://gitlab.com"
    metadata = {
        "issuer": url,
        "authorization_endpoint": f"{url}/oauth/authorize",
        "token_endpoint": f"{url}/oauth/token",
        "revocation_endpoint": f"{url}/oauth/revoke",
        "userinfo_endpoint": f"{url}/oauth/userinfo",
        "jwks_uri": f"{url}/oauth/discovery/keys",
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    }
    vendor.says(f"{url}/.well-known/oauth-authorization-server", metadata)
    vendor.publishes(metadata["jwks_uri"])  # type: ignore[arg-type]
    vendor.says(f"{url}/oauth/authorize_device", CODE, post=True)
    client = TABLES["gitlab"]["client_id"]
    vendor.grants(f"{url}/oauth/token", {"iss": url, "aud": client, "sub": "42"}, refresh_token="refresh-1")
    vendor.says(f"{url}/oauth/userinfo", {"sub": "42", "nickname": "ada"})

    token = vendor.sign_in(make_profile("gitlab", flow="device"))

    assert (token.identity.account, token.identity.display_name) == ("42", "ada")
    assert "offline_access" not in vendor.forms(f"{url}/oauth/authorize_device")[0]["scope"]
    assert "client_secret" not in vendor.forms(f"{url}/oauth/token")[0]


def test_google_has_its_endpoints_on_other_hosts(vendor: Vendor, make_profile: MakeProfile) -> None:
    url, client = "https://accounts.google.com", TABLES["google"]["client_id"]
    metadata = {
        "issuer": url,
        "authorization_endpoint": f"{url}/o/oauth2/v2/auth",
        "token_endpoint": "https://oauth2.googleapis.com/token",
        "device_authorization_endpoint": "https://oauth2.googleapis.com/device/code",
        "revocation_endpoint": "https://oauth2.googleapis.com/revoke",
        "userinfo_endpoint": "https://openidconnect.googleapis.com/v1/userinfo",
        "jwks_uri": "https://www.googleapis.com/oauth2/v3/certs",
    }
    vendor.http.on("GET", f"{url}/.well-known/oauth-authorization-server", status=404)
    vendor.says(f"{url}/.well-known/openid-configuration", metadata)
    vendor.publishes("https://www.googleapis.com/oauth2/v3/certs")
    claims = {"iss": url, "aud": client, "azp": client, "sub": "1", "hd": "example.com", "email": "ada@example.com"}
    vendor.grants("https://oauth2.googleapis.com/token", claims, refresh_token="1//refresh")
    vendor.says("https://openidconnect.googleapis.com/v1/userinfo", {"sub": "1", "email": "ada@example.com"})

    token = vendor.sign_in(make_profile("google"))

    assert (token.identity.email, token.identity.organization) == ("ada@example.com", "example.com")
    assert token.revocation_endpoint == "https://oauth2.googleapis.com/revoke"
    assert (vendor.opened["access_type"], vendor.opened["prompt"]) == (["offline"], ["consent"])
    assert vendor.forms("https://oauth2.googleapis.com/token")[0]["client_secret"] == TABLES["google"]["client_secret"]


def test_googles_federation_gets_no_client(vendor: Vendor, make_profile: MakeProfile, tmp_path: Path) -> None:
    vendor.says(
        "https://sts.googleapis.com/v1/token",
        {"access_token": "ya29.federated", "token_type": "Bearer", "expires_in": 3599, "issued_token_type": "any"},
        post=True,
    )
    file, table = identity_token(tmp_path), TABLES["google-federation"]
    with ScriptedUser() as user:
        freshkey_oidc.acquire(make_profile("google-federation", identity_token_file=file), IDENTITY_TOKEN, user)
    (request,) = vendor.http.requests
    assert "Authorization" not in request.headers
    assert vendor.forms(request.url) == [
        {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": file.read_text("ascii"),
            "subject_token_type": JWT_TYPE,
            "audience": table["audience"][0],
            "scope": table["scopes"][0],
            **table["token_parameters"],
        }
    ]


def identity_token(folder: Path) -> Path:
    file = folder / "identity-token"
    file.write_text(IdentityProvider().token("any"), "ascii")
    file.chmod(0o600)
    return file


ENTRA = TABLES["entra"]["issuer"]
ENTRA_TOKEN = ENTRA.removesuffix("/v2.0") + "/oauth2/v2.0/token"


@pytest.fixture
def entra(vendor: Vendor) -> Vendor:
    """Microsoft Entra ID, whose userinfo endpoint is that of another API, Microsoft Graph."""
    base = ENTRA.removesuffix("/v2.0")
    metadata = {
        "issuer": ENTRA,
        "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
        "token_endpoint": ENTRA_TOKEN,
        "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
        "userinfo_endpoint": "https://graph.microsoft.com/oidc/userinfo",
        "jwks_uri": f"{base}/discovery/v2.0/keys",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
    }
    vendor.says(f"{ENTRA}/.well-known/openid-configuration", metadata)
    vendor.http.on("GET", "login.microsoftonline.com", status=404, times=1)  # where RFC 8414 has it
    vendor.publishes(f"{base}/discovery/v2.0/keys")
    claims = {"iss": ENTRA, "aud": TABLES["entra"]["client_id"], "sub": "pairwise", "tid": "the-tenant", "name": "Ada"}
    vendor.grants(ENTRA_TOKEN, claims, refresh_token="1.refresh")
    vendor.http.on("GET", "login.microsoftonline.com", status=404)
    return vendor


def test_entra_signs_in_without_microsoft_graph(entra: Vendor, make_profile: MakeProfile) -> None:
    token = entra.sign_in(make_profile("entra"))
    assert (token.identity.display_name, token.identity.organization) == ("Ada", "the-tenant")
    assert token.userinfo_endpoint is None
    assert entra.called() == {"login.microsoftonline.com"}
    assert urlsplit(entra.opened["redirect_uri"][0]).hostname == "localhost"
    assert not {"client_secret", "resource"} & entra.forms(ENTRA_TOKEN)[0].keys()


def test_entra_gets_the_scopes_again_with_each_renewal(entra: Vendor, make_profile: MakeProfile) -> None:
    token = entra.sign_in(make_profile("entra"))
    freshkey_oidc.refresh(make_profile("entra"), token, LoggingReporter())
    first, renewal = entra.forms(ENTRA_TOKEN)
    assert renewal["scope"] == " ".join(TABLES["entra"]["scopes"])
    assert (first["grant_type"], renewal["grant_type"]) == ("authorization_code", "refresh_token")


def test_entra_common_is_refused_because_its_metadata_name_another_issuer(
    vendor: Vendor, make_profile: MakeProfile
) -> None:
    url = "https://login.microsoftonline.com/common/v2.0"
    metadata = {"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0", "token_endpoint": ENTRA_TOKEN}
    vendor.says(f"{url}/.well-known/openid-configuration", metadata)
    vendor.http.on("GET", "login.microsoftonline.com", status=404)
    with raises_code(ProviderRefused, "metadata-issuer-mismatch"):
        vendor.sign_in(make_profile("entra", issuer=url))


def test_entra_gets_the_thumbprint_of_a_certificate(entra: Vendor, make_profile: MakeProfile, tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    file, table = tmp_path / "key.pem", TABLES["entra-certificate"]
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    file.chmod(0o600)
    with ScriptedUser() as user:
        freshkey_oidc.acquire(make_profile("entra-certificate", private_key_file=file), PROGRAM, user)
    (form,) = entra.forms(ENTRA_TOKEN)
    assertion = jws.extract_compact(form["client_assertion"].encode())
    header, claims = assertion.headers(), json.loads(assertion.payload)
    assert (header["alg"], header["x5t#S256"]) == ("PS256", table["certificate_thumbprint"])
    assert claims["aud"] == ENTRA_TOKEN
    assert claims["iss"] == claims["sub"] == table["client_id"]
    assert (form["grant_type"], form["scope"]) == (CLIENT_CREDENTIALS, "https://ai.azure.com/.default")


def test_entra_takes_the_identity_token_of_a_pod_as_an_assertion(
    entra: Vendor, make_profile: MakeProfile, tmp_path: Path
) -> None:
    file = identity_token(tmp_path)
    with ScriptedUser() as user:
        freshkey_oidc.acquire(make_profile("from-azure", identity_token_file=file), IDENTITY_TOKEN, user)
    assert entra.forms(ENTRA_TOKEN) == [
        {
            "grant_type": CLIENT_CREDENTIALS,
            "client_id": TABLES["from-azure"]["client_id"],
            "client_assertion": file.read_text("ascii"),
            "client_assertion_type": CLIENT_ASSERTION,
            "scope": "https://ai.azure.com/.default",
        }
    ]


def test_auth0_has_a_slash_at_the_end_and_wants_an_audience(vendor: Vendor, make_profile: MakeProfile) -> None:
    url, client = "https://example.us.auth0.com/", TABLES["auth0"]["client_id"]
    metadata = {
        "issuer": url,
        "authorization_endpoint": f"{url}authorize",
        "token_endpoint": f"{url}oauth/token",
        "revocation_endpoint": f"{url}oauth/revoke",
        "userinfo_endpoint": f"{url}userinfo",
        "jwks_uri": f"{url}.well-known/jwks.json",
    }
    vendor.says(f"{url}.well-known/openid-configuration", metadata)
    vendor.publishes(f"{url}.well-known/jwks.json")
    claims = {"iss": url, "aud": client, "sub": "auth0|1", "org_id": "org_1"}
    vendor.grants(f"{url}oauth/token", claims, refresh_token="refresh-1")
    vendor.says(f"{url}userinfo", {"sub": "auth0|1", "name": "Ada"})
    vendor.http.on("GET", "example.us.auth0.com", status=404)

    token = vendor.sign_in(make_profile("auth0"))

    assert (token.identity.account, token.identity.organization) == ("auth0|1", "org_1")
    assert vendor.opened["audience"] == TABLES["auth0"]["audience"]
    assert not any("//" in urlsplit(request.url).path for request in vendor.http.requests)
