"""A provider of database logins: leased, extended while it may be, and replaced when the database refuses them."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import evolve, frozen

from freshkey.errors import LoginRequired, PluginBroken, ProtocolError
from freshkey.plugin import (
    Credential,
    Description,
    Detected,
    Inspection,
    Interaction,
    Profile,
    Reason,
    Reporter,
    Request,
    Secret,
    Source,
    Validity,
    hookimpl,
    parse_json_object,
    raise_for_status,
    utc_time,
)


FRESHKEY_CONTRACT: Final = 1


@frozen(kw_only=True)
class Settings:
    """What a profile may set: the server, and the variable with the token that it wants."""

    address: str = "https://leases.example"
    variable: str = "LEASE_TOKEN"


@frozen(kw_only=True)
class DatabaseLogin(Credential):
    """A user name and a password of a database, for the term of a lease."""

    username: str
    password: Secret
    lease: str
    used_for = "database connections"
    renewable = True

    def _environment(self) -> dict[str, str]:
        return {"PGUSER": self.username, "PGPASSWORD": self.password.reveal()}


def detect(profile: Profile) -> Detected | None:
    """Look for the token."""
    name = profile.settings_as(Settings).variable
    return Detected(kind="token", origin=f"variable {name}") if os.environ.get(name) else None


LEASE: Final = Source(id="lease", title="A lease", owned=True, automatic=True, detect=detect)


@hookimpl
def describe(profile: Profile | None, credential: Credential | None) -> Description | Inspection:
    """Describe this provider; a login is not tried out."""
    if credential is not None:
        return Inspection(validity=Validity.UNCHECKABLE, detail="a login is not tried out")
    host = "" if profile is None else urlsplit(profile.settings_as(Settings).address).hostname
    formats = {"database-login": DatabaseLogin}
    hosts = (host,) if host else ()
    return Description(title="Leases", settings=Settings, formats=formats, sources=(LEASE,), hosts=hosts)


@hookimpl
def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential:
    """Get a lease."""
    now, answer = profile.clock.now(), _post(profile, "leases", {})
    try:
        return DatabaseLogin(
            obtained=now,
            lifetime=float(answer["lease_duration"]),
            ends_at_latest=utc_time(now.wall + float(answer["max_duration"])),
            source=source.id,
            clock=profile.clock,
            username=answer["username"],
            password=Secret(answer["password"]),
            lease=answer["lease"],
        )
    except (KeyError, TypeError, ValueError):
        raise ProtocolError("the response is not a lease") from None


@hookimpl
def refresh(profile: Profile, credential: Credential, reporter: Reporter, reason: Reason) -> Credential:
    """Extend the lease; a refused login, or one near its latest end, is replaced by another one."""
    if not isinstance(credential, DatabaseLogin) or credential.ends_at_latest is None:
        raise PluginBroken("the credential has another format", plugin="leases")
    now = profile.clock.now()
    near = credential.ends_at_latest - now.utc <= timedelta(seconds=credential.lifetime or 0.0)
    if reason is Reason.REFUSED or near:
        return acquire(profile, LEASE, reporter)  # type: ignore[arg-type]  # it asks nobody
    if not isinstance(seconds := _post(profile, "extend", {"lease": credential.lease}).get("lease_duration"), int):
        raise ProtocolError("the response has no term")
    return evolve(credential, obtained=now, lifetime=float(seconds))


def _post(profile: Profile, path: str, members: dict[str, str]) -> dict[str, Any]:
    settings = profile.settings_as(Settings)
    if not (token := os.environ.get(settings.variable)):
        raise LoginRequired("there is no token to ask with", hint=f"Set {settings.variable}", unsent=True)
    headers, body = {"Authorization": f"Bearer {token}"}, json.dumps(members).encode()
    request = Request(method="POST", url=f"{settings.address}/{path}", headers=headers, body=body)
    response = profile.send(request)
    raise_for_status(request, response, login_required=(401, 404, 410), clock=profile.clock)
    return parse_json_object(response.body)
