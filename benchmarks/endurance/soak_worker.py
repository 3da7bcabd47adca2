"""One process of the endurance run: threads that use a profile like an application, and report the results.

It reads its orders as JSON from its argument, ends when stdin is closed, and prints what it has seen so far as one JSON
line, twice a second, so that even a killed process has reported nearly everything.
"""

from __future__ import annotations

import http.client
import json
import mmap
import os
import random
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import asdict

from benchmarks.endurance.soak_figures import Seen
from freshkey import (
    Configuration,
    Credential,
    FreshkeyError,
    Keeper,
    LoginRequired,
    TransientError,
    _failpoints,
    expiry,
)
from freshkey.clock import SYSTEM
from freshkey.events import Event, Obtained, Renewed, SignInNeeded


REPORT_SECONDS: Final = 0.5

NEARLY_OVER: Final = 0.5
"""Seconds of remaining lifetime below which a refused credential may have expired in transit on a busy machine."""

PUBLISHED_SECONDS: Final = 1.0
"""Seconds within which a renewal reaches every process."""

NOTE: Final = "=Bd"
"""Format of a process's file for its parent: the last point passed, and when an intent was last written."""

LAST: Final = "=d"
"""Format of the file shared by all processes: when the last one was killed on purpose."""

KILLED: Final = 9
"""The signal that kills a process, SIGKILL. Windows has no signals, and ends it with this exit code, which programs do
not use; that of `Popen.kill` there is 1, as after an exception."""

SPARED_SECONDS: Final = 1.0
"""Minimum seconds between two kills on purpose; repeating the request takes less."""


