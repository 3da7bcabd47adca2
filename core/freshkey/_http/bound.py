"""Requests of one profile: only to the hosts of its provider."""

from __future__ import annotations

from attrs import field, frozen

from freshkey._http.client import DEADLINE, send
from freshkey.model.exchange import Request, Response


@frozen
class SendToHosts:
    """Sends requests to the hosts that a provider names, and refuses others; see `Profile.send`.

    This is hygiene, not a sandbox: a plugin that brings its own HTTP library calls whom it wants.

    Attributes:
        hosts: Names of the hosts.
        allow_insecure_loopback: Also send unencrypted requests to this machine, for tests.
    """

    hosts: frozenset[str]
    allow_insecure_loopback: bool = field(default=False, kw_only=True)

    def __call__(self, request: Request, *, deadline: float = DEADLINE) -> Response:
        """Send one request; see `freshkey._http.client.send`."""
        return send(request, deadline=deadline, allow_insecure_loopback=self.allow_insecure_loopback, hosts=self.hosts)
