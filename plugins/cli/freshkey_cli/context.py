"""What a command receives: its arguments, the output, the configuration, and a keeper."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from attrs import frozen

from freshkey import Configuration, events
from freshkey.errors import ConfigurationError, FreshkeyError, about, subject
from freshkey.plugin import LoggingReporter
from freshkey_cli import render
from freshkey_cli.output import Output
from freshkey_cli.streams import is_terminal
from freshkey_cli.target import Target, given


if TYPE_CHECKING:
    from freshkey import Credential, Keeper
    from freshkey_cli.terminal import Terminal

    KeeperFactory = Callable[..., Keeper]


ANSWER_TIMEOUT: Final = 300.0
"""Seconds to wait for a credential when the user may have to answer a question first."""


class _Notices(LoggingReporter):
    """Shows the user notices about a renewal, such as a slow helper command, while the command waits for it.

    Lines come from another tool's sign-in: they contain the URL or the code that the user needs.
    """

    def __init__(self, out: Output) -> None:
        self._out = out

    def notice(self, message: str) -> None:
        """Print a notice."""
        self._out.say(message)

    def line(self, text: str) -> None:
        """Print a line of another tool's output, indented."""
        self._out.say(f"  {text}")


@frozen(kw_only=True)
class Context:
    """A single run of a command.

    Attributes:
        arguments: The parsed command line.
        out: The output.
        configuration: The user's configuration, with the overrides of ``--store``, ``--set`` and ``--bare``.
        environ: Environment variables, used to detect a desktop.
        keeper_factory: Creates the keeper; None for the real one.
    """

    arguments: argparse.Namespace
    out: Output
    configuration: Configuration
    environ: Mapping[str, str]
    keeper_factory: KeeperFactory | None

    def profile(self) -> Target:
        """Return the selected profile or account, to use its credential.

        If a project chose it, the user is asked once, where possible; what a project selected or defined is said.

        Raises:
            ConfigurationError: No profile was given and there is no default.
            TrustNeeded: A project chose it, and the user has not agreed to that.
        """
        from freshkey.admin import chosen, told

        user = self.user()
        approve = user.confirm if user.can_ask else None
        profile, account = given(self.arguments.profile)
        selection = chosen(self.configuration, profile, {}, approve)
        if (what := told(selection, self.configuration)) is not None:
            self.out.instruct(what)
        return Target(selection.name, account if account is not None else selection.account)

    def named_profile(self, command: str) -> Target:
        """Return the selected profile or account, for a command that changes what is stored for it.

        Raises:
            ConfigurationError: No profile was given and there is no default; or a project chose it.
        """
        from freshkey.admin import named

        profile, account = given(self.arguments.profile)
        try:
            selection = named(self.configuration, profile)
        except ConfigurationError as error:
            if error.code == "profile-not-named":
                error.hint = f"To use this profile, name it: freshkey {command} {error.profile}"
            raise
        return Target(selection.name, account if account is not None else selection.account)

    def user(self, *, browser: bool = True) -> Terminal:
        """Return the user's terminal.

        Args:
            browser: Whether a browser may be opened.
        """
        from freshkey_cli.terminal import Terminal

        return Terminal(self.out, browser=browser, environ=self.environ)

    @contextmanager
    def keeper(self, target: Target | None = None) -> Iterator[Keeper]:
        """Create a keeper, show what it reports, and close it, which waits for renewals in progress.

        Errors are about the `target`, unless they say otherwise.

        In a terminal, the user is asked about commands and sources that have not been decided on yet, and has time to
        answer.
        """
        user = self.user()
        asking: dict[str, object] = {"approve": None}
        if user.can_ask:
            asking = {"approve": user.confirm, "timeout": ANSWER_TIMEOUT}
        asking["at_terminal"] = user.watched
        with self._factory()(configuration=self.configuration, reporter=_Notices(self.out), **asking) as keeper:
            keeper.subscribe(self._tell)
            with about(None, None if target is None else target.account):
                yield keeper

    def tell(self, keeper: Keeper, name: Target, credential: Credential) -> None:
        """Say what the user cannot see in a result: that it ends sooner than requested, or is not what they expect.

        The latter, a hidden sign-in or an overruled setting, only in a terminal, because it costs another look.
        """
        wanted, left = getattr(self.arguments, "min_ttl", 0.0), render.seconds_left(credential)
        if left is not None and left < wanted:
            # Otherwise `Keeper.get` would have raised an error.
            told = f"the credential expires in {render.span(left)}, sooner than requested"
            self.out.instruct(f"{name}: {told}; a new one lasts {render.span(credential.lifetime)}")
        source = keeper.describe(name.profile).source(credential.source)
        if source is not None and not source.owned and not self.out.as_json and is_terminal(self.out.stderr):
            with suppress(FreshkeyError):
                found = keeper.status(name.profile, account=name.account)
                for told in filter(None, (render.hidden_sign_in(found), render.overruled(found))):
                    self.out.say(told)

    def _factory(self) -> KeeperFactory:
        if self.keeper_factory is not None:
            return self.keeper_factory
        from freshkey import Keeper

        return Keeper

    def _tell(self, event: events.Event) -> None:
        """Show events that the user needs to know about and that no result contains."""
        name = subject(event.profile, event.account)
        if isinstance(event, events.Unsaved):
            self.out.say(f"{name}: renewed, but not stored yet: {event.error}")
        elif isinstance(event, events.ObserverFailed):
            self.out.say(f"{name}: observer {event.observer!r} failed after {event.hook}: {event.error}")
        elif isinstance(event, events.AccountChanged):
            before, after = event.before.label or "unknown", event.after.label or "unknown"
            self.out.say(f"{name}: the account changed from {before} to {after}")
