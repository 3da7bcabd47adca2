"""A sign-in of Anthropic's tools is renewed once and written back in their format, and a lost one is reported."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

import anthropic_process
import freshkey_claude_oauth as provider
from anthropic_home import AnthropicHome, in_seconds
from freshkey import Keeper
from freshkey._config.configuration import Configuration
from freshkey.clock import SYSTEM
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    IntermediaryAnswer,
    LoginRequired,
    OutcomeUnknown,
    ProviderRefused,
    StoreUnavailable,
    TransientError,
)
from freshkey.events import Renewed
from freshkey.model.interaction import LoggingReporter, NonInteractive
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey.oauth import OAuthClient
from freshkey.secret import Secret
from freshkey_claude_oauth.anthropic_cli import renewal as cli_renewal
from freshkey_claude_oauth.anthropic_cli.intent import IntentFile, RefreshIntent
from freshkey_claude_oauth.description import description
from freshkey_claude_oauth.formats import ClaudeProfileToken, ClaudeToken
from freshkey_testing import AuthorizationServer
from freshkey_testing.secret_scan import assert_no_secret
from raises_code import raises_code


def source(source_id: str) -> Source:
    found = description(None).source(source_id)
    assert found is not None
    return found


NAMED = source("anthropic-profile")


@pytest.fixture
def signed_in(
    home: AnthropicHome, server: AuthorizationServer, signed_in_now: ClaudeToken, monkeypatch: pytest.MonkeyPatch
) -> ClaudeToken:
    """The sign-in of the Anthropic profile named work, whose access token has expired; `keep` changes it."""
    monkeypatch.setenv("ANTHROPIC_PROFILE", "work")
    home.write_config(
        "work",
        authentication={"type": "user_oauth", "client_id": server.client_id},
        base_url=server.urls.issuer,
    )
    keep(home, signed_in_now, expires_at=in_seconds(-1))
    return signed_in_now


def keep(home: AnthropicHome, token: ClaudeToken, **facts: object) -> None:
    assert token.refresh_token is not None
    home.write_credentials(
        "work",
        **{
            "access_token": token.access_token.reveal(),
            "refresh_token": token.refresh_token.reveal(),
            "expires_at": in_seconds(3600),
            "account_email": "ada@example.com",
            "a_member_of_tomorrow": {"deep": [1, 2, None]},
            **facts,
        },
    )


def take(profile: Profile) -> ClaudeProfileToken:
    found = provider.acquire(profile=profile, source=NAMED, interaction=NonInteractive("me"))
    assert isinstance(found, ClaudeProfileToken)
    return found


def renew(profile: Profile, current: ClaudeProfileToken) -> ClaudeProfileToken:
    found = provider.refresh(profile=profile, credential=current, reporter=LoggingReporter())
    assert isinstance(found, ClaudeProfileToken)
    return found


def leftovers(home: AnthropicHome) -> list[str]:
    return sorted(path.name for path in home.credentials_file("work").parent.rglob("*.intent.json"))


# --- one renewal ----------------------------------------------------------------------------------------------------


def test_token_that_is_still_valid_is_used_without_renewal(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile, signed_in: ClaudeToken
) -> None:
    keep(home, signed_in, expires_at=in_seconds(60))
    before = home.credentials_file("work").read_bytes()
    found = take(profile)
    assert found.access_token == signed_in.access_token
    assert (found.renewable, found.refresh_token, found.renewal_secret) == (True, None, None)
    assert found.identity.email == "ada@example.com"
    assert home.credentials_file("work").read_bytes() == before
    assert server.count("grant.refresh_token") == 0


def test_renewal_request_is_that_of_anthropics_sdk_and_is_written_back(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile, signed_in: ClaudeToken
) -> None:
    found = take(profile)
    asked = server.requests[-1]
    assert asked.path == "/v1/oauth/token"
    assert asked.headers["anthropic-beta"] == "oauth-2025-04-20"
    assert json.loads(asked.body) == {
        "grant_type": "refresh_token",
        "refresh_token": signed_in.refresh_token.reveal() if signed_in.refresh_token else None,
        "client_id": server.client_id,
    }
    written = home.read_credentials("work")
    assert written["access_token"] == found.access_token.reveal() != signed_in.access_token.reveal()
    assert written["refresh_token"] not in {None, json.loads(asked.body)["refresh_token"]}
    assert (written["version"], written["type"]) == ("1.0", "oauth_token")
    assert type(written["expires_at"]) is int
    assert abs(written["expires_at"] - in_seconds(3600)) < 60
    assert written["a_member_of_tomorrow"] == {"deep": [1, 2, None]}
    assert written["account_email"] == "ada@example.com"
    if sys.platform != "win32":  # modes mean nothing there
        assert stat.S_IMODE(home.credentials_file("work").stat().st_mode) == 0o600
    assert leftovers(home) == []
    # Beside its folder there is a lock where others can read what is above.
    there = {path.name for path in home.credentials_file("work").parent.iterdir()} - {"..freshkey.freshkey.lock"}
    assert there == {"work.json", ".freshkey"}


def test_next_renewal_uses_the_written_refresh_token(
    server: AuthorizationServer, profile: Profile, signed_in: ClaudeToken
) -> None:
    first = take(profile)
    second = renew(profile, first)
    third = renew(profile, second)
    assert len({signed_in.access_token, first.access_token, second.access_token, third.access_token}) == 4
    assert server.count("grant.refresh_token") == 3
    assert server.count("refresh_token.reused") == 0


@pytest.mark.usefixtures("signed_in")
def test_response_without_a_refresh_token_keeps_the_old_one(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile
) -> None:  # ROT-8
    before = home.read_credentials("work")["refresh_token"]
    server.next_response(200, '{"access_token": "at-2"}')
    found = take(profile)
    written = home.read_credentials("work")
    assert (written["access_token"], written["refresh_token"]) == ("at-2", before)
    assert found.lifetime is not None
    assert 3500 < found.lifetime <= 3600


def test_token_without_a_known_expiration_is_renewed_immediately(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile, signed_in: ClaudeToken
) -> None:
    keep(home, signed_in, expires_at=None)
    take(profile)
    assert server.count("grant.refresh_token") == 1


def test_token_renewed_by_another_tool_is_adopted(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile, signed_in: ClaudeToken
) -> None:
    first = take(profile)
    home.write_credentials("work", access_token="at-of-ant", refresh_token="rt-of-ant", expires_at=in_seconds(600))
    assert renew(profile, first).access_token == Secret("at-of-ant")
    assert server.count("grant.refresh_token") == 1


def test_token_renewed_by_another_tool_during_our_request_is_adopted(
    home: AnthropicHome,
    server: AuthorizationServer,
    profile: Profile,
    signed_in: ClaudeToken,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Anthropic's tools do not lock, so one may use the token between our read and our request."""
    request_tokens = cli_renewal._Renewal._request_tokens

    def beaten(self: Any, *args: Any) -> Any:
        home.write_credentials("work", access_token="at-of-ant", refresh_token="rt-2", expires_at=in_seconds(600))
        server.next_response(400, '{"error": "invalid_grant"}')
        return request_tokens(self, *args)

    monkeypatch.setattr(cli_renewal._Renewal, "_request_tokens", beaten)
    assert take(profile).access_token == Secret("at-of-ant")
    assert home.read_credentials("work")["refresh_token"] == "rt-2"
    assert leftovers(home) == []


