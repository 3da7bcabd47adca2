"""Requests of one profile: only to the hosts of its provider, and to those that its issuer names."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Self

from attrs import define, evolve, field

from freshkey._http.client import DEADLINE, send
from freshkey.model.description import Description
from freshkey.model.endpoints import host_flaw, host_of
from freshkey.model.exchange import Network, Request, Response
from freshkey.model.profile import Profile


def _lower(hosts: Iterable[str]) -> frozenset[str]:
    return frozenset(host.lower() for host in hosts)


@define(eq=False)
class SendToHosts:
    """Sends requests to the hosts that a provider names, and refuses others; see `Profile.send`.

    This is hygiene, not a sandbox: a plugin that brings its own HTTP library calls whom it wants.

    Attributes:
        hosts: Names of the hosts.
        issuer: The issuer that the profile is bound to, whose metadata may name more hosts; None if there is none.
        allow_insecure_loopback: Also send unencrypted requests to this machine, for tests.
        network: What answers in place of the hosts; None for the real network.
    """

    hosts: frozenset[str] = field(converter=_lower)
    issuer: str | None = field(default=None, kw_only=True)
    allow_insecure_loopback: bool = field(default=False, kw_only=True)
    network: Network | None = field(default=None, kw_only=True)
    # One for all copies, so that what one of them finds out counts for each. Threads add to it without a lock: adding
    # one element, and asking for one, are each a single step.
    _named_by_issuer: set[str] = field(factory=set, kw_only=True)

    @classmethod
    def of(cls, profile: Profile, description: Description, network: Network | None = None) -> Self:
        """Return what sends requests to the hosts of a description, and to those that its issuer names.

        Args:
            profile: The profile.
            description: What its provider says of it.
            network: What answers in place of these hosts; None for the real network.
        """
        return cls(
            frozenset(description.hosts),
            issuer=description.binding.get("issuer"),
            allow_insecure_loopback=profile.allow_insecure_loopback,
            network=network,
        )

    def __call__(self, request: Request, *, deadline: float = DEADLINE) -> Response:
        """Send one request; see `freshkey._http.client.send`."""
        host = host_of(request.url) or ""
        hosts = self.hosts | {host} if host in self._named_by_issuer else self.hosts
        permits = self.allow_insecure_loopback
        return send(request, deadline=deadline, allow_insecure_loopback=permits, hosts=hosts, network=self.network)

    def with_hosts(self, hosts: Collection[str]) -> SendToHosts:
        """Return a copy that also sends to these hosts.

        Raises:
            ValueError: One is not just the name of a host; see `freshkey.plugin.host_flaw`.
        """
        for flaw in filter(None, map(host_flaw, hosts)):
            raise ValueError(f"with_hosts {flaw}")
        more = _lower(hosts) - self.hosts
        return evolve(self, hosts=self.hosts | more) if more else self

    def allow(self, issuer: str, urls: Iterable[str]) -> None:
        """Also send to the hosts of URLs in the metadata of an issuer, if it is the one that the profile is bound to.

        Whoever calls it has checked that the metadata are the issuer's own, and that these hosts are its own or were
        allowed by name.
        """
        if issuer == self.issuer:
            for host in filter(None, map(host_of, urls)):
                self._named_by_issuer.add(host)


def with_send(profile: Profile, description: Description, network: Network | None = None) -> Profile:
    """Return a profile that sends requests as `SendToHosts.of` says, and waits for browsers where the network does."""
    listen = None if network is None else network.listen
    return evolve(profile, send=SendToHosts.of(profile, description, network), listen=listen)
