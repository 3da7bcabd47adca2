"""The identity of a Google Cloud machine: used only if indicated; a missing server is detected in a second."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator

import pytest

from freshkey import Configuration, Keeper
from freshkey.clock import SystemClock
from freshkey.errors import LoginRequired, ProtocolError, ProviderRefused, TransientError
from freshkey.model.exchange import Request
from freshkey.model.profile import Profile
from freshkey_vertex import metadata, metadata_http
from freshkey_vertex.formats import GoogleCredential
from google_cloud import MACHINE, TARGET, GoogleCloud
from loopback_server import Exchange, LoopbackServer
from raises_code import raises_code
from sockets import stop_listening


MakeProfile = Callable[..., Profile]
Take = Callable[..., GoogleCredential]
INFO = "/computeMetadata/v1/instance/service-accounts/default/"
PROJECT = "/computeMetadata/v1/project/project-id"


class BlackHole:
    """A server that accepts all connections and never responds."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._swallow, daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def _swallow(self) -> None:
        try:
            while True:
                self.connections.append(self._socket.accept()[0])
        except OSError:
            return

    def close(self) -> None:
        stop_listening(self._socket)
        for one in self.connections:
            one.close()


@pytest.fixture
def black_hole(monkeypatch: pytest.MonkeyPatch) -> Iterator[BlackHole]:
    from google.auth.compute_engine import _metadata

    hole = BlackHole()
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", hole.host)
    yield hole
    hole.close()


class Impostor(LoopbackServer):
    """A server that claims to be a metadata server and responds to everything with the same body."""

    body = b""
    kind: str | None = "application/json"

    def serve(self, exchange: Exchange) -> None:
        kind = {"Content-Type": self.kind} if self.kind else {}
        exchange.answer(200, self.body, {"Metadata-Flavor": "Google", **kind})


@pytest.fixture
def impostor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Impostor]:
    from google.auth.compute_engine import _metadata

    with Impostor() as server:
        monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", f"127.0.0.1:{server.port}")
        yield server


# --- detection --------------------------------------------------------------------------------------------------------


def test_nothing_indicates_a_metadata_server(make_profile: MakeProfile) -> None:
    assert metadata.detect(make_profile()) is None


@pytest.mark.parametrize("name", metadata.VARIABLES)
def test_environment_indicates_a_metadata_server(
    make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "somewhere")
    seen = metadata.detect(make_profile())
    assert seen is not None
    assert seen.origin == f"metadata server (environment variable {name})"
    assert metadata.detect(make_profile(on_google_cloud=False)) is None
    monkeypatch.setenv("NO_GCE_CHECK", "True")
    assert metadata.detect(make_profile()) is None


