"""Google's client libraries and AnthropicVertex with a keeper's credentials, which outlive token expiry."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from anthropic import AnthropicVertex, AsyncAnthropicVertex
from attrs import define, evolve, field
from google.auth.credentials import CredentialsWithQuotaProject, TokenState
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import AuthorizedSession
from google.cloud import storage

from freshkey import Keeper
from freshkey.clock import SYSTEM
from freshkey.errors import FreshkeyError, LoginRequired, OutcomeUnknown, ProviderRefused, TransientError
from freshkey.model.credential import ApiKey, Credential
from freshkey.secret import Secret
from freshkey_testing import ManualClock
from freshkey_vertex import google_credentials
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.sdk import KeeperCredentials
from google_cloud import GoogleCloud


TOKEN = GoogleCredential(
    obtained=SYSTEM.now(),
    lifetime=3600.0,
    access_token=Secret("ya29.canary-1"),
    kind="user",
    project="demo-project",
    quota_project="payer",
)
NEWER = evolve(TOKEN, access_token=Secret("ya29.canary-2"))
MESSAGES = [{"role": "user", "content": "hello"}]


@define
class Answers:
    """A `CredentialSource` with scripted results that records how it was called."""

    script: list[Credential | FreshkeyError]
    asked: list[Credential | None] = field(factory=list)

    def get(self, profile: str | None = None, *, min_ttl: float = 0.0, refused: Credential | None = None) -> Credential:
        assert profile == "work"
        self.asked.append(refused)
        answer = self.script.pop(0)
        if isinstance(answer, FreshkeyError):
            raise answer
        return answer

    async def aget(
        self, profile: str | None = None, *, min_ttl: float = 0.0, refused: Credential | None = None
    ) -> Credential:
        return self.get(profile, min_ttl=min_ttl, refused=refused)


def applied(credentials: CredentialsWithQuotaProject) -> dict[str, str]:
    headers: dict[str, str] = {}
    credentials.before_request(None, "GET", "https://example.com/", headers)
    return headers


# --- the google-auth contract -----------------------------------------------------------------------------------------


def test_google_auth_is_not_imported_before_a_token_is_fetched() -> None:
    program = (
        "import json, sys, freshkey, freshkey_vertex, freshkey_vertex.description;"
        "freshkey_vertex.describe(profile=None, credential=None);"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(json.loads(done.stdout))
    assert "freshkey_vertex.sources" in loaded
    assert not [name for name in loaded if name.split(".")[0] in {"google", "requests", "httpx", "cryptography"}]


def test_plugin_needs_no_libraries_of_other_providers() -> None:
    program = (
        "import sys\n"
        "for name in ('anthropic', 'boto3', 'botocore', 'grpc', 'urllib3.contrib', 'freshkey_bedrock'):\n"
        "    sys.modules[name] = None\n"
        "from freshkey_vertex import google_auth, fetch_token, metadata, signin, renewal\n"
        "from freshkey_vertex import adc, impersonation, inspection, signout, sources, sdk\n"
        "from google.auth.compute_engine import _metadata\n"
        "from google.auth import aws, identity_pool, pluggable, impersonated_credentials\n"
    )
    subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)


def test_each_request_uses_the_keepers_credential() -> None:
    source = Answers([TOKEN, NEWER])
    credentials = google_credentials(source, "work")
    assert applied(credentials) == {"authorization": "Bearer ya29.canary-1", "x-goog-user-project": "payer"}
    assert applied(credentials)["authorization"] == "Bearer ya29.canary-2"
    assert source.asked == [None, None]


def test_refresh_sets_token_expiry_and_quota_project() -> None:
    credentials = google_credentials(Answers([TOKEN]), "work")
    assert (credentials.token, credentials.token_state) == (None, TokenState.INVALID)
    credentials.refresh(None)
    assert (credentials.token, credentials.quota_project_id) == ("ya29.canary-1", "payer")
    assert credentials.token_state is TokenState.FRESH
    assert credentials.expiry is not None
    assert credentials.expiry.tzinfo is None
    assert credentials.expiry.replace(tzinfo=UTC) == TOKEN.expires_at
    assert credentials.expiry > datetime.now(UTC).replace(tzinfo=None)


def test_expired_checks_the_keeper_again_after_a_second(clock: ManualClock) -> None:
    source = Answers([TOKEN, NEWER])
    credentials = KeeperCredentials(source, "work", elapsed=clock.elapsed)
    credentials.refresh(None)
    clock.advance(1.0)
    assert (credentials.valid, credentials.token) == (True, "ya29.canary-1")
    clock.advance(0.1)
    assert (credentials.valid, credentials.expired) == (False, True)
    assert credentials.token_state is TokenState.FRESH
    credentials.refresh(None)
    assert (credentials.valid, credentials.token) == (True, "ya29.canary-2")
    assert source.asked == [None, None]


def test_wall_clock_that_was_set_forward_does_not_end_a_token() -> None:
    """google-auth compares nothing but the wall clock; freshkey still serves the token within one boot."""
    clock = ManualClock(wall=datetime.now(UTC).timestamp())
    token = evolve(TOKEN, obtained=clock.now(), lifetime=3600.0, clock=clock)
    credentials = KeeperCredentials(Answers([token]), "work")
    clock.step_wall(7200)
    credentials.refresh(None)
    assert credentials.expiry is not None
    assert credentials.expiry.replace(tzinfo=UTC).timestamp() == pytest.approx(clock.now().wall + 3600)


def test_token_close_to_expiry_counts_as_expired() -> None:
    credentials = google_credentials(Answers([evolve(TOKEN, obtained=SYSTEM.now(), lifetime=200.0)]), "work")
    credentials.refresh(None)
    assert (credentials.expired, credentials.token_state) == (True, TokenState.STALE)


def test_token_without_expiry_stays_fresh() -> None:
    credentials = google_credentials(Answers([evolve(TOKEN, lifetime=None)]), "work")
    credentials.refresh(None)
    assert (credentials.expiry, credentials.token_state) == (None, TokenState.FRESH)


def test_quota_project_can_be_overridden() -> None:
    other = google_credentials(Answers([TOKEN]), "work").with_quota_project("other-payer")
    assert applied(other)["x-goog-user-project"] == "other-payer"
    assert other.quota_project_id == "other-payer"


def test_header_is_omitted_without_a_quota_project() -> None:
    credentials = google_credentials(Answers([evolve(TOKEN, quota_project=None)]), "work")
    assert applied(credentials) == {"authorization": "Bearer ya29.canary-1"}


def test_refresh_after_a_request_reports_the_token_as_refused() -> None:
    source = Answers([TOKEN, NEWER, NEWER, NEWER])
    credentials = google_credentials(source, "work")
    applied(credentials)
    credentials.refresh(None)
    assert credentials.token == "ya29.canary-2"
    credentials.refresh(None)
    applied(credentials)
    assert source.asked == [None, TOKEN, None, None]


@pytest.mark.parametrize("kind", [TransientError, OutcomeUnknown, ProviderRefused])
def test_refused_token_is_kept_if_there_is_no_newer_one(kind: type[FreshkeyError]) -> None:
    credentials = google_credentials(Answers([TOKEN, kind("not now")]), "work")
    applied(credentials)
    credentials.refresh(None)
    assert credentials.token == "ya29.canary-1"


@pytest.mark.parametrize(
    ("error", "retryable"), [(TransientError("no route"), True), (LoginRequired("sign in", hint="Run: x"), False)]
)
def test_failures_are_raised_as_refresh_errors(error: FreshkeyError, retryable: bool) -> None:
    with pytest.raises(RefreshError) as caught:
        applied(google_credentials(Answers([error]), "work"))
    assert error.message in str(caught.value)
    assert caught.value.__cause__ is error
    assert caught.value.retryable is retryable


def test_credential_of_another_provider_is_not_sent() -> None:
    key = ApiKey(obtained=SYSTEM.now(), key=Secret("canary"))
    with pytest.raises(RefreshError) as caught:
        applied(google_credentials(Answers([key]), "work"))
    assert "'work'" in str(caught.value)
    assert "canary" not in str(caught.value)


# --- real clients -----------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(cloud: GoogleCloud, write_file: Callable[..., Path], keeper: Callable[..., Keeper]) -> Keeper:
    """Return a keeper for a user's sign-in whose tokens expire after three seconds."""
    cloud.lifetime = 3
    return keeper(credentials_file=str(write_file(cloud.authorized_user())), quota_project="payer")


