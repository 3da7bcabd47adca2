"""A named configuration of a provider."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final, NoReturn, TypeVar

from attrs import Factory, evolve, field, frozen

from freshkey.clock import SYSTEM, Clock
from freshkey.errors import ConfigurationError, subject
from freshkey.model.account import account_digest, checked_account, command_word
from freshkey.model.exchange import BoundSend, HostLimited, Request
from freshkey.model.redirect import Listen


S = TypeVar("S")

_MARKS: Final = frozenset("@+")
"""What a key has and no name: before the hash of a project's directory, and before that of an account."""


def _checked_or_none(account: object) -> str | None:
    return None if account is None else checked_account(account)


def _cannot_send(request: Request, *, deadline: float = 0.0) -> NoReturn:  # noqa: ARG001  as `BoundSend`
    raise ConfigurationError(
        "a profile that was made by hand cannot send requests",
        hint="Open it with a Keeper, or pass send=…, in tests the fixture freshkey_http",
        code="profile-cannot-send",
    )


@frozen(kw_only=True)
class Profile:
    """A named configuration of a provider.

    Attributes:
        name: Name of the profile.
        provider: ID of the provider: the name of its entry point.
        settings: An instance of the provider's settings class (`Description.settings`).
        state_dir: Directory of locks, hints and local files; each directory has its own sign-ins.
        store: Name of the configured store; None lets the provider and the core decide.
        store_settings: The table of that store in the configuration.
        source: ID of the only source to use; None uses the provider's sources in order.
        skip: IDs of sources not to use.
        bare: Use only explicitly provided credentials (`Source.handed_in`); store nothing, and never ask the user.
        lead: Seconds before expiry at which to renew; None lets the credential and the provider decide.
        redirect_port: Port on this machine that a sign-in in the browser returns to (`freshkey.oauth.authorize`); None
            for any free one.
        project_dir: Directory of the project whose ``.freshkey.toml`` defines it, without symbolic links; None for a
            profile of the user's own.
        ensure_own: ``ensure_own(variable, path)`` raises `TrustNeeded` if a file that an environment variable names is
            in the current project, and the user has not trusted it in its current form, and `ConfigurationError` if
            another user can change it. Call it before such a file decides whose credential is used, where a secret goes
            or what runs. Without the core, it does nothing.
        account: Which of several identities under this profile it is for; None if the application has only one. An
            opaque text of the application, up to 256 bytes of UTF-8, which may be passed to the provider as a login
            hint.
        allow_insecure_loopback: Also accept http to this machine, for tests; `send` heeds it, and so does
            `freshkey.oauth`.
        clock: The clock to use for everything that depends on time.
        send: ``send(request, deadline=30.0)`` sends one HTTP request over a new connection, and returns the response
            whatever its status. Redirects are not followed, and time and size are limited. It calls only the provider's
            hosts (`Description.hosts`), those that a stored credential is bound to, and those that the issuer in
            `Description.binding` names (`freshkey.oauth.discover`). Raises `TransientError` if nothing was sent,
            `OutcomeUnknown` if the request may have been received and there is no usable response, `ProtocolError` for
            a response that is too large or cannot be decoded, `ProviderRefused` for another host, and
            `ConfigurationError` for a URL without https. A profile that is made by hand cannot send anything.
        listen: Makes what waits for the browser at the end of a sign-in; None for `freshkey.oauth.LoopbackListener`.
            Tests pass one that opens no port.
    """

    name: str
    provider: str
    settings: object
    state_dir: Path
    store: str | None = None
    store_settings: Mapping[str, object] = Factory(dict)
    source: str | None = None
    skip: tuple[str, ...] = ()
    bare: bool = False
    lead: float | None = None
    redirect_port: int | None = None
    project_dir: Path | None = None
    ensure_own: Callable[[str, Path | str], None] = field(default=lambda _variable, _path: None, eq=False, repr=False)
    account: str | None = field(default=None, converter=_checked_or_none)
    allow_insecure_loopback: bool = False
    clock: Clock = field(default=SYSTEM, eq=False, repr=False)
    send: BoundSend = field(default=_cannot_send, eq=False, repr=False)
    listen: Listen | None = field(default=None, eq=False, repr=False)

    @property
    def key(self) -> str:
        """What everything kept for this profile and account is named by: records, locks, hints, answers.

        `name` is for people and for messages. Two projects may each define a profile of one name, and the user may have
        had one too; none of them may ever see what is kept for another, and neither may two accounts. It may be longer
        than a name, and contains a character (``@`` or ``+``) that no name has.
        """
        if not _MARKS.isdisjoint(self.name):
            return self.name  # as stores of others get it
        directory = ""
        if self.project_dir is not None:
            path = os.fsencode(os.path.normcase(self.project_dir))
            directory = f"@{hashlib.sha256(path).hexdigest()[:32]}"
        account = "" if self.account is None else f"+{account_digest(self.account)}"
        return f"{self.name}{directory}{account}"

    @property
    def label(self) -> str:
        """What messages call it: its name, and its account if there is one, as in ``mail/ada``."""
        return subject(self.name, self.account)

    @property
    def word(self) -> str:
        """What a command line calls it, in quotation marks if the shell needs any: ``mail/ada``, ``'mail/Ada L.'``."""
        return command_word(self.name, self.account)

    def with_hosts(self, hosts: Collection[str]) -> Profile:
        """Return this profile with a `send` that also calls other hosts.

        For endpoints that another tool's file or variable names, which a description cannot know: check them first, and
        pass only those that this request needs. What settings name belongs in `Description.hosts` instead, so that a
        stored sign-in is bound to it.

        Raises:
            ValueError: One is not just the name of a host; see `freshkey.plugin.host_flaw`.
        """
        return evolve(self, send=self.send.with_hosts(hosts)) if isinstance(self.send, HostLimited) else self

    def settings_as(self, kind: type[S]) -> S:
        """Return the settings, typed for the provider that owns them.

        Raises:
            ConfigurationError: They belong to another provider.
        """
        if not isinstance(self.settings, kind):
            raise ConfigurationError(
                f"expected settings of type {kind.__name__} for provider {self.provider!r},"
                f" got {type(self.settings).__name__}",
                profile=self.name,
                code="wrong-settings-class",
            )
        return self.settings
