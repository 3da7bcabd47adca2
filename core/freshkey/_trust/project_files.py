"""Files of a project that the user trusted, each with its content: what a variable names inside a project.

A variable such as ``AWS_CONFIG_FILE`` may come from the ``.env`` of a checkout. If the file that it names is in the
checkout as well, then the project would choose whose credential is used, where secrets go, and what runs.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen
from attrs.validators import instance_of

from freshkey._files.bounded import NotRegularError, TooLongError, read_bounded
from freshkey._files.path_text import shown_path
from freshkey._files.project_place import project_of
from freshkey._trust.answers import Answers
from freshkey.errors import ConfigurationError, LoginRequired, TrustNeeded
from freshkey.model.interaction import Approve


MAX_FILE: Final = 4 * 1024 * 1024
"""Maximum size of a file that can be trusted, in bytes."""


AUTHORITIES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables that name certificate authorities: with one of its own, a project could read what is sent."""


@frozen(kw_only=True)
class TrustedFile:
    """A file that the user trusted.

    Attributes:
        file: Its path, without links.
        digest: SHA-256 of its content in hexadecimal.
    """

    file: Path
    digest: str = field(validator=instance_of(str))


class TrustedFiles(Answers[TrustedFile]):
    """All trusted files in a state directory."""

    file_name = "trusted-files.json"
    subject = ("file",)
    if_unreadable = "no files of projects are trusted"

    def build(self, members: Mapping[str, Any]) -> TrustedFile:
        """Return a trusted file from its members in the file."""
        return TrustedFile(file=Path(members["file"]), digest=members["digest"])


def ensure_trusted(variable: str, path: Path | str, state_dir: Path, approve: Approve | None = None) -> None:
    """Raise unless a file is the user's own or trusted; a file that does not exist is left to its reader.

    Args:
        variable: The environment variable that names it, for messages.
        path: The file. Only one in the current project must be trusted.
        state_dir: Where the user's answers are kept.
        approve: Asks the user; None if there is no one to ask.

    Raises:
        TrustNeeded: It is in the current project, and the user has not trusted it in its current form.
    """
    root = project_of(path)
    if root is None:
        return
    try:
        found = _current(path)
    except OSError:
        return
    if found is None:
        raise _needed(variable, path, "is not a regular file of at most 4 MiB, so it cannot be trusted", None)
    trust = TrustedFiles(state_dir)
    known = trust.find(found.file)
    if known == found:
        return
    why = "you have not trusted it yet" if known is None else "it changed after you trusted it"
    shown = shown_path(str(path))
    if approve is not None and shown is not None:
        agreed = False
        with suppress(LoginRequired):  # not interactive
            agreed = approve(
                f"{variable} names {shown}, a file of the project in {root}, which may choose an account, run commands "
                f"or send secrets elsewhere; {why}. Trust this file in its current form?"
            )
        if agreed:
            trust.try_to_remember(found, f"your approval of {shown}")
            return
    raise _needed(variable, path, f"was not used: {why}", known)


def ensure_own_environment(
    state_dir: Path, configuration: Path | None, environ: Mapping[str, str] = os.environ, approve: Approve | None = None
) -> None:
    """Raise unless what the variables of this process name is the user's own or trusted, for every provider.

    Args:
        state_dir: The state directory; one in the current project is refused, because its answers would count.
        configuration: The user's configuration file, if one is read.
        environ: The variables.
        approve: Asks the user; None if there is no one to ask.

    Raises:
        ConfigurationError: The state directory is in the current project.
        TrustNeeded: The configuration file, or one of certificate authorities, is in it and not trusted.
    """
    if project_of(state_dir) is not None:
        raise ConfigurationError(
            f"the state directory, set by {_named_by('STATE', environ)}, is in the current project, which could "
            "decide there what you trust",
            hint="Set FRESHKEY_STATE_DIR to a directory outside the project",
            code="state-directory-in-project",
        )
    if configuration is not None:
        ensure_trusted(_named_by("CONFIG", environ), configuration, state_dir, approve)
    for variable in AUTHORITIES:
        if path := environ.get(variable):
            ensure_trusted(variable, path, state_dir, approve)


def _named_by(what: str, environ: Mapping[str, str]) -> str:
    """Return the variable that decides where freshkey's own configuration or state is."""
    names = (f"FRESHKEY_{what}_DIR", f"XDG_{what}_HOME", "HOME")
    return next((name for name in names if environ.get(name)), "HOME")


def trust_file(state_dir: Path, file: Path) -> TrustedFile:
    """Trust a file in its current form, and return what was saved.

    Raises:
        ConfigurationError: It cannot be read.
        StoreError: The answer cannot be saved.
    """
    found, flaw = None, "is not a regular file of at most 4 MiB"
    try:
        found = _current(file)
    except OSError as error:
        flaw = f"cannot be read: {error.strerror}"
    if found is None:
        raise ConfigurationError(
            f"{shown_path(str(file)) or 'the file to trust'} {flaw}",
            hint="Check the path and its permissions",
            code="cannot-trust-file",
        )
    TrustedFiles(state_dir).remember(found)
    return found


def trusted_files(state_dir: Path) -> tuple[TrustedFile, ...]:
    """Return all trusted files."""
    return TrustedFiles(state_dir).all()


def changed(trusted: TrustedFile) -> str | None:
    """Return what changed since a file was trusted; None if nothing did."""
    with suppress(OSError):
        return None if _current(trusted.file) == trusted else f"{trusted.file} changed after you trusted it"
    return f"{trusted.file} cannot be read"


def revoke_file(state_dir: Path, path: Path) -> tuple[TrustedFile, ...]:
    """Stop trusting a file, or all files below a directory, and return them."""
    place = Path(os.path.realpath(path))
    return TrustedFiles(state_dir).forget(lambda one: one.file.is_relative_to(place))


def _current(path: Path | str) -> TrustedFile | None:
    """Return a file with its digest; None if it is not a regular file, or too large."""
    try:
        real = Path(os.path.realpath(path))
        data = read_bounded(real, MAX_FILE)
    except (NotRegularError, TooLongError, IsADirectoryError):
        return None
    except ValueError as error:  # a null character in the path
        raise FileNotFoundError(str(error)) from None
    return TrustedFile(file=real, digest=hashlib.sha256(data).hexdigest())


def _needed(variable: str, path: Path | str, why: str, known: TrustedFile | None) -> TrustNeeded:
    shown = shown_path(str(path))
    named = f"{shown}, named by {variable}," if shown else f"the file named by {variable}"
    return TrustNeeded(
        f"{named} is in the current project, and {why}",
        hint=f"Review it, then run: freshkey trust {shlex.quote(shown) if shown else 'FILE'}",
        code="project-file-not-trusted" if known is None else "project-file-changed",
    )
