"""The identity that Google Cloud gives to its machines, asked only where settings or environment say that this is one.

google-auth tries for twelve seconds to find a metadata server that is not there. Here it is looked for in the settings
and in the environment, which costs nothing, and then asked once, for a second.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from freshkey.errors import LoginRequired, ProviderRefused, TransientError, sign_in_command
from freshkey.plugin import Clock, Detected, Profile, Response
from freshkey_vertex.adc import CREDENTIALS_VARIABLE
from freshkey_vertex.credentials_file import UNIVERSE_DOMAIN
from freshkey_vertex.errors import INPUT_ERRORS
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.identity import shown_text
from freshkey_vertex.project import resolve_project
from freshkey_vertex.settings import VertexSettings, uses_adc
from freshkey_vertex.transport import DEADLINE, Transport, build_transport


SOURCE: Final = "metadata"

METADATA_TIMEOUT: Final = 1.0
"""Seconds in which a metadata server says that it is there."""

REFRESH_LEAD: Final = 225.0
"""Seconds before the end at which a token is renewed: the server hands out the old one until five minutes before, and
google-auth waits until then as well."""

VARIABLES: Final = ("GCE_METADATA_HOST", "GCE_METADATA_ROOT", "K_SERVICE", "CLOUD_RUN_JOB", "GAE_SERVICE")
"""What says that this is Google Cloud: the first two name the server, the others are set by Cloud Run and App Engine
("Container runtime contract", "App Engine environment variables")."""

_DEFAULT_HOSTS: Final = frozenset({"metadata.google.internal", "169.254.169.254"})

_answered: set[str] = set()
"""Metadata servers that answered this process before: silence of one of those passes, that of another means no such."""


def detect(profile: Profile) -> Detected | None:
    """Say whether settings or environment claim that there is a metadata server; it is not asked."""
    indication = _indication(profile, os.environ) if uses_adc(profile, SOURCE) else None
    return Detected(kind="identity of this machine", origin=f"metadata server ({indication})") if indication else None


def acquire(profile: Profile, *, clock: Clock) -> GoogleCredential:
    """Return a new token of this machine's service account.

    Raises:
        LoginRequired: There is no metadata server.
        TransientError: It does not answer, though it did before.
        OutcomeUnknown, ProviderRefused: As `fetch_token` does.
        ConfigurationError: No project is named, and the server does not tell.
    """
    from google.auth import compute_engine

    from freshkey_vertex.fetch_token import Principal, fetch_token

    account, project = _account_and_project(profile, clock)
    principal = Principal(
        # Left to itself it would ask for the universe with a transport of its own, and wait for minutes.
        credentials=compute_engine.Credentials(
            scopes=list(profile.settings_as(VertexSettings).scopes), universe_domain=UNIVERSE_DOMAIN
        ),
        kind="service account",
        display_name=f"this machine's service account {account}",
        account=account,
        sign_in_hint="Check the service account of this machine",
        lead=REFRESH_LEAD,
    )
    resolved = resolve_project(profile, os.environ, project=project)
    return fetch_token(principal, _transport(profile, clock), resolved, profile, clock=clock)


def _account_and_project(profile: Profile, clock: Clock) -> tuple[str, str | None]:
    """Return the account and the project of this machine; a server that is not there is found out within a second."""
    from google.auth.compute_engine import _metadata
    from google.auth.exceptions import GoogleAuthError

    server = str(_metadata._GCE_METADATA_HOST)  # noqa: SLF001  where google-auth will ask, as it read it at import
    known = server in _answered
    transport = _transport(profile, clock, timeout=DEADLINE if known else METADATA_TIMEOUT)
    info: Any = None
    project: Any = None
    try:
        info = _metadata.get_service_account_info(transport)
        project = _metadata.get_project_id(transport)
    except TransientError:
        if known or _is_google(transport.last):
            raise
    except (GoogleAuthError, *INPUT_ERRORS):
        project = None  # another answer than 200: one of the two is not known there, or it makes no sense
    if not _is_google(transport.last):
        raise _no_server(profile, server)
    _answered.add(server)
    account = shown_text(info.get("email")) if isinstance(info, Mapping) else None
    if account is None:
        message = "the metadata server knows no service account of this machine"
        raise ProviderRefused(message, profile=profile.name, hint="Attach one to it, or skip the source metadata")
    return account, project if isinstance(project, str) else None


def _is_google(answer: Response | None) -> bool:
    """Whether a metadata server answered; a captive portal or a proxy would, too."""
    return answer is not None and answer.headers.get("metadata-flavor") == "Google"


def _transport(profile: Profile, clock: Clock, *, timeout: float = DEADLINE) -> Transport:
    from google.auth.compute_engine import _metadata

    server = _host(str(_metadata._GCE_METADATA_HOST))  # noqa: SLF001  as above
    return build_transport(profile, clock=clock, plain_hosts={*_DEFAULT_HOSTS, server}, plain_deadline=timeout)


def _host(server: str) -> str:
    """Return the host in what names a server; of something that is no address, none, and no server is asked."""
    try:
        return urlsplit(f"//{server}").hostname or ""
    except ValueError:
        return ""


def _no_server(profile: Profile, server: str) -> LoginRequired:
    return LoginRequired(
        f"no metadata server answers at {server}, so this is not Google Cloud, and there are no other credentials",
        profile=profile.name,
        hint=f"Set {CREDENTIALS_VARIABLE}, or sign in with gcloud or {sign_in_command(profile.name)}",
    )


def _indication(profile: Profile, environ: Mapping[str, str]) -> str | None:
    """Return what says that there is a metadata server, or None."""
    setting = profile.settings_as(VertexSettings).on_google_cloud
    if setting is not None:
        return "setting on_google_cloud" if setting else None
    if environ.get("NO_GCE_CHECK", "").lower() == "true":
        return None
    name = next((name for name in VARIABLES if environ.get(name)), None)
    return f"environment variable {name}" if name else None
