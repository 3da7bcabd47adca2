"""Anthropic's command line, unmodified, makes authorized requests with credentials from freshkey."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from counterparts.messages_api import ANSWER, OAUTH_BETA, MessagesApi
from counterparts.requires import CLAUDE, require
from freshkey_testing import AuthorizationServer, Policy, ScriptedUser, assert_no_secret
from freshkey_testing.browser import follow
from home import Home
from onlooker import files_below, watched_arguments
from source_tree import ROOT


pytestmark = [
    pytest.mark.counterpart,
    pytest.mark.skipif(sys.platform == "win32", reason="the helper is written for a POSIX shell"),
]

FRESHKEY = shlex.join([sys.executable, "-m", "freshkey"])
README = (ROOT / "plugins" / "claude_oauth" / "README.md").read_text("utf-8")
SETTINGS: dict[str, Any] = json.loads(README.partition("<!-- test: claude -->\n```json\n")[2].partition("```")[0])
"""Settings of Claude Code from the README."""
HELPER = SETTINGS | {"apiKeyHelper": SETTINGS["apiKeyHelper"].replace("freshkey", FRESHKEY, 1)}

LIFETIME = 30.0
"""Lifetime of an access token in seconds; it can be renewed after a tenth of it."""

QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
}
"""Turns off everything but responses, and blocks the network except loopback with a proxy that does not exist."""


@define
class Claude:
    """Claude's command line with its own home directory."""

    root: Path
    variables: dict[str, str]
    ran: list[subprocess.CompletedProcess[str]] = field(factory=list)
    arguments: set[str] = field(factory=set)

    @property
    def home(self) -> Path:
        return self.root / "claude-home"

    def set_up(self, settings: Mapping[str, object]) -> None:
        folder = self.home / "config"
        folder.mkdir(parents=True)
        (self.root / "work").mkdir()
        (folder / "settings.json").write_text(json.dumps(settings))

    def ask(self, *before: str, **variables: str) -> str:
        """Ask one question, with another command in front if given, and return the answer."""
        with watched_arguments() as seen:
            done = subprocess.run(
                [*before, str(CLAUDE), "-p", "Say good morning"],
                env={**self.variables, **variables},
                cwd=self.root / "work",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )
        self.ran.append(done)
        self.arguments |= seen
        assert done.returncode == 0, f"claude ended with {done.returncode}: {done.stdout[-500:]} {done.stderr[-500:]}"
        return done.stdout.strip()


@pytest.fixture
def server() -> Iterator[AuthorizationServer]:
    with AuthorizationServer(Policy(state_in_body=True, lifetime=LIFETIME)) as running:
        yield running


@pytest.fixture
def api(server: AuthorizationServer) -> Iterator[MessagesApi]:
    with MessagesApi(server) as running:
        yield running


@pytest.fixture
def signed_in(tmp_path: Path, server: AuthorizationServer) -> Home:
    """A user whose sign-in is stored in the encrypted file."""
    home = Home(tmp_path, "file")
    home.variables["FRESHKEY_CONFIG_DIR"] = str(tmp_path / "config")
    home.variables["FRESHKEY_STATE_DIR"] = str(tmp_path / "state")
    home.configure(**server.settings())
    with home.keeper() as keeper, ScriptedUser(browser=follow) as user:
        keeper.login(interaction=user)
    return home


@pytest.fixture
def claude(tmp_path: Path, signed_in: Home, api: MessagesApi) -> Claude:
    require("claude")
    home = tmp_path / "claude-home"
    places = {"HOME": str(home), "CLAUDE_CONFIG_DIR": str(home / "config"), "PATH": "/usr/bin:/bin"}
    return Claude(tmp_path, {**places, **QUIET, **signed_in.variables, "ANTHROPIC_BASE_URL": api.url})


def wait_until_it_can_be_renewed() -> None:
    """Wait until the sign-in is old enough: a credential is not renewed right after it was obtained."""
    time.sleep(LIFETIME / 10)


def assert_kept_secret(claude: Claude, server: AuthorizationServer) -> None:
    """Check that Claude's files and output and all process arguments contain no token."""
    secrets = server.secrets()
    assert secrets
    for done in claude.ran:
        assert_no_secret(done.stdout + done.stderr, secrets, "what claude printed")
    assert_no_secret("\n".join(claude.arguments), secrets, "an argument list")
    files = list(files_below(claude.home, claude.root / "work"))
    assert files
    for path, content in files:
        assert_no_secret(content, secrets, f"the file {path.name}")


def test_freshkey_as_the_helper_renews_once_after_a_refusal(
    claude: Claude, api: MessagesApi, server: AuthorizationServer
) -> None:
    claude.set_up(HELPER)
    assert claude.ask() == ANSWER
    assert api.statuses == [200]
    assert server.count("grant.refresh_token") == 0

    wait_until_it_can_be_renewed()
    api.just_before_the_next(server.expire_access_tokens)
    assert claude.ask() == ANSWER
    assert api.statuses == [200, 401, 200]
    assert server.count("grant.refresh_token") == 1
    assert_kept_secret(claude, server)


def test_revoked_token_is_renewed_before_claude_gets_it(
    claude: Claude, api: MessagesApi, server: AuthorizationServer
) -> None:
    claude.set_up(HELPER)
    wait_until_it_can_be_renewed()
    server.expire_access_tokens()
    assert claude.ask() == ANSWER
    assert api.statuses == [200]
    assert server.count("grant.refresh_token") == 1


def test_exec_passes_the_token_and_its_header(claude: Claude, api: MessagesApi, server: AuthorizationServer) -> None:
    claude.set_up({})
    assert claude.ask(*shlex.split(FRESHKEY), "exec", "me", "--") == ANSWER
    asked = api.messages[0]
    assert OAUTH_BETA in asked.headers["anthropic-beta"]
    assert "x-api-key" not in asked.headers
    assert api.statuses == [200]
    assert server.count("grant.refresh_token") == 0
    assert_kept_secret(claude, server)
