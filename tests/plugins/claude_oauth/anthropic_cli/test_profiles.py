"""Which profile of Anthropic's tools is meant, what it says, and what of it is trusted."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

import freshkey_claude_oauth as provider
from anthropic_home import AnthropicHome, in_seconds
from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, ProviderRefused, TransientError
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey_claude_oauth.anthropic_cli import files
from freshkey_claude_oauth.description import description
from freshkey_claude_oauth.formats import ClaudeProfileToken, ClaudeToken
from freshkey_testing import AuthorizationServer
from freshkey_testing.secret_scan import assert_no_secret


MakeProfile = Callable[..., Profile]

CANARY = "canary-4c2e9b"
AT = f"sk-ant-oat01-{CANARY}-at"
RT = f"sk-ant-ort01-{CANARY}-rt"


@pytest.fixture
def profile(make_profile: MakeProfile) -> Profile:
    return make_profile(allow_insecure_loopback=True)


def source(source_id: str) -> Source:
    found = description(None).source(source_id)
    assert found is not None
    return found


NAMED = source("anthropic-profile")
ACTIVE = source("anthropic-active-profile")


def take(profile: Profile, of: Source = NAMED) -> ClaudeToken:
    found = provider.acquire(profile=profile, source=of, interaction=NonInteractive("me"))
    assert isinstance(found, ClaudeToken)
    return found


@pytest.fixture
def work(home: AnthropicHome, monkeypatch: pytest.MonkeyPatch) -> AnthropicHome:
    """A profile named work whose token another program renews."""
    monkeypatch.setenv("ANTHROPIC_PROFILE", "work")
    home.write_config("work", organization_id="org-1", workspace_id="wrkspc_1")
    home.write_credentials(
        "work",
        access_token=AT,
        expires_at=in_seconds(600),
        scope="user:profile user:inference",
        account_email="ada@example.com",
        organization_uuid="org-1",
        organization_name="Example Works",
    )
    return home


# --- which one ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("work")
def test_the_variable_names_one(profile: Profile) -> None:
    found = take(profile)
    assert found.access_token.reveal() == AT
    assert (found.source, found.refresh_token, found.renewable) == ("anthropic-profile", None, False)
    assert found.scopes == ("user:profile", "user:inference")
    assert (found.identity.email, found.identity.organization) == ("ada@example.com", "org-1")
    assert found.identity.extra["organization_name"] == "Example Works"
    assert dict(found.extra_headers) == {
        "anthropic-beta": "oauth-2025-04-20",
        "anthropic-workspace-id": "wrkspc_1",
    }
    assert found.lifetime is not None
    assert 590 < found.lifetime <= 601


def test_the_setting_comes_before_the_variable(work: AnthropicHome, make_profile: MakeProfile) -> None:
    work.write_config("other")
    work.write_credentials("other", access_token="at-other")
    assert take(make_profile(anthropic_profile="other")).access_token.reveal() == "at-other"


def test_without_a_name_none_is_meant(home: AnthropicHome, profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write_config("default")
    monkeypatch.setenv("ANTHROPIC_PROFILE", "")
    assert NAMED.detect(profile) is None
    with pytest.raises(LoginRequired, match="no Anthropic profile is named"):
        take(profile)


def test_the_active_one_is_what_the_pointer_names_else_the_default(home: AnthropicHome, profile: Profile) -> None:
    assert ACTIVE.detect(profile) is None
    with pytest.raises(LoginRequired, match="no active profile"):
        take(profile, ACTIVE)
    for name in ("default", "home"):
        home.write_config(name)
        home.write_credentials(name, access_token=f"at-{name}")
    assert take(profile, ACTIVE).access_token.reveal() == "at-default"
    home.activate("home")
    found = take(profile, ACTIVE)
    assert (found.access_token.reveal(), found.source) == ("at-home", "anthropic-active-profile")


def test_a_pointer_to_nothing_is_told(home: AnthropicHome, profile: Profile) -> None:
    home.activate("gone")
    detected = ACTIVE.detect(profile)
    assert detected is not None
    assert detected.kind == "Anthropic profile 'gone' that cannot be used"
    with pytest.raises(ConfigurationError, match=r"'gone': there is no config file .*gone.json"):
        take(profile, ACTIVE)


def test_a_leftover_profile_alone_is_no_active_one(home: AnthropicHome, profile: Profile) -> None:
    home.write_config("work")
    assert ACTIVE.detect(profile) is None


BAD_NAMES = ["../x", "a/b", "a\\b", ".hidden", " x", "x ", "x" * 200, "a\nb", "c:x"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_cannot_lead_anywhere_else(
    home: AnthropicHome, profile: Profile, monkeypatch: pytest.MonkeyPatch, make_profile: MakeProfile, name: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_PROFILE", name)
    with pytest.raises(ConfigurationError, match="ANTHROPIC_PROFILE: the name"):
        take(profile)
    detected = NAMED.detect(profile)
    assert detected is not None
    assert detected.kind == "Anthropic profile that cannot be used"
    with pytest.raises(ConfigurationError, match="anthropic_profile: the name"):
        make_profile(anthropic_profile=name)
    if name == name.strip():
        home.activate(name)
        with pytest.raises(ConfigurationError, match="active_config: the name"):
            take(profile, ACTIVE)


def test_the_directory_is_the_vendors_on_each_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert files.directory({}) == Path.home() / ".config" / "anthropic"
    assert files.directory({"ANTHROPIC_CONFIG_DIR": ""}) == Path.home() / ".config" / "anthropic"
    assert files.directory({"ANTHROPIC_CONFIG_DIR": "/x"}) == Path("/x")
    monkeypatch.setattr(sys, "platform", "win32")
    assert files.directory({"APPDATA": "/r"}) == Path("/r/Anthropic")
    assert files.directory({}) == Path.home() / "AppData" / "Roaming" / "Anthropic"


@pytest.mark.skipif(sys.platform == "win32", reason="users are found elsewhere there")
def test_without_a_home_there_is_no_profile(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> NoReturn:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.delenv("ANTHROPIC_CONFIG_DIR")
    assert ACTIVE.detect(profile) is None
    monkeypatch.setenv("HOME", "relative")
    assert files.directory({}) == Path("/.config/anthropic")


# --- what a look tells ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("work")
def test_a_look_tells_what_and_where_and_until_when(home: AnthropicHome, profile: Profile) -> None:
    detected = NAMED.detect(profile)
    assert detected is not None
    assert detected.kind == "token of another program of Anthropic profile 'work'"
    assert detected.origin == str(home.config_file("work"))
    assert detected.expires_at is not None
    assert CANARY not in repr(detected)


def test_a_look_without_a_known_end(work: AnthropicHome, profile: Profile) -> None:
    work.write_config("work", authentication={"type": "user_oauth", "client_id": "c"})
    work.write_credentials("work", access_token=AT)
    detected = NAMED.detect(profile)
    assert detected is not None
    assert (detected.kind, detected.expires_at) == ("sign-in of Anthropic profile 'work'", None)


# --- the token of another program -----------------------------------------------------------------------------------


def test_it_is_read_again_each_time_and_never_renewed(
    work: AnthropicHome, profile: Profile, server: AuthorizationServer
) -> None:
    take(profile)
    work.write_credentials("work", access_token="at-2", expires_at=str(in_seconds(60)), refresh_token=RT)
    before = work.credentials_file("work").read_bytes()
    found = take(profile)
    assert (found.access_token.reveal(), type(found)) == ("at-2", ClaudeToken)
    assert work.credentials_file("work").read_bytes() == before
    assert server.requests == []


def test_without_a_known_end_it_is_looked_at_every_minute(work: AnthropicHome, profile: Profile) -> None:
    work.write_credentials("work", access_token=AT)
    found = take(profile)
    assert (found.lifetime, found.recheck_after) == (None, 60.0)


def test_one_that_is_late_is_waited_for(work: AnthropicHome, profile: Profile) -> None:
    work.write_credentials("work", access_token=AT, expires_at=in_seconds(-1))
    with pytest.raises(TransientError, match=r"'work': its token expired at .* UTC, and the program") as caught:
        take(profile)
    assert str(work.credentials_file("work")) in str(caught.value.hint)


# --- the zoo --------------------------------------------------------------------------------------------------------


def write(path: Path, content: bytes, mode: int) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def assert_refused(profile: Profile, path: Path, says: str, kind: type[FreshkeyError] = ConfigurationError) -> None:
    """Using the profile tells profile, file, and what to do; a look does not fail, and nothing quotes a secret."""
    detected = NAMED.detect(profile)
    assert detected is not None
    assert "'work'" in detected.kind
    with pytest.raises(kind, match=says) as caught:
        take(profile)
    shown = f"{caught.value} {detected!r}"
    assert "Anthropic profile 'work': " in str(caught.value)
    assert path.name in str(caught.value)
    assert caught.value.hint
    assert_no_secret(shown, {CANARY}, "what is told")


GOOD = json.dumps({"access_token": AT, "refresh_token": RT}).encode()


@pytest.mark.skipif(sys.platform == "win32", reason="modes say nothing there")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o601, 0o777])
def test_credentials_that_others_can_reach(work: AnthropicHome, profile: Profile, mode: int) -> None:
    path = work.credentials_file("work")
    path.chmod(mode)
    assert_refused(profile, path, f"read or changed by others \\(mode {mode:o}\\).*chmod 600 ")


@pytest.mark.skipif(sys.platform == "win32", reason="modes say nothing there")
@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_config_that_others_can_change(work: AnthropicHome, profile: Profile, mode: int) -> None:
    path = work.config_file("work")
    path.chmod(mode)
    assert_refused(profile, path, f"changed by others \\(mode {mode:o}\\).*chmod go-w ")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("which", ["config_file", "credentials_file"])
def test_files_of_somebody_else(work: AnthropicHome, profile: Profile, which: str) -> None:
    path: Path = getattr(work, which)("work")
    os.chown(path, 12345, -1)
    assert_refused(profile, path, "belongs to somebody else \\(user id 12345\\)")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "one JSON object"),
        (GOOD[:-3], "one JSON object"),
        (b"[" + GOOD + b"]", "one JSON object"),
        (json.dumps(AT).encode(), "one JSON object"),
        (b"\xff" + GOOD, "one JSON object"),
        (b'{"access_token": "a", "access_token": "' + AT.encode() + b'"}', "one JSON object"),
        (GOOD + b" " * files.MAX_BYTES, "more than 262144 bytes"),
        (json.dumps({"access_token": f"{AT} x"}).encode(), "access_token is no token"),
        (json.dumps({"access_token": [AT]}).encode(), "access_token is no token"),
        (json.dumps({"access_token": AT, "type": "private_key"}).encode(), "another type of credential"),
        (json.dumps({"access_token": AT, "expires_at": True}).encode(), "expires_at is no time"),
        (json.dumps({"access_token": AT, "expires_at": "2026-01-01T00:00:00Z"}).encode(), "expires_at is no time"),
        (json.dumps({"access_token": AT, "expires_at": in_seconds(60) * 1000}).encode(), "in Unix seconds"),
        (json.dumps({"access_token": AT, "expires_at": -5}).encode(), "expires_at is no time"),
    ],
    ids=[
        "empty",
        "cut",
        "list",
        "bare",
        "no-text",
        "twice",
        "huge",
        "two-words",
        "no-string",
        "other-type",
        "true",
        "iso",
        "milliseconds",
        "negative",
    ],
)
def test_credentials_that_cannot_be_read(work: AnthropicHome, profile: Profile, content: bytes, says: str) -> None:
    path = work.credentials_file("work")
    write(path, content, 0o600)
    assert_refused(profile, path, says)


@pytest.mark.parametrize("content", [None, b"{}", b'{"access_token": ""}'], ids=["none", "empty", "blank"])
def test_credentials_that_are_not_there(work: AnthropicHome, profile: Profile, content: bytes | None) -> None:
    path = work.credentials_file("work")
    path.unlink()
    if content is not None:
        write(path, content, 0o600)
    assert_refused(profile, path, "ANTHROPIC_PROFILE=work ant auth login", LoginRequired)


def test_links_and_what_is_no_file(work: AnthropicHome, profile: Profile, tmp_path: Path) -> None:
    path = work.credentials_file("work")
    aside = path.rename(path.with_name("aside.json"))
    path.symlink_to(aside)
    assert_refused(profile, path, "is a symbolic link")
    path.unlink()
    os.mkfifo(path, 0o600)
    assert_refused(profile, path, "not a regular file")
    path.unlink()
    path.mkdir()
    assert_refused(profile, path, "cannot be read|not a regular file")
    path.rmdir()
    outside = tmp_path / "outside.json"
    aside.rename(outside)
    path.symlink_to(outside)
    assert_refused(profile, path, "leads out of")
    path.unlink()
    path.symlink_to(path)
    assert_refused(profile, path, "is a symbolic link")


def test_a_config_that_leads_out_of_the_directory(work: AnthropicHome, profile: Profile, tmp_path: Path) -> None:
    path = work.config_file("work")
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    assert_refused(profile, path, "leads out of")


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"authentication": None}, "authentication must be a table"),
        ({"authentication": []}, "authentication must be a table"),
        ({"authentication": {}}, "authentication.type must be user_oauth or oidc_federation"),
        ({"authentication": {"type": ["user_oauth"]}}, "authentication.type must be"),
        ({"authentication": {"type": "user_oauth", "client_id": 5}}, "client_id must be a short text"),
        ({"authentication": {"type": "user_oauth", "credentials_path": "c.json"}}, "must be an absolute path"),
        ({"authentication": {"type": "user_oauth", "credentials_path": 5}}, "must be an absolute path"),
        ({"authentication": {"type": "user_oauth", "credentials_path": "~nobody-here/c"}}, "must be an absolute path"),
        ({"workspace_id": "a b"}, "workspace_id must be a short text"),
        ({"base_url": "http://api.example.com"}, "base_url: .*does not use https"),
        ({"base_url": "https://u:p@api.example.com"}, "base_url: .*user name"),
        ({"authentication": {"type": "oidc_federation"}}, "federation_rule_id and organization_id must be set"),
        (
            {"authentication": {"type": "oidc_federation", "federation_rule_id": "r"}, "organization_id": "o"},
            "identity_token must be set",
        ),
        (
            {
                "authentication": {
                    "type": "oidc_federation",
                    "federation_rule_id": "r",
                    "identity_token": {"source": "url", "path": "/x"},
                },
                "organization_id": "o",
            },
            'a table with source "file"',
        ),
    ],
)
def test_a_config_that_cannot_be_used(work: AnthropicHome, profile: Profile, facts: dict[str, Any], says: str) -> None:
    assert_refused(profile, work.write_config("work", **facts), says)


def test_plain_http_needs_the_flag(work: AnthropicHome, make_profile: MakeProfile, server: AuthorizationServer) -> None:
    path = work.write_config("work", base_url=server.urls.issuer)
    assert_refused(make_profile(), path, "does not use https")


def test_credentials_may_be_elsewhere(work: AnthropicHome, profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "vault.json"
    write(path, json.dumps({"access_token": "at-vault"}).encode(), 0o600)
    work.write_config("work", authentication={"type": "user_oauth", "credentials_path": str(path)})
    assert take(profile).access_token.reveal() == "at-vault"
    path.chmod(0o644)
    assert_refused(profile, path, "chmod 600")


# --- federation -----------------------------------------------------------------------------------------------------


@pytest.fixture
def federated(home: AnthropicHome, server: AuthorizationServer, tmp_path: Path) -> AnthropicHome:
    """An active profile whose token is exchanged for the machine's identity."""
    (tmp_path / "jwt").write_text("eyJ.machine.c2ln\n")
    server.trust("eyJ.machine.c2ln")
    home.write_config(
        "default",
        authentication={
            "type": "oidc_federation",
            "federation_rule_id": "fdrl_1",
            "identity_token": {"source": "file", "path": str(tmp_path / "jwt")},
        },
        workspace_id="wrkspc_1",
        base_url=server.urls.issuer,
    )
    return home


