"""The environment variables that configuration reads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Final

from attrs import frozen

from freshkey._files.path_text import shown_path, shown_url
from freshkey._files.project_place import project_of
from freshkey.secret import shown_name


CONFIG_DIR: Final = "FRESHKEY_CONFIG_DIR"
"""Variable that sets the directory of ``config.toml``."""

STATE_DIR: Final = "FRESHKEY_STATE_DIR"
"""Variable that sets the directory of locks, hints and the file store; each directory has its own sign-ins."""

PROFILE: Final = "FRESHKEY_PROFILE"
"""Variable that selects a profile."""

MOVES: Final = (
    *(CONFIG_DIR, STATE_DIR, PROFILE, "XDG_CONFIG_HOME", "XDG_STATE_HOME"),
    *("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "BROWSER", "PYTHON_KEYRING_BACKEND"),
)
"""Variables that move a file, an endpoint, a proxy or a program of freshkey itself, whatever the provider."""

_IN_PROJECT: Final = ("HOME", "PATH")
"""Variables that are always set, and only worth a word if they lead into the current project."""


@frozen(kw_only=True)
class Moved:
    """A variable that is set, and moves a file, an endpoint, a proxy or a choice.

    Attributes:
        name: Its name.
        value: Its value, if that can be shown: a URL without user and query, a path, or a name.
        in_project: Whether it leads into the current project.
    """

    name: str
    value: str | None
    in_project: bool


def moved(names: Iterable[str], environ: Mapping[str, str]) -> tuple[Moved, ...]:
    """Return those of `MOVES` and `names` that are set, in alphabetical order; see `Description.moved_by`."""
    exact = {*MOVES, *names}
    begins = tuple(name[:-1] for name in exact if name.endswith("*"))
    found = {name for name, value in environ.items() if value and (name in exact or name.startswith(begins))}
    listed = {one: _moved(one, environ[one]) for one in found}
    for name in _IN_PROJECT:
        if (one := _moved(name, environ.get(name, ""))).in_project:
            listed[name] = one
    return tuple(one for _, one in sorted(listed.items()))


def _moved(name: str, value: str) -> Moved:
    places = value.split(os.pathsep) if name in {"PATH", "AWS_DATA_PATH"} else [value]
    is_url = (
        "://" in value or "PROXY" in name.upper() or "ENDPOINT" in name or name.endswith(("_URL", "_HOST", "_ROOT"))
    )
    if is_url:
        return Moved(name=name, value=shown_url(value), in_project=False)
    is_path = name in {"HOME", "PATH"} or os.sep in value or name.endswith(("_FILE", "_DIR", "_BUNDLE", "_CREDENTIALS"))
    inside = is_path and any(not one or project_of(one) is not None for one in places if one or name == "PATH")
    shown = [shown_path(one) for one in places] if is_path else [shown_name(value)]
    return Moved(name=name, value=None if None in shown else os.pathsep.join(map(str, shown)), in_project=inside)
