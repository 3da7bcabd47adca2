"""AWS credentials from every place where botocore finds them, against a moto server: found, shown, used, renewed."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from attrs import Factory, frozen

from aws_home import AwsHome, Metadata
from counterparts.moto import REGION, Keys, Moto
from freshkey import Keeper
from freshkey.model.description import Validity
from freshkey.model.profile import Profile
from freshkey_bedrock.description import description
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.settings import BedrockSettings
from freshkey_bedrock.sso.sign_in import sign_in
from freshkey_cli import run
from freshkey_testing import ManualClock, ScriptedUser
from freshkey_testing.browser import follow
from freshkey_testing.secret_scan import assert_no_secret, secrets_of
from sending import sending
from sso_double import ACCOUNT, ROLE, START_URL, SsoDouble
from waiting import until


pytestmark = pytest.mark.counterpart

HOUR = 3600.0
PASSED_ON = ("AWS_", "HOME", "PATH", "FRESHKEY_", "LANG", "USERPROFILE", "SYSTEMROOT", "TEMP", "TMP", "APPDATA")


@frozen(kw_only=True)
class Place:
    """A place where credentials can be.

    Attributes:
        arrange: Puts credentials there, and returns the environment variables to set.
        change: Replaces them, if they do not change by themselves.
        source: The source expected to find them.
        settings: Settings of the profile.
        arn: Part of the ARN that STS returns for them.
    """

    arrange: Callable[[AwsHome, Moto, ExitStack], dict[str, str]]
    change: Callable[[AwsHome, Moto], dict[str, str]] = lambda _home, _moto: {}
    source: str = "default-chain"
    settings: dict[str, object] = Factory(dict)
    arn: str = "arn:aws:sts::123456789012:"


def user(moto: Moto) -> Keys:
    return moto.user(f"user-{time.monotonic_ns()}")


def ambient(_home: AwsHome, moto: Moto, _stack: ExitStack | None = None) -> dict[str, str]:
    return user(moto).variables


def shared_file(home: AwsHome, moto: Moto, _stack: ExitStack | None = None) -> dict[str, str]:
    home.credentials(f"[default]\n{user(moto).ini}")
    return {}


def named(home: AwsHome, moto: Moto, _stack: ExitStack | None = None) -> dict[str, str]:
    home.credentials(f"[default]\naws_access_key_id = wrong\naws_secret_access_key = wrong\n[team]\n{user(moto).ini}")
    return {"AWS_ACCESS_KEY_ID": "AKIAWRONG", "AWS_SECRET_ACCESS_KEY": "of another user"}


def by_variable(home: AwsHome, moto: Moto, _stack: ExitStack | None = None) -> dict[str, str]:
    home.credentials(f"[team]\n{user(moto).ini}")
    return {"AWS_PROFILE": "team"}


def assumed(home: AwsHome, moto: Moto, _stack: ExitStack) -> dict[str, str]:
    role = moto.role(f"role-{time.monotonic_ns()}")
    home.credentials(f"[base]\n{user(moto).ini}")
    home.config(f"[profile team]\nrole_arn = {role}\nsource_profile = base\nrole_session_name = contract\n")
    return {"AWS_PROFILE": "team"}


def assumed_by_process(home: AwsHome, moto: Moto, _stack: ExitStack) -> dict[str, str]:
    role = moto.role(f"role-{time.monotonic_ns()}")
    program = home.rotating_process("whatever", seconds=3600)
    home.config(
        f"[profile base]\ncredential_process = {program}\n"
        f"[profile team]\nrole_arn = {role}\nsource_profile = base\nduration_seconds = 900\n"
    )
    return {"AWS_PROFILE": "team"}


def web_identity(home: AwsHome, moto: Moto, _stack: ExitStack) -> dict[str, str]:
    token = home.directory / "identity-token"
    token.write_text("eyJhbGciOiJSUzI1NiJ9.made-up.c2ln")
    role = moto.role(f"role-{time.monotonic_ns()}")
    return {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": role, "AWS_ROLE_SESSION_NAME": "contract"}


def process(home: AwsHome, _moto: Moto, _stack: ExitStack) -> dict[str, str]:
    home.config(f"[default]\ncredential_process = {home.rotating_process('whatever', seconds=900)}\n")
    return {}


def instance(_home: AwsHome, _moto: Moto, stack: ExitStack) -> dict[str, str]:
    metadata = stack.enter_context(Metadata(seconds=900))
    return {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url}


def container(_home: AwsHome, _moto: Moto, stack: ExitStack) -> dict[str, str]:
    metadata = stack.enter_context(Metadata(seconds=900))
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{metadata.url}/v2/credentials"}


def signed_in_with_aws(home: AwsHome, _moto: Moto, stack: ExitStack) -> dict[str, str]:
    """The token cache of ``aws sso login``, and a portal that issues different role keys each time."""
    double = stack.enter_context(SsoDouble())
    home.config(
        f"[profile team]\nsso_session = corp\nsso_account_id = {ACCOUNT}\nsso_role_name = {ROLE}\n"
        f"[sso-session corp]\nsso_start_url = {START_URL}\nsso_region = {REGION}\n"
    )
    cache = Path.home() / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    table = double.settings()
    insecure = bool(table.pop("allow_insecure_loopback"))
    settings = BedrockSettings(region=REGION, **table)  # type: ignore[arg-type]  # the double's types match
    made = Profile(name="x", provider="bedrock", settings=settings, state_dir=home.directory)
    with ScriptedUser(browser=follow) as user:
        held = sign_in(sending(made, description, allow_insecure_loopback=insecure), user)
    cached = {"accessToken": held.session.access_token.reveal(), "expiresAt": "2100-01-01T00:00:00Z"}
    name = hashlib.sha1(b"corp", usedforsecurity=False).hexdigest()
    (cache / f"{name}.json").write_text(json.dumps({**cached, "region": REGION, "startUrl": START_URL}))
    return {"AWS_ENDPOINT_URL_SSO": double.url}


PLACES = {
    "environment": Place(arrange=ambient, change=ambient, source="environment", arn="arn:aws:iam::"),
    "shared file": Place(arrange=shared_file, change=shared_file, arn="arn:aws:iam::"),
    "named profile": Place(
        arrange=named,
        change=named,
        source="aws-profile",
        settings={"aws_profile": "team"},
        arn="arn:aws:iam::",
    ),
    "profile by variable": Place(arrange=by_variable, change=by_variable, arn="arn:aws:iam::"),
    "assumed role": Place(arrange=assumed, arn=":assumed-role/"),
    "assumed role, named": Place(
        arrange=assumed,
        source="aws-profile",
        settings={"aws_profile": "team"},
        arn=":assumed-role/",
    ),
    "role assumed from a process": Place(arrange=assumed_by_process, arn=":assumed-role/"),
    "web identity": Place(arrange=web_identity, source="environment", arn=":assumed-role/"),
    "credential_process": Place(arrange=process),
    "container": Place(arrange=container, source="environment"),
    "aws sso login": Place(arrange=signed_in_with_aws, source="aws-profile", settings={"aws_profile": "team"}),
    "instance metadata": Place(arrange=instance, source="environment"),
}


@pytest.fixture(params=PLACES, ids=lambda name: name.replace(" ", "-"))
def place(
    request: pytest.FixtureRequest, aws_home: AwsHome, moto: Moto, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    place = PLACES[request.param]
    with ExitStack() as stack:
        for name, value in place.arrange(aws_home, moto, stack).items():
            monkeypatch.setenv(name, value)
        yield place


def keys_of(keeper: Keeper) -> str:
    credential = keeper.get("work")
    assert isinstance(credential, AwsCredential)
    return f"{credential.access_key_id}:{credential.session_token and credential.session_token.fingerprint()}"


@pytest.fixture
def changed(place: Place, aws_home: AwsHome, moto: Moto, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Replaces the credentials, if they do not change by themselves."""

    def change() -> None:
        for name, value in place.change(aws_home, moto).items():
            monkeypatch.setenv(name, value)

    return change


