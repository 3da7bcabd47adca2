"""AWS keys from botocore's chain: what has ended or cannot be sent is not used, and each flaw is named."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import pytest

from free_port import free_port
from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, ProviderRefused, TransientError
from freshkey_bedrock.stated_end import stated_end
from freshkey_vertex import aws_ends, aws_supplier
from freshkey_vertex.aws_machine import Listener, on_instance
from freshkey_vertex.aws_supplier import needs_botocore
from google_cloud import GoogleCloud
from loopback_server import Exchange, LoopbackServer
from python_program import command_line, written_program
from raises_code import raises_code


Federated = Callable[..., str]

FULL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
ENDPOINT = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
PAST = "2020-01-01T00:00:00Z"
ROLE = "[profile team]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = keys\n"
KEYS = "[keys]\naws_access_key_id = AKIAKEYS\naws_secret_access_key = canary\n"
SSO = (
    "[profile team]\nregion = eu-west-1\nsso_session = corp\nsso_account_id = 1\nsso_role_name = r\n"
    "[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.awsapps.com/start\n"
)

pytestmark = pytest.mark.usefixtures("no_aws_keys")


class Place(LoopbackServer):
    """Answers each request with one status, and with the keys of a container."""

    def __init__(self, status: int, *, behind: float = 0.0, lifetime: float = 3600.0) -> None:
        super().__init__()
        self.date, self.end = (datetime.now(UTC) + timedelta(seconds=one) for one in (behind, behind + lifetime))
        self.status = status
        self.tokens: list[str | None] = []

    def serve(self, exchange: Exchange) -> None:
        keys = {
            "AccessKeyId": "ASIACONTAINER",
            "SecretAccessKey": "s",
            "Token": "t",
            "Expiration": f"{self.end:%Y-%m-%dT%H:%M:%SZ}",
        }
        self.tokens.append(exchange.headers.get("Authorization"))
        headers = {"Date": format_datetime(self.date, usegmt=True)}
        exchange.answer(self.status, json.dumps(keys).encode(), headers)


@pytest.fixture
def write_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that writes both shared files and selects the profile ``team``."""

    def write(config: str | bytes = "[profile team]\n", credentials: str = "") -> None:
        (tmp_path / "aws-config").write_bytes(config if isinstance(config, bytes) else config.encode())
        (tmp_path / "aws-credentials").write_text(credentials, "utf-8")
        monkeypatch.setenv("AWS_PROFILE", "team")

    return write


