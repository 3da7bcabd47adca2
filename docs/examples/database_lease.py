"""A provider of database logins: leased, extended while it may be, and replaced when the database refuses them."""

from __future__ import annotations

import json
import os
from typing import Any, Final

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
    environment_secret,
    hookimpl,
    parse_json_object,
    raise_for_status,
    utc_time,
)


FRESHKEY_CONTRACT: Final = 1


@frozen(kw_only=True)
class Settings:
    """What a profile may set: the server, and the variable with the token that it wants."""

    host: str = "leases.example"
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
    hosts = () if profile is None else (profile.settings_as(Settings).host,)
    return Description(title="Leases", settings=Settings, formats={"db": DatabaseLogin}, sources=(LEASE,), hosts=hosts)


@hookimpl
def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential:
    """Get a lease."""
    return _lease(profile, source.id)


@hookimpl
def refresh(profile: Profile, credential: Credential, reporter: Reporter, reason: Reason) -> Credential:
    """Extend the lease; get another one if the login was refused."""
    if not isinstance(credential, DatabaseLogin):
        raise PluginBroken("the credential has another format", plugin="leases")
    if reason is Reason.REFUSED:
        return _lease(profile, credential.source)
    now, answer = profile.clock.now(), _post(profile, "extend", {"lease": credential.lease})
    return evolve(credential, obtained=now, lifetime=_member(answer, "lease_duration", int))


def _lease(profile: Profile, source: str) -> DatabaseLogin:
    now, answer = profile.clock.now(), _post(profile, "leases", {})
    return DatabaseLogin(
        obtained=now,
        lifetime=_member(answer, "lease_duration", int),
        ends_at_latest=utc_time(now.wall + _member(answer, "max_duration", int)),
        source=source,
        clock=profile.clock,
        username=_member(answer, "username", str),
        password=Secret(_member(answer, "password", str)),
        lease=_member(answer, "lease", str),
    )


def _member(answer: dict[str, Any], name: str, kind: type) -> Any:  # noqa: ANN401  as `kind` says
    if not isinstance(value := answer.get(name), kind) or not value:
        raise ProtocolError(f"the response has no {name}")
    return value


def _post(profile: Profile, path: str, members: dict[str, str]) -> dict[str, Any]:
    settings = profile.settings_as(Settings)
    if (token := environment_secret(settings.variable, os.environ)) is None:
        raise LoginRequired("there is no token", hint=f"Set {settings.variable}", unsent=True)
    headers, body = {"Authorization": f"Bearer {token.reveal()}"}, json.dumps(members).encode()
    request = Request(method="POST", url=f"https://{settings.host}/{path}", headers=headers, body=body)
    raise_for_status(request, response := profile.send(request), login_required=(401, 404, 410), clock=profile.clock)
    return parse_json_object(response.body)
