"""Each source from acquisition to early renewal, through the public API and the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from freshkey import Keeper
from freshkey._trust.project_files import trust_file
from freshkey.model.credential import Credential
from freshkey_vertex.formats import GoogleCredential
from google_cloud import MACHINE, ROBOT, SUBJECT_TOKEN, TARGET, GoogleCloud
from python_program import command_line, written_program
from waiting import until


MakeKeeper = Callable[..., Keeper]
WriteFile = Callable[..., Path]
Prepare = Callable[[GoogleCloud, WriteFile], dict[str, Any]]


def freshkey(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "freshkey", *arguments],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def fresh(tmp_path: Path) -> dict[str, str]:
    """Return variables that hide a recent failure from the next process, which would otherwise wait."""
    return {"FRESHKEY_STATE_DIR": str(tmp_path / "fresh")}


def key(cloud: GoogleCloud, write: WriteFile) -> dict[str, Any]:
    return cloud.service_account()


def user(cloud: GoogleCloud, write: WriteFile) -> dict[str, Any]:
    return cloud.authorized_user()


def workload_file(cloud: GoogleCloud, write: WriteFile) -> dict[str, Any]:
    return cloud.external_account({"file": str(write(SUBJECT_TOKEN, "subject"))})


def workload_url(cloud: GoogleCloud, write: WriteFile) -> dict[str, Any]:
    fmt = {"type": "json", "subject_token_field_name": "id"}
    return cloud.external_account({"url": cloud.at("/subject"), "format": fmt})


def workload_as_account(cloud: GoogleCloud, write: WriteFile) -> dict[str, Any]:
    cloud.may_impersonate.add(("workload", TARGET))
    source = {"file": str(write(SUBJECT_TOKEN, "subject"))}
    return cloud.external_account(source, service_account_impersonation_url=cloud.impersonation_url())


def workload_of_aws(cloud: GoogleCloud, write: WriteFile) -> dict[str, Any]:
    source = {
        "environment_id": "aws1",
        "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
        "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
    }
    os.environ |= {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "canary", "AWS_REGION": "eu-west-1"}
    kind = "urn:ietf:params:aws:token-type:aws4_request"
    return cloud.external_account(source, subject_token_type=kind)


def workforce(cloud: GoogleCloud, write: WriteFile) -> dict[str, Any]:
    return cloud.external_user()


def impersonated(cloud: GoogleCloud, write: WriteFile) -> dict[str, Any]:
    cloud.may_impersonate.add(("ada@example.com", TARGET))
    return {
        "type": "impersonated_service_account",
        "service_account_impersonation_url": cloud.impersonation_url(),
        "source_credentials": cloud.authorized_user(),
    }


FILES: list[tuple[Prepare, str, str]] = [
    (key, ROBOT, "service account"),
    (user, "ada@example.com", "user"),
    (workload_file, "workload", "federated identity"),
    (workload_url, "workload", "federated identity"),
    (workload_as_account, TARGET, "service account"),
    (workload_of_aws, "workload", "federated identity"),
    (workforce, "workforce", "user"),
    (impersonated, TARGET, "service account"),
]


def whose(cloud: GoogleCloud, credential: Credential) -> str:
    assert isinstance(credential, GoogleCredential)
    return cloud.tokens[credential.access_token.reveal()].whose


def renewed(keeper: Keeper, earlier: Credential) -> Credential:
    """Wait until the keeper has renewed the credential in the background."""

    def asked() -> Credential | None:
        found = keeper.get("work")
        return None if found == earlier else found

    newer = until(asked, "a renewal")
    assert newer is not None
    assert earlier.expires_at is not None
    assert newer.obtained_at < earlier.expires_at, "it was renewed before expiry"
    return newer


@pytest.fixture(params=FILES, ids=[one[0].__name__ for one in FILES])
def file(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Prepare, str, str]:
    """Return a function that writes a file of one type, and the account and kind of its tokens."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "")  # set later if a file needs it, and undone after the test
    written: tuple[Prepare, str, str] = request.param
    return written


