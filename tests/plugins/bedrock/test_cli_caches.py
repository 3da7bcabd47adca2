"""Damaged session caches of the AWS CLI: the user is asked to sign in again, with the right command."""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aws_home import AwsHome
from freshkey import Keeper
from freshkey.errors import LoginRequired
from freshkey_bedrock.botocore_errors import own_error
from freshkey_bedrock.cli_caches import CheckedCache, cache_files, login_session, sso_session
from raises_code import raises_code
from runnable import runnable


MakeKeeper = Callable[..., Keeper]

CODE = "bedrock-aws-sign-in-required"
SECRET = "canary-of-a-session"

SSO_CONFIG = (
    "[profile team]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Dev\n"
    "[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\n"
)
LEGACY_CONFIG = (
    "[profile team]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\n"
    "sso_account_id = 123456789012\nsso_role_name = Dev\n"
)
GOOD: dict[str, Any] = {
    "accessToken": SECRET,
    "expiresAt": "2099-01-01T00:00:00Z",
    "refreshToken": SECRET,
    "clientId": "client",
    "clientSecret": SECRET,
    "registrationExpiresAt": "2099-01-01T00:00:00Z",
    "region": "eu-west-1",
    "startUrl": "https://corp.awsapps.com/start",
}
WHOLE = json.dumps(GOOD).encode()

DAMAGE = {
    "cut short": WHOLE[: len(WHOLE) // 2],
    "empty": b"",
    "blank": b"\n",
    "not JSON": b"accessToken = x",
    "a list": b"[]",
    "null": b"null",
    "binary": b"\xff\xfe\x00\xd8" * 9,
    "not UTF-8": WHOLE.replace(b"client", b"\xe9", 1),
    "zeros": b"\0" * 100,
    "no access token": json.dumps({**GOOD, "accessToken": None}).encode(),
    "a number as token": json.dumps({**GOOD, "accessToken": 7}).encode(),
    "no end": json.dumps({name: value for name, value in GOOD.items() if name != "expiresAt"}).encode(),
    "a wrong end": json.dumps({**GOOD, "expiresAt": "soon"}).encode(),
    "an end that is a list": json.dumps({**GOOD, "expiresAt": []}).encode(),
    "nested too deeply": b'{"a":' * 5000,
    "expired registration": json.dumps(
        {**GOOD, "expiresAt": "2020-01-01T00:00:00Z", "registrationExpiresAt": "2020-01-01T00:00:00Z"}
    ).encode(),
    "expired, with a damaged registration": json.dumps(
        {**GOOD, "expiresAt": "2020-01-01T00:00:00Z", "registrationExpiresAt": 7}
    ).encode(),
}


def sso_file(name: str = "corp") -> Path:
    digest = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
    path = Path.home() / ".aws" / "sso" / "cache" / f"{digest}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    ("config", "name"), [(SSO_CONFIG, "corp"), (LEGACY_CONFIG, "https://corp.awsapps.com/start")], ids=["new", "old"]
)
def test_damaged_sso_session_asks_for_aws_sso_login(
    make_keeper: MakeKeeper, aws_home: AwsHome, *, config: str, name: str, damage: str
) -> None:
    aws_home.config(config)
    sso_file(name).write_bytes(DAMAGE[damage])
    with raises_code(LoginRequired, CODE) as caught:
        make_keeper(aws_profile="team").get("work")
    assert caught.value.hint == "Run: aws sso login --profile team"
    assert ".py" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_auth_refresh_runs_for_a_damaged_session(make_keeper: MakeKeeper, aws_home: AwsHome, tmp_path: Path) -> None:
    aws_home.config(SSO_CONFIG)
    sso_file().write_bytes(WHOLE[:50])
    script = runnable(tmp_path / "sign-in", f"open({str(tmp_path / 'ran')!r}, 'w')")
    with raises_code(LoginRequired, CODE) as caught:
        make_keeper(aws_profile="team", auth_refresh=[str(script)]).get("work")
    assert (tmp_path / "ran").exists()
    assert str(sso_file()) in caught.value.message


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="every file is readable here")
def test_unreadable_session_says_why(make_keeper: MakeKeeper, aws_home: AwsHome) -> None:
    aws_home.config(SSO_CONFIG)
    sso_file().write_bytes(WHOLE)
    sso_file().chmod(0)
    with raises_code(LoginRequired, CODE) as caught:
        make_keeper(aws_profile="team").get("work")
    assert "Permission denied" in caught.value.message


