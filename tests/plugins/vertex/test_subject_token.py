"""Identity tokens for workload identity federation: read with care, and what is wrong with one is named."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from freshkey.errors import ConfigurationError, LoginRequired, ProviderRefused
from freshkey_vertex.formats import GoogleCredential
from google_cloud import SUBJECT_TOKEN, GoogleCloud
from python_program import command_line, written_program
from raises_code import raises_code


Federated = Callable[[dict[str, Any]], None]

JSON = {"format": {"type": "json", "subject_token_field_name": "id"}}
MEMBER = json.dumps({"id": f"{SUBJECT_TOKEN}\n"})


@pytest.fixture
def federated(cloud: GoogleCloud, take_federated: Callable[..., GoogleCredential]) -> Federated:
    """Return a function that gets a token with this ``credential_source``."""

    def run(source: dict[str, Any]) -> None:
        take_federated(source)
        assert {one.form["subject_token"] for one in cloud.seen if "subject_token" in one.form} == {SUBJECT_TOKEN}

    return run


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (f"{SUBJECT_TOKEN}\n".encode(), {}),
        (f" {SUBJECT_TOKEN}\r\n".encode("utf-8-sig"), {}),
        (SUBJECT_TOKEN.encode("utf-16"), {"format": {"type": "text"}}),
        (MEMBER.encode(), JSON),
        (MEMBER.encode("utf-8-sig"), JSON),
        (MEMBER.encode("utf-16"), JSON),
    ],
)
def test_what_editors_and_shells_add_is_not_sent(
    federated: Federated, tmp_path: Path, content: bytes, form: dict[str, Any]
) -> None:
    (tmp_path / "token").write_bytes(content)
    federated({"file": str(tmp_path / "token"), **form})


@pytest.mark.parametrize(
    ("content", "form", "flaw"),
    [
        (b"", {}, "is empty"),
        (b"\xef\xbb\xbf \n", {}, "is empty"),
        (b"\x80canary", {}, "is not text"),
        (b"", JSON, "is empty"),
        (b'{"id": "canary', JSON, "is not a JSON object: it is empty, cut short or damaged"),
        (b'["canary"]', JSON, "is not a JSON object"),
        (b'{"token": "canary"}', JSON, "has no text as id"),
        (b'{"id": {"canary": 1}}', JSON, "has no text as id"),
        (b'{"id": ""}', JSON, "has no text as id"),
    ],
)
def test_flaw_of_a_file_is_named(  # noqa: PLR0917  fixtures
    federated: Federated, cloud: GoogleCloud, tmp_path: Path, content: bytes, form: dict[str, Any], flaw: str
) -> None:
    (tmp_path / "token").write_bytes(content)
    with raises_code(ConfigurationError, "vertex-no-identity-token") as caught:
        federated({"file": str(tmp_path / "token"), **form})
    assert f"{tmp_path / 'token'} {flaw}" in caught.value.message
    assert "canary" not in str(caught.value)
    assert cloud.seen == []


@pytest.mark.parametrize(
    ("text", "flaw"), [('{"token": "canary"}', "has no text as id"), ('{"id": "canary', "is not a JSON object")]
)
def test_flaw_of_a_response_is_named(federated: Federated, cloud: GoogleCloud, text: str, flaw: str) -> None:
    cloud.failures["/subject"] = [(200, {"text": text})]
    with raises_code(ConfigurationError, "vertex-no-identity-token") as caught:
        federated({"url": cloud.at("/subject"), **JSON})
    assert f"the response of credential_source.url {flaw}" in caught.value.message
    assert caught.value.found_here
    assert "canary" not in str(caught.value)


def test_path_that_only_a_shell_understands_is_named(federated: Federated) -> None:
    with raises_code(ConfigurationError, "vertex-no-identity-token") as caught:
        federated({"file": "~/token"})
    assert "the path in credential_source.file begins with ~" in caught.value.message


def test_token_in_a_response(federated: Federated, cloud: GoogleCloud) -> None:
    federated({"url": cloud.at("/subject"), "headers": {"X-Own": "1"}, **JSON})
    assert cloud.seen[0].headers["x-own"] == "1"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
@pytest.mark.parametrize(
    "answer", [{"error": "invalid_request"}, {"message": "canary"}, {"error": {"code": 403}}, {"text": "canary"}, {}]
)
def test_place_that_refuses_is_named(
    federated: Federated, cloud: GoogleCloud, status: int, answer: dict[str, Any]
) -> None:
    cloud.failures["/subject"] = [(status, answer)]
    with raises_code(ProviderRefused, "vertex-no-identity-token") as caught:
        federated({"url": cloud.at("/subject"), **JSON})
    assert "credential_source.url answered " in caught.value.message
    assert f"status {status}" in caught.value.message
    assert not {"canary", "Google", "proxy"} & set(re.split(r"\W", str(caught.value)))
    assert caught.value.found_here
    assert len(cloud.seen) == 1


def test_refusal_of_google_is_not_that_of_the_place(federated: Federated, cloud: GoogleCloud) -> None:
    cloud.failures["/sts"] = [(400, {"error": "invalid_grant"})]
    cloud.failures["/subject"] = [(200, {"text": SUBJECT_TOKEN})]
    with raises_code(ProviderRefused, "vertex-credentials-refused") as caught:
        federated({"url": cloud.at("/subject")})
    assert "Google refused" in caught.value.message


@pytest.fixture
def executed(federated: Federated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that gets a token with a program that prints this."""
    monkeypatch.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")

    def run(*, cached: dict[str, Any] | None = None, status: int = 0, **printed: Any) -> None:
        text = json.dumps({"version": 1, **printed})
        command = written_program(tmp_path / "program", f"import sys\nprint({text!r})\nsys.exit({status})")
        more = {}
        if cached is not None:
            (tmp_path / "cached").write_text(json.dumps({"version": 1, **cached}))
            more = {"output_file": str(tmp_path / "cached")}
        federated({"executable": {"command": command_line(command), **more}})

    return run


