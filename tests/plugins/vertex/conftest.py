"""A fake Google Cloud on loopback, and profiles that use it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from freshkey import Configuration, Keeper
from freshkey.clock import SYSTEM, Clock
from freshkey.model.credential import Credential
from freshkey.model.interaction import Interaction, NonInteractive
from freshkey.model.profile import Profile
from freshkey_testing import ManualClock, ScriptedUser
from freshkey_testing.browser import follow
from freshkey_vertex import env_token, metadata
from freshkey_vertex.description import description
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.settings import VertexSettings
from freshkey_vertex.signin import sign_in
from freshkey_vertex.sources import acquire
from google_cloud import CLIENT_ID, CLIENT_SECRET, TARGET, GoogleCloud
from sending import sending


MakeProfile = Callable[..., Profile]
WriteFile = Callable[..., Path]
Take = Callable[..., GoogleCredential]

GOOGLES = ("GOOGLE_", "GCLOUD_", "CLOUDSDK_", "GCE_", "ANTHROPIC_", "CLOUD_", "K_", "GAE_", "NO_GCE_CHECK")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(GOOGLES)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setattr(env_token, "_first_seen", {})
    monkeypatch.setattr(metadata, "_answered", set())
    if sys.platform == "win32":  # tests run Python as a program, which may be in the checkout: a project's program
        (tmp_path / "working").mkdir()
        monkeypatch.chdir(tmp_path / "working")


@pytest.fixture
def cloud() -> Iterator[GoogleCloud]:
    with GoogleCloud() as running:
        yield running


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def write_file(tmp_path: Path) -> WriteFile:
    """Return a function that writes a credentials file and returns its path."""

    def write(members: object, name: str = "key.json") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(members if isinstance(members, str) else json.dumps(members), "utf-8", newline="")
        return path

    return write


@pytest.fixture
def make_profile(tmp_path: Path, cloud: GoogleCloud) -> MakeProfile:
    def make(*, clock: Clock = SYSTEM, **settings: Any) -> Profile:
        wanted = {**cloud.settings(client_id=None), **settings}
        insecure = wanted.pop("allow_insecure_loopback")
        given_secret = {"client_secret": _secret()} if wanted["client_id"] else {}
        made = Profile(
            name="work",
            provider="vertex",
            settings=VertexSettings(**{**given_secret, **wanted}),
            state_dir=tmp_path,
            allow_insecure_loopback=insecure,
            clock=clock,
        )
        return sending(made, description)

    return make


def _secret() -> object:
    from freshkey.secret import Secret

    return Secret(CLIENT_SECRET)


@pytest.fixture
def take() -> Take:
    """Return a function that acquires a credential from a source by its id."""

    def run(profile: Profile, source_id: str, interaction: Interaction | None = None, **more: Any) -> Credential:
        source = description(profile).source(source_id)
        assert source is not None
        return acquire(profile, source, interaction or NonInteractive(profile.name), **more)

    return run  # type: ignore[return-value]  # of this provider


@pytest.fixture
def signed_in_now(make_profile: MakeProfile) -> GoogleCredential:
    with ScriptedUser(browser=follow) as user:
        return sign_in(make_profile(client_id=CLIENT_ID), user)


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cloud: GoogleCloud) -> Callable[..., None]:
    """Return a function that writes the profile ``work`` to ``config.toml``, for keepers and the command line."""

    def write(**settings: Any) -> None:
        folder = tmp_path / "config"
        folder.mkdir(exist_ok=True, mode=0o700)
        wanted = {"store": "file", **cloud.settings(), **settings}
        lines = ['default = "work"', "[profiles.work]", 'provider = "vertex"']
        lines += [f"{name} = {json.dumps(value)}" for name, value in wanted.items()]
        (folder / "config.toml").write_text("\n".join(lines) + "\n", "utf-8")
        monkeypatch.setenv("FRESHKEY_CONFIG_DIR", str(folder))
        monkeypatch.setenv("FRESHKEY_STATE_DIR", str(tmp_path / "state"))

    return write


@pytest.fixture
def keeper(configure: Callable[..., None]) -> Iterator[Callable[..., Keeper]]:
    """Return a function that creates a keeper for the profile ``work`` with these settings."""
    made: list[Keeper] = []

    def make(**settings: Any) -> Keeper:
        configure(**settings)
        made.append(Keeper(configuration=Configuration.load(os.environ)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, cloud: GoogleCloud) -> None:
    """Pretend to be a Google Cloud machine; google-auth read the environment variable at import."""
    from google.auth.compute_engine import _metadata

    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", cloud.host)
    monkeypatch.setenv("GCE_METADATA_HOST", cloud.host)


@pytest.fixture
def no_aws_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")


@pytest.fixture(params=["directly", "file impersonates", "setting impersonates", "file wraps"])
def take_federated(
    request: pytest.FixtureRequest,
    cloud: GoogleCloud,
    make_profile: MakeProfile,
    write_file: WriteFile,
    take: Take,
) -> Callable[..., GoogleCredential]:
    """Return a function that gets a token with a federation file, directly and in each way of impersonating.

    For each of them, google-auth copies its object in another way.
    """
    way = request.param
    cloud.may_impersonate.add(("workload", TARGET))
    url = {"service_account_impersonation_url": cloud.impersonation_url()}

    def run(source: dict[str, Any], **more: Any) -> GoogleCredential:
        members = cloud.external_account(source, **more, **(url if way == "file impersonates" else {}))
        if way == "file wraps":
            members = {"type": "impersonated_service_account", **url, "source_credentials": members}
        settings = {"impersonate": TARGET} if way == "setting impersonates" else {}
        credential = take(make_profile(credentials_file=write_file(members), **settings), "credentials-file")
        whose = cloud.tokens[credential.access_token.reveal()].whose
        assert whose == ("workload" if way == "directly" else TARGET)
        return credential

    return run


@pytest.fixture
def federated(cloud: GoogleCloud, take_federated: Callable[..., GoogleCredential]) -> Callable[..., str]:
    """Return a function that gets a token with a file of the type ``aws1``; it returns the request that was signed."""
    source = {
        "environment_id": "aws1",
        "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
        "url": "http://169.254.169.254/latest/meta-data/iam/security-credentials",
        "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
    }
    kind = "urn:ietf:params:aws:token-type:aws4_request"

    def run(**more: str) -> str:
        take_federated({**source, **more}, subject_token_type=kind)
        (sent,) = [one.form["subject_token"] for one in cloud.seen if "subject_token" in one.form]
        return sent

    return run