def test_setting_indicates_a_metadata_server(make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    seen = metadata.detect(make_profile(on_google_cloud=True))
    assert seen is not None
    assert seen.origin == "metadata server (setting on_google_cloud)"


def test_server_is_not_contacted_without_an_indication(black_hole: BlackHole, keeper: Callable[..., Keeper]) -> None:
    with raises_code(LoginRequired, "no-credential-found"):
        keeper().get("work")
    assert black_hole.connections == []


# --- on a Google Cloud machine ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("machine")
def test_account_and_project_of_the_machine(cloud: GoogleCloud, make_profile: MakeProfile, take: Take) -> None:
    credential = take(make_profile(project=None), "metadata")
    assert cloud.tokens[credential.access_token.reveal()].whose == MACHINE
    assert (credential.project, credential.identity.email) == ("machine-project", MACHINE)
    assert (credential.kind, credential.lead) == ("service account", 225.0)
    assert credential.lifetime is not None
    assert 3590 < credential.lifetime <= 3600
    assert {one.headers.get("metadata-flavor") for one in cloud.seen} == {"Google"}


@pytest.mark.usefixtures("machine")
def test_machine_can_impersonate_a_service_account(cloud: GoogleCloud, make_profile: MakeProfile, take: Take) -> None:
    cloud.may_impersonate.add((MACHINE, TARGET))
    credential = take(make_profile(impersonate=TARGET), "metadata")
    assert cloud.tokens[credential.access_token.reveal()].whose == TARGET
    assert not [one.path for one in cloud.seen if "universe" in one.path]


@pytest.mark.usefixtures("machine")
def test_machine_without_a_service_account(cloud: GoogleCloud, make_profile: MakeProfile, take: Take) -> None:
    cloud.failures[INFO] = [(404, {"text": "not found"})]
    with raises_code(ProviderRefused, "vertex-no-service-account") as caught:
        take(make_profile(), "metadata")
    assert caught.value.found_here


@pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found", b"503 Busy"])
def test_server_that_responds_without_the_header_is_not_the_metadata_server(
    make_profile: MakeProfile, take: Take, monkeypatch: pytest.MonkeyPatch, status: bytes
) -> None:
    from google.auth.compute_engine import _metadata

    with answering(b"HTTP/1.1 " + status + b"\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n") as host:
        monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", host)
        with raises_code(TransientError, "vertex-metadata-server-unavailable"):
            take(make_profile(), "metadata")


@pytest.mark.usefixtures("machine")
def test_machine_without_a_project(cloud: GoogleCloud, make_profile: MakeProfile, take: Take) -> None:
    cloud.failures[PROJECT] = [(404, {"text": "not found"})]
    assert take(make_profile(), "metadata").project == "demo-project"


@pytest.mark.usefixtures("machine")
def test_busy_server_is_contacted_once(cloud: GoogleCloud, make_profile: MakeProfile, take: Take) -> None:
    cloud.failures[INFO] = [(503, {"text": "later"})]
    with raises_code(TransientError, "server-unavailable"):
        take(make_profile(), "metadata")
    assert cloud.count("/computeMetadata") == 1


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("path", [INFO, f"{INFO}token"])
@pytest.mark.parametrize("status", [503, 500, 408, 429])
def test_server_that_fails_has_probably_not_started(
    cloud: GoogleCloud, make_profile: MakeProfile, take: Take, path: str, status: int
) -> None:
    cloud.failures[path] = [(status, {"text": "later"})]
    cloud.retry_after = "7"
    with raises_code(TransientError, "server-unavailable") as caught:
        take(make_profile(), "metadata")
    assert isinstance(caught.value, TransientError)
    assert (caught.value.local, caught.value.starting, caught.value.retry_after) == (True, status != 429, 7.0)


# --- without a metadata server ----------------------------------------------------------------------------------------


class Hurried(SystemClock):
    """A clock that does not wait, and does something else instead."""

    def __init__(self, instead: Callable[[], object]) -> None:
        self._instead = instead

    def wait(self, event: threading.Event, timeout: float) -> bool:
        """Do it."""
        if threading.current_thread().name.startswith("freshkey renewal"):
            self._instead()
            return event.is_set()
        return super().wait(event, timeout)


@pytest.mark.parametrize("pauses", [2, 12])
def test_server_that_starts_later_than_the_program_is_found_by_the_first_caller(
    configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch, pauses: int
) -> None:
    from google.auth.compute_engine import _metadata

    waits: list[int] = []
    with GoogleCloud() as late, socket.create_server(("127.0.0.1", 0)) as reserved:
        absent = f"127.0.0.1:{reserved.getsockname()[1]}"
        reserved.close()  # from now on, connections to it are refused
        monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", absent)

        def start_at_the_last_wait() -> None:
            waits.append(1)
            if len(waits) == pauses:
                monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", late.host)

        configure(on_google_cloud=True)
        clock = Hurried(start_at_the_last_wait)
        with Keeper(configuration=Configuration.load(os.environ), clock=clock) as keeper:
            assert keeper.get("work").identity.email == MACHINE
    assert len(waits) == pauses


def test_server_that_never_responds_may_not_have_started(
    black_hole: BlackHole, make_profile: MakeProfile, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "METADATA_TIMEOUT", 0.3)
    with raises_code(TransientError, "vertex-metadata-server-unavailable") as caught:
        take(make_profile(on_google_cloud=True), "metadata")
    assert len(black_hole.connections) == 1
    assert black_hole.host in caught.value.message
    assert 'skip = ["metadata"]' in str(caught.value.hint)
    assert isinstance(caught.value, TransientError)
    assert (caught.value.local, caught.value.starting) == (True, True)


def test_timeout_of_a_server_that_responded_before_is_temporary(
    make_profile: MakeProfile, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.auth.compute_engine import _metadata

    with GoogleCloud() as early:
        monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", early.host)
        take(make_profile(), "metadata")
    with raises_code(TransientError, "vertex-metadata-server-unavailable") as caught:
        take(make_profile(), "metadata")
    assert "127.0.0.1" in str(caught.value)
    assert isinstance(caught.value, TransientError)
    assert caught.value.starting, "it restarts, as on a node whose agent is updated"


def test_server_that_responded_before_gets_more_than_a_second(
    black_hole: BlackHole, make_profile: MakeProfile, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "METADATA_TIMEOUT", 60.0)
    monkeypatch.setattr(metadata, "DEADLINE", 0.3)
    monkeypatch.setattr(metadata, "_answered", {black_hole.host})
    with raises_code(TransientError, "vertex-metadata-server-unavailable"):
        take(make_profile(), "metadata")


# --- a single request -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def answering(answer: bytes, *, drip: float = 0.0) -> Iterator[str]:
    """Run a server that responds to each connection with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with server.accept()[0] as connection, contextlib.suppress(OSError):
                        connection.recv(65536)
                        for part in [bytes([byte]) for byte in answer] if drip else [answer]:
                            connection.sendall(part)
                            time.sleep(drip)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        stop_listening(server)


def exchange(answer: bytes, *, drip: float = 0.0) -> int:
    """Send a request to a server that responds with these bytes, and return the status."""
    with answering(answer, drip=drip) as host:
        return metadata_http.exchange(Request(method="GET", url=f"http://{host}/a?b=c"), deadline=0.5).status


def test_response_is_returned_whatever_its_status() -> None:
    assert exchange(b"HTTP/1.1 418 no\r\nContent-Length: 0\r\n\r\n") == 418


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 302 elsewhere\r\nLocation: http://example.com\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 ok\r\n\r\n" + b"x" * (metadata_http.MAX_BYTES + 1),
    ],
    ids=["redirect", "too much"],
)
def test_redirects_and_large_responses_are_refused(answer: bytes) -> None:
    with raises_code(ProtocolError, "invalid-response"):
        exchange(answer)


@pytest.mark.parametrize("answer", [b"", b"no HTTP at all\r\n\r\n"], ids=["nothing", "nonsense"])
def test_response_that_is_not_http(answer: bytes) -> None:
    with raises_code(TransientError, "vertex-metadata-server-unavailable"):
        exchange(answer)


def test_slow_bytes_do_not_extend_the_timeout() -> None:
    with raises_code(TransientError, "vertex-metadata-server-unavailable"):
        exchange(b"HTTP/1.1 200 ok\r\nContent-Length: 0\r\n\r\n", drip=0.2)


KEY = "hT7-kkq9-Zr4vB2xLp8QwNn3"  # in the place of a host

# --- invalid responses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", ["127.0.0.1:99999", "127.0.0.1:abc", "[::1", "a b", "ada@127.0.0.1:1", KEY])
def test_invalid_server_address_counts_as_no_server(
    make_profile: MakeProfile, take: Take, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    from google.auth.compute_engine import _metadata

    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", server)
    with raises_code(TransientError, "vertex-metadata-server-unavailable") as caught:
        take(make_profile(), "metadata")
    assert KEY not in caught.value.message


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", None),
        (b"canary", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"[" * 60000, "application/json"),
        (b'{"email": 3}', "application/json"),
        (b'{"email": "a\\u001b[2J\\nb", "access_token": "canary", "expires_in": 3600}', "application/json"),
    ],
)
def test_unreadable_account_counts_as_missing(
    make_profile: MakeProfile, take: Take, impostor: Impostor, body: bytes, kind: str | None
) -> None:
    impostor.body, impostor.kind = body, kind
    with raises_code(ProviderRefused, "vertex-no-service-account") as caught:
        take(make_profile(), "metadata")
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_token_that_cannot_be_sent_is_refused(make_profile: MakeProfile, take: Take, impostor: Impostor) -> None:
    impostor.body = b'{"email": "a@example.com", "access_token": "canary\\r\\nx: y", "expires_in": 3600}'
    with raises_code(ProtocolError, "invalid-response") as caught:
        take(make_profile(), "metadata")
    assert "a@example.com" in str(caught.value)
    assert "canary" not in str(caught.value)
