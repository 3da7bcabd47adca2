"""A process that uses a profile like an application, for tests of several processes that share one sign-in.

Arguments: the profile, the number of different access tokens to wait for, a protected resource to send them to, and
`repeat` if a token that another process has just replaced is refused: then the request is repeated with the newer one.
Prints one JSON line per new token: its digest, and the resource's response status, or that the token expired in
transit.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from datetime import UTC, datetime
from http.client import UNAUTHORIZED

import httpx

from freshkey import Credential, Keeper
from freshkey.errors import CredentialExpired


TOO_LATE = "the token expired in transit"


def main(profile: str, wanted: int, resource: str, *, repeat: bool) -> None:
    seen: set[str] = set()
    with Keeper() as keeper, httpx.Client() as client:
        while len(seen) < wanted:
            credential = keeper.get(profile)
            assert credential.token is not None
            digest = hashlib.sha256(credential.token.reveal().encode()).hexdigest()[:16]
            if digest not in seen:
                status = _status(client, resource, credential)
                if status == UNAUTHORIZED and repeat:
                    status = _status(client, resource, keeper.get(profile, refused=credential))
                seen.add(digest)
                sys.stdout.write(json.dumps({"token": digest, "status": status}) + "\n")
                sys.stdout.flush()
            time.sleep(0.02)


def _status(client: httpx.Client, resource: str, credential: Credential) -> int | str:
    """Return the resource's status, or `TOO_LATE` if the machine was so slow that the token expired."""
    try:
        status = client.get(resource, headers=credential.headers("GET", resource)).status_code
    except CredentialExpired:
        return TOO_LATE
    assert credential.expires_at is not None
    left = (credential.expires_at - datetime.now(UTC)).total_seconds()
    return TOO_LATE if status == 401 and left < 1 else status  # servers count whole seconds


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], repeat=sys.argv[4:] == ["repeat"])
