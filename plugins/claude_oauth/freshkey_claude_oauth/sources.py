"""Where Claude credentials come from, in order of precedence, and how to get one from each source."""

from __future__ import annotations

import functools
from typing import Final

from attrs import evolve

from freshkey.plugin import Credential, Interaction, Profile, Source, unused_settings
from freshkey_claude_oauth import api_key_helper, stored_api_key
from freshkey_claude_oauth.anthropic_cli import source as cli_source
from freshkey_claude_oauth.anthropic_cli.profiles import ACTIVE, NAMED
from freshkey_claude_oauth.env_token import (
    API_KEY,
    API_KEY_FD,
    AUTH_TOKEN,
    OAUTH_TOKEN,
    OAUTH_TOKEN_FD,
    EnvironmentVariable,
    FileDescriptor,
)
from freshkey_claude_oauth.federation import source as federation_source
from freshkey_claude_oauth.settings import sign_in_setup


_HANDED_IN: Final[dict[str, EnvironmentVariable | FileDescriptor]] = {
    one.id: one for one in (AUTH_TOKEN, API_KEY, API_KEY_FD, OAUTH_TOKEN, OAUTH_TOKEN_FD)
}


def _handed_in(one: EnvironmentVariable | FileDescriptor, *, needs_consent: bool = False) -> Source:
    return Source(
        id=one.id,
        title=one.title,
        owned=False,
        handed_in=True,
        needs_consent=needs_consent,
        detect=one.detect,
        chosen_by=(one.setting, one.name) if isinstance(one, FileDescriptor) else (),
    )


def _cli_profile(source_id: str, title: str, *chosen_by: str) -> Source:
    detect = functools.partial(cli_source.detect, source_id)
    return Source(id=source_id, title=title, owned=False, detect=detect, chosen_by=chosen_by)


# Claude Code's order; Anthropic's SDKs read the API key first. The difference only matters if both are set.
_SOURCES: Final = (
    _handed_in(AUTH_TOKEN),
    _handed_in(API_KEY, needs_consent=True),
    _handed_in(API_KEY_FD),
    Source(
        id=api_key_helper.SOURCE,
        title="api_key_helper command",
        owned=False,
        handed_in=True,
        detect=api_key_helper.detect,
        chosen_by=("api_key_helper",),
    ),
    _handed_in(OAUTH_TOKEN),
    _handed_in(OAUTH_TOKEN_FD),
    _cli_profile(
        NAMED,
        "Anthropic profile set in anthropic_profile or ANTHROPIC_PROFILE",
        "anthropic_profile",
        "ANTHROPIC_PROFILE",
    ),
    Source(
        id=federation_source.SOURCE,
        title="workload identity federation",
        owned=False,
        handed_in=True,
        detect=federation_source.detect,
        chosen_by=("federation_rule_id", "ANTHROPIC_FEDERATION_RULE_ID"),
    ),
    Source(id=stored_api_key.SOURCE, title="API key stored by freshkey", owned=True, interactive=True, pasted=True),
    Source(id="oauth", title="OAuth sign-in", owned=True, interactive=True, setup=sign_in_setup),
    _cli_profile(ACTIVE, "active Anthropic profile"),
)

_HELPER: Final = frozenset({api_key_helper.SOURCE})
_FEDERATION: Final = frozenset({federation_source.SOURCE})
_OAUTH: Final = frozenset({"oauth"})
_TOKENS: Final = frozenset(one.id for one in _SOURCES) - {
    AUTH_TOKEN.id,
    API_KEY.id,
    API_KEY_FD.id,
    stored_api_key.SOURCE,
}
USED_BY: Final = {
    "api_key_helper": _HELPER,
    "api_key_helper_ttl": _HELPER,
    "api_key_helper_timeout": _HELPER,
    "api_key_helper_gives": _HELPER,
    "api_key_fd": frozenset({API_KEY_FD.id}),
    "oauth_token_fd": frozenset({OAUTH_TOKEN_FD.id}),
    "anthropic_profile": frozenset({NAMED}),
    "federation_rule_id": _FEDERATION,
    "organization_id": _FEDERATION,
    "service_account_id": _FEDERATION,
    "workspace_id": _FEDERATION,
    "identity_token_file": _FEDERATION,
    "client_id": _OAUTH,
    "issuer": _OAUTH,
    "authorize_url": _OAUTH,
    "token_url": _TOKENS,  # also says which server's profile endpoint may get them
    "profile_url": _TOKENS,
    "revoke_url": _OAUTH,
    "device_url": _OAUTH,
    "revoke_replaced": _OAUTH,
    "scopes": _OAUTH,
    "authorize_parameters": _OAUTH,
    "flow": _OAUTH,
    "redirect_host": _OAUTH,
    "redirect_path": _OAUTH,
    "paste_redirect_url": _OAUTH,
    "encoding": _OAUTH,
    "repeats_for": _OAUTH,
}
"""Settings that only some sources use; `freshkey explain` names those that the chosen source ignores."""

SOURCES: Final = tuple(
    evolve(one, ignores=functools.partial(unused_settings, source_id=one.id, used_by=USED_BY)) for one in _SOURCES
)


def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential:
    """Get a credential from one of `SOURCES`."""
    return evolve(_acquire(profile, source.id, interaction), source=source.id)


def _acquire(profile: Profile, source_id: str, interaction: Interaction) -> Credential:
    from freshkey_claude_oauth.signin import sign_in

    if source_id in _HANDED_IN:
        return _HANDED_IN[source_id].acquire(profile, profile.clock.now())
    if source_id == api_key_helper.SOURCE:
        return api_key_helper.acquire(profile, interaction)
    if source_id == federation_source.SOURCE:
        return federation_source.acquire(profile)
    if source_id in {NAMED, ACTIVE}:
        return cli_source.acquire(profile, source_id)
    if source_id == stored_api_key.SOURCE:
        return stored_api_key.acquire(profile, interaction)
    return sign_in(profile, interaction)
