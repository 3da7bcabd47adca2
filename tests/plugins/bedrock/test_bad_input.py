"""What the files of AWS, the environment and other programs get wrong: each a clear error that names the profile."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from aws_home import AwsHome, Metadata
from counterparts.moto import REGION, Moto
from freshkey import Keeper
from freshkey.clock import SYSTEM
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    ProtocolError,
    TransientError,
)
from freshkey.model.profile import Profile
from freshkey_bedrock import botocore_credentials
from freshkey_cli import run


CANARY = "canary/9d2f61c0b7e84a55SECRET"

Arrange = Callable[[AwsHome, pytest.MonkeyPatch], None]


class Case:
    """What is wrong, and what is said about it."""

    def __init__(
        self, kind: type[FreshkeyError], *words: str, arrange: Arrange, settings: Mapping[str, object] | None = None
    ) -> None:
        self.kind = kind
        self.words = words
        self.arrange = arrange
        self.settings = settings or {}


def nothing(_home: AwsHome, _patch: pytest.MonkeyPatch) -> None:
    pass


def config(text: str) -> Arrange:
    return lambda home, _patch: home.config(text)


def credentials(text: str) -> Arrange:
    return lambda home, _patch: home.credentials(text)


def environment(**variables: str) -> Arrange:
    def arrange(_home: AwsHome, patch: pytest.MonkeyPatch) -> None:
        for name, value in variables.items():
            patch.setenv(name, value)

    return arrange


def prints(output: object, *, status: int = 0) -> Arrange:
    text = output if isinstance(output, str) else json.dumps(output)
    return program(f"import sys\nsys.stdout.write({text!r})\nsys.stderr.write({CANARY!r})\nsys.exit({status})")


def program(script: str) -> Arrange:
    return lambda home, _patch: home.config(f"[default]\ncredential_process = {home.process(script)}\n")


def both(*several: Arrange) -> Arrange:
    def arrange(home: AwsHome, patch: pytest.MonkeyPatch) -> None:
        for one in several:
            one(home, patch)

    return arrange


def sso(cached: dict[str, object] | None) -> Arrange:
    """A sign-in of ``aws sso login`` that botocore finds in its cache, or does not."""

    def arrange(home: AwsHome, _patch: pytest.MonkeyPatch) -> None:
        home.config(
            "[profile team]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Dev\n"
            f"[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = {REGION}\n"
        )
        if cached is not None:
            cache = Path.home() / ".aws" / "sso" / "cache"
            cache.mkdir(parents=True)
            name = hashlib.sha1(b"corp", usedforsecurity=False).hexdigest()
            (cache / f"{name}.json").write_text(json.dumps(cached))

    return arrange


GOOD = {"Version": 1, "AccessKeyId": "ASIAGOOD", "SecretAccessKey": CANARY}
TEAM = {"aws_profile": "team"}
EXPIRED_SSO: dict[str, object] = {
    "accessToken": CANARY,
    "expiresAt": "2020-01-01T00:00:00Z",
    "refreshToken": CANARY,
    "clientId": "client",
    "clientSecret": CANARY,
    "registrationExpiresAt": "2020-01-01T00:00:00Z",
    "region": REGION,
    "startUrl": "https://corp.awsapps.com/start",
}
BASE = f"[base]\naws_access_key_id = AKIABASE\naws_secret_access_key = {CANARY}\n"
ROLE = "role_arn = arn:aws:iam::123456789012:role/r\n"

CASES: dict[str, Case] = {
    "no profile of that name": Case(
        ConfigurationError, "'team'", "list-profiles", arrange=credentials(BASE), settings=TEAM
    ),
    "no profile of the name in the environment": Case(
        ConfigurationError,
        "'nobody'",
        arrange=both(credentials(BASE), environment(AWS_PROFILE="nobody")),
        settings={"source": "default-chain"},
    ),
    "malformed config": Case(ConfigurationError, "malformed", "config", arrange=config(f"[default\n{CANARY}\n")),
    "malformed credentials": Case(
        ConfigurationError, "malformed", "credentials", arrange=credentials(f"{CANARY}\n[default]\n")
    ),
    "a section twice": Case(ConfigurationError, "malformed", arrange=credentials(BASE + BASE)),
    "credentials that are no text": Case(
        ConfigurationError, "malformed", arrange=lambda home, _: _wrote(home.credentials_file, b"[default]\n\xff\xfe")
    ),
    "half a key in the file": Case(
        ConfigurationError, "aws_secret_access_key", arrange=credentials("[default]\naws_access_key_id = AKIAHALF\n")
    ),
    "half a key in the environment": Case(
        ConfigurationError, "AWS_SECRET_ACCESS_KEY", arrange=environment(AWS_ACCESS_KEY_ID="AKIAHALF")
    ),
    "an end that is no time": Case(
        ConfigurationError,
        "default",
        arrange=environment(
            AWS_ACCESS_KEY_ID="ASIA1", AWS_SECRET_ACCESS_KEY=CANARY, AWS_CREDENTIAL_EXPIRATION="tomorrowish"
        ),
    ),
    "an end that has passed": Case(
        LoginRequired,
        "expired",
        arrange=environment(
            AWS_ACCESS_KEY_ID="ASIA1", AWS_SECRET_ACCESS_KEY=CANARY, AWS_CREDENTIAL_EXPIRATION="2020-01-01T00:00:00Z"
        ),
    ),
    "version 2": Case(ProtocolError, "Version 2", "print-credentials", arrange=prints({**GOOD, "Version": 2})),
    "no version": Case(ProtocolError, "Version", arrange=prints({"AccessKeyId": "A", "SecretAccessKey": CANARY})),
    "no JSON": Case(ProtocolError, "no JSON object", arrange=prints(CANARY)),
    "a list": Case(ProtocolError, "no JSON object", arrange=prints([GOOD])),
    "no secret key": Case(ProtocolError, "SecretAccessKey", arrange=prints({"Version": 1, "AccessKeyId": "A"})),
    "a number for a key": Case(ProtocolError, "SecretAccessKey", arrange=prints({**GOOD, "SecretAccessKey": 7})),
    "the wrapped form": Case(ProtocolError, "credential_process", arrange=prints({"Credentials": GOOD})),
    "an expiration that is no time": Case(ProtocolError, "Expiration", arrange=prints({**GOOD, "Expiration": "soon"})),
    "expired when it was printed": Case(
        LoginRequired, "expired", arrange=prints({**GOOD, "SessionToken": "t", "Expiration": "2020-01-01T00:00:00Z"})
    ),
    "nothing printed": Case(ProtocolError, "printed nothing", arrange=prints("")),
    "exit status 1": Case(TransientError, "status 1", "print-credentials", arrange=prints(GOOD, status=1)),
    "a gigabyte": Case(
        ProtocolError,
        "more than",
        arrange=program("import sys\nfor _ in range(1024):\n    sys.stdout.write('x' * 1048576)"),
    ),
    "a process that hangs": Case(
        TransientError, "did not end", arrange=program("import time\ntime.sleep(600)"), settings={"deadline": 5}
    ),
    "no such program": Case(
        ConfigurationError,
        "'to-be-found' is not there",
        arrange=config("[default]\ncredential_process = /nowhere/to-be-found --x\n"),
    ),
    "no sign-in of aws sso login": Case(
        LoginRequired, "aws sso login --profile team", arrange=sso(None), settings=TEAM
    ),
    "an expired registration of aws sso login": Case(
        LoginRequired, "aws sso login --profile team", arrange=sso(EXPIRED_SSO), settings=TEAM
    ),
    "half a profile of IAM Identity Center": Case(
        LoginRequired,
        "'team' names no credentials",
        arrange=config("[profile team]\nsso_start_url = https://corp.awsapps.com/start\n"),
        settings=TEAM,
    ),
    "a role of a profile whose process hangs": Case(
        TransientError,
        "'print-credentials' did not end",
        arrange=lambda home, _: home.config(
            f"[profile team]\n{ROLE}source_profile = b\n"
            f"[profile b]\ncredential_process = {home.process('import time; time.sleep(600)')}\n"
        ),
        settings={**TEAM, "deadline": 5},
    ),
    "a role without a source": Case(
        ConfigurationError, "'team'", arrange=config(f"[profile team]\n{ROLE}"), settings=TEAM
    ),
    "a role of a profile that is not there": Case(
        ConfigurationError, "gone", arrange=config(f"[profile team]\n{ROLE}source_profile = gone\n"), settings=TEAM
    ),
    "roles in a circle": Case(
        ConfigurationError,
        "'team'",
        arrange=config(f"[profile team]\n{ROLE}source_profile = b\n[profile b]\n{ROLE}source_profile = team\n"),
        settings=TEAM,
    ),
    "a role that wants a code": Case(
        LoginRequired,
        "MFA",
        arrange=both(
            credentials(BASE),
            config(f"[profile team]\n{ROLE}source_profile = base\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n"),
        ),
        settings=TEAM,
    ),
    "an identity token that is not there": Case(
        ConfigurationError,
        "cannot be read",
        arrange=environment(AWS_WEB_IDENTITY_TOKEN_FILE="/nowhere/token", AWS_ROLE_ARN="arn:aws:iam::1:role/r"),
    ),
    "an endpoint that is not there": Case(
        TransientError,
        "cannot be reached",
        arrange=both(
            credentials(BASE),
            config(f"[profile team]\n{ROLE}source_profile = base\n"),
            environment(AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1"),
        ),
        settings=TEAM,
    ),
    "a container that may not be asked": Case(
        ConfigurationError,
        "default",
        arrange=environment(AWS_CONTAINER_CREDENTIALS_FULL_URI="http://credentials.example.org/"),
    ),
    "aws login without what it needs": Case(
        ConfigurationError,
        "freshkey-bedrock[login]",
        arrange=config("[profile team]\nlogin_session = arn:aws:iam::123456789012:user/me\n"),
        settings=TEAM,
    ),
    "a profile without credentials": Case(
        LoginRequired, "names no credentials", arrange=config("[profile team]\noutput = json\n"), settings=TEAM
    ),
    "nothing at all": Case(
        LoginRequired, "there is no credential", arrange=nothing, settings={"source": "default-chain"}
    ),
    "no region that could be one": Case(
        ConfigurationError,
        "AWS_REGION",
        "'nowhere'",
        arrange=both(credentials(BASE.replace("base", "default")), environment(AWS_REGION="nowhere")),
        settings={"region": None},
    ),
    "a region that AWS does not have": Case(
        ConfigurationError,
        "'xx-nowhere-9'",
        arrange=both(credentials(BASE), config(f"[profile team]\n{ROLE}source_profile = base\n")),
        settings={**TEAM, "region": "xx-nowhere-9"},
    ),
    "no region": Case(
        ConfigurationError,
        "no AWS region",
        "[profiles.work]",
        arrange=credentials(BASE.replace("base", "default")),
        settings={"region": None},
    ),
    "a short-term key that is cut": Case(
        ConfigurationError,
        "cannot be decoded",
        arrange=environment(AWS_BEARER_TOKEN_BEDROCK=f"bedrock-api-key-{CANARY}"),
    ),
    "a key with a space": Case(
        ConfigurationError, "AWS_BEARER_TOKEN_BEDROCK", arrange=environment(AWS_BEARER_TOKEN_BEDROCK=f"{CANARY} x")
    ),
}


def _wrote(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@pytest.fixture(params=CASES, ids=lambda name: name.replace(" ", "-"))
def case(request: pytest.FixtureRequest, aws_home: AwsHome, monkeypatch: pytest.MonkeyPatch) -> Case:
    case = CASES[request.param]
    monkeypatch.setenv("AWS_CONFIG_FILE", str(aws_home.config_file))
    case.arrange(aws_home, monkeypatch)
    return case


def test_each_is_a_clear_error_that_names_the_profile(
    case: Case, make_keeper: Callable[..., Keeper], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    keeper = make_keeper(**case.settings)
    began = time.monotonic()
    with pytest.raises(FreshkeyError) as raised:
        keeper.get("work")
    assert time.monotonic() - began < 40
    error = raised.value
    assert type(error) is case.kind, str(error)
    assert error.profile == "work"
    for word in case.words:
        assert word in str(error)
    shown = "".join(traceback.format_exception(error)) + caplog.text + repr(vars(error))
    assert CANARY not in shown
    assert "botocore.exceptions" not in shown


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "config"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("FRESHKEY_CONFIG_DIR", str(folder))
    monkeypatch.setenv("FRESHKEY_STATE_DIR", str(tmp_path / "state"))
    return folder


def test_each_is_said_on_the_command_line(case: Case, at_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = {"provider": "bedrock", "store": "memory", "region": REGION, **case.settings}
    lines = [f"{name} = {json.dumps(value)}" for name, value in table.items() if value is not None]
    (at_home / "config.toml").write_text("\n".join(["[profiles.work]", *lines]) + "\n", "utf-8")
    assert run(["exec", "work", "--", "true"]) != 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "work: " in said.err
    for word in case.words:
        assert word in said.err.replace("\n", " ")
    assert CANARY not in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    "lines",
    [
        f"aws_access_key_id =\n  a = {CANARY}\naws_secret_access_key = {CANARY}",
        f"aws_access_key_id = AKIA\n  X-Evil: header\naws_secret_access_key = {CANARY}",
        f"aws_access_key_id = AKIA\naws_secret_access_key = {CANARY}\N{RIGHT SINGLE QUOTATION MARK}",
        f"aws_access_key_id = AKIA\naws_secret_access_key = {CANARY}\naws_session_token = {CANARY}\0",
        f"aws_access_key_id = AKIA\naws_secret_access_key =\naws_session_token = {CANARY}",
    ],
    ids=["nested", "two lines", "typography", "a zero", "empty"],
)
@pytest.mark.parametrize("where", ["config", "credentials"])
def test_what_can_be_no_key_is_never_handed_out(
    make_keeper: Callable[..., Keeper], aws_home: AwsHome, lines: str, where: str
) -> None:
    getattr(aws_home, where)(f"[default]\n{lines}\n")
    with pytest.raises(ConfigurationError, match=r"^work: .*are empty, or hold characters") as caught:
        make_keeper(source="default-chain").get("work")
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("start", ["/opt/venv/bin/freshkey", "python3 -m freshkey", "C:/venv/Scripts/freshkey.exe"])
def test_a_credential_process_that_asks_freshkey_for_the_same_again_is_not_started(
    make_keeper: Callable[..., Keeper], aws_home: AwsHome, start: str
) -> None:
    aws_home.config(f"[default]\ncredential_process = {start} export work --format credential-process\n")
    with pytest.raises(ConfigurationError, match=r"^work: .*asks freshkey for 'work', which asks AWS's tools. Say"):
        make_keeper().get("work")


def test_a_credential_process_may_be_freshkey_for_another_profile(
    make_keeper: Callable[..., Keeper], aws_home: AwsHome, tmp_path: Path
) -> None:
    program = aws_home.rotating_process("whatever", seconds=3600)
    (tmp_path / "freshkey").symlink_to(program)
    aws_home.config(f"[default]\ncredential_process = {tmp_path}/freshkey export people\n")
    assert make_keeper().get("work").environment()["AWS_ACCESS_KEY_ID"] == "ASIARUN1"


# --- time -------------------------------------------------------------------------------------------------------------


def test_metadata_that_never_answer_cost_seconds(
    make_keeper: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Metadata(silent=True) as metadata:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)
        monkeypatch.setenv("AWS_METADATA_SERVICE_TIMEOUT", "30")
        monkeypatch.setenv("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "5")
        keeper = make_keeper()
        began = time.monotonic()
        with pytest.raises(LoginRequired, match="found no credentials"):
            keeper.get("work")
        assert time.monotonic() - began < 25
        assert 1 <= len(metadata.questions) <= 3


def test_metadata_are_not_asked_where_the_environment_says_so(
    make_keeper: Callable[..., Keeper], make_profile: Callable[..., Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Metadata() as metadata:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)
        keeper = make_keeper(source="default-chain")
        with pytest.raises(LoginRequired, match="there is no credential"):
            keeper.get("work")
        with pytest.raises(LoginRequired, match="found no credentials"):
            botocore_credentials.take(make_profile(), explicit=False, clock=SYSTEM)
        assert metadata.questions == []


@pytest.mark.parametrize("handed_in_by", ["AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_CONTAINER_CREDENTIALS_FULL_URI"])
def test_a_named_profile_without_credentials_is_nobody_else(
    make_keeper: Callable[..., Keeper], aws_home: AwsHome, monkeypatch: pytest.MonkeyPatch, handed_in_by: str
) -> None:
    aws_home.config("[profile team]\nregion = eu-west-1\n")
    with Metadata() as metadata:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv(handed_in_by, metadata.url)
        with pytest.raises(LoginRequired, match="AWS profile 'team' names no credentials"):
            make_keeper(aws_profile="team").get("work")
        assert metadata.questions == []
        keeper = make_keeper()
        assert str(keeper.get("work").environment()["AWS_ACCESS_KEY_ID"]).startswith("ASIAINSTANCE")


def test_a_role_of_a_named_profile_may_be_assumed_with_what_the_instance_hands_in(
    make_keeper: Callable[..., Keeper], aws_home: AwsHome, moto: Moto, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = moto.role(f"role-{time.monotonic_ns()}")
    aws_home.config(f"[profile team]\nrole_arn = {role}\ncredential_source = Ec2InstanceMetadata\n")
    with Metadata() as metadata:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)
        assert make_keeper(aws_profile="team").get("work").expires_at is not None
        assert metadata.questions != []


def test_metadata_are_not_asked_on_a_machine_of_another_maker(
    make_profile: Callable[..., Profile], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setattr("freshkey_bedrock.instance_metadata.on_instance.__defaults__", (os.environ, tmp_path))
    asked: list[object] = []
    monkeypatch.setattr("botocore.utils.InstanceMetadataFetcher.retrieve_iam_role_credentials", asked.append)
    with pytest.raises(LoginRequired, match="found no credentials"):
        botocore_credentials.take(make_profile(), explicit=False, clock=SYSTEM)
    assert asked == []


def test_a_look_up_as_a_whole_has_a_deadline(
    make_keeper: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASLOW")
    over = threading.Event()
    monkeypatch.setattr("freshkey_bedrock.botocore_credentials._find", lambda *_: over.wait(60))
    keeper = make_keeper(deadline=0.2)
    began = time.monotonic()
    with pytest.raises(TransientError, match=r"within 0\.2 s"):
        keeper.get("work")
    assert time.monotonic() - began < 30
    over.set()
