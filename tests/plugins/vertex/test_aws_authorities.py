"""Certificates that botocore does not trust on its way to AWS, and files of authorities that it cannot use."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.session import Session

from certificates import Authority
from free_port import free_port
from freshkey.errors import ConfigurationError, FreshkeyError, TransientError
from freshkey_vertex.aws_authorities import untrusted
from loopback_server import Exchange, LoopbackServer
from promises import proves
from raises_code import raises_code


Federated = Callable[..., str]


class Sts(LoopbackServer):
    """Assumes every role over TLS."""

    def __init__(self, authority: Authority, *, expired: bool) -> None:
        super().__init__()
        self._server.socket = authority.context(expired=expired).wrap_socket(self._server.socket, server_side=True)

    def serve(self, exchange: Exchange) -> None:
        exchange.body()
        keys = "<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>canary</SecretAccessKey>"
        keys += "<SessionToken>t</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration>"
        answer = f"<AssumeRoleResult><Credentials>{keys}</Credentials></AssumeRoleResult>"
        exchange.answer(200, f"<AssumeRoleResponse>{answer}</AssumeRoleResponse>".encode())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def sts(
    request: pytest.FixtureRequest,
    no_aws_keys: None,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[None]:
    """Have a role of the profile ``team`` assumed over TLS."""
    role = "[profile team]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = keys\n"
    (tmp_path / "aws-config").write_text(role, "utf-8")
    keys = "[keys]\naws_access_key_id = AKIAKEYS\naws_secret_access_key = canary\n"
    (tmp_path / "aws-credentials").write_text(keys, "utf-8")
    monkeypatch.setenv("AWS_PROFILE", "team")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with Sts(authority, expired=getattr(request, "param", False)) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", running.url.replace("http:", "https:"))
        yield


@pytest.mark.usefixtures("sts")
@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_bundle_is_trusted(
    federated: Federated, authority: Authority, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with raises_code(TransientError, "tls-certificate-refused") as caught:
        federated()
    assert "the certificate of 127.0.0.1 cannot be verified" in caught.value.message
    assert "set AWS_CA_BUNDLE to its PEM file" in str(caught.value.hint)
    assert isinstance(caught.value, TransientError)
    assert (caught.value.local, caught.value.starting) == (True, False)
    monkeypatch.setenv(variable, str(authority.file))
    assert "ASIAROLE" in federated()


@proves("LEK-10")
@pytest.mark.usefixtures("sts")
def test_no_session_keys_are_written(
    federated: Federated, authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.file))
    assert "ASIAROLE" in federated()
    assert not (tmp_path / "keys.log").exists()


@pytest.mark.parametrize("sts", [True], indirect=True)
def test_certificate_that_has_expired(
    federated: Federated, authority: Authority, monkeypatch: pytest.MonkeyPatch, sts: None
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.file))
    with raises_code(TransientError, "tls-certificate-refused") as caught:
        federated()
    assert "expired" in caught.value.message
    assert "the file in AWS_CA_BUNDLE" in str(caught.value.hint)


@pytest.mark.usefixtures("sts")
@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize(
    ("content", "flaw"),
    [
        (None, "names a file that does not exist"),
        (b"", "names a file without a certificate in PEM form"),
        (b"\x30\x82\x01\x02canary", "names a file without a certificate in PEM form"),
    ],
)
def test_bundle_that_cannot_be_used(  # noqa: PLR0917  fixtures
    federated: Federated,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variable: str,
    content: bytes | None,
    flaw: str,
) -> None:
    if content is not None:
        (tmp_path / "bundle").write_bytes(content)
    monkeypatch.setenv(variable, str(tmp_path / "bundle"))
    with raises_code(ConfigurationError, "vertex-no-identity-token") as caught:
        federated()
    assert f"the path in {variable} {flaw}" in caught.value.message


@pytest.mark.usefixtures("sts")
@pytest.mark.parametrize(
    ("scheme", "kind", "code"),
    [
        ("https", ConfigurationError, "vertex-no-identity-token"),
        ("http", TransientError, "vertex-aws-keys-unavailable"),
    ],
)
def test_bundle_that_is_missing_is_named_before_anything_answers(
    federated: Federated, monkeypatch: pytest.MonkeyPatch, scheme: str, kind: type[FreshkeyError], code: str
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nonexistent.pem")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"{scheme}://127.0.0.1:{free_port()}")
    with raises_code(kind, code):
        federated()


@pytest.mark.usefixtures("sts")
def test_missing_proxy_is_not_blamed_on_a_bundle(federated: Federated, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nonexistent.pem")
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    with raises_code(TransientError, "vertex-aws-keys-unavailable"):
        federated()


def test_server_with_outdated_tls_is_named() -> None:
    reason = ssl.SSLError(1, "tlsv1 alert protocol version")
    reason.reason = "TLSV1_ALERT_PROTOCOL_VERSION"
    facts = {"endpoint_url": "https://sts.x/?canary", "error": OSError(reason)}
    error = untrusted(facts, Session(), {})
    assert error is not None
    assert (error.code, error.found_here) == ("tls-version-refused", True)
    assert "sts.x does not support TLS 1.2" in error.message
    assert "canary" not in str(error)


@pytest.mark.usefixtures("sts")
def test_path_of_a_bundle_that_only_a_shell_understands(federated: Federated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "~/ca.pem")
    with raises_code(ConfigurationError, "vertex-no-identity-token") as caught:
        federated()
    assert "the path in REQUESTS_CA_BUNDLE begins with ~" in caught.value.message


@pytest.mark.usefixtures("sts")
def test_bundle_of_the_profile(federated: Federated, tmp_path: Path, authority: Authority) -> None:
    config = tmp_path / "aws-config"
    role = config.read_text("utf-8")
    config.write_text(f"{role}ca_bundle = {tmp_path}/gone\n", "utf-8")
    with raises_code(ConfigurationError, "vertex-no-identity-token") as caught:
        federated()
    assert "the path in ca_bundle of the AWS profile names a file that does not exist" in caught.value.message
    config.write_text(f"{role}ca_bundle = {authority.file}\n", "utf-8")
    assert "ASIAROLE" in federated()
