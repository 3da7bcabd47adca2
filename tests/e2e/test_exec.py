"""freshkey exec with real processes: the program gets the terminal, the signals, and only the intended environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from attrs import define

from freshkey_claude_oauth.description import VARIABLES
from freshkey_testing import AuthorizationServer, ScriptedUser
from freshkey_testing.browser import follow
from freshkey_testing.server.policy import Policy
from home import Home
from promises import proves
from typist import Typist


if sys.platform != "win32":
    import resource


if sys.platform != "linux":
    pytest.skip("needs /proc", allow_module_level=True)

SECONDS = 30.0

FOREIGN = {
    "ANTHROPIC_API_KEY": "sk-ant-api03-of-another-account",
    "ANTHROPIC_PROFILE": "another-account",
    "CLAUDE_CODE_USE_BEDROCK": "1",
    "CLAUDE_CODE_OAUTH_TOKEN": "another-account",
}
"""Other credentials of the same family, which a program must not see."""

NEIGHBOUR = {"AWS_PROFILE": "mine", "ANTHROPIC_BASE_URL": "https://gateway.example", "ODD": "line\nline \udcff"}
"""Variables that have nothing to do with the provider, or that only configure its clients."""

WAITING = """
import os, signal, sys, time

def tell(text):
    print(text, flush=True)

def size(*_):
    columns, rows = os.get_terminal_size()
    tell(f"{rows} rows, {columns} columns")

signal.signal(signal.SIGWINCH, size)
try:
    tell("ready")
    while True:
        time.sleep(0.05)
except KeyboardInterrupt:
    tell("interrupted")
    sys.exit(7)
"""
"""A program that prints the signals and window sizes it receives."""


LOGIN = """
from freshkey import Keeper
from freshkey_testing import ScriptedUser
from freshkey_testing.browser import follow

with Keeper() as keeper:
    keeper.login("me", interaction=ScriptedUser(browser=follow))
