"""The command line as a whole: exit codes, errors as text and JSON, broken pipes, hardening (LEK-5, LEK-6)."""

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
def test_each_error_class_has_its_exit_code(
    run: Run, keeper: FakeKeeper, error: errors.FreshkeyError, code: int
) -> None:
    keeper.fails = error
    done = run("token")

    assert (done.code, done.out) == (code, "")
    assert "Traceback" not in done.err
    assert keeper.closed


def test_error_shows_profile_message_code_and_hint(run: Run, keeper: FakeKeeper) -> None:
    keeper.fails = errors.LoginRequired("no one is signed in", profile="me", hint="Run: freshkey login me")

    assert run("token").err == "freshkey: me: no one is signed in [sign-in-required]. Run: freshkey login me\n"


def test_json_error_is_one_object_on_stderr(run: Run, keeper: FakeKeeper) -> None:
    keeper.fails = errors.TransientError("busy", code="host-paused", profile="me", hint="Try again", retry_after=7.0)
    done = run("token", "--json")

    assert done.out == ""
    assert json.loads(done.err) == {
        "error": {
            "code": "host-paused",
            "kind": "TransientError",
            "profile": "me",
            "message": "busy",
            "hint": "Try again",
            "exit_code": 5,
            "retry_after": 7.0,
        }
    }


def test_control_characters_in_errors_are_not_printed(run: Run, keeper: FakeKeeper) -> None:
    keeper.fails = errors.ProviderRefused("\x1b[31mred")

    assert "\x1b" not in run("token").err


def test_configuration_errors_exit_6(run: Run, config: Path) -> None:
    config.write_text('defualt = "me"')
    done = run("token")

    assert (done.code, done.out) == (6, "")
    assert "line 1: " in done.err
    assert "'defualt'" in done.err
    assert "'default'" in done.err


def test_profile_comes_from_the_environment(run: Run, keeper: FakeKeeper) -> None:
    run("token", FRESHKEY_PROFILE="other")

    assert keeper.asked == [("get", "other", 0.0)]


def test_interruption_prints_a_message_and_exits_130(run: Run, keeper: FakeKeeper) -> None:
    keeper.fails = KeyboardInterrupt()
    done = run("token")

    assert (done.code, done.out, done.err) == (130, "", "freshkey: interrupted\n")


FULL = sys.platform != "win32" and Path("/dev/full").exists()


# --- in a separate process --------------------------------------------------------------------------------------------


@pytest.fixture
def environ(config: Path) -> dict[str, str]:
    places = {"FRESHKEY_CONFIG_DIR": str(config.parent), "FRESHKEY_STATE_DIR": str(config.parent / "state")}
    return dict(os.environ) | places


@pytest.mark.parametrize("words", [["providers"], ["--help"], ["login", "--help"]], ids=" ".join)
def test_closed_output_pipe_causes_no_traceback(environ: dict[str, str], words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "freshkey", *words],
        env=environ,
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)

    assert done.stderr == b""
    # argparse itself ignores that the reader of a help text is gone, if it notices.
    assert done.returncode in ({0, 141} if "--help" in words else {141})


def shell(environ: dict[str, str], words: str) -> subprocess.CompletedProcess[str]:
    """Run freshkey with shell redirections."""
    command = f'"$0" -m freshkey {words}'
    return subprocess.run(
        ["sh", "-c", command, sys.executable], env=environ, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(sys.platform == "win32", reason="sh's redirections are POSIX")
def test_messages_never_reach_stdout_if_stderr_is_closed(environ: dict[str, str]) -> None:
    done = shell(environ, "token no-such-profile 2>&-")

    assert (done.returncode, done.stdout) == (6, "")  # print(file=None) would write to standard output


@pytest.mark.skipif(sys.platform == "win32", reason="sh's redirections are POSIX")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_closed_streams_cause_no_traceback(environ: dict[str, str], closed: str) -> None:
    done = shell(environ, f"providers {closed}")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="sh's redirections are POSIX")
def test_closed_streams_are_reopened_with_their_own_numbers(environ: dict[str, str]) -> None:
    program = (
        "import os, sys; from freshkey_cli import process; process.whole_streams();"
        "numbers = [sys.stdin.fileno(), sys.stdout.fileno(), sys.stderr.fileno()];"
        "os._exit(numbers != [0, 1, 2] or not all(map(os.get_inheritable, numbers)))"
    )
    done = subprocess.run(["sh", "-c", '"$0" -c "$1" <&- >&- 2>&-', sys.executable, program], env=environ, check=False)

    assert done.returncode == 0


@pytest.mark.skipif(not FULL, reason="needs a device that is always full")
def test_unwritable_result_is_reported_and_exits_1(environ: dict[str, str]) -> None:
    done = shell(environ, "providers >/dev/full")

    assert done.returncode == 1
    assert done.stderr == "freshkey: cannot write the output: No space left on device [output-not-writable]\n"

    done = shell(environ, "providers --json >/dev/full")
    error = json.loads(done.stderr)["error"]
    assert (error["code"], error["exit_code"], done.returncode) == ("output-not-writable", 1, 1)


@pytest.mark.skipif(not FULL, reason="needs a device that is always full")
def test_full_stderr_does_not_change_the_exit_code(environ: dict[str, str]) -> None:
    done = shell(environ, "token no-such-profile 2>/dev/full")

    assert (done.returncode, done.stdout, done.stderr) == (6, "", "")


def test_unencodable_text_is_escaped(environ: dict[str, str], config: Path) -> None:
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
    """Return which of these modules a command line imports."""
    program = (
        f"import sys; import freshkey_cli; freshkey_cli.run({words});"
        f"sys.stderr.write(' '.join(name for name in {names.split()} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stderr


HEAVY = "httpx keyring cattrs tenacity rich cryptography pluggy freshkey.keeper freshkey_testing"


@pytest.mark.parametrize("words", [["--help"], ["token", "--min-ttl"], ["trust", "--help"]])
def test_startup_imports_nothing_heavy(words: list[str]) -> None:
    loaded = loaded_by(words, HEAVY).splitlines()[-1:]

    assert [line for line in loaded if not line.startswith("freshkey: argument")] == []


@pytest.mark.parametrize("command", ["login", "trust", "providers"])
def test_built_in_command_imports_no_metadata_and_no_other_command(command: str) -> None:
    assert loaded_by([command, "--help"], "importlib.metadata freshkey_cli.token freshkey_cli.status") == ""
