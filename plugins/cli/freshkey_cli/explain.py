"""The command ``explain``: show which source the credential comes from, and why."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from freshkey.errors import FreshkeyError, subject
from freshkey_cli import exits, options, render
from freshkey_cli.target import given


if TYPE_CHECKING:
    from freshkey import Explanation, Keeper
    from freshkey_cli.context import Context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the profile."""
    options.add_profile(parser, bare=True)


def run(context: Context) -> int:
    """Show how the profile was selected and which of its sources wins."""
    profile, account = given(context.arguments.profile)
    with context.keeper() as keeper:
        explanation = keeper.explain(profile, account=account)
        wins = any(step.wins for step in explanation.steps)
        next_step = None if wins else _next_step(keeper, explanation)
    if not context.out.as_json:
        chosen = [render.choice_row(choice) for choice in explanation.selection]
        context.out.table({}, ("", "SELECTED BY", "FOUND", "WHY"), chosen)
    name = subject(explanation.profile, explanation.account)
    context.out.say(f"{name} ({explanation.provider}), selected by: {explanation.selected_by}")
    rows = [render.step_row(step) for step in explanation.steps]
    context.out.table(render.explanation(explanation), ("", "SOURCE", "FOUND", "WHY"), rows)
    for one in explanation.variables:
        value = "a value that is not shown" if one.value is None else one.value
        context.out.say(f"set: {one.name} = {value}{' (in the current project)' if one.in_project else ''}")
    if next_step is not None:
        context.out.say(f"{name}: there is nothing to use. {next_step}")
    return exits.OK


def _next_step(keeper: Keeper, explanation: Explanation) -> str | None:
    try:
        return keeper.status(explanation.profile, account=explanation.account).next_step
    except FreshkeyError:  # `status` is the command that shows it
        return None
