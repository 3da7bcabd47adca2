"""Files of a project that the user trusted, each with its content: what a variable names inside a project.

A variable such as ``AWS_CONFIG_FILE`` may come from the ``.env`` of a checkout. If the file that it names is in the
checkout as well, then the project would choose whose credential is used, where secrets go, and what runs.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen
from attrs.validators import instance_of

from freshkey._files.bounded import NotRegularError, TooLongError, read_bounded
from freshkey._files.path_text import shown_path
from freshkey._files.project_place import project_of, why_project
from freshkey._files.unchangeable import ensure_unchangeable
from freshkey._files.variable_paths import variable_paths
from freshkey._text.shell_words import shell_quoted
from freshkey._text.visible import spelled_out
from freshkey._trust.answers import Answers
from freshkey._trust.question import UNCHECKED, check_fits
from freshkey.errors import ConfigurationError, LoginRequired, TrustNeeded
from freshkey.model.interaction import Approve


MAX_FILE: Final = 4 * 1024 * 1024
"""Maximum size of a file that can be trusted, in bytes."""


AUTHORITIES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables that name certificate authorities: with one of its own, a project could read what is sent."""

_OF_DIRECTORY: Final = re.compile(r"HOME|USERPROFILE|(?:LOCAL)?APPDATA|.+_(?:HOME|DIR|CONFIG)")
"""Variables that name a directory in which tools look for their files."""


@frozen(kw_only=True)
class TrustedFile:
    """A file that the user trusted.

    Attributes:
        file: Its path, without links.
        digest: SHA-256 of its content in hexadecimal.
    """

    file: Path
    digest: str = field(validator=instance_of(str))

    def changed(self) -> str | None:
        """Return what changed since it was trusted; None if nothing did."""
        with suppress(OSError):
            return None if _current(self.file) == self else f"{self.file} changed after you trusted it"
        return f"{self.file} cannot be read"


class TrustedFiles(Answers[TrustedFile]):
    """All trusted files in a state directory."""

    file_name = "trusted-files.json"
    subject = ("file",)
    if_unreadable = "no files of projects are trusted"

    def build(self, members: Mapping[str, Any]) -> TrustedFile:
        """Return a trusted file from its members in the file."""
        return TrustedFile(file=Path(members["file"]), digest=members["digest"])


def ensure_trusted(variable: str, path: Path | str, state_dir: Path, approve: Approve | None = None) -> None:
    """Raise unless a file is the user's own or trusted, and no other user can change it.

    A file that does not exist is left to its reader.

    Args:
        variable: The environment variable that names it, for messages.
        path: The file. Only one in the current project must be trusted.
        state_dir: Where the user's answers are kept.
        approve: Asks the user; None if there is no one to ask.

    Raises:
        ConfigurationError: Another user can change it (``unsafe-file``).
        TrustNeeded: It is in the current project, and the user has not trusted it in its current form.
    """
    ensure_unchangeable(variable, path)
    if project_of(path) is None:
        return
    try:
        found = _current(path)
    except OSError:
        return
    if found is None:
        why = "is not a regular file of at most 4 MiB, so it cannot be trusted"
        raise _needed(variable, path, why, None, "Keep it outside the project, or unset the variable")
    trust = TrustedFiles(state_dir)
    known = trust.find(found.file)
    if known == found:
        return
    why = "you have not trusted it yet" if known is None else "it changed after you trusted it"
    if approve is not None and shown_path(str(path)) is not None:
        agreed = False
        asked = " ".join(file_question(found, [variable], f"It belongs to a project, and {why}."))
        with suppress(LoginRequired):  # not interactive
            agreed = approve(asked)
        if agreed:
            trust.try_to_remember(found, f"your approval of {found.file}")
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
    refuse_state_in_project(state_dir, environ)
    if configuration is not None:
        ensure_trusted(_decided_by("CONFIG", environ), configuration, state_dir, approve)
    for variable in AUTHORITIES:
        for path in variable_paths(variable, environ.get(variable, "")):
            ensure_trusted(variable, path, state_dir, approve)


