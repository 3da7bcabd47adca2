"""In a hostile project no command leaks the user's credentials or runs the project's code."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from catcher import Catcher
from cli_doubles import Done, finished
from freshkey_cli import commands
from freshkey_testing import AuthorizationServer
from typist import Typist


if sys.platform == "win32":
    pytest.skip("scripts and modes are POSIX", allow_module_level=True)

AS_ROOT = os.geteuid() == 0
FRESHKEY = Path(sys.executable).with_name("freshkey")
BROWSER = f"#!{sys.executable} -I\nimport sys\nfrom freshkey_testing.browser import follow\nfollow(sys.argv[1])\n"


@frozen(kw_only=True)
class Victim:
    """A signed-in user who works in a hostile project."""

    server: AuthorizationServer
    catcher: Catcher
    home: Path
    project: Path

    @property
    def environ(self) -> dict[str, str]:
        foreign = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "ANTHROPIC_", "CLAUDE_", "FRESHKEY_", "WSL_", "PYTHON")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        places = {"FRESHKEY_CONFIG_DIR": str(self.home / "config"), "FRESHKEY_STATE_DIR": str(self.home / "state")}
        return inherited | places | {"HOME": str(self.home), "BROWSER": str(self.home / "browser")}

    def run(self, *argv: str, directory: Path | None = None) -> Done:
        return finished([FRESHKEY, *argv], self.environ, directory=directory or self.project)

    def token(self) -> str:
        """Return the user's token, printed in a harmless directory."""
        done = self.run("token", "me", directory=self.home)
        assert done.code == 0, done.err
        return done.out

    @property
    def harmed(self) -> list[str]:
        """The harm done: files created by programs that ran, and what was sent to the attacker."""
        ran = [str(file) for file in (*self.home.glob("RAN*"), *self.project.glob("RAN*"))]
        return [*ran, *map(repr, self.catcher.caught)]

    def write(self, text: str) -> None:
        (self.project / ".freshkey.toml").write_text(text)
        (self.project / ".freshkey.toml").chmod(0o600)

    @property
    def endpoints(self) -> str:
        """The attacker's URLs as settings."""
        names = ("issuer", "authorize_url", "token_url", "revoke_url", "device_url", "profile_url", "base_url")
        lines = [f"{name} = {json.dumps(self.catcher.url + '/' + name)}" for name in names]
        return "\n".join([*lines, "allow_insecure_loopback = true\n"])


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    home = tmp_path.resolve() / "home"
    project = home / "project"
    for directory in (home, home / "config", project):
        directory.mkdir(mode=0o700)
    with AuthorizationServer() as server, Catcher() as catcher:
        settings = {"provider": "claude_oauth", "store": "file", "source": "oauth", **server.settings()}
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        text = "\n".join(['default = "me"', "[profiles.me]", *lines, "[profiles.second]", *lines])
        (home / "config" / "config.toml").write_text(text)
        (home / "config" / "config.toml").chmod(0o600)
        (home / "browser").write_text(BROWSER)
        (home / "browser").chmod(0o700)
        victim = Victim(server=server, catcher=catcher, home=home, project=project)
        signed_in = victim.run("login", "me", directory=home)
        assert signed_in.code == 0, signed_in.err
        _make_hostile(victim)
        yield victim


def _make_hostile(victim: Victim) -> None:
    """Fill the project with files that tools are known to pick up from the current directory."""
    steal = f'#!/bin/sh\ntouch {victim.home}/RAN-$(basename "$0")\necho stolen\n'
    for name in ("key.sh", "sh", "git", "op", "security", "xdg-open"):
        (victim.project / name).write_text(steal)
        (victim.project / name).chmod(0o700)
    for name in ("sitecustomize", "attrs", "httpx", "keyring", "json", "freshkey_claude_oauth"):
        (victim.project / f"{name}.py").write_text(f"open({str(victim.home / f'RAN-{name}')!r}, 'w')\n")
    (victim.project / "config.toml").write_text(f'default = "me"\n[profiles.me]\n{victim.endpoints}')
    (victim.project / ".env").write_text(f"ANTHROPIC_BASE_URL={victim.catcher.url}\nFRESHKEY_PROFILE=evil\n")
    (victim.project / ".git").mkdir()


