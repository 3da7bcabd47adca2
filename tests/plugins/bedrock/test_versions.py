"""`Detected.version`: changes with everything that a source depends on, and only then."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aws_home import AwsHome
from freshkey._commands.command import Command
from freshkey.model.profile import Profile
from freshkey_bedrock.sources import SOURCES


MakeProfile = Callable[..., Profile]

KEYS = "aws_access_key_id = AKIAHERE\naws_secret_access_key = made-up\n"


def version(profile: Profile, source_id: str) -> str:
    source = next(source for source in SOURCES if source.id == source_id)
    detected = source.detect(profile)
    assert detected is not None
    assert detected.version
    assert source.detect(profile) == detected
    return detected.version


def wrote(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("source", ["aws-profile", "default-chain"])
def test_shared_files_and_sessions_of_the_aws_cli(make_profile: MakeProfile, aws_home: AwsHome, source: str) -> None:
    profile = make_profile(aws_profile="team")
    config = (
        "[profile team]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = Dev\n"
        "[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\n"
    )
    aws_home.config(config)
    seen = [version(profile, source)]
    cache = Path.home() / ".aws" / "sso" / "cache" / f"{hashlib.sha1(b'corp', usedforsecurity=False).hexdigest()}.json"
    wrote(cache, "{")
    seen.append(version(profile, source))
    wrote(cache, "{}")
    seen.append(version(profile, source))
    aws_home.config(config + "\n")
    seen.append(version(profile, source))
    aws_home.credentials("[other]\n")
    seen.append(version(profile, source))
    assert len(set(seen)) == len(seen)


def test_session_of_a_source_profile_counts(make_profile: MakeProfile, aws_home: AwsHome) -> None:
    aws_home.config(
        "[profile team]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\n[profile base]\nlogin_session = me\n"
    )
    before = version(make_profile(aws_profile="team"), "aws-profile")
    name = f"{hashlib.sha256(b'me').hexdigest()}.json"
    wrote(Path.home() / ".aws" / "login" / "cache" / name, "{}")
    assert version(make_profile(aws_profile="team"), "aws-profile") != before


def test_program_of_a_credential_process_counts(make_profile: MakeProfile, aws_home: AwsHome) -> None:
    role = "[profile team]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\n"
    aws_home.config(f"{role}[profile base]\ncredential_process = {aws_home.process('1')}\n")
    before = version(make_profile(aws_profile="team"), "aws-profile")
    aws_home.process("print(1)")
    assert version(make_profile(aws_profile="team"), "aws-profile") != before


def test_quoted_program_of_a_credential_process_counts(
    make_profile: MakeProfile, aws_home: AwsHome, tmp_path: Path
) -> None:
    program = tmp_path / "with spaces" / "print credentials"
    aws_home.config(f'[profile team]\ncredential_process = "{program}" --json\n')
    before = version(make_profile(aws_profile="team"), "aws-profile")
    wrote(program, "made-up")
    assert version(make_profile(aws_profile="team"), "aws-profile") != before


def test_malformed_credential_process_has_a_version(make_profile: MakeProfile, aws_home: AwsHome) -> None:
    aws_home.config('[profile team]\ncredential_process = "/bin/unclosed\n')
    assert version(make_profile(aws_profile="team"), "aws-profile")


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
def test_environment_variables(profile: Profile, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAHERE")
    before = version(profile, "environment")
    monkeypatch.setenv(name, "canary-of-a-key")
    after = version(profile, "environment")
    assert after != before
    assert "canary" not in after


@pytest.mark.parametrize("source", ["aws-profile", "default-chain"])
@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_STS"])
def test_environment_counts_for_an_aws_profile(
    make_profile: MakeProfile, aws_home: AwsHome, monkeypatch: pytest.MonkeyPatch, *, source: str, name: str
) -> None:
    aws_home.config("[profile team]\nrole_arn = arn:aws:iam::1:role/r\ncredential_source = Environment\n")
    seen = []
    for value in ("canary-one", "canary-two"):
        monkeypatch.setenv(name, value)
        seen.append(version(make_profile(aws_profile="team"), source))
    assert len(set(seen)) == 2
    assert "canary" not in "".join(seen)


def test_identity_token_file(profile: Profile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    before = version(profile, "environment")
    wrote(tmp_path / "token", "made-up")
    assert version(profile, "environment") != before


def test_bearer_key(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    for key in ("ABSK-one", "ABSK-two"):
        monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", key)
        seen.add(version(profile, "bearer-key"))
    assert len(seen) == 2


@pytest.mark.parametrize("setting", ["credential_export", "auth_refresh"])
def test_commands(make_profile: MakeProfile, aws_home: AwsHome, tmp_path: Path, setting: str) -> None:
    program = tmp_path / "program"
    wrote(program, "one")
    profile = make_profile(**{setting: Command.of([str(program)])})
    source = "credential-export" if setting == "credential_export" else "default-chain"
    seen = [version(profile, source)]
    wrote(program, "another")
    seen.append(version(profile, source))
    aws_home.config("[profile other]\nregion = eu-west-1\n")
    seen.append(version(profile, source))
    assert len(set(seen)) == 3


def test_short_term_key_has_the_version_of_its_signer(make_profile: MakeProfile, aws_home: AwsHome) -> None:
    aws_home.credentials(f"[default]\n{KEYS}")
    profile = make_profile(source="short-term-key")
    assert version(profile, "short-term-key") == version(profile, "default-chain")


def test_touched_file_is_another_version(make_profile: MakeProfile, aws_home: AwsHome) -> None:
    aws_home.credentials(f"[team]\n{KEYS}")
    before = version(make_profile(aws_profile="team"), "aws-profile")
    os.utime(aws_home.credentials_file, (1, 1))
    assert version(make_profile(aws_profile="team"), "aws-profile") != before
