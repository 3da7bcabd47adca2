"""Runs short programs in a separate Python process: what they print, what they load, what is left after a kill."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


SUPPORT = Path(__file__).parent


def output_of(program: str, *arguments: str, warnings: str = "error", support: bool = False) -> str:
    """Run a program and return what it prints; it must not fail.

    Args:
        program: Its source code.
        arguments: ``sys.argv[1:]``.
        warnings: Python's ``-W`` option.
        support: Whether it can import the test helpers.
    """
    path = f"import sys; sys.path.insert(0, {str(SUPPORT)!r})\n" if support else ""
    done = subprocess.run(
        [sys.executable, "-W", warnings, "-c", path + program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def modules_after(program: str, *arguments: str) -> set[str]:
    """Run a program and return the names of the modules it has loaded."""
    ending = "\nimport json as _json, sys as _sys\nprint(_json.dumps(sorted(_sys.modules)))"
    return set(json.loads(output_of(program + ending, *arguments).splitlines()[-1]))


def written_program(path: Path, source: str) -> list[str]:
    """Write a Python program to a file, and return the command that runs it; Windows reads no ``#!`` line."""
    path.write_text(f"#!{sys.executable}\n{source}\n", "utf-8")
    path.chmod(0o700)
    return [sys.executable, str(path)] if sys.platform == "win32" else [str(path)]


def command_line(argv: list[str]) -> str:
    """Return a command as one text, as the system's tools split it."""
    return subprocess.list2cmdline(argv) if sys.platform == "win32" else shlex.join(argv)


@contextmanager
def killed_at_the_end(program: str) -> Iterator[str]:
    """Start a program with this process's import path, yield its first output line, and kill it at the end."""
    running = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert running.stdout is not None
    yield running.stdout.readline().strip()
    running.kill()
    running.communicate()