EVERYTHING = """profile = "evil"
[profiles.evil]
provider = "claude_oauth"
store = "file"
client_id = "theirs"
api_key_helper = ["./key.sh"]
headers = {{ x-evil = "1" }}
proxy = "{0.catcher.url}"
{0.endpoints}"""

REDEFINED = """profile = "me"
[profiles.me]
provider = "claude_oauth"
api_key_helper = ["./key.sh"]
{0.endpoints}"""

HELPER = """profile = "evil"
[profiles.evil]
provider = "claude_oauth"
source = "api-key-helper"
api_key_helper = ["./key.sh"]
"""

TOP_LEVEL = """default = "evil"
observers = ["evil"]
[stores.file]
key_file = "stolen"
[profiles.evil]
provider = "claude_oauth"
"""

COMMANDS: dict[str, list[str]] = {
    "login": [],
    "logout": [],
    "refresh": [],
    "whoami": [],
    "explain": [],
    "token": [],
    "export": ["--format", "json"],
    "exec": ["--", "touch", "RAN"],
    "trust": [],
}
"""Each command that uses the default profile, with its arguments; it exits with code 6."""

HARMLESS: dict[str, list[str]] = {"status": [], "trust": ["--list"], "providers": []}
"""Each command that needs no profile, with its arguments; it exits with code 0."""


def test_tables_contain_every_command() -> None:
    """Except `demo`, which has its own server, configuration and directory."""
    assert {*COMMANDS, *HARMLESS} == set(commands.OWN)


@pytest.mark.parametrize("text", [EVERYTHING, REDEFINED, HELPER, TOP_LEVEL], ids=range(4))
def test_no_command_harms_the_user(victim: Victim, text: str) -> None:  # TRU-3, TRU-5
    before, log = victim.token(), list(victim.server.log)
    victim.write(text.format(victim))

    for command, arguments in COMMANDS.items():
        done = victim.run(command, *arguments)
        assert (command, done.code, done.out) == (command, 6, ""), done.err
        assert "/project/.freshkey.toml" in done.err
        assert "Traceback" not in done.err
    for command, arguments in HARMLESS.items():
        done = victim.run(command, *arguments)
        assert (command, done.code) == (command, 0), done.err

    assert victim.server.log == log  # not even contacted, let alone revoked
    assert victim.harmed == []
    assert victim.token() == before


def test_profile_given_by_name_is_always_the_users(victim: Victim) -> None:  # TRU-5
    before = victim.token()
    victim.write(REDEFINED.format(victim))
    assert victim.run("token", "me").out == before
    assert victim.run("whoami", "me").code == 0
    assert victim.run("refresh", "me").code == 0
    assert victim.run("explain", "me").code == 0
    assert victim.run("export", "me").code == 0
    assert victim.run("logout", "me", "--json").json["revoked"] is True
    assert victim.run("login", "me").code == 0
    assert victim.harmed == []


def test_victim_detects_connections_and_created_files(victim: Victim) -> None:
    with socket.create_connection(("127.0.0.1", int(victim.catcher.url.rpartition(":")[2]))) as connection:
        connection.sendall(b"token")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    (victim.project / "RAN").touch()
    assert victim.harmed == [str(victim.project / "RAN"), "b'token'"]


SETTINGS = [
    'issuer = "{0}"',
    'authorize_url = "{0}"',
    'token_url = "{0}"',
    'revoke_url = "{0}"',
    'profile_url = "{0}"',
    'base_url = "{0}"',
    'proxy = "{0}"',
    'hosts = ["127.0.0.1"]',
    'headers = {{ x = "y" }}',
    'client_id = "theirs"',
    'store = "file"',
    'skip = ["oauth"]',
    "allow_insecure_loopback = true",
    'identity_token_file = "/etc/passwd"',
    'api_key_helper = ["../key.sh"]',
    'api_key_helper = ["./x/../../key.sh"]',
    'api_key_helper = "./key.sh"',
    'api_key_helper = ["sh", "-c", "./key.sh"]',
    'anthropic_profile = "../../project/evil"',
]


