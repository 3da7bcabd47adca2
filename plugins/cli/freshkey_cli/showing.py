"""Commands that only show: status, whoami, explain, providers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from freshkey import Validity
from freshkey.errors import FreshkeyError
from freshkey_cli import exits, render
from freshkey_cli.output import clean


if TYPE_CHECKING:
    from freshkey import Inspection, Keeper
    from freshkey_cli.context import Context

STATUS_HEADER: Final = ("PROFILE", "PROVIDER", "STORE", "SOURCE", "LEFT", "STATE", "ACCOUNT")

NO_PROVIDER: Final = "No provider is installed. Install the distribution that brings yours"

VALIDITY_CODES: Final = {
    Validity.VALID: exits.OK,
    Validity.EXPIRED: exits.SIGN_IN_NEEDED,
    Validity.REFUSED: exits.SIGN_IN_NEEDED,
    Validity.UNREACHABLE: exits.FOR_NOW,
    Validity.UNCHECKABLE: exits.OK,
}


def status(context: Context) -> int:
    """Show each profile; one that cannot be shown does not hide the others."""
    names = _profiles_to_show(context)
    with context.keeper() as keeper:
        shown = [_status(keeper, name) for name in names]
    value = {"profiles": [value for value, _, _ in shown]}
    context.out.table(value, STATUS_HEADER, [row for _, row, _ in shown])
    for _, _, trouble in shown:
        if trouble:
            context.out.say(trouble)
    if not context.configuration.profile_names() and not context.configuration.bare:
        context.out.say(_how_to_start(context, names))
    return exits.OK


def whoami(context: Context) -> int:
    """Ask the provider; a credential that it no longer honours is an exit code of its own."""
    name = context.profile()
    with context.keeper() as keeper:
        inspection = keeper.inspect(name)
    identity = render.identity(inspection.identity) if inspection.identity else {}
    value = {
        "profile": name,
        "validity": inspection.validity.value,
        "detail": inspection.detail,
        "identity": identity,
    }
    context.out.result(value, _inspection_lines(name, inspection))
    return VALIDITY_CODES[inspection.validity]


def explain(context: Context) -> int:
    """Show how the profile is chosen, and the walk through its sources."""
    with context.keeper() as keeper:
        explanation = keeper.explain(context.arguments.profile)
    if not context.out.as_json:
        chosen = [render.choice_row(choice) for choice in explanation.selection]
        context.out.table({}, ("", "PROFILE BY", "FOUND", "WHY"), chosen)
    context.out.say(f"{explanation.profile} ({explanation.provider}), selected by: {explanation.selected_by}")
    rows = [render.step_row(step) for step in explanation.steps]
    context.out.table(render.explanation(explanation), ("", "SOURCE", "FOUND", "WHY"), rows)
    return exits.OK


def providers(context: Context) -> int:
    """List what is installed, from metadata alone: no provider is imported."""
    from freshkey import admin

    found = admin.find()
    value = {
        "providers": [
            {"name": plugin.name, "distribution": plugin.distribution, "version": plugin.version} for plugin in found
        ]
    }
    rows = [[plugin.name, plugin.distribution, plugin.version] for plugin in found]
    context.out.table(value, ("PROVIDER", "DISTRIBUTION", "VERSION"), rows)
    if not found:
        context.out.say(NO_PROVIDER)
    return exits.OK


def _profiles_to_show(context: Context) -> tuple[str, ...]:
    """Return the named profile, else all configured ones, else the installed providers as bare profiles."""
    if context.arguments.profile:
        return (context.profile(),)
    configured = context.configuration.profile_names()
    if configured:
        return configured
    from freshkey import admin

    return tuple(plugin.name for plugin in admin.find())


def _status(keeper: Keeper, name: str) -> tuple[dict[str, object], list[str], str | None]:
    """Return the value, the row, and what is to be said beside it: sentences would spread the table."""
    try:
        found = keeper.status(name)
    except FreshkeyError as error:
        error.profile = error.profile or name
        value: dict[str, object] = {"profile": name, "error": {"kind": type(error).__name__, "message": error.message}}
        blanks = ["-"] * (len(STATUS_HEADER) - 3)
        return value, [name, *blanks, "cannot tell", "-"], str(error)
    return render.status(found), render.status_row(found), render.status_trouble(found)


def _how_to_start(context: Context, names: tuple[str, ...]) -> str:
    if not names:
        return NO_PROVIDER
    return (
        f"No profile is configured. Write one into {context.configuration.path}, such as:\n"
        f'  default = "me"\n  [profiles.me]\n  provider = "{names[0]}"\n'
        "then run: freshkey login"
    )


def _inspection_lines(name: str, inspection: Inspection) -> Iterator[str]:
    yield f"{name}: {inspection.validity.value}" + (f" ({clean(inspection.detail)})" if inspection.detail else "")
    if inspection.identity is not None:
        yield from render.identity_lines(inspection.identity)
