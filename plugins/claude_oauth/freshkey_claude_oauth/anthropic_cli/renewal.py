"""Renews the sign-in of an Anthropic profile, and writes it back to the vendor's file before it is used.

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
from freshkey_claude_oauth.anthropic_cli.credentials import Tokens, read_tokens, write_tokens
from freshkey_claude_oauth.anthropic_cli.intent import IntentFile, RefreshIntent
from freshkey_claude_oauth.anthropic_cli.profiles import CliProfile
from freshkey_claude_oauth.settings import AUTHORIZE_URL, ClaudeSettings
from freshkey_claude_oauth.token_response import DEFAULT_LIFETIME
from freshkey_claude_oauth.transport import endpoint_sender


LOCK_TIMEOUT: Final = 30.0
"""Seconds to wait for another process that renews the same profile."""

MIN_REMAINING: Final = 30.0
"""Seconds that a token must have left to be handed out as it is, as in the SDK (``_constants.py``)."""

_unsaved: dict[Path, tuple[str, Tokens]] = {}
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


def renew_sign_in(
    cli_profile: CliProfile, settings: ClaudeSettings, *, replacing: Secret | None, clock: Clock
) -> Tokens:
    """Return usable tokens, renewed by this process or by another one meanwhile.

    Args:
        cli_profile: The profile; it has a client id.
        settings: For the beta header, and whether http on loopback is accepted.
        replacing: The access token that is refused or about to end; None if there is none.
        clock: Tells the time.

    Raises:
        TransientError: Certainly not acted upon, another process is at it, or the result cannot be written yet.
        OutcomeUnknown: Sent, no usable answer; an intent stays beside the credentials file.
        LoginRequired: It cannot be renewed, is no longer accepted, or its answer was lost for good.
        ProviderRefused: The client is refused.
        ConfigurationError: The credentials file cannot be trusted, read, or written back.
    """
    with _locked(cli_profile) as lock:
        tokens = read_tokens(cli_profile)
        if usable(tokens, replacing, clock.now().wall):
            return tokens
        return _Renewal(cli_profile, settings, lock, clock).run(tokens)


@contextmanager
def _locked(cli_profile: CliProfile) -> Iterator[ProfileLock]:
    """Exclude every other freshkey that would renew this profile, whatever its state directory."""
    intent_file = IntentFile(cli_profile.credentials)
    lock = ProfileLock(intent_file.directory, intent_file.name)
    try:
        release = lock.acquire(LOCK_TIMEOUT)
    except StoreBusy as error:
        raise TransientError(cli_profile.about(error.message), hint=error.hint) from None
    except StoreUnavailable as error:
        raise cli_profile.flaw(f"it cannot be renewed here: {error.message}", _writable(cli_profile)) from None
    try:
        yield lock
    finally:
        release()


def _writable(cli_profile: CliProfile) -> str:
    return f"Let this user write to {cli_profile.credentials.parent}: a new refresh token has to be written back there"


@frozen
class _Renewal:
    """One renewal, under the lock."""

    cli_profile: CliProfile
    settings: ClaudeSettings
    lock: ProfileLock
    clock: Clock

    def run(self, tokens: Tokens) -> Tokens:
        """Renew `tokens`, write the result back, and return it."""
        refresh_token = tokens.refresh_token
        if refresh_token is None:
            message = self.cli_profile.about(f"{self.cli_profile.credentials} has no refresh_token")
            raise LoginRequired(message, hint=self.cli_profile.sign_in_hint)
        spent, answer_tokens = _unsaved.get(self.cli_profile.credentials, ("", tokens))
        if spent == refresh_token.fingerprint():
            return self._save(spent, answer_tokens)
        return self._send_once(tokens, refresh_token)

    def _send_once(self, tokens: Tokens, refresh_token: Secret) -> Tokens:
        earlier = self._intent_file.read(refresh_token)
        if earlier is not None and not earlier.may_be_sent_again(self._now()):
            raise self._lost(earlier)
        self._write_intent(
            RefreshIntent.of(refresh_token, self._now()) if earlier is None else earlier.again(), earlier
        )
        try:
            newer = self._request_tokens(tokens, refresh_token)
        except LoginRequired as error:
            ended = error.message
        except (TransientError, ProviderRefused) as error:
            self._intent_file.restore(earlier)
            error.message = self.cli_profile.about(error.message)
            raise
        else:
            return self._save(refresh_token.fingerprint(), newer)
        return self._after_refusal(tokens, earlier, ended)

    def _write_intent(self, intent: RefreshIntent, earlier: RefreshIntent | None) -> None:
        """Write down that the token is about to be spent: it proves that the result can be written, too."""
        try:
            self._intent_file.write(intent)
            self.lock.confirm()
        except StoreUnavailable as error:
            raise self.cli_profile.flaw(
                f"it cannot be renewed here: {error.message}", _writable(self.cli_profile)
            ) from None
        except StoreBusy as error:
            self._intent_file.restore(earlier)
            raise TransientError(self.cli_profile.about(error.message), hint=error.hint) from None

    def _request_tokens(self, tokens: Tokens, refresh_token: Secret) -> Tokens:
        """Spend the refresh token, once."""
        endpoint = self.cli_profile.token_endpoint
        client = OAuthClient(
            server=Server(authorization_endpoint=AUTHORIZE_URL, token_endpoint=endpoint),
            client_id=self.cli_profile.client_id or "",
            send=endpoint_sender(endpoint, self.settings),
            headers=self.settings.beta_headers,
            encode=plugin.json_body,
            clock=self.clock,
        )
        answer = client.refresh(refresh_token)
        if answer.token_type != "Bearer":  # noqa: S105  the type of a token is no token
            raise ProtocolError(self.cli_profile.about(f"it was renewed with a token of type {answer.token_type}"))
        now = self._now()
        return Tokens(
            access_token=answer.access_token,
            refresh_token=answer.refresh_token or refresh_token,
            expires_at=now + (DEFAULT_LIFETIME if answer.expires_in is None else answer.expires_in),
            written_at=now,
            facts=tokens.facts,
        )

    def _save(self, spent: str, newer: Tokens) -> Tokens:
        """Write the result back; where that fails it is kept in memory, for the next attempt to write."""
        try:
            write_tokens(self.cli_profile, newer)
        except StoreUnavailable as error:
            _unsaved[self.cli_profile.credentials] = (spent, newer)
            message = self.cli_profile.about(f"it was renewed, but that cannot be written back: {error.message}")
        else:
            _unsaved.pop(self.cli_profile.credentials, None)
            self._intent_file.restore(None)
            return newer
        raise TransientError(message, hint="It is tried again, but this sign-in is lost if this program ends before")

    def _after_refusal(self, tokens: Tokens, earlier: RefreshIntent | None, ended: str) -> Tokens:
        """Return what another tool renewed meanwhile, as those take no lock; else say why only a new sign-in helps."""
        later = read_tokens(self.cli_profile)
        if later.access_token != tokens.access_token:
            self._intent_file.restore(None)
            if usable(later, None, self._now()):
                return later
            raise TransientError(self.cli_profile.about("another tool renewed it a moment ago"), hint="Try again")
        if earlier is not None:
            raise self._lost(earlier)
        self._intent_file.restore(None)
        raise LoginRequired(self.cli_profile.about(ended), hint=self.cli_profile.sign_in_hint)

    def _lost(self, intent: RefreshIntent) -> LoginRequired:
        when = datetime.fromtimestamp(intent.started_at, UTC)
        began = f"{when:%Y-%m-%d %H:%M:%S} UTC by process {intent.pid}"
        message = f"the answer to the renewal begun at {began} was lost, and with it the sign-in"
        return LoginRequired(self.cli_profile.about(message), hint=self.cli_profile.sign_in_hint)

    @property
    def _intent_file(self) -> IntentFile:
        return IntentFile(self.cli_profile.credentials)

    def _now(self) -> float:
        return self.clock.now().wall
