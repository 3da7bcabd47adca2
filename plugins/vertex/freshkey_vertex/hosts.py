"""Which hosts the provider calls, and the transport that calls no others."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from freshkey.plugin import Clock, Profile
from freshkey_vertex.settings import VertexSettings
from freshkey_vertex.transport import DEADLINE, Transport


GOOGLE: Final = frozenset({"oauth2.googleapis.com", "sts.googleapis.com", "iamcredentials.googleapis.com"})
"""What google-auth calls whatever a file says: tokens, exchanges and impersonation."""


def hosts(settings: VertexSettings) -> tuple[str, ...]:
    """Return the hosts that the settings name, sorted."""
    called = (settings.token_url, settings.revoke_url, settings.tokeninfo_url, settings.iam_url)
    return tuple(sorted({urlsplit(url).hostname or "" for url in called} | GOOGLE))


def transport(
    profile: Profile,
    *,
    clock: Clock,
    hosts: Collection[str] = (),
    plain_hosts: Collection[str] = (),
    plain_deadline: float = DEADLINE,
) -> Transport:
    """Return what carries google-auth's requests.

    Args:
        profile: The profile.
        clock: Tells when an answer came.
        hosts: Hosts that a credentials file names.
        plain_hosts: Metadata servers, which speak http.
        plain_deadline: Seconds that one of those has.
    """
    settings = profile.settings_as(VertexSettings)
    return Transport(
        clock=clock,
        hosts={*hosts, *GOOGLE, urlsplit(settings.iam_url).hostname or ""},
        plain_hosts=plain_hosts,
        plain_deadline=plain_deadline,
        allow_insecure_loopback=settings.allow_insecure_loopback,
    )