def requests_to(cloud: GoogleCloud, path: str) -> list[tuple[str, str | None]]:
    """Return the token and quota project of each request to the API."""
    return [
        (one.headers["authorization"], one.headers.get("x-goog-user-project"))
        for one in cloud.seen
        if one.path.startswith(path)
    ]


def test_authorized_session_outlives_token_expiry(cloud: GoogleCloud, kept: Keeper) -> None:
    with AuthorizedSession(google_credentials(kept, "work")) as session:
        while len(set(requests_to(cloud, "/v1/models"))) < 3:
            assert session.get(cloud.at("/v1/models"), timeout=10).status_code == 200
            time.sleep(0.2)
    assert {payer for _, payer in requests_to(cloud, "/v1/models")} == {"payer"}


def test_google_client_library_outlives_token_expiry(cloud: GoogleCloud, kept: Keeper) -> None:
    client = storage.Client(
        project="my-project",
        credentials=google_credentials(kept, "work"),
        client_options={"api_endpoint": cloud.at("")},
    )
    while len(set(requests_to(cloud, "/storage/v1/b"))) < 3:
        assert list(client.list_buckets(timeout=10, retry=None)) == []
        time.sleep(0.2)
    assert {payer for _, payer in requests_to(cloud, "/storage/v1/b")} == {"payer"}
    assert cloud.count("/token", grant_type="refresh_token") >= 3