def test_token_renewed_by_another_tool_that_is_about_to_expire_is_transient(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile, signed_in: ClaudeToken
) -> None:
    request_tokens = cli_renewal._Renewal._request_tokens

    def beaten(self: Any, *args: Any) -> Any:
        home.write_credentials("work", access_token="at-of-ant", refresh_token="rt-2", expires_at=in_seconds(1))
        server.next_response(400, '{"error": "invalid_grant"}')
        return request_tokens(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli_renewal._Renewal, "_request_tokens", beaten)
        with raises_code(TransientError, "temporarily-unavailable") as caught:
            take(profile)
    assert "'work'" in str(caught.value)
    keep(home, signed_in, access_token="at-of-ant", expires_at=in_seconds(1))
    take(profile)
    assert server.count("grant.refresh_token") == 1


@pytest.mark.usefixtures("signed_in")
def test_refresh_token_is_sent_only_to_the_host_of_the_profile(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile
) -> None:  # TRU-5
    with AuthorizationServer() as other:
        home.write_config(
            "work",
            authentication={"type": "user_oauth", "client_id": server.client_id},
            base_url=other.urls.issuer,
        )
        with pytest.raises(LoginRequired):
            take(profile)
        assert len(other.requests) == 1
    assert server.count("grant.refresh_token") == 0


# --- refusals -------------------------------------------------------------------------------------------------------


