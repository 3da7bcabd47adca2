"""Helper commands: output is returned unchanged or rejected without being quoted, and no process is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey._commands import helper
from freshkey._commands.helper import MAX_LINE, helper_environment, read_helper_json, read_helper_line, run_helper
from freshkey.errors import ConfigurationError, ProtocolError, TransientError
from freshkey.secret import Secret
from raises_code import raises_code
from runnable import python, runnable
from waiting import leaving_nothing, until


CANARY = "canary-5f1d0c9a7e"


# --- helper commands: TRU-4 ----------------------------------------------------------------------------------------


END = os.linesep


def test_output_is_returned_unchanged() -> None:
    assert run_helper(python(f"os.write(1, b'{CANARY}\\r\\n\\n')")) == Secret(f"{CANARY}\r\n\n")


def test_arguments_are_passed_without_a_shell() -> None:
    words = ["a b", "$HOME", "`id`", ";", "*", "%OS%", 'a"b', "^", "C:\\x\\", "", "&x"]
    assert run_helper([*python("print(sys.argv[1:])"), *words]) == Secret(f"{words}{END}")


def test_environment_is_minimal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)
    seen = run_helper(python("for each in os.environ.items(): print('='.join(each))")).reveal()
    # Wine adds its own.
    names = {name for line in seen.splitlines() if not (name := line.partition("=")[0]).startswith("WINE")}
    added = {"NODEFAULTCURRENTDIRECTORYINEXEPATH"} if sys.platform == "win32" else set()
    assert "PATH" in names
    assert CANARY not in seen
    assert names <= {*helper_environment(dict(os.environ)), *added}


def test_caller_can_set_the_environment(tmp_path: Path) -> None:
    runnable(tmp_path / "my-helper", "import os; print(os.environ['WHO'])")
    environ = {"PATH": os.pathsep.join([str(tmp_path), os.environ["PATH"]]), "WHO": "ada"}
    assert run_helper(["my-helper"], environ=environ) == Secret(f"ada{END}")


@pytest.mark.skipif(sys.platform == "win32", reason="test_windows_job.py has what Windows inherits: handles")
def test_standard_input_is_empty_and_no_file_descriptor_is_inherited() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        listed = "import os; print(sorted(os.read(0, 1)), [n for n in os.listdir('/proc/self/fd') if int(n) > 2])"
        assert f"'{writing}'" not in (said := run_helper([sys.executable, "-I", "-c", listed]).reveal())
        assert said.startswith("[] ")
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no sessions of processes; see test_windows_job.py")
def test_helper_runs_in_its_own_session() -> None:
    ids = "import os; print(os.getsid(0) == os.getpgid(0) == os.getpid())"
    assert run_helper([sys.executable, "-I", "-c", ids]) == Secret("True\n")


MOVING = """
import os, time
said, says = os.pipe()
pid = os.fork()
if not pid:
    os.setpgid(0, 0)
    os.write(says, b"moved")
    time.sleep(600)
os.read(said, 5)
print(pid)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are listed only on Linux")
def test_child_in_another_process_group_is_killed_too() -> None:  # as started by timeout(1)
    wait_until_ended(int(run_helper([sys.executable, "-I", "-c", MOVING]).reveal()))


def wait_until_ended(pid: int) -> None:
    """Wait until a process has exited; it may still wait to be reaped."""

    def gone() -> bool:
        try:
            return ") Z " in Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True

    until(gone, "its exit")


@pytest.mark.parametrize(
    ("argv", "code", "fact"),
    [
        ([], "invalid-command", "list"),
        ([""], "invalid-command", "list"),
        ([sys.executable, f"{CANARY}\0"], "invalid-command", "list"),
        (["./helper", CANARY], "invalid-command", "'helper'"),
        (["no-such-helper", CANARY], "command-not-runnable", "'no-such-helper'"),
        ([str(Path.cwd() / "no" / "such" / "helper"), CANARY], "command-not-runnable", "'helper'"),
        ([str(Path(__file__).with_name("no.txt")), CANARY], "command-not-runnable", "'no.txt'"),
        ([__file__, CANARY], "command-not-runnable", "'test_helper.py'"),
        ([str(Path(__file__).parent), CANARY], "command-not-runnable", "'_commands'"),
    ],
)
def test_error_names_the_program_but_not_its_arguments(argv: list[str], code: str, fact: str) -> None:
    with raises_code(ConfigurationError, code) as caught:
        run_helper(argv)
    assert fact in caught.value.message
    assert CANARY not in str(caught.value)


