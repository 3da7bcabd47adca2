"""Checks of the life after a sign-in: a renewal, a second one with what it returned, and a rejected credential."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Final, NoReturn

from freshkey import Credential, Description, Profile, Secret
from freshkey.plugin import LoggingReporter, NonInteractive, Reason
from freshkey_testing.clock import ManualClock
from freshkey_testing.guard import read_only
from freshkey_testing.not_applicable import not_applicable
from freshkey_testing.overheard import Overheard
from freshkey_testing.provider_contract.hooks import Hooks
from freshkey_testing.provider_contract.kit import ProviderKit
from freshkey_testing.provider_contract.probes import fail_with, outcome_name, require, tried
from freshkey_testing.provider_contract.results import (
    check_secrecy,
    check_times,
    refresh_token_names,
    sent_refresh_token,
    with_refresh_token,
)
from freshkey_testing.provider_contract.wire import Wire
from freshkey_testing.secret_scan import leaks, secrets_of
from freshkey_testing.user import ScriptedUser


_QUESTIONS: Final = frozenset(
    {"confirm", "open_url", "read_code", "show_device_code", "read_text", "read_secret", "choose", "require_attended"}
)


_NEW_TOKEN: Final = "kit-new-refresh-token-7c1f6a20"  # noqa: S105  made up


class Living(ProviderKit):
    """``refresh``, with a server that answers."""

    def test_a_renewal_returns_a_newer_credential(
        self,
        hooks: Hooks,
        profile: Profile,
        description: Description,
        owned: list[Credential],
        far_zone: str,  # noqa: ARG002  the world it runs in
    ) -> None:
        """``refresh`` returns a newer credential, twice in a row, and changes nothing else.

        It is a new object with the time, the lifetime and the tokens of the answer; source and identity stay. Nothing
        is written, printed or logged, the user is not asked, and only hosts of the description are called.
        """
        require(
            not description.single_use or any(each.renewable for each in owned),
            "Description.single_use is True, but no credential of the owned sources is renewable:"
            " keep the refresh token in it",
        )
        for credential in owned:
            first, wire = _renewed(hooks, profile, credential, "refresh")
            if first is None:
                continue
            _check_hosts(wire, description)
            second, _ = _renewed(hooks, profile, first, "the second refresh, with what the first returned,")
            require(second is not None, "refresh returned a credential that is not renewable: keep the refresh token")

    def test_a_rejected_credential_is_replaced(self, hooks: Hooks, profile: Profile, owned: list[Credential]) -> None:
        """With ``reason`` REFUSED, ``refresh`` returns another secret: the one it has was rejected by a server.

        A provider that extends what it has, such as a lease, must get another one instead.
        """
        for credential in owned:
            if credential.renewable:
                newer = hooks.refresh(profile, credential, reason=Reason.REFUSED)
                require(
                    not newer.authorizes_like(credential),
                    "refresh with reason REFUSED returned the secret that a server has rejected:"
                    " look at reason, and get another credential in place of extending this one",
                )

    def test_the_refresh_token_of_the_server_is_kept(
        self,
        hooks: Hooks,
        profile: Profile,
        description: Description,
        users: Mapping[str, ScriptedUser],
        owned: list[Credential],
    ) -> None:
        """If the answer has a refresh token, it is used from then on; if it has none, the old one is (RFC 6749, 6).

        The kit repeats the answers of one renewal, with another refresh token and without one. What an API of its own
        calls it, the kit finds by its value in the answers to a sign-in or to the renewal.
        """
        renews = looked_at = False
        for credential in owned:
            old = credential.renewal_secret
            if not credential.renewable or old is None:
                continue
            real = Wire()
            with real.watched():
                newer = hooks.refresh(real.of(profile), credential)
            names = refresh_token_names(real.received, newer.renewal_secret) or _names_at_sign_in(
                hooks, profile, description, users, credential
            )
            require(
                description.single_use or sent_refresh_token(real.received, names) in (None, old.reveal()),
                "the server replaces the refresh token at each renewal: set Description.single_use to True",
            )
            # Only OAuth lets a server send none (RFC 6749, section 6); an API of its own may always send one.
            for token in (_NEW_TOKEN,) if names else (_NEW_TOKEN, None):
                wire = Wire(answers=tuple(with_refresh_token(answer, token, names) for answer in real.received))
                with wire.watched():
                    newer = hooks.refresh(wire.of(profile), credential)
                # What else they are, they are not the answers of a token endpoint.
                if sent_refresh_token(wire.received, names) == token:
                    looked_at = True
                    _check_token(newer, old, token)
            renews = True
        if renews and not looked_at:
            not_applicable("no answer has what renews the credential, so whether a new one is kept is not known")


def _names_at_sign_in(
    hooks: Hooks, profile: Profile, description: Description, users: Mapping[str, ScriptedUser], held: Credential
) -> frozenset[str]:
    """Return what the answers to a sign-in call what renews it; nothing if the kit cannot sign in there itself."""
    source = description.source(held.source)
    if source is None or (source.interactive and source.id not in users):
        return frozenset()
    wire, user = Wire(), users.get(source.id) or NonInteractive(profile.name)
    with wire.watched():
        credential, _ = tried(lambda: hooks.acquire(wire.of(profile), source, user))
    return frozenset() if credential is None else refresh_token_names(wire.received, credential.renewal_secret)


def _check_token(newer: Credential, old: Secret, token: str | None) -> None:
    """The refresh token of the answer was kept, or if it had none, the old one."""
    if token is None:
        require(
            newer.renewal_secret == old,
            "the server sent no new refresh token, and refresh dropped the old one: keep it",
        )
        return
    require(
        newer.renewal_secret is not None and newer.renewal_secret.reveal() == token,
        "the server sent a new refresh token, and refresh did not return it: the old one may be spent",
    )


def _renewed(hooks: Hooks, profile: Profile, old: Credential, what: str) -> tuple[Credential | None, Wire]:
    """Renew a credential a minute later; None if it is not renewable."""
    wire, heard, reporter = Wire(), Overheard(), _Reporter()
    if not old.renewable:
        return None, wire
    if isinstance(profile.clock, ManualClock):
        profile.clock.advance(60.0)
    with ExitStack() as stack:
        writes = stack.enter_context(read_only())
        for each in (wire.watched(), heard.records(), heard.output()):
            stack.enter_context(each)
        new, error = tried(lambda: hooks.refresh(wire.of(profile), old, reporter))
    raw: Credential = hooks.raw
    require(not writes, f"{what} tried to change files ({', '.join(writes)}): the core stores the credential")
    require(not reporter.asked, f"{what} asked the user ({', '.join(reporter.asked)}): raise LoginRequired instead")
    if error is not None or new is None:
        fail_with(f"{what} ended with {outcome_name(error)}", error)
    require(raw is not old, f"{what} returned its argument: return a new credential")
    require(
        wire.sent or not new.authorizes_like(old),
        f"{what} sent nothing and returned the secret that it was given: get a newer one, which no module keeps",
    )
    require(new.obtained.wall > old.obtained.wall or raw.obtained is not old.obtained, _too_old(what))
    if isinstance(profile.clock, ManualClock):
        require(new.obtained.wall > old.obtained.wall, _too_old(what))
    require(
        raw.source in ("", old.source), f"{what} returned source={raw.source!r}: keep that of the credential it renews"
    )
    require(not raw.identity.differs_from(old.identity), f"{what} returned another identity: keep that of the sign-in")
    urls = " ".join(each.text.partition("\n")[0] for each in wire.sent)
    require(not leaks(urls, secrets_of(old)), f"{what} put a secret into a URL, which servers log: send it in the body")
    check_times(new, profile, wire.received, what)
    check_secrecy(new, wire.received, heard, what)
    return new, wire


def _too_old(what: str) -> str:
    return f"{what} returned a credential that is not newer than the old one: set obtained to profile.clock.now()"


def _check_hosts(wire: Wire, description: Description) -> None:
    odd = sorted(wire.hosts() - {host.lower() for host in description.hosts})
    require(not odd, f"refresh called {', '.join(odd)}: add it to Description.hosts")


class _Reporter(LoggingReporter):
    """Reports, and notes every question that a provider tries to ask."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> NoReturn:
        if name in _QUESTIONS:
            self.asked.append(name)
            raise AttributeError(f"refresh tried to ask the user with {name}: raise LoginRequired instead")
        raise AttributeError(name)