def test_tokens_of_each_file_type_are_renewed(
    cloud: GoogleCloud, write_file: WriteFile, keeper: MakeKeeper, file: tuple[Prepare, str, str]
) -> None:
    prepare, account, kind = file
    path = write_file(prepare(cloud, write_file))
    written = path.read_bytes(), path.stat()
    cloud.lifetime = 3
    one = keeper(credentials_file=str(path), lead=1.5)
    first = one.get("work")
    assert isinstance(first, GoogleCredential)
    assert (whose(cloud, first), first.kind, first.source) == (account, kind, "credentials-file")
    assert not first.renewable
    newer = renewed(one, first)
    assert whose(cloud, newer) == account
    assert (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) == (
        written[0],
        written[1].st_mtime_ns,
        written[1].st_ino,
    )


def test_command_line_prints_a_token_of_each_file_type(
    cloud: GoogleCloud,
    write_file: WriteFile,
    configure: Callable[..., None],
    file: tuple[Prepare, str, str],
) -> None:
    prepare, account, _ = file
    configure()
    path = write_file(prepare(cloud, write_file))
    done = freshkey("token", "work", GOOGLE_APPLICATION_CREDENTIALS=str(path))
    assert done.returncode == 0, done.stderr
    assert cloud.tokens[done.stdout.strip()].whose == account