class Worker:
    """Uses the profile on several threads.

    Args:
        orders: Settings of the profile, state directory, resource, threads, pace, and the files for `Doom`.
    """

    def __init__(self, orders: dict[str, Any]) -> None:
        configuration = Configuration.of({"soak": orders["settings"]}, state_dir=Path(orders["state_dir"]))
        self._keeper = Keeper(configuration=configuration)
        self._resource = urlsplit(orders["resource"])
        self._pace = float(orders["pace"])
        self._threads = int(orders["threads"])
        self._over = threading.Event()
        self._mutex = threading.Lock()
        self._seen = Seen()
        self._newest = 0.0
        self._told: set[str] = set()
        self._keeper.subscribe(self._hear)

    def run(self) -> None:
        """Work until stdin is closed."""
        threads = [threading.Thread(target=self._use) for _ in range(self._threads)]
        reporter = threading.Thread(target=self._report)
        for thread in (*threads, reporter):
            thread.start()
        sys.stdin.read()
        self._over.set()
        for thread in (*threads, reporter):
            thread.join()
        self._keeper.close()

    def _use(self) -> None:
        connection = http.client.HTTPConnection(self._resource.hostname or "", self._resource.port, timeout=30)
        while not self._over.wait(self._pace * random.uniform(0.5, 1.5)):  # noqa: S311  no secret
            try:
                self._request(connection)
            except LoginRequired:
                # The parent also sees it, counts it, and signs in again.
                self._over.wait(0.2)
            except (FreshkeyError, OSError, http.client.HTTPException) as error:
                connection.close()
                with self._mutex:
                    self._seen.note(error)
        connection.close()

    def _request(self, connection: http.client.HTTPConnection) -> None:
        """Do what every client should: after a 401, pass on the refused credential and retry once."""
        began, newest = SYSTEM.elapsed(), self._newest
        credential = self._get()
        if self._status(connection, credential) != http.HTTPStatus.UNAUTHORIZED:
            return
        left = expiry.seconds_left(credential.obtained, credential.lifetime, SYSTEM.now())
        with self._mutex:
            self._seen.refused += 1
            self._seen.refused_early += left > NEARLY_OVER
            self._seen.refused_late += credential.obtained.elapsed < newest
        asked = SYSTEM.elapsed()
        newer = self._newer(credential)
        took = SYSTEM.elapsed() - began
        again = self._status(connection, newer) == http.HTTPStatus.UNAUTHORIZED and self._was_behind(newer, asked)
        with self._mutex:
            self._seen.longest_refused = max(self._seen.longest_refused, took)
            self._seen.longest_behind = max(self._seen.longest_behind, began - newer.obtained.elapsed)
            self._seen.refused_again += again

    def _newer(self, refused: Credential) -> Credential:
        """Get a credential other than the refused one; wait once for `retry_after` if necessary.

        A response that the server repeats is older than it claims, and its credential can expire right away.
        """
        try:
            return self._keeper.get("soak", refused=refused)
        except TransientError as error:
            if error.retry_after is None or self._over.wait(error.retry_after):
                raise
        return self._keeper.get("soak", refused=refused)

    def _was_behind(self, refused: Credential, asked: float) -> bool:
        """Return whether the refused credential had long been replaced when it was requested, or was never replaced.

        On a busy machine, the next renewal may happen while a request is in transit.
        """
        try:
            newest = self._keeper.get("soak", refused=refused)
        except FreshkeyError:
            return True  # no newer credential; if the sign-in is lost, the next request reports it
        return newest.obtained.elapsed < asked - PUBLISHED_SECONDS or newest.authorizes_like(refused)

    def _get(self) -> Credential:
        held = self._keeper._held.get("soak")  # noqa: SLF001  only internals show whether a caller had to wait
        valid = held is not None and SYSTEM.elapsed() < held.expires_at - 0.05
        began = time.monotonic()
        credential = self._keeper.get("soak")
        waited = time.monotonic() - began
        expired = credential.expired()
        with self._mutex:
            self._newest = max(self._newest, credential.obtained.elapsed)
            self._seen.gets += 1
            self._seen.expired += expired
            self._seen.longest = max(self._seen.longest, waited)
            if valid:
                self._seen.longest_valid = max(self._seen.longest_valid, waited)
        return credential

    def _hear(self, event: Event) -> None:
        """Note when each credential ends, and count repeated reports of the same required sign-in."""
        with self._mutex:
            # The first one of a process is obtained, even if the process has renewed it.
            if isinstance(event, Obtained | Renewed) and event.expires_at is not None:
                self._seen.ends.append(event.expires_at.timestamp())
            elif isinstance(event, SignInNeeded):
                self._seen.told_again += event.reason in self._told
                self._told.add(event.reason)

    def _status(self, connection: http.client.HTTPConnection, credential: Credential) -> int:
        token = credential.token.reveal() if credential.token else ""
        connection.request("GET", self._resource.path, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        response.read()
        return response.status

    def _report(self) -> None:
        while True:
            over = self._over.wait(REPORT_SECONDS)
            with self._mutex:
                line = json.dumps(asdict(self._seen))
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
            if over:
                return


class Doom:
    """Records the last point passed, for the parent to read after a kill, and kills some renewals on purpose.

    Kills on purpose happen between sending a refresh token and committing the result, before or after the response is
    read. The process that then repeats the request is not killed, so a token is sent at most three times.

    Args:
        note: A file of this process with the size of `NOTE`.
        shared: A file of all processes with the size of `LAST`, for the time of the last kill on purpose.
        aim: Probability that a renewal is killed.
    """

    def __init__(self, note: str, shared: str, aim: float) -> None:
        self._note, self._shared, self._aim = mapped(note), mapped(shared), aim
        self._intended = 0.0
        self._at = ""

    def __call__(self, point: str) -> None:
        """Pass a point."""
        if point == "intent_written":
            self._intended = time.time()
            self._at = self._choose()
        struct.pack_into(NOTE, self._note, 0, _failpoints.POINTS.index(point) + 1, self._intended)
        if point == self._at:
            struct.pack_into(LAST, self._shared, 0, time.time())
            os.kill(os.getpid(), KILLED)

    def _choose(self) -> str:
        (last,) = struct.unpack_from(LAST, self._shared)
        if random.random() >= self._aim or time.time() < last + SPARED_SECONDS:  # noqa: S311  no secret
            return ""
        return random.choice(("request_sent", "after_refresh"))  # noqa: S311  no secret


def mapped(path: str) -> mmap.mmap:
    """Map a file, because on Windows all mappings of a file agree, but not the file as read."""
    with open(path, "r+b") as file:  # noqa: PTH123  mapped, not read
        return mmap.mmap(file.fileno(), 0)


def main() -> None:
    """Run one process of `benchmarks.endurance.soak`."""
    orders = json.loads(sys.argv[1])
    _failpoints.at = Doom(orders["note"], orders["shared"], orders["aim"])
    Worker(orders).run()


if __name__ == "__main__":
    main()
