"""Certificates on the way to AWS: an unusable file of authorities, and a certificate of another authority."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore import exceptions
from botocore.httpsession import URLLib3Session

from aws_home import AwsHome
from certificates import Authority
from free_port import free_port
from freshkey import Keeper
from freshkey.errors import ConfigurationError, FreshkeyError, ProviderRefused, TransientError
from freshkey.plugin import Validity
from freshkey_bedrock.errors import explained
from loopback_server import Exchange, LoopbackServer
from promises import proves
from raises_code import raises_code


MakeKeeper = Callable[..., Keeper]

INVALID = "bedrock-invalid-aws-config"


class Inspected(LoopbackServer):
    """STS behind a proxy that inspects TLS, with a certificate of its own authority; a context manager."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__()
        self.asked = 0
        self.greeted = False
        tls.sni_callback = self._greet
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)

    def _greet(self, *_: object) -> None:
        self.greeted = True

    def serve(self, exchange: Exchange) -> None:
        self.asked += 1
        exchange.answer(403, b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def inspected(authority: Authority, aws_home: AwsHome, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inspected]:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    aws_home.config(
        "[profile team]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\n"
        "[profile base]\naws_access_key_id = AKIA\naws_secret_access_key = made-up\n"
    )
    with Inspected(authority.context()) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url.replace("http:", "https:"))
        yield server


def test_certificate_of_another_authority_is_named_and_not_tried_again(
    make_keeper: MakeKeeper, inspected: Inspected
) -> None:
    with raises_code(TransientError, "tls-certificate-refused") as caught:
        make_keeper(aws_profile="team").get("work")
    assert f"https://127.0.0.1:{inspected.port}/" in caught.value.message
    assert "AWS_CA_BUNDLE" in str(caught.value.hint)
    assert (caught.value.local, caught.value.found_here) == (True, True)
    assert inspected.asked == 0


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_named_authority_is_trusted(
    make_keeper: MakeKeeper,
    inspected: Inspected,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, str(authority.file))
    with raises_code(ProviderRefused, "bedrock-aws-refused"):
        make_keeper(aws_profile="team").get("work")
    assert inspected.asked == 1


@proves("LEK-10")
@pytest.mark.parametrize("through_proxy", [False, True])
def test_no_session_keys_are_written_for_sts(
    make_keeper: MakeKeeper,
    inspected: Inspected,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    through_proxy: bool,
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.file))
    if through_proxy:
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("HTTPS_PROXY", inspected.url.replace("http:", "https:"))
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "https://127.0.0.2:7/")
    with pytest.raises(FreshkeyError):
        make_keeper(aws_profile="team").get("work")
    assert inspected.asked == (0 if through_proxy else 1)
    assert inspected.greeted
    assert not (tmp_path / "keys.log").exists()


@proves("LEK-10")
def test_no_session_keys_are_written_when_sts_checks_a_credential(
    make_keeper: MakeKeeper,
    inspected: Inspected,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "missing" / "keys.log"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.file))
    with make_keeper(aws_profile="base") as keeper:
        inspection = keeper.inspect("work")
    assert inspection.validity is Validity.REFUSED
    assert inspected.asked == 1


@proves("LEK-10")
def test_the_applications_own_botocore_keeps_its_settings(
    make_keeper: MakeKeeper, inspected: Inspected, authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.file))
    with pytest.raises(FreshkeyError):
        make_keeper(aws_profile="team").get("work")
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    assert URLLib3Session()._manager.connection_pool_kw["ssl_context"].keylog_filename == str(tmp_path / "keys.log")


@pytest.mark.parametrize(
    ("address", "expired", "fact"), [("127.0.0.9", False, "another host"), ("127.0.0.1", True, "expired")]
)
def test_certificate_that_is_not_valid(
    make_keeper: MakeKeeper,
    authority: Authority,
    inspected: Inspected,
    monkeypatch: pytest.MonkeyPatch,
    *,
    address: str,
    expired: bool,
    fact: str,
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.file))
    with Inspected(authority.context(address, expired=expired)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url.replace("http:", "https:"))
        with raises_code(TransientError, "tls-certificate-refused") as caught:
            make_keeper(aws_profile="team").get("work")
    assert fact in caught.value.message
    assert server.asked == inspected.asked == 0