def test_program_prints_the_identity_token_if_googles_variable_allows_it(
    cloud: GoogleCloud, write_file: WriteFile, configure: Callable[..., None], tmp_path: Path
) -> None:
    configure()
    answer = {"version": 1, "success": True, "token_type": "urn:ietf:params:oauth:token-type:jwt"}
    text = json.dumps({**answer, "id_token": SUBJECT_TOKEN})
    command = command_line(written_program(tmp_path / "print-token", f"print({text!r})"))
    path = str(write_file(cloud.external_account({"executable": {"command": command}})))
    refused = freshkey("token", "work", GOOGLE_APPLICATION_CREDENTIALS=path)
    assert refused.returncode != 0
    assert "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1" in refused.stderr
    assert cloud.seen == []
    done = freshkey(
        "token",
        "work",
        GOOGLE_APPLICATION_CREDENTIALS=path,
        GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES="1",
        **fresh(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert cloud.tokens[done.stdout.strip()].whose == "workload"


def test_program_of_the_project_prints_an_identity_token_only_as_it_was_trusted(
    cloud: GoogleCloud,
    write_file: WriteFile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    configure: Callable[..., None],
) -> None:
    """TRU-3, TRU-9: wherever the file that names it is, and though google-auth runs it in the working directory."""
    configure()
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    monkeypatch.chdir(project)
    program = project / "print-token"
    answer = {"version": 1, "success": True, "token_type": "urn:ietf:params:oauth:token-type:jwt"}
    text = json.dumps({**answer, "id_token": SUBJECT_TOKEN})
    command = command_line([*written_program(program, f"print({text!r})"), "--jwt"])
    path = str(write_file(cloud.external_account({"executable": {"command": command}})))
    variables = {"GOOGLE_APPLICATION_CREDENTIALS": path, "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES": "1"}

    refused = freshkey("token", "work", **variables, **fresh(tmp_path))
    assert refused.returncode == 6
    assert "project-file-not-trusted" in refused.stderr
    trust_file(tmp_path / "fresh", program)
    assert freshkey("token", "work", **variables, **fresh(tmp_path)).returncode == 0
    if sys.platform != "win32":  # modes mean nothing there
        program.chmod(0o777)
        assert "unsafe-program" in freshkey("token", "work", **variables, **fresh(tmp_path)).stderr
        program.chmod(0o700)
    program.write_text(program.read_text() + "# changed\n")
    assert "project-file-changed" in freshkey("token", "work", **variables, **fresh(tmp_path)).stderr


def test_gcloud_file_is_found(cloud: GoogleCloud, write_file: WriteFile, keeper: MakeKeeper) -> None:
    write_file(cloud.authorized_user(), "gcloud/application_default_credentials.json")
    credential = keeper().get("work")
    assert (credential.source, whose(cloud, credential)) == ("adc-gcloud", "ada@example.com")


def test_gcloud_is_never_run_to_find_a_project(
    cloud: GoogleCloud,
    write_file: WriteFile,
    configure: Callable[..., None],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    command = written_program(folder / "gcloud", f"open({str(tmp_path / 'started')!r}, 'w')")
    (folder / "gcloud.cmd").write_text(f"@{command_line(command)}\n", "utf-8")
    write_file(cloud.authorized_user(), "gcloud/application_default_credentials.json")
    configure()
    config = tmp_path / "config" / "config.toml"
    config.write_text(config.read_text().replace('project = "demo-project"\n', ""))
    done = freshkey("token", "work", PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode != 0
    assert "[vertex-no-project]" in done.stderr
    assert "GOOGLE_CLOUD_PROJECT" in done.stderr
    assert not (tmp_path / "started").exists()
    assert freshkey("token", "work", GOOGLE_CLOUD_PROJECT="demo-project", **fresh(tmp_path)).returncode == 0


def test_google_cloud_machine_needs_no_configuration(cloud: GoogleCloud, configure: Callable[..., None]) -> None:
    configure()
    done = freshkey("token", "work", GCE_METADATA_HOST=cloud.host)
    assert done.returncode == 0, done.stderr
    assert cloud.tokens[done.stdout.strip()].whose == MACHINE


@pytest.mark.usefixtures("machine")
def test_token_of_a_machine_is_renewed(cloud: GoogleCloud, keeper: MakeKeeper) -> None:
    cloud.lifetime = 3
    one = keeper()
    first = one.get("work")
    assert (whose(cloud, first), first.source) == (MACHINE, "metadata")
    assert whose(cloud, renewed(one, first)) == MACHINE


def test_impersonation_by_setting(cloud: GoogleCloud, write_file: WriteFile, keeper: MakeKeeper) -> None:
    cloud.may_impersonate.add((ROBOT, TARGET))
    cloud.lifetime = 3
    one = keeper(credentials_file=str(write_file(cloud.service_account())), impersonate=TARGET)
    first = one.get("work")
    assert (whose(cloud, first), first.identity.email) == (TARGET, TARGET)
    assert whose(cloud, renewed(one, first)) == TARGET


def test_a_hundred_threads_share_one_refresh_of_an_expired_credential(
    cloud: GoogleCloud, write_file: WriteFile, keeper: MakeKeeper
) -> None:
    cloud.lifetime = 2
    one = keeper(credentials_file=str(write_file(cloud.authorized_user())), lead=0.1)
    first = one.get("work")
    cloud.lifetime, cloud.delay = 3600, 0.5
    answers: list[Credential] = []

    def interaction() -> None:
        answers.append(one.get("work"))

    until(first.expired)

    threads = [threading.Thread(target=interaction) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cloud.count("/token", grant_type="refresh_token") == 2
    assert len(answers) == 100
    assert {whose(cloud, answer) for answer in answers} == {"ada@example.com"}
    assert first not in answers


def test_command_signs_in_again_with_gcloud_while_the_user_waits(
    cloud: GoogleCloud, write_file: WriteFile, configure: Callable[..., None], tmp_path: Path
) -> None:
    good = write_file(cloud.authorized_user(), "good.json")
    expired = write_file(cloud.authorized_user(refresh_token="1//over"), "gcloud/application_default_credentials.json")
    script = (
        "import shutil, sys\nprint('Visit https://accounts.google.com/', file=sys.stderr)\n"
        f"shutil.copy({str(good)!r}, {str(expired)!r})"
    )
    configure(auth_refresh=written_program(tmp_path / "sign-in", script))
    done = freshkey("token", "work")
    assert done.returncode == 0, done.stderr
    assert cloud.tokens[done.stdout.strip()].whose == "ada@example.com"
    assert "Visit https://accounts.google.com/" in done.stderr
    asked = freshkey("whoami", "work")
    assert "ada@example.com" in asked.stdout


def test_child_process_gets_token_project_and_region(
    cloud: GoogleCloud, write_file: WriteFile, configure: Callable[..., None]
) -> None:
    configure(credentials_file=str(write_file(cloud.service_account())), region="europe-west1", quota_project="payer")
    program = "import json, os; print(json.dumps(dict(os.environ)))"
    done = freshkey("exec", "work", "--", sys.executable, "-c", program, GOOGLE_APPLICATION_CREDENTIALS="/nowhere")
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert cloud.tokens[seen["CLOUDSDK_AUTH_ACCESS_TOKEN"]].whose == ROBOT
    assert (seen["GOOGLE_CLOUD_PROJECT"], seen["CLOUD_ML_REGION"], seen["GOOGLE_CLOUD_QUOTA_PROJECT"]) == (
        "demo-project",
        "europe-west1",
        "payer",
    )
    assert "GOOGLE_APPLICATION_CREDENTIALS" not in seen
