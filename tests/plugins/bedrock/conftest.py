"""A machine without AWS configuration, a moto server in place of AWS, and keepers with a manual clock."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aws_home import AwsHome
from counterparts.moto import REGION, Moto
from freshkey import Configuration, Keeper
from freshkey.clock import SYSTEM, Clock
from freshkey.model.interaction import Reporter
from freshkey.model.profile import Profile
from freshkey_bedrock.deadline import THREAD_NAME
from freshkey_bedrock.description import description
from freshkey_bedrock.settings import BedrockSettings
from freshkey_testing import ManualClock
from sending import sending
from waiting import until


MakeProfile = Callable[..., Profile]
MakeKeeper = Callable[..., Keeper]


@pytest.fixture(autouse=True)
def aws_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[AwsHome]:
    """The shared AWS files; nothing else of AWS is configured."""
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    home = AwsHome(tmp_path / "aws")
    for name, value in {**home.variables, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    for name in ("HOME", "USERPROFILE"):  # the second one on Windows
        monkeypatch.setenv(name, str(tmp_path))
    if sys.platform == "win32":  # tests run Python as a program, which may be in the checkout: a project's program
        (tmp_path / "working").mkdir()
        monkeypatch.chdir(tmp_path / "working")
    # botocore computes these from the home directory when it is imported.
    cache = str(tmp_path / ".aws" / "sso" / "cache")
    for place in ("botocore.credentials.SSOProvider", "botocore.tokens.SSOTokenProvider"):
        monkeypatch.setattr(f"{place}._SSO_TOKEN_CACHE_DIR", cache)
    yield home
    # A call that missed its deadline goes on, and would read the next test's variables and use its servers.
    until(lambda: all(thread.name != THREAD_NAME for thread in threading.enumerate()), "calls of botocore to end")


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Moto]:
    with Moto() as running:
        yield running


@pytest.fixture
def moto(moto_server: Moto, monkeypatch: pytest.MonkeyPatch) -> Moto:
    """AWS, for botocore in this process and its child processes."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server.url)
    return moto_server


@pytest.fixture
def make_profile(tmp_path: Path) -> MakeProfile:
    def make(*, source: str | None = None, clock: Clock = SYSTEM, **settings: object) -> Profile:
        table = {"region": REGION} | settings
        insecure = bool(table.pop("allow_insecure_loopback", False))  # the core's key, which tables have beside others
        made = Profile(
            name="work",
            provider="bedrock",
            settings=BedrockSettings(**table),  # type: ignore[arg-type]  # the tests pass matching types
            state_dir=tmp_path,
            source=source,
            clock=clock,
            allow_insecure_loopback=insecure,
        )
        return sending(made, description)

    return make


@pytest.fixture
def profile(make_profile: MakeProfile) -> Profile:
    return make_profile()


@pytest.fixture
def clock() -> ManualClock:
    """Starts at the current time, because responses of moto contain real times."""
    return ManualClock(wall=time.time())


@pytest.fixture
def make_keeper(tmp_path: Path, clock: ManualClock) -> Iterator[MakeKeeper]:
    keepers: list[Keeper] = []

    def make(*, reporter: Reporter | None = None, **settings: object) -> Keeper:
        wanted: dict[str, object] = {"provider": "bedrock", "store": "memory", "region": REGION, **settings}
        table = {name: value for name, value in wanted.items() if value is not None}
        keeper = Keeper(
            configuration=Configuration.of({"work": table}, state_dir=tmp_path / "state"),
            clock=clock,
            random=lambda: 0.0,
            reporter=reporter,
        )
        keepers.append(keeper)
        return keeper

    yield make
    for keeper in keepers:
        keeper.close()
