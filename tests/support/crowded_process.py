"""A process in which many threads use one profile, for tests of several such processes that share one sign-in.

Arguments: the profile, the number of threads, and the number of different access tokens that each thread is to see.
Says ``ready`` and waits for a line on standard input, so that all processes ask at once. Prints one JSON line at last:
digests of the tokens that were seen, and what went wrong, such as a token whose end had passed before it was asked for.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from datetime import UTC, datetime

from freshkey import FreshkeyError, Keeper


PATIENCE = 60.0


class Crowd:
    """The threads and what they have seen."""

    def __init__(self, keeper: Keeper, profile: str) -> None:
        self._keeper = keeper
        self._profile = profile
        self._mutex = threading.Lock()
        self.seen: set[str] = set()
        self.errors: list[str] = []

    def use(self, wanted: int) -> None:
        """Ask again and again until there were `wanted` different tokens, as one thread of an application does."""
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
                self._note(error="a token whose end had passed")
            digest = hashlib.sha256(credential.token.reveal().encode()).hexdigest()[:16]
            if digest not in mine:
                mine.add(digest)
                self._note(digest=digest)
            time.sleep(0.02)

    def _note(self, digest: str | None = None, error: str | None = None) -> None:
        with self._mutex:
            self.seen |= {digest} if digest else set()
            self.errors += [error] if error else []


def main(profile: str, threads: int, wanted: int) -> None:
    """Do what the arguments say."""
    with Keeper() as keeper:
        crowd = Crowd(keeper, profile)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        everybody = [threading.Thread(target=crowd.use, args=[wanted]) for _ in range(threads)]
        for thread in everybody:
            thread.start()
        for thread in everybody:
            thread.join()
        sys.stdout.write(json.dumps({"seen": sorted(crowd.seen), "errors": crowd.errors}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
