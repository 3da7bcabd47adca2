"""A provider that meets the contract: a sign-in, an API key, a leased password, and another program's token.

Refresh tokens are single-use.
Tests edit one place of this file, and expect that the contract kit says what is wrong with the result.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

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


@frozen(kw_only=True)
class ToolToken(Credential):
    """The token of another program, which renews it in a file."""

    key: Secret

    @property
    def renewable(self) -> bool:
        """Always: the file is read again."""
        return True

    @property
    def token(self) -> Secret | None:
        """The token."""
        return self.key

    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        return {"X-Token": self.key.reveal()}


def key_in_environment(profile: Profile) -> Detected | None:
    """Look for an API key."""
    key = Secret(os.environ.get("ONE_KEY", ""))
    return Detected(kind="API key", origin="variable ONE_KEY", last_four=key.last_four()) if key else None


def role_in_environment(profile: Profile) -> Detected | None:
    """Look for the role that leases are for."""
    return Detected(kind="role", origin="variable ONE_ROLE") if os.environ.get("ONE_ROLE") else None


def file_of_the_tool(profile: Profile) -> Detected | None:
    """Look for the file of the other program."""
    path = Path(os.environ.get("ONE_FILE", "none"))
    return Detected(kind="token", origin=str(path)) if path.is_file() else None


SIGN_IN = Source(id="sign-in", title="Sign in", owned=True, interactive=True)
LEASE = Source(id="lease", title="Leased password", owned=True, automatic=True, detect=role_in_environment)
KEY = Source(id="environment", title="API key", owned=False, handed_in=True, detect=key_in_environment)
TOOL = Source(id="tool", title="Sign-in of the tool", owned=False, detect=file_of_the_tool)


@hookimpl
def describe(profile: Profile | None, credential: Credential | None) -> Description | Inspection:
    """Describe the provider, or check a credential."""
    if profile is not None and credential is not None:
        return inspect(profile, credential)
    return Description(
        title="One",
        settings=Settings,
        formats={"token": OAuthToken, "lease": Lease, "key": ApiKey, "tool": ToolToken},
        sources=(SIGN_IN, LEASE, KEY, TOOL),
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
    if source.id == "tool":
        return borrow(profile)
    return ApiKey(obtained=profile.clock.now(), key=Secret(os.environ["ONE_KEY"]), source=source.id)


@hookimpl
def refresh(profile: Profile, credential: Credential, reporter: Reporter, reason: Reason) -> Credential:
    """Renew a token, read one again, or extend a lease; one that was refused is replaced."""
    reporter.progress("renewing")
    if isinstance(credential, ToolToken):
        newer = borrow(profile)
        if reason is Reason.REFUSED and newer.authorizes_like(credential):
            raise LoginRequired("the tool has no newer token")
        return newer
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


def borrow(profile: Profile) -> ToolToken:
    """Read the token of the other program."""
    try:
        token = Path(os.environ["ONE_FILE"]).read_text("utf-8")
    except OSError:
        raise LoginRequired("nobody is signed in to the tool") from None
    return ToolToken(obtained=profile.clock.now(), key=Secret(token), source="tool")


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
