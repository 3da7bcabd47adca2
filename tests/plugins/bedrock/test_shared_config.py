"""The shared AWS config and credentials files: parsing, and which AWS profile is used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aws_home import AwsHome
from freshkey.errors import ConfigurationError
from freshkey.model.profile import Profile
from freshkey_bedrock.shared_config import profile_name, profile_section, read_files
from raises_code import raises_code


def test_aws_profile_precedence(
    profile: Profile, make_profile: Callable[..., Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
    import botocore.session

    assert profile_name(profile) == "default"
    monkeypatch.setenv("AWS_PROFILE", "second")
    assert profile_name(profile) == "second" == botocore.session.Session().profile
    monkeypatch.setenv("AWS_DEFAULT_PROFILE", "first")
    assert profile_name(profile) == "first" == botocore.session.Session().profile
    assert profile_name(make_profile(aws_profile="named")) == "named"


def test_credentials_file_overrides_config_file(aws_home: AwsHome) -> None:
    assert profile_section("team") is None
    aws_home.config("[profile team]\nregion = eu-west-1\noutput = json\n[team]\nregion = wrong\n[profile]\nx = y\n")
    assert profile_section("team") == {"region": "eu-west-1", "output": "json"}
    aws_home.credentials("[team]\nregion = eu-west-2\n[profile other]\nregion = x\n")
    assert profile_section("team") == {"region": "eu-west-2", "output": "json"}
    assert profile_section("other") is None


def test_end_of_keys_may_be_in_the_config_file(aws_home: AwsHome) -> None:
    """``aws configure set expiration …`` writes it there, but the keys into the other file."""
    ended = "expiration = 2020-01-01T00:00:00Z\n"
    aws_home.config(f"[profile team]\n{ended}")
    assert read_files().keys_end("team") is None
    aws_home.credentials("[team]\naws_access_key_id = A\n")
    end = read_files().keys_end("team")
    assert end is not None
    assert end.where == f"expiration in {aws_home.config_file}"
    aws_home.credentials(f"[team]\naws_access_key_id = A\n{ended.replace('2020', '2030')}")
    end = read_files().keys_end("team")
    assert end is not None
    assert end.at.year == 2030
    aws_home.config(f"[profile team]\naws_access_key_id = B\n{ended}")
    aws_home.credentials("[team]\naws_access_key_id = A\n")
    assert read_files().keys_end("team") is None


@pytest.mark.parametrize("title", ['profile "my team"', "profile 'my team'", "profile   'my team'"])
def test_profile_name_may_be_quoted(aws_home: AwsHome, title: str) -> None:
    aws_home.config(f"[{title}]\nregion = eu-west-1\n['unbalanced]\nregion = x\n")
    assert profile_section("my team") == {"region": "eu-west-1"}


def test_parsed_profiles_equal_those_of_botocore(aws_home: AwsHome) -> None:
    import botocore.session

    aws_home.config(
        "# a comment\n[default]\nregion=eu-west-1\ns3 =\n  max_queue_size = 10\n[profile team]\n"
        "role_arn: arn:aws:iam::1:role/r\nsource_profile = default\ncredential_process = /x --y '%s' ; no comment\n"
    )
    theirs = botocore.session.Session().full_config["profiles"]
    for name in ("default", "team"):
        ours = profile_section(name)
        assert ours is not None
        plain = {key: value for key, value in ours.items() if not value.startswith("\n")}
        assert plain == {key: value for key, value in theirs[name].items() if isinstance(value, str)}


def test_path_may_refer_to_the_home_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("[default]\nregion = eu-west-1\n")
    for path in ("~/elsewhere", "$HOME/elsewhere"):
        monkeypatch.setenv("AWS_CONFIG_FILE", path)
        assert profile_section("default") == {"region": "eu-west-1"}
    monkeypatch.setenv("AWS_CONFIG_FILE", "")
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[default]\nregion = eu-west-2\n")
    assert profile_section("default") == {"region": "eu-west-2"}


def test_huge_file_and_directory_are_refused(aws_home: AwsHome) -> None:
    aws_home.config("[default]\n" + "#" * 5_000_000)
    with raises_code(ConfigurationError, "bedrock-invalid-aws-config") as caught:
        profile_section("default")
    assert str(aws_home.config_file) in caught.value.message
    aws_home.config_file.unlink()
    aws_home.config_file.mkdir()
    with raises_code(ConfigurationError, "bedrock-invalid-aws-config") as caught:
        profile_section("default")
    assert str(aws_home.config_file) in caught.value.message
    assert "directory" in caught.value.message
