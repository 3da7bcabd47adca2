"""AWS keys for a federation file come from every place that AWS's own tools look, by botocore's chain."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from freshkey.errors import ConfigurationError, FreshkeyError, ProviderRefused, TransientError
from freshkey_vertex import aws_supplier, metadata_http
from freshkey_vertex.aws_supplier import needs_botocore
from loopback_server import Exchange, LoopbackServer
from python_program import command_line, written_program
from raises_code import raises_code


NO_PROGRAM = Path("/no/program").absolute()


RELATIVE = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
FULL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"

pytestmark = pytest.mark.usefixtures("no_aws_keys")


class Container(LoopbackServer):
    """The credentials endpoint of a container (Amazon ECS Developer Guide, "Task IAM role")."""

    status = 200

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def serve(self, exchange: Exchange) -> None:
        self.asked.append(exchange.path)
        keys = {"AccessKeyId": "ASIACONTAINER", "SecretAccessKey": "canary", "Token": "canary-session"}
        exchange.answer(self.status, json.dumps({**keys, "Expiration": "2100-01-01T00:00:00Z"}).encode())


class Sts(LoopbackServer):
    """Answers AssumeRoleWithWebIdentity (AWS STS API reference)."""

    def serve(self, exchange: Exchange) -> None:
        keys = "<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>canary</SecretAccessKey>"
        keys += "<SessionToken>canary-session</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration>"
        result = f"<AssumeRoleWithWebIdentityResult><Credentials>{keys}</Credentials></AssumeRoleWithWebIdentityResult>"
        exchange.answer(
            200, f"<AssumeRoleWithWebIdentityResponse>{result}</AssumeRoleWithWebIdentityResponse>".encode()
        )


@pytest.fixture
def container() -> Iterator[Container]:
    with Container() as running:
        yield running


def test_container_endpoint_is_asked(
    container: Container, federated: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FULL, f"http://127.0.0.1:{container.port}/role")
    assert "ASIACONTAINER" in federated()
    assert container.asked == ["/role"]


def test_keys_of_a_profile_are_found(
    federated: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "aws-credentials").write_text(
        "[team]\naws_access_key_id = AKIATEAM\naws_secret_access_key = canary\n", "utf-8"
    )
    (tmp_path / "aws-config").write_text("[profile team]\nregion = eu-west-1\n", "utf-8")
    monkeypatch.setenv("AWS_PROFILE", "team")
    monkeypatch.delenv("AWS_REGION")
    sent = federated()
    assert "AKIATEAM" in sent
    assert "sts.eu-west-1.amazonaws.com" in sent


def test_helper_command_of_the_default_profile_is_run(federated: Callable[..., str], tmp_path: Path) -> None:
    program = tmp_path / "keys.py"
    program.write_text('print(\'{"Version": 1, "AccessKeyId": "AKIAHELPER", "SecretAccessKey": "canary"}\')\n')
    (tmp_path / "aws-config").write_text(f"[default]\ncredential_process = {sys.executable} {program}\n", "utf-8")
    assert "AKIAHELPER" in federated()


@pytest.mark.skipif(sys.platform == "win32", reason="the programs are shell scripts")
def test_helper_command_gets_neither_what_unlocks_the_store_nor_programs_of_the_project(
    federated: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """LEK-4, TRU-13: it runs as bedrock's does."""
    (tmp_path / "checkout" / ".git").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FRESHKEY_PASSPHRASE", "canary")
    monkeypatch.setenv("PATH", f"{tmp_path}/checkout:{tmp_path}:/usr/bin:/bin")
    keys = '{"Version": 1, "AccessKeyId": "AKIAHELPER", "SecretAccessKey": "canary"}'
    (tmp_path / "keys").write_text(f"#!/bin/sh\n(pwd; env) > {tmp_path}/inherited\necho '{keys}'\n")
    (tmp_path / "keys").chmod(0o700)
    shutil.copy(tmp_path / "keys", tmp_path / "checkout" / "keys")
    (tmp_path / "aws-config").write_text("[default]\ncredential_process = keys\n", "utf-8")
    assert "AKIAHELPER" in federated()
    inherited = (tmp_path / "inherited").read_text().splitlines()
    assert inherited[0] == str(tmp_path / "home")
    assert f"PATH={tmp_path}:/usr/bin:/bin" in inherited
    assert not [line for line in inherited if line.startswith("FRESHKEY_PASSPHRASE")]


@pytest.mark.skipif(sys.platform == "win32", reason="modes mean nothing on Windows")
def test_helper_command_that_another_user_can_replace_is_not_run(federated: Callable[..., str], tmp_path: Path) -> None:
    """TRU-9: whoever can would run as the user."""
    program = tmp_path / "keys.sh"
    program.write_text(f"touch {tmp_path}/ran\n")
    program.chmod(0o666)
    (tmp_path / "aws-config").write_text(f"[default]\ncredential_process = sh {program}\n", "utf-8")
    with raises_code(ConfigurationError, "unsafe-program"):
        federated()
    assert not (tmp_path / "ran").exists()


