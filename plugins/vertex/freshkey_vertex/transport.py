"""Carries google-auth's requests over freshkey's HTTP: bounded, never redirected, tried once, and remembered.

google-auth tries again by itself, with pauses of its own (28 s in front of a metadata server that answers 503). Here a
failure that may pass ends the whole attempt with freshkey's error instead: how often to try again is the core's
business. What the server said last is kept, because google-auth's errors quote it in words only.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from freshkey import plugin
from freshkey.errors import ProviderRefused, TransientError
from freshkey.oauth import TRANSIENT_CODES, TRANSIENT_STATUSES, read_refusal, seconds_behind, warn_of_skew
from freshkey.plugin import Clock, Profile, Request, Response
from freshkey_vertex import metadata_http
from freshkey_vertex.settings import VertexSettings


DEADLINE: Final = 20.0
"""Seconds that one request has."""

GOOGLE_HOSTS: Final = frozenset({"oauth2.googleapis.com", "sts.googleapis.com", "iamcredentials.googleapis.com"})
"""What google-auth calls whatever a file says: tokens, exchanges and impersonation."""

_PASSING_CODES: Final = TRANSIENT_CODES | {"internal_failure"}  # google-auth tries again after the latter as well


class Answer:
    """An answer in the form that google-auth reads (``google.auth.transport.Response``).

    Args:
        response: The answer.
    """

    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.data = response.body


class Transport:
    """Does the requests of one attempt (``google.auth.transport.Request``).

    Args:
        clock: Tells when an answer came.
        hosts: The only hosts that are called by https.
        plain_hosts: Metadata servers, the only hosts that are called by http.
        plain_deadline: Seconds that one of those has.
        allow_insecure_loopback: Also call this machine by http, as tests do.

    Attributes:
        last: The last answer.
        behind: Seconds by which this machine's clock is behind that of the last server; None if it did not say.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        hosts: Collection[str],
        plain_hosts: Collection[str] = (),
        plain_deadline: float = DEADLINE,
        allow_insecure_loopback: bool = False,
    ) -> None:
        self._clock = clock
        self._plain_hosts = frozenset(plain_hosts)
        self._plain_deadline = plain_deadline
        self._send = functools.partial(
            plugin.send, deadline=DEADLINE, hosts=hosts, allow_insecure_loopback=allow_insecure_loopback
        )
        self.last: Response | None = None
        self.behind: float | None = None

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002  the deadlines here are shorter
        **options: Any,  # noqa: ANN401  google-auth passes what one of its transports knows
    ) -> Answer:
        """Do one request.

        Raises:
            TransientError: Not sent, or refused for now.
            OutcomeUnknown: Sent, no usable answer.
            ProviderRefused: It needs a client certificate, or goes to a host that is not named.
        """
        if options.get("cert") is not None:
            raise ProviderRefused("workload identity by client certificate is not supported")
        content = body.encode() if isinstance(body, str) else body or b""
        request = Request(method=method, url=url, headers=_fitting(headers or {}), body=content)
        self.last = response = self._exchange(request)
        now = self._clock.now().wall
        host = urlsplit(url).hostname or ""
        warn_of_skew(response.headers, now, host)
        self.behind = seconds_behind(response.headers, now)
        if _may_pass(response):
            message = f"{host} refused for now: {read_refusal(response)}"
            raise TransientError(message, retry_after=plugin.retry_after(response.headers, now))
        return Answer(response)

    def _exchange(self, request: Request) -> Response:
        parts = urlsplit(request.url)
        if parts.scheme == "http" and parts.hostname in self._plain_hosts:
            return metadata_http.exchange(request, deadline=self._plain_deadline)
        return self._send(request)


def allowed_hosts(settings: VertexSettings) -> tuple[str, ...]:
    """Return the hosts that the settings name, sorted."""
    called = (settings.token_url, settings.revoke_url, settings.tokeninfo_url, settings.iam_url)
    return tuple(sorted({urlsplit(url).hostname or "" for url in called} | GOOGLE_HOSTS))


def build_transport(
    profile: Profile,
    *,
    clock: Clock,
    hosts: Collection[str] = (),
    plain_hosts: Collection[str] = (),
    plain_deadline: float = DEADLINE,
) -> Transport:
    """Return what carries google-auth's requests.

    Args:
        profile: The profile.
        clock: Tells when an answer came.
        hosts: Hosts that a credentials file names.
        plain_hosts: Metadata servers, which speak http.
        plain_deadline: Seconds that one of those has.
    """
    settings = profile.settings_as(VertexSettings)
    return Transport(
        clock=clock,
        hosts={*hosts, *GOOGLE_HOSTS, urlsplit(settings.iam_url).hostname or ""},
        plain_hosts=plain_hosts,
        plain_deadline=plain_deadline,
        allow_insecure_loopback=settings.allow_insecure_loopback,
    )


def _fitting(headers: Mapping[str, object]) -> dict[str, str]:
    """Return headers as text; google-auth writes some as bytes."""
    return {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in headers.items()}


def _may_pass(response: Response) -> bool:
    status = response.status
    if status in TRANSIENT_STATUSES or status >= 500:  # noqa: PLR2004  RFC 9110, section 15.6
        return True
    return status >= 400 and read_refusal(response).code in _PASSING_CODES  # noqa: PLR2004  section 15.5
