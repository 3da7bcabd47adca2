"""The setting ``auth_refresh``: when the command runs, when it does not, and who sees its output."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from aws_home import AwsHome
from freshkey import Keeper
from freshkey._commands.command import Command as Setting
from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired
from freshkey.model.credential import Credential
from freshkey.model.interaction import LoggingReporter, NonInteractive
from freshkey.model.profile import Profile
from freshkey_bedrock import aws_profile, default_chain
from freshkey_bedrock.formats import AwsCredential
from freshkey_testing import ManualClock
from freshkey_testing.secret_scan import assert_no_secret
from freshkey_testing.server.wire import Answer, Listener
from raises_code import raises_code
from runnable import runnable


MakeKeeper = Callable[..., Keeper]
MakeProfile = Callable[..., Profile]


class Command:
    """A stand-in for ``aws sso login``: records each run and writes the credentials file."""

    def __init__(self, directory: Path, credentials: Path) -> None:
        self.path = directory / ("sign-in.cmd" if sys.platform == "win32" else "sign-in")
        self._runs = directory / "runs"
        self._credentials = credentials
        self.brings("AKIAREFRESHED")

    def does(self, code: str) -> None:
        record = f"import os\nwith open({str(self._runs)!r}, 'a') as runs:\n    runs.write('run\\n')"
        assert runnable(self.path.with_suffix(""), f"{record}\n{code}") == self.path

    def brings(self, key: str) -> None:
        section = f"[default]\naws_access_key_id = {key}\naws_secret_access_key = canary-secret-{key}\n"
        folder, file = str(self._credentials.parent), str(self._credentials)
        self.does(f"os.makedirs({folder!r}, exist_ok=True); open({file!r}, 'w').write({section!r})")

    @property
    def runs(self) -> int:
        return len(self._runs.read_text().splitlines()) if self._runs.exists() else 0


class Ear(LoggingReporter):
    """Records what a waiting user is shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.doing: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, message: str) -> None:
        self.doing.append(message)


@pytest.fixture
def command(tmp_path: Path, aws_home: AwsHome) -> Command:
    return Command(tmp_path, Path(aws_home.variables["AWS_SHARED_CREDENTIALS_FILE"]))


@pytest.fixture
def keeper(make_keeper: MakeKeeper, command: Command) -> Keeper:
    return make_keeper(auth_refresh=[str(command.path)])


@pytest.fixture
def profile(make_profile: MakeProfile, command: Command) -> Profile:
    return make_profile(auth_refresh=Setting.of([str(command.path)]))


def key(credential: Credential) -> str:
    assert isinstance(credential, AwsCredential)
    return credential.access_key_id


def test_command_runs_if_there_are_no_credentials(keeper: Keeper, command: Command) -> None:
    assert key(keeper.get("work")) == "AKIAREFRESHED"
    assert command.runs == 1
    assert key(keeper.get("work")) == "AKIAREFRESHED"
    assert command.runs == 1


def test_command_does_not_run_if_there_are_credentials(keeper: Keeper, command: Command, aws_home: AwsHome) -> None:
    aws_home.credentials("[default]\naws_access_key_id = AKIATHERE\naws_secret_access_key = s\n")
    assert key(keeper.get("work")) == "AKIATHERE"
    assert command.runs == 0


def test_credentials_written_by_another_program_are_used_instead(
    keeper: Keeper, command: Command, aws_home: AwsHome, clock: ManualClock
) -> None:
    command.does("sys.exit(1)")
    with raises_code(LoginRequired, "sign-in-command-failed"):
        keeper.get("work")
    clock.advance(61)
    aws_home.credentials("[default]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = s\n")
    assert key(keeper.get("work")) == "AKIAOTHER"
    assert command.runs == 1


def test_waiting_user_sees_each_line(profile: Profile, command: Command, clock: ManualClock) -> None:
    command.does(
        "print('Open https://device.sso.example/ABCD', flush=True); print('and wait', file=sys.stderr); sys.exit(3)"
    )
    ear = Ear()
    with raises_code(LoginRequired, "sign-in-command-failed") as caught:
        default_chain.take(evolve(profile, clock=clock), NonInteractive("work", ear))
    for fact in (repr(command.path.name), "status 3", "and wait"):
        assert fact in caught.value.message
    assert ear.lines == ["Open https://device.sso.example/ABCD", "and wait"]
    assert len(ear.doing) == 1
    assert "sign-in" in ear.doing[0]


def test_background_renewal_never_runs_the_command(profile: Profile, command: Command, clock: ManualClock) -> None:
    with raises_code(LoginRequired, "bedrock-no-aws-credentials"):
        default_chain.take(evolve(profile, clock=clock), NonInteractive("work", attended=False))
    assert command.runs == 0


