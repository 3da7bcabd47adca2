"""What helpers print is taken as it is or refused without being quoted, and nothing of them is left."""

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
from waiting import leaving_nothing, until


CANARY = "canary-5f1d0c9a7e"


# --- helper commands: TRU-4 ----------------------------------------------------------------------------------------


def script(path: Path, code: str) -> str:
    path.write_text(f"#!/bin/sh\n{code}\n", "utf-8")
    path.chmod(0o700)
    return str(path)


def test_what_a_helper_prints_is_handed_over_as_it_is() -> None:
    assert run_helper(["printf", r"%s\n", CANARY]) == Secret(f"{CANARY}\n")


def test_arguments_are_arguments_and_no_shell_sees_them() -> None:
    assert run_helper(["printf", "%s|", "a b", "$HOME", "`id`", ";", "*"]) == Secret("a b|$HOME|`id`|;|*|")


def test_a_helper_sees_little_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)
    seen = run_helper(["env"]).reveal()
    names = {line.partition("=")[0] for line in seen.splitlines()}
    assert "PATH" in names
    assert CANARY not in seen
    assert names <= set(helper_environment(dict(os.environ)))


def test_the_caller_may_say_what_the_environment_is(tmp_path: Path) -> None:
    script(tmp_path / "my-helper", "echo $WHO")
    environ = {"PATH": f"{tmp_path}:/bin:/usr/bin", "WHO": "ada"}
    assert run_helper(["my-helper"], environ=environ) == Secret("ada\n")


def test_a_helper_has_nothing_to_read_and_no_descriptor_of_ours() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        listed = "import os; print(sorted(os.read(0, 1)), [n for n in os.listdir('/proc/self/fd') if int(n) > 2])"
        assert f"'{writing}'" not in (said := run_helper([sys.executable, "-I", "-c", listed]).reveal())
        assert said.startswith("[] ")
    finally:
        os.close(reading)
        os.close(writing)


def test_a_helper_is_a_session_of_its_own() -> None:
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


@pytest.mark.skipif(sys.platform != "linux", reason="processes are listed on Linux alone")
def test_what_moves_to_a_process_group_of_its_own_is_killed_as_well() -> None:  # as below timeout(1)
    wait_until_ended(int(run_helper([sys.executable, "-I", "-c", MOVING]).reveal()))


def wait_until_ended(pid: int) -> None:
    """Wait until a process is gone, or waits for nothing but its parent."""

    def gone() -> bool:
        try:
            return ") Z " in Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True

    until(gone, "its end")


@pytest.mark.parametrize(
    ("argv", "what"),
    [
        ([], "a helper command is a list"),
        ([""], "a helper command is a list"),
        (["env", f"{CANARY}\0"], "a helper command is a list"),
        (["./helper", CANARY], "'helper' is named by a relative path"),
        (["no-such-helper", CANARY], "'no-such-helper' is not there"),
        (["/no/such/helper", CANARY], "'helper' is not there"),
        (["/etc/passwd", CANARY], "'passwd' is not there, or is no program"),
        (["/etc", CANARY], "'etc' is not there, or is no program"),
    ],
)
def test_what_cannot_be_run_is_named_without_its_arguments(argv: list[str], what: str) -> None:
    with pytest.raises(ConfigurationError, match=what) as caught:
        run_helper(argv)
    assert CANARY not in str(caught.value)


def test_a_program_in_the_working_directory_is_not_found_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "helper", "echo evil")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="'helper' is not there"):
        run_helper(["helper"], environ={"PATH": ".:"})


def test_a_program_that_the_system_refuses(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o700)
    with leaving_nothing(), pytest.raises(ConfigurationError, match="'broken' cannot be run: No such file"):
        run_helper([str(broken)])


def test_the_working_directory_means_nothing_to_a_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile, home = (tmp_path / "hostile"), (tmp_path / "home")
    for directory in (hostile, home):
        directory.mkdir()
        (directory / "settings").write_text(f"{directory.name}")
    monkeypatch.chdir(hostile)
    monkeypatch.setenv("HOME", str(home))
    assert run_helper(["cat", "settings"]) == Secret("home")
    assert run_helper(["cat", "settings"], directory=hostile) == Secret("hostile")


@pytest.mark.parametrize("home", ["no/such/directory", "/no/such/directory"])
def test_without_a_home_a_helper_works_at_the_root(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", home)
    assert run_helper(["pwd", "-P"]) == Secret("/\n")


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'cat' cannot be run: No such file"):
        run_helper(["cat"], directory=tmp_path / "gone")


def test_somebody_who_waits_is_told_once_that_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "SLOW", 0.05)
    told: list[float] = []
    assert run_helper(["sh", "-c", "sleep 0.3; echo hi"], on_slow=told.append) == Secret("hi\n")
    assert len(told) == 1
    assert 0.05 <= told[0] < 30