def assert_names_profile(error: FreshkeyError, home: AnthropicHome, server: AuthorizationServer) -> None:
    assert "Anthropic profile 'work': " in str(error)
    assert_no_secret(f"{error!r} {error}", server.secrets(), "the error")
    assert home.read_credentials("work")["a_member_of_tomorrow"]


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, '{"error": "invalid_grant"}', LoginRequired, "sign-in-ended"),
        (400, '{"error": "invalid_client"}', ProviderRefused, "request-refused"),
        (429, "{}", TransientError, "server-unavailable"),
        (503, "", TransientError, "server-unavailable"),
    ],
)
def test_refusal_does_not_change_the_file(
    home: AnthropicHome,
    server: AuthorizationServer,
    profile: Profile,
    *,
    status: int,
    body: str,
    kind: type[FreshkeyError],
    code: str,
) -> None:
    before = home.credentials_file("work").read_bytes()
    server.next_response(status, body, {"Retry-After": "5"})
    with raises_code(kind, code) as caught:
        take(profile)
    assert_names_profile(caught.value, home, server)
    assert home.credentials_file("work").read_bytes() == before
    assert len(leftovers(home)) == (kind is LoginRequired), "a final refusal is kept next to the file"
    if kind is LoginRequired:
        assert "ANTHROPIC_PROFILE=work ant auth login" in str(caught.value)


def test_without_a_refresh_token_a_sign_in_with_anthropics_tool_is_required(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile, signed_in: ClaudeToken
) -> None:
    keep(home, signed_in, refresh_token="", expires_at=in_seconds(-1))
    with raises_code(LoginRequired, "not-renewable") as caught:
        take(profile)
    assert "refresh_token" in str(caught.value)
    assert "ant auth login" in str(caught.value)
    assert_names_profile(caught.value, home, server)


@pytest.mark.usefixtures("signed_in")
def test_refresh_token_that_comes_with_a_useless_access_token_is_written_back(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile
) -> None:
    before = home.read_credentials("work")
    server.next_response(200, '{"access_token": "at", "refresh_token": "rt", "token_type": "DPoP", "expires_in": 60}')
    with raises_code(ProviderRefused, "unsupported-token-type") as caught:
        take(profile)
    assert "DPoP" in str(caught.value)
    assert_names_profile(caught.value, home, server)
    assert home.read_credentials("work") == {**before, "refresh_token": "rt"}
    assert leftovers(home) == []


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize(("status", "body"), [(200, "<html>"), (200, ""), (400, "<html>"), (401, "{}")])
def test_answer_of_something_in_between_does_not_count_as_sent(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile, status: int, body: str
) -> None:
    for _ in range(4):
        server.next_response(status, body)
        with raises_code(IntermediaryAnswer, "answered-in-between"):
            take(profile)
        assert leftovers(home) == []
    server.recover()
    take(profile)


# --- lost responses and crashes -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("signed_in")
def test_lost_response_is_remembered_and_the_token_sent_once_more(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile
) -> None:  # ROT-6, FAULT-34
    server.drop_next_answer()
    with pytest.raises(OutcomeUnknown):
        take(profile)
    assert len(leftovers(home)) == 1
    with raises_code(LoginRequired, "renewal-response-lost") as caught:
        take(profile)
    assert f"UTC by process {os.getpid()} " in str(caught.value)
    assert_names_profile(caught.value, home, server)
    assert server.count("refresh_token.reused") == 1


def test_server_that_repeats_its_response_saves_the_sign_in(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile, signed_in: ClaudeToken
) -> None:  # ROT-6
    server.policy.grace = 30.0
    server.drop_next_answer()
    with pytest.raises(OutcomeUnknown):
        take(profile)
    assert take(profile).access_token != signed_in.access_token
    assert server.count("refresh_token.graced") == 1
    assert leftovers(home) == []


@pytest.mark.usefixtures("signed_in")
def test_lost_response_is_still_remembered_after_a_server_error(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile
) -> None:  # ROT-6
    server.drop_next_answer()
    with pytest.raises(OutcomeUnknown):
        take(profile)
    server.next_response(503)
    with pytest.raises(TransientError):
        take(profile)
    with raises_code(LoginRequired, "renewal-response-lost"):
        take(profile)
    assert len(leftovers(home)) == 1


