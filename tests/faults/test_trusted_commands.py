"""A project's command whose files change after it was trusted, in any way a file can change, does not run."""

from __future__ import annotations

import os
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from freshkey._commands.command import Command, run_command
from freshkey._commands.pins import pinned
from freshkey._files import permissions
from freshkey.errors import ConfigurationError, FreshkeyError, TrustNeeded
from freshkey.secret import Secret
from promises import proves
from raises_code import raises_code
from second_user import SecondUser


CANARY = "canary-6d0a4be1c92f"

ON_WINDOWS = sys.platform == "win32"
KEY = "key.cmd" if ON_WINDOWS else "key.sh"
CODE = "@echo ran>>ran\n@echo key\n" if ON_WINDOWS else "#!/bin/sh\necho ran >> ran\necho key\n"
"""A script that the system starts by itself."""

of_posix = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes of other users' files, shell scripts")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with a script in a subfolder; each run of the script leaves a trace."""
    project = tmp_path / "project"
    (project / "tools").mkdir(parents=True)
    script = project / "tools" / KEY
    script.write_text(CODE)
    script.chmod(0o700)
    return project


def trusted(project: Path) -> Command:
    argv = (str(project / "tools" / KEY), f"--password={CANARY}")
    return Command(argv=argv, directory=project, pins=pinned(argv, project))


def append(script: Path) -> None:
    with script.open("a") as file:
        file.write("\n")


def write_in_place(script: Path) -> None:
    before = script.stat()
    script.write_text(script.read_text().replace("echo key", "cat key"))
    os.utime(script, ns=(before.st_atime_ns, before.st_mtime_ns))  # the same size and times


def rename_over(script: Path) -> None:
    other = script.with_name("other")
    other.write_text("#!/bin/sh\necho ran >> ran\n")
    other.chmod(0o700)
    other.replace(script)


def swap_the_folder(script: Path) -> None:
    elsewhere = script.parent.with_name("elsewhere")
    shutil.copytree(script.parent, elsewhere)
    append(elsewhere / script.name)
    script.parent.rename(script.parent.with_name("before"))
    script.parent.symlink_to(elsewhere)


def empty(script: Path) -> None:
    script.write_bytes(b"")


def remove(script: Path) -> None:
    script.unlink()


def into_a_device(script: Path) -> None:
    script.unlink()
    script.symlink_to("/dev/zero")


def into_a_loop(script: Path) -> None:
    script.unlink()
    script.symlink_to(script)


@proves("FAULT-58", "TRU-3")
@pytest.mark.parametrize(
    "change",
    [append, write_in_place, rename_over, empty, remove]
    # Windows has no such devices, and links need a privilege there.
    + ([] if sys.platform == "win32" else [swap_the_folder, into_a_device, into_a_loop]),
)
def test_command_that_changed_after_it_was_trusted_does_not_run(project: Path, change: Callable[[Path], None]) -> None:
    command = trusted(project)
    assert run_command(command).reveal().split() == ["key"]
    change(project / "tools" / KEY)
    for _ in range(2):
        with raises_code(TrustNeeded, "trusted-command-changed") as caught:
            run_command(command)
        assert str(caught.value).count(KEY) >= 2, "names the command and the file"
        assert CANARY not in str(caught.value) + repr(command)
    assert (project / "ran").read_text().split() == ["ran"]


@proves("FAULT-58", "TRU-3")
def test_file_that_appears_at_an_argument_of_a_trusted_command_does_not_run(project: Path) -> None:
    argv = ("cmd", "/c", r"tools\later") if sys.platform == "win32" else ("sh", "tools/later.sh")
    command = Command(argv=argv, directory=project, pins=pinned(argv, project))
    (project / "tools" / KEY).rename(project / "tools" / KEY.replace("key", "later"))
    with raises_code(TrustNeeded, "trusted-command-changed") as caught:
        run_command(command)
    assert KEY.replace("key", "later") in str(caught.value)
    assert not (project / "ran").exists()