def test_authorized_session_outlives_token_revocation(
    cloud: GoogleCloud, kept: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = google_credentials(kept, "work")
    with AuthorizedSession(credentials) as session:
        assert session.get(cloud.at("/v1/models"), timeout=10).status_code == 200
        time.sleep(1.1)  # a keeper does not replace a token that it has only just received
        cloud.end_all()
        assert session.get(cloud.at("/v1/models"), timeout=10).status_code == 200
    tokens = [token for token, _ in requests_to(cloud, "/v1/models")]
    assert len(tokens) == 3
    assert len(set(tokens)) == 2


def test_anthropic_vertex_outlives_token_expiry(cloud: GoogleCloud, kept: Keeper) -> None:
    with AnthropicVertex(
        credentials=google_credentials(kept, "work"),
        region="europe-west1",
        project_id="demo-project",
        base_url=cloud.at("/v1"),
        default_headers={"x-goog-user-project": "payer"},
        max_retries=0,
    ) as client:
        while len(set(requests_to(cloud, "/v1/projects/"))) < 3:
            answer = client.messages.create(model="claude-sonnet-5", max_tokens=10, messages=MESSAGES)  # type: ignore[arg-type]  # a literal
            assert answer.content[0].type == "text"
            assert answer.content[0].text == "hello ada@example.com"
            time.sleep(0.2)
    sent = requests_to(cloud, "/v1/projects/demo-project/locations/europe-west1/publishers/anthropic/")
    assert len(sent) == len(requests_to(cloud, "/v1/projects/"))
    assert {payer for _, payer in sent} == {"payer"}


def test_anthropic_vertex_works_in_an_event_loop(cloud: GoogleCloud, kept: Keeper) -> None:
    async def ask() -> set[str]:
        async with AsyncAnthropicVertex(
            credentials=google_credentials(kept, "work"),
            region="global",
            project_id="demo-project",
            base_url=cloud.at("/v1"),
            max_retries=0,
        ) as client:
            asked = [
                client.messages.create(model="claude-sonnet-5", max_tokens=10, messages=MESSAGES)  # type: ignore[arg-type]  # a literal
                for _ in range(5)
            ]
            return {answer.id for answer in await asyncio.gather(*asked)}

    assert asyncio.run(ask()) == {"m"}


FORKING = """
import os, signal, threading, time, warnings
from freshkey.clock import SYSTEM
from freshkey.secret import Secret
from freshkey_vertex import google_credentials
from freshkey_vertex.formats import GoogleCredential

warnings.simplefilter("ignore")
now = SYSTEM.now()
token = GoogleCredential(obtained=now, lifetime=3600.0, access_token=Secret("t"), kind="user", project="demo-project")

class Source:
    def get(self, profile, *, min_ttl=0.0, refused=None):
        return token

credentials = google_credentials(Source(), "work")

def ask():
    credentials.before_request(None, "GET", "https://example.com/", {})
    credentials.refresh(None)

def ask_on():
    while True:
        ask()

ask()
for _ in range(3):
    threading.Thread(target=ask_on, daemon=True).start()
for _ in range(40):
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        ask()
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print("a child hangs", flush=True)
        os._exit(1)
print("all children asked", flush=True)
os._exit(0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_child_forked_during_a_request_can_send_requests() -> None:
    done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "all children asked\n", done.stderr


def test_many_threads_share_one_refresh(cloud: GoogleCloud, kept: Keeper) -> None:
    cloud.lifetime, cloud.delay = 3600, 0.3
    credentials = google_credentials(kept, "work")
    answers: list[int] = []

    def ask() -> None:
        with AuthorizedSession(credentials) as session:
            answers.append(session.get(cloud.at("/v1/models"), timeout=30).status_code)

    threads = [threading.Thread(target=ask) for _ in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 25
    assert cloud.count("/token") == 1
