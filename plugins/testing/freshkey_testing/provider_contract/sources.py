"""Checks of a provider's sources: what ``detect`` shows, and who is asked."""

from __future__ import annotations

from functools import partial
from typing import Final, NoReturn

from freshkey import Credential, Description, Detected, Profile
from freshkey._plugins.hook_caller import HookCaller
from freshkey.errors import LoginRequired
from freshkey.plugin import NonInteractive
from freshkey_testing.guard import offline
from freshkey_testing.provider_contract.kit import ProviderKit
from freshkey_testing.provider_contract.probes import caught, on_thread, outcome_name
from freshkey_testing.secret_scan import assert_no_secret, secrets_of


_MAX_SHOWN: Final = 4


class Sources(ProviderKit):
    """``Source.detect`` and ``acquire``."""

    def test_detect_is_offline(self, hooks: HookCaller, profile: Profile, description: Description) -> None:
        """``detect`` reads the environment and local files at the most: no connection, no child process.

        It runs for every source whenever somebody asks which credential is used.
        """
        for source in description.sources:
            with offline() as attempts:
                caught(partial(hooks.detect, profile, source))
            assert not attempts, f"detect of source {source.id!r} tried: {', '.join(attempts)}"

    def test_detect_never_shows_the_value(
        self, hooks: HookCaller, profile: Profile, description: Description, found: list[Credential]
    ) -> None:
        """A `Detected` says what is where; of the value it shows four characters at the most (`Secret.last_four`)."""
        secrets = secrets_of(found)
        for source in description.sources:
            detected = hooks.detect(profile, source)
            if detected is not None:
                assert_no_secret(repr(detected), secrets, f"what detect of source {source.id!r} returns")
                assert len(detected.last_four or "") <= _MAX_SHOWN, f"source {source.id!r} shows too many characters"
                assert _is_labelled(detected), f"source {source.id!r} does not say what is there, and where"

    def test_without_a_user_a_sign_in_is_refused_at_once(
        self, hooks: HookCaller, profile: Profile, description: Description
    ) -> None:
        """An interactive source raises `LoginRequired` when there is nobody to ask, and does not wait.

        Let the error of the question through: do not catch it, and ask before waiting for anything. A batch job that
        hangs in a sign-in is worse than one that fails.
        """
        interactive = [source for source in description.sources if source.interactive]
        for source in interactive:
            error = on_thread(partial(hooks.acquire, profile, source, NonInteractive(profile.name)))
            assert isinstance(error, LoginRequired), (
                f"acquire from interactive source {source.id!r} without a person"
                f" ended with {outcome_name(error)} instead of LoginRequired"
            )

    def test_sources_without_a_user_ask_nobody(
        self, hooks: HookCaller, profile: Profile, description: Description
    ) -> None:
        """A source that asks a question is declared ``interactive=True``: only then does the core prepare for it."""
        for source in description.sources:
            if not source.interactive and hooks.detect(profile, source):
                asked = _Asked(profile.name)
                caught(partial(hooks.acquire, profile, source, asked))
                assert not asked.questions, f"source {source.id!r} is not interactive and still asks"


class _Asked(NonInteractive):
    """Nobody, who remembers that they were asked."""

    def __init__(self, profile: str) -> None:
        super().__init__(profile)
        self.questions = 0

    def _refuse(self) -> NoReturn:
        self.questions += 1
        super()._refuse()


def _is_labelled(detected: Detected) -> bool:
    return bool(detected.kind and detected.origin)
