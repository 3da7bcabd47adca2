"""A project's command that changes after it was trusted, in every way a file can change: it does not run once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from freshkey._commands.command import Command, pinned, run_command
from freshkey.errors import TrustNeeded
from freshkey.secret import Secret
from matrix import row


CANARY = "canary-6d0a4be1c92f"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with a script in a folder of its own, which tells when it runs."""
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


@row(58, "TRU-3")
@pytest.mark.parametrize(
    "change",
    [append, write_in_place, rename_over, swap_the_folder, empty, remove, into_a_device, into_a_loop],
)
def test_what_changed_after_it_was_trusted_does_not_run(project: Path, change: Callable[[Path], None]) -> None:
    command = trusted(project)
    assert run_command(command) == Secret("key\n")
    change(project / "tools" / "key.sh")
    for _ in range(2):
        with pytest.raises(TrustNeeded, match=r"the command 'key\.sh' was not run: .*key\.sh") as caught:
            run_command(command)
        assert CANARY not in str(caught.value) + repr(command)
    assert (project / "ran").read_text() == "ran\n"


@row(58, "TRU-3")
def test_a_file_that_its_argument_came_to_name_does_not_run(project: Path) -> None:
    argv = ("sh", "tools/later.sh")
    command = Command(argv=argv, directory=project, pins=pinned(argv, project))
    (project / "tools" / "key.sh").rename(project / "tools" / "later.sh")
    with pytest.raises(TrustNeeded, match=r"later\.sh is not what it was"):
        run_command(command)
    assert not (project / "ran").exists()


@row(58, "TRU-3")
def test_the_same_again_runs_again(project: Path) -> None:
    command, script = trusted(project), project / "tools" / "key.sh"
    before = script.read_text()
    append(script)
    script.write_text(before)
    assert run_command(command) == Secret("key\n")
