"""A process that keeps getting a credential, for tests that change its clocks.

Arguments: the profile, the URL of a protected resource or an empty string, and the seconds between two checks of the
clocks by the timer. Every token is sent to the resource.
It prints one JSON line whenever the token, its status or the error changes, and one for each line on stdin: an empty
line asks what was served since, any other line is a time zone to switch to.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import sys
import time

import httpx

from freshkey import FreshkeyError, Keeper
from freshkey._renewal import scheduler
from freshkey.errors import CredentialExpired


FORGIVEN = 1.0
"""Seconds in transit that these tests' servers allow: they accept tokens for longer than announced."""


def main(profile: str, resource: str, glance: float) -> None:
    vars(scheduler)["LISTENING_SLEEP"] = glance
    served, before = 0, None
    with Keeper() as keeper, httpx.Client(trust_env=False) as client:
        while True:
            now = look(keeper, client, profile, resource)
            served += 1
            if now != before:
                before = now
                say(**now)
            if select.select([sys.stdin], [], [], 0.02)[0]:
                line = sys.stdin.readline()
                if not line:
                    return
                if line.strip():
                    os.environ["TZ"] = line.strip()
                    time.tzset()
                say(served=served, wall=time.time(), zone=time.strftime("%z"), elapsed=time.monotonic(), **now)
                served = 0


def look(keeper: Keeper, client: httpx.Client, profile: str, resource: str) -> dict[str, object]:
    while True:
        try:
            credential = keeper.get(profile)
            began = time.monotonic()
            headers = credential.headers("GET", resource)
        except CredentialExpired:
            # It expired between these two lines. That was detected, and nothing expired was sent.
            continue
        except FreshkeyError as error:
            if error.code == "credential-already-expired":
                # The response took longer than the token lasts, on a busy machine. Nothing was served.
                continue
            return {"error": f"{error} [{error.code}]"}
        status = client.get(resource, headers=headers).status_code if resource else None
        if status == 401 and time.monotonic() - began > FORGIVEN:
            # It expired in transit, which takes long on a busy machine.
            continue
        digest = hashlib.sha256(headers["Authorization"].encode()).hexdigest()[:16]
        return {"token": digest, "status": status, "expires_at": str(credential.expires_at)}


def say(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
