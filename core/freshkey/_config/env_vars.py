"""The environment variables that configuration reads."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Final

from attrs import frozen

from freshkey._files.path_text import shown_path, shown_url
from freshkey._files.project_place import FOLDERS, HOMES, LOADERS, SYSTEM, leads_into_project, project_of, variable_name
from freshkey._files.variable_paths import variable_paths
from freshkey._text import tracebacks
from freshkey.secret import shown_name


CONFIG_DIR: Final = "FRESHKEY_CONFIG_DIR"
"""Variable that sets the directory of ``config.toml``."""

STATE_DIR: Final = "FRESHKEY_STATE_DIR"
"""Variable that sets the directory of locks, hints and the file store; each directory has its own sign-ins."""

PROFILE: Final = "FRESHKEY_PROFILE"
"""Variable that selects a profile."""

DEBUG: Final = tracebacks.DEBUG
"""Variable that makes freshkey show whole tracebacks of plugins; the lowest modules read it, too."""

MOVES: Final = (
    *(CONFIG_DIR, STATE_DIR, PROFILE, "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"),
    *("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "BROWSER", "PYTHON_KEYRING_BACKEND"),
    *("DBUS_SESSION_BUS_ADDRESS", "OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES"),
    "WIN_PD_OVERRIDE_LOCAL_APPDATA",  # of platformdirs, on Windows
)
"""Variables that move a file, an endpoint, a proxy or a program of freshkey itself, whatever the provider."""

_IN_PROJECT: Final = (*HOMES, "PATH", *FOLDERS, *LOADERS, *SYSTEM)
"""Variables that are often set, and only worth a word if they lead into the current project.

Some run code in this process before freshkey can refuse it.
"""

_BUS: Final = "DBUS_SESSION_BUS_ADDRESS"
_OF_PATHS: Final = (
    *("_FILE", "_DIR", "_DIRECTORY", "_HOME", "_BUNDLE", "_CREDENTIALS", "_CONF", "_CONFIG", "_PATH", "_MODULES"),
    *("_ENGINES", "_PYTHON"),
)


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
    environ = {variable_name(name): value for name, value in environ.items()}
    exact = set(map(variable_name, (*MOVES, *names)))
    begins = tuple(name[:-1] for name in exact if name.endswith("*"))
    found = {name for name, value in environ.items() if value and (name in exact or name.startswith(begins))}
    listed = {one: _moved(one, environ[one]) for one in found if one != _BUS or not _is_usual_bus(environ[one])}
    for name in _IN_PROJECT:
        if (one := _moved(name, environ.get(name, ""))).in_project:
            listed[name] = one
    return tuple(one for _, one in sorted(listed.items()))


def _is_usual_bus(address: str) -> bool:
    """Return whether the keychain's bus is that of the user's session, as systemd names it."""
    return sys.platform != "win32" and address.partition(",")[0] == f"unix:path=/run/user/{os.getuid()}/bus"


def _moved(name: str, value: str) -> Moved:
    if value.lower() in {"true", "false"}:  # such as AWS_USE_FIPS_ENDPOINT
        return Moved(name=name, value=value, in_project=False)
    is_url = name not in LOADERS and (
        "://" in value or "PROXY" in name.upper() or "ENDPOINT" in name or name.endswith(("_URL", "_HOST", "_ROOT"))
    )
    if is_url:
        return Moved(name=name, value=shown_url(value), in_project=False)
    places = variable_paths(name, value) if value else ()
    has_separator = os.sep in value or (os.altsep or os.sep) in value
    is_path = name in {*HOMES, "PATH", _BUS} or has_separator or name.endswith(_OF_PATHS)
    inside = is_path and any(project_of(one) is not None for one in places)
    inside = inside or (name in LOADERS and leads_into_project(value))
    shown = [shown_path(one) for one in places] if is_path else [shown_name(value)]
    hidden = None in shown or not shown
    return Moved(name=name, value=None if hidden else os.pathsep.join(map(str, shown)), in_project=inside)
