"""The setting ``credential_export``: both output formats, how long credentials are used, and failing commands."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import evolve

from freshkey import Keeper
from freshkey._commands.command import Command
from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, ProtocolError, TransientError, TrustNeeded
from freshkey.model.credential import Credential
from freshkey.model.interaction import LoggingReporter
from freshkey.model.profile import Profile
from freshkey_bedrock.credential_export import take
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.settings import BedrockSettings
from freshkey_testing import ManualClock
from freshkey_testing.secret_scan import assert_no_secret
from raises_code import raises_code
from runnable import runnable
from waiting import until


CANARY = "canary-secret-of-the-export"
MakeKeeper = Callable[..., Keeper]


class Helper:
    """A program that records each run."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / ("print-credentials.cmd" if sys.platform == "win32" else "print-credentials")
        self.output = directory / "output"
        self._runs = directory / "runs"

    def does(self, code: str) -> None:
        record = f"import os, time\nwith open({str(self._runs)!r}, 'a') as runs:\n    runs.write('run\\n')"
        assert runnable(self.path.with_suffix(""), f"{record}\n{code}") == self.path

    def prints(self, value: object, *, first: str = "") -> None:
        self.output.write_text(json.dumps(value))
        self.does(f"{first}\nprint(open({str(self.output)!r}).read())")

    @property
    def runs(self) -> int:
        return len(self._runs.read_text().splitlines()) if self._runs.exists() else 0


@pytest.fixture
def helper(tmp_path: Path) -> Helper:
    return Helper(tmp_path)


@pytest.fixture
def keeper(helper: Helper, make_keeper: MakeKeeper) -> Keeper:
    return make_keeper(credential_export=[str(helper.path)], credential_export_timeout=30.0)


def keys(name: str, clock: ManualClock, lasts: float | None = 3600.0) -> dict[str, str]:
    printed = {"AccessKeyId": f"ASIA{name}", "SecretAccessKey": f"{CANARY}-{name}", "SessionToken": f"token-{name}"}
    if lasts is not None:
        end = datetime.fromtimestamp(clock.now().wall, UTC) + timedelta(seconds=lasts)
        printed["Expiration"] = end.isoformat()
    return printed


def flat(name: str, clock: ManualClock, lasts: float | None = 3600.0) -> dict[str, object]:
    return {"Version": 1, **keys(name, clock, lasts)}


def key(credential: Credential) -> str:
    assert isinstance(credential, AwsCredential)
    return credential.access_key_id


def test_flat_format(keeper: Keeper, helper: Helper, clock: ManualClock) -> None:
    helper.prints({**flat("FLAT", clock), "AccountId": "111122223333"})
    credential = keeper.get("work")
    assert key(credential) == "ASIAFLAT"
    assert credential.source == "credential-export"
    assert credential.identity.organization == "111122223333"
    assert credential.environment()["AWS_SESSION_TOKEN"] == "token-FLAT"
    assert "Credential=ASIAFLAT/" in credential.headers("GET", "https://example.com/")["Authorization"]


def test_sts_format(keeper: Keeper, helper: Helper, clock: ManualClock) -> None:
    helper.prints({"Credentials": keys("WRAPPED", clock), "AssumedRoleUser": {"Arn": "arn:aws:sts::1:x"}})
    credential = keeper.get("work")
    assert key(credential) == "ASIAWRAPPED"
    assert credential.lifetime == pytest.approx(3600, abs=5)


def test_credentials_are_used_until_five_minutes_before_expiration(
    keeper: Keeper, helper: Helper, clock: ManualClock
) -> None:
    helper.prints(flat("ONE", clock, 900))
    assert [key(keeper.get("work")) for _ in range(3)] == ["ASIAONE"] * 3
    clock.advance(598)
    helper.prints(flat("TWO", clock, 900))
    assert key(keeper.get("work")) == "ASIAONE"
    assert helper.runs == 1
    clock.advance(3)
    until(lambda: key(keeper.get("work")) == "ASIATWO", "a proactive renewal")
    assert helper.runs == 2


def test_credentials_without_an_expiration_are_used_for_an_hour(
    keeper: Keeper, helper: Helper, clock: ManualClock
) -> None:
    helper.prints(flat("ONE", clock, None))
    assert keeper.get("work").expires_at is None
    helper.prints(flat("TWO", clock, None))
    clock.advance(3599)
    assert key(keeper.get("work")) == "ASIAONE"
    assert helper.runs == 1
    clock.advance(1)
    until(lambda: key(keeper.get("work")) == "ASIATWO", "another lookup")


