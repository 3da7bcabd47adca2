"""One place a provider can take a credential from, and what was seen there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from attrs import field, frozen

from freshkey.model.profile import Profile


@frozen(kw_only=True)
class Detected:
    """What a look at a source found, without its value.

    Attributes:
        kind: What it is, such as ``API key``.
        origin: Where it is, such as ``environment variable EXAMPLE_API_KEY``.
        expires_at: Its end, aware UTC, where it can be seen.
        last_four: Its last four characters at the most.
        fingerprint: Recognizes the value when it is seen again (`Secret.fingerprint`); for sources that need consent.
    """

    kind: str
    origin: str
    expires_at: datetime | None = None
    last_four: str | None = None
    fingerprint: str | None = field(default=None, repr=False)


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
            session asks once before it is used; its look gives a `Detected.fingerprint`.
        detect: Says what is there; offline, quick, never the value. An owned source needs none: the core looks into
            the store.
    """

    id: str
    title: str
    owned: bool
    interactive: bool = False
    pasted: bool = False
    handed_in: bool = False
    needs_consent: bool = False
    detect: Callable[[Profile], Detected | None] = lambda _: None
