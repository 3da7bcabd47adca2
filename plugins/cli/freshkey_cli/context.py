"""What a command is given: its arguments, where to print, the configuration and a keeper."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from attrs import frozen

from freshkey import Configuration, events
from freshkey.plugin import LoggingReporter
from freshkey_cli.output import Output, clean


if TYPE_CHECKING:
    from freshkey import Keeper
    from freshkey_cli.terminal import Terminal

    KeeperFactory = Callable[..., Keeper]


ANSWER_TIMEOUT: Final = 300.0
"""Seconds that a command waits for a credential where a person may have to answer a question first."""


class _Notices(LoggingReporter):
    """Tells what a person should know of a renewal, such as that a helper is slow; results wait for it.

    Lines are those of another tool's sign-in: they hold the address or the code that the person needs.
    """

    def __init__(self, out: Output) -> None:
        self._out = out

    def notice(self, message: str) -> None:
        """Say it."""
        self._out.say(clean(message))

    def line(self, text: str) -> None:
        """Show it."""
        self._out.say(f"  {clean(text)}")


@frozen(kw_only=True)
class Context:
    """One run of one command.

    Attributes:
        arguments: What `parser.parse` made of the command line.
        out: Where to print.
        configuration: This user's, with the store that ``--store`` named.
        environ: Where a desktop is looked for.
        keeper_factory: What makes the keeper; None for the real one.
    """

    arguments: argparse.Namespace
    out: Output
    configuration: Configuration
    environ: Mapping[str, str]
    keeper_factory: KeeperFactory | None

    def profile(self) -> str:
        """Return the name of the profile that is meant.

        Raises:
            ConfigurationError: None was named and there is no default.
        """
        return self.configuration.select(self.arguments.profile).name

    def user(self, *, browser: bool = True) -> Terminal:
        """Return the person at the terminal.

        Args:
            browser: Whether a browser may be opened for them.
        """
        from freshkey_cli.terminal import Terminal

        return Terminal(self.out, browser=browser, environ=self.environ)

    @contextmanager
    def keeper(self) -> Iterator[Keeper]:
        """Make a keeper, tell what it reports, and close it, which waits for renewals in flight.

        At a terminal the person is asked what may be used that nobody decided about yet, and has time to answer.
        """
        user = self.user()
        asking = {"approve": user.confirm, "timeout": ANSWER_TIMEOUT} if user.can_ask else {"approve": None}
        with self._factory()(configuration=self.configuration, reporter=_Notices(self.out), **asking) as keeper:
            keeper.subscribe(self._tell)
            yield keeper

    def _factory(self) -> KeeperFactory:
        if self.keeper_factory is not None:
            return self.keeper_factory
        from freshkey import Keeper

        return Keeper

    def _tell(self, event: events.Event) -> None:
        """Pass on what a person has to know and no result tells."""
        if isinstance(event, events.Unsaved):
            self.out.say(f"{event.profile}: renewed, but not stored yet: {clean(event.error)}")
        elif isinstance(event, events.ObserverFailed):
            self.out.say(f"{event.profile}: observer {event.observer!r} failed after {event.hook}: {event.error}")
        elif isinstance(event, events.AccountChanged):
            before, after = event.before.label or "unknown", event.after.label or "unknown"
            self.out.say(f"{event.profile}: the account changed from {clean(before)} to {clean(after)}")