def test_endpoint_that_does_not_respond_is_asked_again_later(
    container: Container, federated: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    container.status = 500
    monkeypatch.setenv(FULL, f"http://127.0.0.1:{container.port}/role")
    with raises_code(TransientError, "vertex-aws-keys-unavailable") as caught:
        federated()
    assert isinstance(caught.value, TransientError)
    assert caught.value.local
    assert container.asked == ["/role"], "the core repeats it, with growing pauses"


@pytest.mark.parametrize(
    ("config", "refusal"),
    [
        ("[profile team]\nregion = eu-west-1\n", (ProviderRefused, "vertex-no-identity-token")),
        ("[profile team\ncanary", (ConfigurationError, "vertex-no-identity-token")),
        (f"[profile team]\ncredential_process = {NO_PROGRAM} canary\n", (ConfigurationError, "command-not-runnable")),
        (
            "[profile team]\ncredential_process = sk-ant-oat01-canary0123\n",
            (ConfigurationError, "command-not-runnable"),
        ),
    ],
)
def test_broken_configuration_is_not_quoted(
    federated: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    config: str,
    refusal: tuple[type[FreshkeyError], str],
) -> None:
    (tmp_path / "aws-config").write_text(config, "utf-8")
    monkeypatch.setenv("AWS_PROFILE", "team")
    with raises_code(*refusal) as caught:
        federated()
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "cause"),
    [
        ("[profile other]\n", "AWS profile 'team' does not exist"),
        ("[profile team\n", "aws-config"),
    ],
)
def test_cause_is_named_if_the_region_is_in_the_configuration_too(
    federated: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: str, cause: str
) -> None:
    (tmp_path / "aws-config").write_text(config, "utf-8")
    monkeypatch.setenv("AWS_PROFILE", "team")
    monkeypatch.delenv("AWS_REGION")
    with raises_code(ConfigurationError, "vertex-no-identity-token") as caught:
        federated()
    assert cause in caught.value.message


def test_missing_token_file_is_named(
    container: Container, federated: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(FULL, f"http://127.0.0.1:{container.port}/role")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "pod-token"))
    with raises_code(ConfigurationError, "vertex-no-identity-token") as caught:
        federated()
    assert "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" in caught.value.message


class RefusingSts(LoopbackServer):
    """Answers every request with one error."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__()
        self.error = code, status

    def serve(self, exchange: Exchange) -> None:
        exchange.body()
        code, status = self.error
        said = f"<ErrorResponse><Error><Code>{code}</Code><Message>canary</Message></Error></ErrorResponse>"
        exchange.answer(status, said.encode(), {"Content-Type": "text/xml"})


@pytest.mark.parametrize(
    ("aws_code", "status", "kind", "code"),
    [
        ("Throttling", 400, TransientError, "vertex-aws-keys-unavailable"),
        ("SlowDown", 503, TransientError, "vertex-aws-keys-unavailable"),
        ("AccessDenied", 403, ProviderRefused, "vertex-no-identity-token"),
    ],
)
def test_answer_of_sts_decides_whether_it_is_asked_again(  # noqa: PLR0917  fixtures
    federated: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    aws_code: str,
    status: int,
    kind: type[FreshkeyError],
    code: str,
) -> None:
    (tmp_path / "token").write_text("eyJhbGciOiJSUzI1NiJ9.made-up.c2ln", "utf-8")
    with RefusingSts(aws_code, status) as sts:
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r")
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        with raises_code(kind, code) as caught:
            federated()
    assert "canary" not in str(caught.value)
    assert code.endswith("unavailable") or aws_code in caught.value.message


def test_hanging_helper_does_not_hold_the_caller(
    federated: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(aws_supplier, "DEADLINE", 0.2)
    command = command_line(written_program(tmp_path / "keys", "import time\ntime.sleep(5)"))
    (tmp_path / "aws-config").write_text(f"[default]\ncredential_process = {command}\n", "utf-8")
    with raises_code(TransientError, "vertex-aws-keys-unavailable"):
        federated()


def test_role_that_requires_a_code_is_refused_without_a_prompt(
    federated: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "aws-config").write_text(
        "[profile team]\nrole_arn = arn:aws:iam::1:role/r\nmfa_serial = arn:aws:iam::1:mfa/m\nsource_profile = keys\n"
        "[profile keys]\naws_access_key_id = AKIAKEYS\naws_secret_access_key = canary\n",
        "utf-8",
    )
    monkeypatch.setenv("AWS_PROFILE", "team")
    with raises_code(ProviderRefused, "vertex-no-identity-token") as caught:
        federated()
    assert "MFA" in caught.value.message


def test_neither_identity_token_nor_keys_are_logged(
    federated: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "token").write_text("eyJhbGciOiJSUzI1NiJ9.canary-token.c2ln", "utf-8")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r")
    with Sts() as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{sts.port}")
        assert "ASIAROLE" in federated()
    assert "canary" not in caplog.text


def test_region_is_needed(federated: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RELATIVE, "/role")
    monkeypatch.delenv("AWS_REGION")
    with raises_code(ProviderRefused, "vertex-no-identity-token") as caught:
        federated()
    assert "AWS_REGION" in str(caught.value.hint)


def test_botocore_is_used_only_for_places_that_google_auth_does_not_know(tmp_path: Path) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    none = {"AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    assert not needs_botocore(none)
    assert not needs_botocore({**none, **keys, FULL: "http://127.0.0.1"})
    assert all(needs_botocore({**none, place: "x"}) for place in aws_supplier.PLACES)
    assert needs_botocore({**none, "AWS_CONFIG_FILE": __file__})


def test_missing_botocore_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_supplier, "find_spec", lambda _: None)
    with raises_code(ConfigurationError, "vertex-botocore-missing") as caught:
        needs_botocore({RELATIVE: "/role"})
    assert RELATIVE in caught.value.message
    assert not needs_botocore({"AWS_CONFIG_FILE": __file__})


@pytest.mark.parametrize("installed", [True, False])
def test_metadata_service_that_is_turned_off_is_not_asked(
    federated: Callable[..., str], monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    monkeypatch.setattr(metadata_http, "exchange", None)
    if not installed:
        monkeypatch.setattr(aws_supplier, "find_spec", lambda _: None)
    with raises_code(ProviderRefused, "vertex-no-identity-token") as caught:
        federated()
    assert caught.value.found_here
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    assert "AKIAENV" in federated()
