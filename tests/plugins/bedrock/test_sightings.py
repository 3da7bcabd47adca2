"""What is said to be there before anything is asked: by environment, files and machine, in botocore's order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aws_home import AwsHome
from freshkey.model.profile import Profile
from freshkey.model.source import Detected
from freshkey_bedrock import sightings


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


def test_nothing_is_there(profile: Profile) -> None:
    assert sightings.default_chain(profile) is None
    assert sightings.by_environment(profile) is None
    assert sightings.named_profile(profile) is None


def test_keys_of_the_environment_come_first_and_show_four_characters(
    profile: Profile, aws_home: AwsHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_home.credentials("[default]\naws_access_key_id = AKIAOTHER\n")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/token")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMADEUPKEY")
    detected = sightings.default_chain(profile)
    assert detected is not None
    assert seen(detected) == "AWS access key in environment variable AWS_ACCESS_KEY_ID"
    assert detected.last_four == "PKEY"
    assert sightings.by_environment(profile) == detected


@pytest.mark.parametrize(("key", "kind"), sightings.IN_PROFILES)
def test_what_a_profile_promises(
    key: str, kind: str, aws_home: AwsHome, profile: Profile, make_profile: Callable[..., Profile]
) -> None:
    aws_home.config(f"[default]\n{key} = {ALL[key]}\n[profile team]\n{key} = {ALL[key]}\n")
    assert seen(sightings.default_chain(profile)) == f"{kind} in AWS profile 'default'"
    assert seen(sightings.named_profile(make_profile(aws_profile="team"))) == f"{kind} in AWS profile 'team'"
    assert sightings.by_environment(profile) is None


def test_the_first_promise_counts(aws_home: AwsHome, profile: Profile) -> None:
    keys = [key for key, _ in sightings.IN_PROFILES]
    assert keys == list(ALL)
    for number, (_, kind) in enumerate(sightings.IN_PROFILES):
        aws_home.config("[default]\n" + "".join(f"{key} = {ALL[key]}\n" for key in keys[number:]))
        assert (seen(sightings.default_chain(profile)) or "").startswith(kind)


def test_a_profile_that_the_settings_or_the_environment_name_is_seen_although_it_is_not_there(
    profile: Profile, make_profile: Callable[..., Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert seen(sightings.named_profile(make_profile(aws_profile="gone"))) == "AWS credentials in AWS profile 'gone'"
    monkeypatch.setenv("AWS_PROFILE", "gone")
    assert "which is not there" in (seen(sightings.default_chain(profile)) or "")
    assert sightings.by_environment(profile) is None


@pytest.mark.parametrize("name", [*sightings.CONTAINER, "AWS_WEB_IDENTITY_TOKEN_FILE"])
def test_what_the_environment_of_a_container_or_pod_says(
    name: str, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "/somewhere")
    detected = sightings.by_environment(profile)
    assert (seen(detected) or "").endswith(f"environment variable {name}")
    assert detected == sightings.default_chain(profile)


def test_a_profile_comes_before_a_container(
    profile: Profile, aws_home: AwsHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_home.credentials("[default]\naws_access_key_id = AKIAOTHER\n")
    monkeypatch.setenv(sightings.CONTAINER[0], "/somewhere")
    assert (seen(sightings.default_chain(profile)) or "").endswith("AWS profile 'default'")
    assert sightings.by_environment(profile) is None


def test_an_instance_is_known_by_its_firmware_or_by_where_its_metadata_are(tmp_path: Path) -> None:
    assert not sightings.on_instance({}, tmp_path)
    (tmp_path / "sys_vendor").write_text("Amazon EC2\n")
    assert sightings.on_instance({}, tmp_path)
    assert not sightings.on_instance({"AWS_EC2_METADATA_DISABLED": "TRUE"}, tmp_path)
    (tmp_path / "sys_vendor").write_bytes(b"\xff\xfe Other Corp.\n")
    assert not sightings.on_instance({}, tmp_path)
    (tmp_path / "bios_vendor").write_text("1.0.amazon")
    assert sightings.on_instance({}, tmp_path)
    endpoint = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://[fd00:ec2::254]/"}
    assert sightings.on_instance(endpoint, tmp_path / "none")
    assert not sightings.on_instance(endpoint | {"AWS_EC2_METADATA_DISABLED": "true"}, tmp_path)


def test_the_role_of_an_instance_is_the_last_thing_seen(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
    assert seen(sightings.default_chain(profile)) == "AWS role of the instance in instance metadata"
    assert sightings.by_environment(profile) == sightings.default_chain(profile)