def test_program_is_not_searched_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runnable(tmp_path / "helper", "print('evil')")
    monkeypatch.chdir(tmp_path)
    with raises_code(ConfigurationError, "command-not-runnable"):
        run_helper(["helper"], environ={"PATH": f".{os.pathsep}"})


def test_program_that_the_system_cannot_start(tmp_path: Path) -> None:
    broken = tmp_path / "broken.exe"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o700)
    with leaving_nothing(), raises_code(ConfigurationError, "command-not-runnable") as caught:
        run_helper([str(broken)])
    assert caught.value.message.startswith("cannot run the program 'broken.exe': ")
    assert sys.platform == "win32" or caught.value.message.endswith(": No such file or directory")


def test_working_directory_is_not_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile, home = (tmp_path / "hostile"), (tmp_path / "home")
    for directory in (hostile, home):
        directory.mkdir()
        (directory / "settings").write_text(f"{directory.name}")
    monkeypatch.chdir(hostile)
    monkeypatch.setenv("USERPROFILE" if sys.platform == "win32" else "HOME", str(home))
    reading = python("print(open('settings').read(), end='')")
    assert run_helper(reading) == Secret("home")
    assert run_helper(reading, directory=hostile) == Secret("hostile")


@pytest.mark.parametrize("home", ["no/such/directory", "/no/such/directory"])
def test_helper_runs_in_the_root_directory_without_a_home(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERPROFILE" if sys.platform == "win32" else "HOME", home)
    assert run_helper(python("print(os.getcwd())")) == Secret(f"{Path(os.sep).resolve()}{END}")


def test_missing_working_directory_is_an_error(tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "command-not-runnable") as caught:
        run_helper(python("print('key')"), directory=tmp_path / "gone")
    assert caught.value.message.startswith("cannot run the program 'python")


def test_slow_helper_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "SLOW", 0.05)
    told: list[float] = []
    assert run_helper(python("time.sleep(0.3); print('hi')"), on_slow=told.append) == Secret(f"hi{END}")
    assert len(told) == 1
    assert 0.05 <= told[0] < 30


def test_quick_helper_is_not_reported() -> None:
    told: list[float] = []
    run_helper(python("print('hi')"), on_slow=told.append)
    assert told == []
    assert helper.SLOW == 10


def test_failing_callback_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(seconds: float) -> None:
        raise LookupError

    monkeypatch.setattr(helper, "SLOW", 0.0)
    with leaving_nothing(), pytest.raises(LookupError):
        run_helper(python("time.sleep(60)"), on_slow=fail)


def test_output_of_the_maximum_size_is_accepted() -> None:
    assert run_helper(python("print(12345, end='')"), max_output=5) == Secret("12345")
    with raises_code(ProtocolError, "invalid-command-output") as caught:
        run_helper(python("print(123456, end='')"), max_output=5)
    assert f"{Path(sys.executable).name!r} printed more than 5 bytes" in caught.value.message


def test_exit_status_counts_even_if_the_output_was_closed_before() -> None:
    with raises_code(TransientError, "command-failed") as caught:
        run_helper(python("print('x', flush=True); os.close(1); time.sleep(0.1); os._exit(7)"))
    assert repr(Path(sys.executable).name) in caught.value.message
    assert "status 7" in caught.value.message


def test_helper_that_hangs_is_killed() -> None:
    with leaving_nothing(), raises_code(TransientError, "command-timed-out") as caught:
        run_helper(python("time.sleep(60)"), timeout=0.1)
    assert "0.1 s" in caught.value.message


def test_empty_output_is_rejected() -> None:
    with raises_code(ProtocolError, "invalid-command-output"):
        run_helper(python(""))


