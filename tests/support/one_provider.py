"""A provider that meets the contract: a sign-in with single-use refresh tokens, an API key, and a leased password.

Tests edit one place of this file, and expect that the contract kit says what is wrong with the result.
"""

from __future__ import annotations

import os
import threading

from attrs import frozen

from freshkey.errors import LoginRequired, ProtocolError, ProviderRefused, TransientError
from freshkey.oauth import Grant, OAuthClient, Pkce, Server, new_state
from freshkey.plugin import (
    ApiKey,
    Credential,
    Description,
    Detected,
    Identity,
    Inspection,
    Interaction,
    OAuthToken,
    Profile,
    Reason,
    Reporter,
    Request,
    Response,
    Secret,
    Source,
    Validity,
    hookimpl,
    json_body,
    parse_json_object,
    retry_after,
)


HOST = "id.one.example"
TOKEN_URL = f"https://{HOST}/token"
LEASE_URL = f"https://{HOST}/lease"
OAUTH_SERVER = Server(
    authorization_endpoint=f"https://{HOST}/authorize",
    token_endpoint=TOKEN_URL,
    revocation_endpoint=f"https://{HOST}/revoke",
)


@frozen
class Settings:
    """Settings of a profile."""

    region: str = "here"


@frozen(kw_only=True)
class Lease(Credential):
    """A leased password, which the same lease can be extended for."""

    password: Secret
    lease: Secret

    @property
    def renewable(self) -> bool:
        """Always."""
        return True

    @property
    def token(self) -> Secret | None:
        """The password."""
        return self.password

    @property
    def renewal_secret(self) -> Secret | None:
        """The lease."""
        return self.lease

    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        return {"X-Password": self.password.reveal()}


def key_in_environment(profile: Profile) -> Detected | None:
    """Look for an API key."""
    key = Secret(os.environ.get("ONE_KEY", ""))
    return Detected(kind="API key", origin="variable ONE_KEY", last_four=key.last_four()) if key else None


def role_in_environment(profile: Profile) -> Detected | None:
    """Look for the role that leases are for."""
    return Detected(kind="role", origin="variable ONE_ROLE") if os.environ.get("ONE_ROLE") else None


SIGN_IN = Source(id="sign-in", title="Sign in", owned=True, interactive=True)
LEASE = Source(id="lease", title="Leased password", owned=True, automatic=True, detect=role_in_environment)
KEY = Source(id="environment", title="API key", owned=False, handed_in=True, detect=key_in_environment)


@hookimpl
def describe(profile: Profile | None, credential: Credential | None) -> Description | Inspection:
    """Describe the provider, or check a credential."""
    if profile is not None and credential is not None:
        return inspect(profile, credential)
    return Description(
        title="One",
        settings=Settings,
        formats={"token": OAuthToken, "lease": Lease, "key": ApiKey},
        sources=(SIGN_IN, LEASE, KEY),
        single_use=True,
        hosts=(HOST,) if profile else (),
        binding={"token_endpoint": TOKEN_URL} if profile else {},
        revoke=revoke,
    )


def inspect(profile: Profile, credential: Credential) -> Inspection:
    """Ask the server whose credential it is."""
    try:
        response = profile.send(Request(method="GET", url=f"https://{HOST}/me", headers=credential.headers()))
    except TransientError:
        return Inspection(validity=Validity.UNREACHABLE)
    return Inspection(validity=Validity.VALID if response.status == 200 else Validity.REFUSED)


@hookimpl
def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential:
    """Sign in, lease a password, or take the key."""
    if source.id == "sign-in":
        return sign_in(profile, interaction)
    if source.id == "lease":
        return lease(profile, {"role": os.environ["ONE_ROLE"]})
    return ApiKey(obtained=profile.clock.now(), key=Secret(os.environ["ONE_KEY"]), source=source.id)


@hookimpl
def refresh(profile: Profile, credential: Credential, reporter: Reporter, reason: Reason) -> Credential:
    """Renew a token, or extend a lease; one that was refused is replaced."""
    reporter.progress("renewing")
    if isinstance(credential, Lease):
        if reason is Reason.REFUSED:
            return lease(profile, {"role": os.environ["ONE_ROLE"]})
        return lease(profile, {"lease": credential.lease.reveal()}, credential)
    if not isinstance(credential, OAuthToken) or credential.refresh_token is None:
        raise LoginRequired("there is no refresh token", unsent=True)
    answer = client(profile).refresh(credential.refresh_token)
    return OAuthToken(
        obtained=answer.requested or profile.clock.now(),
        lifetime=answer.expires_in,
        access_token=answer.access_token,
        refresh_token=answer.refresh_token or credential.refresh_token,
        token_endpoint=TOKEN_URL,
        source=credential.source,
    )


def sign_in(profile: Profile, interaction: Interaction) -> Credential:
    """Let the user paste a code, and exchange it."""
    interaction.open_url(f"https://{HOST}/authorize")
    code = interaction.read_code("Code: ", threading.Event())
    if code is None:
        raise LoginRequired("no code was pasted")
    grant = Grant(code=code, pkce=Pkce.create(), redirect_uri="https://one.example/done", state=new_state())
    answer = client(profile).exchange(grant)
    return OAuthToken(
        obtained=answer.requested or profile.clock.now(),
        lifetime=answer.expires_in,
        access_token=answer.access_token,
        refresh_token=answer.refresh_token,
        token_endpoint=TOKEN_URL,
        identity=Identity(account=str(answer.extra.get("account"))),
        source="sign-in",
    )


def lease(profile: Profile, fields: dict[str, str], old: Lease | None = None) -> Lease:
    """Get a lease, or extend one."""
    now = profile.clock.now()
    answer = read(profile.send(json_body(LEASE_URL, fields)), now.wall)
    try:
        lifetime = float(answer["seconds"])
        password = old.password if old else Secret(answer["password"])
        number = old.lease if old else Secret(answer["lease"])
    except (KeyError, TypeError, ValueError):
        raise ProtocolError("the server returned an incomplete lease") from None
    return Lease(obtained=now, lifetime=lifetime, password=password, lease=number, source="lease")


def read(response: Response, now: float) -> dict[str, str]:
    """Return the answer, or raise the error of its status."""
    if response.status == 429 or response.status >= 500:
        raise TransientError("the server is busy", retry_after=retry_after(response.headers, now))
    if response.status >= 400:
        raise ProviderRefused("the role has no access")
    return parse_json_object(response.body)


def revoke(profile: Profile, credential: Credential) -> None:
    """Revoke a sign-in or a lease."""
    if credential.renewal_secret is not None:
        client(profile).revoke(credential.renewal_secret)


def client(profile: Profile) -> OAuthClient:
    """Return the client of the authorization server."""
    return OAuthClient.of(profile, OAUTH_SERVER, "one")
