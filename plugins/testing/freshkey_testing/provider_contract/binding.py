"""Checks that the secrets of a stored credential reach only hosts that its sign-in is bound to."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import attrs
import pytest

from freshkey import Credential, Description, Profile
from freshkey._plugins.hook_caller import HookCaller
from freshkey.errors import FreshkeyError
from freshkey.plugin import LoggingReporter
from freshkey_testing.provider_contract.kit import ProviderKit
from freshkey_testing.provider_contract.probes import caught
from freshkey_testing.secret_scan import leaks, secrets_of


_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_ELSEWHERE: Final = "moved.freshkey.example"


class Bound(ProviderKit):
    """Checks of ``refresh``, ``revoke`` and ``describe`` with a stored credential."""

    def test_secrets_reach_only_the_hosts_of_the_description(
        self, hooks: HookCaller, profile: Profile, held: Credential, description: Description
    ) -> None:
        """A request with a secret of a stored credential goes only to hosts in ``Description.hosts``.

        A stored sign-in is bound to them: a host that is not listed could be changed in the configuration, and would
        then get the refresh token.
        """
        reached = _reached(hooks, profile, held, description)
        odd = sorted(reached - {host.lower() for host in description.hosts})
        assert not odd, f"a secret of the credential was sent to {', '.join(odd)}, which is not in Description.hosts"

    def test_settings_that_are_not_bound_move_no_secret(
        self, hooks: HookCaller, profile: Profile, held: Credential
    ) -> None:
        """A setting with ``metadata={"bound": False}`` does not decide where a secret of a stored credential is sent.

        Remove the mark from the one that the failure names: then a change of it asks for a new sign-in.
        """
        kind: type = type(profile.settings)
        for each in attrs.fields(kind) if attrs.has(kind) else ():
            if each.metadata.get("bound", True) is not False:
                continue
            for value in (f"https://{_ELSEWHERE}/x", _ELSEWHERE, (f"https://{_ELSEWHERE}/x",)):
                moved = _with(profile, each.name, value)
                if moved is None:
                    continue
                reached = _reached(hooks, moved, held, hooks.describe(moved))
                assert _ELSEWHERE not in reached, f"{each.name} is not bound, and a secret was sent to where it points"


def _with(profile: Profile, name: str, value: object) -> Profile | None:
    """Return the profile with another setting; None if it refuses the value."""
    settings: Any = profile.settings
    try:
        return attrs.evolve(profile, settings=attrs.evolve(settings, **{name: value}))
    except (FreshkeyError, TypeError, ValueError, AttributeError):
        return None


def _reached(hooks: HookCaller, profile: Profile, held: Credential, description: Description) -> set[str]:
    """Return the hosts to which a secret was sent while the credential was checked, renewed and revoked."""
    secrets = secrets_of(held)
    with _watched() as sent:
        caught(lambda: hooks.inspect(profile, held))
        if held.renewable:
            caught(lambda: hooks.refresh(profile, held, LoggingReporter()))
        caught(lambda: hooks.revoke(description, profile, held))
    return {host.lower() for host, text in sent if leaks(text, secrets)}


@contextmanager
def _watched() -> Iterator[list[tuple[str, str]]]:
    """Record host and text of each request; only loopback, where a test runs its server, is really reached."""
    import httpx

    sent: list[tuple[str, str]] = []
    hand_over: Callable[..., httpx.Response] = httpx.HTTPTransport.handle_request
    write: Callable[..., None] = http.client.HTTPConnection.send

    def handle_request(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        head = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
        sent.append((request.url.host, f"{request.url}\n{head}\n{request.read().decode('utf-8', 'replace')}"))
        if request.url.host not in _LOOPBACK:
            raise httpx.ConnectError("blocked by the contract kit", request=request)
        return hand_over(transport, request)

    def send(connection: http.client.HTTPConnection, data: Any) -> None:  # noqa: ANN401  bytes, files or iterables
        if isinstance(data, bytes):
            sent.append((_tunnel(connection) or connection.host, data.decode("utf-8", "replace")))
        if connection.host not in _LOOPBACK:
            raise ConnectionRefusedError("blocked by the contract kit")
        write(connection, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.HTTPTransport, "handle_request", handle_request)
        patch.setattr(http.client.HTTPConnection, "send", send)
        yield sent


def _tunnel(connection: http.client.HTTPConnection) -> str | None:
    return getattr(connection, "_tunnel_host", None)
