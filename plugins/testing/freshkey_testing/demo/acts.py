"""The steps of the demo that take more than one call: renewals, a second process, a revoked refresh token."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from freshkey import Secret, events, expiry
from freshkey.errors import LoginRequired, TransientError
from freshkey_testing.demo.stage import LIFETIME, PROFILE
from freshkey_testing.demo.view import ending


if TYPE_CHECKING:
    from freshkey import Keeper
    from freshkey_testing.demo.stage import Stage
    from freshkey_testing.demo.view import Update, View

RENEWALS_TIMEOUT: Final = 40.0
"""Seconds to wait for the renewals: four lifetimes."""

POLL_INTERVAL: Final = 0.2
"""Seconds between two updates of the time left."""

CHILD_TIMEOUT: Final = 60.0
"""Seconds in which even a busy machine, or one that scans each file on first use, starts a process."""


def watch_renewals(view: View, keeper: Keeper, wanted: int) -> int:
    """Show the time left until the timer has renewed `wanted` times; return the number of renewals.

    Raises:
        TransientError: There were fewer renewals within `RENEWALS_TIMEOUT` seconds.
    """
    renewals: list[events.Renewed] = []
    changed = threading.Event()

    def note(event: events.Event) -> None:
        if isinstance(event, events.Renewed) and not event.elsewhere:
            renewals.append(event)
            changed.set()

    unsubscribe = keeper.subscribe(note)
    end = time.monotonic() + RENEWALS_TIMEOUT
    try:
        with view.countdown(LIFETIME) as update:
            while True:
                _show(keeper, update, len(renewals))
                if len(renewals) >= wanted:
                    return len(renewals)
                if time.monotonic() > end:
                    raise TransientError(
                        f"only {len(renewals)} of {wanted} renewals happened within {RENEWALS_TIMEOUT:g} s",
                        hint="Try again",
                        code="demo-failed",
                    )
                changed.wait(POLL_INTERVAL)
                changed.clear()
    finally:
        unsubscribe()


def _show(keeper: Keeper, update: Update, renewals: int) -> None:
    credential = keeper.get(PROFILE)
    left = expiry.seconds_left(credential.obtained, credential.lifetime, credential.clock.now())
    update(max(0.0, left), ending(credential.token), renewals)


def second_process(stage: Stage) -> Secret:
    """Return the token printed by a second process, which shares only the directories with this one.

    Raises:
        TransientError: The process failed or did not finish in time.
    """
    # -P: do not search the current directory for modules.
    command = [sys.executable, "-P", "-m", "freshkey", "token", PROFILE, "--json"]
    try:
        done = subprocess.run(  # noqa: S603  this same program
            command, env=dict(stage.environ), capture_output=True, timeout=CHILD_TIMEOUT, check=True
        )
    except subprocess.SubprocessError as error:
        raise TransientError(
            f"the second process failed ({type(error).__name__})", hint="Try again", code="demo-failed"
        ) from None
    return Secret(json.loads(done.stdout)["token"])


def dead_token_answer(stage: Stage, refresh_token: Secret) -> str:
    """Send a refresh token straight to the server and return how it responds."""
    from freshkey.admin import SendToHosts
    from freshkey.oauth import OAuthClient, Server

    urls = stage.server.urls
    client = OAuthClient(
        server=Server(authorization_endpoint=urls.authorize, token_endpoint=urls.token),
        client_id=stage.server.client_id,
        send=SendToHosts([urlsplit(urls.token).hostname or ""], allow_insecure_loopback=True),
    )
    try:
        client.refresh(refresh_token)
    except LoginRequired:
        return "refused (invalid_grant)"
    return "still accepted"
