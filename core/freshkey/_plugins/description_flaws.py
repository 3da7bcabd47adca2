"""Whether what a provider describes can work: checked when it is loaded, and for each profile."""

from __future__ import annotations

from freshkey.model.endpoints import host_flaw
from freshkey.model.source import Source, finds_nothing


def flaw_of_hosts(hosts: object) -> str | None:
    """Return why `Description.hosts` would not allow what its author means, as a fragment to follow its name."""
    if not isinstance(hosts, tuple | list | set | frozenset):
        return f"is a {type(hosts).__name__} instead of a tuple of names, such as ('api.example',)"
    for host in hosts:
        if not isinstance(host, str):
            return f"has a {type(host).__name__} instead of the name of a host"
        if flaw := host_flaw(host):
            return flaw
    return None


def flaw_of_source(source: Source) -> str | None:
    """Return why a source cannot work as described, as a fragment to follow its ID, or None."""
    if not source.automatic:
        return None
    if not source.owned:
        return "is automatic, but not owned: set owned=True if freshkey is to store what it gets there"
    if source.interactive or source.pasted:
        return "is automatic and needs the user: remove one of automatic, interactive and pasted"
    if source.detect is finds_nothing:
        return "is automatic, but has no detect: without one it would never be used"
    return None