def test_command_takes_precedence_over_the_environment(
    keeper: Keeper, helper: Helper, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the environment")
    helper.prints(flat("HELPER", clock))
    assert key(keeper.get("work")) == "ASIAHELPER"


def test_command_gets_aws_file_locations_but_no_credentials(
    keeper: Keeper, helper: Helper, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, CANARY)
    monkeypatch.setenv("AWS_CA_BUNDLE", "/made/up.pem")
    seen = tmp_path / "seen"
    helper.prints(flat("ONE", clock), first=f"import json; json.dump(dict(os.environ), open({str(seen)!r}, 'w'))")
    keeper.get("work")
    assert CANARY not in seen.read_text()
    got = json.loads(seen.read_text())
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE"):
        assert got[name] == os.environ[name]


def test_command_gets_the_configured_aws_profile(
    helper: Helper, make_keeper: MakeKeeper, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.setenv(name, "another")
    seen = tmp_path / "seen"
    profiles = "os.environ['AWS_PROFILE'] + ' ' + os.environ['AWS_DEFAULT_PROFILE']"
    helper.prints(flat("ONE", clock), first=f"open({str(seen)!r}, 'w').write({profiles})")
    make_keeper(credential_export=[str(helper.path)], aws_profile="team").get("work")
    assert seen.read_text() == "team team"


MISBEHAVING = {
    "no JSON": (f"print({CANARY!r})", ProtocolError, "invalid-command-output", "JSON object"),
    "version 2": (
        f'print("""{{"Version": 2, "SecretAccessKey": "{CANARY}"}}""")',
        ProtocolError,
        "invalid-command-output",
        "Version 2; only 1",
    ),
    "version true": (
        f'print("""{{"Version": true, "AccessKeyId": "{CANARY}"}}""")',
        ProtocolError,
        "invalid-command-output",
        "nor a Version",
    ),
    "neither format": (
        f'print("""{{"AccessKeyId": "{CANARY}"}}""")',
        ProtocolError,
        "invalid-command-output",
        "nor a Version",
    ),
    "malformed Credentials": (
        f'print("""{{"Credentials": "{CANARY}"}}""")',
        ProtocolError,
        "invalid-command-output",
        "Credentials that are not an object",
    ),
    "no secret": (
        f'print("""{{"Version": 1, "AccessKeyId": "{CANARY}"}}""")',
        ProtocolError,
        "invalid-command-output",
        "no AccessKeyId or SecretAccessKey",
    ),
    "a secret that is not a string": (
        f'print("""{{"Version": 1, "AccessKeyId": "{CANARY}", "SecretAccessKey": 5}}""")',
        ProtocolError,
        "invalid-command-output",
        "invalid SecretAccessKey",
    ),
    "a malformed time": (
        f'print("""{{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "{CANARY}", "Expiration": "soon"}}""")',
        ProtocolError,
        "invalid-command-output",
        "ISO 8601",
    ),
    "a time without an offset": (
        f'print("""{{"Version":1,"AccessKeyId":"a","SecretAccessKey":"{CANARY}","Expiration":"2026-01-01T00:00:00"}}""")',
        ProtocolError,
        "invalid-command-output",
        "ISO 8601",
    ),
    "no output": ("pass", ProtocolError, "invalid-command-output", "nothing"),
    "a gigabyte": (f"for _ in range(30_000_000): print({CANARY!r})", ProtocolError, "invalid-command-output", "65536"),
    "a secret on standard error": (
        f"sys.stderr.write({CANARY!r}); sys.exit(1)",
        TransientError,
        "command-failed",
        "status 1",
    ),
    "a hang": ("time.sleep(600)", TransientError, "command-timed-out", "1 s"),
}


@pytest.mark.parametrize(("script", "kind", "code", "fact"), MISBEHAVING.values(), ids=MISBEHAVING)
def test_misbehaving_command_is_bounded_and_named(
    make_keeper: MakeKeeper,
    helper: Helper,
    caplog: pytest.LogCaptureFixture,
    *,
    script: str,
    kind: type[FreshkeyError],
    code: str,
    fact: str,
) -> None:  # TRU-4
    caplog.set_level("DEBUG")
    helper.does(script)
    keeper = make_keeper(
        credential_export=[str(helper.path)], credential_export_timeout=1.0 if "sleep" in script else 30.0
    )
    with raises_code(kind, code) as error:
        keeper.get("work")
    shown = str(error.value)
    assert shown.startswith("work: ")
    assert repr(helper.path.name) in shown
    assert fact in shown
    assert_no_secret(repr(error.value) + shown + caplog.text, [CANARY], "the error or the log")


def test_expired_credentials_are_refused(keeper: Keeper, helper: Helper, clock: ManualClock) -> None:
    helper.prints(flat("OLD", clock, -60))
    with raises_code(LoginRequired, "command-output-expired") as caught:
        keeper.get("work")
    assert caught.value.profile == "work"
    assert repr(helper.path.name) in caught.value.message
    assert helper.runs == 1


def test_sign_in_with_the_tool_of_the_helper_ends_the_pause(
    make_keeper: MakeKeeper, helper: Helper, clock: ManualClock
) -> None:
    helper.prints(flat("OLD", clock, -60))
    running = make_keeper(credential_export=[str(helper.path)])
    with raises_code(LoginRequired, "command-output-expired"):
        running.get("work")
    # Neither the command nor a file that it names changes.
    helper.output.write_text(json.dumps(flat("NEW", clock)))
    clock.advance(1)
    assert key(make_keeper(credential_export=[str(helper.path)]).get("work")) == "ASIANEW"
    clock.advance(1)
    assert key(running.get("work")) == "ASIANEW"


def test_source_without_a_command_says_what_to_set(make_profile: Callable[..., Profile], clock: ManualClock) -> None:
    with raises_code(LoginRequired, "bedrock-no-aws-credentials") as caught:
        take(make_profile(clock=clock), LoggingReporter())
    assert "credential_export" in str(caught.value.hint)
    assert "[profiles.work]" in str(caught.value.hint)


def test_missing_command_is_a_configuration_error(keeper: Keeper, helper: Helper) -> None:
    with raises_code(ConfigurationError, "command-not-runnable") as caught:
        keeper.get("work")
    assert caught.value.profile == "work"
    assert repr(helper.path.name) in caught.value.message


def test_changed_project_command_is_not_run(tmp_path: Path, helper: Helper, clock: ManualClock) -> None:
    helper.prints(flat("ONE", clock))
    command = Command(argv=(str(helper.path),), directory=tmp_path, pins={helper.path: "0" * 64})
    settings = BedrockSettings(region="eu-west-1", credential_export=command)
    profile = Profile(name="work", provider="bedrock", settings=settings, state_dir=tmp_path)
    with pytest.raises(TrustNeeded):
        take(evolve(profile, clock=clock), LoggingReporter())
    assert helper.runs == 0