@proves("FAULT-58", "TRU-3")
def test_command_runs_again_once_its_file_is_restored(project: Path) -> None:
    command, script = trusted(project), project / "tools" / KEY
    before = script.read_text()
    append(script)
    script.write_text(before)
    assert run_command(command).reveal().split() == ["key"]


# --- other users ------------------------------------------------------------------------------------------------------

SWAP = """
import select
script = pathlib.Path(sys.argv[1])
hers, saved = script.with_name("hers"), script.with_name("saved")
hers.write_text("#!/bin/sh\\necho hers\\n")
hers.chmod(0o755)
print("ready", flush=True)
deadline = time.monotonic() + 60
while time.monotonic() < deadline and not select.select([0], [], [], 0)[0]:
    script.rename(saved)
    hers.rename(script)
    time.sleep(0.002)
    script.rename(hers)
    saved.rename(script)
    time.sleep(0.002)
"""
"""Another user swaps a script of ours for her own, again and again."""


def outcomes(user: SecondUser, script: Path, run: Callable[[], Secret]) -> set[str]:
    """Return what the command printed, or the codes of its errors, while the other user swaps its script."""
    seen = set()
    with user.start(SWAP, script) as attack:
        assert attack.stdout is not None
        assert attack.stdout.readline() == "ready\n"
        for _ in range(60):
            try:
                seen.add(run().reveal().strip())
            except FreshkeyError as error:
                seen.add(str(error.code))
        _, trouble = attack.communicate("x")
    assert trouble == ""
    return seen


def in_the_open(open_tmp_path: Path) -> Path:
    """Return a script of ours in a project of ours, below a folder that everyone can write to."""
    script = open_tmp_path / "project" / "tools" / "key.sh"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\necho key\n")
    script.chmod(0o755)
    return script


@of_posix
@proves("FAULT-58", "TRU-3", "TRU-9")
@pytest.mark.parametrize("words", [["{0}"], ["sh", "{0}"], ["sh", "-c", "{0}"], ["sh", "-c", "exec ./tools/key.sh"]])
def test_script_that_another_user_swaps_never_runs(
    second_user: SecondUser, open_tmp_path: Path, words: list[str]
) -> None:
    script = in_the_open(open_tmp_path)
    project = script.parents[1]
    argv = tuple(word.format(script) for word in words)
    command = Command(argv=argv, directory=project, pins=pinned(argv, project))
    assert run_command(command) == Secret("key\n")
    script.parent.chmod(0o777)

    seen = outcomes(second_user, script, lambda: run_command(command))

    assert seen <= {"unsafe-program", "trusted-command-changed"}
    with raises_code(ConfigurationError, "unsafe-program") as caught:
        pinned(argv, project)
    assert str(script.parent) in caught.value.message
    assert f"chmod go-w {script.parent}" in str(caught.value.hint)