@pytest.fixture
def session_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file in which ``aws sso login`` keeps the session ``corp``."""
    from botocore.credentials import SSOProvider

    folder = tmp_path / "sso"
    folder.mkdir()
    monkeypatch.setattr(SSOProvider, "_SSO_TOKEN_CACHE_DIR", str(folder))
    monkeypatch.setattr("botocore.tokens.SSOTokenProvider._SSO_TOKEN_CACHE_DIR", str(folder))
    return folder / f"{hashlib.sha1(b'corp', usedforsecurity=False).hexdigest()}.json"


# --- places that have not started -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "starting"), [(500, True), (503, True), (404, False), (429, False)])
def test_container_that_fails_may_not_have_started(
    federated: Federated, monkeypatch: pytest.MonkeyPatch, status: int, starting: bool
) -> None:
    with Place(status) as place:
        monkeypatch.setenv(FULL, place.url)
        with raises_code(TransientError, "vertex-aws-keys-unavailable") as caught:
            federated()
    assert isinstance(caught.value, TransientError)
    assert (caught.value.local, caught.value.starting) == (True, starting)


@pytest.mark.parametrize("variable", [FULL, ENDPOINT])
def test_place_that_refuses_connections_may_not_have_started(
    federated: Federated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    (tmp_path / "aws-config").write_text("[default]\n", "utf-8")
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv(variable, f"http://127.0.0.1:{free_port()}/")
    with raises_code(TransientError, "vertex-aws-keys-unavailable") as caught:
        federated()
    assert isinstance(caught.value, TransientError)
    assert caught.value.starting


def test_instance_without_a_role_is_not_waited_for(
    federated: Federated, monkeypatch: pytest.MonkeyPatch, write_aws: Callable[..., None]
) -> None:
    write_aws("[default]\n[profile team]\n")
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    with Place(404) as place:
        monkeypatch.setenv(ENDPOINT, place.url)
        with raises_code(ProviderRefused, "vertex-no-identity-token"):
            federated()
        monkeypatch.delenv("AWS_PROFILE")
        with raises_code(ProviderRefused, "vertex-no-identity-token"):
            federated()
    monkeypatch.setenv("AWS_PROFILE", "team")  # whoever names a profile wants its keys
    with raises_code(ProviderRefused, "vertex-no-identity-token"):
        federated()


def test_server_elsewhere_is_not_taken_for_one_that_starts() -> None:
    def refuse(_request: object) -> object:
        raise OSError

    for url, starting in (("http://169.254.170.2/", True), ("https://keys.example.com/", False)):
        listener = Listener(SimpleNamespace(send=refuse))
        with pytest.raises(OSError):  # noqa: PT011  the one above
            listener.send(SimpleNamespace(url=url))
        assert listener.starting == starting


def test_firmware_tells_an_instance(tmp_path: Path) -> None:
    assert not on_instance({}, tmp_path)
    (tmp_path / "sys_vendor").write_text("Amazon EC2\n", "utf-8")
    assert on_instance({}, tmp_path)
    assert not on_instance({"AWS_EC2_METADATA_DISABLED": "true"}, tmp_path)


# --- keys that have ended ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x_security_token_expires", "expiration", "aws_session_expiration", "valid_until"])
def test_keys_that_have_ended_are_not_sent(
    federated: Federated, write_aws: Callable[..., None], cloud: GoogleCloud, name: str
) -> None:
    keys = "[team]\naws_access_key_id = ASIADEAD\naws_secret_access_key = canary\naws_session_token = t\n"
    write_aws(credentials=f"{keys}{name} = {PAST}\n")
    with raises_code(LoginRequired, "vertex-aws-keys-expired") as caught:
        federated()
    assert f"of AWS profile 'team' expired at 2020-01-01 00:00:00 UTC, according to {name}" in caught.value.message
    assert cloud.seen == []
    write_aws(credentials=f"{keys}{name} = 2100-01-01T00:00:00Z\n")
    assert "ASIADEAD" in federated()


NAMES = (
    *(
        "expiration",
        "Expiration",
        "x_security_token_expires",
        "aws_session_token_expires_at",
        "expiresAt",
        "ExpiryTime",
    ),
    *("valid_until", "ValidUntil", "valid_until_utc", "valid_till", "valid_thru", "valid_through", "valid_to_date"),
    *("valid_to", "not_after", "notAfter", "not_valid_after", "session.valid_until", "token-expiry-time", "ExpiryTime"),
)
OTHER_NAMES = (
    *("expires_in", "refresh_token_expires", "registrationExpiresAt", "sso_expires", "source_expiration"),
    *("invalid_to", "valid_from", "not_before", "notes_after", "certificate_not_after", "cert_expires", "valid", "x"),
)


@pytest.mark.parametrize("name", [*NAMES, *OTHER_NAMES])
def test_both_plugins_read_the_same_ends(name: str) -> None:
    """The plugins do not import each other, so each has the names of the tools."""
    end, other = aws_ends.of_section({name: PAST}), stated_end({name: PAST})
    assert (end is not None) == (other is not None) == (name in NAMES)
    assert end is None or other is None or end.at == other.at


def test_place_after_keys_that_have_ended_is_asked(federated: Federated, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "ASIADEAD"), ("SECRET_ACCESS_KEY", "s"), ("CREDENTIAL_EXPIRATION", PAST)):
        monkeypatch.setenv(f"AWS_{name}", value)
    with raises_code(LoginRequired, "vertex-aws-keys-expired") as caught:
        federated()
    assert "in the environment" in caught.value.message
    assert "AWS_CREDENTIAL_EXPIRATION" in caught.value.message
    with Place(200) as place:
        monkeypatch.setenv(FULL, place.url)
        assert "ASIACONTAINER" in federated()


@pytest.mark.parametrize("variable", aws_ends.VARIABLES)
def test_end_in_a_variable(monkeypatch: pytest.MonkeyPatch, federated: Federated, variable: str) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "ASIAENV")
    monkeypatch.setenv(variable, "2020-01-01T00:00:00")
    with raises_code(LoginRequired, "vertex-aws-keys-expired") as caught:
        federated()
    assert variable in caught.value.message


@pytest.mark.skipif(sys.platform == "win32", reason="the time zone of a process cannot be set")
def test_end_of_awsume_is_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-5")
    time.tzset()
    try:
        ends = [aws_ends.of_environment({name: "2026-01-02T05:00:00"}) for name in aws_ends.VARIABLES[:2]]
        of_file = aws_ends.of_section({"manager": "awsume", "expiration": "2026-01-02 05:00:00"})
    finally:
        monkeypatch.undo()
        time.tzset()
    assert [end.at.hour for end in (*ends, of_file) if end] == [5, 0, 0]


def test_end_belongs_to_the_keys_in_its_own_file(federated: Federated, write_aws: Callable[..., None]) -> None:
    keys = "aws_access_key_id = ASIATEAM\naws_secret_access_key = canary\n"
    write_aws(f"[profile team]\nexpiration = {PAST}\n", f"[team]\n{keys}")
    with raises_code(LoginRequired, "vertex-aws-keys-expired"):
        federated()
    write_aws(f"[profile team]\n{keys}expiration = {PAST}\n", f"[team]\n{keys}")
    assert "ASIATEAM" in federated()


def test_role_is_not_assumed_with_keys_that_have_ended(federated: Federated, write_aws: Callable[..., None]) -> None:
    write_aws(ROLE, f"{KEYS}expiration = {PAST}\n")
    with raises_code(LoginRequired, "vertex-aws-keys-expired") as caught:
        federated()
    assert "of AWS profile 'keys'" in caught.value.message


def test_role_is_not_assumed_with_keys_of_the_environment_that_have_ended(
    federated: Federated, write_aws: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_aws(f"{ROLE.partition('source_profile')[0]}credential_source = Environment\n")
    for name, value in (("ACCESS_KEY_ID", "ASIADEAD"), ("SECRET_ACCESS_KEY", "s"), ("CREDENTIAL_EXPIRATION", PAST)):
        monkeypatch.setenv(f"AWS_{name}", value)
    with raises_code(LoginRequired, "vertex-aws-keys-expired"):
        federated()


def test_keys_of_the_environment_that_have_ended_are_named_without_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_supplier, "find_spec", lambda _: None)
    keys = {"AWS_ACCESS_KEY_ID": "ASIADEAD", "AWS_SECRET_ACCESS_KEY": "s"}
    with raises_code(LoginRequired, "vertex-aws-keys-expired"):
        needs_botocore({**keys, "AWS_SESSION_EXPIRATION": PAST})
    assert not needs_botocore({**keys, "AWS_SESSION_EXPIRATION": "soon"})


@pytest.mark.parametrize("name", ["Expiration", "expires_at", "expiresAt"])
def test_helper_that_prints_ended_keys(
    federated: Federated, write_aws: Callable[..., None], tmp_path: Path, name: str
) -> None:
    printed = {"Version": 1, "AccessKeyId": "ASIADEAD", "SecretAccessKey": "canary", name: PAST}
    command = command_line(written_program(tmp_path / "print-keys", f"print({json.dumps(printed)!r})"))
    write_aws(f"[profile team]\ncredential_process = {command}\n")
    with raises_code(LoginRequired, "vertex-aws-keys-expired") as caught:
        federated()
    assert caught.value.found_here


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-02T03:04:05Z", "03:04:05"),
        ('"2026-01-02 03:04:05 UTC"', "03:04:05"),
        ("2026-01-02T05:04:05 +0200", "03:04:05"),
        ("2026-01-02 03:04:05", "03:04:05"),
        ("2026-01-02 03:04:05 +0000 UTC", "03:04:05"),
        ("2026-01-02 03:04:05.123456789 +0000 UTC m=+0.01", "03:04:05"),
        ("2026-01-02 05:04:05 +0200 CEST", "03:04:05"),
        ("2026-01-02 03:04:05 CEST", None),
        ("2026-01-02t03:04:05z", "03:04:05"),
        ("20260102T030405Z", "03:04:05"),
        ("Fri, 02 Jan 2026 03:04:05 GMT", "03:04:05"),
        ("1767323045", "03:04:05"),
        ("1767323045000", "03:04:05"),
        ("0001-01-01T00:00:00Z", None),
        ("soon", None),
    ],
)
def test_ends_are_read_in_the_forms_that_tools_write(text: str, at: str | None) -> None:
    found = aws_ends.of_section({"expiration": text, "sso_registration_expires_at": PAST})
    assert (f"{found.at:%H:%M:%S}" if found else None) == at
    assert found is None or (found.at.tzinfo, found.at.day) == (UTC, 2)


def test_names_of_ends() -> None:
    def named(name: str) -> bool:
        return aws_ends.of_section({name: PAST}) is not None

    ends = ("Expiration", "aws-token-expiry", "session_expires_at_utc", "expiresAt", "valid_to", "key_not_after")
    assert all(map(named, ends))
    others = ("sso_expiration", "clientSecretExpiresAt", "expires_in", "expired_by", "refresh_expires", "invalid_until")
    assert not any(map(named, others))


# --- what is harmless -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"canary-token\n", b"\xef\xbb\xbfcanary-token\r\n"])
@pytest.mark.parametrize("in_file", [True, False])
def test_line_break_after_the_token_of_a_container(
    federated: Federated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes, in_file: bool
) -> None:
    (tmp_path / "token").write_bytes(content)
    name = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
    monkeypatch.setenv(*((f"{name}_FILE", str(tmp_path / "token")) if in_file else (name, "canary-token\n")))
    with Place(200) as place:
        monkeypatch.setenv(FULL, place.url)
        assert "ASIACONTAINER" in federated()
        assert place.tokens == ["canary-token"]


@pytest.mark.parametrize("url", ["https://192.0.2.2:1/x", "https://192.0.2.2\\@127.0.0.1/x", "https://x.example"])
def test_a_file_goes_to_another_machine_only_if_it_is_an_identity_token(
    federated: Federated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    """TRU-13: a variable can name any file of the user's, and another one any host."""
    (tmp_path / "token").write_text("canary-deploy-key\n")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv(FULL, url)
    with raises_code(ConfigurationError, "vertex-no-identity-token") as caught:
        federated()
    assert "is not an identity token" in caught.value.message
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("empty", ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
def test_empty_variable_counts_as_none(federated: Federated, monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    monkeypatch.setenv(empty, "")
    with Place(200) as place:
        monkeypatch.setenv(FULL, place.url)
        assert "ASIACONTAINER" in federated()


@pytest.mark.parametrize(
    ("url", "flaw"),
    [
        ('"http://127.0.0.1/keys"', "is in quotes"),
        ("http://10.0.0.9/canary", "a host that is not allowed without https"),
        ("10.0.0.9/canary", "does not begin with https://"),
        ("file:///canary", "does not begin with https://"),
        ("$PLACE/canary", "contains a variable"),
    ],
)
def test_url_of_a_container_that_is_not_asked(
    federated: Federated, monkeypatch: pytest.MonkeyPatch, url: str, flaw: str
) -> None:
    monkeypatch.setenv(FULL, url)
    with raises_code(ConfigurationError, "vertex-no-identity-token") as caught:
        federated()
    assert f"the URL in {FULL}" in caught.value.message
    assert flaw in caught.value.message
    assert "canary" not in str(caught.value)


def test_token_of_a_container_that_cannot_be_sent(federated: Federated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary\nX-Own: 1")
    monkeypatch.setenv(FULL, "http://127.0.0.1/keys")
    with raises_code(ConfigurationError, "vertex-no-identity-token") as caught:
        federated()
    assert "the token in AWS_CONTAINER_AUTHORIZATION_TOKEN" in caught.value.message
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_of_the_files_are_harmless(
    federated: Federated, write_aws: Callable[..., None], tmp_path: Path, encoding: str
) -> None:
    write_aws("[profile team]\r\nregion = eu-west-1\r\n".encode(encoding))
    keys = "[team]\naws_access_key_id = AKIATEAM\naws_secret_access_key = canary\n"
    (tmp_path / "aws-credentials").write_text(keys, encoding)
    assert "AKIATEAM" in federated()


def test_last_of_two_spellings_of_a_profile_counts(
    federated: Federated, write_aws: Callable[..., None], monkeypatch: pytest.MonkeyPatch, cloud: GoogleCloud
) -> None:
    keys = "aws_access_key_id = AKIATEAM\naws_secret_access_key = canary\n"
    write_aws(f'[profile team]\nregion = a\n[profile "team"]\n{keys}')
    assert "AKIATEAM" in federated()
    cloud.seen.clear()
    write_aws(f'[profile team]\n{keys}[profile "team"]\nregion = a\n')
    with Place(200) as place:
        monkeypatch.setenv(FULL, place.url)
        assert "ASIACONTAINER" in federated()


@pytest.mark.parametrize(
    ("first", "second", "more"),
    [
        ("aws_access_key_id = AKIATEAM\naws_secret_access_key = canary\n", "region = a\n", ""),
        ("credential_process = cat canary\n", "region = a\n", ""),
        ("aws_access_key_id = AKIATEAM\n", "region = a\n", "[profile other]\nrole_arn = r\nsource_profile = team\n"),
    ],
)
def test_profile_whose_first_spelling_has_the_keys_is_named(  # noqa: PLR0917  fixtures
    federated: Federated,
    write_aws: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    first: str,
    second: str,
    more: str,
) -> None:
    write_aws(f'[profile team]\n{first}[profile "team"]\n{second}{more}')
    if more:
        monkeypatch.setenv("AWS_PROFILE", "other")
    with raises_code(ConfigurationError, "vertex-no-identity-token") as caught:
        federated()
    assert f"line {2 + first.count(chr(10))}: profile 'team' is there twice" in caught.value.message
    assert "canary" not in str(caught.value)


def test_spellings_that_are_no_doubling(federated: Federated, write_aws: Callable[..., None]) -> None:
    write_aws('[default]\n[profile default]\n[profile a]\n[profile "a"]\n[profile team]\nregion = a\n')
    with raises_code(ProviderRefused, "vertex-no-identity-token"):
        federated()


# --- roles ------------------------------------------------------------------------------------------------------------


class Sts(LoopbackServer):
    """Assumes every role (AWS STS API reference), or refuses with a code and a message."""

    def __init__(self, code: str = "", message: str = "", *, behind: float = 0.0, lifetime: float = 3600.0) -> None:
        super().__init__()
        self.error = code, message
        self.date, self.end = (datetime.now(UTC) + timedelta(seconds=one) for one in (behind, behind + lifetime))

    def serve(self, exchange: Exchange) -> None:
        exchange.body()
        code, message = self.error
        keys = "<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>canary</SecretAccessKey>"
        keys += f"<SessionToken>t</SessionToken><Expiration>{self.end:%Y-%m-%dT%H:%M:%SZ}</Expiration>"
        result = f"<AssumeRoleResult><Credentials>{keys}</Credentials></AssumeRoleResult>"
        answer = f"<AssumeRoleResponse>{result}</AssumeRoleResponse>"
        if code:
            answer = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        headers = {"Content-Type": "text/xml", "Date": format_datetime(self.date, usegmt=True)}
        exchange.answer(403 if code else 200, answer.encode(), headers)


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION", None])
def test_role_is_assumed_in_the_region_that_the_identity_is_confirmed_in(
    federated: Federated,
    write_aws: Callable[..., None],
    cloud: GoogleCloud,
    monkeypatch: pytest.MonkeyPatch,
    variable: str | None,
) -> None:
    write_aws(ROLE, KEYS)
    monkeypatch.delenv("AWS_REGION")
    if variable:
        monkeypatch.setenv(variable, "eu-west-1")
    cloud.failures["/zone"] = [(200, {"text": "eu-west-1b"})]
    with Sts() as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        assert "ASIAROLE" in federated(region_url=cloud.at("/zone"))


SIGNATURE = "Signature expired: 20261129T202200Z is now earlier than 20261129T211700Z (20261129T212200Z - 5 min.)"


@pytest.mark.parametrize(
    ("code", "message", "behind", "what"),
    [
        ("SignatureDoesNotMatch", SIGNATURE, 0.0, "60 min behind AWS's"),
        ("SignatureDoesNotMatch", "canary", -7200.0, "120 min ahead of AWS's"),
        ("RequestExpired", "Request has expired", 1530.0, "25 min behind AWS's"),
        ("RequestTimeTooSkewedException", "canary", 0.0, "now agrees with AWS's"),
        ("InvalidSignatureException", "Signature not yet current: canary", 90_000.0, "25.0 h behind AWS's"),
    ],
)
def test_clock_that_aws_refuses_is_told(  # noqa: PLR0917  fixtures
    federated: Federated,
    write_aws: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    message: str,
    behind: float,
    what: str,
) -> None:
    write_aws(ROLE, KEYS)
    with Sts(code, message, behind=behind) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        with raises_code(ProviderRefused, "vertex-clock-skew") as caught:
            federated()
    assert what in caught.value.message
    assert caught.value.found_here
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "behind", "kind", "freshkey_code"),
    [
        ("SignatureDoesNotMatch", 120.0, ProviderRefused, "vertex-no-identity-token"),
        ("AccessDenied", 7200.0, ProviderRefused, "vertex-no-identity-token"),
        ("ExpiredToken", 0.0, LoginRequired, "vertex-aws-keys-expired"),
        ("ExpiredTokenException", 7200.0, LoginRequired, "vertex-aws-keys-expired"),
    ],
)
def test_clock_is_not_blamed_for_other_refusals(  # noqa: PLR0917  fixtures
    federated: Federated,
    write_aws: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    behind: float,
    kind: type[FreshkeyError],
    freshkey_code: str,
) -> None:
    write_aws(ROLE, KEYS)
    with Sts(code, "canary", behind=behind) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        with raises_code(kind, freshkey_code):
            federated()


@pytest.mark.parametrize(("behind", "code"), [(-7200.0, "vertex-clock-skew"), (0.0, "vertex-aws-keys-expired")])
def test_new_keys_that_seem_to_have_ended(
    federated: Federated, write_aws: Callable[..., None], monkeypatch: pytest.MonkeyPatch, behind: float, code: str
) -> None:
    lifetime = 3600.0 if behind else -3600.0
    write_aws(ROLE, KEYS)
    with Sts(behind=behind, lifetime=lifetime) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        with raises_code(FreshkeyError, code):
            federated()
    monkeypatch.delenv("AWS_PROFILE")
    with Place(200, behind=behind, lifetime=lifetime) as place:
        monkeypatch.setenv(FULL, place.url)
        with raises_code(FreshkeyError, code) as caught:
            federated()
    assert caught.value.found_here


# --- flaws ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "flaw"),
    [
        ("[profile team]\n\n[profile a]\n\n[profile team]\n", "line 5: the section [profile team] is there twice"),
        ("[profile team]\nregion = a\nregion = canary\n", "line 3: region is there twice in [profile team]"),
        ("[profile team]\nregion canary\n", "line 2: it has no ="),
        ("[profile team\nregion = canary\n", "line 1: it belongs to no section"),
        ("[profile team]\ns3 =\n  canary\n", "aws-config: an indented line has no ="),
        pytest.param(
            b"[profile team]\nregion = \xff\n",
            "aws-config: it is not UTF-8 text",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="there, it is in the ANSI code page"),
        ),
    ],
)
def test_line_of_a_malformed_file_is_named(
    federated: Federated, write_aws: Callable[..., None], config: str | bytes, flaw: str
) -> None:
    write_aws(config)
    with raises_code(ConfigurationError, "vertex-no-identity-token") as caught:
        federated()
    assert flaw in caught.value.message
    assert caught.value.found_here
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "what"),
    [
        (None, "is missing or has expired"),
        ('{"accessToken": "canary', "is damaged"),
        ('{"accessToken": "canary", "expiresAt": "2020-01-01T00:00:00Z"}', "is missing or has expired"),
        ('{"accessToken": "canary", "expiresAt": "canary"}', "is damaged"),
    ],
)
def test_session_of_the_aws_cli_that_must_be_renewed(
    federated: Federated, write_aws: Callable[..., None], session_cache: Path, written: str | None, what: str
) -> None:
    role = "[profile role]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = team\n"
    write_aws(SSO + role)
    if written is not None:
        session_cache.write_text(written, "utf-8")
    with raises_code(LoginRequired, "vertex-aws-sign-in-required") as caught:
        federated()
    assert caught.value.message == f"the 'aws sso login' session of AWS profile 'team' {what}"
    assert caught.value.hint == "Run: aws sso login --profile team"


