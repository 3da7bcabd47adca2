"""Runs the demo, the tests or any Python program on Windows under Wine; see ``scripts/windows``."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from scripts.windows_rig import suite
from scripts.windows_rig.interpreter import RigError, install
from scripts.windows_rig.wine import CUT_OFF, Wine, alone


ROOT: Final = Path(__file__).resolve().parents[2]

_SECONDS: Final = {"demo": 180.0, "test": 3600.0, "run": 3600.0}
_SHORT: Final = (
    "tests/benchmarks/endurance/test_soak.py",
    "tests/core/_files/test_sharing.py",
    "tests/core/_interprocess/test_directory_lock.py",
    "tests/core/_interprocess/test_lock.py",
    "tests/core/_renewal/test_persist.py",
    "tests/core/_renewal/test_rotation.py",
    "tests/core/_renewal/test_single_use.py",
    "tests/core/_stores/encrypted_file",
    "tests/core/_stores/keychain/test_credential_manager.py",
    "tests/core/_stores/records",
    "tests/e2e/test_exec_with_a_key.py",
    "tests/plugins/cli/test_console.py",
    "tests/plugins/cli/test_streams.py",
    "tests/plugins/cli/test_windows_child.py",
    "tests/plugins/cli/test_windows_signals.py",
)
"""Stores, locks, rotation, expiries, the command line."""

_USAGE: Final = "usage: sh scripts/windows {demo | test [--short | ARG...] | run ARG... | clean}"


def main(words: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    command, arguments = (words[0], list(words[1:])) if words else ("", [])
    rig = Path(os.environ.get("WINDOWS_RIG") or ROOT / ".windows").absolute()
    try:
        if command == "clean" and not arguments:
            with alone(rig):
                shutil.rmtree(rig)
            return 0
        if command not in _SECONDS:
            print(_USAGE, file=sys.stderr)
            return 2
        with alone(rig):
            install(ROOT, rig / "python")
            if command == "test" and arguments in ([], ["--short"]):
                tally = suite.run(ROOT, rig, _SHORT if arguments else ["tests"], os.cpu_count() or 1)
                print("\n".join(["", *tally.summary()]))
                return 0 if tally.is_good else 1
            code = Wine(rig).python(_python_arguments(command, arguments), seconds=_SECONDS[command])
    except RigError as error:
        print(f"scripts/windows: {error}", file=sys.stderr)
        return 1
    if code == CUT_OFF:
        print(f"scripts/windows: ended after {_SECONDS[command]:.0f} s, or because Wine crashed", file=sys.stderr)
    return code


def _leave(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


def _python_arguments(command: str, arguments: list[str]) -> list[str]:
    if command == "demo":
        return ["-m", "freshkey", "demo", *arguments]
    if command == "test":
        if "--short" in arguments:
            arguments = [*(word for word in arguments if word != "--short"), *_SHORT]
        # A test that hangs ends its worker, which xdist replaces: pytest-timeout can interrupt no test on Windows.
        # What starts processes takes several times as long as on Linux.
        options = ["-p", "no:cacheprovider", "-n", str(os.cpu_count() or 1), "--timeout", "300"]
        return ["-m", "pytest", *options, *arguments]
    return arguments


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _leave)  # of timeout(1): what runs in Wine would go on
    sys.exit(main(sys.argv[1:]))