@of_posix
@proves("TRU-9")
@pytest.mark.parametrize(
    "words",
    [
        ["{0}"],
        ["key.sh"],
        ["sh", "{0}"],
        ["/bin/sh", "-e", "{0}"],
        ["bash", "-o", "pipefail", "{0}"],
        ["env", "{0}"],
        ["env", "X=1", "bash", "{0}"],
        ["timeout", "9", "key.sh"],
        ["nice", "{0}"],
        ["sh", "-c", ". {0}"],
        ["sh", "-c", "exec key.sh | cat"],
        ["sh", "-c", "exec '{0}'"],
        ["sh", "-c", "cd {1}; exec ./key.sh"],
        ["sh", "-c", "exec {1}/key*"],
        ["xargs", "-a", "/dev/null", "{0}"],
        ["find", "{0}", "-exec", "{{}}", ";"],
    ],
)
def test_program_of_the_user_s_own_configuration_that_another_user_swaps_never_runs(
    second_user: SecondUser, open_tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = in_the_open(open_tmp_path)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    command = Command.of([word.format(script, script.parent) for word in words])
    assert run_command(command) == Secret("key\n")
    script.parent.chmod(0o777)

    # Between her two renames, PATH has no such program, and afterwards what is started does not look there.
    nothing = {"unsafe-program", "command-not-runnable", "command-failed", "invalid-command-output"}
    assert outcomes(second_user, script, lambda: run_command(command)) <= nothing


@of_posix
@proves("TRU-9")
@pytest.mark.parametrize("level", ["open_tmp_path", "project", "tools", "key.sh"])
@pytest.mark.parametrize("how", ["chmod", "chown"])
def test_each_level_above_a_program_counts(second_user: SecondUser, open_tmp_path: Path, level: str, how: str) -> None:
    script = in_the_open(open_tmp_path)
    command = Command.of([str(script)])
    place = (
        open_tmp_path if level == "open_tmp_path" else next(at for at in (script, *script.parents) if at.name == level)
    )
    if how == "chmod":
        place.chmod(0o777)
    else:
        os.chown(place, second_user.uid, second_user.gid)

    with raises_code(ConfigurationError, "unsafe-program") as caught:
        run_command(command)
    assert str(place) in caught.value.message


@of_posix
@proves("TRU-9")
@pytest.mark.parametrize("line", ["{0}", "/usr/bin/env {1}", "/usr/bin/env -S X=1 {1} -u"])
def test_interpreter_that_others_can_change_is_not_run(
    open_tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = in_the_open(open_tmp_path)
    monkeypatch.setenv("PATH", f"{interpreter.parent}:{os.environ['PATH']}")
    (open_tmp_path / "script").write_text(f"#!{line.format(interpreter, interpreter.name)}\n")
    (open_tmp_path / "script").chmod(0o700)
    interpreter.parent.chmod(0o777)

    with raises_code(ConfigurationError, "unsafe-program") as caught:
        run_command(Command.of([str(open_tmp_path / "script")]))
    assert str(interpreter.parent) in caught.value.message


@of_posix
@proves("TRU-9")
def test_project_that_others_can_write_to_runs_no_command(open_tmp_path: Path) -> None:
    """They could add files that a program of the system reads from its working directory, such as a Makefile."""
    argv = ("/bin/true",)
    assert pinned(argv, open_tmp_path) == {}
    open_tmp_path.chmod(0o777)
    with raises_code(ConfigurationError, "unsafe-program"):
        pinned(argv, open_tmp_path)


@of_posix
@proves("TRU-9")
def test_file_that_others_can_change_is_not_read(open_tmp_path: Path, second_user: SecondUser) -> None:
    file = open_tmp_path / "settings"
    file.write_text("key")
    command = Command.of(["cat", "/dev/null", str(file)])
    assert run_command(command) == Secret("key")
    os.chown(file, second_user.uid, second_user.gid)
    with raises_code(ConfigurationError, "unsafe-program") as caught:
        run_command(command)
    assert str(file) in caught.value.message


@of_posix
@proves("TRU-9")
@pytest.mark.parametrize("words", [["{0}"], ["env", "{0}"], ["cat", "{0}"]])
def test_access_control_list_of_a_program_counts_though_the_group_is_private(
    second_user: SecondUser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr(permissions, "_is_own_group", lambda gid: True)
    script = tmp_path / "key.sh"
    script.write_text("#!/bin/sh\necho key\n")
    script.chmod(0o770)
    command = Command.of([word.format(script) for word in words])
    assert "key" in run_command(command).reveal()
    # Version 2; user::rwx, user:HER:rwx, group::---, mask::rwx, other::--- (linux/posix_acl_xattr.h).
    entries = [(1, 7, -1), (2, 7, second_user.uid), (4, 0, -1), (16, 7, -1), (32, 0, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(script, "system.posix_acl_access", acl)
    except OSError as error:
        pytest.skip(f"this file system has no access control lists: {error}")

    with raises_code(ConfigurationError, "unsafe-program"):
        run_command(command)
