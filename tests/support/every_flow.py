"""Runs every flow that handles a secret, with a root logger that writes everything, so that tests can search it.

Reads the user's configuration from the environment. Writes all secrets that were ever used to the file in its
first argument, and must not write a secret anywhere else.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import httpx

from freshkey import Configuration, FreshkeyError, Keeper
from freshkey_testing import AuthorizationServer, ScriptedUser
from freshkey_testing.browser import approve_device, copy_code, follow


def main(made: Path, state_dir: Path) -> None:
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    secrets: set[str] = set()
    with AuthorizationServer() as server:
        for flow in (by_loopback, by_paste, by_device):
            profile = flow.__name__
            settings = {**server.settings(), "provider": "claude_oauth", "store": os.environ["STORE"]}
            if flow is by_device:
                settings["flow"] = "device"
            else:
                settings["paste_redirect_url"] = server.urls.paste
            configuration = Configuration.of({profile: settings}, state_dir=state_dir, default=profile)
            with Keeper(configuration=configuration) as keeper:
                keeper.subscribe(say)
                flow(keeper)
                use(keeper, server)
                fail(keeper, server)
                say(keeper.logout())
        secrets |= server.secrets()
    made.write_text(json.dumps(sorted(secrets)), "ascii")


def say(*values: object) -> None:
    """Show values in every way that a careless program might."""
    for value in values:
        sys.stdout.write(f"{value} {value!r}\n")
        logging.getLogger("application").info("%s %r", value, value)


def by_loopback(keeper: Keeper) -> None:
    with ScriptedUser(browser=follow, confirm=True) as user:
        say(keeper.login(interaction=user), user.opened, user.notices, user.prompts, user.progress_messages)


def by_paste(keeper: Keeper) -> None:
    with ScriptedUser(paste=copy_code, confirm=True) as user:
        say(keeper.login(interaction=user), user.notices)


def by_device(keeper: Keeper) -> None:
    with ScriptedUser(device=approve_device, confirm=True) as user:
        say(keeper.login(interaction=user))


def use(keeper: Keeper, server: AuthorizationServer) -> None:
    say(keeper.get(), keeper.refresh(), asyncio.run(keeper.aget()))
    say(keeper.status(), keeper.explain(), keeper.inspect(), keeper.describe())
    with httpx.Client(auth=keeper.auth()) as client:
        say(client.get(server.urls.resource).status_code)


def fail(keeper: Keeper, server: AuthorizationServer) -> None:
    token = json.dumps({"access_token": "canary\r\nInjected: 1", "token_type": "Bearer", "expires_in": 60})
    for status, body in ((200, "<html>sign in</html>"), (200, token), (400, '{"error": "invalid_client"}')):
        server.next_response(status, body)
        attempt(keeper.refresh)
    server.drop_next_answer()
    attempt(keeper.refresh)
    server.revoke_grants()
    attempt(keeper.refresh)
    attempt(keeper.login)
    server.policy.consent = "deny"
    attempt(lambda: keeper.login(interaction=ScriptedUser(browser=follow, confirm=True)))
    server.policy.consent = "approve"


def attempt(act: Callable[[], object]) -> None:
    try:
        say(act())
    except FreshkeyError as error:
        say(error, error.__dict__)
        traceback.print_exc()
        logging.getLogger("application").exception("failed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
