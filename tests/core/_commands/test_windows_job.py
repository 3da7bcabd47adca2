"""A program on Windows is one job with all that it starts: it ends as a whole, also if this process is killed."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from freshkey._commands import external_login
from freshkey._commands.command import Command
from freshkey._commands.external_login import run_login_command
from freshkey._commands.helper import helper_environment, run_helper
from freshkey.errors import ConfigurationError, TransientError
from freshkey.model.interaction import LoggingReporter
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from processes import runs
from promises import proves
from raises_code import raises_code
from runnable import python, runnable
from waiting import leaving_nothing, until


pytestmark = pytest.mark.skipif(sys.platform != "win32", reason="only Windows has job objects")

STARTING = """
import subprocess
child = subprocess.Popen([sys.executable, "-I", "-c", "import time; time.sleep(600)"], creationflags={flags})
with open({place!r}, "w") as file:
    file.write(str(child.pid))
os.replace({place!r}, {place!r} + ".pid")
"""
"""Starts another program and writes its process ID to a file."""


def starting(folder: Path, end: str, flags: int = 0) -> list[str]:
    return python(STARTING.format(place=str(folder / "child"), flags=flags) + end)


def child_of(folder: Path) -> int:
    return int(until((folder / "child.pid").exists, "the other program") and (folder / "child.pid").read_text())


def wait_until_ended(pid: int) -> None:
    until(lambda: not runs(pid), "its end")


@proves("TRU-4", "FAULT-58")
@pytest.mark.parametrize("flags", [0, 0x8, 0x200], ids=["child", "detached", "own-group"])
def test_what_a_helper_left_running_ends_with_it(tmp_path: Path, flags: int) -> None:
    assert run_helper(starting(tmp_path, "print('key')", flags)) == Secret("key\r\n")
    wait_until_ended(child_of(tmp_path))


@proves("TRU-4", "FAULT-58")
def test_helper_that_hangs_is_killed_with_what_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(seconds: float) -> None:
        child_of(tmp_path)
        raise LookupError

    monkeypatch.setattr("freshkey._commands.helper.SLOW", 0.0)
    with leaving_nothing(), pytest.raises(LookupError):
        run_helper(starting(tmp_path, "time.sleep(600)"), on_slow=stop)
    wait_until_ended(child_of(tmp_path))


@proves("TRU-4", "FAULT-58")
def test_batch_file_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    tool = runnable(tmp_path / "tool", "import time; time.sleep(600)")
    began = time.monotonic()
    with leaving_nothing(), raises_code(TransientError, "command-timed-out"):
        run_helper([str(tool)], timeout=0.5)
    assert time.monotonic() - began < 60


RUNNING = "from freshkey._commands.helper import run_helper\nrun_helper({argv!r}, timeout=600.0)"


@proves("TRU-4", "FAULT-58")
def test_helper_ends_when_this_process_is_killed(tmp_path: Path) -> None:
    program = RUNNING.format(argv=starting(tmp_path, "time.sleep(600)"))
    caller = subprocess.Popen([sys.executable, "-c", program])
    child = child_of(tmp_path)
    assert runs(child)
    caller.kill()
    caller.wait()
    wait_until_ended(child)


def test_helper_that_cannot_be_resumed_is_not_left_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the function returns is a status of the kernel, such as STATUS_ACCESS_DENIED; it sets no error code."""
    from freshkey._commands import windows_job

    monkeypatch.setattr(windows_job, "_resume", lambda handle: 0xC0000022 - 2**32)
    with leaving_nothing(), raises_code(ConfigurationError, "command-not-runnable") as caught:
        run_helper(python("print('key')"))
    denied = ctypes.WinError(5).strerror  # type: ignore[attr-defined,unused-ignore]
    assert caught.value.message.endswith(f": {denied}")


@proves("TRU-4", "FAULT-58")
def test_helper_that_a_signal_catches_before_its_job_is_not_left_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would stay forever, with its environment: closing the job ends only what is in it."""
    from freshkey._commands import windows_job

    started: list[subprocess.Popen[bytes]] = []

    def interrupt(job: int, process: subprocess.Popen[bytes]) -> None:
        started.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(windows_job, "_let_run", interrupt)
    with leaving_nothing(), pytest.raises(KeyboardInterrupt):
        run_helper(python("print('key')"))
    assert started[0].poll() is not None


def test_browser_that_a_sign_in_started_is_left_running(tmp_path: Path) -> None:
    command = Command(argv=tuple(starting(tmp_path, "print('Signed in')")))
    profile = Profile(name="me", provider="x", settings=None, state_dir=tmp_path / "state")
    run_login_command(command, profile, LoggingReporter(), timeout=external_login.TIMEOUT)
    child = child_of(tmp_path)
    assert runs(child)
    os.kill(child, 9)
    wait_until_ended(child)


def test_helper_has_no_input_and_no_console_of_ours() -> None:
    code = """
import ctypes
ctypes.windll.kernel32.GetConsoleWindow.restype = ctypes.c_void_p
window = ctypes.windll.kernel32.GetConsoleWindow()
print(os.read(0, 1), bool(window and ctypes.windll.user32.IsWindowVisible(ctypes.c_void_p(window))))
"""
    assert run_helper(python(code)) == Secret("b'' False\r\n")


def test_handles_are_not_inherited(tmp_path: Path) -> None:
    import msvcrt

    with (tmp_path / "open").open("wb") as file:
        os.set_inheritable(file.fileno(), True)
        handle = msvcrt.get_osfhandle(file.fileno())  # type: ignore[attr-defined,unused-ignore]
        code = f"""
import ctypes
text = ctypes.create_unicode_buffer(300)
ctypes.windll.kernel32.GetFinalPathNameByHandleW(ctypes.c_void_p({handle}), text, 300, 0)
print("open" in text.value.rpartition(chr(92))[2])
"""
        assert run_helper(python(code)) == Secret("False\r\n")


def test_environment_without_the_system_s_folder_still_has_a_network() -> None:
    code = "import socket; socket.socket().close(); print('SYSTEMROOT' in os.environ)"
    assert run_helper(python(code), environ={"PATH": os.environ["PATH"]}) == Secret("True\r\n")


def test_variables_pass_however_they_are_written() -> None:
    environ = {"Path": "p", "SystemRoot": "s", "ProgramFiles(x86)": "f", "ComSpec": "c", "Secret": "x"}
    assert helper_environment(environ) == {"PATH": "p", "SYSTEMROOT": "s", "PROGRAMFILES(X86)": "f", "COMSPEC": "c"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_output_of_powershell_is_read(encoding: str) -> None:
    code = f"sys.stdout.buffer.write('kéy'.encode({encoding!r}))"
    assert run_helper(python(code)) == Secret("kéy")


def test_line_of_a_sign_in_in_the_code_page_of_consoles_is_shown(tmp_path: Path) -> None:
    lines: list[str] = []

    class Ear(LoggingReporter):
        def line(self, text: str) -> None:
            lines.append(text)

    code = "sys.stdout.buffer.write('Gerät 1\\n'.encode('oem') + 'Gerät 2\\n'.encode())"
    profile = Profile(name="me", provider="x", settings=None, state_dir=tmp_path / "state")
    run_login_command(Command(argv=tuple(python(code))), profile, Ear())
    assert lines == ["Gerät 1", "Gerät 2"]
