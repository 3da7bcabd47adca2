"""Credentials: what authorizes a request, until when, and what renews it. They are immutable."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Protocol, TypedDict, TypeVar

from attrs import field, fields, frozen

from freshkey import expiry
from freshkey.clock import SYSTEM, Clock, Moment, utc_time
from freshkey.errors import ConfigurationError, CredentialExpired, FreshkeyError, NotForHttp, ProviderRefused
from freshkey.model.identity import Identity
from freshkey.model.verdict import ACCEPTED, REFUSED, Answer, Verdict
from freshkey.secret import Secret


C = TypeVar("C", bound="Credential")

UNAUTHORIZED: Final = 401

GAP_SHARE: Final = 0.1
MIN_GAP: Final = 5.0
MAX_GAP: Final = 30.0
"""A lifetime that ends before the latest end by no more than that fraction of it, from 5 s to 30 s, ends there: servers
state whole seconds, and it counts from before the request, so it is always a little short."""


def _aware(ends_at: datetime | None) -> datetime | None:
    if ends_at is not None and ends_at.tzinfo is None:
        message = "ends_at_latest has no time zone: use an aware datetime, such as freshkey.plugin.utc_time(seconds)"
        raise ValueError(message)
    return None if ends_at is None else ends_at.astimezone(UTC)


@frozen(kw_only=True)
class Credential:
    """What authorizes a request, until when, and what renews it. Each format is a subclass.

    A subclass is an attrs class (``@frozen(kw_only=True)``) that adds its fields. A field whose name ends like that of
    a secret, such as ``id_token``, must be a `Secret`, or have ``metadata={"secret": False}`` if it holds none.

    It overrides what differs from the class that it begins with: the methods `_headers` and `_environment`, which are
    called only while the credential has not expired; the properties `token`, `renewal_secret`, `renewable`, `binding`
    and `used_for`; `judge`, if its server rejects a credential without a 401; and `authorizes_like`, if fields that
    are not secret decide, too. No subclass overrides the rest.

    Attributes:
        obtained: Reading of both clocks when it was requested (``profile.clock.now()`` before the request, or
            `freshkey.oauth.TokenAnswer.requested`): a lifetime that counts from then is never too long.
        ends_at_latest: The longest that it can live whatever renewals say, aware UTC: when the longest term of its
            lease, or its parent token, ends. It limits `lifetime`, and with that everything that depends on it. A
            renewal keeps it unless the provider returns another. One that ends there is not renewed any more, unless a
            server refuses it or the user asks. None if there is no such limit.
        lifetime: Lifetime in seconds as given by the provider, but not beyond `ends_at_latest`; None if it is not known
            to expire.
        lead: Seconds before expiry at which it is renewed; None means `freshkey.expiry.default_lead`.
        recheck_after: Seconds after which its source is checked again although the credential is not known to expire,
            for example for a key that a command prints. The next `get` after that returns the current credential and
            starts the check in the background.
        renewable_for: Seconds, counted like `lifetime`, after which it can no longer be renewed because the sign-in
            itself ends (a server's ``refresh_token_expires_in``); None if that is not known. It is renewed before that,
            and returned until its own expiry. So the access token may outlive it, unlike `ends_at_latest`.
        sign_in_term: Set by freshkey, if a renewal did not move the end of the sign-in: the seconds that the sign-in
            lasts in all.
        unusable: Why its access token is never served, set by a renewal whose response has a good refresh token but an
            access token that no one can use; its lifetime is 0. It is stored, and then this error is raised.
        source: ID of the `Source` it came from.
        identity: The account it belongs to.
        clock: The clock that `headers` and `environment` check; not stored.
    """

    obtained: Moment
    ends_at_latest: datetime | None = field(default=None, converter=_aware)
    lifetime: float | None = None
    lead: float | None = None
    recheck_after: float | None = field(default=None, metadata={"stored": False})
    renewable_for: float | None = None
    sign_in_term: float | None = None
    unusable: ProviderRefused | None = field(default=None, eq=False, repr=False, metadata={"stored": False})
    source: str = ""
    identity: Identity = field(factory=Identity)
    clock: Clock = field(default=SYSTEM, eq=False, repr=False, metadata={"stored": False})

    def __attrs_post_init__(self) -> None:
        """Limit `lifetime` to `ends_at_latest`; a subclass with a method of this name calls this one first."""
        # See docs/decisions.md, "The latest end is folded into the lifetime".
        most = self._most()
        if most is not None and (self.lifetime is None or most < self.lifetime):
            object.__setattr__(self, "lifetime", most)

    def _most(self) -> float | None:
        """Return the longest lifetime that `ends_at_latest` allows, in seconds, or None."""
        latest = self.ends_at_latest
        return None if latest is None else max(0.0, latest.timestamp() - self.obtained.wall)

    @property
    def obtained_at(self) -> datetime:
        """When it was obtained, aware UTC."""
        return self.obtained.utc

    @property
    def expires_at(self) -> datetime | None:
        """When it expires by the wall clock, aware UTC; None if it is not known to expire."""
        return None if self.lifetime is None else utc_time(self.obtained.wall + self.lifetime)

    @property
    def sign_in_lasts(self) -> float | None:
        """Seconds after `obtained` until the sign-in itself ends, by `renewable_for` or `ends_at_latest`, or None."""
        ends = [end for end in (self.renewable_for, self._most()) if end is not None]
        return min(ends, default=None)

    @property
    def sign_in_ends_at(self) -> datetime | None:
        """When the sign-in itself ends by the wall clock, aware UTC; None if that is not known."""
        after = self.sign_in_lasts
        return None if after is None else utc_time(self.obtained.wall + after)

    @property
    def refresh_at(self) -> datetime | None:
        """When it is due for renewal, aware UTC; None if neither it nor its sign-in is known to end."""
        ends = [end for end in (self.lifetime, self.renewable_for) if end is not None]
        if not ends:
            return None
        shorter = min(ends)
        return utc_time(self.obtained.wall + shorter - expiry.effective_lead(shorter, self.lead))

    @property
    def ends_for_good(self) -> bool:
        """Whether it expires at `ends_at_latest`, or so shortly before that extending it gains nothing."""
        most = self._most()
        if most is None or self.lifetime is None:
            return False
        return most - self.lifetime <= min(MAX_GAP, max(MIN_GAP, GAP_SHARE * self.lifetime))

    @property
    def used_for(self) -> str:
        """What it is for, in a few words, if that is not HTTP requests: ``database connections``, for example."""
        return "something other than HTTP requests"

    @property
    def renewable(self) -> bool:
        """Whether the provider's ``refresh`` hook can renew it without the user."""
        return False

    @property
    def token(self) -> Secret | None:
        """The access token or key, which ``freshkey token`` prints; None if the format has no single one."""
        return None

    @property
    def renewal_secret(self) -> Secret | None:
        """The secret that a renewal sends (a refresh token), or None."""
        return None

    @property
    def binding(self) -> Mapping[str, str]:
        """The issuer, token endpoint and client ID it belongs to: it is never sent anywhere else."""
        return {}

    def authorizes_like(self, other: Credential) -> bool:
        """Whether both authorize with the same secret, so that a server that rejects one also rejects the other.

        If a format has no single `token`, all its secrets count, except the one that renews it.
        """
        if self.token is not None and other.token is not None:
            return self.token == other.token
        secrets = _authorizing(self)
        return secrets == _authorizing(other) if secrets and type(self) is type(other) else self == other

    def seconds_left(self) -> float | None:
        """Return the seconds until it expires, negative after that; None if it is not known to expire.

        Within one boot, elapsed time counts, including suspend; otherwise the wall clock.
        """
        if self.lifetime is None:
            return None
        return expiry.seconds_left(self.obtained, self.lifetime, self.clock.now())

    def expired(self) -> bool:
        """Whether it has expired, by the same clock as `seconds_left`: `headers` then raises."""
        left = self.seconds_left()
        return left is not None and left <= 0

    def judge(self, answer: Answer) -> Verdict:
        """Return what a response means for this credential, which authorized the request.

        Adapters call it for each response; it must be quick, and have no effects. By default, a 401 rejects the
        credential. Override it for servers that say so in another way.
        """
        return REFUSED if answer.status == UNAUTHORIZED else ACCEPTED

    def headers(self, method: str = "GET", url: str = "", body: bytes = b"") -> dict[str, str]:
        """Return the headers that authorize one request.

        Args:
            method: HTTP method of the request; formats that sign need it.
            url: Absolute URL exactly as it will be sent.
            body: The body exactly as it will be sent.

        Raises:
            CredentialExpired: It has expired.
            NotForHttp: It does not authorize HTTP requests.
        """
        try:
            self._must_be_alive()
            return self._headers(method, url, body)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  as for hooks
            failure = _cleaned(error, self, "headers")
        raise failure

    def environment(self) -> dict[str, str]:
        """Return the environment variables that authorize a child process; never a refresh token.

        Raises:
            CredentialExpired: It has expired.
        """
        try:
            self._must_be_alive()
            return self._environment()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  as for hooks
            failure = _cleaned(error, self, "environment")
        raise failure

    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:  # noqa: ARG002  for formats that have some
        """Return what `headers` returns; override it in a format that authorizes HTTP requests.

        A format that does not leaves this as it is, and overrides `used_for`.

        Args:
            method: HTTP method of the request.
            url: Absolute URL exactly as it will be sent.
            body: The body exactly as it will be sent.

        Raises:
            NotForHttp: It does not authorize HTTP requests.
        """
        raise NotForHttp(
            f"this credential ({type(self).__name__}) is for {self.used_for}, so it has no HTTP headers",
            hint="Use its fields, or Credential.environment()",
        )

    def _environment(self) -> dict[str, str]:
        """Return what `environment` returns; override it in a format that programs read from variables.

        By default, there are none. None may hold the secret that renews it.
        """
        return {}

    def _must_be_alive(self) -> None:
        if self.expired():
            message = f"the credential expired at {self.expires_at:%Y-%m-%d %H:%M:%S} UTC"
            raise CredentialExpired(message, hint="Call Keeper.get() for every request; it is cheap")


def _authorizing(credential: Credential) -> list[tuple[str, Secret]]:
    values = [(each.name, getattr(credential, each.name)) for each in fields(type(credential))]
    return [(name, it) for name, it in values if isinstance(it, Secret) and it != credential.renewal_secret]


def _cleaned(error: BaseException, credential: Credential, method: str) -> FreshkeyError:
    from freshkey.model.method_errors import cleaned  # only for errors: a program that has none does not load it

    return cleaned(error, credential, method)


@frozen(kw_only=True)
class OAuthToken(Credential):
    """An access token of an OAuth 2.0 authorization server (RFC 6749, section 1.4), with its refresh token.

    Attributes:
        access_token: The bearer token (RFC 6750).
        refresh_token: The refresh token, if the server issued one (RFC 6749, section 1.5).
        scopes: The scopes that were granted.
        client_id: The client it was issued to.
        issuer: The authorization server's issuer identifier, if known (RFC 8414).
        token_endpoint: The URL that renews it.
        revocation_endpoint: The URL that revokes it, if it was known at the sign-in: metadata may name another later.
        extra_headers: Additional headers, as name and value pairs; may include a gateway's key.
    """

    access_token: Secret
    refresh_token: Secret | None = None
    scopes: tuple[str, ...] = ()
    client_id: str | None = None
    issuer: str | None = None
    token_endpoint: str | None = None
    revocation_endpoint: str | None = None
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
        """Issuer, token endpoint and client ID, if known."""
        known = {"issuer": self.issuer, "token_endpoint": self.token_endpoint, "client_id": self.client_id}
        return {name: value for name, value in known.items() if value is not None}

    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:  # noqa: ARG002  bearer tokens do not sign
        return {"Authorization": f"Bearer {self.access_token.reveal()}", **dict(self.extra_headers)}


@frozen(kw_only=True)
class ApiKey(Credential):
    """An API key, which usually does not expire and cannot be renewed.

    Attributes:
        key: The key.
        header: Name of the header that carries it; ``Authorization`` sends it as a bearer token.
    """

    key: Secret
    header: str = "Authorization"

    @property
    def token(self) -> Secret | None:
        """The key."""
        return self.key

    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:  # noqa: ARG002  keys do not sign
        prefix = "Bearer " if self.header.lower() == "authorization" else ""
        return {self.header: prefix + self.key.reveal()}


Kind = type[C] | tuple[type[C], ...]
"""A class of credentials, or several of which any will do, as for `isinstance`."""


def of_kind(credential: Credential, kind: Kind[C]) -> C:
    """Return a credential that must be of a class, as that class.

    Raises:
        ConfigurationError: It is of another class.
        TypeError: `kind` is something else.
    """
    kinds: tuple[object, ...] = kind if isinstance(kind, tuple) else (kind,)
    classes = [each for each in kinds if isinstance(each, type)]
    if not classes or len(classes) < len(kinds):
        raise TypeError("kind must be a class of credentials, or a tuple of such classes with at least one")
    if isinstance(credential, kind):
        return credential
    raise ConfigurationError(
        f"the credential is of class {type(credential).__name__}, and"
        f" {' or '.join(each.__name__ for each in classes)} was asked for",
        hint="Name a profile whose provider issues that class, or ask for this one",
        code="wrong-credential-kind",
    )


class GetOptions(TypedDict, total=False):
    """The optional arguments of `freshkey.Keeper.get`, which documents them."""

    min_ttl: float
    refused: Credential | None
    account: str | None


class CredentialSource(Protocol):
    """Where an adapter for an HTTP client or vendor SDK gets credentials, such as a `freshkey.Keeper`."""

    def get(self, profile: str | None = None, *, min_ttl: float = 0.0, refused: Credential | None = None) -> Credential:
        """Return a usable credential; see `freshkey.Keeper.get`."""

    async def aget(
        self, profile: str | None = None, *, min_ttl: float = 0.0, refused: Credential | None = None
    ) -> Credential:
        """Like `get`, for asyncio; see `freshkey.Keeper.aget`."""
