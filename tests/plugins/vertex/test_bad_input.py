"""Everything that can be wrong with what people hand in: an error that says so, and nothing of what was secret."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, OutcomeUnknown, ProviderRefused
from freshkey.model.profile import Profile
from freshkey_vertex.credentials_file import MAX_BYTES, Unloadable
from freshkey_vertex.formats import GoogleCredential
from google_cloud import ROBOT, SUBJECT_TOKEN, TARGET, GoogleCloud, pem


MakeProfile = Callable[..., Profile]
WriteFile = Callable[..., Path]
Take = Callable[..., GoogleCredential]
Refused = Callable[..., str]


@pytest.fixture
def refused(make_profile: MakeProfile, take: Take, write_file: WriteFile) -> Refused:
    """Return the message of the error that a file ends with; no part of its secrets is in a traceback."""

    def run(members: Any, kind: type[FreshkeyError] = Unloadable, **settings: Any) -> str:
        path = write_file(members)
        with pytest.raises(kind) as caught:
            take(make_profile(credentials_file=path, **settings), "credentials-file")
        shown = "".join(traceback.format_exception(caught.value))
        assert "canary" not in shown
        assert "MII" not in shown
        return str(caught.value)

    return run


def test_a_key_that_is_no_json(refused: Refused, cloud: GoogleCloud) -> None:
    said = refused('{"type": "service_account", "private_key": "canary')
    assert said.endswith(
        "key.json does not hold one JSON object. Download the key again, or sign in again with the tool that wrote it"
    )
    assert cloud.seen == []


@pytest.mark.parametrize("members", ["[]", '"canary"', '{"type": 1}', '{"a": 1, "a": 2}'])
def test_other_json_is_no_key_either(refused: Refused, members: str) -> None:
    refused(members)


def test_an_unknown_type(refused: Refused) -> None:
    assert "of a type that is known here. Known are: authorized_user, service_account" in refused({"type": "gdch"})


def test_a_member_that_is_missing_or_no_text(refused: Refused, cloud: GoogleCloud) -> None:
    members = cloud.service_account(client_email=3)
    del members["token_uri"]
    assert "of the type service_account, lacks client_email and token_uri" in refused(members)


def test_the_source_of_an_impersonation_is_judged_as_well(refused: Refused, cloud: GoogleCloud) -> None:
    url = cloud.impersonation_url()
    outer = {"type": "impersonated_service_account", "service_account_impersonation_url": url}
    assert "lacks source_credentials" in refused(outer)
    assert "lacks client_id and client_secret" in refused(
        {**outer, "source_credentials": {"type": "authorized_user", "refresh_token": "canary"}}
    )
    nobody = {**outer, "service_account_impersonation_url": cloud.at("/v1/canary")}
    assert "names no service account" in refused({**nobody, "source_credentials": cloud.authorized_user()})


def test_an_impersonation_has_no_other_as_its_source(refused: Refused, cloud: GoogleCloud) -> None:
    inner = {
        "type": "impersonated_service_account",
        "service_account_impersonation_url": cloud.impersonation_url(),
        "source_credentials": cloud.authorized_user(),
    }
    said = refused({**inner, "source_credentials": inner})
    assert "key.json impersonates with another impersonation. Name those between in delegates" in said
    assert cloud.seen == []


@pytest.mark.parametrize("universe", ["canary.example", "", 3, ["googleapis.com"]])
def test_another_cloud_is_not_supported(refused: Refused, cloud: GoogleCloud, universe: object) -> None:
    said = refused(cloud.service_account(universe_domain=universe), ConfigurationError)
    assert "is for another cloud than Google's public one (universe_domain)" in said
    assert cloud.seen == []


def test_the_public_cloud_by_name(
    make_profile: MakeProfile, cloud: GoogleCloud, take: Take, write_file: WriteFile
) -> None:
    path = write_file(cloud.service_account(universe_domain="googleapis.com"))
    assert take(make_profile(credentials_file=path), "credentials-file").identity.email == ROBOT


@pytest.mark.parametrize("broken", ["-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n", "canary"])
def test_a_private_key_that_cannot_be_read(refused: Refused, cloud: GoogleCloud, broken: str) -> None:
    said = refused(cloud.service_account(private_key=broken))
    assert "the private key in it cannot be read" in said
    assert "Create a new key" in said


def test_a_private_key_that_was_cut_off(refused: Refused, cloud: GoogleCloud) -> None:
    assert "cannot be read" in refused(cloud.service_account(private_key=pem()[:600]))


def test_a_private_key_of_another_type(refused: Refused, cloud: GoogleCloud) -> None:
    said = refused(cloud.service_account(private_key=pem(ec.generate_private_key(ec.SECP256R1()))))
    assert "another type than RSA" in said
    assert cloud.seen == []


def test_a_key_of_another_account(refused: Refused, cloud: GoogleCloud) -> None:
    members = cloud.service_account(client_email="other@demo-project.iam.gserviceaccount.com")
    said = refused(members, ProviderRefused)
    assert "Google refused other@demo-project.iam.gserviceaccount.com: invalid_grant (status 400)" in said


@pytest.mark.parametrize("name", ["a\x1b[2J\nfreshkey: all is well", "a" * 300, {"a": "canary"}])
def test_a_name_that_cannot_be_shown_is_not(refused: Refused, cloud: GoogleCloud, name: Any) -> None:
    said = refused(cloud.authorized_user(account=name, refresh_token="1//over"), LoginRequired)
    assert "key.json has expired or was revoked" in said
    assert said.isprintable()
    assert len(said) < 400


def test_an_answer_that_is_too_deep(refused: Refused, cloud: GoogleCloud) -> None:
    cloud.failures["/oauthtoken"] = [(200, {"text": "[" * 100_000})]
    refused(cloud.external_user(), OutcomeUnknown)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://oauth2.googleapis.com/token", "does not use https"),
        ("https://ada:canary@oauth2.googleapis.com/token", "has a user name in it"),
        ("http://169.254.169.254/token", "does not use https"),
        ("canary", "has a user name in it, or no valid host"),
    ],
)
def test_a_token_uri_that_secrets_cannot_be_sent_to(refused: Refused, cloud: GoogleCloud, url: str, why: str) -> None:
    said = refused(cloud.service_account(token_uri=url), ConfigurationError)
    assert "token_uri: an address that secrets would be sent to " + why in said


def test_a_source_s_addresses_are_judged_as_well(refused: Refused, cloud: GoogleCloud) -> None:
    for source in (
        cloud.authorized_user(token_uri="http://169.254.169.254/token"),
        cloud.external_account({"url": "http://example.com/token"}),
    ):
        outer = {
            "type": "impersonated_service_account",
            "service_account_impersonation_url": cloud.impersonation_url(),
            "source_credentials": source,
        }
        assert "source_credentials." in refused(outer, ConfigurationError)
    assert cloud.seen == []


def test_loopback_without_tls_needs_the_setting(make_profile: MakeProfile, write_file: WriteFile, take: Take) -> None:
    path = write_file(
        {"type": "service_account", "client_email": "a", "private_key": pem(), "token_uri": "http://127.0.0.1/t"}
    )
    urls = ("authorize_url", "token_url", "revoke_url", "tokeninfo_url", "iam_url")
    https = dict.fromkeys(urls, "https://example.com")
    with pytest.raises(ConfigurationError, match="does not use https"):
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
def test_an_identity_token_is_fetched_by_https(refused: Refused, cloud: GoogleCloud, source: dict[str, str]) -> None:
    assert "credential_source." in refused(cloud.external_account(source), ConfigurationError)
    assert cloud.seen == []


@pytest.mark.parametrize("allowed", ["", "0", "true", "1 "])
def test_a_program_is_run_with_permission_only(
    refused: Refused, cloud: GoogleCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: str
) -> None:
    monkeypatch.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", allowed)
    source = {"executable": {"command": f"touch {tmp_path}/ran"}}
    said = refused(cloud.external_account(source), ConfigurationError)
    assert "names a program that prints tokens, and running it was not allowed" in said
    assert not (tmp_path / "ran").exists()


def test_a_program_that_fails_is_not_quoted(
    refused: Refused, cloud: GoogleCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho canary\nexit 1\n")
    program.chmod(0o700)
    said = refused(cloud.external_account({"executable": {"command": str(program)}}), ProviderRefused)
    assert "what identifies this machine could not be had or used" in said


def test_an_identity_token_that_is_not_there(refused: Refused, cloud: GoogleCloud, tmp_path: Path) -> None:
    source = {"file": str(tmp_path / "gone")}
    said = refused(cloud.external_account(source), ConfigurationError)
    assert f"the identity token in {tmp_path}/gone cannot be read: No such file or directory" in said


def test_an_identity_token_that_is_no_file(refused: Refused, cloud: GoogleCloud, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        said = refused(cloud.external_account({"file": str(path)}), ConfigurationError)
        assert f"the identity token in {path} is not a regular file. The platform that runs this" in said


def test_an_identity_token_that_is_too_large(refused: Refused, cloud: GoogleCloud, write_file: WriteFile) -> None:
    source = {"file": str(write_file(" " * (MAX_BYTES + 1), "subject"))}
    assert f"has more than {MAX_BYTES} bytes" in refused(cloud.external_account(source), ConfigurationError)
    assert cloud.seen == []


def test_an_identity_token_that_is_refused(refused: Refused, cloud: GoogleCloud, write_file: WriteFile) -> None:
    source = {"file": str(write_file(SUBJECT_TOKEN + "x", "subject"))}
    assert "invalid_grant (status 400)" in refused(cloud.external_account(source), ProviderRefused)


def test_a_source_that_google_auth_does_not_know(refused: Refused, cloud: GoogleCloud) -> None:
    assert "something in it is not what it should be" in refused(cloud.external_account({"canary": 1}))


def test_a_certificate_as_identity_is_not_supported(refused: Refused, cloud: GoogleCloud, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for source in ({"use_default_certificate_config": True}, {"certificate_config_location": str(pipe)}):
        said = refused(cloud.external_account({"certificate": source}), ConfigurationError)
        assert "key.json: it identifies itself by client certificate. That is not supported" in said


def test_a_file_that_the_process_may_not_read(make_profile: MakeProfile, take: Take, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        path = tmp_path / "key.json"
        path.write_text("{}")
        path.chmod(0)
    else:
        path = Path("/proc/self/mem/key.json")  # root reads whatever has a mode
    with pytest.raises(Unloadable, match=r"cannot be read: (Permission denied|Not a directory)"):
        take(make_profile(credentials_file=path), "credentials-file")


def test_a_file_that_is_none(make_profile: MakeProfile, take: Take, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        with pytest.raises(Unloadable, match=r"is not a regular file|Is a directory"):
            take(make_profile(credentials_file=path), "credentials-file")


def test_a_file_that_is_too_large(refused: Refused) -> None:
    assert f"has more than {MAX_BYTES} bytes" in refused(" " * (MAX_BYTES + 1))


def test_a_file_that_the_variable_names_is_not_passed_over(
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
    assert f"work: {tmp_path}/gone.json cannot be read: No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr
    assert cloud.seen == []


def test_a_project_that_is_missing_everywhere(
    make_profile: MakeProfile, cloud: GoogleCloud, take: Take, write_file: WriteFile
) -> None:
    profile = make_profile(project=None, credentials_file=write_file(cloud.authorized_user()))
    with pytest.raises(ConfigurationError, match="no Google Cloud project is named anywhere") as caught:
        take(profile, "credentials-file")
    assert 'project = "…" under [profiles.work]' in str(caught.value)
    assert cloud.seen == []


@pytest.mark.parametrize(("ahead", "where"), [(3600, "behind"), (-3600, "ahead of")])
def test_a_clock_that_is_an_hour_off(refused: Refused, cloud: GoogleCloud, ahead: int, where: str) -> None:
    cloud.ahead = ahead
    said = refused(cloud.service_account(), ProviderRefused)
    assert "invalid_grant (status 400); the clock of this machine is 3" in said or "35" in said
    assert f"{where} that of the server. Set the clock" in said


@pytest.mark.parametrize("ahead", [3600, -3600])
def test_an_impersonation_lives_as_long_whatever_the_clocks_say(
    cloud: GoogleCloud, make_profile: MakeProfile, take: Take, write_file: WriteFile, ahead: int
) -> None:
    cloud.ahead = ahead
    cloud.may_impersonate.add(("ada@example.com", TARGET))
    path = write_file(cloud.authorized_user())
    credential = take(make_profile(credentials_file=path, impersonate=TARGET), "credentials-file")
    assert credential.lifetime is not None
    assert 3595 < credential.lifetime <= 3601
