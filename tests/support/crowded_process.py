"""Processes in which many threads use one profile, for tests of several such processes that share one sign-in.

Arguments: the profile, the number of processes to fork, the number of threads of each, and the number of different
access tokens that each thread must see. It prints ``ready`` and waits for a line on stdin, so that all processes start
at once. At the end, each prints one JSON line: digests of the tokens it saw, and errors, such as a token that had
already expired before it was requested.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from datetime import UTC, datetime

from freshkey import FreshkeyError, Keeper


PATIENCE = 60.0

PAUSE = 0.05
"""Seconds between two calls of a thread."""

MAX_ERRORS = 5
"""Keeps the line short enough for an atomic write to a pipe, so that lines of processes are not mixed."""


class Crowd:
    """The threads of one process and what they have seen."""

    def __init__(self, keeper: Keeper, profile: str) -> None:
        self._keeper = keeper
        self._profile = profile
        self._mutex = threading.Lock()
        self.seen: set[str] = set()
        self.errors: list[str] = []

    def use(self, wanted: int) -> None:
        """Get the credential repeatedly until there were `wanted` different tokens, like a thread of an application."""
        mine: set[str] = set()
        deadline = time.monotonic() + PATIENCE
        while len(mine) < wanted and time.monotonic() < deadline:
            asked = datetime.now(UTC)
            try:
                credential = self._keeper.get(self._profile)
            except FreshkeyError as error:
                self._note(error=f"{type(error).__name__}: {error}")
                return
            ends = credential.expires_at
            assert ends is not None
            assert credential.token is not None
            if ends <= asked:
                self._note(error="an expired token")
            digest = hashlib.sha256(credential.token.reveal().encode()).hexdigest()[:16]
            if digest not in mine:
                mine.add(digest)
                self._note(digest=digest)
            time.sleep(PAUSE)

    def _note(self, digest: str | None = None, error: str | None = None) -> None:
        with self._mutex:
            self.seen |= {digest} if digest else set()
            self.errors += [error] if error else []


def use(profile: str, threads: int, wanted: int) -> None:
    """Use the profile in threads, and print what they saw."""
    with Keeper() as keeper:
        crowd = Crowd(keeper, profile)
        crew = [threading.Thread(target=crowd.use, args=[wanted]) for _ in range(threads)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        said = {"seen": sorted(crowd.seen), "errors": crowd.errors[:MAX_ERRORS]}
        os.write(1, (json.dumps(said) + "\n").encode())


def main(profile: str, processes: int, threads: int, wanted: int) -> int:
    """Run with these arguments, and return the number of processes that failed."""
    waiting, go = os.pipe()
    children = []
    for _ in range(processes):
        child = os.fork()
        if child == 0:
            os.close(go)
            os.read(waiting, 1)  # returns once all writers are closed
            use(profile, threads, wanted)
            return 0
        children.append(child)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    os.close(go)
    return sum(os.waitpid(child, 0)[1] != 0 for child in children)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))
