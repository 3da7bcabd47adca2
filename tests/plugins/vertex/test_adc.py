"""Credentials files as sources: which are found, how refusals are reported, and the command that signs in again."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from google.auth._cloud_sdk import get_application_default_credentials_path

from freshkey import Keeper
from freshkey._commands.command import Command
from freshkey.clock import SYSTEM
from freshkey.errors import ConfigurationError, LoginRequired, OutcomeUnknown, ProviderRefused, TransientError
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey_testing import ManualClock
from freshkey_vertex.adc import detect, gcloud_file
from freshkey_vertex.credentials_file import Unloadable
from freshkey_vertex.description import description
from freshkey_vertex.formats import GoogleCredential
from google_cloud import ROBOT, TARGET, GoogleCloud
from raises_code import raises_code


MakeProfile = Callable[..., Profile]
WriteFile = Callable[..., Path]
Take = Callable[..., GoogleCredential]
GCLOUD = "gcloud/application_default_credentials.json"


def command(tmp_path: Path, *lines: str) -> Command:
    """Return a command that runs these lines of Python and counts how often it ran."""
    program = tmp_path / "sign-in.py"
    counting = f"open({str(tmp_path / 'runs')!r}, 'a').write('x')"
    program.write_text("\n".join([counting, *lines]))
    return Command.of([sys.executable, str(program)])


def runs(tmp_path: Path) -> int:
    counted = tmp_path / "runs"
    return len(counted.read_text()) if counted.exists() else 0


# --- detection --------------------------------------------------------------------------------------------------------


def test_nothing_is_detected_without_files(make_profile: MakeProfile) -> None:
    profile = make_profile()
    assert [detect(one, profile) for one in ("credentials-file", "adc-file", "adc-gcloud")] == [None] * 3


def test_each_file_is_detected_with_its_origin(
    make_profile: MakeProfile, write_file: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_file("not even read")
    gcloud = write_file("{}", GCLOUD)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    profile = make_profile(credentials_file=path)
    seen = [detect(one, profile) for one in ("credentials-file", "adc-file", "adc-gcloud")]
    assert [one.origin for one in seen if one] == [
        f"{path} (setting credentials_file)",
        f"{path} (environment variable GOOGLE_APPLICATION_CREDENTIALS)",
        f"{gcloud} (gcloud's Application Default Credentials)",
    ]


def test_version_changes_when_the_user_signs_in_again(
    make_profile: MakeProfile, write_file: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = make_profile(auth_refresh=Command.of([sys.executable]))
    seen = [detect("adc-gcloud", profile)]
    for content in ("{}", '{"type": "authorized_user"}'):
        write_file(content, GCLOUD)
        seen.append(detect("adc-gcloud", profile))
    assert len({one.version for one in seen if one}) == 3


def test_gcloud_file_is_where_google_auth_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert gcloud_file({"CLOUDSDK_CONFIG": "/etc/g"}) == Path("/etc/g/application_default_credentials.json")
    for name in ("HOME", "USERPROFILE"):  # the second one on Windows
        monkeypatch.setenv(name, str(tmp_path))
    if sys.platform != "win32":
        assert gcloud_file({}) == tmp_path / ".config/gcloud/application_default_credentials.json"
        return
    roaming = tmp_path / "Roaming"
    monkeypatch.delenv("CLOUDSDK_CONFIG")
    monkeypatch.setenv("APPDATA", str(roaming))
    assert gcloud_file(os.environ) == Path(get_application_default_credentials_path())
    # Google's tools would then use a folder in the root of the drive, which every user of the machine can create.
    assert gcloud_file({}) == tmp_path / "AppData/Roaming/gcloud/application_default_credentials.json"


def test_inaccessible_gcloud_directory_counts_as_empty(
    make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", "x" * 300)
    assert detect("adc-gcloud", make_profile()) is None


def test_gcloud_directory_that_is_no_plausible_path_is_an_error(
    make_profile: MakeProfile, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/" + "x/" * 3000)
    assert detect("adc-gcloud", make_profile()) is not None
    with pytest.raises(ConfigurationError) as caught:
        take(make_profile(), "adc-gcloud")
    assert "x/x" not in str(caught.value)


def test_user_without_a_home_directory_has_no_gcloud_file(
    make_profile: MakeProfile, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CLOUDSDK_CONFIG", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", classmethod(_no_home))
    assert detect("adc-gcloud", make_profile()) is None
    with raises_code(LoginRequired, "vertex-no-credentials"):
        take(make_profile(), "adc-gcloud")


def _no_home(_: type[Path]) -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_order_of_sources(
    cloud: GoogleCloud, write_file: WriteFile, keeper: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(cloud.authorized_user(), GCLOUD)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_file(cloud.service_account())))
    steps = keeper().explain("work").steps
    assert [step.source.id for step in steps] == [
        "gcloud-token",
        "oauth-token",
        "credentials-file",
        "adc-file",
        "adc-gcloud",
        "metadata",
        "oauth",
    ]
    assert [step.source.id for step in steps if step.wins] == ["adc-file"]


def test_profile_with_its_own_client_ignores_application_default_credentials(
    cloud: GoogleCloud, write_file: WriteFile, make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(cloud.authorized_user(), GCLOUD)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_file(cloud.service_account())))
    monkeypatch.setenv("GCE_METADATA_HOST", cloud.host)
    own = make_profile(client_id="mine")

    def seen(profile: Profile) -> list[str]:
        return [source.id for source in description(profile).sources if source.detect(profile)]

    assert seen(own) == []
    assert seen(make_profile(client_id=None)) == ["adc-file", "adc-gcloud", "metadata"]
    assert seen(evolve(own, bare=True)) == ["adc-file", "adc-gcloud", "metadata"]
    for named in ("adc-file", "adc-gcloud", "metadata"):
        assert seen(evolve(own, source=named)) == [named]


def test_credentials_file_works_without_a_keychain(
    cloud: GoogleCloud, write_file: WriteFile, keeper: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_file(cloud.service_account())))
    assert keeper(store="keyring").get("work").identity.email == ROBOT


def test_bare_mode_uses_only_explicitly_provided_sources(cloud: GoogleCloud, keeper: Callable[..., Keeper]) -> None:
    handed_in = {step.source.id for step in keeper().explain("work").steps if step.source.handed_in}
    assert handed_in == {"gcloud-token", "oauth-token", "credentials-file", "adc-file", "metadata"}


@pytest.mark.skipif(os.name == "nt", reason="modes mean nothing on Windows")
@pytest.mark.parametrize("source", ["credentials-file", "adc-gcloud"])
def test_file_that_others_can_change_is_not_used(
    cloud: GoogleCloud,
    make_profile: MakeProfile,
    write_file: WriteFile,
    take: Take,
    source: str,
) -> None:
    """TRU-14: they would choose the identity, the servers and the program."""
    path = write_file(cloud.authorized_user(), GCLOUD)
    path.chmod(0o666)
    profile = make_profile(credentials_file=path if source == "credentials-file" else None)
    with raises_code(ConfigurationError, "unsafe-file"):
        take(profile, source)
    assert not cloud.seen


def test_source_without_a_file_is_an_error(make_profile: MakeProfile, take: Take) -> None:
    with raises_code(LoginRequired, "vertex-no-credentials"):
        take(make_profile(), "adc-file")


# --- project and quota project of the file ----------------------------------------------------------------------------


def test_project_and_quota_project_of_the_file_are_used_last(
    cloud: GoogleCloud,
    make_profile: MakeProfile,
    write_file: WriteFile,
    take: Take,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_file(cloud.service_account(quota_project_id="file-payer"))
    profile = make_profile(project=None, credentials_file=path)
    credential = take(profile, "credentials-file")
    assert (credential.project, credential.quota_project) == ("key-project", "file-payer")
    assert credential.headers()["x-goog-user-project"] == "file-payer"
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "env-project")
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "env-payer")
    credential = take(profile, "credentials-file")
    assert (credential.project, credential.quota_project) == ("env-project", "env-payer")


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subtype", ["invalid_rapt", "rapt_required"])
def test_reauthentication_requires_the_user(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take, subtype: str
) -> None:
    write_file(cloud.authorized_user(), GCLOUD)
    refusal = {"error": "invalid_grant", "error_description": "reauth related error", "error_subtype": subtype}
    cloud.failures["/token"] = [(400, refusal)]
    with raises_code(LoginRequired, "vertex-reauthentication-required") as caught:
        take(make_profile(), "adc-gcloud")
    assert "ada@example.com" in caught.value.message
    assert f"({subtype})" in caught.value.message
    assert caught.value.hint == "Run: gcloud auth application-default login"
    assert cloud.count("/token") == 1


@pytest.mark.parametrize(
    "content",
    ["", '{"type": "authorized_user", "client_sec', '{"type": "authorized_user", "client_id": "canary"}', "{}", "[]"],
)
def test_damaged_file_of_gcloud_requires_the_user(
    make_profile: MakeProfile, write_file: WriteFile, take: Take, content: str
) -> None:
    path = write_file(content, GCLOUD)
    with raises_code(LoginRequired, "vertex-invalid-credentials-file") as caught:
        take(make_profile(), "adc-gcloud")
    assert caught.value.hint == "Run: gcloud auth application-default login"
    with raises_code(Unloadable, "vertex-invalid-credentials-file"):
        take(make_profile(credentials_file=path), "credentials-file")
    path.unlink()
    path.mkdir()
    with raises_code(Unloadable, "vertex-invalid-credentials-file"):
        take(make_profile(), "adc-gcloud")


def test_revoked_sign_in_requires_the_user(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take
) -> None:
    path = write_file(cloud.authorized_user())
    cloud.refresh_tokens.clear()
    with raises_code(LoginRequired, "sign-in-ended") as caught:
        take(make_profile(credentials_file=path), "credentials-file")
    assert "ada@example.com" in str(caught.value)


def test_disabled_service_account_is_refused(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take
) -> None:
    cloud.disabled.add(ROBOT)
    with raises_code(ProviderRefused, "vertex-credentials-refused") as caught:
        take(make_profile(credentials_file=write_file(cloud.service_account())), "credentials-file")
    assert "invalid_grant (status 400)" in caught.value.message
    assert "the key and the account" in str(caught.value.hint)


def test_unknown_client_is_refused(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take
) -> None:
    path = write_file(cloud.authorized_user(client_secret="another"))
    with raises_code(ProviderRefused, "vertex-credentials-refused") as caught:
        take(make_profile(credentials_file=path), "credentials-file")
    assert "invalid_client (status 401)" in caught.value.message


def test_impersonation_without_the_role_is_refused(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take
) -> None:
    path = write_file(cloud.service_account())
    with raises_code(ProviderRefused, "vertex-impersonation-refused") as caught:
        take(make_profile(credentials_file=path, impersonate=TARGET), "credentials-file")
    assert TARGET in caught.value.message
    assert "PERMISSION_DENIED (status 403)" in caught.value.message
    assert "roles/iam.serviceAccountTokenCreator" in str(caught.value.hint)


def test_impersonation_request(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take
) -> None:
    cloud.may_impersonate.add((ROBOT, TARGET))
    profile = make_profile(
        credentials_file=write_file(cloud.service_account()),
        impersonate=TARGET,
        impersonate_delegates=("between@demo-project.iam.gserviceaccount.com",),
        impersonate_lifetime=600.0,
        scopes=("https://www.googleapis.com/auth/devstorage.read_only",),
    )
    take(profile, "credentials-file")
    asked = next(one for one in cloud.seen if one.path.endswith(":generateAccessToken"))
    assert json.loads(asked.body) == {
        "delegates": ["projects/-/serviceAccounts/between@demo-project.iam.gserviceaccount.com"],
        "lifetime": "600s",
        "scope": ["https://www.googleapis.com/auth/devstorage.read_only"],
    }
    assert "x-goog-user-project" not in asked.headers


def test_reauthentication_proof_of_gcloud_is_sent_to_google(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take
) -> None:
    take(make_profile(credentials_file=write_file(cloud.authorized_user(rapt_token="proof"))), "credentials-file")
    assert cloud.count("/token", rapt="proof") == 1


def test_impersonation_url_and_delegates_come_from_the_file(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take
) -> None:
    cloud.may_impersonate.add(("ada@example.com", TARGET))
    members = {
        "type": "impersonated_service_account",
        "service_account_impersonation_url": cloud.impersonation_url(),
        "delegates": ["projects/-/serviceAccounts/between"],
        "source_credentials": cloud.authorized_user(),
    }
    profile = make_profile(credentials_file=write_file(members), iam_url="https://iamcredentials.googleapis.com")
    take(profile, "credentials-file")
    asked = next(one for one in cloud.seen if one.path.endswith(":generateAccessToken"))
    assert json.loads(asked.body)["delegates"] == ["projects/-/serviceAccounts/between"]
    cloud.refresh_tokens.clear()
    with raises_code(LoginRequired, "sign-in-ended") as caught:
        take(profile, "credentials-file")
    assert "ada@example.com" in str(caught.value)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_temporary_failure_is_retried_only_by_the_core(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take, status: int
) -> None:
    cloud.failures["/token"] = [(status, {"error": "canary"})]
    with raises_code(TransientError, "server-unavailable") as caught:
        take(make_profile(credentials_file=write_file(cloud.service_account())), "credentials-file")
    assert "127.0.0.1" in str(caught.value)
    assert cloud.count("/token") == 1


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        "canary",
        {"access_token": 3},
        {"access_token": ""},
        {"access_token": "canary with spaces", "expires_in": 3600},
        {"access_token": "canary", "expires_in": "soon"},
        {"access_token": "canary", "expires_in": 1e300},
        {"access_token": "canary", "expires_in": [1]},
    ],
)
def test_invalid_token_response_may_be_retried(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take, answer: Any
) -> None:
    cloud.failures = {"/token": [(200, answer)] * 2, "/oauthtoken": [(200, answer)]}
    for members in (cloud.authorized_user(), cloud.service_account(), cloud.external_user()):
        with pytest.raises(OutcomeUnknown) as caught:
            take(make_profile(credentials_file=write_file(members)), "credentials-file")
        assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert not any(cloud.failures.values())


@pytest.mark.parametrize("answer", [[], "canary", {"error": None}, {}])
def test_error_response_without_an_error_is_temporary(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take, answer: Any
) -> None:
    cloud.failures["/token"] = [(400, answer)]
    with raises_code(TransientError, "answered-in-between") as caught:
        take(make_profile(credentials_file=write_file(cloud.authorized_user())), "credentials-file")
    assert caught.value.local
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_blocked_request_is_temporary(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take
) -> None:
    cloud.failures["/token"] = [(403, "<html>blocked</html>")]
    with raises_code(TransientError, "request-blocked") as caught:
        take(make_profile(credentials_file=write_file(cloud.service_account())), "credentials-file")
    assert caught.value.local


@pytest.mark.parametrize("answer", [{"error": ["another canary"]}, {"error": {"status": 3}}])
def test_invalid_error_response_is_a_refusal(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take, answer: Any
) -> None:
    cloud.failures["/token"] = [(400, answer)]
    with pytest.raises(ProviderRefused) as caught:
        take(make_profile(credentials_file=write_file(cloud.authorized_user())), "credentials-file")
    assert "another canary" not in "".join(traceback.format_exception(caught.value))


def test_google_internal_failure_is_temporary(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take
) -> None:
    cloud.failures["/token"] = [(400, {"error": "internal_failure"})]
    with raises_code(TransientError, "server-unavailable"):
        take(make_profile(credentials_file=write_file(cloud.service_account())), "credentials-file")
    assert cloud.count("/token") == 1


def test_unreachable_server_is_a_temporary_failure(
    make_profile: MakeProfile, write_file: WriteFile, take: Take
) -> None:
    with GoogleCloud() as gone:
        members = gone.service_account()
    with raises_code(TransientError, "connection-failed"):
        take(make_profile(credentials_file=write_file(members)), "credentials-file")


# --- the command that signs in again ----------------------------------------------------------------------------------


def test_command_replaces_an_expired_sign_in(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take, tmp_path: Path
) -> None:
    good = write_file(cloud.authorized_user(), "good.json")
    file = write_file(cloud.authorized_user(refresh_token="1//expired"), GCLOUD)
    again = command(tmp_path, f"open({str(file)!r}, 'w').write(open({str(good)!r}).read())", "print('Visit X')")
    heard = Heard()
    credential = take(make_profile(auth_refresh=again), "adc-gcloud", NonInteractive("work", heard))
    assert cloud.tokens[credential.access_token.reveal()].whose == "ada@example.com"
    assert heard.lines == ["Visit X"]
    assert runs(tmp_path) == 1


def test_command_creates_a_missing_file(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take, tmp_path: Path
) -> None:
    good = write_file(cloud.authorized_user(), "good.json")
    file = tmp_path / GCLOUD
    again = command(
        tmp_path,
        "import os",
        f"os.makedirs({str(file.parent)!r}, exist_ok=True)",
        f"open({str(file)!r}, 'w').write(open({str(good)!r}).read())",
    )
    profile = make_profile(auth_refresh=again)
    seen = detect("adc-gcloud", profile)
    assert seen is not None
    assert seen.origin.startswith("auth_refresh (python")
    assert take(profile, "adc-gcloud").kind == "user"


def test_command_does_not_run_if_the_sign_in_works(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take, tmp_path: Path
) -> None:
    write_file(cloud.authorized_user(), GCLOUD)
    take(make_profile(auth_refresh=command(tmp_path)), "adc-gcloud")
    assert runs(tmp_path) == 0


@pytest.mark.parametrize("failure", [(503, {}), (401, {"error": "invalid_client"})])
def test_command_does_not_run_after_other_failures(
    cloud: GoogleCloud, make_profile: MakeProfile, take: Take, tmp_path: Path, failure: Any
) -> None:
    cloud.failures["/token"] = [failure]
    file = tmp_path / "key.json"
    file.write_text(json.dumps(cloud.authorized_user()))
    with pytest.raises((TransientError, ProviderRefused)):
        take(make_profile(credentials_file=file, auth_refresh=command(tmp_path)), "credentials-file")
    assert runs(tmp_path) == 0


def test_command_does_not_run_if_the_project_is_missing(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take, tmp_path: Path
) -> None:
    write_file(cloud.authorized_user(), GCLOUD)
    with raises_code(ConfigurationError, "vertex-no-project"):
        take(make_profile(project=None, auth_refresh=command(tmp_path)), "adc-gcloud")
    assert runs(tmp_path) == 0


def test_command_does_not_run_if_no_user_is_waiting(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take, tmp_path: Path
) -> None:
    write_file("{}", GCLOUD)
    timer = NonInteractive("work", attended=False)
    with pytest.raises(LoginRequired):
        take(make_profile(auth_refresh=command(tmp_path)), "adc-gcloud", timer)
    assert runs(tmp_path) == 0


def test_command_that_does_not_help_runs_once(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take, tmp_path: Path
) -> None:
    write_file("{}", GCLOUD)
    profile = make_profile(auth_refresh=command(tmp_path))
    with raises_code(LoginRequired, "vertex-invalid-credentials-file"):
        take(profile, "adc-gcloud")
    with pytest.raises(LoginRequired):
        take(profile, "adc-gcloud")
    assert runs(tmp_path) == 1


def test_command_may_run_again_after_a_minute(
    make_profile: MakeProfile, write_file: WriteFile, take: Take, tmp_path: Path, clock: ManualClock
) -> None:
    write_file("{}", GCLOUD)
    profile = make_profile(auth_refresh=command(tmp_path))
    for seconds, runs_so_far in ((0, 1), (59, 1), (2, 2)):
        clock.advance(seconds)
        with pytest.raises(LoginRequired):
            take(evolve(profile, clock=clock), "adc-gcloud")
        assert runs(tmp_path) == runs_so_far


class Heard:
    """A reporter that records lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def progress(self, message: str) -> None:
        assert message

    def line(self, text: str) -> None:
        self.lines.append(text)

    def notice(self, message: str) -> None:
        assert message


def test_credential_uses_the_clock_of_the_core(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take
) -> None:
    credential = take(make_profile(credentials_file=write_file(cloud.authorized_user())), "credentials-file")
    assert credential.clock is SYSTEM