def test_command_runs_at_most_once_a_minute(profile: Profile, command: Command, clock: ManualClock) -> None:
    command.does("pass")
    for _ in range(3):
        with pytest.raises(LoginRequired):
            default_chain.take(evolve(profile, clock=clock), NonInteractive("work"))
    assert command.runs == 1
    clock.advance(61)
    command.brings("AKIALATER")
    assert key(default_chain.take(evolve(profile, clock=clock), NonInteractive("work"))) == "AKIALATER"


def test_command_that_writes_no_credentials_raises(profile: Profile, command: Command, clock: ManualClock) -> None:
    command.does("pass")
    with raises_code(LoginRequired, "bedrock-no-aws-credentials"):
        default_chain.take(evolve(profile, clock=clock), NonInteractive("work"))


def test_command_runs_for_an_aws_profile_without_a_session(
    make_profile: MakeProfile, command: Command, aws_home: AwsHome, clock: ManualClock
) -> None:
    aws_home.config(
        "[profile team]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = Reader\n"
        "[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\n"
    )
    team = make_profile(aws_profile="team", auth_refresh=Setting.of([str(command.path)]))
    command.does("print('AWS_PROFILE is', os.environ['AWS_PROFILE']); sys.exit(1)")
    ear = Ear()
    with raises_code(LoginRequired, "sign-in-command-failed"):
        aws_profile.take(evolve(team, clock=clock), NonInteractive("work", ear))
    assert ear.lines == ["AWS_PROFILE is team"]


TEMPORARY = "[default]\naws_access_key_id = ASIAOLD\naws_secret_access_key = s\naws_session_token = t\n"


@pytest.mark.parametrize(
    ("status", "code", "key_id"),
    [(403, "ExpiredToken", "AKIAREFRESHED"), (403, "InvalidClientTokenId", "ASIAOLD"), (503, "Busy", "ASIAOLD")],
)
def test_temporary_credentials_without_an_expiration_are_checked_with_sts(
    profile: Profile,
    command: Command,
    aws_home: AwsHome,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    *,
    status: int,
    code: str,
    key_id: str,
) -> None:
    aws_home.credentials(TEMPORARY)
    error = f"<ErrorResponse><Error><Code>{code}</Code><Message>made up</Message></Error></ErrorResponse>"
    listener = Listener(lambda asked: Answer(status=status, body=error.encode(), headers={"Content-Type": "text/xml"}))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{listener.port}")
    listener.start()
    try:
        found = default_chain.take(evolve(profile, clock=clock), NonInteractive("work"))
    finally:
        listener.stop()
    assert key(found) == key_id
    assert command.runs == (key_id != "ASIAOLD")


def test_command_can_open_a_browser_but_gets_no_secret(
    profile: Profile, command: Command, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":77")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary-of-another-provider")
    command.does("for each in os.environ.items(): print(*each, sep='=')\nsys.exit(1)")
    ear = Ear()
    with raises_code(LoginRequired, "sign-in-command-failed"):
        default_chain.take(evolve(profile, clock=clock), NonInteractive("work", ear))
    assert "DISPLAY=:77" in ear.lines
    assert not any("canary" in line for line in ear.lines)


def test_command_does_not_run_for_an_unknown_aws_profile(
    make_profile: MakeProfile, command: Command, clock: ManualClock
) -> None:
    absent = make_profile(aws_profile="absent", auth_refresh=Setting.of([str(command.path)]))
    with raises_code(ConfigurationError, "bedrock-unknown-aws-profile") as caught:
        aws_profile.take(evolve(absent, clock=clock), NonInteractive("work"))
    assert "'absent'" in caught.value.message
    assert command.runs == 0


def test_missing_command_is_a_configuration_error(keeper: Keeper, command: Command) -> None:
    command.path.unlink()
    with raises_code(ConfigurationError, "command-not-runnable") as caught:
        keeper.get("work")
    assert caught.value.profile == "work"
    assert repr(command.path.name) in caught.value.message


def test_keeper_names_the_profile_and_logs_no_output(
    keeper: Keeper, command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    command.does("print('canary-secret-on-stderr', file=sys.stderr)")
    with pytest.raises(FreshkeyError) as caught:
        keeper.get("work")
    assert caught.value.profile == "work"
    assert_no_secret(caplog.text, ["canary-secret-on-stderr"], "the log")


def test_configured_command_counts_as_detected_credentials(
    profile: Profile, make_profile: MakeProfile, command: Command
) -> None:
    detected = default_chain.detect(profile)
    assert detected is not None
    assert detected.origin == f"files written by {command.path.name!r}"
    assert default_chain.detect(make_profile()) is None
