"""What a pause applies to: the same for the same attempt in every process, different as soon as anything differs."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

from freshkey._commands.command import Command
from freshkey._renewal.plain import plain
from freshkey._renewal.reading import Reading
from freshkey._renewal.subject import subject_of
from freshkey.model.source import Detected, Source
from freshkey.secret import Secret
from rotating import World


VARIABLE = Source(id="variable", title="A variable", owned=False)
SIGN_IN = Source(id="sign-in", title="A sign-in", owned=True)
FOUND = Detected(kind="key", origin="a file", version="1")


def subject(world: World, settings: dict[str, object] | None = None, **reading: Any) -> str:
    managed = world.keeper(settings=settings)._open_profile("me")
    return subject_of(managed.context, Reading(**reading))


def test_same_attempt_has_the_same_subject_in_every_keeper(world: World) -> None:
    first, second = (subject(world, winner=VARIABLE, detected=FOUND) for _ in range(2))
    assert first == second
    assert len(first) == 32


CHANGES = [
    {"version": "2"},
    {"origin": "another file"},
    {"kind": "token"},
    {"fingerprint": "f"},
    {"expires_at": datetime(2026, 1, 1, tzinfo=UTC)},
]


@pytest.mark.parametrize("change", CHANGES)
def test_anything_that_is_found_counts_for_a_borrowed_source_only(world: World, change: dict[str, Any]) -> None:
    changed = attrs.evolve(FOUND, **change)
    assert subject(world, winner=VARIABLE, detected=FOUND) != subject(world, winner=VARIABLE, detected=changed)
    assert subject(world, winner=SIGN_IN, detected=FOUND) == subject(world, winner=SIGN_IN, detected=changed)


def test_source_settings_and_endpoints_count(world: World) -> None:
    seen = {subject(world), subject(world, winner=VARIABLE), subject(world, winner=SIGN_IN)}
    seen |= {subject(world, {"tool": "two"}), subject(world, {"password": "a"}), subject(world, {"password": "b"})}
    world.provider.binding = {"token_endpoint": "https://as.example.com/token"}
    seen.add(subject(world))
    assert len(seen) == 7


@attrs.frozen
class Inner:
    flags: frozenset[str] = frozenset({"b", "a", "c"})
    secret: Secret = attrs.field(factory=lambda: Secret("canary"))


@attrs.frozen
class Settings:
    inner: Inner = attrs.field(factory=Inner)
    command: Command = attrs.field(factory=lambda: Command(argv=("op", "--token=x")))
    table: dict[str, object] = attrs.field(factory=lambda: {"z": 1, "a": [Path("/x"), None, 2.5]})
    other: object = attrs.field(factory=object)


def test_settings_of_any_type_have_one_form_without_secrets() -> None:
    assert plain(Settings()) == plain(Settings())
    assert "canary" not in repr(plain(Settings()))


def test_form_does_not_depend_on_the_process() -> None:
    code = "from freshkey._renewal.plain import plain; print(plain(frozenset('abcdefgh')))"
    environ = {"PYTHONPATH": ":".join(sys.path)}
    printed = {subprocess.check_output([sys.executable, "-c", code], env=environ) for _ in range(2)}
    assert len(printed) == 1