PRINTED = {
    "success": True,
    "token_type": "urn:ietf:params:oauth:token-type:jwt",
    "id_token": SUBJECT_TOKEN,
    "expiration_time": 4_102_444_800,
}


@pytest.mark.skipif(sys.platform == "win32", reason="the programs are shell scripts; see the next test")
def test_program_gets_neither_what_unlocks_the_store_nor_programs_of_the_project(
    federated: Federated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LEK-4, TRU-13: google-auth starts it, with our environment."""
    (tmp_path / "checkout" / ".git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "checkout")
    monkeypatch.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
    monkeypatch.setenv("FRESHKEY_PASSPHRASE", "canary")
    monkeypatch.setenv("PATH", f"{tmp_path}/checkout:{tmp_path}:/usr/bin:/bin")
    for folder, reached in ((tmp_path, "inherited"), (tmp_path / "checkout", "ran")):
        text = f"#!/bin/sh\nenv > {tmp_path}/{reached}\necho '{json.dumps({'version': 1, **PRINTED})}'\n"
        (folder / "program").write_text(text)
        (folder / "program").chmod(0o700)
    federated({"executable": {"command": "program"}})
    inherited = (tmp_path / "inherited").read_text().splitlines()
    assert f"PATH={tmp_path}:/usr/bin:/bin" in inherited
    assert "GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE=0" in inherited
    assert not [line for line in inherited if line.startswith("FRESHKEY_PASSPHRASE")]
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(sys.platform != "win32", reason="CreateProcess looks into the working directory first")
def test_program_in_the_working_directory_is_not_run_on_windows(
    federated: Federated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRU-13: what runs is what was found on ``PATH``."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "checkout" / ".git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "checkout")
    monkeypatch.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "checkout"), str(tmp_path / "bin"), os.environ["PATH"]]))
    monkeypatch.setenv("NoDefaultCurrentDirectoryInExePath", "1")  # or shutil.which stops at the checkout
    for folder in (tmp_path / "checkout", tmp_path / "bin"):
        text = json.dumps({"version": 1, **PRINTED})
        script = f"import pathlib\npathlib.Path({str(tmp_path / folder.name)!r} + '-ran').touch()\nprint({text!r})"
        command = command_line(written_program(folder / "script", script))
        (folder / "program.cmd").write_text(f"@{command}\n", "utf-8")
    federated({"executable": {"command": "program"}})
    assert (tmp_path / "bin-ran").exists()
    assert not (tmp_path / "checkout-ran").exists()


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows runs batch files by cmd.exe")
@pytest.mark.parametrize(("argument", "runs"), [("--for=me", True), ("x&echo.>ran", False), ("a b", False)])
def test_batch_file_whose_arguments_would_need_quoting_is_not_run(
    federated: Federated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str, *, runs: bool
) -> None:
    """TRU-9: google-auth quotes as for programs, so that cmd.exe would run a part of an argument."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
    seen = tmp_path / "seen"
    told = "os.environ['NoDefaultCurrentDirectoryInExePath'] + sys.argv[1]"
    script = f"import os, pathlib, sys\npathlib.Path({str(seen)!r}).write_text({told})\n"
    script += f"print({json.dumps({'version': 1, **PRINTED})!r})"
    command = command_line(written_program(tmp_path / "script", script))
    (tmp_path / "program.cmd").write_text(f"@{command} %*\n", "utf-8")
    source = {"executable": {"command": command_line([str(tmp_path / "program.cmd"), argument])}}
    if runs:
        federated(source)
        assert seen.read_text() == f"1{argument}"
    else:
        with raises_code(ConfigurationError, "invalid-command"):
            federated(source)
        assert not seen.exists()
        assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="modes mean nothing on Windows")
