"""A process that signs in as root, becomes an unprivileged user, and renews where that user cannot write.

Prints the result as one JSON line. Everything is imported before the user changes, because afterwards not even
Python's own files may be readable.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from freshkey import Configuration, FreshkeyError, Keeper
from freshkey_testing import ScriptedUser
from freshkey_testing.browser import follow


NOBODY = 65534


def _keeper(settings: dict[str, object], state: Path) -> Keeper:
    return Keeper(configuration=Configuration.of({"me": settings}, state_dir=state, default="me"))


def main(settings: dict[str, object], home: Path) -> None:
    """Sign in as each of the two users, then renew without write permission."""
    warm = _keeper(settings, home / "warm")
    warm.login(interaction=ScriptedUser(browser=follow))
    warm.refresh()
    state = home / "state"
    os.chown(home, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    keeper = _keeper(settings, state)
    keeper.login(interaction=ScriptedUser(browser=follow, confirm=True))
    (state / "store").chmod(0o500)
    try:
        keeper.refresh()
        said = {"error": ""}
    except FreshkeyError as error:
        said = {"error": type(error).__name__, "code": error.code, "message": str(error)}
    (state / "store").chmod(0o700)
    refused = dict(said)
    keeper.refresh()
    refused["generation"] = str(keeper.status().generation)
    os.write(1, json.dumps(refused).encode() + b"\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), Path(sys.argv[2]))
