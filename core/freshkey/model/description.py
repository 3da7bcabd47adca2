"""What a provider says of itself, and of one credential."""

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
    """What a provider is; the answer of ``describe`` without a credential.

    Attributes:
        title: What a person reads.
        settings: The attrs class of its settings in a profile table; every field needs a default. A setting that is a
            command is a `freshkey.plugin.Command`, which a project's file may set once it is trusted. Of all others
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
    """Whether the provider still honors a credential."""

    VALID = "valid"
    EXPIRED = "expired"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    UNCHECKABLE = "cannot be checked"


@frozen(kw_only=True)
class Inspection:
    """What a provider says of one credential; the answer of ``describe`` with a credential.

    Attributes:
        validity: Whether it is still honored.
        identity: Whose it is, where that could be learnt.
        detail: One sentence for a person.
    """

    validity: Validity
    identity: Identity | None = None
    detail: str = ""
