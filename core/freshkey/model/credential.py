"""What authorizes a request, until when, and what renews it; a renewal makes a new value."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

from attrs import field, frozen

from freshkey import expiry
from freshkey.clock import SYSTEM, Clock, Moment
from freshkey.errors import CredentialExpired
from freshkey.model.identity import Identity
from freshkey.secret import Secret


@frozen(kw_only=True)
class Credential(abc.ABC):
    """What authorizes a request, until when, and what renews it. Each format is a subclass.

    A subclass adds its fields and overrides the underscored methods; those are only called while the credential
    is not expired.

    Attributes:
        obtained: Both clocks at the moment the provider's answer was received.
        lifetime: Seconds the provider gave it; None where it has no known end.
        lead: Seconds before the end at which it is renewed; None means `freshkey.expiry.default_lead`.
        recheck_after: Seconds after which its source is asked again although it has no known end, such as for a key
            that a command prints. That happens when somebody asks for it, who is served what is there meanwhile.
        source: Id of the `Source` it came from.
        identity: Whose it is.
        clock: Which clock `headers` asks; not stored.
    """

    obtained: Moment
    lifetime: float | None = None
    lead: float | None = None
    recheck_after: float | None = field(default=None, metadata={"stored": False})
    source: str = ""
    identity: Identity = field(factory=Identity)
    clock: Clock = field(default=SYSTEM, eq=False, repr=False, metadata={"stored": False})

    @property
    def obtained_at(self) -> datetime:
        """When it was obtained, aware UTC."""
        return self.obtained.utc

    @property
    def expires_at(self) -> datetime | None:
        """Its hard end by the wall clock, aware UTC; None where it has no known end."""
        return None if self.lifetime is None else datetime.fromtimestamp(self.obtained.wall + self.lifetime, UTC)

    @property
    def refresh_at(self) -> datetime | None:
        """Its soft end, from which on it is renewed, aware UTC; None where it has no known end."""
        if self.lifetime is None:
            return None
        early = expiry.effective_lead(self.lifetime, self.lead)
        return datetime.fromtimestamp(self.obtained.wall + self.lifetime - early, UTC)

    @property
    def renewable(self) -> bool:
        """Whether the provider's ``refresh`` hook can renew it without a person."""
        return False

    @property
    def token(self) -> Secret | None:
        """The one string that authorizes, where the format has one: what ``freshkey token`` prints."""
        return None

    @property
    def renewal_secret(self) -> Secret | None:
        """The secret that is spent by a renewal (a refresh token), where there is one."""
        return None

    @property
    def binding(self) -> Mapping[str, str]:
        """Where it belongs (issuer, token endpoint, client id): it is never sent anywhere else."""
        return {}

    def authorizes_like(self, other: Credential) -> bool:
        """Whether both authorize by the same secret, so that a refusal of one is a refusal of the other."""
        if self.token is not None and other.token is not None:
            return self.token == other.token
        return self == other

    def expired(self) -> bool:
        """Whether its end has passed, by whichever clock says so first."""
        return expiry.seconds_left(self.obtained, self.lifetime, self.clock.now()) <= 0

    def headers(self, method: str = "GET", url: str = "", body: bytes = b"") -> dict[str, str]:
        """Return the headers that authorize one request.

        Args:
            method: HTTP method of the request; signing formats need it.
            url: Absolute URL exactly as it will be sent.
            body: The body exactly as it will be sent.

        Raises:
            CredentialExpired: Its end has passed.
        """
        self._must_be_alive()
        return self._headers(method, url, body)

    def environment(self) -> dict[str, str]:
        """Return the variables that authorize a child process; never a refresh token.

        Raises:
            CredentialExpired: Its end has passed.
        """
        self._must_be_alive()
        return self._environment()

    @abc.abstractmethod
    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        """Do the work of `headers`."""

    def _environment(self) -> dict[str, str]:
        """Do the work of `environment`."""
        return {}

    def _must_be_alive(self) -> None:
        # Not `expired`: what a keeper's `get` has just handed out must not fail because the wall clock was set forward.
        if expiry.surely_expired(self.obtained, self.lifetime, self.clock.now()):
            message = f"this credential expired at {self.expires_at:%Y-%m-%d %H:%M:%S} UTC"
            raise CredentialExpired(message, hint="Ask the keeper again for every request; it costs nothing")


@frozen(kw_only=True)
class OAuthToken(Credential):
    """An access token of an OAuth 2.0 authorization server (RFC 6749, section 1.4), with what renews it.

    Attributes:
        access_token: The bearer token (RFC 6750).
        refresh_token: What renews it, where the server issued one (RFC 6749, section 1.5).
        scopes: What was granted.
        client_id: The client it was issued to.
        issuer: The authorization server, where it is known by its issuer identifier (RFC 8414).
        token_endpoint: Where it is renewed.
        extra_headers: Sent along with the bearer header, as name and value pairs; a gateway's key may be among them.
    """

    access_token: Secret
    refresh_token: Secret | None = None
    scopes: tuple[str, ...] = ()
    client_id: str | None = None
    issuer: str | None = None
    token_endpoint: str | None = None
    extra_headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def renewable(self) -> bool:
        """Whether there is a refresh token."""
        return self.refresh_token is not None

    @property
    def token(self) -> Secret | None:
        """The access token."""
        return self.access_token

    @property
    def renewal_secret(self) -> Secret | None:
        """The refresh token."""
        return self.refresh_token

    @property
    def binding(self) -> Mapping[str, str]:
        """Issuer, token endpoint and client id, as far as they are known."""
        known = {"issuer": self.issuer, "token_endpoint": self.token_endpoint, "client_id": self.client_id}
        return {name: value for name, value in known.items() if value is not None}

    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:  # noqa: ARG002  bearer tokens sign nothing
        return {"Authorization": f"Bearer {self.access_token.reveal()}", **dict(self.extra_headers)}


@frozen(kw_only=True)
class ApiKey(Credential):
    """A key without an end that authorizes by itself.

    Attributes:
        key: The key.
        header: Name of the header that carries it; in ``Authorization`` it is sent as a bearer token.
    """

    key: Secret
    header: str = "Authorization"

    @property
    def token(self) -> Secret | None:
        """The key."""
        return self.key

    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:  # noqa: ARG002  keys sign nothing
        prefix = "Bearer " if self.header.lower() == "authorization" else ""
        return {self.header: prefix + self.key.reveal()}


class CredentialSource(Protocol):
    """Where an adapter for an HTTP client or a vendor's SDK gets credentials from; `freshkey.Keeper` is one."""

    def get(self, profile: str | None = None, *, min_ttl: float = 0.0, refused: Credential | None = None) -> Credential:
        """Return a usable credential; see `freshkey.Keeper.get`."""

    async def aget(
        self, profile: str | None = None, *, min_ttl: float = 0.0, refused: Credential | None = None
    ) -> Credential:
        """Do the same for asyncio; see `freshkey.Keeper.aget`."""