def refuse_state_in_project(state_dir: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Refuse a state directory that comes with the project: it contains what the user is said to trust.

    Raises:
        ConfigurationError: The state directory is in the current project.
    """
    if (project := project_of(state_dir)) is not None:
        variable, place = _decided_by("STATE", environ), shown_path(str(project)) or "a directory"
        raise ConfigurationError(
            f"the state directory, set by {variable}, is in {place}, which counts as the current project because "
            f"{why_project(project)}; a project could decide there what you trust",
            hint="Set FRESHKEY_STATE_DIR to a directory outside it",
            code="state-directory-in-project",
        )


def _decided_by(what: str, environ: Mapping[str, str]) -> str:
    """Return the variable that decides where freshkey's own configuration or state is."""
    windows = ("WIN_PD_OVERRIDE_LOCAL_APPDATA", "USERPROFILE")
    usual = windows if sys.platform == "win32" else (f"XDG_{what}_HOME", "HOME")
    return next((name for name in (f"FRESHKEY_{what}_DIR", *usual) if environ.get(name)), usual[-1])


def trust_file(state_dir: Path, file: Path) -> TrustedFile:
    """Trust a file in its current form, and return what was saved.

    Raises:
        ConfigurationError: It cannot be read.
        StoreError: The answer cannot be saved.
    """
    found = file_to_trust(file)
    TrustedFiles(state_dir).remember(found)
    return found


def file_to_trust(file: Path) -> TrustedFile:
    """Return a file as it would be trusted now.

    Raises:
        ConfigurationError: It cannot be read.
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
    return found


def variables_naming(file: Path, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the variables that name a file, or a directory of settings with the file in it.

    Args:
        file: Its path, without links.
        environ: The variables.
    """
    return tuple(sorted(name for name, value in environ.items() if value and _lead_to(name, value, file)))


def _lead_to(name: str, value: str, file: Path) -> bool:
    with suppress(OSError, ValueError):
        places = {Path(os.path.realpath(one)) for one in variable_paths(name, value)}
        return file in places or (_OF_DIRECTORY.fullmatch(name) is not None and not places.isdisjoint(file.parents))
    return False


def file_question(trusted: TrustedFile, variables: Iterable[str], why: str = "") -> list[str]:
    """Return the question whether to trust a file, in lines: the last one asks, those before tell.

    Args:
        trusted: The file.
        variables: What names it.
        why: Why it must be asked, as a sentence.

    Raises:
        TrustNeeded: It would not fit the screen.
    """
    named = ", ".join(map(spelled_out, variables)) or "no variable here"
    lines = [
        f"{spelled_out(str(trusted.file))} is named by {named}.{why and f' {why}'}",
        "Its content decides whose credential is used, where secrets are sent, and what programs run.",
        UNCHECKED,
        "Trust this file in its current form?",
    ]
    check_fits([*lines[:-1], f"{lines[-1]} [y/N]"], trusted.file)
    return lines


def trusted_files(state_dir: Path) -> tuple[TrustedFile, ...]:
    """Return all trusted files."""
    return TrustedFiles(state_dir).all()


def revoke_file(state_dir: Path, path: Path) -> tuple[TrustedFile, ...]:
    """Stop trusting a file, or all files below a directory, and return them."""
    try:
        place = Path(os.path.realpath(path))
    except (OSError, ValueError):  # the working directory was deleted; a null character
        return ()
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


def _needed(
    variable: str, path: Path | str, why: str, known: TrustedFile | None, hint: str | None = None
) -> TrustNeeded:
    shown = shown_path(str(path))
    named = f"{shown}, named by {variable}," if shown else f"the file named by {variable}"
    return TrustNeeded(
        f"{named} is in the current project, and {why}",
        hint=hint or f"Review it, then run: freshkey trust {_as_argument(shown) if shown else 'FILE'}",
        code="project-file-not-trusted" if known is None else "project-file-changed",
    )


def _as_argument(path: str) -> str:
    """Return a path as a word of a command line that means the same file in every directory."""
    with suppress(OSError, ValueError):
        path = shown_path(os.path.realpath(path)) or path
    return shell_quoted(path)
