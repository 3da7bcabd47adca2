"""Files of tokens as editors, shells and other tools write them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from freshkey.errors import ConfigurationError, FreshkeyError
from freshkey.model.profile import Profile
from freshkey_bedrock import botocore_credentials
from freshkey_bedrock.token_files import IdentityToken, container_headers
from raises_code import raises_code


TOKEN = "eyJhbGciOiJSUzI1NiJ9.canary-made-up.token"
CODE = "bedrock-invalid-aws-config"
VARIABLE = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
URL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"

Wrote = Callable[[bytes], str]


@pytest.fixture
def wrote(tmp_path: Path) -> Wrote:
    def write(content: bytes) -> str:
        path = tmp_path / "token"
        path.write_bytes(content)
        return str(path)

    return write


WRITTEN = {
    "as it is": TOKEN.encode(),
    "line break": f"{TOKEN}\n".encode(),
    "of Windows": f"\ufeff{TOKEN}\r\n".encode(),
    "UTF-16": TOKEN.encode("utf-16"),
}


@pytest.mark.parametrize("content", WRITTEN.values(), ids=WRITTEN)
def test_only_the_token_is_sent(wrote: Wrote, content: bytes) -> None:
    assert IdentityToken(wrote(content))() == TOKEN
    assert container_headers({f"{VARIABLE}_FILE": wrote(content)}) == {"Authorization": TOKEN}


def test_authorization_of_a_container_may_be_in_a_variable(wrote: Wrote) -> None:
    assert container_headers({}) is None
    assert container_headers({VARIABLE: "Basic made-up\n"}) == {"Authorization": "Basic made-up"}
    both = {VARIABLE: "made-up", f"{VARIABLE}_FILE": wrote(TOKEN.encode())}
    assert container_headers(both) == {"Authorization": TOKEN}
    assert container_headers({VARIABLE: "made-up", f"{VARIABLE}_FILE": ""}) == {"Authorization": "made-up"}


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"\x80\x81", f'"{TOKEN}"'.encode(), f"{TOKEN} x".encode(), b"\xc3\xa9"]
)
def test_other_content_is_named_and_not_quoted(wrote: Wrote, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    path = wrote(content)
    with raises_code(ConfigurationError, CODE) as caught:
        IdentityToken(path)()
    assert "web_identity_token_file of the AWS profile" in caught.value.message
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", path)
    with raises_code(ConfigurationError, CODE) as caught:
        IdentityToken(path)()
    assert "AWS_WEB_IDENTITY_TOKEN_FILE" in caught.value.message
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("content", [b"\x80\x81", b"made\nup", b"\xc3\xa9"])
def test_authorization_that_is_no_header(wrote: Wrote, content: bytes) -> None:
    with raises_code(ConfigurationError, CODE) as caught:
        container_headers({f"{VARIABLE}_FILE": wrote(content)})
    assert f"{VARIABLE}_FILE" in caught.value.message


@pytest.mark.skipif(os.name == "nt", reason="modes mean nothing on Windows")
def test_token_file_that_others_can_change_is_not_sent(wrote: Wrote) -> None:
    """TRU-14: they would choose the identity."""
    path = wrote(TOKEN.encode())
    Path(path).chmod(0o666)
    with raises_code(ConfigurationError, "unsafe-file"):
        IdentityToken(path)()
    with raises_code(ConfigurationError, "unsafe-file"):
        container_headers({f"{VARIABLE}_FILE": path, URL: NEAR[0]})


ELSEWHERE = (
    "https://192.0.2.2:18443/x",
    "https://credentials.example/x",
    "https://localhost.example/x",
    "https://192.0.2.2\\@127.0.0.1/x",
    "https://127.0.0.1@192.0.2.2/x",
    "https://[2001:db8::1]/x",
    "",
)
NEAR = ("http://127.0.0.1:8080/x", "http://localhost/x?a=b", "https://[::1]/x", "http://169.254.170.23/v1/credentials")


@pytest.mark.parametrize("url", ELSEWHERE)
def test_a_file_goes_to_another_machine_only_if_it_is_an_identity_token(wrote: Wrote, url: str) -> None:
    """TRU-13: a variable can name any file of the user's, and another one any host."""
    environ = {URL: url, f"{VARIABLE}_FILE": wrote(b"canary-deploy-key\n")}
    with raises_code(ConfigurationError, CODE) as caught:
        container_headers(environ)
    assert f"{VARIABLE}_FILE is not an identity token" in caught.value.message
    assert "canary" not in str(caught.value)
    assert container_headers({**environ, f"{VARIABLE}_FILE": wrote(TOKEN.encode())}) == {"Authorization": TOKEN}
    assert container_headers({URL: url, VARIABLE: "made-up"}) == {"Authorization": "made-up"}


@pytest.mark.parametrize("url", [*NEAR, "http://[fd00:ec2::23]/v1/credentials"])
def test_a_file_of_any_form_goes_to_this_machine(wrote: Wrote, url: str) -> None:
    assert container_headers({URL: url, f"{VARIABLE}_FILE": wrote(b"made-up\n")}) == {"Authorization": "made-up"}


def test_the_relative_address_is_on_this_machine_whatever_else_is_set(wrote: Wrote) -> None:
    environ = {URL: ELSEWHERE[0], "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x", f"{VARIABLE}_FILE": wrote(b"made-up")}
    assert container_headers(environ) == {"Authorization": "made-up"}
    for odd in (".example/x", "@192.0.2.2/x", ".example\\@localhost/x"):
        with raises_code(ConfigurationError, CODE):
            container_headers({**environ, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": odd})


def test_botocore_reads_both_files_in_this_way(profile: Profile, monkeypatch: pytest.MonkeyPatch, wrote: Wrote) -> None:
    path = wrote(b"two words")
    for name, value in {
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r",
        "AWS_WEB_IDENTITY_TOKEN_FILE": path,
    }.items():
        monkeypatch.setenv(name, value)
    assert "AWS_WEB_IDENTITY_TOKEN_FILE contains more than a token" in failure(profile).message
    monkeypatch.delenv("AWS_WEB_IDENTITY_TOKEN_FILE")
    wrote(b"made\nup")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "")
    monkeypatch.setenv(f"{VARIABLE}_FILE", path)
    assert f"{VARIABLE}_FILE contains line breaks" in failure(profile).message
    Path(path).unlink()
    assert "No such file" in failure(profile).message


def failure(profile: Profile) -> FreshkeyError:
    with raises_code(ConfigurationError, CODE) as caught:
        botocore_credentials.take(profile, explicit=False)
    return caught.value
