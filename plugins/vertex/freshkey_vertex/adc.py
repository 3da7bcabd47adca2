"""Credentials files as sources: the profile's own, and the two locations of Application Default Credentials."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from freshkey.errors import LoginRequired
from freshkey.plugin import (
    Command,
    Detected,
    Interaction,
    Profile,
    ensure_unchanged,
    is_attended,
    is_implausible,
    path_flaw,
    run_login_command,
    shown_path,
)
from freshkey_vertex import aws_own, metadata
from freshkey_vertex.command_words import of_google
from freshkey_vertex.credentials_file import LINK_LOCAL_HOSTS, CredentialsFile, Unloadable, read_file, uses_aws
from freshkey_vertex.formats import GoogleCredential, Kind
from freshkey_vertex.identity import shown_text
from freshkey_vertex.project import resolve_project
from freshkey_vertex.settings import VertexSettings, uses_adc
from freshkey_vertex.versions import version_of


if TYPE_CHECKING:
    from freshkey_vertex.fetch_token import Principal

CREDENTIALS_VARIABLE: Final = "GOOGLE_APPLICATION_CREDENTIALS"

_MAX_PATH: Final = 1024

GCLOUD_VARIABLE: Final = "CLOUDSDK_CONFIG"
"""Names gcloud's directory."""

PROFILE_FILE: Final = "credentials-file"
NAMED_FILE: Final = "adc-file"
GCLOUD_FILE: Final = "adc-gcloud"

_HOME: Final = "USERPROFILE" if sys.platform == "win32" else "HOME"

_GCLOUD_COMMAND: Final = "gcloud auth application-default login"

_KINDS: Final[Mapping[str, Kind]] = {
    "authorized_user": "user",
    "external_account_authorized_user": "user",
    "service_account": "service account",
    "external_account": "federated identity",
}


@frozen(kw_only=True)
class FileLocation:
    """Location of a credentials file.

    Attributes:
        path: The file.
        origin: Where it is configured, for display.
    """

    path: Path
    origin: str

    @property
    def shown(self) -> str:
        """The path for display; a value that cannot be one, such as a key pasted into the variable, is not shown."""
        return shown_path(str(self.path)) or "no plausible path"


def locate(source_id: str, profile: Profile, environ: Mapping[str, str]) -> FileLocation | None:
    """Return the location of a source's file; None if none is configured."""
    if source_id == PROFILE_FILE:
        path = profile.settings_as(VertexSettings).credentials_file
        return FileLocation(path=path, origin="setting credentials_file") if path else None
    if source_id == NAMED_FILE:
        named = environ.get(CREDENTIALS_VARIABLE)
        return FileLocation(path=Path(named), origin=f"environment variable {CREDENTIALS_VARIABLE}") if named else None
    gcloud = gcloud_file(environ)
    return FileLocation(path=gcloud, origin="gcloud's Application Default Credentials") if gcloud else None


def gcloud_file(environ: Mapping[str, str]) -> Path | None:
    """Return the file that ``gcloud auth application-default login`` writes (google-auth ``_cloud_sdk.py``).

    None if the user has no home directory, as in a container that runs with only a numeric user ID.
    """
    name = "application_default_credentials.json"
    if chosen := environ.get(GCLOUD_VARIABLE):
        return Path(chosen) / name
    try:
        if sys.platform == "win32":
            # Without APPDATA, Google's tools use the root of the drive, where every user may create folders.
            roaming = environ.get("APPDATA")
            return (Path(roaming) if roaming else Path.home() / "AppData" / "Roaming") / "gcloud" / name
        return Path.home() / ".config" / "gcloud" / name
    except RuntimeError:
        return None


def detect(source_id: str, profile: Profile) -> Detected | None:
    """Report the file, if there is one. A configured file counts even if it is unusable: nothing else replaces it."""
    found = locate(source_id, profile, os.environ)
    if found is None or (source_id != PROFILE_FILE and not uses_adc(profile, source_id)):
        return None
    version = version_of(found.path, os.environ)
    if source_id == GCLOUD_FILE and not _is_file(found.path):
        if _flaw_of_gcloud(os.environ) and metadata.detect(profile) is None:  # else there is another credential
            return Detected(kind="credentials file", origin=f"environment variable {GCLOUD_VARIABLE}", version=version)
        command = profile.settings_as(VertexSettings).auth_refresh
        origin = f"auth_refresh ({command.name})" if command else ""
        return Detected(kind="sign-in with another tool", origin=origin, version=version) if command else None
    return Detected(kind="credentials file", origin=f"{found.shown} ({found.origin})", version=version)


def _is_file(path: Path) -> bool:
    """Return whether a file exists; one in an inaccessible directory does not, as for google-auth."""
    try:
        return path.is_file()
    except OSError:
        return False


def acquire(profile: Profile, source_id: str, interaction: Interaction) -> GoogleCredential:
    """Return a new token for the credentials in a file; if they have expired, run ``auth_refresh`` once.

    Raises:
        LoginRequired: The user must sign in again, and there is no ``auth_refresh`` or no user is waiting.
        ConfigurationError: The file cannot be used, or no project is configured.
        TransientError, OutcomeUnknown, ProviderRefused: See `fetch_token`.
    """
    command = profile.settings_as(VertexSettings).auth_refresh
    try:
        return _acquire(profile, source_id)
    except (LoginRequired, Unloadable):
        if command is None or not is_attended(interaction):
            raise
    run_login_command(command, profile, interaction, clock=profile.clock)
    return _acquire(profile, source_id)


