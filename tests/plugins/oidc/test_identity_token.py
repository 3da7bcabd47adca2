"""Where the machine's identity token is: found without being read, and every way in which it cannot be used."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    OutcomeUnknown,
    ProviderRefused,
    TransientError,
)
from freshkey.model.profile import Profile
from freshkey_oidc.identity_token import detect, read
from freshkey_testing import ScriptedExchanges
from raises_code import raises_code
from scripted_issuer import ISSUER, ScriptedIssuer


MakeProfile = Callable[..., Profile]

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqb2IifQ.c2lnbmF0dXJl"
CODE = "oidc-invalid-identity-token"
ACTIONS = "https://actions.example.test/token"
REQUEST_TOKEN = "canary-request-token-of-a-job"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "token"
    found.write_text(TOKEN)
    return found


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Play a job of GitHub Actions with the permission to ask for a token."""
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{ACTIONS}?api-version=2.0")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", REQUEST_TOKEN)


@pytest.fixture
def no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_URL", raising=False)
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", raising=False)


# --- a file ----------------------------------------------------------------------------------------------------------


def test_token_in_a_file_is_read_without_the_space_around_it(make_profile: MakeProfile, file: Path) -> None:
    file.write_text(f"\ufeff {TOKEN}\r\n", "utf-8")
    assert read(make_profile(identity_token_file=file)).reveal() == TOKEN


def test_file_is_found_without_being_read(make_profile: MakeProfile, file: Path) -> None:
    profile = make_profile(identity_token_file=file)
    found = detect(profile)
    assert found is not None
    assert (found.kind, found.last_four) == ("identity token", None)
    assert file.name in found.origin
    file.write_text(f"{TOKEN}-newer")
    newer = detect(profile)
    assert newer is not None
    assert newer.version not in (None, found.version)
    file.unlink()
    assert detect(profile) is None


@pytest.mark.parametrize(
    "content",
    [b"", b" \n", b"not a token", b"a-plain-token", b"a" * 20_000, b"\xff\xfe", b"-----BEGIN PRIVATE KEY-----"],
    ids=["empty", "blank", "words", "no JSON Web Token", "too long", "no text", "a key"],
)
def test_file_with_anything_else_is_an_error_that_does_not_quote_it(
    make_profile: MakeProfile, file: Path, content: bytes
) -> None:
    file.write_bytes(content)
    with raises_code(ConfigurationError, CODE) as caught:
        read(make_profile(identity_token_file=file))
    assert file.name in caught.value.message
    assert len(content) < 5 or content.decode("latin-1") not in str(caught.value)


def test_file_that_is_missing_or_no_file_is_an_error(make_profile: MakeProfile, tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        profile = make_profile(identity_token_file=path)
        assert detect(profile) is None
        with raises_code(ConfigurationError, CODE):
            read(profile)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_file_that_another_user_can_change_is_refused(make_profile: MakeProfile, file: Path) -> None:
    file.chmod(0o644)
    assert read(make_profile(identity_token_file=file)).reveal() == TOKEN
    file.chmod(0o666)
    with pytest.raises(ConfigurationError):
        read(make_profile(identity_token_file=file))


# --- a variable ------------------------------------------------------------------------------------------------------


def test_token_in_a_variable_is_found_and_read(make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = make_profile(identity_token_variable="JOB_TOKEN")
    monkeypatch.delenv("JOB_TOKEN", raising=False)
    assert detect(profile) is None
    monkeypatch.setenv("JOB_TOKEN", f"{TOKEN}\n")
    found = detect(profile)
    assert found is not None
    assert found.origin == "environment variable JOB_TOKEN"
    assert found.version is not None
    assert TOKEN not in repr(found)
    assert read(profile).reveal() == TOKEN


@pytest.mark.parametrize("value", ["", "no token", "a-plain-token", "a" * 20_000])
def test_variable_with_anything_else_is_an_error_that_does_not_quote_it(
    make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("JOB_TOKEN", value)
    with raises_code(ConfigurationError, CODE) as caught:
        read(make_profile(identity_token_variable="JOB_TOKEN"))
    assert "JOB_TOKEN" in caught.value.message
    assert not value or value not in caught.value.message


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"identity_token": "file"},
        {"identity_token": "variable"},
        {"identity_token_variable": "JOB_TOKEN"},
    ],
)
def test_nothing_to_exchange_is_an_error(
    make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch, settings: dict[str, object]
) -> None:
    monkeypatch.delenv("JOB_TOKEN", raising=False)
    profile = make_profile(**settings)
    assert detect(profile) is None
    with raises_code(LoginRequired, "no-credential-found") as caught:
        read(profile)
    assert caught.value.unsent


