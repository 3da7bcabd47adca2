"""Credentials as JSON values and as text: when they expire and who they belong to, never a secret."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import attrs

from freshkey import expiry
from freshkey.errors import sign_in_command
from freshkey.expiry import Freshness
from freshkey_cli.target import Target


if TYPE_CHECKING:
    from freshkey import Choice, Credential, Detected, Explanation, HiddenSignIn, Identity, Status, Step


_EXPIRED: Final = "expired"


def iso(moment: datetime | None) -> str | None:
    """Return an aware datetime as RFC 3339 in UTC with whole seconds."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_left(credential: Credential) -> float | None:
    """Return the seconds until a credential expires; None if it does not."""
    left = credential.seconds_left()
    return None if left is None else round(left, 1)


def sign_in_seconds_left(credential: Credential) -> float | None:
    """Return the seconds until the sign-in itself ends; None if that is not known."""
    return _left(credential, credential.sign_in_lasts)


def _left(credential: Credential, span: float | None) -> float | None:
    left = expiry.seconds_left(credential.obtained, span, credential.clock.now())
    return None if math.isinf(left) else round(left, 1)


def span(seconds: float | None) -> str:
    """Return a duration as text, in at most two units."""
    if seconds is None:
        return "does not expire"
    if seconds <= 0:
        return _EXPIRED
    for size, name, part, part_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return f"{int(seconds // size)} {name} {int(seconds % size // part)} {part_name}"
    return f"{int(seconds)} s"


def identity(value: Identity) -> dict[str, str]:
    """Return what is known about an identity; a display name only if nothing else says the same."""
    fixed = {"account": value.account, "email": value.email, "organization": value.organization}
    known = {name: text for name, text in fixed.items() if text is not None} | dict(value.extra)
    if value.display_name is not None and value.display_name not in known.values():
        known["display_name"] = value.display_name
    return known


def identity_lines(value: Identity) -> Iterator[str]:
    """Return an identity as lines of text."""
    for name, known in identity(value).items():
        yield f"  {name.replace('_', ' ') + ':':<18} {known}"


def credential(name: Target, value: Credential) -> dict[str, object]:
    """Return what may be shown about a credential."""
    return {
        **name.members,
        "source": value.source,
        "expires_at": iso(value.expires_at),
        "refresh_at": iso(value.refresh_at),
        "seconds_left": seconds_left(value),
        "renewable": value.renewable,
        "sign_in_ends_at": iso(value.sign_in_ends_at),
        "sign_in_seconds_left": sign_in_seconds_left(value),
        "identity": identity(value.identity),
    }


def status(value: Status) -> dict[str, object]:
    """Return the state of one profile."""
    name = Target(value.profile.name, value.profile.account)
    held = credential(name, value.credential) if value.credential else name.members
    return {
        **held,
        "provider": value.profile.provider,
        "signed_in": value.credential is not None,
        "store": value.store,
        "source": value.source,
        "generation": value.generation,
        "freshness": value.freshness.value if value.freshness else None,
        "sign_in_ending": value.sign_in_ending,
        "sign_in_needed": value.sign_in_needed,
        "sign_in_code": value.sign_in_code,
        "last_error": value.last_error,
        "last_error_code": value.last_error_code,
        "renews": value.renews,
        "next_step": value.next_step,
        "hidden_sign_in": _hidden(value.hidden) if value.hidden else None,
        "found": _detected(value.detected),
        "overruled": dict(value.overruled),
        "ignored": list(value.ignored),
    }


def _hidden(value: HiddenSignIn) -> dict[str, object]:
    return {
        "source": value.source.id,
        "store": value.store,
        "identity": identity(value.credential.identity),
        "hidden_by": _detected(value.hidden_by),
    }


def status_row(value: Status) -> list[str]:
    """Return the state of one profile as a row: profile, provider, store, source, time left, state, account."""
    left = _both_ends(value.credential) if value.credential else _until_end(value.detected)
    label = value.credential.identity.label if value.credential else None
    return [
        value.profile.label,
        value.profile.provider,
        value.store or "-",
        value.source or "-",
        left,
        _state(value),
        label or "-",
    ]


def _both_ends(credential: Credential) -> str:
    # Not the latest end, which is that of a lease, too, and of no one's sign-in.
    sign_in = _left(credential, credential.renewable_for)
    return span(seconds_left(credential)) + ("" if sign_in is None else f" (sign-in: {span(sign_in)})")


def _until_end(detected: Detected | None) -> str:
    """Return the time until what was found ends, as far as that can be seen without getting it."""
    if detected is None or detected.expires_at is None:
        return "-"
    return span((detected.expires_at - datetime.now(UTC)).total_seconds())


def _state(value: Status) -> str:
    if value.sign_in_needed:
        return "sign-in required"
    if value.sign_in_ending:
        return "sign-in ends soon"
    if value.last_error and value.source and value.freshness in (None, Freshness.EXPIRED):
        return "failed"
    if value.credential is None:
        return _state_of_source(value)
    if value.freshness is None or value.freshness is Freshness.FRESH:
        return value.freshness.value if value.freshness else "unknown"
    return "renewed at next use" if value.renews else "expires soon"


