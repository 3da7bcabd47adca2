"""The identity that Google Cloud gives to its machines, asked only where somebody says that this is one of them.

google-auth tries for twelve seconds to find a metadata server that is not there. Here it is looked for in the settings
and in the environment, which costs nothing, and then asked once, for a second.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from freshkey.errors import LoginRequired, ProviderRefused, TransientError
from freshkey.plugin import Clock, Detected, Profile, Response
from freshkey_vertex.failures import STUMBLES
from freshkey_vertex.files import CREDENTIALS_VARIABLE, UNIVERSE
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.hosts import transport
from freshkey_vertex.identity import shown_text
from freshkey_vertex.places import places
from freshkey_vertex.settings import VertexSettings, leaves_it_to_others
from freshkey_vertex.transport import DEADLINE, Transport


SOURCE: Final = "metadata"

METADATA_TIMEOUT: Final = 1.0
"""Seconds in which a metadata server says that it is there."""

LEAD: Final = 225.0
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
    says = _says(profile, os.environ) if leaves_it_to_others(profile, SOURCE) else None
    return Detected(kind="identity of this machine", origin=f"metadata server ({says})") if says else None


def take(profile: Profile, *, clock: Clock) -> GoogleCredential:
    """Return a new token of this machine's service account.

    Raises:
        LoginRequired: There is no metadata server.
        TransientError: It does not answer, though it did before.
        OutcomeUnknown, ProviderRefused: As `fetching.fetch` does.
        ConfigurationError: No project is named, and the server does not tell.
    """
    from google.auth import compute_engine

    from freshkey_vertex.fetching import Identification, fetch

    account, project = _machine(profile, clock)
    identification = Identification(
        # Left to itself it would ask for the universe with a transport of its own, and wait for minutes.
        credentials=compute_engine.Credentials(
            scopes=list(profile.settings_as(VertexSettings).scopes), universe_domain=UNIVERSE
        ),
        kind="service account",
        whose=f"this machine's service account {account}",
        account=account,
        sign_in="Check the service account of this machine",
        lead=LEAD,
    )
    there = places(profile, os.environ, project=project)
    return fetch(identification, _transport(profile, clock), there, profile, clock=clock)


def _machine(profile: Profile, clock: Clock) -> tuple[str, str | None]:
    """Return the account and the project of this machine; a server that is not there is found out within a second."""
    from google.auth.compute_engine import _metadata
    from google.auth.exceptions import GoogleAuthError

    server = str(_metadata._GCE_METADATA_HOST)  # noqa: SLF001  where google-auth will ask, as it read it at import
    known = server in _answered
    prober = _transport(profile, clock, patience=DEADLINE if known else METADATA_TIMEOUT)
    info: Any = None
    project: Any = None
    try:
        info = _metadata.get_service_account_info(prober)
        project = _metadata.get_project_id(prober)
    except TransientError:
        if known or _is_google(prober.last):
            raise
    except (GoogleAuthError, *STUMBLES):
        project = None  # another answer than 200: one of the two is not known there, or it makes no sense
    if not _is_google(prober.last):
        raise _nobody_there(profile, server)
    _answered.add(server)
    account = shown_text(info.get("email")) if isinstance(info, Mapping) else None
    if account is None:
        message = "the metadata server knows no service account of this machine"
        raise ProviderRefused(message, profile=profile.name, hint="Attach one to it, or skip the source metadata")
    return account, project if isinstance(project, str) else None


def _is_google(answer: Response | None) -> bool:
    """Whether a metadata server answered; a captive portal or a proxy would, too."""
    return answer is not None and answer.headers.get("metadata-flavor") == "Google"


def _transport(profile: Profile, clock: Clock, *, patience: float = DEADLINE) -> Transport:
    from google.auth.compute_engine import _metadata

    server = _host(str(_metadata._GCE_METADATA_HOST))  # noqa: SLF001  as above
    return transport(profile, clock=clock, plain_hosts={*_DEFAULT_HOSTS, server}, plain_deadline=patience)


def _host(server: str) -> str:
    """Return the host in what names a server; of something that is no address, none, and nobody is asked."""
    try:
        return urlsplit(f"//{server}").hostname or ""
    except ValueError:
        return ""


def _nobody_there(profile: Profile, server: str) -> LoginRequired:
    return LoginRequired(
        f"no metadata server answers at {server}, so this is not Google Cloud, and there are no other credentials",
        profile=profile.name,
        hint=f"Set {CREDENTIALS_VARIABLE}, or sign in with gcloud or freshkey login {profile.name}",
    )


def _says(profile: Profile, environ: Mapping[str, str]) -> str | None:
    """Return what says that there is a metadata server, or None."""
    setting = profile.settings_as(VertexSettings).on_google_cloud
    if setting is not None:
        return "setting on_google_cloud" if setting else None
    if environ.get("NO_GCE_CHECK", "").lower() == "true":
        return None
    name = next((name for name in VARIABLES if environ.get(name)), None)
    return f"environment variable {name}" if name else None