@pytest.mark.parametrize("command", ["{program}", "sh {program}", "../{name}"])
def test_program_that_another_user_can_replace_is_not_run(
    federated: Federated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """TRU-9: nor one that depends on the working directory."""
    monkeypatch.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    relative = command.startswith("..")
    program.chmod(0o700 if relative else 0o777)
    code = "invalid-command" if relative else "unsafe-program"
    with raises_code(ConfigurationError, code):
        federated({"executable": {"command": command.format(program=program, name=program.name)}})
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("code", "shown"), [("401", "401"), ("NOT_SIGNED_IN", "NOT_SIGNED_IN"), (403, "403")])
def test_program_that_refuses_requires_the_user(executed: Callable[..., None], code: object, shown: str) -> None:
    with raises_code(LoginRequired, "vertex-no-identity-token") as caught:
        executed(success=False, code=code, message="canary")
    assert caught.value.message.endswith(f"has none: {shown}")
    assert "canary" not in str(caught.value)
    assert caught.value.found_here


@pytest.mark.parametrize(
    "printed",
    [
        {"success": False, "code": "503", "message": "canary"},
        {"success": False, "code": "canary canary"},
        {**PRINTED, "expiration_time": 1},
        {**PRINTED, "token_type": "canary"},
    ],
)
def test_program_that_fails_is_no_missing_sign_in(executed: Callable[..., None], printed: dict[str, Any]) -> None:
    with raises_code(ProviderRefused, "vertex-no-identity-token") as caught:
        executed(**printed)
    assert "canary" not in str(caught.value)


def test_answer_of_a_program_that_is_kept_does_not_count(executed: Callable[..., None]) -> None:
    refusal = {"success": False, "code": "401", "message": "canary"}
    executed(cached=refusal, **PRINTED)
    executed(cached=PRINTED, **refusal)


@pytest.mark.skipif(os.name == "nt", reason="modes mean nothing on Windows")
def test_token_file_that_others_can_change_is_not_sent(
    federated: Federated, tmp_path: Path, cloud: GoogleCloud
) -> None:
    """TRU-14: they would choose the identity."""
    (tmp_path / "token").write_text(SUBJECT_TOKEN)
    (tmp_path / "token").chmod(0o666)
    with raises_code(ConfigurationError, "unsafe-file") as caught:
        federated({"file": str(tmp_path / "token")})
    assert "credential_source.file" in caught.value.message
    assert not cloud.seen