def test_a_federated_profile_is_exchanged(
    federated: AnthropicHome, server: AuthorizationServer, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_ORGANIZATION_ID", "org-of-the-environment")
    monkeypatch.setenv("ANTHROPIC_WORKSPACE_ID", "not-this-one")
    found = take(profile, ACTIVE)
    sent = json.loads(server.requests[-1].body)
    assert (sent["federation_rule_id"], sent["organization_id"]) == ("fdrl_1", "org-of-the-environment")
    assert sent["workspace_id"] == "wrkspc_1"
    assert "anthropic-workspace-id" not in dict(found.extra_headers)
    assert not federated.credentials_file("default").exists()
    detected = ACTIVE.detect(profile)
    assert detected is not None
    assert detected.kind == "workload identity of Anthropic profile 'default'"


@pytest.mark.usefixtures("federated")
def test_its_refusal_is_a_matter_of_configuration(
    server: AuthorizationServer, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_ORGANIZATION_ID", "org-1")
    server.next_response(401, '{"error": {"type": "authentication_error"}}')
    with pytest.raises(ProviderRefused, match="federation was refused"):
        take(profile, ACTIVE)


def test_where_requests_go_is_not_up_to_the_environment(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.write_config("default", authentication={"type": "user_oauth", "client_id": "c"})
    home.write_credentials("default", access_token=AT, refresh_token=RT, expires_at=in_seconds(600))
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.urls.issuer)
    found = take(profile, ACTIVE)
    assert isinstance(found, ClaudeProfileToken)
    assert found.token_endpoint == "https://api.anthropic.com/v1/oauth/token"
