"""A process that uses a profile as an application does, for tests of several processes that share one sign-in.

Arguments: the profile, the number of different access tokens to see, and a protected resource to try each one at.
Prints one JSON line per new token: a digest of it, and the status that the resource answered, or that the token ended
on its way there.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from datetime import UTC, datetime

import httpx

from freshkey import Keeper
from freshkey.errors import CredentialExpired


def main(profile: str, wanted: int, resource: str) -> None:
    seen: set[str] = set()
    with Keeper() as keeper, httpx.Client() as client:
        while len(seen) < wanted:
            credential = keeper.get(profile)
            try:
                headers = credential.headers("GET", resource)
            except CredentialExpired:
                continue  # the machine paused here for longer than it had left
            digest = hashlib.sha256(headers["Authorization"].encode()).hexdigest()[:16]
            if digest not in seen:
                status: int | str = client.get(resource, headers=headers).status_code
                # Servers count whole seconds, and a machine under load may let those pass on the way.
                if status == 401 and credential.expires_at is not None:
                    left = (credential.expires_at - datetime.now(UTC)).total_seconds()
                    status = "ended on its way" if left < 1 else status
                seen.add(digest)
                sys.stdout.write(json.dumps({"token": digest, "status": status}) + "\n")
                sys.stdout.flush()
            time.sleep(0.02)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
