"""Sorts responses of an API that is not an OAuth endpoint into the errors of the contract."""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from freshkey._http.json_object import is_page
from freshkey._http.messages import retry_after
from freshkey._text.durations import duration
from freshkey.clock import SYSTEM, Clock
from freshkey.errors import IntermediaryAnswer, LoginRequired, ProviderRefused, TransientError
from freshkey.model.exchange import Request, Response


_TRANSIENT: Final = frozenset({408, 425, 429})  # RFC 9110, section 15.5.9; RFC 8470, section 5.2; RFC 6585, section 4
_FROM_THE_NETWORK: Final = frozenset({407, 511})  # RFC 9110, section 15.5.8; RFC 6585, section 6


def raise_for_status(
    request: Request,
    response: Response,
    *,
    login_required: Collection[int] = (401,),
    hint: str | None = None,
    pages: bool = False,
    clock: Clock = SYSTEM,
) -> None:
    """Raise the error that fits an API's response; return if the response can be read.

    | response | raises |
    | --- | --- |
    | 408, 425, 429, 5xx | `TransientError`, with `retry_after` if the response says so |
    | 407, 511, or a web page | `IntermediaryAnswer`: a proxy, a block page, the login page of a network |
    | a status in `login_required` | `LoginRequired`: what was presented is not accepted |
    | any other 4xx | `ProviderRefused`: refused for another reason |

    A status with which this API says something else, such as a 409 that names the choices, is read before. The messages
    have the host and the status; nothing of the body. For the token endpoint of an OAuth server, whose
    errors say more, use `freshkey.oauth.read_token`.

    Args:
        request: The request that was sent; only its host is used.
        response: Its response.
        login_required: What means that what was presented is not accepted, whoever presented it: a password that the
            user entered, a machine's own key, a token. Add 403 where the API says so to a credential that is over.
        hint: What the user can do about that: imperative, without a final period. None leaves it to the core, which
            names the command to sign in with, or where the key came from.
        pages: Whether this API itself responds with HTML or XML.
        clock: Used to read ``Retry-After`` dates.
    """
    status, host = response.status, urlsplit(request.url).hostname or "the server"
    if status in _TRANSIENT or (status >= 500 and status not in _FROM_THE_NETWORK):  # noqa: PLR2004  RFC 9110, section 15.6
        wait = retry_after(response.headers, clock.now().wall)
        message = f"{host} is temporarily unavailable (status {status}){asks_to_wait(wait)}"
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            message = f"{host} is limiting the rate of requests (status {status}){asks_to_wait(wait)}"
        raise TransientError(message, retry_after=wait)
    if status in _FROM_THE_NETWORK or (not pages and _is_page(response)):
        raise IntermediaryAnswer(
            f"the response is probably not from {host} (status {status})",
            hint="Check whether the network asks you to log in, the proxy (HTTPS_PROXY), and the URLs in the settings",
        )
    if status in login_required:
        raise LoginRequired(f"{host} does not accept the credential (status {status})", hint=hint)
    if status >= 400:  # noqa: PLR2004  RFC 9110, section 15.5
        raise ProviderRefused(
            f"{host} rejected the request (status {status})",
            hint="Check the profile's settings, and the permissions of the account",
        )


def asks_to_wait(seconds: float | None) -> str:
    """Return how long a server asks to wait, as the end of a message; empty if it does not."""
    return f", and asks to wait {duration(seconds, up=True)}" if seconds else ""


def _is_page(response: Response) -> bool:
    return response.headers.get("content-type", "").lower().startswith("text/html") or is_page(response.body)
