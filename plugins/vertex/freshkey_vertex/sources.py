"""The sources of Google credentials, in order of precedence, and how to get a credential from each."""

from __future__ import annotations

import functools
from typing import Final

from attrs import evolve

from freshkey.plugin import SYSTEM, Clock, Credential, Interaction, Profile, Source
from freshkey_vertex import adc, env_token, metadata


_HANDED_IN: Final = {one.id: one for one in (env_token.GCLOUD_TOKEN, env_token.OAUTH_TOKEN)}


def _token(one: env_token.EnvironmentVariable) -> Source:
    return Source(id=one.id, title=one.title, owned=False, handed_in=True, detect=one.detect)


def _file(source_id: str, title: str, *, handed_in: bool) -> Source:
    detect = functools.partial(adc.detect, source_id)
    return Source(id=source_id, title=title, owned=False, handed_in=handed_in, detect=detect)


# First what was provided for this process or configured in the profile, then what google-auth would find, in its order;
# a profile with its own OAuth client skips those (`uses_adc`). The store comes last, because containers have no
# readable store.
SOURCES: Final = (
    *(_token(one) for one in _HANDED_IN.values()),
    _file(adc.PROFILE_FILE, "credentials file set in credentials_file", handed_in=True),
    _file(adc.NAMED_FILE, "Application Default Credentials in GOOGLE_APPLICATION_CREDENTIALS", handed_in=True),
    _file(adc.GCLOUD_FILE, "Application Default Credentials from gcloud", handed_in=False),
    # Used only if the environment or the profile indicates that there is a metadata server.
    Source(
        id=metadata.SOURCE,
        title="machine identity from the metadata server",
        owned=False,
        handed_in=True,
        detect=metadata.detect,
    ),
    Source(id="oauth", title="OAuth sign-in", owned=True, interactive=True),
)


def acquire(profile: Profile, source: Source, interaction: Interaction, *, clock: Clock = SYSTEM) -> Credential:
    """Get a credential from one of `SOURCES`."""
    return evolve(_acquire(profile, source.id, interaction, clock), source=source.id)


def _acquire(profile: Profile, source_id: str, interaction: Interaction, clock: Clock) -> Credential:
    from freshkey_vertex.signin import sign_in

    if source_id in _HANDED_IN:
        return _HANDED_IN[source_id].acquire(profile, clock=clock)
    if source_id == metadata.SOURCE:
        return metadata.acquire(profile, clock=clock)
    if source_id in {adc.PROFILE_FILE, adc.NAMED_FILE, adc.GCLOUD_FILE}:
        return adc.acquire(profile, source_id, interaction, clock=clock)
    return sign_in(profile, interaction, clock=clock)
