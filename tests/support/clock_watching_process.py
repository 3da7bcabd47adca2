"""A process that asks for a credential all the time, for tests that move the clocks under it.

Arguments: the profile, the address of a protected resource or an empty word, and the seconds between two looks of the
timer at the clocks. Every token is shown to the resource.
Prints one JSON line whenever the token, its status or the error changes, and one for each line on its standard input:
an empty one asks what was served since, any other one is a time zone to change to.
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
"""Seconds on the way that the servers of these tests forgive at least: they take tokens for longer than they say."""


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
            # Its end came between these two lines. It noticed, and nothing expired was shown to anybody.
            continue
        except FreshkeyError as error:
            return {"error": str(error)}
        status = client.get(resource, headers=headers).status_code if resource else None
        if status == 401 and time.monotonic() - began > FORGIVEN:
            # Its end came on the way to the resource, at which a machine under load is slow.
            continue
        digest = hashlib.sha256(headers["Authorization"].encode()).hexdigest()[:16]
        return {"token": digest, "status": status, "expires_at": str(credential.expires_at)}


def say(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
