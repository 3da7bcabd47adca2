"""The words of freshkey as values: profiles, sources, credentials, and the protocols that rooms share.

Everything here is frozen; a renewal makes a new value. Nothing here does I/O.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

from attrs import Factory, asdict, evolve, field, frozen

from freshkey import schedule
from freshkey.clock import SYSTEM, Clock, Moment
from freshkey.errors import ConfigurationError, CredentialExpired
from freshkey.secret import Secret


if TYPE_CHECKING:
    import threading
    from contextlib import AbstractContextManager
    from pathlib import Path

S = TypeVar("S")


# --- who asks, and for what --------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Profile:
    """A named use of a provider with its settings.

    Attributes:
        name: What people call it.
        provider: Id of the provider, as in its entry point.
        settings: An instance of the provider's settings class (`Description.settings`).
        state_dir: Where this keeper keeps locks and hints; another directory is another sign-in.
        store: Name of the store that configuration chose; None leaves it to the provider and the core.
        store_settings: The table of that store in configuration.
        source: Id of the only source to use; None walks the provider's sources in order.
        skip: Ids of sources not to use.
        bare: Only what is handed in is used (`Source.handed_in`); nothing is stored, nobody is asked.
        lead: Seconds before expiry at which to renew; None leaves it to the credential and the provider.
    """

    name: str
    provider: str
    settings: object
    state_dir: Path
    store: str | None = None
    store_settings: Mapping[str, object] = Factory(dict)
    source: str | None = None
    skip: tuple[str, ...] = ()
    bare: bool = False
    lead: float | None = None

    def settings_as(self, kind: type[S]) -> S:
        """Return the settings, typed for the provider that owns them.

        Raises:
            ConfigurationError: They are those of another provider.
        """
        if not isinstance(self.settings, kind):
            message = f"the settings are not those of provider {self.provider!r}"
            raise ConfigurationError(message, profile=self.name)
        return self.settings


@frozen(kw_only=True)
class Identity:
    """Whose credential it is, as far as the provider tells; display text, never a reason to trust.

    Attributes:
        account: Stable id of the account or user.
        email: The account's address.
        organization: Stable id of the organisation, tenant or cloud account.
        organization_name: Its name.
        plan: What was bought, such as ``max``.
        rate_limit_tier: The provider's word for the limits that apply.
        arn: Amazon resource name.
        project: Google Cloud project.
    """

    account: str | None = None
    email: str | None = None
    organization: str | None = None
    organization_name: str | None = None
    plan: str | None = None
    rate_limit_tier: str | None = None
    arn: str | None = None
    project: str | None = None

    def completed_by(self, earlier: Identity) -> Identity:
        """Return this identity, its gaps filled from an earlier one of the same account and organisation."""
        same = all(
            getattr(self, name) in (None, getattr(earlier, name)) or getattr(earlier, name) is None
            for name in ("account", "organization")
        )
        if not same:
            return self
        gaps = {name: value for name, value in asdict(earlier).items() if getattr(self, name) is None}
        return evolve(self, **gaps)

    @property
    def label(self) -> str | None:
        """The most readable name there is."""
        return self.email or self.arn or self.account or self.organization_name or self.project


# --- credentials --------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Credential(abc.ABC):
    """What authorises a request, until when, and what renews it. Each format is a subclass.

    A subclass adds its fields and overrides the underscored methods; those are only called while the credential
    is not expired.

    Attributes:
        obtained: Both clocks at the moment the provider's answer was received.
        lifetime: Seconds the provider gave it; None where it has no known end.
        lead: Seconds before the end at which it is renewed; None means `schedule.default_lead`.
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
    identity: Identity = Identity()
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
        early = schedule.effective_lead(self.lifetime, self.lead)
        return datetime.fromtimestamp(self.obtained.wall + self.lifetime - early, UTC)

    @property
    def renewable(self) -> bool:
        """Whether the provider's ``refresh`` hook can renew it without a person."""
        return False

    @property
    def token(self) -> Secret | None:
        """The one string that authorises, where the format has one: what ``freshkey token`` prints."""
        return None

    @property
    def renewal_secret(self) -> Secret | None:
        """The secret that is spent by a renewal (a refresh token), where there is one."""
        return None

    @property
    def binding(self) -> Mapping[str, str]:
        """Where it belongs (issuer, token endpoint, client id): it is never sent anywhere else."""
        return {}

    def authorises_like(self, other: Credential) -> bool:
        """Whether both authorise by the same secret, so that a refusal of one is a refusal of the other."""
        if self.token is not None and other.token is not None:
            return self.token == other.token
        return self == other

    def expired(self) -> bool:
        """Whether its end has passed, by whichever clock says so first."""
        return schedule.seconds_left(self.obtained, self.lifetime, self.clock.now()) <= 0

    def headers(self, method: str = "GET", url: str = "", body: bytes = b"") -> dict[str, str]:
        """Return the headers that authorise one request.

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
        """Return the variables that authorise a child process; never a refresh token.

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
        if schedule.surely_expired(self.obtained, self.lifetime, self.clock.now()):
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
    """A key without an end that authorises by itself.

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


# --- what a provider says of itself -------------------------------------------------------------------------------


@frozen(kw_only=True)
class Sighting:
    """What a look at a source found, without its value.

    Attributes:
        kind: What it is, such as ``API key``.
        origin: Where it is, such as ``environment variable EXAMPLE_API_KEY``.
        expires_at: Its end, aware UTC, where it can be seen.
        last_four: Its last four characters at the most.
        fingerprint: Recognises the value when it is seen again (`Secret.fingerprint`); for sources that need consent.
    """

    kind: str
    origin: str
    expires_at: datetime | None = None
    last_four: str | None = None
    fingerprint: str | None = field(default=None, repr=False)


def _nothing_to_see(profile: Profile) -> Sighting | None:  # noqa: ARG001  the signature is Source.look's
    return None


@frozen(kw_only=True)
class Source:
    """One place from which a provider can take a credential.

    Attributes:
        id: Short name, as a profile's ``source`` gives it.
        title: What a person reads.
        owned: freshkey obtains and keeps it; otherwise it is another tool's, and is kept nowhere.
        interactive: Getting one needs a person.
        pasted: The person hands in a secret that exists already: what ``freshkey login --api-key`` asks for. Such a
            source is owned and interactive.
        handed_in: What is there was handed in by whoever started this process: by argument, environment variable,
            file descriptor or helper command. Bare mode uses nothing else.
        needs_consent: It may be there without the person's knowing. Where somebody is signed in as well, an interactive
            session asks once before it is used; its look gives a `Sighting.fingerprint`.
        look: Says what is there; offline, quick, never the value. An owned source needs none: the core looks into
            the store.
    """

    id: str
    title: str
    owned: bool
    interactive: bool = False
    pasted: bool = False
    handed_in: bool = False
    needs_consent: bool = False
    look: Callable[[Profile], Sighting | None] = _nothing_to_see


@frozen(kw_only=True)
class Description:
    """What a provider is; the answer of ``describe`` without a credential.

    Attributes:
        title: What a person reads.
        settings: The attrs class of its settings in a profile table; every field needs a default. A setting that is a
            command is a `freshkey.command.Command`, which a project's file may set once it is trusted. Of all others
            a project may set those with ``metadata={"project": True}``: only such as send a credential nowhere else
            and change none that is stored.
        formats: Tag to credential class: what the codec may read from a store. A tag never changes its meaning.
        sources: Where credentials can come from, in order of precedence.
        lead: Seconds before expiry at which to renew, where the default does not fit.
        single_use: Its refresh tokens are spent by one use, so a renewal writes an intent first.
        hosts: Hosts it may call with the given profile.
        binding: What the given profile says of issuer, token endpoint and client id. A stored credential whose own
            `Credential.binding` differs in a name that both have is not used: a person must sign in again.
        variables: Names of the environment variables that clients of this provider read, to choose or find a
            credential. ``freshkey exec`` takes inherited ones away from the child.
        exports: Format name to a function that writes a credential for another tool.
        revoke: Ends an owned credential at the provider (RFC 7009); raises one of the contract's errors if that
            cannot be confirmed. None where the provider cannot revoke.
    """

    title: str
    settings: type
    formats: Mapping[str, type[Credential]]
    sources: tuple[Source, ...]
    lead: float | None = None
    single_use: bool = False
    hosts: tuple[str, ...] = ()
    binding: Mapping[str, str] = Factory(dict)
    variables: tuple[str, ...] = ()
    exports: Mapping[str, Callable[[Credential], str]] = Factory(dict)
    revoke: Callable[[Profile, Credential], None] | None = None

    def source(self, source_id: str) -> Source | None:
        """Return the source of that id."""
        return next((source for source in self.sources if source.id == source_id), None)


class Validity(enum.Enum):
    """Whether the provider still honours a credential."""

    VALID = "valid"
    EXPIRED = "expired"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    UNCHECKABLE = "cannot be checked"


@frozen(kw_only=True)
class Inspection:
    """What a provider says of one credential; the answer of ``describe`` with a credential.

    Attributes:
        validity: Whether it is still honoured.
        identity: Whose it is, where that could be learnt.
        detail: One sentence for a person.
    """

    validity: Validity
    identity: Identity | None = None
    detail: str = ""


# --- talking to a person ------------------------------------------------------------------------------------------


class Reporter(Protocol):
    """Tells a person what happens; never asks."""

    def progress(self, message: str) -> None:
        """Say what is being done now."""

    def line(self, text: str) -> None:
        """Pass on one line that a helper program printed."""

    def notice(self, message: str) -> None:
        """Say something the person should know."""


class Interaction(Reporter, Protocol):
    """A person who can be asked; the one of a non-interactive session raises `LoginRequired` instead."""

    def confirm(self, question: str) -> bool:
        """Ask a question that is answered with yes or no; anything but a clear yes is a no.

        Raises:
            LoginRequired: There is nobody to ask.
        """

    def open_url(self, url: str) -> None:
        """Show a URL to the person, in a browser where that is possible.

        Raises:
            LoginRequired: There is nobody to show it to.
        """

    def read_code(self, prompt: str, given_up: threading.Event) -> Secret | None:
        """Read a pasted line without echo, 4 KiB at the most.

        Args:
            prompt: What to ask for.
            given_up: Set by the caller when the answer is no longer needed; None is returned soon after.

        Raises:
            LoginRequired: There is nobody to ask.
        """

    def show_device_code(self, user_code: str, verification_uri: str, complete_uri: str | None) -> None:
        """Show the code that the person types on another device (RFC 8628, section 3.3).

        Raises:
            LoginRequired: There is nobody to show it to.
        """


# --- keeping credentials ------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Record:
    """What a store holds of a profile.

    Attributes:
        generation: Grows by one with each record, also across a sign-out.
        payload: The encoded credential (`stores.record.Codec`); None is a tombstone: signed out.
        written_at: Seconds since 1970-01-01T00:00:00Z by the wall clock of the writer.
    """

    generation: int
    payload: Secret | None
    written_at: float


@frozen(kw_only=True)
class Intent:
    """The note that a refresh token is about to be spent; no secret in it.

    Attributes:
        generation: The generation that the result will be.
        token_hash: Keyed hash of the refresh token, to recognise it again.
        noted: Both clocks when it was written.
        pid: The process that wrote it.
        attempts: How often the token may have been sent since, this one included.
    """

    generation: int
    token_hash: str
    noted: Moment
    pid: int
    attempts: int = 1


@frozen(kw_only=True)
class Snapshot:
    """One reading of a store.

    Attributes:
        record: The highest complete record, or None if there never was one.
        intent: An intent whose result was never saved, or None.
        damaged: A newer record exists but is incomplete or corrupt, so `record` was fallen back to.
    """

    record: Record | None = None
    intent: Intent | None = None
    damaged: bool = False

    @property
    def generation(self) -> int:
        """The generation of the record, 0 if there is none."""
        return self.record.generation if self.record else 0


class CredentialSource(Protocol):
    """Where a bridge to a vendor's SDK gets credentials from; `freshkey.Keeper` is one."""

    def get(self, profile: str | None = None, *, min_ttl: float = 0.0, refused: Credential | None = None) -> Credential:
        """Return a usable credential; see `freshkey.Keeper.get`."""


