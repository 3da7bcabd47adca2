"""Credentials as JSON values and as text: when they expire and who they belong to, never a secret."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from freshkey import expiry
from freshkey_cli.output import clean


if TYPE_CHECKING:
    from freshkey import Choice, Credential, Detected, Explanation, Identity, Status, Step


def iso(moment: datetime | None) -> str | None:
    """Return an aware datetime as RFC 3339 in UTC with whole seconds."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_left(credential: Credential) -> float | None:
    """Return the seconds until a credential expires; None if it does not."""
    left = expiry.seconds_left(credential.obtained, credential.lifetime, credential.clock.now())
    return None if math.isinf(left) else round(left, 1)


def span(seconds: float | None) -> str:
    """Return a duration as text, in at most two units."""
    if seconds is None:
        return "does not expire"
    if seconds <= 0:
        return "expired"
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
        yield f"  {name.replace('_', ' ') + ':':<18} {clean(known)}"


def credential(profile: str, value: Credential) -> dict[str, object]:
    """Return what may be shown about a credential."""
    return {
        "profile": profile,
        "source": value.source,
        "expires_at": iso(value.expires_at),
        "refresh_at": iso(value.refresh_at),
        "seconds_left": seconds_left(value),
        "renewable": value.renewable,
        "identity": identity(value.identity),
    }


def status(value: Status) -> dict[str, object]:
    """Return the state of one profile."""
    held = credential(value.profile.name, value.credential) if value.credential else {"profile": value.profile.name}
    return {
        **held,
        "provider": value.profile.provider,
        "signed_in": value.credential is not None,
        "store": value.store,
        "source": value.source,
        "generation": value.generation,
        "freshness": value.freshness.value if value.freshness else None,
        "sign_in_needed": value.sign_in_needed,
        "sign_in_code": value.sign_in_code,
        "last_error": value.last_error,
        "last_error_code": value.last_error_code,
    }


def status_row(value: Status) -> list[str]:
    """Return the state of one profile as a row: profile, provider, store, source, time left, state, account."""
    left = span(seconds_left(value.credential)) if value.credential else "-"
    label = value.credential.identity.label if value.credential else None
    return [
        value.profile.name,
        value.profile.provider,
        value.store or "-",
        value.source or "-",
        left,
        _state(value),
        label or "-",
    ]


def _state(value: Status) -> str:
    if value.sign_in_needed:
        return "sign-in required"
    if value.credential is not None:
        return value.freshness.value if value.freshness else "unknown"
    return "not signed in" if value.source is None else "available"


def status_trouble(value: Status) -> str | None:
    """Return what is wrong with a profile, to be shown below the table, or None if all is well."""
    trouble = value.sign_in_needed or value.last_error
    return f"{value.profile.name}: {trouble}" if trouble else None


def explanation(value: Explanation) -> dict[str, object]:
    """Return how the profile was selected, and each source with the reason why it wins or not."""
    return {
        "profile": value.profile,
        "provider": value.provider,
        "selected_by": value.selected_by,
        "selection": [attrs.asdict(choice) for choice in value.selection],
        "steps": [_step(step) for step in value.steps],
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
    return ["*" if step.wins else "", step.source.id, found, step.why]