@pytest.mark.usefixtures("signed_in")
def test_refresh_token_is_sent_at_most_three_times(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile
) -> None:  # ROT-6
    server.drop_next_answer(3)
    for _ in range(3):
        with pytest.raises(OutcomeUnknown):
            take(profile)
    sent = len(server.requests)
    with raises_code(LoginRequired, "renewal-response-lost"):
        take(profile)
    assert len(server.requests) == sent
    home.write_credentials("work", access_token="at-new", refresh_token="rt-new", expires_at=in_seconds(600))
    assert take(profile).access_token == Secret("at-new")


@pytest.mark.parametrize(("age", "allowed"), [(0, 3), (30, 3), (31, 2), (-5, 2), (10**6, 2)])
def test_how_often_a_refresh_token_may_be_sent(age: float, allowed: int) -> None:
    intent, sendings = evolve(RefreshIntent.of(Secret("rt"), 1000.0), lost=True), 1
    while intent.may_be_sent_again(1000.0 + age, expired=False):
        intent, sendings = evolve(intent.again(1000.0 + age), lost=True), sendings + 1
    assert sendings == allowed
    later = 1000.0 + age + 3600
    assert intent.may_be_sent_again(later, expired=True), "a count does not end a sign-in"
    assert not intent.may_be_sent_again(later - 1, expired=True)
    assert not intent.may_be_sent_again(later, expired=False)


def test_requests_of_processes_that_ended_in_the_window_do_not_count() -> None:
    intent = RefreshIntent.of(Secret("rt"), 1000.0)
    for now in range(1001, 1030, 3):
        assert intent.may_be_sent_again(now, expired=False)
        intent = intent.again(now)
    assert not intent.may_be_sent_again(1031, expired=False)


@pytest.mark.usefixtures("signed_in")
def test_rejected_refresh_token_is_not_sent_again(server: AuthorizationServer, profile: Profile) -> None:  # ROT-5
    server.revoke_grants()
    with raises_code(LoginRequired, "sign-in-ended"):
        take(profile)
    sent = len(server.requests)
    for _ in range(3):
        with raises_code(LoginRequired, "sign-in-ended"):
            take(profile)
    assert len(server.requests) == sent


