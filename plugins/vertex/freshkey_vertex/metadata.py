"""The identity of a Google Cloud machine, used only if settings or environment indicate that this is one.

google-auth takes twelve seconds to find out that there is no metadata server. Here, settings and environment variables
decide whether there may be one, which costs nothing; then it is contacted once, with a timeout of one second.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from freshkey.errors import ProviderRefused, TransientError, found_here
from freshkey.plugin import Detected, Profile, Response, shown_url
from freshkey_vertex.credentials_file import UNIVERSE_DOMAIN
from freshkey_vertex.errors import INPUT_ERRORS
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.identity import shown_text
from freshkey_vertex.project import resolve_project
from freshkey_vertex.settings import VertexSettings, uses_adc
from freshkey_vertex.transport import DEADLINE, Transport, build_transport


SOURCE: Final = "metadata"

METADATA_TIMEOUT: Final = 1.0
"""Seconds in which a metadata server must respond for the first time."""

REFRESH_LEAD: Final = 225.0
"""Seconds before it expires at which a token is renewed: until five minutes before that, the server returns the old
token, and google-auth waits that long too."""

VARIABLES: Final = ("GCE_METADATA_HOST", "GCE_METADATA_ROOT", "K_SERVICE", "CLOUD_RUN_JOB", "GAE_SERVICE")
"""Variables that indicate Google Cloud: the first two contain the server's address, the others are set by Cloud Run and
App Engine ("Container runtime contract", "App Engine environment variables")."""

_DEFAULT_HOSTS: Final = frozenset({"metadata.google.internal", "169.254.169.254"})

_answered: set[str] = set()
"""Metadata servers that responded before: these get more than `METADATA_TIMEOUT`."""


def detect(profile: Profile) -> Detected | None:
    """Report a metadata server that settings or environment indicate, without contacting it."""
    indication = _indication(profile, os.environ) if uses_adc(profile, SOURCE) else None
    return Detected(kind="machine identity", origin=f"metadata server ({indication})") if indication else None


def acquire(profile: Profile) -> GoogleCredential:
    """Return a new token of this machine's service account.

    Raises:
        TransientError: No metadata server responds, or not yet.
        OutcomeUnknown, ProviderRefused: See `fetch_token`.
        ConfigurationError: No project is configured, and the server provides none.
    """
    from google.auth import compute_engine

    from freshkey_vertex.fetch_token import Principal, fetch_token

    account, project = _account_and_project(profile)
    principal = Principal(
        # Without this, it would request the universe domain with its own transport, and wait for minutes.
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
    return fetch_token(principal, _transport(profile), resolved, profile)


def _account_and_project(profile: Profile) -> tuple[str, str | None]:
    """Return the account and the project of this machine; without a server, each try takes a second at most."""
    from google.auth.compute_engine import _metadata
    from google.auth.exceptions import GoogleAuthError

    server = str(_metadata._GCE_METADATA_HOST)  # noqa: SLF001  the server that google-auth will use, as read at import
    known = server in _answered
    transport = _transport(profile, timeout=DEADLINE if known else METADATA_TIMEOUT)
    info: Any = None
    project: Any = None
    try:
        info = _metadata.get_service_account_info(transport)
        project = _metadata.get_project_id(transport)
    except TransientError:
        if known or _is_google(transport.last):
            raise
    except (GoogleAuthError, *INPUT_ERRORS):
        project = None  # not 200: one of the two is missing, or the response is invalid
    if not _is_google(transport.last):
        raise _no_server(server)
    _answered.add(server)
    account = shown_text(info.get("email")) if isinstance(info, Mapping) else None
    if account is None:
        message = "this machine has no service account, according to the metadata server"
        hint = 'Attach one to the machine, or add skip = ["metadata"] to the profile'
        raise found_here(ProviderRefused(message, profile=profile.name, hint=hint, code="vertex-no-service-account"))
    return account, project if isinstance(project, str) else None


def _is_google(answer: Response | None) -> bool:
    """Return whether the response is from a metadata server and not from a captive portal or proxy."""
    return answer is not None and answer.headers.get("metadata-flavor") == "Google"


def _transport(profile: Profile, *, timeout: float = DEADLINE) -> Transport:
    from google.auth.compute_engine import _metadata

    server = _host(str(_metadata._GCE_METADATA_HOST))  # noqa: SLF001  as above
    return build_transport(profile, plain_hosts={*_DEFAULT_HOSTS, server}, plain_deadline=timeout)


def _host(server: str) -> str:
    """Return the host of a server address; an invalid address has none, and no server is contacted."""
    try:
        return urlsplit(f"//{server}").hostname or ""
    except ValueError:
        return ""


def _no_server(server: str) -> TransientError:
    """Return the error for a server that does not respond, or responds as something else.

    Settings or environment say that it is there, so it may only not have started yet, as in a new container.
    """
    return TransientError(
        f"no metadata server responds at {shown_url(server) or 'the host that GCE_METADATA_HOST names'}",
        local=True,
        starting=True,
        hint='If this machine is not on Google Cloud, add skip = ["metadata"] to the profile',
        code="vertex-metadata-server-unavailable",
    )


def _indication(profile: Profile, environ: Mapping[str, str]) -> str | None:
    """Return the setting or variable that indicates a metadata server, or None."""
    setting = profile.settings_as(VertexSettings).on_google_cloud
    if setting is not None:
        return "setting on_google_cloud" if setting else None
    if environ.get("NO_GCE_CHECK", "").lower() == "true":
        return None
    # See docs/decisions.md, "A metadata server is used only where one is indicated".
    name = next((name for name in VARIABLES if environ.get(name)), None)
    return f"environment variable {name}" if name else None
