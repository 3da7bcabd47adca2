"""A process that runs out of file descriptors right after a refresh token was spent, and gets some back a while later.

Prints one JSON line: what callers got meanwhile, and the generation that was saved. Fails if a descriptor stays open.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
from pathlib import Path

from freshkey import Configuration, Keeper, _failpoints
from freshkey._renewal.single_flight import SharedFuture
from waiting import leaving_nothing


def main(settings: dict[str, object], state: Path) -> None:
    """Renew, starve at the moment of the answer, and report."""
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
        meanwhile = keeper.get().token is not None
        future.wait(30)
    told = {"meanwhile": meanwhile, "generation": keeper.status().generation}
    os.write(1, json.dumps(told).encode() + b"\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), Path(sys.argv[2]))
