"""A process that forks one keeper per command and may kill it at a named point; for tests of crashes.

`Forge` starts it. It is single-threaded and warm, so a repetition costs milliseconds instead of an interpreter's start.
Commands are JSON lines on standard input: what to do, and at which point to die. Answers are JSON lines: the signal
that ended the child, and what it said.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from attrs import frozen

from freshkey import Configuration, FreshkeyError, Keeper, faults
from freshkey.stores.file import FileItems
from freshkey.testing import ScriptedPerson
from freshkey.testing.browser import follow


@frozen
class Ended:
    """How a child ended.

    Attributes:
        signal: The signal that killed it, or 0.
        said: ``token`` and ``generation``, or ``error`` and ``message``; empty if it was killed.
    """

    signal: int
    said: dict[str, Any]


class Forge:
    """Runs one command after the other, each in a process of its own; a context manager.

    Args:
        settings: The table of the profile ``me``.
        state_dir: Where all of them keep their state.
    """

    def __init__(self, settings: dict[str, Any], state_dir: Path) -> None:
        self._arguments = json.dumps({"settings": settings, "state_dir": str(state_dir)})

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.communicate(timeout=20)

    def run(self, verb: str, *, die_at: str | None = None) -> Ended:
        """Let a new process sign in (``login``), renew (``refresh``) or use (``get``) the profile."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"verb": verb, "die_at": die_at}) + "\n")
        stdin.flush()
        return Ended(**json.loads(stdout.readline()))


def _forge(settings: dict[str, Any], state_dir: Path) -> None:
    for line in sys.stdin:
        command = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _child(settings, state_dir, writing, **command)
        os.close(writing)
        with open(reading) as pipe:  # noqa: PTH123  a descriptor, not a path
            said = pipe.read()
        _, status = os.waitpid(child, 0)
        ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        sys.stdout.write(json.dumps({"signal": ended, "said": json.loads(said or "{}")}) + "\n")
        sys.stdout.flush()


def _child(settings: dict[str, Any], state_dir: Path, writing: int, *, verb: str, die_at: str | None) -> None:
    # Several items per record, as in keychains with a limit: a record can then be torn.
    FileItems.item_limit = 400
    if die_at:
        faults.at = lambda point: os.kill(os.getpid(), signal.SIGKILL) if point == die_at else None
    configuration = Configuration.of({"me": settings}, state_dir=state_dir, default="me")
    with Keeper(configuration=configuration) as keeper:
        os.write(writing, json.dumps(_answer(keeper, verb)).encode())
    os._exit(0)


def _answer(keeper: Keeper, verb: str) -> dict[str, Any]:
    try:
        if verb == "login":
            keeper.login(ask=ScriptedPerson(browser=follow))
        elif verb == "refresh":
            keeper.refresh()
        credential = keeper.get()
    except FreshkeyError as error:
        return {"error": type(error).__name__, "message": str(error)}
    token = credential.token
    assert token is not None
    return {"token": token.reveal(), "generation": keeper.status().generation}


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    _forge(given["settings"], Path(given["state_dir"]))