@pytest.mark.usefixtures("signed_in")
def test_answer_of_something_in_between_leaves_no_trace(
    home: AnthropicHome, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answered(self: OAuthClient, refresh_token: Secret) -> None:
        raise IntermediaryAnswer("a page")

    with monkeypatch.context() as patch:
        patch.setattr(OAuthClient, "refresh", answered)
        for _ in range(5):
            with raises_code(IntermediaryAnswer, "answered-in-between"):
                take(profile)
    assert leftovers(home) == []
    assert take(profile).access_token is not None


def test_intent_applies_to_one_token_and_a_damaged_one_is_ignored(tmp_path: Path) -> None:
    intent_file = IntentFile(tmp_path / "work.json")
    intent_file.write(RefreshIntent.of(Secret("canary-rt"), 1000.0))
    found = intent_file.read(Secret("canary-rt"))
    assert found is not None
    assert (found.started_at, found.pid, found.attempts) == (1000.0, os.getpid(), 1)
    assert intent_file.read(Secret("another")) is None
    path = next(intent_file.directory.iterdir())
    assert "canary" not in path.read_text()
    for damage in ("", "[]", '{"token": 1}', '{"token": "x", "started_at": null, "pid": 1, "attempts": 1}'):
        path.write_text(damage)
        assert intent_file.read(Secret("canary-rt")) is None


def test_crash_before_the_request_does_not_lose_the_sign_in(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile, signed_in: ClaudeToken
) -> None:  # FAULT-14
    assert signed_in.refresh_token is not None
    IntentFile(home.credentials_file("work")).write(RefreshIntent.of(signed_in.refresh_token, in_seconds(-600)))
    assert take(profile).access_token != signed_in.access_token
    assert leftovers(home) == []
    assert server.count("grant.refresh_token") == 1


def run(what: str, tmp_path: Path) -> subprocess.Popen[str]:
    """Start a separate process that gets the token of the profile in ``ANTHROPIC_PROFILE``."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, anthropic_process.__file__, what, str(tmp_path / f"state-{what}")]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=60)
    return output.strip()


@pytest.mark.usefixtures("signed_in")
def test_crash_between_response_and_write_is_reported(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile, tmp_path: Path
) -> None:  # FAULT-15
    before = home.credentials_file("work").read_bytes()
    crashed = run("crash", tmp_path)
    assert said(crashed) == ""
    assert crashed.returncode == 9
    assert server.count("grant.refresh_token") == 1
    assert home.credentials_file("work").read_bytes() == before
    with raises_code(LoginRequired, "renewal-response-lost") as caught:
        take(profile)
    assert f"UTC by process {crashed.pid} " in str(caught.value)
    assert_names_profile(caught.value, home, server)
    assert "ANTHROPIC_PROFILE=work ant auth login" in str(caught.value)


def test_concurrent_processes_use_the_refresh_token_once(
    server: AuthorizationServer, signed_in: ClaudeToken, tmp_path: Path
) -> None:  # ROT-1
    server.hold()
    processes = [run(f"take-{number}", tmp_path) for number in range(3)]  # separate state directories
    server.wait_until_held(timeout=60)  # processes start slowly in Wine
    server.release()
    tokens = {said(process) for process in processes}
    assert len(tokens) == 1
    assert tokens != {signed_in.access_token.reveal()[-8:]}
    assert server.count("grant.refresh_token") == 1
    assert server.count("refresh_token.reused") == 0


def test_concurrent_threads_use_the_refresh_token_once(
    server: AuthorizationServer, profile: Profile, signed_in: ClaudeToken
) -> None:
    found: list[ClaudeProfileToken] = []
    threads = [threading.Thread(target=lambda: found.append(take(profile))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({token.access_token for token in found}) == 1
    assert len(found) == 5
    assert server.count("grant.refresh_token") == 1


# --- a file that cannot be written ----------------------------------------------------------------------------------


def test_tokens_that_cannot_be_written_are_kept_in_memory_and_written_later(
    home: AnthropicHome,
    server: AuthorizationServer,
    profile: Profile,
    signed_in: ClaudeToken,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # ROT-4
    def full(*_: object) -> None:
        raise StoreUnavailable("no space left for work.json")

    with monkeypatch.context() as patch:
        patch.setattr(cli_renewal, "write_tokens", full)
        for _ in range(2):
            with raises_code(TransientError, "claude-cli-tokens-not-saved") as caught:
                take(profile)
            assert "no space left for work.json" in str(caught.value)
            assert_names_profile(caught.value, home, server)
    found = take(profile)
    assert server.count("grant.refresh_token") == 1
    assert found.access_token.reveal() == home.read_credentials("work")["access_token"]
    assert found.access_token != signed_in.access_token
    assert leftovers(home) == []


@pytest.mark.usefixtures("signed_in")
def test_nothing_is_sent_if_the_directory_is_not_writable(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile
) -> None:  # ROT-7
    (home.credentials_file("work").parent / ".freshkey").write_text("in the way")
    with raises_code(ConfigurationError, "claude-cli-profile-not-writable") as caught:
        take(profile)
    assert str(home.credentials_file("work").parent) in str(caught.value.hint)
    assert_names_profile(caught.value, home, server)
    assert server.count("grant.refresh_token") == 0


@pytest.mark.usefixtures("signed_in")
def test_nothing_is_sent_if_other_tools_would_not_find_the_new_tokens(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:  # ROT-7
    place = home.credentials_file("work").parent
    monkeypatch.setattr(cli_renewal, "kept_for_all", lambda directory: directory != place)
    with raises_code(ConfigurationError, "claude-cli-profile-not-writable") as caught:
        take(profile)
    assert "ANTHROPIC_CONFIG_DIR" in str(caught.value.hint)
    assert_names_profile(caught.value, home, server)
    assert server.count("grant.refresh_token") == 0
    assert not (place / ".freshkey").exists()


@pytest.mark.usefixtures("signed_in")
def test_nothing_is_sent_if_the_intent_cannot_be_written(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:  # ROT-7
    def full(*_: object) -> None:
        raise StoreUnavailable("no space left")

    monkeypatch.setattr(IntentFile, "write", full)
    with raises_code(ConfigurationError, "claude-cli-profile-not-writable") as caught:
        take(profile)
    assert "no space left" in str(caught.value)
    assert server.count("grant.refresh_token") == 0


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
@pytest.mark.usefixtures("signed_in")
def test_nothing_is_sent_if_the_lock_file_was_replaced(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:  # ROT-1
    write = IntentFile.write

    def tidied_up(intent_file: IntentFile, intent: RefreshIntent) -> None:
        write(intent_file, intent)
        for path in (intent_file.directory / "locks").iterdir():
            path.unlink()

    with monkeypatch.context() as patch:
        patch.setattr(IntentFile, "write", tidied_up)
        with raises_code(TransientError, "lock-file-replaced") as caught:
            take(profile)
        assert_names_profile(caught.value, home, server)
    assert leftovers(home) == []
    assert server.count("grant.refresh_token") == 0
    take(profile)


@pytest.mark.usefixtures("signed_in")
def test_lock_held_by_another_process_is_transient(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    from freshkey._interprocess.lock import ProfileLock

    monkeypatch.setattr(cli_renewal, "LOCK_TIMEOUT", 0.05)
    intent_file = IntentFile(home.credentials_file("work"))
    release = ProfileLock(intent_file.directory, intent_file.name).acquire(1)
    with raises_code(TransientError, "store-busy") as caught:
        take(profile)
    assert_names_profile(caught.value, home, server)
    release()
    take(profile)


# --- in a keeper ----------------------------------------------------------------------------------------------------


def keeper_of(tmp_path: Path, **settings: object) -> Keeper:
    table = {"provider": "claude_oauth", "allow_insecure_loopback": True, **settings}
    return Keeper(configuration=Configuration.of({"me": table}, state_dir=tmp_path / "state", default="me"))


@pytest.mark.parametrize("source_id", ["anthropic-profile", "anthropic-active-profile"])
def test_detected_source_is_renewed_before_it_expires(
    home: AnthropicHome,
    server: AuthorizationServer,
    signed_in: ClaudeToken,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    source_id: str,
) -> None:  # TIM-3
    if source_id == "anthropic-active-profile":
        monkeypatch.delenv("ANTHROPIC_PROFILE")
        home.activate("work")
    server.policy.lifetime = 4.0
    with keeper_of(tmp_path, store="memory") as keeper:
        winner = next(step for step in keeper.explain().steps if step.wins)
        assert winner.source.id == source_id
        assert winner.detected is not None
        assert "'work'" in winner.detected.kind
        first = keeper.get()
        assert first.source == source_id
        server.wait_for("grant.refresh_token", 2)
        second = keeper.get(refused=first)
        assert not first.expired()
    assert second.token not in {None, first.token, signed_in.access_token}
    assert second.token is not None
    assert home.read_credentials("work")["access_token"] == second.token.reveal()
    assert server.count("refresh_token.reused") == 0


def test_keeper_picks_up_a_token_renewed_by_another_program(
    home: AnthropicHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # TIM-3
    monkeypatch.setenv("ANTHROPIC_PROFILE", "work")
    home.write_config("work")
    home.write_credentials("work", access_token="at-1", expires_at=in_seconds(4))
    renewed = threading.Event()
    with keeper_of(tmp_path) as keeper:
        first = keeper.get()
        assert (first.token, first.source) == (Secret("at-1"), "anthropic-profile")
        keeper.subscribe(lambda event: renewed.set() if isinstance(event, Renewed) else None)
        home.write_credentials("work", access_token="at-2", expires_at=in_seconds(600))
        assert keeper.get() is first  # the file is not read for every call
        assert renewed.wait(10)
        assert keeper.get().token == Secret("at-2")


def test_refused_token_causes_one_renewal(
    home: AnthropicHome, server: AuthorizationServer, signed_in: ClaudeToken, tmp_path: Path
) -> None:
    keep(home, signed_in)
    an_hour_ago = in_seconds(-3600)
    os.utime(home.credentials_file("work"), (an_hour_ago, an_hour_ago))
    with keeper_of(tmp_path, source="anthropic-profile") as keeper:
        first = keeper.get()
        assert first.token == signed_in.access_token
        assert first.lifetime is not None
        assert abs(first.lifetime - 7200) < 60
        newer = [keeper.get(refused=first) for _ in range(3)]
    assert len({credential.token for credential in newer}) == 1
    assert newer[0].token != first.token
    assert server.count("grant.refresh_token") == 1


def test_active_profile_comes_after_freshkeys_own_sign_in(
    home: AnthropicHome, signed_in: ClaudeToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = [each.id for each in description(None).sources]
    assert order.index("anthropic-profile") < order.index("federation") < order.index("oauth")
    assert order[-1] == "anthropic-active-profile"


def test_credential_does_not_contain_the_refresh_token(profile: Profile, signed_in: ClaudeToken) -> None:
    found = take(profile)
    assert signed_in.refresh_token is not None
    assert_no_secret(repr(found), {signed_in.refresh_token.reveal()}, "the credential")
    assert found.obtained.wall <= SYSTEM.now().wall