def test_nobody_is_told_of_a_quick_one(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    run_helper(["echo", "hi"], on_slow=told.append)
    assert told == []
    assert helper.SLOW == 10


def test_a_listener_that_fails_leaves_no_helper_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(seconds: float) -> None:
        raise LookupError

    monkeypatch.setattr(helper, "SLOW", 0.0)
    with leaving_nothing(), pytest.raises(LookupError):
        run_helper(["sleep", "60"], on_slow=fail)


def test_the_most_that_may_be_printed_may_be_printed() -> None:
    assert run_helper(["printf", "12345"], max_output=5) == Secret("12345")
    with pytest.raises(ProtocolError, match="'printf' printed more than 5 bytes"):
        run_helper(["printf", "123456"], max_output=5)


def test_a_helper_that_closes_its_output_first_still_has_to_end_well() -> None:
    with pytest.raises(TransientError, match="'sh' failed with status 7"):
        run_helper(["sh", "-c", "echo x; exec 1>&-; sleep 0.1; exit 7"])


REAPING = """
import contextlib, os, signal, sys
from freshkey._commands.helper import run_helper

def reap(*_):
    with contextlib.suppress(ChildProcessError):
        os.waitpid(-1, 0)

signal.signal(signal.SIGCHLD, {"ignore": signal.SIG_IGN, "reap": reap}[sys.argv[1]])
print(run_helper(["echo", "hi"]).reveal())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGCHLD")
@pytest.mark.parametrize("how", ["ignore", "reap"])
def test_an_application_that_reaps_its_children_itself(how: str) -> None:
    done = subprocess.run([sys.executable, "-c", REAPING, how], capture_output=True, text=True, check=False)

    assert (done.stdout.split(), done.stderr) == (["hi"], "")


def test_output_that_is_no_text() -> None:
    with pytest.raises(ProtocolError, match="'printf' printed something that is not UTF-8") as caught:
        run_helper(["printf", CANARY + r"\377"])
    assert caught.value.__context__ is None


def test_without_a_thread_the_helper_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with leaving_nothing(), pytest.raises(TransientError, match="no thread can be started"):
        run_helper(["sleep", "60"])


# --- what they print: TRU-4, TRU-6 ---------------------------------------------------------------------------------


def test_an_object_of_our_version() -> None:
    text = json.dumps({"version": 1, "token": CANARY, "expires_in": 60, "scopes": ["a", {"b": None}]}) + "\n"
    assert read_helper_json(Secret(text)) == {"token": CANARY, "expires_in": 60, "scopes": ["a", {"b": None}]}


@pytest.mark.parametrize("version", ["true", "1.0", '"1"', "2", "0", "null", "[1]"])
def test_another_version(version: str) -> None:
    with pytest.raises(ProtocolError, match="'acme' printed an object of no version, or of one that is not known"):
        read_helper_json(Secret(f'{{"version": {version}, "token": "{CANARY}"}}'), "'acme'")


@pytest.mark.parametrize("text", ["", CANARY, f'"{CANARY}"', "[1]", '{"version": 1', "{'version': 1}", "{} {}", "{} x"])
def test_no_object(text: str) -> None:
    with pytest.raises(ProtocolError, match="printed no JSON object") as caught:
        read_helper_json(Secret(text))
    assert caught.value.__context__ is None
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("bad", ["\r", "\n", "\0"])
@pytest.mark.parametrize("facts", [{"token": "a{}b"}, {"to{}ken": "a"}, {"more": ["a", {"b": "c{}"}]}])
def test_text_that_breaks_a_line(bad: str, facts: dict[str, object]) -> None:
    text = json.dumps({"version": 1, **facts}).replace("{}", json.dumps(bad)[1:-1])
    with pytest.raises(ProtocolError, match="a line break or a NUL"):
        read_helper_json(Secret(text))


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_one_line(end: str) -> None:
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
        (f" {CANARY}", "spaces or characters"),
        (f"{CANARY}\t", "spaces or characters"),
        (f"{CANARY}\x00", "spaces or characters"),
        (f"{CANARY}\x7f", "spaces or characters"),
        (f"{CANARY}é", "spaces or characters"),
        (CANARY * 1000, "more than 16384 characters"),
    ],
    ids=range(13),
)
def test_no_line(text: str, flaw: str) -> None:  # TRU-6
    with pytest.raises(ProtocolError, match=f"'acme' printed {flaw}") as caught:
        read_helper_line(Secret(text), "'acme'")
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


@given(st.text(max_size=200))
def test_reading_a_line_is_total(text: str) -> None:
    try:
        line = read_helper_line(Secret(text)).reveal()
    except ProtocolError:
        return
    assert text in {line, f"{line}\n", f"{line}\r\n"}
    assert line.isascii()
    assert line.isprintable()


@given(st.text(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_reading_is_total(text: str) -> None:
    try:
        assert "version" not in read_helper_json(Secret(text))
    except ProtocolError:
        return
