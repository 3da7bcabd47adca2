"""What a stored sign-in is bound to: everything in its profile that decides where its secrets travel.

The core derives it from the settings, so that no provider can forget an endpoint: every setting that has a URL, or is
marked with ``metadata={"bound": True}``, and every host that the provider says it calls. Only what differs from the
provider's defaults is stored, so an upgrade that moves a default does not end sign-ins.
See docs/decisions.md, "A sign-in is bound to every endpoint, by the core".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
from attrs import evolve

from freshkey._commands.command import Command
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.plain import plain
from freshkey.model.credential import Credential


_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def binding_of(context: ProfileContext) -> dict[str, Any]:
    """Return what a sign-in of this profile is stored with, without secrets."""
    settings = {name: _digest(value) for name, value in _chosen(context.profile.settings).items()}
    return {"settings": settings, "hosts": sorted(_lower(context.description.hosts))}


def moved(context: ProfileContext, credential: Credential, bound: Mapping[str, Any] | None) -> str | None:
    """Return what of a stored sign-in's endpoints is another one now, in words; None if nothing is.

    Args:
        context: The profile as it is configured now.
        credential: The stored credential.
        bound: What it was stored with; None if an older version stored it.
    """
    configured = context.description.binding
    for name, value in credential.binding.items():
        if configured.get(name, value) != value:
            return name.replace("_", " ").replace(" id", " ID")
    chosen = _chosen(context.profile.settings)
    if bound is None:
        return _moved_since_older(credential, chosen)
    now = {name: _digest(value) for name, value in chosen.items()}
    then = bound["settings"]
    changed = sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))
    return changed[0] if changed else _new_host(context, bound["hosts"])


def _moved_since_older(credential: Credential, chosen: Mapping[str, object]) -> str | None:
    """Return the endpoint of which an older version did not record that the sign-in belongs to it.

    Without a record, it must be the default, or where the refresh token goes anyway.
    """
    origins = {_origin(value) for value in credential.binding.values() if _URL.match(value)}
    foreign = [name for name, value in chosen.items() if {_origin(url) for url in _urls(value)} - origins]
    return min(foreign, default=None)


def _new_host(context: ProfileContext, hosts: Collection[str]) -> str | None:
    """Return a host that is called now, and was not at the sign-in."""
    new = _lower(context.description.hosts) - _lower(hosts)
    if new:
        # Those that it calls whatever the settings are come from a newer version of the provider.
        default = evolve(context.profile, settings=type(context.profile.settings)())
        new -= _lower(context.hooks.describe(default).hosts)
    return f"host ({min(new)})" if new else None


def _chosen(settings: object) -> dict[str, object]:
    """Return the settings that are endpoints and differ from their default."""
    kind: type = type(settings)
    if not attrs.has(kind):
        return {}
    defaults = kind()
    found = {}
    for each in attrs.fields(kind):
        value, default = getattr(settings, each.name), getattr(defaults, each.name)
        if value != default and each.metadata.get("bound", _is_endpoint(value) or _is_endpoint(default)):
            found[each.name] = value
    return found


def _is_endpoint(value: object) -> bool:
    return next(_urls(value), None) is not None


def _urls(value: object) -> Iterator[str]:
    """Yield the URLs in the value of a setting; a command may have some as arguments, but is trusted as a whole."""
    kind: type = type(value)
    if isinstance(value, str):
        if _URL.match(value.strip()):
            yield value.strip()
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _urls(part)
    elif attrs.has(kind) and not isinstance(value, Command):
        for each in attrs.fields(kind):
            yield from _urls(getattr(value, each.name))
    elif isinstance(value, Collection) and not isinstance(value, bytes):
        for part in value:
            yield from _urls(part)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url.strip())
    return parts.scheme.lower(), parts.netloc.lower()


def _digest(value: object) -> str:
    return hashlib.sha256(repr(plain(value)).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _lower(hosts: Collection[str]) -> set[str]:
    return {host.lower() for host in hosts}
