"""Tries freshkey on this machine and writes a report for its authors; see ``scripts/report``."""

from __future__ import annotations

import argparse
import getpass
import locale
import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from attrs import frozen


ROOT: Final = Path(__file__).resolve().parents[2]
FILE: Final = "freshkey-report.md"

_SECONDS: Final = 3600.0
_MOST_LINES: Final = 60
_PACKAGES: Final = ("freshkey", "keyring", "cryptography", "filelock", "httpx", "certifi")
_SOAK: Final = ("-m", "benchmarks.endurance.soak", "--processes", "8", "--threads", "2", "--expiries", "10", "--store")
_TESTS: Final = ("-m", "pytest", "-q", "-n", "auto", "-p", "no:cacheprovider", "-m", "not counterpart", "tests")

_QUESTIONS: Final = """\
## Questions to you

- How many windows asked for permission to use the keychain, and what did they say?
- Is something left of it in the keychain (on a Mac: Keychain Access, search for "freshkey")?
- Where does this Python come from (python.org, Homebrew, Xcode, uv, a store)?
"""


@frozen(kw_only=True)
class Step:
    """A Python command line that is tried.

    Attributes:
        title: What it shows.
        arguments: The arguments of the interpreter.
    """

    title: str
    arguments: tuple[str, ...]


@frozen(kw_only=True)
class Outcome:
    """What came of a step.

    Attributes:
        code: The exit code; None if it took too long.
        seconds: How long it took.
        output: What it printed.
    """

    code: int | None
    seconds: float
    output: str


STEPS: Final = (
    Step(title="The demo, in the keychain", arguments=("-m", "freshkey", "demo")),
    Step(title="8 processes, 10 expiries, in the keychain", arguments=(*_SOAK, "keyring")),
    Step(title="8 processes, 10 expiries, in the encrypted file", arguments=(*_SOAK, "file")),
    Step(title="The tests that need no other program", arguments=_TESTS),
)
_SHORT: Final = 3
"""How many of them a short report has."""


def main(words: Sequence[str] | None = None) -> int:
    """Write the report, and return the exit code: 0 if each step ended with 0."""
    parser = argparse.ArgumentParser(prog="sh scripts/report", description=__doc__)
    parser.add_argument("--short", action="store_true", help="the demo and the endurance run")
    short = parser.parse_args(words).short
    tried = [(step, _tried(step)) for step in STEPS[: _SHORT if short else None]]
    text = harmless(rendered(facts(), tried), private())
    (ROOT / FILE).write_text(text, "utf-8")
    print(f"\n{ROOT / FILE}: read it, answer its questions, and attach it to a bug report. Thank you!")
    return 0 if all(outcome.code == 0 for _, outcome in tried) else 1


def facts() -> dict[str, str]:
    """Return what there is to know about the machine, without names."""
    from freshkey import admin

    return {
        "system": platform.platform(),
        "processor": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": f"{sys.implementation.name} {sys.version}",
        "commit": _said("git", "describe", "--always", "--dirty", "--tags"),
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "providers": ", ".join(sorted(plugin.name for plugin in admin.find())),
        "encodings": f"{locale.getpreferredencoding(do_setlocale=False)}, {sys.getfilesystemencoding()}",
        "names of files": "with case" if _has_case() else "without case",
    }


def private() -> Mapping[str, str]:
    """Return what names the user or the machine, each with what stands for it in the report."""
    # On Windows, the home directory often has a shorter name than the user.
    names = {getpass.getuser(): "USER", Path.home().name: "USER", socket.gethostname(): "HOST"}
    for path, shown in ((Path.home(), "~"), (ROOT, "CHECKOUT")):
        # As it is, in a URL, and in what Python shows of a string.
        names |= dict.fromkeys([str(path), path.as_posix(), repr(str(path))[1:-1]], shown)
    return names


def harmless(text: str, names: Mapping[str, str]) -> str:
    """Return a text in which names are replaced, the longest first; names that are no words of their own stay."""
    for name in sorted(filter(None, names), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", lambda _, name=name: names[name], text)  # type: ignore[misc]
    return text


def rendered(known: Mapping[str, str], tried: Sequence[tuple[Step, Outcome]]) -> str:
    """Return the report in Markdown."""
    return "\n".join(_lines(known, tried))


def _lines(known: Mapping[str, str], tried: Sequence[tuple[Step, Outcome]]) -> Iterator[str]:
    yield "# freshkey on this machine\n"
    for name, value in known.items():
        yield f"- {name}: {value}"
    yield "\n| what | result | seconds |\n| --- | --- | --- |"
    for step, outcome in tried:
        result = {None: "took too long", 0: "as expected"}.get(outcome.code, f"exit code {outcome.code}")
        yield f"| {step.title} | {result} | {outcome.seconds:.0f} |"
    yield f"\n{_QUESTIONS}"
    for step, outcome in tried:
        lines = outcome.output.splitlines()
        shown = [line for line in lines[:-_MOST_LINES] if line.startswith(("FAILED", "ERROR"))] + lines[-_MOST_LINES:]
        yield f"## {step.title}\n\n```text\n" + "\n".join(shown) + "\n```\n"


def _tried(step: Step) -> Outcome:
    print(f"{step.title}…", flush=True)
    began = time.monotonic()
    environ = {**os.environ, "PYTHONUTF8": "1"}
    try:
        done = subprocess.run(  # noqa: S603
            [sys.executable, *step.arguments],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return Outcome(code=None, seconds=_SECONDS, output=(late.output or b"").decode("utf-8", "replace"))
    seconds = time.monotonic() - began
    return Outcome(code=done.returncode, seconds=seconds, output=done.stdout.decode("utf-8", "replace"))


def _said(*words: str) -> str:
    try:
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _has_case() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a").touch()
        return not (Path(folder) / "A").exists()


if __name__ == "__main__":
    sys.exit(main())