def test_credentials_are_found_used_and_renewed_early(
    place: Place, make_keeper: Callable[..., Keeper], clock: ManualClock, changed: Callable[[], None]
) -> None:
    keeper = make_keeper(**place.settings)
    won = [step for step in keeper.explain("work").steps if step.wins]
    assert [step.source.id for step in won] == [place.source]

    first = keeper.get("work")
    assert first.source == place.source
    assert isinstance(first, AwsCredential)
    assert first.region == REGION
    inspection = keeper.inspect("work")
    assert inspection.validity is Validity.VALID
    assert inspection.identity is not None
    assert place.arn in inspection.identity.extra.get("arn", "")
    assert inspection.identity.organization == "123456789012"

    before = keys_of(keeper)
    changed()
    due = HOUR if first.refresh_at is None else first.refresh_at.timestamp() - clock.now().wall
    clock.advance(due - 60)
    assert keys_of(keeper) == before
    clock.advance(61)

    def renewed() -> bool:
        clock.advance(0.4)  # a lookup that timed out on a loaded machine is retried half a minute later
        return keys_of(keeper) != before

    until(renewed, "the renewal", pause=0.05)
    assert not keeper.get("work").expired()
    assert first.expires_at is None or first.expires_at.timestamp() > clock.now().wall


def test_refused_credentials_are_looked_up_again_immediately(
    make_keeper: Callable[..., Keeper], aws_home: AwsHome, moto: Moto, clock: ManualClock
) -> None:
    shared_file(aws_home, moto)
    keeper = make_keeper()
    refused = keeper.get("work")
    assert isinstance(refused, AwsCredential)
    shared_file(aws_home, moto)
    clock.advance(60)
    newer = keeper.get("work", refused=refused)
    assert isinstance(newer, AwsCredential)
    assert newer.access_key_id != refused.access_key_id
    assert newer.access_key_id in aws_home.credentials_file.read_text()