def test_no_project_setting_does_harm(victim: Victim) -> None:  # TRU-5
    (victim.home / "key.sh").write_text("#!/bin/sh\ntouch RAN\n")
    (victim.home / "key.sh").chmod(0o700)
    log = list(victim.server.log)
    for line in SETTINGS:
        setting = line.format(victim.catcher.url)
        victim.write(f'profile = "evil"\n[profiles.evil]\nprovider = "claude_oauth"\n{setting}\n')
        done = victim.run("token", "--json")
        assert (line, done.code, done.out) == (line, 6, "")
        assert done.error["profile"] == "evil"
    assert (victim.server.log, victim.harmed) == (log, [])


def link(file: Path) -> None:
    file.rename(file.with_name("real"))
    file.symlink_to("real")


def grow(file: Path) -> None:
    file.write_text(f"{file.read_text()}{'#' * 300_000}")


def into_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def into_a_socket(file: Path) -> None:
    file.unlink()
    with socket.socket(socket.AF_UNIX) as one:
        # The path of a test directory may be too long for a socket.
        before = Path.cwd()
        os.chdir(file.parent)
        try:
            one.bind(file.name)
        finally:
            os.chdir(before)


def give_away(file: Path) -> None:
    os.chown(file, 12345, -1)


def let_others_write(file: Path) -> None:
    file.chmod(0o666)


def nest(file: Path) -> None:
    file.write_text("a = " + "[" * 100_000)


def test_no_unsafe_project_file_is_read(victim: Victim) -> None:
    log = list(victim.server.log)
    for how in (link, grow, into_a_pipe, into_a_socket, let_others_write, nest, *([give_away] if AS_ROOT else [])):
        victim.write('profile = "second"')
        how(victim.project / ".freshkey.toml")
        for command in ("token", "logout"):
            done = victim.run(command)
            assert (how, done.code, done.out) == (how, 6, ""), done.err
            assert "/project/.freshkey.toml" in done.err
        (victim.project / ".freshkey.toml").unlink()
    assert (victim.server.log, victim.harmed) == (log, [])


def test_project_may_only_select_one_of_the_users_profiles(victim: Victim) -> None:
    victim.write('profile = "second"')
    assert victim.run("token").error_code == "trust-required"
    assert victim.run("trust", "--yes", str(victim.project)).code == 0
    done = victim.run("token")
    assert (done.code, done.err.endswith("freshkey login second\n")) == (3, True)
    assert victim.run("token", "me").code == 0


def test_script_replaced_after_it_was_trusted_does_not_run(victim: Victim) -> None:  # TRU-3, FAULT-58
    victim.write(HELPER)
    script = victim.project / "key.sh"
    script.write_text("#!/bin/sh\necho harmless-key\n")
    with Typist([sys.executable, "-P", "-m", "freshkey", "trust", str(victim.project)], victim.environ) as typist:
        typist.read_until("[y/N]")
        typist.type("y\n")
        assert typist.end() == 0
    assert victim.run("token").out == "harmless-key\n"

    script.write_text(f"#!/bin/sh\ntouch {victim.home}/RAN\necho stolen\n")
    for command in (["token"], ["export"], ["refresh"], ["login", "evil"], ["logout", "evil"]):
        done = victim.run(*command)
        assert (done.code, done.out) == (6, ""), done.err
        assert f"freshkey trust {victim.project}" in done.err
    assert victim.harmed == []

    script.write_text("#!/bin/sh\necho harmless-key\n")
    assert victim.run("token").out == "harmless-key\n"
    assert victim.run("trust", "--revoke", ".").code == 0
    assert victim.run("token").code == 6
