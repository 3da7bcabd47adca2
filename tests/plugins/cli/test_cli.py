"""The command line as a whole: exit codes, errors in both forms, broken pipes, hardening (LEK-5, LEK-6)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import freshkey_cli
from cli_doubles import FakeKeeper, Run
from freshkey import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.LoginRequired("x"), 3),
        (errors.StoreUnavailable("x"), 4),
        (errors.StoreBusy("x"), 4),
        (errors.RecordUnreadable("x"), 4),
        (errors.GenerationConflict("x"), 4),
        (errors.TransientError("x"), 5),
        (errors.OutcomeUnknown("x"), 5),
        (errors.ProtocolError("x"), 5),
        (errors.CredentialExpired("x"), 5),
        (errors.KeeperClosed("x"), 5),
        (errors.ConfigurationError("x"), 6),
        (errors.ProviderRefused("x"), 6),
        (errors.PluginBroken("x"), 6),
        (errors.FreshkeyError("x"), 6),
    ],
)
def test_exit_codes_are_a_promise(run: Run, keeper: FakeKeeper, error: errors.FreshkeyError, code: int) -> None:
    keeper.fails = error
    done = run("token")

    assert (done.code, done.out) == (code, "")
    assert "Traceback" not in done.err
    assert keeper.closed


def test_error_says_what_happened_and_what_to_do(run: Run, keeper: FakeKeeper) -> None:
    keeper.fails = errors.LoginRequired("nobody is signed in", profile="me", hint="Run: freshkey login me")

    assert run("token").err == "freshkey: me: nobody is signed in. Run: freshkey login me\n"


def test_error_for_programs_is_one_object_on_standard_error(run: Run, keeper: FakeKeeper) -> None:
    keeper.fails = errors.TransientError("busy", profile="me", hint="Try again", retry_after=7.0)
    done = run("token", "--json")

    assert done.out == ""
    assert json.loads(done.err) == {
        "error": {
            "kind": "TransientError",
            "profile": "me",
            "message": "busy",
            "hint": "Try again",
            "exit_code": 5,
            "retry_after": 7.0,
        }
    }


def test_error_text_is_shown_and_never_obeyed(run: Run, keeper: FakeKeeper) -> None:
    keeper.fails = errors.ProviderRefused("\x1b[31mred")

    assert "\x1b" not in run("token").err


def test_configuration_errors_exit_6(run: Run, config: Path) -> None:
    config.write_text('defualt = "me"')
    done = run("token")

    assert (done.code, done.out) == (6, "")
    assert "line 1: there is no key 'defualt'. Did you mean 'default'?" in done.err


def test_profile_comes_from_the_environment(run: Run, keeper: FakeKeeper) -> None:
    run("token", FRESHKEY_PROFILE="other")

    assert keeper.asked == [("get", "other", 0.0)]


def test_interruption_is_a_message_and_130(run: Run, keeper: FakeKeeper) -> None:
    keeper.fails = KeyboardInterrupt()
    done = run("token")

    assert (done.code, done.out, done.err) == (130, "", "freshkey: interrupted\n")


# --- in a process of its own ------------------------------------------------------------------------------------------


@pytest.fixture
def environ(config: Path) -> dict[str, str]:
    places = {"FRESHKEY_CONFIG_DIR": str(config.parent), "FRESHKEY_STATE_DIR": str(config.parent / "state")}
    return dict(os.environ) | places


def test_reader_that_went_away_causes_no_traceback(environ: dict[str, str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "freshkey", "providers"],
        env=environ,
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)

    assert (done.returncode, done.stderr) == (141, b"")


def shell(environ: dict[str, str], words: str) -> subprocess.CompletedProcess[str]:
    """Run freshkey with the redirections of a shell."""
    command = f'"$0" -m freshkey {words}'
    return subprocess.run(
        ["sh", "-c", command, sys.executable], env=environ, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(sys.platform == "win32", reason="sh's redirections are POSIX")
def test_messages_never_reach_standard_output_where_standard_error_is_closed(environ: dict[str, str]) -> None:
    done = shell(environ, "token nobody-of-that-name 2>&-")

    assert (done.returncode, done.stdout) == (6, "")  # print(file=None) would write to standard output


@pytest.mark.skipif(sys.platform == "win32", reason="sh's redirections are POSIX")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_closed_streams_cause_no_traceback(environ: dict[str, str], closed: str) -> None:
    done = shell(environ, f"providers {closed}")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="sh's redirections are POSIX")
def test_streams_that_were_closed_get_their_own_numbers(environ: dict[str, str]) -> None:
    program = (
        "import os, sys; from freshkey_cli import process; process.whole_streams();"
        "numbers = [sys.stdin.fileno(), sys.stdout.fileno(), sys.stderr.fileno()];"
        "os._exit(numbers != [0, 1, 2] or not all(map(os.get_inheritable, numbers)))"
    )
    done = subprocess.run(["sh", "-c", '"$0" -c "$1" <&- >&- 2>&-', sys.executable, program], env=environ, check=False)

    assert done.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_result_that_cannot_be_written_is_told_and_exits_1(environ: dict[str, str]) -> None:
    done = shell(environ, "providers >/dev/full")

    assert done.returncode == 1
    assert done.stderr == "freshkey: the result could not be written: No space left on device\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_standard_error_that_is_full_changes_no_exit_code(environ: dict[str, str]) -> None:
    done = shell(environ, "token nobody-of-that-name 2>/dev/full")

    assert (done.returncode, done.stdout, done.stderr) == (6, "", "")


def test_text_that_the_terminal_cannot_show_is_escaped(environ: dict[str, str], config: Path) -> None:
    program = (
        "import sys; from unittest import mock; import freshkey_cli;"
        "from freshkey_cli import providers, exits;"
        "show = lambda context: context.out.result({}, ['\u2192 ok']) or exits.OK;"
        "mock.patch.object(providers, 'run', show).start(); sys.exit(freshkey_cli.main(['providers']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, b"\\u2192 ok\n")


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) and /proc are Linux's")
def test_process_cannot_be_dumped_or_read_by_others(environ: dict[str, str]) -> None:
    program = (
        "import ctypes, resource; from freshkey_cli import process; process.harden();"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["0", "0"]


def test_main_hardens_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def note_run(argv: list[str]) -> int:
        order.append("run")
        return 7

    monkeypatch.setattr("freshkey_cli.process.harden", lambda: order.append("harden"))
    monkeypatch.setattr("freshkey_cli.run", note_run)
    before = signal.getsignal(signal.SIGTERM)

    assert freshkey_cli.main(["status"]) == 7
    assert order == ["harden", "run"]
    assert signal.getsignal(signal.SIGTERM) is before


def loaded_by(words: list[str], names: str) -> str:
    """Return those of the names that running a command line loads."""
    program = (
        f"import sys; import freshkey_cli; freshkey_cli.run({words});"
        f"sys.stderr.write(' '.join(name for name in {names.split()} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stderr


HEAVY = "httpx keyring cattrs tenacity rich cryptography pluggy freshkey.keeper freshkey_testing"


@pytest.mark.parametrize("words", [["--help"], ["token", "--min-ttl"], ["trust", "--help"]])
def test_starting_up_loads_nothing_heavy(words: list[str]) -> None:
    loaded = loaded_by(words, HEAVY).splitlines()[-1:]

    assert [line for line in loaded if not line.startswith("freshkey: argument")] == []


@pytest.mark.parametrize("command", ["login", "trust", "providers"])
def test_a_command_of_its_own_needs_no_metadata_and_no_other_command(command: str) -> None:
    assert loaded_by([command, "--help"], "importlib.metadata freshkey_cli.token freshkey_cli.status") == ""
