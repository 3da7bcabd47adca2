"""Paths in variables that are not written as paths: the variable is named, and the file is never just missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aws_home import AwsHome
from freshkey import Keeper
from freshkey.errors import ConfigurationError
from freshkey.model.profile import Profile
from freshkey_bedrock.own_files import ensure_own
from freshkey_bedrock.paths import expanded, shared_path
from raises_code import raises_code


MakeKeeper = Callable[..., Keeper]

CODE = "bedrock-invalid-aws-config"


@pytest.mark.parametrize("variable", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
@pytest.mark.parametrize(
    ("value", "what"),
    [
        ('"~/aws/config"', "quotes"),
        ("'/home/me/config'", "quotes"),
        ("$NOWHERE_TO_BE_SET/config", "contains a variable that is not set"),
        ("%NOWHERE_TO_BE_SET%/config", "variable"),
        ("~nobody-of-this-name/config", "~"),
        ("/home/me/config ", "space"),
        ("file:///home/me/config", "is a URL"),
        ("`pwd`/config`", "quotes"),
    ],
)
def test_way_a_shared_file_is_written_is_named(
    make_keeper: MakeKeeper, monkeypatch: pytest.MonkeyPatch, *, variable: str, value: str, what: str
) -> None:
    monkeypatch.setenv(variable, value)
    with raises_code(ConfigurationError, CODE) as caught:
        make_keeper(source="default-chain").get("work")
    assert variable in caught.value.message
    assert what in caught.value.message


def test_home_directory_and_variables_are_expanded_like_botocore_does(
    make_keeper: MakeKeeper, aws_home: AwsHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_home.credentials("[default]\naws_access_key_id = AKIAHERE\naws_secret_access_key = made-up\n")
    monkeypatch.setenv("AWS_FILES", str(aws_home.directory))
    for number, written in enumerate(("~/aws/credentials", "$AWS_FILES/credentials", "${HOME}/aws/credentials")):
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", written)
        keeper = make_keeper(source="default-chain", deadline=50 + number)
        assert keeper.get("work").environment()["AWS_ACCESS_KEY_ID"] == "AKIAHERE"


def test_oddly_named_file_that_exists_is_used(tmp_path: Path) -> None:
    odd = tmp_path / "'config'"
    odd.write_text("")
    assert shared_path("X", "~/x", {"X": str(odd)}) == odd


@pytest.mark.parametrize("value", ["~/token", '"/var/token"', "$HOME/token"])
def test_identity_token_path_that_is_not_expanded_is_named(
    make_keeper: MakeKeeper, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", value)
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r")
    with raises_code(ConfigurationError, CODE) as caught:
        make_keeper(source="default-chain").get("work")
    assert "AWS_WEB_IDENTITY_TOKEN_FILE" in caught.value.message


def test_identity_token_path_in_the_aws_profile_is_named(make_keeper: MakeKeeper, aws_home: AwsHome) -> None:
    aws_home.config("[profile team]\nrole_arn = arn:aws:iam::123456789012:role/r\nweb_identity_token_file = ~/token\n")
    with raises_code(ConfigurationError, CODE) as caught:
        make_keeper(aws_profile="team").get("work")
    assert "web_identity_token_file" in caught.value.message
    assert "~" in caught.value.message


@pytest.mark.parametrize("value", ["~/bin/print-credentials --x", "$HOME/bin/print-credentials"])
def test_program_path_that_is_not_expanded_is_named(make_keeper: MakeKeeper, aws_home: AwsHome, value: str) -> None:
    aws_home.config(f"[default]\ncredential_process = {value}\n")
    with raises_code(ConfigurationError, CODE) as caught:
        make_keeper(source="default-chain").get("work")
    assert "credential_process" in caught.value.message
    assert "which only a shell replaces" in caught.value.message


@pytest.mark.parametrize("variable", ["AWS_CONFIG_FILE", "AWS_DATA_PATH", "BOTO_CONFIG", "AWS_LOGIN_CACHE_DIRECTORY"])
def test_path_that_is_too_long_to_expand_is_named(profile: Profile, variable: str) -> None:
    """Expanding takes a time that grows with the square of the length."""
    with raises_code(ConfigurationError, "bedrock-invalid-aws-config") as caught:
        ensure_own(profile, {variable: "${" * 60_000})
    assert f"{variable} is longer than" in caught.value.message
    with raises_code(ConfigurationError, "bedrock-invalid-aws-config"):
        shared_path("AWS_CONFIG_FILE", "", {"AWS_CONFIG_FILE": "${" * 2049})
    assert expanded("$" * 4097) == Path("$" * 4097)
