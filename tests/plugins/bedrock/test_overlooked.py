"""Credentials in the shared files that botocore passes over: the message says which, and why."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from aws_home import AwsHome
from freshkey import Keeper
from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired
from freshkey.model.profile import Profile
from freshkey_bedrock import default_chain
from freshkey_bedrock.overlooked import overlooked
from freshkey_bedrock.shared_config import profile_section
from raises_code import raises_code


MakeKeeper = Callable[..., Keeper]

CODE = "bedrock-no-aws-credentials"
KEYS = "aws_access_key_id = AKIAHERE\naws_secret_access_key = made-up-canary\n"
SECRET = "aws_secret_access_key = made-up-canary\n"
INDENTED = "region = us-east-1\n  aws_access_key_id = AKIAHERE\n  aws_secret_access_key = made-up-canary\n"

IN_CREDENTIALS = [
    (f"[Default]\n{KEYS}", "/aws/credentials has [Default] instead of [default]"),
    (f"[DEFAULT]\n{KEYS}", "/aws/credentials has [DEFAULT] instead of [default]"),
    (f"[ default ]\n{KEYS}", "/aws/credentials has [ default ] instead of [default]"),
    (f'["default"]\n{KEYS}', '/aws/credentials has ["default"] instead of [default]'),
    (f"[profile default]\n{KEYS}", "/aws/credentials has [profile default] instead of [default]"),
    (f"[default]\n{INDENTED}", "aws_access_key_id is indented in [default] of"),
    (f"[default]\n{SECRET}", "has aws_secret_access_key, but no aws_access_key_id"),
    (f"[default]\n{KEYS.replace('_key_id', '_key')}", "has 'aws_access_key' instead of aws_access_key_id"),
    (f"[default]\n{KEYS.replace('aws_access_key_id', 'AWS Access Key ID')}", "has 'aws access key id' instead of"),
    (f"[default]\n{KEYS.replace('aws_access_key_id', 'aws-access-key-id')}", "has 'aws-access-key-id' instead of"),
    (f"[default]\n{KEYS.replace('aws_access_key_id', 'AccessKeyId')}", "has 'accesskeyid' instead of"),
]

IN_CONFIG = [
    (f"[Default]\n{KEYS}", "/aws/config has [Default] instead of [default]"),
    ("[Profile default]\nrole_arn = x\n", "/aws/config has [Profile default] instead of [default]"),
    ("[default]\nregion = x\n sso_session = corp\n", "sso_session is indented in [default] of"),
    (f"[default]\n{KEYS}[profile default]\nregion = x\n", "[default] and [profile default], which are the same"),
]


@pytest.mark.parametrize("source", [None, "default-chain"])
@pytest.mark.parametrize(("text", "fact"), IN_CREDENTIALS)
def test_overlooked_credentials_are_named(
    make_keeper: MakeKeeper, aws_home: AwsHome, *, text: str, fact: str, source: str | None
) -> None:
    aws_home.credentials(text)
    with raises_code(LoginRequired, CODE) as caught:
        make_keeper(source=source).get("work")
    assert fact in caught.value.message.replace(os.sep, "/")
    assert "Correct that" in str(caught.value.hint)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(("text", "fact"), IN_CONFIG)
def test_overlooked_credentials_in_the_config_file_are_named(
    make_keeper: MakeKeeper, aws_home: AwsHome, text: str, fact: str
) -> None:
    aws_home.config(text)
    with raises_code(LoginRequired, CODE) as caught:
        make_keeper().get("work")
    assert fact in caught.value.message.replace(os.sep, "/")


@pytest.mark.parametrize("choose", [{"aws_profile": "team"}, {"source": "default-chain"}, {}])
def test_profile_that_is_there_twice_counts_as_botocore_counts_it(
    make_keeper: MakeKeeper, aws_home: AwsHome, monkeypatch: pytest.MonkeyPatch, choose: dict[str, str]
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "team")
    aws_home.config(f'[profile team]\n{KEYS}[profile "team"]\nregion = us-west-2\n')
    with raises_code(LoginRequired, CODE) as caught:
        make_keeper(**choose).get("work")
    assert 'has [profile team] and [profile "team"], which are the same AWS profile' in caught.value.message
    assert "only the last one counts" in caught.value.message
    assert profile_section("team") == {"region": "us-west-2"}
    aws_home.config(f'[profile "team"]\nregion = us-west-2\n[profile team]\n{KEYS}')
    credential = make_keeper(**choose, deadline=50).get("work")
    assert credential.environment()["AWS_ACCESS_KEY_ID"] == "AKIAHERE"


@pytest.mark.parametrize(
    ("title", "wanted"),
    [
        ("Team", "profile team"),
        ("profile Team", "profile team"),
        ("team", "profile team"),
        ("PROFILE team", "profile team"),
    ],
)
def test_profile_that_does_not_exist_is_looked_for_under_similar_titles(
    make_keeper: MakeKeeper, aws_home: AwsHome, title: str, wanted: str
) -> None:
    aws_home.config(f"[{title}]\nregion = eu-west-1\n")
    with raises_code(ConfigurationError, "bedrock-unknown-aws-profile") as caught:
        make_keeper(aws_profile="team").get("work")
    assert f"/aws/config has [{title}] instead of [{wanted}]" in caught.value.message.replace(os.sep, "/")


@pytest.mark.parametrize(
    ("base", "fact"),
    [
        (f"[Base]\n{KEYS}", "has [Base] instead of [base]"),
        (f"[profile base]\n{KEYS}", "has [profile base] instead of [base]"),
        (f"[base]\n{SECRET}", "has aws_secret_access_key, but no aws_access_key_id"),
        (f"[base]\n{INDENTED}", "aws_access_key_id is indented in [base] of"),
    ],
)
def test_keys_that_a_role_does_not_find_are_named(
    make_keeper: MakeKeeper, aws_home: AwsHome, base: str, fact: str
) -> None:
    aws_home.config("[profile team]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\n")
    aws_home.credentials(base)
    with pytest.raises(FreshkeyError) as caught:
        make_keeper(aws_profile="team").get("work")
    assert "base" in caught.value.message
    assert fact in caught.value.message.replace(os.sep, "/")


@pytest.mark.parametrize("name", ['"team"', "'team'", "team ", " team"])
def test_name_with_quotes_or_spaces_around_it_is_explained(
    make_keeper: MakeKeeper, aws_home: AwsHome, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("AWS_PROFILE", name)
    aws_home.credentials(f"[team]\n{KEYS}")
    with raises_code(ConfigurationError, "bedrock-unknown-aws-profile") as caught:
        make_keeper().get("work")
    assert "the name has quotes or spaces around it" in caught.value.message


@pytest.mark.parametrize("choose", [{"aws_profile": "team"}, {}])
def test_variable_that_names_a_missing_file_is_named(
    make_keeper: MakeKeeper, aws_home: AwsHome, monkeypatch: pytest.MonkeyPatch, choose: dict[str, str]
) -> None:
    aws_home.config("")
    monkeypatch.setenv("AWS_PROFILE", "team")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")
    with pytest.raises(FreshkeyError) as caught:
        make_keeper(**choose).get("work")
    assert "the file in AWS_SHARED_CREDENTIALS_FILE does not exist" in caught.value.message
    assert "AWS_CONFIG_FILE" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "[default]\nregion = eu-west-1\n[Default]\nregion = eu-west-1\n",
        "[default]\ns3 =\n  max_queue_size = 10\n[other]\naws_access_key = A\n",
        "[default]\naccess_key_hint = ask the team\n[preview]\ncloudfront = true\n",
        "[default]\nregion = us-east-1\n  output = json\n",
        "[DEFAULT]\nregion = us-east-1\n[default]\noutput = json\n",
        "[DEFAULT]\nregion = us-east-1\n[profile other]\nrole_arn = x\n",
    ],
)
def test_files_without_credentials_are_no_reason_to_look_further(
    make_keeper: MakeKeeper, profile: Profile, aws_home: AwsHome, text: str
) -> None:
    aws_home.config(text)
    assert overlooked("default") == ""
    assert default_chain.detect(profile) is None
    with raises_code(LoginRequired, "no-credential-found"):
        make_keeper().get("work")


def test_overlooked_credentials_hide_neither_a_sign_in_nor_the_machine(
    make_keeper: MakeKeeper, profile: Profile, aws_home: AwsHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_home.credentials(f"[Default]\n{KEYS}")
    assert default_chain.detect_handed_in(profile) is None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made up")
    assert make_keeper().get("work").environment()["AWS_ACCESS_KEY_ID"] == "AKIAENVIRONMENT"


def test_malformed_files_are_explained_elsewhere(aws_home: AwsHome) -> None:
    aws_home.config("[default\n")
    assert overlooked("default") == ""
