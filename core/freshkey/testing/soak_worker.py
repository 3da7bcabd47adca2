"""One process of the endurance run: threads that use a profile as an application does, and say how that went.

Reads its orders as JSON from its argument, ends when its standard input closes, and prints what it has seen so far as
one JSON line, twice a second, so that a killed process has told nearly everything.
"""

from __future__ import annotations

import collections
import http.client
import json
import mmap
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import asdict, define, field

from freshkey import Configuration, Credential, FreshkeyError, Keeper, LoginRequired, faults
from freshkey.clock import SYSTEM


REPORT_SECONDS = 0.5


@define
class Seen:
    """What one process has seen.

    Attributes:
        gets: Credentials asked for.
        expired: Credentials handed out after their end.
        refused: Requests that the resource answered with 401.
        refused_again: Requests that were refused once more with the newer credential.
        longest_valid: Longest wait, in seconds, of a caller for whom a valid credential was in memory.
        longest: Longest wait of any caller, in seconds.
        errors: Class of each error other than a needed sign-in, and how often.
    """

    gets: int = 0
    expired: int = 0
    refused: int = 0
    refused_again: int = 0
    longest_valid: float = 0.0
    longest: float = 0.0
    errors: collections.Counter[str] = field(factory=collections.Counter)


class Worker:
    """Uses the profile on several threads.

    Args:
        orders: Settings of the profile, state directory, resource, threads, pace, and where to note the point reached.
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

    def run(self) -> None:
        """Work until standard input closes."""
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
                credential = self._get()
                if self._status(connection, credential) == http.HTTPStatus.UNAUTHORIZED:
                    self._once_more(connection, credential)
            except LoginRequired:
                # The parent sees it too, counts it, and signs in again.
                self._over.wait(0.2)
            except (FreshkeyError, OSError, http.client.HTTPException) as error:
                connection.close()
                with self._mutex:
                    self._seen.errors[type(error).__name__] += 1

    def _get(self) -> Credential:
        held = self._keeper._held.get("soak")  # noqa: SLF001  only inside shows whether a caller had to wait
        valid = held is not None and SYSTEM.elapsed() < held.ends_at - 0.05
        began = time.monotonic()
        credential = self._keeper.get("soak")
        waited = time.monotonic() - began
        with self._mutex:
            self._seen.gets += 1
            self._seen.expired += credential.expired()
            self._seen.longest = max(self._seen.longest, waited)
            if valid:
                self._seen.longest_valid = max(self._seen.longest_valid, waited)
        return credential

    def _once_more(self, connection: http.client.HTTPConnection, refused: Credential) -> None:
        """Do what every client should after a 401: name the credential that was refused, and send again once."""
        with self._mutex:
            self._seen.refused += 1
        newer = self._keeper.get("soak", refused=refused)
        if self._status(connection, newer) == http.HTTPStatus.UNAUTHORIZED:
            with self._mutex:
                self._seen.refused_again += 1

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


def note_points(path: str, aim: float) -> None:
    """Keep the number of the last point passed in the first byte of a file, where the parent finds it after a kill.

    Args:
        path: The file.
        aim: Probability to die at a point between the sending of a refresh token and the commit of what it brought.
    """
    with open(path, "r+b") as file:  # noqa: PTH123  mapped, not read
        shared = mmap.mmap(file.fileno(), 1)

    def at(point: str) -> None:
        shared[0] = int(point[1:])
        if point in ("P4", "P5") and random.random() < aim:  # noqa: S311  no secret
            os.kill(os.getpid(), signal.SIGKILL)

    faults.at = at


def main() -> None:
    """Run as one process of `freshkey.testing.soak`."""
    orders = json.loads(sys.argv[1])
    note_points(orders["point_file"], orders["aim"])
    Worker(orders).run()


if __name__ == "__main__":
    main()