def _state_of_source(value: Status) -> str:
    """Return the state of a profile whose credential nothing has used yet."""
    if value.source is None:
        return "not signed in" if value.store else "no credential"
    return _EXPIRED if _until_end(value.detected) == _EXPIRED else "available"


def status_trouble(value: Status, *, brief: bool = False) -> str | None:
    """Return what is wrong with a profile and what to do next, to be shown below the table; None if all is well.

    With `brief`, all is well if there is just no credential.
    """
    trouble = value.sign_in_needed or value.last_error or (_state(value) if value.next_step and not brief else None)
    ends_at = value.credential.sign_in_ends_at if value.credential is not None and value.sign_in_ending else None
    if ends_at is not None and not value.sign_in_needed:
        command = sign_in_command(value.profile.word)
        ending = f"the sign-in ends at {ends_at:%Y-%m-%d %H:%M} UTC; before that, run: {command}"
        trouble = f"{trouble}; {ending}" if trouble else ending
    if trouble is None:
        return None
    return f"{value.profile.label}: {trouble}" + (f". {value.next_step}" if value.next_step else "")


def hidden_sign_in(value: Status) -> str | None:
    """Return which stored sign-in is not used and why, and how to use it; None if there is no such sign-in."""
    if value.hidden is None:
        return None
    used, source, label = value.hidden.hidden_by, value.hidden.source, value.hidden.credential.identity.label
    return (
        f"{value.profile.label}: using the {used.kind} from {used.origin}, not the {source.title}"
        f"{f' of {label}' if label else ''}. To use that one, {_how_to_unset(used, value.hidden.chosen_by)}, "
        f'or set source = "{source.id}" for the profile in config.toml'
    )


def _how_to_unset(used: Detected, chosen_by: Sequence[str]) -> str:
    """Return how to make a source find nothing: what chooses it goes, not what it finds."""
    settings = " and ".join(name for name in chosen_by if not name.isupper())
    variables = " and ".join(name for name in chosen_by if name.isupper())
    ways = [f"remove {settings} from the profile" if settings else "", f"unset {variables}" if variables else ""]
    return " and ".join(filter(None, ways)) or f"remove the {used.kind} from {used.origin}"


def overruled(value: Status) -> str | None:
    """Return which settings have no effect because an earlier source is used, and how to change that."""
    if value.detected is None or not value.overruled:
        return None
    used, source = value.detected, next(iter(value.overruled.values()))
    settings = [name for name, chosen in value.overruled.items() if chosen == source]
    select = f"{' and '.join(settings)} {'selects' if len(settings) == 1 else 'select'}"
    return (
        f"{value.profile.label}: using the {used.kind} from {used.origin}, not what {select}. "
        f"To use that, remove the {used.kind} from {used.origin}, "
        f'or set source = "{source}" for the profile in config.toml'
    )


def ignored(value: Status) -> str | None:
    """Return which settings the source does not use; None if there are none."""
    if not value.ignored:
        return None
    source = value.source or value.profile.source
    return f"{value.profile.label}: source {source!r} does not use {' and '.join(value.ignored)}"


def explanation(value: Explanation) -> dict[str, object]:
    """Return how the profile was selected, and each source with the reason why it wins or not."""
    return {
        **Target(value.profile, value.account).members,
        "provider": value.provider,
        "selected_by": value.selected_by,
        "selection": [attrs.asdict(choice) for choice in value.selection],
        "steps": [_step(step) for step in value.steps],
        "variables": [attrs.asdict(one) for one in value.variables],
    }


def choice_row(choice: Choice) -> list[str]:
    """Return one place that may name the profile, as a row: mark, place, name, why."""
    return ["*" if choice.wins else "", choice.place, choice.found or "-", choice.why]


def _step(step: Step) -> dict[str, object]:
    return {
        "source": step.source.id,
        "title": step.source.title,
        "owned": step.source.owned,
        "interactive": step.source.interactive,
        "found": _detected(step.detected),
        "wins": step.wins,
        "why": step.why,
    }


def _detected(detected: Detected | None) -> dict[str, object] | None:
    if detected is None:
        return None
    return {
        "kind": detected.kind,
        "origin": detected.origin,
        "expires_at": iso(detected.expires_at),
        "last_four": detected.last_four,
    }


def step_row(step: Step) -> list[str]:
    """Return one source as a row: mark, source, what was found, why."""
    seen = step.detected
    found = "-" if seen is None else f"{seen.kind}: {seen.origin}"
    if seen is not None and seen.last_four:
        found += f", ending in {seen.last_four}"
    if (left := _until_end(seen)) != "-":
        found += f" ({left})" if left == _EXPIRED else f" ({left} left)"
    return ["*" if step.wins else "", step.source.id, found, step.why]
