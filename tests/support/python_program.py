"""A program of a few lines in a Python of its own: what it prints, what it loads, what is left once it is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


SUPPORT = Path(__file__).parent


def output_of(program: str, *arguments: str, warnings: str = "error", support: bool = False) -> str:
    """Run a program and return what it prints; it must not fail.

    Args:
        program: Its text.
        arguments: From ``sys.argv[1]`` on.
        warnings: What Python does with warnings.
        support: Whether it may import the helpers of the tests.
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
    """Run a program and return the names of the modules that it then has loaded."""
    ending = "\nimport json as _json, sys as _sys\nprint(_json.dumps(sorted(_sys.modules)))"
    return set(json.loads(output_of(program + ending, *arguments).splitlines()[-1]))


@contextmanager
def killed_at_the_end(program: str) -> Iterator[str]:
    """Start a program that imports as this process does, yield the first line it prints, and kill it at the end."""
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