class CredentialStore(Protocol):
    """Where the owned credential of one profile is kept between processes; every call may take seconds.

    Each method raises `StoreUnavailable` when the store is locked, missing, full or does not answer, and
    `RecordUnreadable` when what it holds cannot be read by this version. `freshkey.testing.StoreContract` checks
    all of this for any implementation.
    """

    kind: str
    """What a person reads: ``keyring``, ``file``, …"""

    def lock(self, timeout: float) -> AbstractContextManager[None]:
        """Exclude every other process and thread that renews this profile.

        Args:
            timeout: Seconds to wait at the most.

        Raises:
            StoreBusy: Somebody else holds it; the message names the process where it is known.
        """

    def probe(self) -> None:
        """Prove, by writing, reading back and deleting something, that a credential could be kept."""

    def load(self) -> Snapshot:
        """Read the highest complete record. Needs no lock."""

    def intend(self, intent: Intent) -> None:
        """Under the lock: write an intent where the result will go, and read it back."""

    def save(self, record: Record) -> None:
        """Under the lock: make `record` the newest, and read it back. Resolves the intent of its generation.

        A tombstone also removes what was kept before. Saving the newest record again is no conflict if it is identical:
        an attempt that failed, or was given up at its deadline, may have written it, and is repeated.

        Raises:
            GenerationConflict: The store holds a generation that is not older; nothing was written.
        """

    def withdraw(self, intent: Intent) -> None:
        """Under the lock: remove an intent whose token was certainly not spent, or certainly refused."""
