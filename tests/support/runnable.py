"""Writes programs that the system starts by their path, on POSIX and on Windows."""

from __future__ import annotations

import sys
from pathlib import Path


def runnable(place: Path, code: str) -> Path:
    """Write a program of Python code and return its path: that of a batch file beside it on Windows.

    Args:
        place: Where, without an extension.
        code: What it runs, with ``sys`` imported.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        script, program = place.with_name(f"{place.name}.py"), place.with_name(f"{place.name}.cmd")
        script.write_text(f"import sys\n{code}\n", "utf-8")
        program.write_text(f'@"{sys.executable}" -I "%~dp0{script.name}" %*\n', "utf-8")
        return program
    place.write_text(f"#!{sys.executable} -I\nimport sys\n{code}\n", "utf-8")
    place.chmod(0o700)
    return place


def python(code: str) -> list[str]:
    """Return a command that runs Python code, with ``os``, ``sys`` and ``time`` imported."""
    return [sys.executable, "-I", "-c", f"import os, sys, time\n{code}"]
