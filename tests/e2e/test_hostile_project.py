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
from freshkey import Configuration, Keeper
from freshkey_cli import commands
from freshkey_testing import AuthorizationServer, ScriptedUser
from freshkey_testing.browser import follow
from runnable import runnable


if sys.platform == "win32":
    # Without -P, `python -m` itself imports from the current directory, unlike the command that pip installs.
    FRESHKEY = [sys.executable, "-P", "-m", "freshkey"]
    PROGRAMS = ("cmd", "chcp", "where", "rundll32", "git", "op", "xdg-open")
    SCRIPT = "key.cmd"
else:
    from typist import Typist

    FRESHKEY = [str(Path(sys.executable).with_name("freshkey"))]
    PROGRAMS = ("sh", "git", "op", "security", "xdg-open")
    SCRIPT = "key"

BROWSER = "from freshkey_testing.browser import follow\nfollow(sys.argv[1])"


@frozen(kw_only=True)
class Victim:
    """A signed-in user who works in a hostile project."""

    server: AuthorizationServer
    catcher: Catcher
    home: Path
    project: Path

    @property
    def elsewhere(self) -> Path:
        """A harmless directory."""
        return self.home.with_name("elsewhere")

    @property
    def environ(self) -> dict[str, str]:
        foreign = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "ANTHROPIC_", "CLAUDE_", "FRESHKEY_", "WSL_", "PYTHON")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        places = {"FRESHKEY_CONFIG_DIR": str(self.home / "config"), "FRESHKEY_STATE_DIR": str(self.home / "state")}
        return inherited | places | {"HOME": str(self.home), "BROWSER": str(self.home / "browser")}

    def run(self, *argv: str, directory: Path | None = None) -> Done:
        return finished([*FRESHKEY, *argv], self.environ, directory=directory or self.project)

    def sign_in(self, directory: Path) -> None:
        """Sign in as `me`, in a directory."""
        if sys.platform == "win32":  # no variable names the browser there
            with Keeper(configuration=Configuration.load(self.environ)) as keeper:
                keeper.login("me", interaction=ScriptedUser(browser=follow, confirm=True))
            return
        done = self.run("login", "me", directory=directory)
        assert done.code == 0, done.err

    def token(self) -> str:
        """Return the user's token, printed in a harmless directory."""
        done = self.run("token", "me", directory=self.elsewhere)
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
    for directory in (home, home / "config", project, home.with_name("elsewhere")):
        directory.mkdir(mode=0o700)
    with AuthorizationServer() as server, Catcher() as catcher:
        settings = {"provider": "claude_oauth", "store": "file", "source": "oauth", **server.settings()}
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        text = "\n".join(['default = "me"', "[profiles.me]", *lines, "[profiles.second]", *lines])
        (home / "config" / "config.toml").write_text(text)
        (home / "config" / "config.toml").chmod(0o600)
        runnable(home / "browser", BROWSER)
        victim = Victim(server=server, catcher=catcher, home=home, project=project)
        victim.sign_in(victim.elsewhere)
        _make_hostile(victim)
        yield victim


