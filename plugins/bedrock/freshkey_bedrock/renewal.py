"""Renews what freshkey itself obtained; everything else is taken anew from where it came from."""

from __future__ import annotations

from freshkey.errors import LoginRequired
from freshkey.model import Credential, Profile, Reporter


def renew(profile: Profile, credential: Credential, report: Reporter) -> Credential:  # noqa: ARG001  the hook's arguments
    """Return a newer credential.

    Raises:
        LoginRequired: Nothing came along to renew it with.
    """
    raise LoginRequired(
        "this credential cannot be renewed: nothing came along to renew it with",
        profile=profile.name,
        hint=f"Replace it where it came from, or run: freshkey login {profile.name}",
    )