REAPING = """
import contextlib, os, signal, sys
from freshkey._commands.helper import run_helper

def reap(*_):
    with contextlib.suppress(ChildProcessError):
        os.waitpid(-1, 0)

signal.signal(signal.SIGCHLD, {"ignore": signal.SIG_IGN, "reap": reap}[sys.argv[1]])
print(run_helper(["echo", "hi"]).reveal())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGCHLD")
@pytest.mark.parametrize("how", ["ignore", "reap"])
def test_application_that_reaps_its_children_itself(how: str) -> None:
    done = subprocess.run([sys.executable, "-c", REAPING, how], capture_output=True, text=True, check=False)

    assert (done.stdout.split(), done.stderr) == (["hi"], "")


def test_output_that_is_not_utf_8_is_rejected_and_not_quoted() -> None:
    with raises_code(ProtocolError, "invalid-command-output") as caught:
        run_helper(python(f"os.write(1, b'{CANARY}\\xff')"))
    assert "UTF-8" in caught.value.message
    assert caught.value.hint == "Make it print UTF-8"
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


def test_helper_is_killed_if_no_thread_can_read_its_output(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with leaving_nothing(), raises_code(TransientError, "out-of-threads"):
        run_helper(python("time.sleep(60)"))


# --- their output: TRU-4, TRU-6 ------------------------------------------------------------------------------------


def test_object_of_the_supported_version_is_read() -> None:
    text = json.dumps({"version": 1, "token": CANARY, "expires_in": 60, "scopes": ["a", {"b": None}]}) + "\n"
    assert read_helper_json(Secret(text)) == {"token": CANARY, "expires_in": 60, "scopes": ["a", {"b": None}]}


@pytest.mark.parametrize("version", ["true", "1.0", '"1"', "2", "0", "null", "[1]"])
def test_object_of_another_version_is_rejected(version: str) -> None:
    with raises_code(ProtocolError, "invalid-command-output") as caught:
        read_helper_json(Secret(f'{{"version": {version}, "token": "{CANARY}"}}'), "'acme'")
    assert "'acme'" in caught.value.message
    assert "version" in caught.value.message
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("text", ["", CANARY, f'"{CANARY}"', "[1]", '{"version": 1', "{'version': 1}", "{} {}", "{} x"])
def test_text_that_is_not_an_object_is_rejected(text: str) -> None:
    with raises_code(ProtocolError, "invalid-command-output") as caught:
        read_helper_json(Secret(text))
    assert "JSON" in caught.value.message
    assert caught.value.__context__ is None
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("bad", ["\r", "\n", "\0"])
@pytest.mark.parametrize("facts", [{"token": "a{}b"}, {"to{}ken": "a"}, {"more": ["a", {"b": "c{}"}]}])
def test_string_with_a_line_break_or_nul_is_rejected(bad: str, facts: dict[str, object]) -> None:
    text = json.dumps({"version": 1, **facts}).replace("{}", json.dumps(bad)[1:-1])
    with raises_code(ProtocolError, "invalid-command-output") as caught:
        read_helper_json(Secret(text))
    assert "NUL" in caught.value.message


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_line_is_read_without_its_ending(end: str) -> None:
    assert read_helper_line(Secret(f"{CANARY}{end}")) == Secret(CANARY)
    assert read_helper_line(Secret("x" * MAX_LINE + end)) == Secret("x" * MAX_LINE)
    assert read_helper_line(Secret("~!" + end), longest=2) == Secret("~!")


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("", "an empty line"),
        ("\n", "an empty line"),
        (f"{CANARY}\n\n", "more than one line"),
        (f"{CANARY}\nsecond\n", "more than one line"),
        (f"\n{CANARY}", "more than one line"),
        (f"{CANARY}\rsecond", "more than one line"),
        (f"{CANARY}\r", "more than one line"),
        (f" {CANARY}", "spaces"),
        (f"{CANARY}\t", "spaces"),
        (f"{CANARY}\x00", "spaces"),
        (f"{CANARY}\x7f", "spaces"),
        (f"{CANARY}é", "spaces"),
        (CANARY * 1000, "more than 16384 characters"),
    ],
    ids=range(13),
)
def test_text_that_is_not_one_token_is_rejected(text: str, flaw: str) -> None:  # TRU-6
    with raises_code(ProtocolError, "invalid-command-output") as caught:
        read_helper_line(Secret(text), "'acme'")
    assert "'acme'" in caught.value.message
    assert flaw in caught.value.message
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


@given(st.text(max_size=200))
def test_any_text_is_a_line_or_an_error(text: str) -> None:
    try:
        line = read_helper_line(Secret(text)).reveal()
    except ProtocolError:
        return
    assert text in {line, f"{line}\n", f"{line}\r\n"}
    assert line.isascii()
    assert line.isprintable()


@given(st.text(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_text_is_an_object_or_an_error(text: str) -> None:
    try:
        assert "version" not in read_helper_json(Secret(text))
    except ProtocolError:
        return
