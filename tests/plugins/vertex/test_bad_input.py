"""Invalid credentials files and variables: an error that says what is wrong, without any secret."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from freshkey import Keeper
from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, OutcomeUnknown, ProviderRefused
from freshkey.model.profile import Profile
from freshkey_vertex.adc import detect
from freshkey_vertex.credentials_file import MAX_BYTES, Unloadable
from freshkey_vertex.formats import GoogleCredential
from google_cloud import ROBOT, SUBJECT_TOKEN, TARGET, GoogleCloud, pem
from python_program import command_line, written_program
from raises_code import raises_code
from system_words import NO_FILE


MakeProfile = Callable[..., Profile]
WriteFile = Callable[..., Path]
Take = Callable[..., GoogleCredential]
Refused = Callable[..., str]


@pytest.fixture
def refused(make_profile: MakeProfile, take: Take, write_file: WriteFile) -> Refused:
    """Return a function that returns the error text for a file, after checking that its traceback has no secret."""

    def run(members: Any, kind: type[FreshkeyError] = Unloadable, code: str = "vertex-invalid-credentials-file") -> str:
        path = write_file(members)
        with raises_code(kind, code) as caught:
            take(make_profile(credentials_file=path), "credentials-file")
        shown = "".join(traceback.format_exception(caught.value))
        assert "canary" not in shown
        assert "MII" not in shown
        return str(caught.value)

    return run


def test_key_file_that_is_not_json(refused: Refused, cloud: GoogleCloud) -> None:
    said = refused('{"type": "service_account",\n "private_key": "canary')
    assert "key.json is not valid JSON: line 2, column 17" in said
    assert cloud.seen == []


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("-----BEGIN PRIVATE KEY-----\ncanary", "is a bare private key"),
        ("<html>canary</html>", "is not valid JSON: line 1, column 1"),
        ('{"type": "authorized_user"\n "a": 1}', "is not valid JSON: line 2, column 2"),
        ('["canary"]', "is not a JSON object"),
        ("{'type': 'canary'}", 'is not valid JSON: it has other quotes than "'),
        ('\'{"type": "canary"}\'', 'is not valid JSON: it has other quotes than "'),
        ("{\n \N{LEFT DOUBLE QUOTATION MARK}type: canary}", 'is not valid JSON: it has other quotes than "'),
        (json.dumps('{"type": "canary"}'), "is a JSON object inside a JSON string"),
        (base64.encodebytes(b'{"type": "canary"}' * 9).decode(), "is a JSON object encoded in Base64"),
        ('{"a": "canary\n', "is not valid JSON: line 1, column 14"),
        (
            '{"type": "authorized_user", "a": {"client_id": "canary", "client_id": 1}}',
            "contains the member 'client_id' twice",
        ),
        ('{"Canary canary": 1, "Canary canary": 2}', "contains a member twice"),
    ],
)
def test_flaw_of_a_file_is_named(refused: Refused, content: str, what: str) -> None:
    assert f"key.json {what}" in refused(content)


def test_pkcs12_file_is_named(make_profile: MakeProfile, take: Take, tmp_path: Path) -> None:
    path = tmp_path / "key.p12"
    path.write_bytes(b"\x30\x82\x09\x0acanary")
    with raises_code(Unloadable, "vertex-invalid-credentials-file") as caught:
        take(make_profile(credentials_file=path), "credentials-file")
    assert "is a PKCS #12 (.p12) file" in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_byte_order_mark_is_harmless(
    cloud: GoogleCloud, make_profile: MakeProfile, take: Take, tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "key.json"
    mark = "\ufeff" if encoding.endswith("e") else ""
    path.write_bytes((mark + json.dumps(cloud.service_account(), indent=1).replace("\n", "\r\n")).encode(encoding))
    credential = take(make_profile(credentials_file=path), "credentials-file")
    assert cloud.tokens[credential.access_token.reveal()].whose == ROBOT


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_breaks_in_a_pasted_private_key_are_harmless(
    cloud: GoogleCloud, make_profile: MakeProfile, take: Take, write_file: WriteFile, newline: str
) -> None:
    path = write_file(json.dumps(cloud.service_account()).replace("\\n", newline))
    credential = take(make_profile(credentials_file=path), "credentials-file")
    assert cloud.tokens[credential.access_token.reveal()].whose == ROBOT


@pytest.mark.parametrize("content", ['{"a": "' + '\\"' * 100_000, '{"a": "' + '\\"' * 100_000 + "\\", '"' * 200_001])
def test_string_without_an_end_does_not_cause_backtracking(refused: Refused, content: str) -> None:
    assert "is not valid JSON" in refused(content)  # a backtracking pattern would take minutes here, and below


@pytest.mark.parametrize("filler", ["\\", " ", "\t\r", "\\r"])
def test_long_private_key_does_not_cause_backtracking(refused: Refused, cloud: GoogleCloud, filler: str) -> None:
    key = "-----BEGIN PRIVATE KEY-----" + filler * (100_000 // len(filler))
    assert "private key is truncated, corrupt, or encrypted" in refused(cloud.service_account(private_key=key))


@pytest.mark.parametrize("newline", ["\\n", "\r\n", "\\\\n", "\\r\\n", "%0A", "%0d%0a", "\n\n", " \n\t\n"])
def test_escaped_newlines_in_a_private_key_are_harmless(
    cloud: GoogleCloud, make_profile: MakeProfile, take: Take, write_file: WriteFile, newline: str
) -> None:
    path = write_file(cloud.service_account(private_key=pem().replace("\n", newline)))
    credential = take(make_profile(credentials_file=path), "credentials-file")
    assert cloud.tokens[credential.access_token.reveal()].whose == ROBOT


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ("~/key.json", "begins with ~"),
        ("~ada/key.json", "begins with ~"),
        ('"/tmp/key.json"', "is in quotes"),
        ("'/tmp/key.json'", "is in quotes"),
        ("$HOME/key.json", "contains a variable"),
        ("%USERPROFILE%/key.json", "contains a variable"),
        ("${HOME}/key.json", "contains a variable"),
        ("/home/$USER/key.json", "contains a variable"),
        ('/home/ada/key.json"', "is in quotes"),
        ("\N{LEFT DOUBLE QUOTATION MARK}/tmp/key.json\N{RIGHT DOUBLE QUOTATION MARK}", "is in quotes"),
        ("file:///tmp/key.json", "is a URL"),
    ],
)
def test_path_that_only_a_shell_understands_is_named(
    make_profile: MakeProfile, take: Take, monkeypatch: pytest.MonkeyPatch, value: str, cause: str
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", value)
    with raises_code(Unloadable, "vertex-invalid-credentials-file") as caught:
        take(make_profile(), "adc-file")
    assert cause in caught.value.message
    assert "environment variable GOOGLE_APPLICATION_CREDENTIALS" in caught.value.message


@pytest.mark.parametrize(
    "value",
    [
        " {}",
        pytest.param("{} ", marks=pytest.mark.skipif(sys.platform == "win32", reason="Windows ignores the space")),
        "{}\n",
    ],
)
def test_space_around_a_path_is_named(  # noqa: PLR0917  fixtures
    cloud: GoogleCloud,
    make_profile: MakeProfile,
    write_file: WriteFile,
    take: Take,
    monkeypatch: pytest.MonkeyPatch,
    value: str,
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", value.format(write_file(cloud.service_account())))
    with raises_code(Unloadable, "vertex-invalid-credentials-file") as caught:
        take(make_profile(), "adc-file")
    assert "begins or ends with a space or a line break" in caught.value.message


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ('"{}"', "is in quotes"),
        ("~/gcloud", "begins with ~"),
        ("$HOME/gcloud", "contains a variable"),
        ("{}\r", "begins or ends with a space or a line break"),
    ],
)
def test_directory_of_gcloud_that_only_a_shell_understands_is_named(  # noqa: PLR0917  fixtures
    cloud: GoogleCloud,
    write_file: WriteFile,
    keeper: Callable[..., Keeper],
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    cause: str,
) -> None:
    there = write_file(cloud.authorized_user(), "gcloud/application_default_credentials.json").parent
    monkeypatch.setenv("CLOUDSDK_CONFIG", value.format(there))
    with raises_code(Unloadable, "vertex-invalid-credentials-file") as caught:
        keeper().get("work")
    assert f"the path in environment variable CLOUDSDK_CONFIG {cause}" in caught.value.message


def test_directory_of_gcloud_counts_only_if_nothing_else_does(
    make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nowhere/gcloud")
    assert detect("adc-gcloud", make_profile()) is None
    monkeypatch.setenv("CLOUDSDK_CONFIG", "~/gcloud")
    assert detect("adc-gcloud", make_profile()) is not None
    assert detect("adc-gcloud", make_profile(on_google_cloud=True)) is None, "the machine has another identity"


@pytest.mark.parametrize("value", ['{"type": "service_account", "private_key": "canary"}', "a\nb", "x" * 5000])
def test_credentials_instead_of_a_path_are_not_shown(
    make_profile: MakeProfile, take: Take, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", value)
    with raises_code(Unloadable, "vertex-invalid-credentials-file") as caught:
        take(make_profile(), "adc-file")
    assert value not in str(caught.value)
    found = detect("adc-file", make_profile())
    assert found is not None
    assert found.origin == "no plausible path (environment variable GOOGLE_APPLICATION_CREDENTIALS)"


@pytest.mark.parametrize("members", ["[]", '"canary"', '{"type": 1}', '{"a": 1, "a": 2}'])
def test_json_that_is_not_a_key_file(refused: Refused, members: str) -> None:
    refused(members)


def test_unsupported_type(refused: Refused) -> None:
    assert "authorized_user, service_account" in refused({"type": "gdch"})
    assert "unsupported type 'gdch' of" in refused({"type": "gdch"})
    assert "unsupported type of" in refused({"type": "Canary canary"})
    assert "does not say what type" in refused({"refresh_token": "canary"})


@pytest.mark.parametrize("kind", ["installed", "web"])
def test_file_of_an_oauth_client_is_named(refused: Refused, kind: str) -> None:
    said = refused({kind: {"client_id": "canary", "client_secret": "canary"}})
    assert "describes an OAuth client" in said
    assert "client_id and client_secret in the profile" in said


def test_member_that_is_missing_or_not_a_string(refused: Refused, cloud: GoogleCloud) -> None:
    members = cloud.service_account(client_email=3)
    del members["token_uri"]
    assert "(type service_account) has no valid client_email and token_uri" in refused(members)


def test_source_of_an_impersonation_is_checked_too(refused: Refused, cloud: GoogleCloud) -> None:
    url = cloud.impersonation_url()
    outer = {"type": "impersonated_service_account", "service_account_impersonation_url": url}
    assert "no valid source_credentials" in refused(outer)
    assert "no valid client_id and client_secret" in refused(
        {**outer, "source_credentials": {"type": "authorized_user", "refresh_token": "canary"}}
    )
    no_account = {**outer, "service_account_impersonation_url": cloud.at("/v1/canary")}
    said = refused({**no_account, "source_credentials": cloud.authorized_user()})
    assert "service_account_impersonation_url" in said


def test_nested_impersonation_is_refused(refused: Refused, cloud: GoogleCloud) -> None:
    inner = {
        "type": "impersonated_service_account",
        "service_account_impersonation_url": cloud.impersonation_url(),
        "source_credentials": cloud.authorized_user(),
    }
    said = refused({**inner, "source_credentials": inner})
    assert "key.json" in said
    assert "delegates" in said
    assert cloud.seen == []


@pytest.mark.parametrize("universe", ["canary.example", "", 3, ["googleapis.com"]])
def test_other_clouds_are_not_supported(refused: Refused, cloud: GoogleCloud, universe: object) -> None:
    members = cloud.service_account(universe_domain=universe)
    assert "(universe_domain)" in refused(members, ConfigurationError, "vertex-unsupported-credentials")
    assert cloud.seen == []


def test_public_cloud_may_be_named_explicitly(
    make_profile: MakeProfile, cloud: GoogleCloud, take: Take, write_file: WriteFile
) -> None:
    path = write_file(cloud.service_account(universe_domain="googleapis.com"))
    assert take(make_profile(credentials_file=path), "credentials-file").identity.email == ROBOT


@pytest.mark.parametrize("broken", ["-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n", "canary"])
def test_invalid_private_key(refused: Refused, cloud: GoogleCloud, broken: str) -> None:
    said = refused(cloud.service_account(private_key=broken))
    assert "private key" in said
    assert "Create a new key" in said


def test_flaw_of_a_private_key_is_named(refused: Refused, cloud: GoogleCloud) -> None:
    body = pem().split("-----")[2].strip()
    assert "has no line -----BEGIN PRIVATE KEY-----" in refused(cloud.service_account(private_key=body))
    said = refused(cloud.service_account(private_key=pem().replace("\n", "/n")))
    assert "has /n in place of line breaks" in said


def test_truncated_private_key(refused: Refused, cloud: GoogleCloud) -> None:
    assert "private key is truncated" in refused(cloud.service_account(private_key=pem()[:600]))


def test_private_key_that_is_not_rsa(refused: Refused, cloud: GoogleCloud) -> None:
    said = refused(cloud.service_account(private_key=pem(ec.generate_private_key(ec.SECP256R1()))))
    assert "not an RSA key" in said
    assert cloud.seen == []


def test_key_of_another_account(refused: Refused, cloud: GoogleCloud) -> None:
    members = cloud.service_account(client_email="other@demo-project.iam.gserviceaccount.com")
    said = refused(members, ProviderRefused, "vertex-credentials-refused")
    assert "other@demo-project.iam.gserviceaccount.com: invalid_grant (status 400)" in said


@pytest.mark.parametrize("name", ["a\x1b[2J\nfreshkey: all is well", "a" * 300, {"a": "canary"}])
def test_account_name_with_control_characters_is_not_shown(refused: Refused, cloud: GoogleCloud, name: Any) -> None:
    said = refused(cloud.authorized_user(account=name, refresh_token="1//over"), LoginRequired, "sign-in-ended")
    assert "key.json" in said
    assert said.isprintable()
    assert len(said) < 400


def test_response_that_is_nested_too_deeply(refused: Refused, cloud: GoogleCloud) -> None:
    cloud.failures["/oauthtoken"] = [(200, {"text": "[" * 100_000})]
    refused(cloud.external_user(), OutcomeUnknown, "invalid-response")


@pytest.mark.parametrize(
    "url",
    [
        "http://oauth2.googleapis.com/token",
        "https://ada:canary@oauth2.googleapis.com/token",
        "http://169.254.169.254/token",
        "canary",
    ],
)
def test_unsafe_token_uri_is_refused(refused: Refused, cloud: GoogleCloud, url: str) -> None:
    said = refused(cloud.service_account(token_uri=url), ConfigurationError, "invalid-url")
    assert "key.json: token_uri: " in said
    assert cloud.seen == []


def test_urls_of_source_credentials_are_checked_too(refused: Refused, cloud: GoogleCloud) -> None:
    for source in (
        cloud.authorized_user(token_uri="http://169.254.169.254/token"),
        cloud.external_account({"url": "http://example.com/token"}),
    ):
        outer = {
            "type": "impersonated_service_account",
            "service_account_impersonation_url": cloud.impersonation_url(),
            "source_credentials": source,
        }
        assert "source_credentials." in refused(outer, ConfigurationError, "invalid-url")
    assert cloud.seen == []


def test_http_on_loopback_requires_the_setting(make_profile: MakeProfile, write_file: WriteFile, take: Take) -> None:
    path = write_file(
        {"type": "service_account", "client_email": "a", "private_key": pem(), "token_uri": "http://127.0.0.1/t"}
    )
    urls = ("authorize_url", "token_url", "revoke_url", "tokeninfo_url", "iam_url")
    https = dict.fromkeys(urls, "https://example.com")
    with raises_code(ConfigurationError, "invalid-url"):
        take(make_profile(credentials_file=path, allow_insecure_loopback=False, **https), "credentials-file")


@pytest.mark.parametrize(
    "source",
    [
        {"url": "http://example.com/token"},
        {"url": "http://169.254.169.254@example.com/token"},
        {"url": "http://ada:canary@169.254.169.254/token"},
        {"environment_id": "aws1", "regional_cred_verification_url": "http://example.com/{region}"},
        {"environment_id": "aws1", "region_url": "http://example.com/"},
        {"environment_id": "aws1", "imdsv2_session_token_url": "http://example.com/"},
    ],
)
def test_identity_token_must_be_fetched_with_https(
    refused: Refused, cloud: GoogleCloud, source: dict[str, str]
) -> None:
    assert "credential_source." in refused(cloud.external_account(source), ConfigurationError, "invalid-url")
    assert cloud.seen == []


@pytest.mark.parametrize("allowed", ["", "0", "true", "1 "])
def test_program_runs_only_if_allowed(
    refused: Refused, cloud: GoogleCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: str
) -> None:
    monkeypatch.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", allowed)
    source = {"executable": {"command": f"touch {tmp_path}/ran"}}
    said = refused(cloud.external_account(source), ConfigurationError, "vertex-executable-not-allowed")
    assert "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1" in said
    assert not (tmp_path / "ran").exists()


def test_output_of_a_failing_program_is_not_quoted(
    refused: Refused, cloud: GoogleCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
    command = written_program(tmp_path / "program", "print('canary')\nraise SystemExit(1)")
    source = {"executable": {"command": command_line(command)}}
    assert "credential_source" in refused(cloud.external_account(source), ProviderRefused, "vertex-no-identity-token")


def test_missing_identity_token(refused: Refused, cloud: GoogleCloud, tmp_path: Path) -> None:
    source = {"file": str(tmp_path / "gone")}
    said = refused(cloud.external_account(source), ConfigurationError, "vertex-no-identity-token")
    assert f"{tmp_path / 'gone'}: {NO_FILE}" in said


@pytest.mark.skipif(sys.platform == "win32", reason="FIFOs and devices are POSIX")
def test_identity_token_that_is_not_a_regular_file(refused: Refused, cloud: GoogleCloud, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        said = refused(cloud.external_account({"file": str(path)}), ConfigurationError, "vertex-no-identity-token")
        assert f"{path} is not a regular file" in said


def test_identity_token_that_is_too_large(refused: Refused, cloud: GoogleCloud, write_file: WriteFile) -> None:
    source = {"file": str(write_file(" " * (MAX_BYTES + 1), "subject"))}
    said = refused(cloud.external_account(source), ConfigurationError, "vertex-no-identity-token")
    assert f"{MAX_BYTES} bytes" in said
    assert cloud.seen == []


def test_refused_identity_token(refused: Refused, cloud: GoogleCloud, write_file: WriteFile) -> None:
    source = {"file": str(write_file(SUBJECT_TOKEN + "x", "subject"))}
    said = refused(cloud.external_account(source), ProviderRefused, "vertex-credentials-refused")
    assert "invalid_grant (status 400)" in said


def test_source_unknown_to_google_auth(refused: Refused, cloud: GoogleCloud) -> None:
    assert "(type external_account)" in refused(cloud.external_account({"canary": 1}))


def test_client_certificate_is_not_supported(refused: Refused, cloud: GoogleCloud, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    if sys.platform != "win32":
        os.mkfifo(pipe)
    for source in ({"use_default_certificate_config": True}, {"certificate_config_location": str(pipe)}):
        members = cloud.external_account({"certificate": source})
        assert "key.json: client certificates" in refused(members, ConfigurationError, "vertex-unsupported-credentials")


@pytest.mark.skipif(sys.platform == "win32", reason="modes mean nothing on Windows")
def test_file_without_read_permission(make_profile: MakeProfile, take: Take, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        path = tmp_path / "key.json"
        path.write_text("{}")
        path.chmod(0)
    else:
        path = Path("/proc/self/mem/key.json")  # root may read any regular file
    with raises_code(Unloadable, "vertex-invalid-credentials-file") as caught:
        take(make_profile(credentials_file=path), "credentials-file")
    assert caught.value.message.endswith((f"{path}: Permission denied", f"{path}: Not a directory"))


def test_path_that_is_not_a_regular_file(make_profile: MakeProfile, take: Take, tmp_path: Path) -> None:
    places = [tmp_path]
    if sys.platform != "win32":
        places.append(tmp_path / "pipe")
        os.mkfifo(places[-1])
    for path in places:
        with raises_code(Unloadable, "vertex-invalid-credentials-file") as caught:
            take(make_profile(credentials_file=path), "credentials-file")
        assert str(path) in str(caught.value)


def test_file_that_is_too_large(refused: Refused) -> None:
    assert f"{MAX_BYTES} bytes" in refused(" " * (MAX_BYTES + 1))


def test_missing_file_named_by_the_variable_is_an_error(
    cloud: GoogleCloud, write_file: WriteFile, configure: Callable[..., None], tmp_path: Path
) -> None:
    write_file(cloud.authorized_user(), "gcloud/application_default_credentials.json")
    configure()
    done = subprocess.run(
        [sys.executable, "-m", "freshkey", "token", "work"],
        env={**os.environ, "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "gone.json")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout == ""
    assert f"{tmp_path / 'gone.json'}: {NO_FILE} [vertex-invalid-credentials-file]" in done.stderr
    assert "Traceback" not in done.stderr
    assert cloud.seen == []


def test_missing_project(make_profile: MakeProfile, cloud: GoogleCloud, take: Take, write_file: WriteFile) -> None:
    profile = make_profile(project=None, credentials_file=write_file(cloud.authorized_user()))
    with raises_code(ConfigurationError, "vertex-no-project") as caught:
        take(profile, "credentials-file")
    assert 'project = "…" under [profiles.work]' in str(caught.value)
    assert cloud.seen == []


@pytest.mark.parametrize(("ahead", "where"), [(3600, "behind"), (-3600, "ahead of")])
def test_clock_that_is_an_hour_off(refused: Refused, cloud: GoogleCloud, ahead: int, where: str) -> None:
    cloud.ahead = ahead
    said = refused(cloud.service_account(), ProviderRefused, "vertex-clock-skew")
    assert "invalid_grant (status 400)" in said
    assert f" s {where} the server's" in said


@pytest.mark.parametrize("ahead", [3600, -3600])
def test_clock_skew_does_not_change_the_lifetime_of_an_impersonated_token(
    cloud: GoogleCloud, make_profile: MakeProfile, take: Take, write_file: WriteFile, ahead: int
) -> None:
    cloud.ahead = ahead
    cloud.may_impersonate.add(("ada@example.com", TARGET))
    path = write_file(cloud.authorized_user())
    credential = take(make_profile(credentials_file=path, impersonate=TARGET), "credentials-file")
    assert credential.lifetime is not None
    assert 3595 < credential.lifetime <= 3601