def test_directory_in_place_of_a_session_says_so(make_keeper: MakeKeeper, aws_home: AwsHome) -> None:
    aws_home.config(SSO_CONFIG)
    sso_file().mkdir()
    with raises_code(LoginRequired, CODE) as caught:
        make_keeper(aws_profile="team").get("work")
    assert str(sso_file()) in caught.value.message


def test_source_profile_is_the_one_to_sign_in_to(make_keeper: MakeKeeper, aws_home: AwsHome) -> None:
    role = "[profile role]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = team\n"
    aws_home.config(SSO_CONFIG + role)
    sso_file().write_bytes(b"{")
    with raises_code(LoginRequired, CODE) as caught:
        make_keeper(aws_profile="role").get("work")
    assert caught.value.hint == "Run: aws sso login --profile team"


class Folder:
    """Like botocore's ``JSONFileCache``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _convert_cache_key(self, key: str) -> str:
        return str(self.folder / f"{key}.json")


def login_cache(folder: Path) -> CheckedCache:
    return CheckedCache(Folder(folder), login_session, command="login", aws_profile="team")


LOGIN: dict[str, Any] = {
    "accessToken": {
        "accessKeyId": "ASIA",
        "secretAccessKey": SECRET,
        "sessionToken": SECRET,
        "accountId": "123456789012",
        "expiresAt": "2026-01-01T00:00:00Z",
    },
    "refreshToken": SECRET,
    "dpopKey": SECRET,
    "clientId": "client",
}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        json.dumps(LOGIN).encode()[:-20],
        b"[]",
        json.dumps({**LOGIN, "accessToken": "x"}).encode(),
        json.dumps({**LOGIN, "accessToken": {"accessKeyId": "ASIA"}}).encode(),
        json.dumps({**LOGIN, "accessToken": {**LOGIN["accessToken"], "expiresAt": 7}}).encode(),
        json.dumps({**LOGIN, "dpopKey": None}).encode(),
    ],
)
def test_damaged_login_session_asks_for_aws_login(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.json").write_bytes(content)
    with raises_code(LoginRequired, CODE) as caught:
        login_cache(tmp_path)["key"]
    assert caught.value.hint == "Run: aws login --profile team"
    assert str(tmp_path / "key.json") in caught.value.message


def test_good_sessions_are_read_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_bytes(codecs.BOM_UTF8 + json.dumps(LOGIN).encode())
    assert "key" in login_cache(tmp_path)
    assert "other" not in login_cache(tmp_path)
    assert login_cache(tmp_path)["key"] == LOGIN


def test_session_without_a_usable_renewal_still_serves_its_access_token() -> None:
    found = sso_session({**GOOD, "registrationExpiresAt": 7})
    assert isinstance(found, dict)
    assert "refreshToken" not in found
    assert found["accessToken"] == SECRET


def test_whatever_botocore_raises_about_a_session_asks_for_a_sign_in(aws_home: AwsHome) -> None:
    aws_home.config("[profile team]\nlogin_session = arn:aws:iam::123456789012:user/me\n")
    for raised in (KeyError("x"), ValueError("x"), UnicodeDecodeError("utf-8", b"", 0, 1, "x"), TypeError("x")):
        error = own_error(raised, "team")
        assert isinstance(error, LoginRequired)
        assert error.hint == "Run: aws login --profile team"


def test_cache_files_are_those_of_the_aws_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_files({"sso_session": "corp"}) == (sso_file(),)
    monkeypatch.setenv("AWS_LOGIN_CACHE_DIRECTORY", str(tmp_path))
    (path,) = cache_files({"login_session": "me"})
    assert path == tmp_path / f"{hashlib.sha256(b'me').hexdigest()}.json"
