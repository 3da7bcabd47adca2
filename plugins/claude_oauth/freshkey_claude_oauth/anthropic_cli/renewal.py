"""Renews the sign-in of an Anthropic profile, and writes it back to Anthropic's file before it is used.

The request, and what is written are those of Anthropic's Python SDK 2.13.0 (``_providers.py``). The SDK does not lock.
Here, freshkey's processes take turns with a lock, and the file is read again before its refresh token is sent and after
it was rejected, so that a token renewed by another tool in the meantime is used instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import evolve, frozen

from freshkey import plugin
from freshkey.errors import (
    ConfigurationError,
    IntermediaryAnswer,
    LoginRequired,
    OutcomeUnknown,
    ProviderRefused,
    StoreBusy,
    StoreUnavailable,
    TransientError,
)
from freshkey.oauth import OAuthClient, Server, TokenAnswer
from freshkey.plugin import ExitHold, Profile, ProfileLock, Secret, kept_for_all, utc_time
from freshkey_claude_oauth.anthropic_cli.credentials import Tokens, read_tokens, write_tokens
from freshkey_claude_oauth.anthropic_cli.intent import IntentFile, RefreshIntent
from freshkey_claude_oauth.anthropic_cli.profiles import CliProfile
from freshkey_claude_oauth.endpoints import at_endpoint
from freshkey_claude_oauth.settings import AUTHORIZE_URL, ClaudeSettings
from freshkey_claude_oauth.token_response import DEFAULT_LIFETIME


LOCK_TIMEOUT: Final = 30.0
"""Seconds to wait for another process that renews the same profile."""

MIN_REMAINING: Final = 30.0
"""Seconds of remaining lifetime below which a token is renewed first, as in the SDK (``_constants.py``)."""

_unsaved: dict[Path, tuple[str, Tokens]] = {}
"""By credentials file: the fingerprint of a used refresh token, and the renewed tokens that could not be written."""


def usable(tokens: Tokens, replacing: Secret | None, now: float) -> bool:
    """Return whether tokens can be used without a renewal.

    Args:
        tokens: The contents of the file.
        replacing: The access token that was rejected or is about to expire, if any.
        now: The current time in Unix seconds.
    """
    left = tokens.seconds_left(now)
    return tokens.access_token != replacing and left is not None and left > MIN_REMAINING


def renew_sign_in(cli_profile: CliProfile, profile: Profile, *, replacing: Secret | None) -> Tokens:
    """Return usable tokens, renewed by this process or by another one in the meantime.

    Args:
        cli_profile: The profile of Anthropic's tools; it must have a client ID.
        profile: The freshkey profile that uses it.
        replacing: The access token that was rejected or is about to expire, if any.

    Raises:
        TransientError: The server certainly did not process the request, another process is renewing, or the result
            cannot be written yet.
        OutcomeUnknown: The request was sent, and there is no usable response; an intent stays next to the credentials
            file.
        LoginRequired: The sign-in cannot be renewed, is no longer accepted, or was lost with an earlier response.
        ProviderRefused: The server rejects the client.
        ConfigurationError: The credentials file is unsafe or invalid, or its directory is not writable.
    """
    with _locked(cli_profile) as lock:
        tokens = read_tokens(cli_profile)
        if usable(tokens, replacing, profile.clock.now().wall):
            return tokens
        return _Renewal(cli_profile, profile, lock).run(tokens)


@contextmanager
def _locked(cli_profile: CliProfile) -> Iterator[ProfileLock]:
    """Lock out every other freshkey process that would renew this profile, whatever its state directory."""
    if not kept_for_all(cli_profile.credentials.parent):
        raise ConfigurationError(
            cli_profile.about("cannot be renewed here: Windows would keep the new tokens for programs of one package"),
            hint="Use a Python that is not from the Microsoft Store, or set ANTHROPIC_CONFIG_DIR outside of AppData",
            code="claude-cli-profile-not-writable",
        )
    intent_file = IntentFile(cli_profile.credentials)
    lock = ProfileLock(intent_file.directory, intent_file.name)
    try:
        release = lock.acquire(LOCK_TIMEOUT)
    except StoreBusy as error:
        raise TransientError(cli_profile.about(error.message), hint=error.hint, code=error.code) from None
    except StoreUnavailable as error:
        raise _not_writable(cli_profile, error) from None
    try:
        yield lock
    finally:
        release()


def _not_writable(cli_profile: CliProfile, error: StoreUnavailable) -> ConfigurationError:
    return ConfigurationError(
        cli_profile.about(f"cannot be renewed here: {error.message}"),
        hint=f"Make {cli_profile.credentials.parent} writable for this user: new refresh tokens are written back there",
        code="claude-cli-profile-not-writable",
    )


@frozen
class _Renewal:
    """One renewal, under the lock."""

    cli_profile: CliProfile
    profile: Profile
    lock: ProfileLock

    def run(self, tokens: Tokens) -> Tokens:
        """Renew `tokens`, write the result back, and return it."""
        refresh_token = tokens.refresh_token
        if refresh_token is None:
            message = self.cli_profile.about(f"{self.cli_profile.credentials} has no refresh_token")
            raise LoginRequired(message, hint=self.cli_profile.sign_in_hint, code="not-renewable")
        spent, answer_tokens = _unsaved.get(self.cli_profile.credentials, ("", tokens))
        if spent == refresh_token.fingerprint():
            return self._save(spent, answer_tokens)
        with ExitHold(self.cli_profile.name) as hold:
            return self._send_once(tokens, refresh_token, hold)

    def _send_once(self, tokens: Tokens, refresh_token: Secret, hold: ExitHold) -> Tokens:
        earlier, now = self._intent_file.read(refresh_token), self._now()
        if earlier is not None:
            self._must_be_allowed(earlier, tokens)
        hold.sending()
        intent = RefreshIntent.of(refresh_token, now) if earlier is None else earlier.again(now)
        self._write_intent(intent, earlier)
        try:
            answer = self._request_tokens(refresh_token)
            hold.saving()
        except LoginRequired as error:
            message, hint = self.cli_profile.about(error.message), self.cli_profile.sign_in_hint
            ended = LoginRequired(message, hint=hint, code=error.code)
        except (TransientError, ProviderRefused, IntermediaryAnswer) as error:
            self._intent_file.restore(earlier)
            error.message = self.cli_profile.about(error.message)
            raise
        except OutcomeUnknown:
            self._intent_file.record(evolve(intent, lost=True))
            raise
        else:
            newer = self._save(refresh_token.fingerprint(), self._renewed(tokens, refresh_token, answer))
            flaw = answer.unusable()
            if flaw is None:
                return newer
            flaw.message = self.cli_profile.about(flaw.message)
            raise flaw
        return self._after_refusal(tokens, intent, ended)

    def _must_be_allowed(self, earlier: RefreshIntent, tokens: Tokens) -> None:
        if earlier.refused and earlier.attempts == 1:
            message = self.cli_profile.about("the server has rejected this sign-in")
            raise LoginRequired(message, hint=self.cli_profile.sign_in_hint, code="sign-in-ended")
        left = tokens.seconds_left(self._now())
        if earlier.refused or not earlier.may_be_sent_again(self._now(), expired=left is None or left <= 0):
            raise self._lost(earlier)

    def _write_intent(self, intent: RefreshIntent, earlier: RefreshIntent | None) -> None:
        """Record that the token is about to be used, which also proves that the result can be written."""
        try:
            self._intent_file.write(intent)
            self.lock.confirm()
        except StoreUnavailable as error:
            raise _not_writable(self.cli_profile, error) from None
        except StoreBusy as error:
            self._intent_file.restore(earlier)
            raise TransientError(self.cli_profile.about(error.message), hint=error.hint, code=error.code) from None

    def _request_tokens(self, refresh_token: Secret) -> TokenAnswer:
        """Send the refresh token, once."""
        endpoint = self.cli_profile.token_endpoint
        client = OAuthClient.of(
            at_endpoint(self.profile, endpoint),
            Server(authorization_endpoint=AUTHORIZE_URL, token_endpoint=endpoint),
            self.cli_profile.client_id or "",
            headers=self.profile.settings_as(ClaudeSettings).beta_headers,
            encode=plugin.json_body,
        )
        return client.refresh(refresh_token)

    def _renewed(self, tokens: Tokens, refresh_token: Secret, answer: TokenAnswer) -> Tokens:
        """Return what to write: with an access token that cannot be used, only the refresh token is new."""
        requested = self._now() if answer.requested is None else answer.requested.wall
        usable = answer.unusable() is None
        expires_at = requested + (DEFAULT_LIFETIME if answer.expires_in is None else answer.expires_in)
        return Tokens(
            access_token=answer.access_token if usable else tokens.access_token,
            refresh_token=answer.refresh_token or refresh_token,
            expires_at=expires_at if usable else tokens.expires_at,
            written_at=self._now(),
            facts=tokens.facts,
        )

    def _save(self, spent: str, newer: Tokens) -> Tokens:
        """Write the result back; if that fails, it is kept in memory and the next attempt writes it."""
        try:
            # Its refresh token works once: without this, every other tool would be signed out.
            # See docs/decisions.md, "One borrowed credential is written back".
            write_tokens(self.cli_profile, newer)
        except StoreUnavailable as error:
            _unsaved[self.cli_profile.credentials] = (spent, newer)
            message = self.cli_profile.about(f"renewed, but the new tokens cannot be written back: {error.message}")
        else:
            _unsaved.pop(self.cli_profile.credentials, None)
            self._intent_file.restore(None)
            return newer
        raise TransientError(
            message,
            hint=f"Make {self.cli_profile.credentials} writable before this program exits, or the sign-in will be lost",
            code="claude-cli-tokens-not-saved",
        )

    def _after_refusal(self, tokens: Tokens, intent: RefreshIntent, ended: LoginRequired) -> Tokens:
        """Return what another tool renewed in the meantime, as those do not lock; otherwise raise `ended`."""
        later = read_tokens(self.cli_profile)
        if later.access_token != tokens.access_token:
            self._intent_file.restore(None)
            if usable(later, None, self._now()):
                return later
            raise TransientError(self.cli_profile.about("another tool has just renewed it"), hint="Try again")
        # Kept, so that no process sends this token again: see docs/decisions.md, "A final refusal is remembered by
        # generation".
        self._intent_file.record(evolve(intent, refused=True))
        raise ended if intent.attempts == 1 else self._lost(intent)

    def _lost(self, intent: RefreshIntent) -> LoginRequired:
        when = utc_time(intent.started_at)
        started = f"{when:%Y-%m-%d %H:%M:%S} UTC by process {intent.pid}"
        message = f"the response to the renewal started at {started} was lost, and the sign-in with it"
        return LoginRequired(
            self.cli_profile.about(message), hint=self.cli_profile.sign_in_hint, code="renewal-response-lost"
        )

    @property
    def _intent_file(self) -> IntentFile:
        return IntentFile(self.cli_profile.credentials)

    def _now(self) -> float:
        return self.profile.clock.now().wall