def _make_hostile(victim: Victim) -> None:
    """Fill the project with files that tools are known to pick up from the current directory."""
    for name in ("key", *PROGRAMS):
        runnable(victim.project / name, f"open({str(victim.home / f'RAN-{name}')!r}, 'w')\nprint('stolen')")
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
api_key_helper = ["./SCRIPT"]
headers = {{ x-evil = "1" }}
proxy = "{0.catcher.url}"
{0.endpoints}""".replace("SCRIPT", SCRIPT)

REDEFINED = """profile = "me"
[profiles.me]
provider = "claude_oauth"
api_key_helper = ["./SCRIPT"]
{0.endpoints}""".replace("SCRIPT", SCRIPT)

HELPER = """profile = "evil"
[profiles.evil]
provider = "claude_oauth"
source = "api-key-helper"
api_key_helper = ["./SCRIPT"]
""".replace("SCRIPT", SCRIPT)

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

HARMLESS: dict[str, list[str]] = {"status": [], "trust": ["--list"], "providers": [], "new-provider": ["acme"]}
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
        assert str(Path("project", ".freshkey.toml")) in done.err
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
    victim.sign_in(victim.project)
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
    f'api_key_helper = ["../{SCRIPT}"]',
    f'api_key_helper = ["./x/../../{SCRIPT}"]',
    f'api_key_helper = "./{SCRIPT}"',
    f'api_key_helper = ["sh", "-c", "./{SCRIPT}"]',
    'anthropic_profile = "../../project/evil"',
]


def test_no_project_setting_does_harm(victim: Victim) -> None:  # TRU-5
    runnable(victim.home / "key", "open('RAN', 'w')")
    log = list(victim.server.log)
    for line in SETTINGS:
        setting = line.format(victim.catcher.url)
        victim.write(f'profile = "evil"\n[profiles.evil]\nprovider = "claude_oauth"\n{setting}\n')
        done = victim.run("token", "--json")
        assert (line, done.code, done.out) == (line, 6, "")
        assert done.error["profile"] == "evil"
    assert (victim.server.log, victim.harmed) == (log, [])


def grow(file: Path) -> None:
    file.write_text(f"{file.read_text()}{'#' * 300_000}")


def nest(file: Path) -> None:
    file.write_text("a = " + "[" * 100_000)


if sys.platform == "win32":
    UNSAFE = (grow, nest)
else:

    def link(file: Path) -> None:
        file.rename(file.with_name("real"))
        file.symlink_to("real")

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

    UNSAFE = (
        grow,
        nest,
        link,
        into_a_pipe,
        into_a_socket,
        let_others_write,
        *([give_away] if os.geteuid() == 0 else []),
    )


def test_no_unsafe_project_file_is_read(victim: Victim) -> None:
    log = list(victim.server.log)
    for how in UNSAFE:
        victim.write('profile = "second"')
        how(victim.project / ".freshkey.toml")
        for command in ("token", "logout"):
            done = victim.run(command)
            assert (how, done.code, done.out) == (how, 6, ""), done.err
            assert str(Path("project", ".freshkey.toml")) in done.err
        (victim.project / ".freshkey.toml").unlink()
    assert (victim.server.log, victim.harmed) == (log, [])


def test_project_may_only_select_one_of_the_users_profiles(victim: Victim) -> None:
    victim.write('profile = "second"')
    assert victim.run("token").error_code == "trust-required"
    assert victim.run("trust", "--yes", str(victim.project)).code == 0
    done = victim.run("token")
    assert (done.code, done.err.endswith("freshkey login second\n")) == (3, True)
    assert victim.run("token", "me").code == 0


if sys.platform == "win32":

    def trust(victim: Victim) -> None:
        """Trust the project; tests/plugins/cli/test_console.py has the question."""
        assert victim.run("trust", "--yes", str(victim.project)).code == 0

else:

    def trust(victim: Victim) -> None:
        """Trust the project."""
        with Typist([sys.executable, "-P", "-m", "freshkey", "trust", str(victim.project)], victim.environ) as typist:
            typist.read_until("[y/N]")
            typist.type("y\n")
            assert typist.end() == 0


def test_script_replaced_after_it_was_trusted_does_not_run(victim: Victim) -> None:  # TRU-3, FAULT-58
    victim.write(HELPER)
    harmless = "print('harmless-key')"
    runnable(victim.project / "key", harmless)
    trust(victim)
    assert victim.run("token").out == "harmless-key\n"

    runnable(victim.project / "key", f"open({str(victim.home / 'RAN')!r}, 'w')\nprint('stolen')")
    for command in (["token"], ["export"], ["refresh"], ["login", "evil"], ["logout", "evil"]):
        done = victim.run(*command)
        assert (done.code, done.out) == (6, ""), done.err
        assert f"freshkey trust {victim.project}" in done.err
    assert victim.harmed == []

    runnable(victim.project / "key", harmless)
    assert victim.run("token").out == "harmless-key\n"
    assert victim.run("trust", "--revoke", ".").code == 0
    assert victim.run("token").code == 6
