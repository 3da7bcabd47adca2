"""Events are frozen values that name their profile and contain no secrets (LEK-1)."""

from __future__ import annotations

import attrs
import pytest

from freshkey import events
from freshkey.events import Event, Renewed, SignedOut


KINDS = [value for value in vars(events).values() if isinstance(value, type) and issubclass(value, Event)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_is_frozen_and_has_a_profile(kind: type[Event]) -> None:
    event = kind(profile="work", **{field.name: None for field in attrs.fields(kind) if field.name != "profile"})
    assert event.profile == "work"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.profile = "home"  # type: ignore[misc]


@pytest.mark.parametrize("kind", KINDS)
def test_no_event_has_a_field_for_a_secret(kind: type[Event]) -> None:  # LEK-1
    for field in attrs.fields(kind):
        assert field.type is not None
        assert str(field.type).strip("'") in {
            "str",
            "str | None",
            "int",
            "bool",
            "float",
            "bool | None",
            "datetime",
            "datetime | None",
            "Identity",
        }


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_documented(kind: type[Event]) -> None:
    documented = kind.__doc__ or ""
    own = [field.name for field in attrs.fields(kind) if not field.inherited]
    assert [name for name in own if f"{name}: " not in documented] == []


def test_elsewhere_defaults_to_false() -> None:
    assert not Renewed(profile="work", generation=2, expires_at=None).elsewhere


def test_events_are_compared_by_value() -> None:
    one = SignedOut(profile="work", revoked=True, detail="revoked")
    assert one == SignedOut(profile="work", revoked=True, detail="revoked")
    assert one != SignedOut(profile="work", revoked=False, detail="revoked")
