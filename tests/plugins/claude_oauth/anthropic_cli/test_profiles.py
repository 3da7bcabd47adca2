"""How a profile of Anthropic's tools is selected and parsed, and which files are rejected as unsafe."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
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
from raises_code import raises_code


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
    """A profile named work whose token is renewed by another program."""
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


# --- selection ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("work")
def test_profile_is_selected_by_the_variable(profile: Profile) -> None:
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


def test_setting_overrides_the_variable(work: AnthropicHome, make_profile: MakeProfile) -> None:
    work.write_config("other")
    work.write_credentials("other", access_token="at-other")
    assert take(make_profile(anthropic_profile="other")).access_token.reveal() == "at-other"


def test_without_a_name_no_profile_is_selected(
    home: AnthropicHome, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.write_config("default")
    monkeypatch.setenv("ANTHROPIC_PROFILE", "")
    assert NAMED.detect(profile) is None
    with raises_code(LoginRequired, "no-credential-found") as caught:
        take(profile)
    assert "ANTHROPIC_PROFILE" in str(caught.value)


def test_active_profile_is_the_one_in_active_config_or_default(home: AnthropicHome, profile: Profile) -> None:
    assert ACTIVE.detect(profile) is None
    with raises_code(LoginRequired, "no-credential-found") as caught:
        take(profile, ACTIVE)
    assert "ant auth login" in str(caught.value)
    for name in ("default", "home"):
        home.write_config(name)
        home.write_credentials(name, access_token=f"at-{name}")
    assert take(profile, ACTIVE).access_token.reveal() == "at-default"
    home.activate("home")
    found = take(profile, ACTIVE)
    assert (found.access_token.reveal(), found.source) == ("at-home", "anthropic-active-profile")


def test_active_profile_without_a_config_file_is_an_error(home: AnthropicHome, profile: Profile) -> None:
    home.activate("gone")
    detected = ACTIVE.detect(profile)
    assert detected is not None
    assert detected.kind == "unusable Anthropic profile 'gone'"
    with raises_code(ConfigurationError, "claude-unknown-cli-profile") as caught:
        take(profile, ACTIVE)
    assert "'gone'" in str(caught.value)
    assert str(home.config_file("gone")) in str(caught.value)


def test_profile_that_is_neither_active_nor_default_is_not_active(home: AnthropicHome, profile: Profile) -> None:
    home.write_config("work")
    assert ACTIVE.detect(profile) is None


def version(profile: Profile, of: Source = NAMED) -> str:
    detected = of.detect(profile)
    assert detected is not None
    assert detected.version is not None
    return detected.version


def test_version_changes_with_each_file_of_a_profile(work: AnthropicHome, profile: Profile, tmp_path: Path) -> None:
    elsewhere = tmp_path / "credentials.json"
    seen = [version(profile)]
    work.write_credentials("work", access_token=f"{AT}-2")
    seen.append(version(profile))
    work.credentials_file("work").chmod(0o644)  # unusable, until its mode is changed back
    seen.append(version(profile))
    work.credentials_file("work").chmod(0o600)
    seen.append(version(profile))
    work.write_config("work", authentication={"type": "user_oauth", "credentials_path": str(elsewhere)})
    seen.append(version(profile))
    elsewhere.write_text("{}")
    seen.append(version(profile))
    work.config_file("work").unlink()
    seen.append(version(profile))
    assert len(set(seen)) == (5 if sys.platform == "win32" else 7)  # modes mean nothing there
    assert version(profile) == seen[-1]


def test_end_far_in_the_future_is_shown(work: AnthropicHome, profile: Profile) -> None:
    """`datetime.fromtimestamp` fails on Windows after the year 3000."""
    end = datetime(9999, 1, 1, tzinfo=UTC)
    work.write_credentials("work", access_token=AT, expires_at=int(end.timestamp()))
    detected = NAMED.detect(profile)
    assert detected is not None
    assert detected.expires_at == end


def test_version_changes_with_the_active_profile(home: AnthropicHome, profile: Profile) -> None:
    home.activate("gone")
    before = version(profile, ACTIVE)
    home.write_config("gone")
    assert version(profile, ACTIVE) != before


@pytest.mark.parametrize("in_config", [False, True])
def test_version_changes_with_the_identity_token(
    home: AnthropicHome, profile: Profile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, in_config: bool
) -> None:
    file = tmp_path / "token"
    token: dict[str, object] = {"identity_token": {"source": "file", "path": str(file)}} if in_config else {}
    facts = {"type": "oidc_federation", "federation_rule_id": "fdrl_1", **token}
    home.write_config("ci", organization_id="org-1", authentication=facts)
    monkeypatch.setenv("ANTHROPIC_PROFILE", "ci")
    monkeypatch.setenv("ANTHROPIC_IDENTITY_TOKEN_FILE", str(file))
    before = version(profile)
    file.write_text("eyJ")
    assert version(profile) != before


def test_version_changes_with_the_variables_that_fill_in_a_profile(
    home: AnthropicHome, profile: Profile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    facts = {"type": "oidc_federation", "federation_rule_id": "fdrl_1"}
    home.write_config("ci", organization_id="org-1", authentication=facts)
    monkeypatch.setenv("ANTHROPIC_PROFILE", "ci")
    monkeypatch.setenv("ANTHROPIC_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    seen = [version(profile)]
    for name in ("ANTHROPIC_WORKSPACE_ID", "ANTHROPIC_SERVICE_ACCOUNT_ID"):
        monkeypatch.setenv(name, "id_1")
        seen.append(version(profile))
    monkeypatch.setenv("ANTHROPIC_ORGANIZATION_ID", "ignored, because the file has one")
    assert version(profile) == seen[-1]
    assert len(set(seen)) == 3


BAD_NAMES = ["../x", "a/b", "a\\b", ".hidden", " x", "x ", "x" * 200, "a\nb", "c:x"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_profile_name_cannot_lead_outside_the_directory(
    home: AnthropicHome, profile: Profile, monkeypatch: pytest.MonkeyPatch, make_profile: MakeProfile, name: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_PROFILE", name)
    with raises_code(ConfigurationError, "claude-invalid-cli-profile") as caught:
        take(profile)
    assert "ANTHROPIC_PROFILE: " in str(caught.value)
    detected = NAMED.detect(profile)
    assert detected is not None
    assert detected.kind == "unusable Anthropic profile"
    with raises_code(ConfigurationError, "claude-invalid-cli-profile") as caught:
        make_profile(anthropic_profile=name)
    assert "anthropic_profile: " in str(caught.value)
    if name == name.strip():
        home.activate(name)
        with raises_code(ConfigurationError, "claude-invalid-cli-profile") as caught:
            take(profile, ACTIVE)
        assert "active_config: " in str(caught.value)


def test_profile_directory_is_anthropics_on_each_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert files.directory({}) == Path.home() / ".config" / "anthropic"
    assert files.directory({"ANTHROPIC_CONFIG_DIR": ""}) == Path.home() / ".config" / "anthropic"
    assert files.directory({"ANTHROPIC_CONFIG_DIR": "/x"}) == Path("/x")
    monkeypatch.setattr(sys, "platform", "win32")
    assert files.directory({"APPDATA": "/r"}) == Path("/r/Anthropic")
    assert files.directory({}) == Path.home() / "AppData" / "Roaming" / "Anthropic"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no user database there")
def test_without_a_home_directory_there_is_no_profile(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> NoReturn:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.delenv("ANTHROPIC_CONFIG_DIR")
    assert ACTIVE.detect(profile) is None
    monkeypatch.setenv("HOME", "relative")
    assert files.directory({}) == Path("/.config/anthropic")


@pytest.mark.parametrize(
    ("written", "flaw"),
    [('"{}"', "is in quotes"), ("~/.anthropic", "begins with ~"), ("$HOME/.anthropic", "contains a variable")],
)
def test_directory_that_only_a_shell_would_read_is_named(
    work: AnthropicHome, profile: Profile, monkeypatch: pytest.MonkeyPatch, written: str, flaw: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", written.format(work.base))
    for of in (NAMED, ACTIVE):
        detected = of.detect(profile)
        assert detected is not None
        assert detected.kind.startswith("unusable Anthropic profile")
        with raises_code(ConfigurationError, "claude-invalid-cli-profile") as caught:
            take(profile, of)
        assert f"the path in ANTHROPIC_CONFIG_DIR {flaw}" in caught.value.message


@pytest.mark.parametrize("of", [NAMED, ACTIVE], ids=["named", "active"])
def test_byte_order_marks_in_the_files_are_ignored(work: AnthropicHome, profile: Profile, of: Source) -> None:
    work.activate("work")
    for file in (work.base / "active_config", work.config_file("work"), work.credentials_file("work")):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert take(profile, of).access_token.reveal() == AT


# --- detection ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("work")
def test_detection_reports_kind_file_and_expiration(home: AnthropicHome, profile: Profile) -> None:
    detected = NAMED.detect(profile)
    assert detected is not None
    assert detected.kind == "externally renewed token of Anthropic profile 'work'"
    assert detected.origin == str(home.config_file("work"))
    assert detected.expires_at is not None
    assert CANARY not in repr(detected)


def test_detection_without_a_known_expiration(work: AnthropicHome, profile: Profile) -> None:
    work.write_config("work", authentication={"type": "user_oauth", "client_id": "c"})
    work.write_credentials("work", access_token=AT)
    detected = NAMED.detect(profile)
    assert detected is not None
    assert (detected.kind, detected.expires_at) == ("sign-in of Anthropic profile 'work'", None)


# --- token renewed by another program -------------------------------------------------------------------------------


def test_externally_renewed_token_is_read_each_time_and_never_renewed(
    work: AnthropicHome, profile: Profile, server: AuthorizationServer
) -> None:
    take(profile)
    work.write_credentials("work", access_token="at-2", expires_at=str(in_seconds(60)), refresh_token=RT)
    before = work.credentials_file("work").read_bytes()
    found = take(profile)
    assert (found.access_token.reveal(), type(found)) == ("at-2", ClaudeToken)
    assert work.credentials_file("work").read_bytes() == before
    assert server.requests == []


def test_without_a_known_expiration_the_file_is_read_every_minute(work: AnthropicHome, profile: Profile) -> None:
    work.write_credentials("work", access_token=AT)
    found = take(profile)
    assert (found.lifetime, found.recheck_after) == (None, 60.0)


def test_expired_external_token_is_transient(work: AnthropicHome, profile: Profile) -> None:
    work.write_credentials("work", access_token=AT, expires_at=in_seconds(-1))
    with raises_code(TransientError, "claude-cli-token-expired") as caught:
        take(profile)
    assert "'work'" in str(caught.value)
    assert str(work.credentials_file("work")) in str(caught.value.hint)


# --- unsafe and invalid files ---------------------------------------------------------------------------------------


def write(path: Path, content: bytes, mode: int) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


UNSAFE = "claude-unsafe-cli-file"
INVALID = "claude-invalid-cli-profile"


def assert_refused(
    profile: Profile, path: Path, code: str, fact: str = "", kind: type[FreshkeyError] = ConfigurationError
) -> None:
    """Using the profile fails with the code and a fact, and names profile and file; detection does not fail."""
    detected = NAMED.detect(profile)
    assert detected is not None
    assert "'work'" in detected.kind
    with raises_code(kind, code) as caught:
        take(profile)
    assert fact in str(caught.value)
    assert "Anthropic profile 'work': " in str(caught.value)
    assert path.name in str(caught.value)
    assert caught.value.hint
    assert_no_secret(f"{caught.value} {detected!r}", {CANARY}, "the error or the detection")


GOOD = json.dumps({"access_token": AT, "refresh_token": RT}).encode()


@pytest.mark.skipif(sys.platform == "win32", reason="modes mean nothing there")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o601, 0o777])
def test_credentials_accessible_to_other_users_are_refused(work: AnthropicHome, profile: Profile, mode: int) -> None:
    path = work.credentials_file("work")
    path.chmod(mode)
    assert_refused(profile, path, UNSAFE, f"{mode:o}")
    assert_refused(profile, path, UNSAFE, f"chmod 600 {path}")


@pytest.mark.skipif(sys.platform == "win32", reason="modes mean nothing there")
@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_config_writable_by_other_users_is_refused(work: AnthropicHome, profile: Profile, mode: int) -> None:
    path = work.config_file("work")
    path.chmod(mode)
    assert_refused(profile, path, UNSAFE, f"{mode:o}")
    assert_refused(profile, path, UNSAFE, f"chmod go-w {path}")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("which", ["config_file", "credentials_file"])
def test_files_of_another_user_are_refused(work: AnthropicHome, profile: Profile, which: str) -> None:
    path: Path = getattr(work, which)("work")
    os.chown(path, 12345, -1)
    assert_refused(profile, path, UNSAFE, "12345")


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"", "JSON"),
        (GOOD[:-3], "JSON"),
        (b"[" + GOOD + b"]", "JSON"),
        (json.dumps(AT).encode(), "JSON"),
        (b"\xff" + GOOD, "JSON"),
        (b'{"access_token": "a", "access_token": "' + AT.encode() + b'"}', "JSON"),
        (GOOD + b" " * files.MAX_BYTES, "262144"),
        (json.dumps({"access_token": f"{AT} x"}).encode(), "access_token"),
        (json.dumps({"access_token": [AT]}).encode(), "access_token"),
        (json.dumps({"access_token": AT, "type": "private_key"}).encode(), "oauth_token"),
        (json.dumps({"access_token": AT, "expires_at": True}).encode(), "expires_at"),
        (json.dumps({"access_token": AT, "expires_at": "2026-01-01T00:00:00Z"}).encode(), "expires_at"),
        (json.dumps({"access_token": AT, "expires_at": in_seconds(60) * 1000}).encode(), "expires_at"),
        (json.dumps({"access_token": AT, "expires_at": -5}).encode(), "expires_at"),
    ],
    ids=[
        "empty",
        "truncated",
        "list",
        "string",
        "not-utf-8",
        "duplicate-key",
        "huge",
        "two-words",
        "not-a-string",
        "other-type",
        "true",
        "iso",
        "milliseconds",
        "negative",
    ],
)
def test_invalid_credentials_file_is_refused(work: AnthropicHome, profile: Profile, content: bytes, fact: str) -> None:
    path = work.credentials_file("work")
    write(path, content, 0o600)
    assert_refused(profile, path, INVALID, fact)


@pytest.mark.parametrize("content", [None, b"{}", b'{"access_token": ""}'], ids=["none", "empty", "blank"])
def test_missing_credentials_require_a_sign_in_with_anthropics_tool(
    work: AnthropicHome, profile: Profile, content: bytes | None
) -> None:
    path = work.credentials_file("work")
    path.unlink()
    if content is not None:
        write(path, content, 0o600)
    assert_refused(
        profile, path, "claude-cli-not-signed-in", "ANTHROPIC_PROFILE=work ant auth login", kind=LoginRequired
    )


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there, and FIFOs are POSIX")
def test_links_and_irregular_files_are_refused(work: AnthropicHome, profile: Profile, tmp_path: Path) -> None:
    path = work.credentials_file("work")
    aside = path.rename(path.with_name("aside.json"))
    path.symlink_to(aside)
    assert_refused(profile, path, UNSAFE)
    path.unlink()
    os.mkfifo(path, 0o600)
    assert_refused(profile, path, INVALID)
    path.unlink()
    path.mkdir()
    assert_refused(profile, path, INVALID)
    path.rmdir()
    outside = tmp_path / "outside.json"
    aside.rename(outside)
    path.symlink_to(outside)
    assert_refused(profile, path, UNSAFE, str(work.config_file("work").parent.parent))
    path.unlink()
    path.symlink_to(path)
    assert_refused(profile, path, UNSAFE)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_config_outside_the_directory_is_refused(work: AnthropicHome, profile: Profile, tmp_path: Path) -> None:
    path = work.config_file("work")
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    assert_refused(profile, path, UNSAFE)


@pytest.mark.parametrize(
    ("facts", "code", "fact"),
    [
        ({"authentication": None}, INVALID, "authentication must"),
        ({"authentication": []}, INVALID, "authentication must"),
        ({"authentication": {}}, INVALID, "authentication.type"),
        ({"authentication": {"type": ["user_oauth"]}}, INVALID, "authentication.type"),
        ({"authentication": {"type": "user_oauth", "client_id": 5}}, INVALID, "client_id"),
        ({"authentication": {"type": "user_oauth", "credentials_path": "c.json"}}, INVALID, "credentials_path"),
        ({"authentication": {"type": "user_oauth", "credentials_path": 5}}, INVALID, "credentials_path"),
        pytest.param(
            {"authentication": {"type": "user_oauth", "credentials_path": "~no-user/c"}},
            INVALID,
            "credentials_path",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="Python takes it for the folder beside the home"),
        ),
        ({"workspace_id": "a b"}, INVALID, "workspace_id"),
        ({"base_url": "http://api.example.com"}, "invalid-url", "base_url"),
        ({"base_url": "https://u:p@api.example.com"}, "invalid-url", "base_url"),
        ({"authentication": {"type": "oidc_federation"}}, INVALID, "federation_rule_id"),
        (
            {"authentication": {"type": "oidc_federation", "federation_rule_id": "r"}, "organization_id": "o"},
            INVALID,
            "ANTHROPIC_IDENTITY_TOKEN_FILE",
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
            INVALID,
            'source "file"',
        ),
    ],
)
def test_invalid_config_file_is_refused(
    work: AnthropicHome, profile: Profile, facts: dict[str, Any], code: str, fact: str
) -> None:
    assert_refused(profile, work.write_config("work", **facts), code, fact)


def test_plain_http_requires_the_flag(
    work: AnthropicHome, make_profile: MakeProfile, server: AuthorizationServer
) -> None:
    path = work.write_config("work", base_url=server.urls.issuer)
    assert_refused(make_profile(), path, "invalid-url", "https")


def test_credentials_path_may_be_outside_the_directory(work: AnthropicHome, profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "vault.json"
    write(path, json.dumps({"access_token": "at-vault"}).encode(), 0o600)
    work.write_config("work", authentication={"type": "user_oauth", "credentials_path": str(path)})
    assert take(profile).access_token.reveal() == "at-vault"
    if sys.platform != "win32":  # modes mean nothing there
        path.chmod(0o644)
        assert_refused(profile, path, UNSAFE, f"chmod 600 {path}")


# --- federation -----------------------------------------------------------------------------------------------------


@pytest.fixture
def federated(home: AnthropicHome, server: AuthorizationServer, tmp_path: Path) -> AnthropicHome:
    """An active profile that exchanges the machine's identity token."""
    (tmp_path / "jwt").write_text("eyJhbGciOiJSUzI1NiJ9.machine.c2ln\n")
    server.trust("eyJhbGciOiJSUzI1NiJ9.machine.c2ln")
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


def test_federated_profile_exchanges_the_identity_token(
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
def test_refused_exchange_is_not_retried(
    server: AuthorizationServer, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_ORGANIZATION_ID", "org-1")
    server.next_response(401, '{"error": {"type": "authentication_error"}}')
    with raises_code(ProviderRefused, "claude-federation-refused"):
        take(profile, ACTIVE)


def test_environment_does_not_decide_where_requests_go(
    home: AnthropicHome, server: AuthorizationServer, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.write_config("default", authentication={"type": "user_oauth", "client_id": "c"})
    home.write_credentials("default", access_token=AT, refresh_token=RT, expires_at=in_seconds(600))
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.urls.issuer)
    found = take(profile, ACTIVE)
    assert isinstance(found, ClaudeProfileToken)
    assert found.token_endpoint == "https://api.anthropic.com/v1/oauth/token"
