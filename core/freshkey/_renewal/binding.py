"""What a stored sign-in is bound to: everything in its profile that decides where its secrets travel.

The core derives it from the settings, so that no provider can forget an endpoint: every setting that has a URL, or is
marked with ``metadata={"bound": True}``, every host that the provider says it calls, and whether http to this machine
is accepted. Where a setting is the default of the installed version and was that of the version that stored the
sign-in, the provider decides: its code is trusted, and an upgrade that moves a default does not end sign-ins, nor those
of users who override it.
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
from freshkey.model.endpoints import hosts_of
from freshkey.model.profile import Profile


_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_START: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<user>[^/?#\\@\s]*@)?(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]*))?(?:/|(?=[?#])|\Z)"
)
"""A URL up to the first slash of its path, if every reader of it finds the same host there."""

_PORTS: Final = {"http": "80", "https": "443"}


def binding_of(context: ProfileContext) -> dict[str, Any]:
    """Return what a sign-in of this profile is stored with, without secrets."""
    chosen, defaults = _endpoints(context.profile)
    return {
        "settings": {name: _digest(value) for name, value in chosen.items()},
        "defaults": {name: _digest(value) for name, value in defaults.items()},
        "hosts": sorted(_lower(context.description.hosts)),
    }


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
    chosen, defaults = _endpoints(context.profile)
    if bound is None:
        return _moved_since_older(credential, chosen)
    now = {name: _digest(value) for name, value in (chosen | defaults).items()}
    then = bound.get("defaults", {}) | bound["settings"]
    # If it is the default now and was one then, the provider moved it. A setting that a version did not have yet, or
    # has no longer, was or is decided by its provider, too.
    changed = sorted(
        name for name in chosen.keys() | bound["settings"].keys() if name not in now or now[name] != then.get(name)
    )
    return (
        changed[0] if changed else _new_host(context, bound["hosts"]) or _lost_host(context, credential, bound["hosts"])
    )


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


def _lost_host(context: ProfileContext, credential: Credential, hosts: Collection[str]) -> str | None:
    """Return a host that is not called any more, although an endpoint of the credential is there."""
    lost = (_lower(hosts) - _lower(context.description.hosts)).intersection(hosts_of(credential))
    return f"host ({min(lost)})" if lost else None


def _endpoints(profile: Profile) -> tuple[dict[str, object], dict[str, object]]:
    """Return the settings that are endpoints: those that differ from their default, and those that do not.

    With them, the one key of the core that decides how secrets travel.
    """
    settings = profile.settings
    kind: type = type(settings)
    chosen: dict[str, object] = {}
    defaults: dict[str, object] = {}
    insecure = profile.allow_insecure_loopback
    (chosen if insecure else defaults)["allow_insecure_loopback"] = insecure
    if not attrs.has(kind):
        return chosen, defaults
    unset = kind()
    for each in attrs.fields(kind):
        value, default = getattr(settings, each.name), getattr(unset, each.name)
        if each.metadata.get("bound", _is_endpoint(value) or _is_endpoint(default)):
            (defaults if value == default else chosen)[each.name] = value
    return chosen, defaults


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
    parts = urlsplit(_normal(url.strip()))
    return parts.scheme.lower(), parts.netloc.lower()


def _digest(value: object) -> str:
    return hashlib.sha256(repr(_listed(value)).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _listed(value: object) -> object:
    """Return a setting as a plain value; of scopes, audiences or URLs, the order decides nothing."""
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return sorted(map(_normal, value))
    return plain(value, _normal)


def _normal(text: str) -> str:
    """Return a URL in the one form of those that differ only in writing (RFC 3986 6.2.3); other text as it is."""
    start = _START.match(text)
    if start is None:
        return text
    scheme, port = start["scheme"].lower(), start["port"]
    port = f":{port}" if port and port != _PORTS.get(scheme) else ""
    return f"{scheme}://{start['user'] or ''}{start['host'].lower()}{port}/{text[start.end() :]}"


def _lower(hosts: Collection[str]) -> set[str]:
    return {host.lower() for host in hosts}
