"""The sources of Google credentials, in order of precedence, and how to get a credential from each."""

from __future__ import annotations

import functools
from typing import Final

from attrs import evolve

from freshkey.plugin import Credential, Interaction, Profile, Source, unused_settings
from freshkey_vertex import adc, env_token, metadata
from freshkey_vertex.settings import VertexSettings, sign_in_setup


_HANDED_IN: Final = {one.id: one for one in (env_token.GCLOUD_TOKEN, env_token.OAUTH_TOKEN)}


def _token(one: env_token.EnvironmentVariable) -> Source:
    return Source(id=one.id, title=one.title, owned=False, handed_in=True, detect=one.detect)


def _file(source_id: str, title: str, *, handed_in: bool) -> Source:
    detect = functools.partial(adc.detect, source_id)
    return Source(id=source_id, title=title, owned=False, handed_in=handed_in, detect=detect)


# First what was provided for this process or configured in the profile, then what google-auth would find, in its order;
# a profile with its own OAuth client skips those (`uses_adc`). The store comes last, because where it is locked, the
# search ends there.
_SOURCES: Final = (
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
    Source(id="oauth", title="OAuth sign-in", owned=True, interactive=True, setup=sign_in_setup),
)

_OAUTH: Final = frozenset({"oauth"})
USED_BY: Final = {
    "credentials_file": frozenset({adc.PROFILE_FILE}),
    "auth_refresh": frozenset({adc.PROFILE_FILE, adc.NAMED_FILE, adc.GCLOUD_FILE}),
    "on_google_cloud": frozenset({metadata.SOURCE}),
    "client_id": _OAUTH,
    "client_secret": _OAUTH,
    "authorize_parameters": _OAUTH,
    "redirect_host": _OAUTH,
    "redirect_path": _OAUTH,
    "authorize_url": _OAUTH,
    "revoke_url": _OAUTH,
}
"""Settings that only some sources use; `freshkey explain` names those that the chosen source ignores."""

_WITHOUT_IMPERSONATION: Final = {
    "scopes": frozenset(one.id for one in _SOURCES) - _HANDED_IN.keys(),
    "impersonate_delegates": frozenset[str](),
    "impersonate_lifetime": frozenset[str](),
}
"""The same for a profile that does not set `impersonate`."""


def _unused(profile: Profile, source_id: str) -> tuple[str, ...]:
    more = {} if profile.settings_as(VertexSettings).impersonate else _WITHOUT_IMPERSONATION
    return unused_settings(profile, source_id, USED_BY | more)


SOURCES: Final = tuple(
    evolve(
        one,
        ignores=functools.partial(_unused, source_id=one.id),
        chosen_by=("credentials_file",) if one.id == adc.PROFILE_FILE else (),
    )
    for one in _SOURCES
)


def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential:
    """Get a credential from one of `SOURCES`."""
    return evolve(_acquire(profile, source.id, interaction), source=source.id)


def _acquire(profile: Profile, source_id: str, interaction: Interaction) -> Credential:
    from freshkey_vertex.signin import sign_in

    if source_id in _HANDED_IN:
        return _HANDED_IN[source_id].acquire(profile)
    if source_id == metadata.SOURCE:
        return metadata.acquire(profile)
    if source_id in {adc.PROFILE_FILE, adc.NAMED_FILE, adc.GCLOUD_FILE}:
        return adc.acquire(profile, source_id, interaction)
    return sign_in(profile, interaction)
