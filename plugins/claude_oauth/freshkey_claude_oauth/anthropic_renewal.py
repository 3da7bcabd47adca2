"""Renews the sign-in of an Anthropic profile, and writes it back to the vendor's file before anybody uses it.

The request, and what is written, are those of Anthropic's Python SDK 2.13.0 (``_providers.py``). The SDK takes no lock;
here a lock keeps freshkey's processes apart, and the file is read again before its refresh token is sent and after it
was refused, so that what another tool renewed meanwhile is used instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from attrs import frozen

from freshkey import plugin
from freshkey.errors import (
    LoginRequired,
    ProtocolError,
    ProviderRefused,
    StoreBusy,
    StoreUnavailable,
    TransientError,
)
from freshkey.oauth import OAuthClient, Server
from freshkey.plugin import Clock, ProfileLock, Secret
from freshkey_claude_oauth.anthropic_credentials import Tokens, read_tokens, write_tokens
from freshkey_claude_oauth.anthropic_notes import Note, Notebook
from freshkey_claude_oauth.anthropic_profiles import AnthropicProfile
from freshkey_claude_oauth.exchange import sender
from freshkey_claude_oauth.settings import AUTHORIZE_URL, ClaudeSettings
from freshkey_claude_oauth.tokens import DEFAULT_LIFETIME


LOCK_TIMEOUT: Final = 30.0
"""Seconds to wait for another process that renews the same profile."""

MIN_REMAINING: Final = 30.0
"""Seconds that a token has left at the least to be handed out as it is, as in the SDK (``_constants.py``)."""

_unwritten: dict[Path, tuple[str, Tokens]] = {}
"""By credentials file: what a renewal brought that could not be written, and the fingerprint of what it cost."""


def usable(tokens: Tokens, replacing: Secret | None, now: float) -> bool:
    """Tell whether tokens can be handed out as they are.

    Args:
        tokens: What the file holds.
        replacing: The access token that is refused or about to end; None if there is none.
        now: Unix seconds.
    """
    left = tokens.seconds_left(now)
    return tokens.access_token != replacing and left is not None and left > MIN_REMAINING


def renewed(whose: AnthropicProfile, settings: ClaudeSettings, *, replacing: Secret | None, clock: Clock) -> Tokens:
    """Return usable tokens, renewed by this process or by another one meanwhile.

    Args:
        whose: The profile; it has a client id.
        settings: For the beta header, and whether http on loopback is accepted.
        replacing: The access token that is refused or about to end; None if there is none.
        clock: Tells the time.

    Raises:
        TransientError: Certainly not acted upon, another process is at it, or the result cannot be written yet.
        OutcomeUnknown: Sent, no usable answer; a note of that stays beside the credentials file.
        LoginRequired: It cannot be renewed, is no longer accepted, or its answer was lost for good.
        ProviderRefused: The client is refused.
        ConfigurationError: The credentials file cannot be trusted, read, or written back.
    """
    with _alone(whose) as lock:
        tokens = read_tokens(whose)
        if usable(tokens, replacing, clock.now().wall):
            return tokens
        return _Renewal(whose, settings, lock, clock).run(tokens)


@contextmanager
def _alone(whose: AnthropicProfile) -> Iterator[ProfileLock]:
    """Exclude every other freshkey that would renew this profile, whatever its state directory."""
    book = Notebook(whose.credentials)
    lock = ProfileLock(book.directory, book.name)
    try:
        release = lock.acquire(LOCK_TIMEOUT)
    except StoreBusy as error:
        raise TransientError(whose.about(error.message), hint=error.hint) from None
    except StoreUnavailable as error:
        raise whose.flaw(f"it cannot be renewed here: {error.message}", _writable(whose)) from None
    try:
        yield lock
    finally:
        release()


def _writable(whose: AnthropicProfile) -> str:
    return f"Let this user write to {whose.credentials.parent}: a new refresh token has to be written back there"


@frozen
class _Renewal:
    """One renewal, under the lock."""

    whose: AnthropicProfile
    settings: ClaudeSettings
    lock: ProfileLock
    clock: Clock

    def run(self, tokens: Tokens) -> Tokens:
        """Renew `tokens`, write the result back, and return it."""
        refresh_token = tokens.refresh_token
        if refresh_token is None:
            message = self.whose.about(f"{self.whose.credentials} has no refresh_token")
            raise LoginRequired(message, hint=self.whose.sign_in_hint)
        spent, brought = _unwritten.get(self.whose.credentials, ("", tokens))
        if spent == refresh_token.fingerprint():
            return self._keep(spent, brought)
        return self._spend(tokens, refresh_token)

    def _spend(self, tokens: Tokens, refresh_token: Secret) -> Tokens:
        earlier = self._book.read(refresh_token)
        if earlier is not None and not earlier.may_be_sent_again(self._now()):
            raise self._lost(earlier)
        self._begin(Note.of(refresh_token, self._now()) if earlier is None else earlier.again(), earlier)
        try:
            newer = self._interaction(tokens, refresh_token)
        except LoginRequired as error:
            ended = error.message
        except (TransientError, ProviderRefused) as error:
            self._book.put_back(earlier)
            error.message = self.whose.about(error.message)
            raise
        else:
            return self._keep(refresh_token.fingerprint(), newer)
        return self._after_refusal(tokens, earlier, ended)

    def _begin(self, note: Note, earlier: Note | None) -> None:
        """Write down that the token is about to be spent: it proves that the result can be written, too."""
        try:
            self._book.write(note)
            self.lock.confirm()
        except StoreUnavailable as error:
            raise self.whose.flaw(f"it cannot be renewed here: {error.message}", _writable(self.whose)) from None
        except StoreBusy as error:
            self._book.put_back(earlier)
            raise TransientError(self.whose.about(error.message), hint=error.hint) from None

    def _interaction(self, tokens: Tokens, refresh_token: Secret) -> Tokens:
        """Spend the refresh token, once."""
        endpoint = self.whose.token_endpoint
        client = OAuthClient(
            server=Server(authorization_endpoint=AUTHORIZE_URL, token_endpoint=endpoint),
            client_id=self.whose.client_id or "",
            send=sender(endpoint, self.settings),
            headers=self.settings.beta_headers,
            encode=plugin.json_body,
            clock=self.clock,
        )
        answer = client.refresh(refresh_token)
        if answer.token_type != "Bearer":  # noqa: S105  the type of a token is no token
            raise ProtocolError(self.whose.about(f"it was renewed with a token of type {answer.token_type}"))
        now = self._now()
        return Tokens(
            access_token=answer.access_token,
            refresh_token=answer.refresh_token or refresh_token,
            expires_at=now + (DEFAULT_LIFETIME if answer.expires_in is None else answer.expires_in),
            written_at=now,
            facts=tokens.facts,
        )

    def _keep(self, spent: str, newer: Tokens) -> Tokens:
        """Write the result back; where that fails it is kept in memory, for the next attempt to write."""
        try:
            write_tokens(self.whose, newer)
        except StoreUnavailable as error:
            _unwritten[self.whose.credentials] = (spent, newer)
            message = self.whose.about(f"it was renewed, but that cannot be written back: {error.message}")
        else:
            _unwritten.pop(self.whose.credentials, None)
            self._book.put_back(None)
            return newer
        raise TransientError(message, hint="It is tried again, but this sign-in is lost if this program ends before")

    def _after_refusal(self, tokens: Tokens, earlier: Note | None, ended: str) -> Tokens:
        """Return what another tool renewed meanwhile, as those take no lock; else say why only a person can go on."""
        later = read_tokens(self.whose)
        if later.access_token != tokens.access_token:
            self._book.put_back(None)
            if usable(later, None, self._now()):
                return later
            raise TransientError(self.whose.about("another tool renewed it a moment ago"), hint="Try again")
        if earlier is not None:
            raise self._lost(earlier)
        self._book.put_back(None)
        raise LoginRequired(self.whose.about(ended), hint=self.whose.sign_in_hint)

    def _lost(self, note: Note) -> LoginRequired:
        when = datetime.fromtimestamp(note.noted, UTC)
        began = f"{when:%Y-%m-%d %H:%M:%S} UTC by process {note.pid}"
        message = f"the answer to the renewal begun at {began} was lost, and with it the sign-in"
        return LoginRequired(self.whose.about(message), hint=self.whose.sign_in_hint)

    @property
    def _book(self) -> Notebook:
        return Notebook(self.whose.credentials)

    def _now(self) -> float:
        return self.clock.now().wall