def _acquire(profile: Profile, source_id: str) -> GoogleCredential:
    from freshkey_vertex.fetch_token import fetch_token
    from freshkey_vertex.transport import build_transport

    found = locate(source_id, profile, os.environ)
    if found is None:
        message = "no credentials file is configured"
        raise LoginRequired(
            message,
            profile=profile.name,
            hint=f"Set credentials_file or {CREDENTIALS_VARIABLE}",
            code="vertex-no-credentials",
        )
    if source_id == GCLOUD_FILE:
        _ensure_plain_gcloud(os.environ)
    else:
        _ensure_plain_path(found)
    if source_id != PROFILE_FILE:
        profile.ensure_own(_named_by(source_id, os.environ), found.path)
    file, principal = _loaded(found.path, profile, source_id)
    _ensure_own_program(file.info, found.path, profile)
    resolved = resolve_project(
        profile,
        os.environ,
        project=file.info.get("project_id"),
        quota_project=file.info.get("quota_project_id"),
    )
    transport = build_transport(profile, hosts=file.hosts, plain_hosts=LINK_LOCAL_HOSTS, sources=file.sources)
    return fetch_token(principal, transport, resolved, profile)


def _loaded(path: Path, profile: Profile, source_id: str) -> tuple[CredentialsFile, Principal]:
    """Return what a file contains.

    Raises:
        LoginRequired: It is gcloud's, and missing or damaged: a sign-in writes it again.
        ConfigurationError: It cannot be used, and is another one or cannot be read.
    """
    try:
        file = read_file(path, allow_insecure_loopback=profile.allow_insecure_loopback)
        if uses_aws(file.info):
            aws_own.ensure_own(profile)
        return file, _principal(file, profile, source_id)
    except Unloadable as error:
        if source_id != GCLOUD_FILE or not _is_rewritable(path):
            raise
        flaw = error.message
    raise LoginRequired(flaw, hint=f"Run: {_GCLOUD_COMMAND}", code="vertex-invalid-credentials-file")


def _ensure_own_program(info: Mapping[str, Any], path: Path, profile: Profile) -> None:
    """Check the project's files that the program of a federation file is, or that its arguments name.

    google-auth runs it in the working directory.

    Raises:
        TrustNeeded: The user has not trusted one in its current form.
        ConfigurationError: Another user can change one.
    """
    program = ((info.get("source_credentials") or info).get("credential_source") or {}).get("executable") or {}
    words = of_google(str(program.get("command") or ""))
    if words:
        argv = tuple(os.path.abspath(word) if os.path.lexists(word) else word for word in words)  # noqa: PTH100
        ensure_unchanged(Command(argv=argv, ensure_own=profile.ensure_own, sources=(path,)))


def _named_by(source_id: str, environ: Mapping[str, str]) -> str:
    """Return the variable that decides where a source's file is."""
    names = (CREDENTIALS_VARIABLE,) if source_id == NAMED_FILE else (GCLOUD_VARIABLE, "APPDATA")
    return next((name for name in names if environ.get(name)), _HOME)


def _is_rewritable(path: Path) -> bool:
    """Return whether nothing but the content of a file is wrong, if there is one."""
    return not os.path.lexists(path) or (_is_file(path) and os.access(path, os.R_OK))


def _ensure_plain_path(found: FileLocation) -> None:
    """Name the cause of a path that only a shell would read as it was meant; Google's tools do not read it either.

    Raises:
        Unloadable: It begins with a tilde or is quoted, or it is not a path at all.
    """
    text = str(found.path)
    if text != text.strip() and _is_file(Path(text.strip())) and not _is_file(found.path):
        flaw = f"the path in {found.origin} {path_flaw(text)}"
        raise Unloadable(flaw, hint="Write the full path, without quotes or spaces around it")
    written = path_flaw(text.strip())
    if found.shown != text and (written is None or is_implausible(text, _MAX_PATH)):
        flaw = f"the {found.origin} contains no plausible path; it may contain the credentials themselves"
        raise Unloadable(flaw, hint="Save them to a file that only you can read, and specify its path")
    if written is not None and not _is_file(found.path):
        raise Unloadable(
            f"the path in {found.origin} {written}: {found.shown}", hint="Write the full path, without quotes"
        )


def _ensure_plain_gcloud(environ: Mapping[str, str]) -> None:
    if (flaw := _flaw_of_gcloud(environ)) is not None:
        message = f"the path in environment variable {GCLOUD_VARIABLE} {flaw}, so gcloud's credentials are not found"
        raise Unloadable(message, hint="Write the full path of the directory, without quotes")


def _flaw_of_gcloud(environ: Mapping[str, str]) -> str | None:
    """Return what is wrong with the path of gcloud's directory, if there is none; a new one has no flaw."""
    text = environ.get(GCLOUD_VARIABLE, "")
    return None if os.path.lexists(text) else path_flaw(text)


def _principal(file: CredentialsFile, profile: Profile, source_id: str) -> Principal:
    from freshkey_vertex.fetch_token import Principal
    from freshkey_vertex.google_auth import load
    from freshkey_vertex.impersonation import impersonation_target

    who = file.info["source_credentials"] if file.type == "impersonated_service_account" else file.info
    account = shown_text(who.get("client_email")) or shown_text(who.get("account"))
    url = file.info.get("service_account_impersonation_url")
    by = _GCLOUD_COMMAND if source_id == GCLOUD_FILE else f"the tool that wrote {file.path}"
    return Principal(
        credentials=load(file, profile.settings_as(VertexSettings), os.environ),
        kind=_KINDS[who["type"]],
        display_name=account or str(file.path),
        account=account,
        sign_in_hint=f"Run: {by}" if source_id == GCLOUD_FILE else f"Sign in again with {by}",
        impersonated=impersonation_target(url) if url else None,
    )