def test_place_that_is_named_is_used_although_there_is_another(
    make_profile: MakeProfile, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB_TOKEN", f"{TOKEN}-variable")
    both = {"identity_token_file": file, "identity_token_variable": "JOB_TOKEN"}
    assert read(make_profile(**both)).reveal() == TOKEN
    assert read(make_profile(**both, identity_token="file")).reveal() == TOKEN
    assert read(make_profile(**both, identity_token="variable")).reveal() == f"{TOKEN}-variable"


# --- GitHub Actions --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize(
    ("settings", "audience"),
    [
        ({}, [ISSUER]),
        ({"identity_token_audience": "api://app & more"}, ["api://app & more"]),
        ({"issuer": None, "token_endpoint": f"{ISSUER}/token"}, None),
    ],
    ids=["the issuer", "a setting", "none"],
)
def test_github_actions_is_asked_for_a_token_with_the_audience(
    make_profile: MakeProfile,
    freshkey_http: ScriptedExchanges,
    settings: dict[str, object],
    audience: list[str] | None,
) -> None:
    freshkey_http.on("GET", ACTIONS, json={"count": len(TOKEN), "value": TOKEN})
    assert read(make_profile(identity_token="github-actions", **settings)).reveal() == TOKEN
    (request,) = freshkey_http.requests
    query = parse_qs(urlsplit(request.url).query)
    assert query.pop("audience", None) == audience
    assert query == {"api-version": ["2.0"]}
    assert request.headers["Authorization"] == f"Bearer {REQUEST_TOKEN}"


@pytest.mark.usefixtures("job")
def test_audience_is_the_first_parameter_if_there_is_no_other(
    make_profile: MakeProfile, freshkey_http: ScriptedExchanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", ACTIONS)
    freshkey_http.on("GET", ACTIONS, json={"value": TOKEN})
    read(make_profile(identity_token="github-actions", identity_token_audience="app"))
    assert freshkey_http.requests[0].url == f"{ACTIONS}?audience=app"


@pytest.mark.usefixtures("job")
def test_job_is_found_without_asking(
    make_profile: MakeProfile, issuer: ScriptedIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = detect(make_profile(identity_token="github-actions"))
    assert found is not None
    assert found.origin == "GitHub Actions"
    assert detect(make_profile()) is None
    assert issuer.http.requests == []
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    assert detect(make_profile(identity_token="github-actions")) is None


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize("missing", ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"])
def test_job_without_the_permission_is_told_how_to_get_it(
    make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delenv(missing)
    with raises_code(LoginRequired, "no-credential-found") as caught:
        read(make_profile(identity_token="github-actions"))
    assert "id-token: write" in (caught.value.hint or "")
    assert caught.value.unsent


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ({"status": 401}, LoginRequired),
        ({"status": 403}, ProviderRefused),
        ({"status": 404}, ProviderRefused),
        ({"status": 429}, TransientError),
        ({"status": 503}, TransientError),
        ({"fault": "before-sending"}, TransientError),
        ({"fault": "after-sending"}, TransientError),
        ({"body": b"<html>Log in</html>"}, OutcomeUnknown),
        ({"body": b"[]"}, OutcomeUnknown),
        ({"json": {}}, ConfigurationError),
        ({"json": {"value": 7}}, ConfigurationError),
        ({"json": {"value": ""}}, ConfigurationError),
        ({"json": {"value": "no token"}}, ConfigurationError),
        ({"json": {"value": "\ud800.a.b"}}, ConfigurationError),
    ],
    ids=str,
)
def test_each_failure_of_github_actions_is_an_error_without_the_request_token(
    make_profile: MakeProfile, freshkey_http: ScriptedExchanges, how: dict[str, object], kind: type[FreshkeyError]
) -> None:
    freshkey_http.on("GET", ACTIONS, **how)  # type: ignore[arg-type]  # tests pass what they mean
    with pytest.raises(kind) as caught:
        read(make_profile(identity_token="github-actions"))
    assert REQUEST_TOKEN not in f"{caught.value!r} {caught.value} {caught.value.hint}"


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize("url", ["http://actions.example.test/token", "actions", "https://", "https://u:p@a.test/"])
def test_request_token_is_sent_to_no_unsafe_address(
    make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", url)
    with pytest.raises(ConfigurationError, match="ACTIONS_ID_TOKEN_REQUEST_URL"):
        read(make_profile(identity_token="github-actions"))


@pytest.mark.usefixtures("job")
def test_request_token_that_cannot_be_sent_is_an_error(
    make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "two words")
    with raises_code(ConfigurationError, "invalid-secret-input") as caught:
        read(make_profile(identity_token="github-actions"))
    assert "two words" not in str(caught.value)
