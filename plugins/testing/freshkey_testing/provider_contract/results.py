"""What is wrong with a credential that a hook returned."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from freshkey import Credential, Profile, Secret
from freshkey.plugin import Response
from freshkey_testing.overheard import Overheard
from freshkey_testing.provider_contract.probes import require
from freshkey_testing.secret_scan import leaks, secrets_of


_SECRET_NAMES: Final = ("token", "secret", "password", "key")
_MIN_SECRET: Final = 8
_MAX_AGE: Final = 300.0
_MAX_LIFETIME: Final = 10 * 366 * 86400.0
_SECONDS: Final = "give seconds from obtained until the end, counted by profile.clock and with aware UTC times"
_LIFETIMES: Final = ("expires_in", "expiresin")
_ENDS: Final = re.compile(r"expir|(valid|good)_?(for|till?|to|until)|ttl$|life_?time|max_?age|lease_?duration")
_NOT_ITS_END: Final = re.compile(r"refresh|renew|password|account|trial|plan")
"""What else may end: what renews it, and what the user has there."""

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*")
_REFRESH_TOKENS: Final = ("refresh_token", "refreshtoken")


def check_times(credential: Credential, profile: Profile, answers: list[Response], what: str) -> None:
    """The times of a new credential are those of the profile's clock and of the answer."""
    check_age(credential, profile, what)
    for name, value in _plain(credential):
        if isinstance(value, datetime):
            require(value.tzinfo is not None, f"{what} set {name} to a naive datetime: give it the time zone UTC")
    lifetime = credential.lifetime
    said = [value for name, value in _members(answers) if name in _LIFETIMES and isinstance(value, int | float)]
    if lifetime is None:
        ends = sorted({name for name, value in _members(answers) if _tells_an_end(name, value)})
        told = f"the server said when it ends ({', '.join(ends)}), and {what} returned no lifetime: {_SECONDS}"
        require(not ends, told)
        return
    require(
        0 < lifetime < _MAX_LIFETIME,
        f"{what} returned a lifetime of {lifetime:.0f} s: {_SECONDS}",
    )
    if said:
        require(
            lifetime <= max(said) + 1,
            f"{what} returned a lifetime of {lifetime:.0f} s, but the server said {max(said):.0f} s: {_SECONDS}",
        )


def check_age(credential: Credential, profile: Profile, what: str) -> None:
    """A new credential was obtained now."""
    age = profile.clock.now().wall - credential.obtained.wall
    require(
        abs(age) < _MAX_AGE,
        f"{what} returned a credential obtained {age:.0f} s before now: set obtained to profile.clock.now()",
    )


def check_secrecy(
    credential: Credential, answers: list[Response], heard: Overheard, what: str, entered: Iterable[Secret] = ()
) -> None:
    """No secret of a new credential, nor one that the user entered, was said, or is outside a `Secret`."""
    received = {
        value
        for name, value in _members(answers)
        if name.endswith(_SECRET_NAMES) and isinstance(value, str) and len(value) >= _MIN_SECRET
    }
    secrets = secrets_of(credential) | received | {each.reveal() for each in entered}
    check_silence(heard, secrets, what)
    for name, value in _plain(credential):
        require(
            not leaks(str(value), secrets),
            f"{what} put a secret into the plain field {name} of {type(credential).__name__}: make it a Secret",
        )


def check_silence(heard: Overheard, secrets: frozenset[str], what: str) -> None:
    """No secret was said."""
    for where, text in heard.said:
        require(not leaks(text, secrets), f"{what} showed a secret in {where}: never print, log or warn with one")


def refresh_token_names(answers: list[Response], kept: Secret | None) -> frozenset[str]:
    """Return what a server that is not OAuth calls a refresh token: the members with the value that was kept."""
    value = kept.reveal() if kept is not None else None
    return frozenset(name for name, member in _members(answers) if value and member == value) - set(_REFRESH_TOKENS)


def sent_refresh_token(answers: list[Response], names: frozenset[str] = frozenset()) -> str | None:
    """Return the refresh token of the last answer that has one; `names` are further names of it."""
    known = names.union(_REFRESH_TOKENS)
    found = [value for name, value in _members(answers) if name in known and isinstance(value, str)]
    return found[-1] if found else None


def with_refresh_token(response: Response, token: str | None, names: frozenset[str] = frozenset()) -> Response:
    """Return a token response with another refresh token, or with none; other responses stay as they are.

    `names` are further names of it, besides those of OAuth.
    """
    try:
        body = json.loads(response.body)
    except ValueError:
        return response
    if isinstance(body, dict) and (own := [name for name in body if _folded(name) in names]):
        return attrs.evolve(response, body=json.dumps({**body, **dict.fromkeys(own, token)}).encode())
    if not isinstance(body, dict) or not any(_folded(name) in ("access_token", "accesstoken") for name in body):
        return response
    camel = "accessToken" in body
    kept = {name: value for name, value in body.items() if _folded(name) not in _REFRESH_TOKENS}
    if token is not None:
        kept["refreshToken" if camel else "refresh_token"] = token
    return attrs.evolve(response, body=json.dumps(kept).encode())


def _tells_an_end(name: str, value: object) -> bool:
    """Return whether a member of an answer probably says when the credential ends, whatever the API calls it."""
    if not _ENDS.search(name) or _NOT_ITS_END.search(name) or isinstance(value, bool):
        return False
    return (isinstance(value, int | float) and value > 0) or (isinstance(value, str) and bool(_TIME.fullmatch(value)))


def _folded(name: str) -> str:
    return name.lower().replace("-", "_")


def _members(answers: list[Response]) -> Iterator[tuple[str, Any]]:
    for answer in answers:
        try:
            body = json.loads(answer.body)
        except ValueError:
            continue
        yield from _walk(body)


def _walk(value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield _folded(str(name)), member
            yield from _walk(member)
    elif isinstance(value, list):
        for member in value:
            yield from _walk(member)


def _plain(credential: Credential) -> Iterator[tuple[str, Any]]:
    for each in attrs.fields(type(credential)):
        value = getattr(credential, each.name)
        if not isinstance(value, Secret) and each.repr is not False and value is not None:
            yield each.name, value
