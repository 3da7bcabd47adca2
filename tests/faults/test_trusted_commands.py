"""A project's command whose files change after it was trusted, in any way a file can change, does not run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from freshkey._commands.command import Command, pinned, run_command
from freshkey.errors import TrustNeeded
from freshkey.secret import Secret
from promises import proves
from raises_code import raises_code


CANARY = "canary-6d0a4be1c92f"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with a script in a subfolder; each run of the script leaves a trace."""
    project = tmp_path / "project"
    (project / "tools").mkdir(parents=True)
    script = project / "tools" / "key.sh"
    script.write_text("#!/bin/sh\necho ran >> ran\necho key\n")
    script.chmod(0o700)
    return project


def trusted(project: Path) -> Command:
    argv = (str(project / "tools" / "key.sh"), f"--password={CANARY}")
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
    [append, write_in_place, rename_over, swap_the_folder, empty, remove, into_a_device, into_a_loop],
)
def test_command_that_changed_after_it_was_trusted_does_not_run(project: Path, change: Callable[[Path], None]) -> None:
    command = trusted(project)
    assert run_command(command) == Secret("key\n")
    change(project / "tools" / "key.sh")
    for _ in range(2):
        with raises_code(TrustNeeded, "trusted-command-changed") as caught:
            run_command(command)
        assert str(caught.value).count("key.sh") >= 2, "names the command and the file"
        assert CANARY not in str(caught.value) + repr(command)
    assert (project / "ran").read_text() == "ran\n"


@proves("FAULT-58", "TRU-3")
def test_file_that_appears_at_an_argument_of_a_trusted_command_does_not_run(project: Path) -> None:
    argv = ("sh", "tools/later.sh")
    command = Command(argv=argv, directory=project, pins=pinned(argv, project))
    (project / "tools" / "key.sh").rename(project / "tools" / "later.sh")
    with raises_code(TrustNeeded, "trusted-command-changed") as caught:
        run_command(command)
    assert "later.sh" in str(caught.value)
    assert not (project / "ran").exists()


@proves("FAULT-58", "TRU-3")
def test_command_runs_again_once_its_file_is_restored(project: Path) -> None:
    command, script = trusted(project), project / "tools" / "key.sh"
    before = script.read_text()
    append(script)
    script.write_text(before)
    assert run_command(command) == Secret("key\n")