@pytest.mark.parametrize(
    ("credentials", "flaw"),
    [
        ("aws_access_key_id = AKIA", "has no aws_secret_access_key"),
        ('aws_access_key_id = "AKIA"\naws_secret_access_key = "canary"', "characters that no key has"),
        ("aws_access_key_id = AKIA\naws_secret_access_key = canary # mine", "characters that no key has"),
    ],
)
def test_keys_that_cannot_be_sent(
    federated: Federated, write_aws: Callable[..., None], cloud: GoogleCloud, credentials: str, flaw: str
) -> None:
    write_aws(credentials=f"[team]\n{credentials}\n")
    with raises_code(ConfigurationError, "vertex-no-identity-token") as caught:
        federated()
    assert flaw in caught.value.message
    assert "canary" not in str(caught.value)
    assert cloud.seen == []


def test_quotes_around_keys_of_the_environment_are_named() -> None:
    with raises_code(ConfigurationError, "vertex-no-identity-token") as caught:
        needs_botocore({"AWS_ACCESS_KEY_ID": '"AKIA"', "AWS_SECRET_ACCESS_KEY": '"canary"'})
    assert "from the environment" in caught.value.message


@pytest.mark.parametrize(
    ("content", "kind", "flaw"),
    [
        (None, ConfigurationError, "the path in AWS_WEB_IDENTITY_TOKEN_FILE begins with ~"),
        (b" \n", ConfigurationError, "the AWS identity token file is empty"),
        (b"\x80canary", ConfigurationError, "the AWS identity token file is not text"),
        (b"\xef\xbb\xbfeyJhbGciOiJSUzI1NiJ9.canary.token\r\n", TransientError, ""),
        ("eyJhbGciOiJSUzI1NiJ9.canary.token".encode("utf-16"), TransientError, ""),
    ],
)
def test_identity_token_file_of_a_role(  # noqa: PLR0917  fixtures
    federated: Federated,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    content: bytes | None,
    kind: type[FreshkeyError],
    flaw: str,
) -> None:
    (tmp_path / "token").write_bytes(content or b"")
    bodies: list[bytes] = []

    class BusySts(LoopbackServer):
        def serve(self, exchange: Exchange) -> None:
            bodies.append(exchange.body())
            exchange.answer(503)

    with BusySts() as sts:
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token") if content else "~/token")
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r")
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        code = "vertex-aws-keys-unavailable" if kind is TransientError else "vertex-no-identity-token"
        with raises_code(kind, code) as caught:
            federated()
    assert flaw in caught.value.message
    assert [b"WebIdentityToken=eyJhbGciOiJSUzI1NiJ9.canary.token" in body for body in bodies] == (
        [] if flaw else [True]
    )


def test_sts_that_cannot_be_reached_is_asked_again_later(
    federated: Federated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("eyJhbGciOiJSUzI1NiJ9.canary.token", "utf-8")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{free_port()}")
    with raises_code(TransientError, "vertex-aws-keys-unavailable") as caught:
        federated()
    assert isinstance(caught.value, TransientError)
    assert not caught.value.starting


# --- what the credentials file says -----------------------------------------------------------------------------------


def test_region_and_verification_url_of_the_file_are_used_with_keys_of_a_profile(
    federated: Federated, write_aws: Callable[..., None], cloud: GoogleCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_aws(credentials="[team]\naws_access_key_id = AKIATEAM\naws_secret_access_key = canary\n")
    monkeypatch.delenv("AWS_REGION")
    cloud.failures["/zone"] = [(200, {"text": "eu-west-1b"})]
    url = "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15&own=1"
    sent = unquote(federated(region_url=cloud.at("/zone"), regional_cred_verification_url=url))
    assert "https://sts.eu-west-1.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15&own=1" in sent
    assert "AKIATEAM" in sent
