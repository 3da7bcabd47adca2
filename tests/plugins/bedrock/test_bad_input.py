"""Invalid AWS files, environment variables and program output: each causes a clear error that names the profile."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from aws_home import PROGRAM, AwsHome, Metadata
from counterparts.moto import REGION, Moto
from freshkey import Keeper
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
from raises_code import raises_code


CANARY = "canary/9d2f61c0b7e84a55SECRET"

Arrange = Callable[[AwsHome, pytest.MonkeyPatch], None]


class Case:
    """An invalid setup, with the class, the code and some facts of its error."""

    def __init__(
        self,
        kind: type[FreshkeyError],
        code: str,
        *facts: str,
        arrange: Arrange,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.kind = kind
        self.code = code
        self.facts = facts
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
    """An AWS profile of IAM Identity Center, with or without a token in botocore's cache."""

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
    "unknown profile": Case(
        ConfigurationError,
        "bedrock-unknown-aws-profile",
        "'team'",
        "aws configure list-profiles",
        arrange=credentials(BASE),
        settings=TEAM,
    ),
    "a profile without the word profile": Case(
        ConfigurationError,
        "bedrock-unknown-aws-profile",
        "/aws/config has [team] instead of [profile team]",
        arrange=config("[team]\nregion = eu-west-1\n"),
        settings=TEAM,
    ),
    "a profile whose name has a space but no quotes": Case(
        ConfigurationError,
        "bedrock-unknown-aws-profile",
        '/aws/config has [profile my team] instead of [profile "my team"]',
        arrange=config("[profile my team]\nregion = eu-west-1\n"),
        settings={"aws_profile": "my team"},
    ),
    "a profile with the word profile in the credentials": Case(
        ConfigurationError,
        "bedrock-unknown-aws-profile",
        "/aws/credentials has [profile team] instead of [team]",
        arrange=credentials(f"[profile team]\naws_access_key_id = AKIA\naws_secret_access_key = {CANARY}\n"),
        settings=TEAM,
    ),
    "an empty identity token": Case(
        ConfigurationError,
        "bedrock-invalid-aws-config",
        "WebIdentityToken of AWS profile 'team' is empty",
        arrange=config(f"[profile team]\n{ROLE}web_identity_token_file = {os.devnull}\n"),
        settings=TEAM,
    ),
    "unknown profile in AWS_PROFILE": Case(
        ConfigurationError,
        "bedrock-unknown-aws-profile",
        "'absent'",
        arrange=both(credentials(BASE), environment(AWS_PROFILE="absent")),
        settings={"source": "default-chain"},
    ),
    "malformed config": Case(
        ConfigurationError, "bedrock-invalid-aws-config", "/aws/config", arrange=config(f"[default\n{CANARY}\n")
    ),
    "malformed credentials": Case(
        ConfigurationError,
        "bedrock-invalid-aws-config",
        "/aws/credentials",
        arrange=credentials(f"{CANARY}\n[default]\n"),
    ),
    "duplicate section": Case(
        ConfigurationError, "bedrock-invalid-aws-config", "/aws/credentials", arrange=credentials(BASE + BASE)
    ),
    "binary credentials file": Case(
        ConfigurationError,
        "bedrock-invalid-aws-config",
        "/aws/credentials",
        arrange=lambda home, _: _wrote(home.credentials_file, b"[default]\n\xff\xfe"),
    ),
    "no secret key in the file": Case(
        ConfigurationError,
        "bedrock-invalid-aws-config",
        "aws_secret_access_key",
        arrange=credentials("[default]\naws_access_key_id = AKIAHALF\n"),
    ),
    "no secret key in the environment": Case(
        ConfigurationError,
        "bedrock-invalid-aws-config",
        "AWS_SECRET_ACCESS_KEY",
        arrange=environment(AWS_ACCESS_KEY_ID="AKIAHALF"),
    ),
    "malformed expiration": Case(
        ConfigurationError,
        "bedrock-invalid-aws-config",
        "AWS_CREDENTIAL_EXPIRATION",
        arrange=environment(
            AWS_ACCESS_KEY_ID="ASIA1", AWS_SECRET_ACCESS_KEY=CANARY, AWS_CREDENTIAL_EXPIRATION="tomorrowish"
        ),
    ),
    "past expiration": Case(
        LoginRequired,
        "bedrock-aws-credentials-expired",
        arrange=environment(
            AWS_ACCESS_KEY_ID="ASIA1", AWS_SECRET_ACCESS_KEY=CANARY, AWS_CREDENTIAL_EXPIRATION="2020-01-01T00:00:00Z"
        ),
    ),
    "version 2": Case(
        ProtocolError,
        "invalid-command-output",
        "Version 2",
        PROGRAM,
        arrange=prints({**GOOD, "Version": 2}),
    ),
    "no version": Case(
        ProtocolError,
        "invalid-command-output",
        "nor a Version",
        arrange=prints({"AccessKeyId": "A", "SecretAccessKey": CANARY}),
    ),
    "no JSON": Case(ProtocolError, "invalid-command-output", "JSON object", arrange=prints(CANARY)),
    "a list": Case(ProtocolError, "invalid-command-output", "JSON object", arrange=prints([GOOD])),
    "no secret key": Case(
        ProtocolError,
        "invalid-command-output",
        "no AccessKeyId or SecretAccessKey",
        arrange=prints({"Version": 1, "AccessKeyId": "A"}),
    ),
    "a number as key": Case(
        ProtocolError,
        "invalid-command-output",
        "invalid SecretAccessKey",
        arrange=prints({**GOOD, "SecretAccessKey": 7}),
    ),
    "the wrapped format": Case(
        ProtocolError,
        "invalid-command-output",
        "credential_process of AWS profile 'default'",
        arrange=prints({"Credentials": GOOD}),
    ),
    "malformed expiration printed": Case(
        ProtocolError, "invalid-command-output", "ISO 8601", arrange=prints({**GOOD, "Expiration": "soon"})
    ),
    "expired when printed": Case(
        LoginRequired,
        "command-output-expired",
        f"the credential process {PROGRAM!r}",
        arrange=prints({**GOOD, "SessionToken": "t", "Expiration": "2020-01-01T00:00:00Z"}),
    ),
    "nothing printed": Case(ProtocolError, "invalid-command-output", PROGRAM, arrange=prints("")),
    "exit status 1": Case(TransientError, "command-failed", "status 1", PROGRAM, arrange=prints(GOOD, status=1)),
    "a gigabyte": Case(
        ProtocolError,
        "invalid-command-output",
        "65536",
        arrange=program("import sys\nfor _ in range(1024):\n    sys.stdout.write('x' * 1048576)"),
    ),
    "a process that hangs": Case(
        TransientError,
        "command-timed-out",
        repr(PROGRAM),
        arrange=program("import time\ntime.sleep(600)"),
        settings={"deadline": 1},
    ),
    "no such program": Case(
        ConfigurationError,
        "command-not-runnable",
        "'to-be-found'",
        arrange=config(f"[default]\ncredential_process = {Path('/nowhere/to-be-found').absolute()} --x\n"),
    ),
    "an empty credential_process": Case(
        ConfigurationError,
        "bedrock-invalid-aws-config",
        "credential_process",
        arrange=config("[profile team]\ncredential_process =\n"),
        settings=TEAM,
    ),
    "no sign-in with aws sso login": Case(
        LoginRequired,
        "bedrock-aws-sign-in-required",
        "aws sso login --profile team",
        arrange=sso(None),
        settings=TEAM,
    ),
    "an expired registration of aws sso login": Case(
        LoginRequired,
        "bedrock-aws-sign-in-required",
        "aws sso login --profile team",
        arrange=sso(EXPIRED_SSO),
        settings=TEAM,
    ),
    "an incomplete profile of IAM Identity Center": Case(
        LoginRequired,
        "bedrock-no-aws-credentials",
        "'team'",
        arrange=config("[profile team]\nsso_start_url = https://corp.awsapps.com/start\n"),
        settings=TEAM,
    ),
    "a role of a profile whose process hangs": Case(
        TransientError,
        "command-timed-out",
        repr(PROGRAM),
        arrange=lambda home, _: home.config(
            f"[profile team]\n{ROLE}source_profile = b\n"
            f"[profile b]\ncredential_process = {home.process('import time; time.sleep(600)')}\n"
        ),
        settings={**TEAM, "deadline": 1},
    ),
    "a role without a source": Case(
        ConfigurationError,
        "bedrock-invalid-aws-config",
        "'team'",
        "source_profile",
        arrange=config(f"[profile team]\n{ROLE}"),
        settings=TEAM,
    ),
    "a role of an unknown profile": Case(
        ConfigurationError,
        "bedrock-invalid-aws-config",
        "gone",
        arrange=config(f"[profile team]\n{ROLE}source_profile = gone\n"),
        settings=TEAM,
    ),
    "circular roles": Case(
        ConfigurationError,
        "bedrock-invalid-aws-config",
        "circular",
        "'team'",
        arrange=config(f"[profile team]\n{ROLE}source_profile = b\n[profile b]\n{ROLE}source_profile = team\n"),
        settings=TEAM,
    ),
    "a role that requires an MFA code": Case(
        LoginRequired,
        "bedrock-mfa-required",
        "mfa_serial",
        arrange=both(
            credentials(BASE),
            config(f"[profile team]\n{ROLE}source_profile = base\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n"),
        ),
        settings=TEAM,
    ),
    "a missing identity token": Case(
        ConfigurationError,
        "bedrock-invalid-aws-config",
        "No such file",
        arrange=environment(AWS_WEB_IDENTITY_TOKEN_FILE="/nowhere/token", AWS_ROLE_ARN="arn:aws:iam::1:role/r"),
    ),
    "an unreachable endpoint": Case(
        TransientError,
        "connection-failed",
        "http://127.0.0.1:9",
        arrange=both(
            credentials(BASE),
            config(f"[profile team]\n{ROLE}source_profile = base\n"),
            environment(AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1"),
        ),
        settings=TEAM,
    ),
    "a container endpoint that is not allowed": Case(
        ConfigurationError,
        "bedrock-invalid-aws-config",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI names a host that is not allowed",
        arrange=environment(AWS_CONTAINER_CREDENTIALS_FULL_URI="http://credentials.example.org/"),
    ),
    "a container endpoint in quotes": Case(
        ConfigurationError,
        "bedrock-invalid-aws-config",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI is in quotes",
        arrange=environment(AWS_CONTAINER_CREDENTIALS_FULL_URI='"http://127.0.0.1:9/"'),
    ),
    "a container endpoint that names a file": Case(
        ConfigurationError,
        "bedrock-invalid-aws-config",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI does not begin with https:// or http://",
        arrange=environment(AWS_CONTAINER_CREDENTIALS_FULL_URI="file:///tmp/keys"),
    ),
    "a metadata endpoint that is no URL": Case(
        ConfigurationError,
        "bedrock-invalid-aws-config",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT does not begin with https:// or http://",
        arrange=environment(AWS_EC2_METADATA_DISABLED="false", AWS_EC2_METADATA_SERVICE_ENDPOINT="metadata"),
    ),
    "an endpoint in a variable that is no URL": Case(
        ConfigurationError,
        "bedrock-invalid-aws-config",
        "AWS_ENDPOINT_URL_STS does not begin with https:// or http://",
        arrange=both(
            credentials(BASE),
            config(f"[profile team]\n{ROLE}source_profile = base\n"),
            environment(AWS_ENDPOINT_URL_STS="sts.local"),
        ),
        settings=TEAM,
    ),
    "an endpoint in the config that is no URL": Case(
        ConfigurationError,
        "bedrock-invalid-aws-config",
        "endpoint_url in the AWS config file does not begin with",
        arrange=both(
            credentials(BASE), config(f"[profile team]\nendpoint_url = sts.local\n{ROLE}source_profile = base\n")
        ),
        settings=TEAM,
    ),
    "certificate authorities of a profile that are not there": Case(
        ConfigurationError,
        "bedrock-invalid-aws-config",
        "ca_bundle of the AWS profile begins with ~",
        arrange=both(credentials(BASE), config(f"[profile team]\nca_bundle = ~/ca.pem\n{ROLE}source_profile = base\n")),
        settings=TEAM,
    ),
    "a credential_process with an unclosed quote": Case(
        ConfigurationError,
        "bedrock-invalid-aws-config",
        "credential_process of AWS profile 'base' has a quote that is not closed",
        arrange=config(
            f'[profile team]\n{ROLE}source_profile = base\n[profile base]\ncredential_process = /bin/echo "{CANARY}\n'
        ),
        settings=TEAM,
    ),
    "aws login without its dependency": Case(
        ConfigurationError,
        "missing-package",
        "freshkey-bedrock[login]",
        arrange=config("[profile team]\nlogin_session = arn:aws:iam::123456789012:user/me\n"),
        settings=TEAM,
    ),
    "a profile without credentials": Case(
        LoginRequired,
        "bedrock-no-aws-credentials",
        "'team'",
        "aws configure --profile team",
        arrange=config("[profile team]\noutput = json\n"),
        settings=TEAM,
    ),
    "nothing configured": Case(
        LoginRequired, "no-credential-found", arrange=nothing, settings={"source": "default-chain"}
    ),
    "an impossible region": Case(
        ConfigurationError,
        "bedrock-invalid-region",
        "AWS_REGION",
        "'nowhere'",
        arrange=both(credentials(BASE.replace("base", "default")), environment(AWS_REGION="nowhere")),
        settings={"region": None},
    ),
    "a region that AWS does not have": Case(
        ConfigurationError,
        "bedrock-invalid-region",
        "'xx-nowhere-9'",
        arrange=both(credentials(BASE), config(f"[profile team]\n{ROLE}source_profile = base\n")),
        settings={**TEAM, "region": "xx-nowhere-9"},
    ),
    "no region": Case(
        ConfigurationError,
        "bedrock-no-region",
        "[profiles.work]",
        arrange=credentials(BASE.replace("base", "default")),
        settings={"region": None},
    ),
    "a truncated short-term key": Case(
        ConfigurationError,
        "bedrock-invalid-api-key",
        arrange=environment(AWS_BEARER_TOKEN_BEDROCK=f"bedrock-api-key-{CANARY}"),
    ),
    "a key with a space": Case(
        ConfigurationError,
        "invalid-secret-input",
        "AWS_BEARER_TOKEN_BEDROCK",
        arrange=environment(AWS_BEARER_TOKEN_BEDROCK=f"{CANARY} x"),
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


def test_keeper_raises_a_clear_error_that_names_the_profile(
    case: Case, make_keeper: Callable[..., Keeper], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    keeper = make_keeper(**case.settings)
    began = time.monotonic()
    with raises_code(FreshkeyError, case.code) as raised:
        keeper.get("work")
    assert time.monotonic() - began < 40
    error = raised.value
    assert type(error) is case.kind, str(error)
    assert error.profile == "work"
    for fact in case.facts:
        assert fact in str(error).replace(os.sep, "/")
    shown = "".join(traceback.format_exception(error)) + caplog.text + repr(vars(error))
    assert CANARY not in shown
    assert "botocore.exceptions" not in shown


@pytest.fixture
def config_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "config"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("FRESHKEY_CONFIG_DIR", str(folder))
    monkeypatch.setenv("FRESHKEY_STATE_DIR", str(tmp_path / "state"))
    return folder


def test_command_line_prints_the_error(case: Case, config_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = {"provider": "bedrock", "store": "memory", "region": REGION, **case.settings}
    lines = [f"{name} = {json.dumps(value)}" for name, value in table.items() if value is not None]
    (config_folder / "config.toml").write_text("\n".join(["[profiles.work]", *lines]) + "\n", "utf-8")
    assert run(["exec", "work", "--", "true"]) != 0
    output = capsys.readouterr()
    assert output.out == ""
    assert "work: " in output.err
    assert f"[{case.code}]" in output.err
    for fact in case.facts:
        assert fact in output.err.replace("\n", " ").replace(os.sep, "/")
    assert CANARY not in output.err
    assert "Traceback" not in output.err


@pytest.mark.parametrize(
    "lines",
    [
        f"aws_access_key_id =\n  a = {CANARY}\naws_secret_access_key = {CANARY}",
        f"aws_access_key_id = AKIA\n  X-Evil: header\naws_secret_access_key = {CANARY}",
        f"aws_access_key_id = AKIA\naws_secret_access_key = {CANARY}\N{RIGHT SINGLE QUOTATION MARK}",
        f"aws_access_key_id = AKIA\naws_secret_access_key = {CANARY}\naws_session_token = {CANARY}\0",
        f"aws_access_key_id = AKIA\naws_secret_access_key =\naws_session_token = {CANARY}",
        f"aws_access_key_id = AKIA  # mine\naws_secret_access_key = {CANARY}",
        f"aws_access_key_id = AKIA\naws_secret_access_key = {CANARY} # mine",
        f"aws_access_key_id = AKIA\naws_secret_access_key = {CANARY}\naws_session_token = {CANARY} ; of today",
        f'aws_access_key_id = "AKIA"\naws_secret_access_key = {CANARY}',
        f"aws_access_key_id = AKIA\naws_secret_access_key = '{CANARY}'",
    ],
    ids=[
        *("nested", "two lines", "typographic quote", "NUL", "empty"),
        *("comment", "comment on secret", "comment on token", "quoted", "quoted secret"),
    ],
)
@pytest.mark.parametrize("where", ["config", "credentials"])
def test_malformed_keys_in_aws_files_are_refused(
    make_keeper: Callable[..., Keeper], aws_home: AwsHome, lines: str, where: str
) -> None:
    getattr(aws_home, where)(f"[default]\n{lines}\n")
    with raises_code(ConfigurationError, "bedrock-invalid-aws-credentials") as caught:
        make_keeper(source="default-chain").get("work")
    assert caught.value.profile == "work"
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("start", ["/opt/venv/bin/freshkey", "python3 -m freshkey", "C:/venv/Scripts/FreshKey.exe"])
def test_credential_process_that_runs_freshkey_for_the_same_profile_is_not_started(
    make_keeper: Callable[..., Keeper], aws_home: AwsHome, start: str
) -> None:
    aws_home.config(f"[default]\ncredential_process = {start} export work --format credential-process\n")
    with raises_code(ConfigurationError, "bedrock-credential-process-loop") as caught:
        make_keeper().get("work")
    assert "'work'" in caught.value.message
    assert "[profiles.work]" in str(caught.value.hint)


def test_credential_process_may_run_freshkey_for_another_profile(
    make_keeper: Callable[..., Keeper], aws_home: AwsHome
) -> None:
    program = aws_home.rotating_process("whatever", seconds=3600)
    shutil.copy2(aws_home.directory / "print-credentials", aws_home.directory / "freshkey")
    program = program.replace("print-credentials", "freshkey")
    aws_home.config(f"[default]\ncredential_process = {program} export people\n")
    assert make_keeper().get("work").environment()["AWS_ACCESS_KEY_ID"] == "ASIARUN1"


# --- instance metadata and deadlines ----------------------------------------------------------------------------------


def test_metadata_service_that_never_responds_costs_seconds(
    make_keeper: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Metadata(silent=True) as metadata:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)
        monkeypatch.setenv("AWS_METADATA_SERVICE_TIMEOUT", "30")
        monkeypatch.setenv("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "5")
        keeper = make_keeper()
        began = time.monotonic()
        with raises_code(TransientError, "bedrock-aws-unavailable") as caught:
            keeper.get("work")
        assert "does not answer" in caught.value.message
        assert time.monotonic() - began < 40
        # Two short requests for each of the four attempts of the core; it is not taken for one that will start.
        assert 1 <= len(metadata.questions) <= 8


def test_metadata_service_is_not_queried_if_disabled_in_the_environment(
    make_keeper: Callable[..., Keeper], make_profile: Callable[..., Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Metadata() as metadata:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)
        keeper = make_keeper(source="default-chain")
        with raises_code(LoginRequired, "no-credential-found"):
            keeper.get("work")
        with raises_code(LoginRequired, "bedrock-no-aws-credentials"):
            botocore_credentials.take(make_profile(), explicit=False)
        assert metadata.questions == []


@pytest.mark.parametrize("variable", ["AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_CONTAINER_CREDENTIALS_FULL_URI"])
def test_named_aws_profile_without_credentials_does_not_fall_back_to_the_instance(
    make_keeper: Callable[..., Keeper], aws_home: AwsHome, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    aws_home.config("[profile team]\nregion = eu-west-1\n")
    with Metadata() as metadata:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv(variable, metadata.url)
        with raises_code(LoginRequired, "bedrock-no-aws-credentials") as caught:
            make_keeper(aws_profile="team").get("work")
        assert "'team'" in str(caught.value)
        assert metadata.questions == []
        keeper = make_keeper()
        assert str(keeper.get("work").environment()["AWS_ACCESS_KEY_ID"]).startswith("ASIAINSTANCE")


def test_role_of_a_named_aws_profile_may_use_instance_credentials(
    make_keeper: Callable[..., Keeper], aws_home: AwsHome, moto: Moto, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = moto.role(f"role-{time.monotonic_ns()}")
    aws_home.config(f"[profile team]\nrole_arn = {role}\ncredential_source = Ec2InstanceMetadata\n")
    with Metadata() as metadata:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)
        assert make_keeper(aws_profile="team").get("work").expires_at is not None
        assert metadata.questions != []


def test_metadata_service_is_not_queried_on_hardware_of_another_vendor(
    make_profile: Callable[..., Profile], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setattr("freshkey_bedrock.instance_metadata.on_instance.__defaults__", (os.environ, tmp_path))
    asked: list[object] = []
    monkeypatch.setattr("botocore.utils.InstanceMetadataFetcher.retrieve_iam_role_credentials", asked.append)
    with raises_code(LoginRequired, "bedrock-no-aws-credentials"):
        botocore_credentials.take(make_profile(), explicit=False)
    assert asked == []


def test_lookup_has_a_deadline(make_keeper: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASLOW")
    over = threading.Event()
    monkeypatch.setattr("freshkey_bedrock.botocore_credentials._find", lambda *_: over.wait(60))
    keeper = make_keeper(deadline=0.2)
    began = time.monotonic()
    with raises_code(TransientError, "bedrock-aws-timed-out") as caught:
        keeper.get("work")
    assert "0.2 s" in str(caught.value)
    assert time.monotonic() - began < 30
    over.set()
