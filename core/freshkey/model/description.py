"""A provider's description of itself, and the result of checking a credential."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping

from attrs import Factory, frozen

from freshkey.model.credential import Credential
from freshkey.model.identity import Identity
from freshkey.model.profile import Profile
from freshkey.model.source import Source


@frozen(kw_only=True)
class Description:
    """A provider's description of itself; what ``describe`` returns without a credential.

    Attributes:
        title: Display name.
        settings: The attrs class of its settings in a profile table; every field needs a default. A setting that is a
            command is a `freshkey.plugin.Command`, which a project's file may set once the user trusts it. Of the
            others, a project's file may set those with ``metadata={"project": True}``; mark only settings that neither
            send a credential anywhere else nor change a stored one. One that picks among identities that the user has,
            such as a profile of another tool, is marked ``{"project": "choice"}``, and needs the user's trust.
            A stored sign-in is bound to the value of each setting with a URL: if it changes, the user must sign in
            again. Mark others that decide where a secret travels, such as a region or a tenant, with
            ``metadata={"bound": True}``, and those with a URL to which no secret of a stored credential is ever sent
            with ``metadata={"bound": False}``.
        formats: Credential classes that the codec may read from a store, by tag. A tag never changes its meaning. Each
            is an attrs class, and keeps every secret in a `Secret`; otherwise the provider is refused. A field that is
            only named like a secret, by its last word, is marked with ``metadata={"secret": False}``.
        sources: Where credentials can come from, in order of precedence.
        lead: Seconds before expiry at which to renew; None means the default.
        single_use: Whether a refresh token works only once, so that a renewal writes an intent first.
        repeats_for: Seconds for which its server repeats the answer to a single-use refresh token that it has already
            answered, if the first answer was lost: 0 for a strict server, which ends the sign-in instead. None if
            unknown. See docs/decisions.md, "How often a refresh token is sent again".
        hosts: Names of the hosts that it may call for the given profile, without scheme, port and path, and without
            wildcards: see `freshkey.plugin.host_flaw`. On each of them, every port may be called. A stored sign-in is
            bound to them: if the settings add one later, the user must sign in again.
        binding: Issuer, token endpoint and client ID as configured in the given profile. A stored credential whose
            `Credential.binding` has a different value for any of these is not used: the user must sign in again.
        variables: Names of the environment variables in which clients of this provider look for a credential.
            ``freshkey exec`` removes inherited ones from the child's environment.
        moved_by: Names of the environment variables that move a file or an endpoint that this provider uses, or choose
            an identity; one that ends with ``*`` stands for all that begin so. ``freshkey explain`` names those that
            are set.
        exports: Functions that format a credential of the given profile for another tool, by format name.
        revoke: Revokes an owned credential at the provider (RFC 7009); raises one of the contract's errors if that
            cannot be confirmed, and returns if the credential was over already. None if the provider cannot revoke.
        revokes_alone: Whether other sign-ins of the same account survive a revocation. If not, a sign-in is not revoked
            when another one of the same account replaces it.
    """

    title: str
    settings: type
    formats: Mapping[str, type[Credential]]
    sources: tuple[Source, ...]
    lead: float | None = None
    single_use: bool = False
    repeats_for: float | None = None
    hosts: tuple[str, ...] = ()
    binding: Mapping[str, str] = Factory(dict)
    variables: tuple[str, ...] = ()
    moved_by: tuple[str, ...] = ()
    exports: Mapping[str, Callable[[Profile, Credential], str]] = Factory(dict)
    # Not a hook: the contract has four, and observers need not see this call.
    # See docs/decisions.md, "Revocation is a function in the description, not a fifth hook".
    revoke: Callable[[Profile, Credential], None] | None = None
    revokes_alone: bool = True

    def source(self, source_id: str) -> Source | None:
        """Return the source with that ID, or None."""
        return next((source for source in self.sources if source.id == source_id), None)


class Validity(enum.Enum):
    """Whether the provider still accepts a credential."""

    VALID = "valid"
    """The provider was asked, and accepts it."""

    EXPIRED = "expired"
    """Its lifetime is over: by the clock, without asking, or because the provider says so."""

    REFUSED = "refused"
    """The provider was asked, and does not accept it, however long it has left."""

    UNREACHABLE = "unreachable"
    """The provider was asked, and gave no answer."""

    UNCHECKABLE = "cannot be checked"
    """There is no way to ask the provider, or not without an effect, and it has not expired as far as is known."""


@frozen(kw_only=True)
class Inspection:
    """The result of checking a credential; what ``describe`` returns with a credential.

    Attributes:
        validity: Whether the provider still accepts it.
        identity: The account it belongs to, if the provider reports it.
        detail: A short text for the user: a lower-case fragment without a period.
    """

    validity: Validity
    identity: Identity | None = None
    detail: str = ""
