"""Offline detection of AWS credentials in environment, files and machine, in botocore's order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aws_home import AwsHome
from freshkey.model.profile import Profile
from freshkey.model.source import Detected
from freshkey_bedrock import aws_profile, default_chain
from freshkey_bedrock.shared_config import ambient_profile_name


ALL = {
    "role_arn": "arn:aws:iam::123456789012:role/r",
    "web_identity_token_file": "/token",
    "sso_session": "corp",
    "sso_start_url": "https://corp.awsapps.com/start",
    "aws_access_key_id": "AKIAMADEUPKEY",
    "login_session": "arn:aws:iam::123456789012:user/me",
    "credential_process": "/bin/print",
}


def seen(detected: Detected | None) -> str | None:
    return f"{detected.kind} in {detected.origin}" if detected else None


def test_nothing_is_detected(profile: Profile) -> None:
    assert default_chain.detect_present(ambient_profile_name()) is None
    assert default_chain.detect_handed_in(profile) is None
    assert aws_profile.detect(profile) is None


def test_keys_in_the_environment_come_first_and_show_four_characters(
    profile: Profile, aws_home: AwsHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_home.credentials("[default]\naws_access_key_id = AKIAOTHER\n")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/token")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMADEUPKEY")
    detected = default_chain.detect_present(ambient_profile_name())
    assert detected is not None
    assert seen(detected) == "AWS access key in environment variable AWS_ACCESS_KEY_ID"
    assert detected.last_four == "PKEY"
    assert default_chain.detect_handed_in(profile) == detected


@pytest.mark.parametrize(("key", "kind"), aws_profile.CREDENTIAL_KEYS)
def test_kind_of_credentials_in_an_aws_profile(
    key: str, kind: str, aws_home: AwsHome, profile: Profile, make_profile: Callable[..., Profile]
) -> None:
    aws_home.config(f"[default]\n{key} = {ALL[key]}\n[profile team]\n{key} = {ALL[key]}\n")
    assert seen(default_chain.detect_present(ambient_profile_name())) == f"{kind} in AWS profile 'default'"
    assert seen(aws_profile.detect(make_profile(aws_profile="team"))) == f"{kind} in AWS profile 'team'"
    assert default_chain.detect_handed_in(profile) is None


def test_first_credential_key_of_a_profile_wins(aws_home: AwsHome, profile: Profile) -> None:
    keys = [key for key, _ in aws_profile.CREDENTIAL_KEYS]
    assert keys == list(ALL)
    for number, (_, kind) in enumerate(aws_profile.CREDENTIAL_KEYS):
        aws_home.config("[default]\n" + "".join(f"{key} = {ALL[key]}\n" for key in keys[number:]))
        assert (seen(default_chain.detect_present(ambient_profile_name())) or "").startswith(kind)


def test_named_but_missing_aws_profile_is_detected(
    profile: Profile, make_profile: Callable[..., Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert seen(aws_profile.detect(make_profile(aws_profile="gone"))) == "AWS credentials in AWS profile 'gone'"
    monkeypatch.setenv("AWS_PROFILE", "gone")
    assert "does not exist" in (seen(default_chain.detect_present(ambient_profile_name())) or "")
    assert default_chain.detect_handed_in(profile) is None


@pytest.mark.parametrize("name", [*default_chain.CONTAINER_VARIABLES, "AWS_WEB_IDENTITY_TOKEN_FILE"])
def test_container_and_pod_variables_are_detected(name: str, profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "/somewhere")
    detected = default_chain.detect_handed_in(profile)
    assert (seen(detected) or "").endswith(f"environment variable {name}")
    assert detected == default_chain.detect_present(ambient_profile_name())


def test_aws_profile_takes_precedence_over_a_container(
    profile: Profile, aws_home: AwsHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_home.credentials("[default]\naws_access_key_id = AKIAOTHER\n")
    monkeypatch.setenv(default_chain.CONTAINER_VARIABLES[0], "/somewhere")
    assert (seen(default_chain.detect_present(ambient_profile_name())) or "").endswith("AWS profile 'default'")
    assert default_chain.detect_handed_in(profile) is None


def test_instance_role_comes_last(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
    assert seen(default_chain.detect_present(ambient_profile_name())) == "AWS instance role in instance metadata"
    assert default_chain.detect_handed_in(profile) == default_chain.detect_present(ambient_profile_name())
