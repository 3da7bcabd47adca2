"""A pause after a failure ends when a credentials file changes, or anything that it names."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from freshkey import Keeper
from freshkey.errors import ConfigurationError, ProviderRefused
from freshkey_vertex.versions import version_of
from google_cloud import SUBJECT_TOKEN, GoogleCloud
from python_program import command_line, written_program
from raises_code import raises_code


WriteFile = Callable[..., Path]

AWS = {"environment_id": "aws1"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOME", "USERPROFILE"):  # the second one on Windows
        monkeypatch.setenv(name, str(tmp_path))
    (tmp_path / ".aws/sso/cache").mkdir(parents=True)
    return tmp_path


def test_identity_token_is_used_at_once_when_it_has_been_replaced(
    cloud: GoogleCloud, write_file: WriteFile, keeper: Callable[..., Keeper]
) -> None:
    token = write_file(f"{SUBJECT_TOKEN}-of-another", "subject")
    path = write_file(cloud.external_account({"file": str(token)}))
    held = keeper(credentials_file=str(path))
    for _ in range(2):
        with raises_code(ProviderRefused, "vertex-credentials-refused"):
            held.get("work")
    assert cloud.count("/sts") == 1, "the second caller is held back"
    token.unlink()
    with raises_code(ConfigurationError, "vertex-no-identity-token"):
        held.get("work")
    write_file(SUBJECT_TOKEN, "subject")
    assert held.get("work").headers()


def test_mended_program_is_run_at_once(
    cloud: GoogleCloud,
    write_file: WriteFile,
    keeper: Callable[..., Keeper],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
    script = tmp_path / "program"
    command = command_line(written_program(script, "raise SystemExit(1)"))
    path = write_file(cloud.external_account({"executable": {"command": command}}))
    held = keeper(credentials_file=str(path))
    with raises_code(ProviderRefused, "vertex-no-identity-token"):
        held.get("work")
    answer = {"version": 1, "success": True, "token_type": "urn:ietf:params:oauth:token-type:jwt"}
    written_program(script, f"print({json.dumps({**answer, 'id_token': SUBJECT_TOKEN})!r})")
    assert held.get("work").headers()


@pytest.mark.parametrize(
    "name",
    [".aws/credentials", ".aws/config", ".aws/sso/cache/a.json", "token", "helper", "profile-token"],
)
def test_files_that_aws_keys_come_from_count(cloud: GoogleCloud, write_file: WriteFile, home: Path, name: str) -> None:
    config = (
        f"[default]\ncredential_process = sh {home / 'helper'}\nweb_identity_token_file = {home / 'profile-token'}\n"
    )
    (home / ".aws/config").write_text(config, "utf-8")
    path = write_file(cloud.external_account(AWS))
    environ = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(home / "token")}
    before = version_of(path, environ)
    assert version_of(path, environ) == before
    with (home / name).open("a", encoding="utf-8") as file:
        file.write("# more\n")
    assert version_of(path, environ) != before


def test_environment_counts_where_it_is_read(cloud: GoogleCloud, write_file: WriteFile, home: Path) -> None:
    path = write_file(cloud.external_account(AWS))
    impersonated = {"type": "impersonated_service_account", "source_credentials": cloud.external_account(AWS)}
    nested = write_file(impersonated, "nested.json")
    keys = [{}, {"AWS_PROFILE": "team"}, {"AWS_PROFILE": "other"}, {"AWS_ACCESS_KEY_ID": "canary-key"}]
    for one in (path, nested):
        versions = {version_of(one, environ) for environ in keys}
        assert len(versions) == len(keys)
        assert "canary" not in "".join(versions)
    plain = write_file({"file": str(home)}, "plain.json")
    assert len({version_of(plain, environ) for environ in keys}) == 1
    program = write_file(cloud.external_account({"executable": {"command": "true"}}), "program.json")
    allowed = {"GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES": "1"}
    assert version_of(program, {}) != version_of(program, allowed)


@pytest.mark.parametrize(
    "source",
    [{"file": 3}, {"file": "\0"}, {"executable": {"command": "'"}}, {"executable": {}}, {"url": "x"}, [], None, {}],
)
def test_any_file_has_a_version(cloud: GoogleCloud, tmp_path: Path, source: object) -> None:
    path = tmp_path / "key.json"
    for content in (
        json.dumps({"credential_source": source}),
        f"\ufeff{json.dumps({'credential_source': source})}",
        "{",
    ):
        path.write_text(content, "utf-8")
        assert version_of(path, {})
    assert version_of(tmp_path / "missing", {}) == "-"
    assert version_of(tmp_path, {}) != "-"


@pytest.mark.parametrize("blank", ["\n", " ", "\t\n"])
def test_a_file_of_blanks_is_searched_in_linear_time(
    blank: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # NET-10
    config, adc = tmp_path / "config", tmp_path / "adc.json"
    config.write_text(blank * 200_000)
    adc.write_text(json.dumps({"credential_source": {"environment_id": "aws1"}}))
    began = time.process_time()
    version_of(adc, {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(config)})
    assert time.process_time() - began < 10.0
