"""A process that runs out of file descriptors right after a refresh token was used, and gets some back later.

Prints one JSON line: whether callers got a credential in between, and the saved generation. Fails if it leaks files.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from freshkey import Configuration, Keeper, _failpoints
from freshkey._renewal.single_flight import SharedFuture
from waiting import leaving_nothing


if sys.platform != "win32":
    import resource


def main(settings: dict[str, object], state: Path) -> None:
    """Renew, run out of file descriptors when the response arrives, and report."""
    keeper = Keeper(configuration=Configuration.of({"me": settings}, state_dir=state, default="me"))
    keeper.get()
    keeper.refresh()
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)

    def starve(point: str) -> None:
        if point == "after_refresh":
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, usual[1]))
            threading.Timer(0.5, lambda: resource.setrlimit(resource.RLIMIT_NOFILE, usual)).start()

    with leaving_nothing():
        _failpoints.at = starve
        future = keeper._open_profile("me").get(by_user=True)
        assert isinstance(future, SharedFuture)
        while_starved = keeper.get().token is not None
        future.wait(30)
    told = {"while_starved": while_starved, "generation": keeper.status().generation}
    os.write(1, json.dumps(told).encode() + b"\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), Path(sys.argv[2]))
