"""Checks of a provider's sources: what ``detect`` shows, and when the user is asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

import attrs
import pytest
from attrs import evolve

from freshkey import Credential, Description, Detected, Profile
from freshkey.errors import LoginRequired
from freshkey.plugin import NonInteractive
from freshkey_testing.guard import offline
from freshkey_testing.provider_contract.hooks import Hooks
from freshkey_testing.provider_contract.kit import ProviderKit
from freshkey_testing.provider_contract.probes import caught, outcome_name, require, tried
from freshkey_testing.provider_contract.wire import Wire
from freshkey_testing.secret_scan import assert_no_secret, secrets_of


_MAX_SHOWN: Final = 4
_HOMES: Final = ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA")
_OF_PYTHON: Final = ("PYTEST", "PYTHON", "COV", "LC_")
_OF_THE_SYSTEM: Final = frozenset(
    {
        *("PATH", "LANG", "TZ", "TMPDIR", "TEMP", "TMP", "LD_LIBRARY_PATH"),
        *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "PROGRAMDATA", "PROGRAMFILES"),
    }
)


class Sources(ProviderKit):
    """Checks of ``Source.detect`` and ``acquire``."""

    def test_detect_is_offline(self, hooks: Hooks, profile: Profile, description: Description) -> None:
        """``detect`` may only read the environment and local files: no connections, no child processes.

        It runs for every source whenever freshkey determines which credential to use.
        """
        for source in description.sources:
            wire = Wire(fault="before-sending")
            with offline() as attempts:
                caught(partial(hooks.detect, wire.of(profile), source))
            reached = [*attempts, *sorted(wire.hosts())]
            require(
                not reached,
                f"detect of source {source.id!r} tried: {', '.join(reached)};"
                " look only at the environment and local files, and leave the rest to acquire",
            )

    def test_detect_never_shows_the_value(
        self, hooks: Hooks, profile: Profile, description: Description, found: list[Credential]
    ) -> None:
        """A `Detected` says what was found where, with at most four characters of the value (`Secret.last_four`)."""
        secrets = secrets_of(found)
        for source in description.sources:
            detected = hooks.detect(profile, source)
            if detected is not None:
                assert_no_secret(repr(detected), secrets, f"what detect of source {source.id!r} returns")
                assert len(detected.last_four or "") <= _MAX_SHOWN, f"source {source.id!r} shows too many characters"
                assert _is_labeled(detected), f"source {source.id!r} does not say what was found, and where"

    def test_detect_finds_nothing_in_an_empty_world(
        self, hooks: Hooks, profile: Profile, description: Description, tmp_path: Path
    ) -> None:
        """With all settings at their defaults, no variables, and an empty home directory, ``detect`` returns None.

        Otherwise freshkey takes the source for one that is there, and the sources after it are never asked. Read the
        environment and the home directory when ``detect`` is called, not when the module is imported.
        """
        bare = evolve(profile, settings=description.settings(), source=None, state_dir=tmp_path / "empty-state")
        with _empty_world(tmp_path / "empty"):
            found = [(each, tried(partial(hooks.detect, bare, each))[0]) for each in description.sources]
        for source, detected in found:
            require(
                detected is None,
                f"detect of source {source.id!r} found something ({detected and detected.origin}) without settings,"
                " without variables and in an empty home directory: return None unless what the source takes is there",
            )

    def test_setup_is_a_hint(self, hooks: Hooks, profile: Profile, description: Description) -> None:
        """``setup`` only reads the profile's settings, and returns None or an imperative without a final period."""
        for source in description.sources:
            with offline() as attempts:
                hint = hooks.setup(profile, source)
            assert not attempts, f"setup of source {source.id!r} tried: {', '.join(attempts)}"
            assert hint is None or (hint[:1].isupper() and not hint.endswith(".")), (
                f"setup of source {source.id!r} must return a sentence with a capital and without a final period"
            )

    def test_ignored_settings_exist(self, hooks: Hooks, profile: Profile, description: Description) -> None:
        """``ignores`` only reads the profile, and returns names of fields of `Description.settings`."""
        names = {each.name for each in attrs.fields(description.settings)}
        for source in description.sources:
            with offline() as attempts:
                ignored = hooks.ignores(evolve(profile, source=source.id), source)
            assert not attempts, f"ignores of source {source.id!r} tried: {', '.join(attempts)}"
            assert set(ignored) <= names, f"source {source.id!r} ignores settings that do not exist: {ignored}"

    def test_settings_that_choose_a_source_exist(self, description: Description) -> None:
        """``chosen_by`` contains names of fields of `Description.settings`, and of environment variables."""
        names = {each.name for each in attrs.fields(description.settings)}
        for source in description.sources:
            settings = {name for name in source.chosen_by if not name.isupper()}
            assert settings <= names, f"source {source.id!r} is chosen by settings that do not exist: {settings}"

    def test_without_a_user_a_sign_in_is_refused_at_once(
        self, hooks: Hooks, profile: Profile, description: Description
    ) -> None:
        """An interactive source raises `LoginRequired` at once when there is no user to ask.

        Ask before waiting for anything, and do not catch the error that the question raises. A batch job that hangs in
        a sign-in is worse than one that fails.
        """
        interactive = [source for source in description.sources if source.interactive]
        for source in interactive:
            wire = Wire(fault="before-sending")
            with wire.watched():
                error = caught(partial(hooks.acquire, wire.of(profile), source, NonInteractive(profile.name)))
            require(
                not wire.sent,
                f"acquire from interactive source {source.id!r} sent a request before it asked the user: ask first",
            )
            assert isinstance(error, LoginRequired), (
                f"acquire from interactive source {source.id!r} without a user"
                f" ended with {outcome_name(error)} instead of LoginRequired"
            )

    def test_sources_that_need_no_user_do_not_prompt(
        self, hooks: Hooks, profile: Profile, description: Description
    ) -> None:
        """A source that asks questions must be declared ``interactive=True``, so that the core can prepare for them."""
        for source in description.sources:
            if not source.interactive and hooks.detect(profile, source):
                asked = _Asked(profile.name)
                caught(partial(hooks.acquire, profile, source, asked))
                assert not asked.questions, f"source {source.id!r} is not declared interactive, but asks a question"


@contextmanager
def _empty_world(home: Path) -> Iterator[None]:
    """Clear the environment but for what Python and the system need, in an empty home and working directory."""
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name not in _OF_THE_SYSTEM and not name.startswith(_OF_PYTHON):
                patch.delenv(name)
        for name in _HOMES:
            patch.setenv(name, str(home))
        patch.chdir(home)
        yield


class _Asked(NonInteractive):
    """Refuses questions, and counts them."""

    def __init__(self, profile: str) -> None:
        super().__init__(profile)
        self.questions = 0

    def _refuse(self) -> NoReturn:
        self.questions += 1
        super()._refuse()


def _is_labeled(detected: Detected) -> bool:
    return bool(detected.kind and detected.origin)
