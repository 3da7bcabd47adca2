"""Requests of one profile go only to the hosts of its provider."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from freshkey._http.bound import SendToHosts
from freshkey.errors import ConfigurationError, FreshkeyError, ProviderRefused
from freshkey.model.exchange import BoundSend, Request
from freshkey.model.profile import Profile
from freshkey_testing import AuthorizationServer


def test_only_the_named_hosts_are_called() -> None:
    with pytest.raises(ProviderRefused) as failure:
        SendToHosts(["api.example"])(Request(method="GET", url="https://other.example/"))
    assert failure.value.code == "host-not-allowed"


def test_http_to_this_machine_needs_the_permission_of_the_profile() -> None:
    with AuthorizationServer() as server:
        request = Request(method="GET", url=server.urls.resource)
        with pytest.raises(ConfigurationError):
            SendToHosts(["127.0.0.1"])(request)
        assert not server.log
        SendToHosts(["127.0.0.1"], allow_insecure_loopback=True)(request)
        assert server.count("bearer.refused") == 1


def test_a_profile_that_was_made_by_hand_cannot_send(tmp_path: Path) -> None:
    profile = Profile(name="me", provider="mine", settings=None, state_dir=tmp_path)
    with pytest.raises(ConfigurationError) as failure:
        profile.send(Request(method="GET", url="https://api.example/"))
    assert failure.value.code == "profile-cannot-send"


ISSUER = "https://id.example"


def tried(send: BoundSend, host: str) -> str:
    """Return the code of the error that a request to a host ends with; ``connection-failed`` if it was allowed."""
    with pytest.raises(FreshkeyError) as failure:
        send(Request(method="GET", url=f"https://{host}/"))
    return failure.value.code


@pytest.fixture(autouse=True)
def nothing_resolves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names do not exist; addresses do."""
    resolve = socket.getaddrinfo

    def no_names(host: str, *more: Any, **options: Any) -> Any:
        if host.endswith("example"):
            raise OSError(host)
        return resolve(host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", no_names)


def test_hosts_are_compared_without_case() -> None:
    assert tried(SendToHosts(["API.example"]), "api.Example") == "connection-failed"


def test_only_the_bound_issuer_names_more_hosts() -> None:
    send = SendToHosts(["id.example"], issuer=ISSUER)
    send.allow("https://other.example", ["https://evil.example/token"])
    assert tried(send, "evil.example") == "host-not-allowed"
    SendToHosts(["id.example"]).allow(ISSUER, ["https://evil.example/token"])
    assert tried(send, "evil.example") == "host-not-allowed"

    send.allow(ISSUER, ["https://tokens.example/token"])
    assert tried(send, "tokens.example") == "connection-failed"


def test_what_a_copy_finds_out_counts_for_all() -> None:
    send = SendToHosts(["id.example"], issuer=ISSUER)
    copy = send.with_hosts(["extra.example"])
    copy.allow(ISSUER, ["https://tokens.example/token"])
    assert tried(send, "tokens.example") == "connection-failed"
    assert tried(send, "extra.example") == "host-not-allowed"
    assert tried(copy, "extra.example") == "connection-failed"


def test_what_is_no_host_is_refused_where_it_is_written() -> None:
    with pytest.raises(ValueError, match=r"with_hosts has 'extra\.example:8443', which has a port: write 'extra"):
        SendToHosts(["id.example"]).with_hosts(["extra.example", "extra.example:8443"])


def test_an_error_says_what_an_author_does() -> None:
    with pytest.raises(ProviderRefused) as failure:
        SendToHosts(["id.example"])(Request(method="GET", url="https://elsewhere.example/"))
    assert "Description.hosts" in str(failure.value.hint)
