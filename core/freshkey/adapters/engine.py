"""What every adapter does with a request: sign it, tell a rejected credential, renew once, send it once more.

No I/O of its own: an adapter asks `Exchange.after` what to do after each response, and does it with its library.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import urlsplit

from attrs import define, field

from freshkey.errors import ConfigurationError, OutcomeUnknown, ProviderRefused, TransientError
from freshkey.model.credential import Credential
from freshkey.model.verdict import ACCEPTED, PEEK_SIZE, Answer, Verdict


NO_NEWER_ONE: Final = (TransientError, OutcomeUnknown, ProviderRefused)
"""Errors that mean there is no newer credential now: the caller then receives the original response."""

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_PORTS: Final = {"http": 80, "https": 443}


class Step(enum.Enum):
    """What an adapter does next."""

    DONE = "done"
    """Return the response to the caller."""
    PEEK = "peek"
    """Read the beginning of the body, without taking it from the caller, then ask again."""
    RENEW = "renew"
    """Get another credential, with `Exchange.credential` as the refused one, then send the request again."""
    REPEAT = "repeat"
    """Send the request again with the same credential."""


@define
class Response:
    """A response; implements `freshkey.plugin.Answer`, together with a subclass for each library.

    Attributes:
        beginning: The first bytes of the body, decoded; None before they have been read.
        incomplete: Whether a verdict needs the beginning of the body first.
    """

    beginning: bytes | None = field(default=None, init=False)
    incomplete: bool = field(default=False, init=False)

    def peek(self) -> bytes:
        """Return the beginning of the body; if it has not been read, `Exchange.after` asks for it."""
        if self.beginning is None:
            self.incomplete = True
            return b""
        return self.beginning

    def add_beginning(self, beginning: bytes) -> None:
        """Make the beginning of the body known, for another verdict."""
        self.beginning, self.incomplete = beginning[:PEEK_SIZE], False


class SeenResponse(Answer, Protocol):
    """A response that an adapter has received."""

    incomplete: bool


@define
class Exchange:
    """One request of a caller, from its first signature to the response that the caller gets.

    Attributes:
        method: HTTP method.
        url: The URL that the caller asked for; nothing is signed for another origin.
        credential: The credential that authorizes the request.
    """

    method: str
    url: str
    credential: Credential
    _more: Mapping[str, str] = field(factory=dict)
    _renewed: bool = False
    _repeated: bool = False

    def headers(self, body: bytes, url: str | None = None) -> dict[str, str]:
        """Return the headers that authorize the request, for libraries that call an adapter for each redirect.

        Args:
            body: The body, exactly as it will be sent.
            url: Where it is sent, if not to `url`; without headers for another origin.
        """
        if url is not None and not same_origin(url, self.url):
            return {}
        signed = self.credential.headers(self.method, url or self.url, body)
        return {**signed, **self._more} if self._more else signed

    def after(self, response: SeenResponse) -> Step:
        """Return what to do after a response: at most one renewal, and one repetition without a renewal."""
        verdict = self._judged(response)
        # A redirect may have led to another server, which cannot judge a credential that it did not get.
        if (verdict is ACCEPTED and not response.incomplete) or not same_origin(response.url, self.url):
            return Step.DONE
        if response.incomplete:
            return Step.PEEK
        if verdict.again is not None and not self._repeated:
            self._repeated, self._more = True, verdict.again
            return Step.REPEAT
        if verdict.refused and not self._renewed:
            self._renewed, self._more = True, {}
            return Step.RENEW
        return Step.DONE

    def _judged(self, response: SeenResponse) -> Verdict:
        try:
            return self.credential.judge(response)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  as for hooks
            from freshkey.model.method_errors import cleaned

            failure = cleaned(error, self.credential, "judge")
        raise failure


def must_be_private(url: str) -> None:
    """Refuse to authorize a request that anyone on the network could read.

    Raises:
        ConfigurationError: It uses http or WebSocket without TLS, and not on this machine.
    """
    parts = urlsplit(url)
    if parts.scheme in {"http", "ws"} and parts.hostname not in _LOOPBACK:
        raise ConfigurationError(
            "the request is not encrypted, so it was not sent with a credential",
            hint="Use https, or pass allow_http=True if only trusted programs can read that network",
            code="request-not-encrypted",
        )


def same_origin(one: str, other: str) -> bool:
    """Return whether two URLs have the same scheme, host and port (RFC 6454, section 4)."""
    return one == other or _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