def test_file_without_the_authority_is_the_one_to_complete(
    make_keeper: MakeKeeper, inspected: Inspected, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(Authority(tmp_path / "other").file))
    with raises_code(TransientError, "tls-certificate-refused") as caught:
        make_keeper(aws_profile="team").get("work")
    assert str(caught.value.hint).endswith("add its certificates to the file in REQUESTS_CA_BUNDLE")
    assert inspected.asked == 0


@pytest.mark.parametrize("place", ["AWS_CA_BUNDLE", "ca_bundle", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (None, "does not exist"),
        (b"", "without a certificate in PEM form"),
        (b"\x30\x82\x01\x02 DER", "without a certificate in PEM form"),
        (b"-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n", "without a certificate"),
    ],
)
def test_unusable_file_of_authorities_is_named(  # noqa: PLR0917  fixtures
    make_keeper: MakeKeeper,
    inspected: Inspected,
    aws_home: AwsHome,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    place: str,
    content: bytes | None,
    fact: str,
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    if place == "ca_bundle":
        aws_home.config(
            aws_home.config_file.read_text("utf-8").replace("[profile base]", f"ca_bundle={bundle}\n[profile base]")
        )
    else:
        monkeypatch.setenv(place, str(bundle))
    with raises_code(ConfigurationError, INVALID) as caught:
        make_keeper(aws_profile="team").get("work")
    assert place in caught.value.message
    assert fact in caught.value.message
    assert inspected.asked == 0


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize(
    ("endpoint", "proxy", "code"),
    [
        ("http://127.0.0.1:{port}", "", "connection-failed"),
        ("https://127.0.0.1:{port}", "http://127.0.0.1:{port}", "connection-failed"),
        ("https://127.0.0.1:{port}", "", INVALID),
        ("HTTPS://127.0.0.1:{port}", "", INVALID),
    ],
)
def test_file_of_authorities_is_not_to_blame_where_no_certificate_is_checked(  # noqa: PLR0917  fixtures
    make_keeper: MakeKeeper,
    inspected: Inspected,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    endpoint: str,
    proxy: str,
    code: str,
) -> None:
    port = free_port()
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "/nonexistent.pem")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", endpoint.format(port=port))
    monkeypatch.setenv("HTTPS_PROXY", proxy.format(port=port))
    with raises_code(FreshkeyError, code):
        make_keeper(aws_profile="team").get("work")
    assert inspected.asked == 0


@pytest.mark.parametrize("error", [exceptions.HTTPClientError, exceptions.ConnectTimeoutError])
@pytest.mark.parametrize(("scheme", "code"), [("http", "connection-failed"), ("https", INVALID)])
def test_endpoint_of_a_container_that_is_lost(
    monkeypatch: pytest.MonkeyPatch, error: type[exceptions.HTTPClientError], scheme: str, code: str
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent.pem")
    raised = error(endpoint_url=f"{scheme}://169.254.170.2/v2/credentials", error=OSError("refused"))
    assert explained(raised, "team").code == code


@pytest.mark.parametrize(("value", "fact"), [("~/authorities.pem", "~"), ('"/etc/ca.pem"', "quotes"), (".", "a file")])
@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_way_the_path_is_written_is_named(
    make_keeper: MakeKeeper,
    inspected: Inspected,
    monkeypatch: pytest.MonkeyPatch,
    *,
    variable: str,
    value: str,
    fact: str,
) -> None:
    monkeypatch.chdir("/")  # in no project, in which "." would need trust first
    monkeypatch.setenv(variable, value)
    with raises_code(ConfigurationError, INVALID) as caught:
        make_keeper(aws_profile="team").get("work")
    assert variable in caught.value.message
    assert fact in caught.value.message
    assert inspected.asked == 0


def test_server_with_outdated_tls_is_named() -> None:
    reason = ssl.SSLError(1, "tlsv1 alert protocol version")
    reason.reason = "TLSV1_ALERT_PROTOCOL_VERSION"
    error = explained(exceptions.SSLError(endpoint_url="https://sts.x/?secret", error=OSError(reason)), "team")
    assert error.code == "tls-version-refused"
    assert "secret" not in str(error)


def test_other_trouble_of_the_network_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    for reason in (ssl.SSLError(1, "wrong version number"), ConnectionResetError(), "text", None):
        error = explained(exceptions.SSLError(endpoint_url="https://sts.x/", error=reason), "team")
        assert error.code == "connection-failed"
