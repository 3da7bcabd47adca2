"""A reproducible endurance run: ``python -m benchmarks.endurance.soak``.

Several processes with several threads share one sign-in with rotating, single-use refresh tokens. The server runs on
this machine, logs every grant, and ends a sign-in whose refresh token is used twice. Processes may be killed at any
time. Like the demo, it needs a provider with an OAuth sign-in: ``freshkey-claude-oauth``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.endurance.soak_figures import Plan, as_json, report
from benchmarks.endurance.soak_run import PROVIDER, Soak
from freshkey.admin import find


PACKAGE: Final = "freshkey-claude-oauth"

NOT_INSTALLED: Final = 6
"""Exit code if the provider is not installed; the same as the command line's for configuration errors."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; exit code 0 if freshkey kept its promises, 1 if not."""
    arguments = vars(_parser().parse_args(argv))
    machine_readable = arguments.pop("json")
    plan = Plan(**arguments)
    if PROVIDER not in {plugin.name for plugin in find()}:
        sys.stderr.write(f"The endurance run needs {PACKAGE}; install it first\n")
        return NOT_INSTALLED
    with tempfile.TemporaryDirectory(prefix="freshkey-soak-") as folder:
        figures = Soak(plan, Path(folder)).run()
    sys.stdout.write((as_json if machine_readable else report)(plan, figures) + "\n")
    return 1 if figures.broken_promises(plan) else 0


def _parser() -> argparse.ArgumentParser:
    normal = Plan()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance.soak", description=__doc__.splitlines()[0])
    number = parser.add_argument
    number("--processes", type=int, default=normal.processes)
    number("--threads", type=int, default=normal.threads, help="threads per process")
    number("--expiries", type=int, default=normal.expiries, help="number of renewals to wait for")
    number("--lifetime", type=float, default=normal.lifetime, help="lifetime of an access token in seconds")
    number("--grace", type=float, default=normal.grace, help="grace period for a spent refresh token, in seconds")
    number("--pace", type=float, default=normal.pace, help="average seconds between two requests of a thread")
    number(
        "--kill",
        type=float,
        nargs="?",
        const=0.5,
        default=normal.kill,
        help="random kills per second (0.5)",
    )
    number("--aim", type=float, default=normal.aim, help="probability of a kill while a refresh token is used")
    parser.add_argument("--access-dies", action="store_true", help="a renewal revokes the old access token at once")
    parser.add_argument("--store", choices=["file", "keyring"], default=normal.store)
    parser.add_argument("--json", action="store_true", help="print plan and results as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
