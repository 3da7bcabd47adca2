"""``freshkey demo``: obtain, store, renew, share and revoke a credential, all on this machine.

The command line finds this module by its entry point (group ``freshkey.commands``); neither imports the other.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from attrs import asdict, define

from freshkey_testing.demo.acts import dead_token_answer, second_process, watch_renewals
from freshkey_testing.demo.stage import LIFETIME, PROFILE, Stage, raise_stage, require_provider
from freshkey_testing.demo.view import Context, View, ending


if TYPE_CHECKING:
    from freshkey import Keeper

RENEWALS: Final = 3
"""Number of renewals the demo waits for; the keeper's timer starts each of them."""


@define
class Summary:
    """What the demo showed; printed as the result with ``--json``."""

    store: str
    signed_in_as: str = ""
    renewals: int = 0
    second_process_same_token: bool = False
    revoked: bool | None = None
    old_refresh_token: str = ""

    def line(self) -> str:
        """Return the summary as one line."""
        same = "same token" if self.second_process_same_token else "another token"
        revoked = "revoked" if self.revoked else "not revoked"
        return (
            f"store: {self.store} | renewals: {self.renewals} | second process: {same}"
            f" | sign-out: {revoked} | old refresh token: {self.old_refresh_token}"
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Set the description; the demo takes no arguments."""
    parser.description = "Watch a credential being obtained, stored, and renewed. No account is needed."


def run(context: Context) -> int:
    """Run the demo; everything it created is removed at the end, even if it is interrupted."""
    require_provider()
    view = View(context.out)
    with raise_stage(view) as stage:
        summary = _play(view, stage)
    view.say("Everything the demo created has been removed.")
    context.out.result(asdict(summary), [summary.line()])
    return 0


def _play(view: View, stage: Stage) -> Summary:
    summary = Summary(store=stage.store_name)
    with stage.keeper() as keeper:
        _sign_in(view, keeper, summary)
        view.say(f"It is valid for {LIFETIME} seconds. Watch the keeper's timer renew it before it expires:")
        summary.renewals = watch_renewals(view, keeper, RENEWALS)
        _share(view, stage, keeper, summary)
        _sign_out(view, stage, keeper, summary)
    return summary


def _sign_in(view: View, keeper: Keeper, summary: Summary) -> None:
    from freshkey_testing.browser import follow
    from freshkey_testing.user import ScriptedUser

    view.say("Signing in: a script acts as the browser and follows the redirect to a loopback listener…")
    with ScriptedUser(browser=follow) as user:
        credential = keeper.login(PROFILE, interaction=user)
    summary.signed_in_as = credential.identity.label or "an unnamed account"
    view.say(f"Signed in as {summary.signed_in_as}; token {ending(credential.token)}")


def _share(view: View, stage: Stage, keeper: Keeper, summary: Summary) -> None:
    view.say("A second process asks for the token and finds it in the store, without signing in…")
    before = keeper.get(PROFILE).token
    other = second_process(stage)
    # On a slow machine it is renewed before the other process has ended.
    summary.second_process_same_token = other in (before, keeper.get(PROFILE).token)
    view.say(f"It got {ending(other)}; same token: {'yes' if summary.second_process_same_token else 'no'}")


def _sign_out(view: View, stage: Stage, keeper: Keeper, summary: Summary) -> None:
    refresh_token = keeper.get(PROFILE).renewal_secret
    done = keeper.logout(PROFILE)
    summary.revoked = done.revoked
    view.say(f"Signed out: {done.detail}")
    if refresh_token is not None:
        summary.old_refresh_token = dead_token_answer(stage, refresh_token)
        view.say(f"Trying the old refresh token again: {summary.old_refresh_token}")