@pytest.mark.parametrize("name", ["assumed role", "web identity", "credential_process"])
def test_lookup_and_check_log_no_secret(
    name: str,
    make_keeper: Callable[..., Keeper],
    aws_home: AwsHome,
    moto: Moto,
    request: pytest.FixtureRequest,
) -> None:
    caplog: pytest.LogCaptureFixture = request.getfixturevalue("caplog")
    monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    with ExitStack() as stack:
        for variable, value in PLACES[name].arrange(aws_home, moto, stack).items():
            monkeypatch.setenv(variable, value)
        caplog.set_level(logging.DEBUG)
        keeper = make_keeper()
        credential = keeper.get("work")
        assert isinstance(credential, AwsCredential)
        credential.headers("POST", "https://bedrock-runtime.eu-west-1.amazonaws.com/", b"{}")
        keeper.inspect("work")
    assert_no_secret(caplog.text, secrets_of(credential), "the log")
    assert "botocore" not in caplog.text
    logging.getLogger("botocore.parsers").debug("logging on other threads works")
    assert "logging on other threads works" in caplog.text


def test_hundred_threads_make_one_lookup(
    make_keeper: Callable[..., Keeper], aws_home: AwsHome, clock: ManualClock
) -> None:
    aws_home.config(f"[default]\ncredential_process = {aws_home.rotating_process('whatever', seconds=3600)}\n")
    keeper = make_keeper()
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(keys_of(keeper))) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 100
    assert len(set(answers)) == 1
    assert (aws_home.directory / "runs").read_text() == "x"


PRINT = "import json, os; print(json.dumps({n: v for n, v in os.environ.items() if n.startswith('AWS_')}))"


@pytest.fixture
def given(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, str]]:
    """Returns the AWS variables of a program run by ``freshkey exec``, using a separate configuration file."""
    folder = tmp_path / "config"
    folder.mkdir(mode=0o700)
    lines = ["[profiles.work]", 'provider = "bedrock"', 'store = "memory"', f'region = "{REGION}"']
    lines += [f"{name} = {json.dumps(value)}" for name, value in place.settings.items()]
    (folder / "config.toml").write_text("\n".join(lines) + "\n", "utf-8")
    monkeypatch.setenv("FRESHKEY_CONFIG_DIR", str(folder))
    monkeypatch.setenv("FRESHKEY_STATE_DIR", str(tmp_path / "state"))

    def give() -> dict[str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "freshkey", "exec", "work", "--", sys.executable, "-c", PRINT],
            env={name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        variables: dict[str, str] = json.loads(done.stdout)
        return variables

    return give


def test_command_line_finds_and_uses_the_credentials(
    place: Place,
    given: Callable[[], dict[str, str]],
    moto: Moto,
    changed: Callable[[], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["explain", "work", "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [step["source"] for step in steps if step["wins"]] == [place.source]
    assert run(["whoami", "work"]) == 0
    assert place.arn in capsys.readouterr().out

    first = given()
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= set(first)
    assert (first["AWS_REGION"], first["AWS_DEFAULT_REGION"]) == (REGION, REGION)
    assert not {"AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"} & set(first)
    used = moto.client(
        "sts",
        aws_access_key_id=first["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=first["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=first.get("AWS_SESSION_TOKEN"),
    )
    assert place.arn in used.get_caller_identity()["Arn"]
    changed()
    assert given() != first
