"""Credentials files as sources: which are looked at, what a refusal means, and the command that signs in again."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from freshkey import Keeper
from freshkey._commands.command import Command
from freshkey.clock import SYSTEM
from freshkey.errors import LoginRequired, OutcomeUnknown, ProviderRefused, TransientError
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey_testing import ManualClock
from freshkey_vertex.adc import detect, gcloud_file
from freshkey_vertex.credentials_file import Unloadable
from freshkey_vertex.description import description
from freshkey_vertex.formats import GoogleCredential
from google_cloud import ROBOT, TARGET, GoogleCloud


MakeProfile = Callable[..., Profile]
WriteFile = Callable[..., Path]
Take = Callable[..., GoogleCredential]
GCLOUD = "gcloud/application_default_credentials.json"


def command(tmp_path: Path, *lines: str) -> Command:
    """Return a command that runs these lines of Python and counts its runs."""
    program = tmp_path / "sign-in.py"
    counting = f"open({str(tmp_path / 'runs')!r}, 'a').write('x')"
    program.write_text("\n".join([counting, *lines]))
    return Command.of([sys.executable, str(program)])


def runs(tmp_path: Path) -> int:
    counted = tmp_path / "runs"
    return len(counted.read_text()) if counted.exists() else 0


# --- looking ----------------------------------------------------------------------------------------------------------


def test_without_files_there_is_nothing(make_profile: MakeProfile) -> None:
    profile = make_profile()
    assert [detect(one, profile) for one in ("credentials-file", "adc-file", "adc-gcloud")] == [None] * 3


def test_each_file_is_seen_with_what_named_it(
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
        f"{gcloud} (gcloud's application default credentials)",
    ]


def test_gcloud_writes_where_google_auth_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert gcloud_file({"CLOUDSDK_CONFIG": "/etc/g"}) == Path("/etc/g/application_default_credentials.json")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert gcloud_file({}) == tmp_path / ".config/gcloud/application_default_credentials.json"


@pytest.mark.parametrize("folder", ["x" * 300, "/" + "x/" * 3000])
def test_a_folder_of_gcloud_that_cannot_be_looked_into_holds_nothing(
    make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", folder)
    assert detect("adc-gcloud", make_profile()) is None


def test_a_user_without_a_home_has_no_gcloud(
    make_profile: MakeProfile, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLOUDSDK_CONFIG")
    monkeypatch.setattr(Path, "home", classmethod(_no_home))
    assert detect("adc-gcloud", make_profile()) is None
    with pytest.raises(LoginRequired, match="no credentials file is named"):
        take(make_profile(), "adc-gcloud")


def _no_home(_: type[Path]) -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_google_s_order_and_ours(
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


def test_a_profile_with_a_client_of_its_own_is_signed_in_to(
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


def test_a_container_needs_no_keychain(
    cloud: GoogleCloud, write_file: WriteFile, keeper: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_file(cloud.service_account())))
    assert keeper(store="keyring").get("work").identity.email == ROBOT


def test_bare_mode_uses_what_was_handed_in(cloud: GoogleCloud, keeper: Callable[..., Keeper]) -> None:
    handed_in = {step.source.id for step in keeper().explain("work").steps if step.source.handed_in}
    assert handed_in == {"gcloud-token", "oauth-token", "credentials-file", "adc-file", "metadata"}


def test_a_source_without_a_file_needs_one(make_profile: MakeProfile, take: Take) -> None:
    with pytest.raises(LoginRequired, match="no credentials file is named"):
        take(make_profile(), "adc-file")


# --- what the file says of places -------------------------------------------------------------------------------------


def test_project_and_quota_project_of_the_file_come_last(
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
def test_reauthentication_needs_a_person(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take, subtype: str
) -> None:
    write_file(cloud.authorized_user(), GCLOUD)
    refusal = {"error": "invalid_grant", "error_description": "reauth related error", "error_subtype": subtype}
    cloud.failures["/token"] = [(400, refusal)]
    with pytest.raises(LoginRequired) as caught:
        take(make_profile(), "adc-gcloud")
    said = str(caught.value)
    assert said == (
        f"Google wants ada@example.com to sign in again ({subtype}). Run: gcloud auth application-default login"
    )
    assert cloud.count("/token") == 1


def test_a_sign_in_that_was_revoked_needs_a_person(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take
) -> None:
    path = write_file(cloud.authorized_user())
    cloud.refresh_tokens.clear()
    with pytest.raises(LoginRequired, match=r"the sign-in of ada@example\.com has expired or was revoked"):
        take(make_profile(credentials_file=path), "credentials-file")


def test_a_disabled_service_account_is_refused(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take
) -> None:
    cloud.disabled.add(ROBOT)
    with pytest.raises(ProviderRefused, match=r"invalid_grant \(status 400\)\. Its key or the account itself was"):
        take(make_profile(credentials_file=write_file(cloud.service_account())), "credentials-file")


def test_an_unknown_client_is_refused(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take
) -> None:
    path = write_file(cloud.authorized_user(client_secret="another"))
    with pytest.raises(ProviderRefused, match=r"invalid_client \(status 401\)"):
        take(make_profile(credentials_file=path), "credentials-file")


def test_an_impersonation_without_the_role_is_refused(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take
) -> None:
    path = write_file(cloud.service_account())
    with pytest.raises(ProviderRefused, match=r"may not act as target@.*PERMISSION_DENIED \(status 403\)\. It needs"):
        take(make_profile(credentials_file=path, impersonate=TARGET), "credentials-file")


def test_what_an_impersonation_asks_for(
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


def test_a_reauthentication_of_gcloud_is_shown_to_google(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take
) -> None:
    take(make_profile(credentials_file=write_file(cloud.authorized_user(rapt_token="proof"))), "credentials-file")
    assert cloud.count("/token", rapt="proof") == 1


def test_a_file_says_where_it_impersonates_and_through_whom(
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
    with pytest.raises(LoginRequired, match=r"the sign-in of ada@example\.com has expired"):
        take(profile, "credentials-file")


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_passes_is_tried_again_by_the_core_alone(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take, status: int
) -> None:
    cloud.failures["/token"] = [(status, {"error": "canary"})]
    with pytest.raises(TransientError, match=r"127\.0\.0\.1 refused for now"):
        take(make_profile(credentials_file=write_file(cloud.service_account())), "credentials-file")
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
def test_an_answer_that_makes_no_sense_may_be_a_better_one_next_time(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take, answer: Any
) -> None:
    cloud.failures = {"/token": [(200, answer)] * 2, "/oauthtoken": [(200, answer)]}
    for members in (cloud.authorized_user(), cloud.service_account(), cloud.external_user()):
        with pytest.raises(OutcomeUnknown) as caught:
            take(make_profile(credentials_file=write_file(members)), "credentials-file")
        assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert not any(cloud.failures.values())


@pytest.mark.parametrize("answer", [[], "canary", {"error": ["canary"]}, {"error": {"status": 3}}, {"error": None}])
def test_a_refusal_that_makes_no_sense_is_one(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take, answer: Any
) -> None:
    cloud.failures["/token"] = [(400, answer)]
    with pytest.raises(ProviderRefused) as caught:
        take(make_profile(credentials_file=write_file(cloud.authorized_user())), "credentials-file")
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_google_s_own_word_for_a_failure_that_passes(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take
) -> None:
    cloud.failures["/token"] = [(400, {"error": "internal_failure"})]
    with pytest.raises(TransientError):
        take(make_profile(credentials_file=write_file(cloud.service_account())), "credentials-file")
    assert cloud.count("/token") == 1


def test_a_server_that_is_not_there_is_worth_another_try(
    make_profile: MakeProfile, write_file: WriteFile, take: Take
) -> None:
    with GoogleCloud() as gone:
        members = gone.service_account()
    with pytest.raises(TransientError, match="nothing could be sent to"):
        take(make_profile(credentials_file=write_file(members)), "credentials-file")


# --- the command that signs in again ----------------------------------------------------------------------------------


def test_an_expired_sign_in_is_renewed_by_the_command(
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


def test_a_file_that_is_missing_is_made_by_the_command(
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


def test_a_sign_in_that_works_runs_nothing(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take, tmp_path: Path
) -> None:
    write_file(cloud.authorized_user(), GCLOUD)
    take(make_profile(auth_refresh=command(tmp_path)), "adc-gcloud")
    assert runs(tmp_path) == 0


@pytest.mark.parametrize("failure", [(503, {}), (401, {"error": "invalid_client"})])
def test_other_failures_run_nothing(
    cloud: GoogleCloud, make_profile: MakeProfile, take: Take, tmp_path: Path, failure: Any
) -> None:
    cloud.failures["/token"] = [failure]
    file = tmp_path / "key.json"
    file.write_text(json.dumps(cloud.authorized_user()))
    with pytest.raises((TransientError, ProviderRefused)):
        take(make_profile(credentials_file=file, auth_refresh=command(tmp_path)), "credentials-file")
    assert runs(tmp_path) == 0


def test_a_missing_project_runs_nothing(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take, tmp_path: Path
) -> None:
    write_file(cloud.authorized_user(), GCLOUD)
    with pytest.raises(Exception, match="no Google Cloud project"):
        take(make_profile(project=None, auth_refresh=command(tmp_path)), "adc-gcloud")
    assert runs(tmp_path) == 0


def test_nothing_is_run_when_nobody_waits(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take, tmp_path: Path
) -> None:
    write_file("{}", GCLOUD)
    timer = NonInteractive("work", attended=False)
    with pytest.raises(Unloadable):
        take(make_profile(auth_refresh=command(tmp_path)), "adc-gcloud", timer)
    assert runs(tmp_path) == 0


def test_a_command_that_does_not_help_is_run_once(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take, tmp_path: Path
) -> None:
    write_file("{}", GCLOUD)
    profile = make_profile(auth_refresh=command(tmp_path))
    with pytest.raises(Unloadable):
        take(profile, "adc-gcloud")
    with pytest.raises(LoginRequired, match="a moment ago, and there are still no usable credentials"):
        take(profile, "adc-gcloud")
    assert runs(tmp_path) == 1


def test_a_minute_later_it_may_be_run_again(
    make_profile: MakeProfile, write_file: WriteFile, take: Take, tmp_path: Path, clock: ManualClock
) -> None:
    write_file("{}", GCLOUD)
    profile = make_profile(auth_refresh=command(tmp_path))
    for seconds, runs_so_far in ((0, 1), (59, 1), (2, 2)):
        clock.advance(seconds)
        with pytest.raises((Unloadable, LoginRequired)):
            take(profile, "adc-gcloud", clock=clock)
        assert runs(tmp_path) == runs_so_far


class Heard:
    """A reporter that keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def progress(self, message: str) -> None:
        assert message

    def line(self, text: str) -> None:
        self.lines.append(text)

    def notice(self, message: str) -> None:
        assert message


def test_the_clock_of_the_core_is_the_credential_s(
    cloud: GoogleCloud, make_profile: MakeProfile, write_file: WriteFile, take: Take
) -> None:
    credential = take(make_profile(credentials_file=write_file(cloud.authorized_user())), "credentials-file")
    assert credential.clock is SYSTEM