"""


@define(kw_only=True)
class User(Home):
    """A user who is signed in at a test server."""

    server: AuthorizationServer

    def configure_for_exec(self) -> None:
        self.configure(source="oauth", **self.server.settings())
        with self.keeper() as keeper:
            keeper.login("me", interaction=ScriptedUser(browser=follow))

    def command(self, *words: str, options: Sequence[str] = ()) -> list[str]:
        return [sys.executable, "-m", "freshkey", "exec", *options, "me", "--", *words]

    def run(self, *words: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words, options=options),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def server() -> Iterator[AuthorizationServer]:
    with AuthorizationServer(Policy(lifetime=7200.0)) as server:
        yield server


@pytest.fixture
def user(tmp_path: Path, server: AuthorizationServer) -> User:
    user = User(root=tmp_path, store="file", server=server)
    user.variables |= {"FRESHKEY_CONFIG_DIR": str(tmp_path / "config"), "FRESHKEY_STATE_DIR": str(tmp_path / "state")}
    user.configure_for_exec()
    return user


def cmdline(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text("utf-8").split("\0")


def environ(pid: int) -> dict[str, str]:
    entries = os.fsdecode(Path(f"/proc/{pid}/environ").read_bytes()).split("\0")
    pairs = [entry.partition("=") for entry in entries if entry]
    assert len({name for name, _, _ in pairs}) == len(pairs)
    return {name: value for name, _, value in pairs}


@pytest.fixture
def terminal(user: User) -> Iterator[Typist]:
    """Return a terminal in which the waiting program runs."""
    with Typist(user.command(sys.executable, "-c", WAITING), user.environment) as typist:
        typist.read_until("ready")
        yield typist


def test_ctrl_c_reaches_the_program_and_its_exit_code_is_returned(terminal: Typist) -> None:
    assert "freshkey" not in cmdline(terminal.pid)
    terminal.interrupt()

    assert terminal.end() == 7
    assert terminal.screen.count("interrupted") == 1
    assert "freshkey: interrupted" not in terminal.screen


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_signals_reach_only_the_program(terminal: Typist, number: signal.Signals) -> None:
    os.kill(terminal.pid, number)

    assert terminal.end() == -number
    assert "freshkey" not in terminal.screen


def test_window_size_reaches_the_program(terminal: Typist) -> None:
    terminal.resize(41, 97)
    terminal.read_until("41 rows, 97 columns")
    terminal.resize(12, 30)
    terminal.read_until("12 rows, 30 columns")


def test_program_in_the_terminal_can_be_stopped_and_continued(terminal: Typist) -> None:
    os.kill(terminal.pid, signal.SIGSTOP)
    os.kill(terminal.pid, signal.SIGCONT)
    terminal.interrupt()
    assert terminal.end() == 7


@pytest.mark.parametrize("code", [0, 1, 3, 42, 127, 255])
def test_exit_code_is_that_of_the_program(user: User, code: int) -> None:
    assert user.run("sh", "-c", f"exit {code}").returncode == code


def test_death_by_signal_is_that_of_the_program(user: User) -> None:
    assert user.run("sh", "-c", "kill -USR1 $$").returncode == -signal.SIGUSR1


@proves("FAULT-60", "LEK-4", "LEK-7")
def test_environment_is_exactly_as_documented(user: User, server: AuthorizationServer) -> None:
    user.variables |= FOREIGN | NEIGHBOUR
    command = user.command(sys.executable, "-c", WAITING)
    with subprocess.Popen(command, env=user.environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        seen, words = environ(process.pid), cmdline(process.pid)
        process.kill()

    token = user.freshkey("token").stdout.strip()
    with user.keeper() as keeper:
        own = keeper.get("me").environment()
    inherited = {name: value for name, value in user.environment.items() if name not in VARIABLES}
    assert seen == inherited | own
    assert own["ANTHROPIC_AUTH_TOKEN"] == token
    assert token in server.secrets()
    assert set(NEIGHBOUR) <= set(seen)
    assert not [name for name in FOREIGN if name in set(seen) - set(own)]
    for secret in server.secrets() - {token}:
        assert secret not in str(seen)
    assert not [secret for secret in server.secrets() if secret in str(words)]


@proves("LEK-4")
@pytest.mark.parametrize("variable", ["FRESHKEY_PASSPHRASE", "MY_VAULT"])
def test_program_does_not_get_what_unlocks_the_store(
    tmp_path: Path, server: AuthorizationServer, variable: str
) -> None:
    user = User(root=tmp_path, store="file", server=server)
    user.variables |= {"FRESHKEY_CONFIG_DIR": str(tmp_path / "config"), "FRESHKEY_STATE_DIR": str(tmp_path / "state")}
    user.configure(source="oauth", **server.settings())
    config = tmp_path / "config" / "config.toml"
    config.write_text(config.read_text("utf-8") + f'\n[stores.file]\npassphrase_env = "{variable}"\n', "utf-8")
    user.variables |= {variable: "correct horse", "CLAUDE_CODE_OAUTH_REFRESH_TOKEN": "left-over"}
    login = [sys.executable, "-c", LOGIN]
    subprocess.run(login, env=user.environment, timeout=60, check=True)
    done = user.run("env", "-0")
    seen = dict(entry.split("=", 1) for entry in done.stdout.split("\0") if entry)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ANTHROPIC_AUTH_TOKEN" in seen
    assert seen["FRESHKEY_STATE_DIR"] == str(tmp_path / "state")
    assert "correct horse" not in done.stdout
    assert "left-over" not in done.stdout


@pytest.mark.parametrize("locale", [{}, {"LC_CTYPE": "C.UTF-8"}, {"LANG": "C.UTF-8"}, {"LC_ALL": "C"}])
def test_locale_variables_added_by_python_are_not_inherited(user: User, locale: dict[str, str]) -> None:
    inherited = {name: value for name, value in user.environment.items() if not name.startswith(("LC_", "LANG"))}
    command = user.command("env", "-0")
    done = subprocess.run(command, env=inherited | locale, capture_output=True, text=True, timeout=60, check=True)
    seen = dict(entry.split("=", 1) for entry in done.stdout.split("\0") if entry)

    assert {name: seen[name] for name in seen if name.startswith(("LC_", "LANG"))} == locale


def test_no_secret_was_ever_an_argument(user: User, server: AuthorizationServer) -> None:
    command = user.command(sys.executable, "-c", WAITING)
    shown: set[str] = set()
    with subprocess.Popen(command, env=user.environment, stdout=subprocess.PIPE) as process:
        while "freshkey" in (words := cmdline(process.pid)) or words == [""]:
            shown |= set(words)
        shown |= set(words)
        process.kill()
    assert {"freshkey", "exec"} <= shown
    assert not [secret for secret in server.secrets() if secret in str(shown)]


def test_only_standard_streams_and_kept_descriptors_are_open(user: User, tmp_path: Path) -> None:
    kept, other = (os.open(tmp_path / name, os.O_CREAT | os.O_RDWR) for name in ("kept", "other"))
    command = user.command(sys.executable, "-c", WAITING, options=["--keep-fd", str(kept)])
    try:
        with subprocess.Popen(command, env=user.environment, stdout=subprocess.PIPE, pass_fds=(kept, other)) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            there = {int(entry.name) for entry in Path(f"/proc/{process.pid}/fd").iterdir()}
            at = Path(f"/proc/{process.pid}/fd/{kept}").readlink()
            process.kill()
    finally:
        os.close(kept)
        os.close(other)
    assert there == {0, 1, 2, kept}
    assert at == tmp_path / "kept"


@pytest.mark.parametrize("kept", [False, True])
def test_descriptor_the_credential_was_read_from_is_closed_and_cannot_be_kept(user: User, kept: bool) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"sk-ant-api03-handed-in-0123456789\n")
    os.close(writing)
    options = ["--keep-fd", str(reading)] if kept else []
    show = f"printenv ANTHROPIC_API_KEY; printenv CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR; test -e /proc/self/fd/{reading}"
    done = subprocess.run(
        [sys.executable, "-m", "freshkey", "exec", "--bare", *options, "claude_oauth", "--", "sh", "-c", show],
        env=user.environment | {"CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR": str(reading)},
        pass_fds=[reading],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(reading)
    if kept:
        assert (done.returncode, done.stdout) == (6, "")
        assert "[invalid-descriptor]" in done.stderr
    else:
        assert (done.returncode, done.stdout, done.stderr) == (1, "sk-ant-api03-handed-in-0123456789\n", "")


def test_descriptor_that_was_not_inherited_is_refused(user: User) -> None:
    done = user.run("true", options=["--keep-fd", "9"])

    assert (done.returncode, done.stdout) == (6, "")
    assert "[invalid-descriptor]" in done.stderr
    assert "file descriptor 9" in done.stderr


def test_closed_streams_become_the_null_device(user: User) -> None:
    words = [*user.command("sh", "-c", "readlink /proc/self/fd/0 >&2")]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&-', "sh", *words],
        env=user.environment,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "/dev/null\n")


LIMITS = (
    "import ctypes, resource; print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
)
"""Prints the core dump limit, and whether processes of the same user may read this one (PR_GET_DUMPABLE)."""


@pytest.mark.parametrize("soft", ["0", "1024"])
def test_core_dump_limits_are_those_freshkey_was_started_with(user: User, soft: str) -> None:  # LEK-5
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard != resource.RLIM_INFINITY and hard < 1024:
        pytest.skip("the core dump limit cannot be raised here")
    limited = ["sh", "-c", 'ulimit -S -c "$1"; shift; exec "$@"', "sh", soft]
    directly, through = (
        subprocess.run(
            [*limited, *command], env=user.environment, capture_output=True, text=True, timeout=60, check=True
        ).stdout
        for command in ([sys.executable, "-c", LIMITS], user.command(sys.executable, "-c", LIMITS))
    )
    assert through == directly
    assert through.endswith(" 1\n")


@pytest.mark.parametrize("start", ["", "trap '' HUP; ", "trap '' INT; trap '' TERM; "])
def test_signal_settings_are_those_freshkey_was_started_with(user: User, start: str) -> None:
    show = ["grep", "^Sig[BCI]", "/proc/self/status"]
    directly, through = (
        subprocess.run(
            ["sh", "-c", f'{start}exec "$@"', "sh", *command],
            env=user.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for command in (show, user.command(*show))
    )
    assert "SigIgn" in directly
    assert through == directly


@pytest.mark.parametrize(
    ("command", "exit_code", "code"),
    [
        ("no-such-command", 127, "command-not-found"),
        ("", 127, "command-not-found"),
        ("./nowhere/tool", 127, "command-not-found"),
        ("/etc/hostname/tool", 127, "command-not-found"),
        ("/", 126, "command-not-executable"),
    ],
)
def test_command_that_cannot_be_run(user: User, command: str, exit_code: int, code: str) -> None:
    done = user.run(command)

    assert (done.returncode, done.stdout) == (exit_code, "")
    assert f"[{code}]" in done.stderr
    assert repr(command) in done.stderr
    assert "Traceback" not in done.stderr


def test_file_that_is_not_a_program(user: User, tmp_path: Path) -> None:
    file = tmp_path / "tool"
    file.write_text("echo ran\n")
    assert user.run(str(file)).returncode == 126
    file.chmod(0o700)
    done = user.run(str(file))  # without a #! line
    assert (done.returncode, done.stdout) == (126, "")
    assert "Exec format error" in done.stderr


def test_program_is_found_on_path(user: User, tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho found by $0 with $#\n")
    tool.chmod(0o700)
    user.variables["PATH"] = f"{tmp_path}:{os.environ['PATH']}"

    assert user.run("tool", "", "--json", "a b").stdout == f"found by {tool} with 3\n"


def test_nothing_runs_if_no_one_is_signed_in(user: User, tmp_path: Path) -> None:
    user.freshkey("logout")
    done = user.run("touch", str(tmp_path / "ran"))

    assert (done.returncode, (tmp_path / "ran").exists()) == (3, False)


@proves("FAULT-17", "ROT-10")
def test_signal_before_the_program_runs_lets_the_renewal_finish(
    user: User, tmp_path: Path, server: AuthorizationServer
) -> None:
    server.policy.lifetime = 1.0
    assert user.freshkey("refresh").returncode == 0
    while '"expired"' not in user.freshkey("status", "--json").stdout:
        time.sleep(0.1)
    server.policy.lifetime = 7200.0
    server.hold()
    with subprocess.Popen(user.command("touch", str(tmp_path / "ran")), env=user.environment) as process:
        server.wait_until_held()
        process.send_signal(signal.SIGTERM)
        server.release()
        assert process.wait(SECONDS) == 128 + signal.SIGTERM
    assert not (tmp_path / "ran").exists()
    assert user.run("touch", str(tmp_path / "ran")).returncode == 0
    assert (tmp_path / "ran").exists()
    assert server.count("grant.refresh_token") == 2
    assert server.count("refresh_token.reused") == 0


def test_warns_if_the_credential_expires_soon(user: User, server: AuthorizationServer) -> None:
    assert user.run("true").stderr == ""
    server.policy.lifetime = 600.0
    assert user.freshkey("refresh").returncode == 0
    assert " 9 min 5" in user.run("true").stderr
