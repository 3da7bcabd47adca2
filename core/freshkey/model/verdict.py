"""What the response to an authorized request means for the credential that authorized it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from attrs import field, frozen


PEEK_SIZE: Final = 8192
"""How many bytes of a body `Answer.peek` returns at most."""


class Answer(Protocol):
    """A response, as `Credential.judge` sees it."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields; names are not case-sensitive."""

    @property
    def method(self) -> str:
        """The HTTP method of the request."""

    @property
    def url(self) -> str:
        """The URL of the request."""

    def peek(self) -> bytes:
        """Return the first `PEEK_SIZE` bytes of the body, decoded, or fewer; the caller still gets all of it.

        Call it only if status and headers do not decide: it waits for the body.
        """


@frozen
class Verdict:
    """What a response means.

    Attributes:
        refused: The server rejected the credential: another one is needed.
        again: The server accepts the credential if the request is sent again with these additional header fields, such
            as a DPoP proof with the nonce that the server just provided (RFC 9449, section 9); otherwise None.
    """

    refused: bool = False
    again: Mapping[str, str] | None = field(default=None, repr=False)


ACCEPTED: Final = Verdict()
"""The server accepted the credential; whatever else the response says is for the caller."""

REFUSED: Final = Verdict(refused=True)
"""The server rejected the credential."""
