"""Sends google-auth's requests with freshkey's HTTP client: time-limited, without redirects or retries, and recorded.

google-auth has its own retries and pauses (28 s for a metadata server that responds with 503). Here, a temporary
failure ends the whole attempt with a freshkey error instead, because retries are the core's job. The last response is
kept, because google-auth's errors contain it only as text.
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
"""Timeout of one request, in seconds."""

GOOGLE_HOSTS: Final = frozenset({"oauth2.googleapis.com", "sts.googleapis.com", "iamcredentials.googleapis.com"})
"""Hosts that google-auth calls regardless of the file: tokens, exchanges and impersonation."""

_PASSING_CODES: Final = TRANSIENT_CODES | {"internal_failure"}  # google-auth retries after the latter too


class Answer:
    """A response in the form that google-auth expects (``google.auth.transport.Response``).

    Args:
        response: The response.
    """

    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.data = response.body


class Transport:
    """Sends the requests of one attempt (``google.auth.transport.Request``).

    Args:
        clock: Provides the time of each response.
        hosts: The only hosts that may be called with https.
        plain_hosts: Metadata servers, the only hosts that may be called with http.
        plain_deadline: Timeout of requests to those, in seconds.
        allow_insecure_loopback: Also allow http to this machine, for tests.

    Attributes:
        last: The last response.
        behind: Seconds by which this machine's clock is behind that of the last server; None if unknown.
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
        timeout: float | None = None,  # noqa: ARG002  the timeouts here are shorter
        **options: Any,  # noqa: ANN401  google-auth passes options of its own transports
    ) -> Answer:
        """Send one request.

        Raises:
            TransientError: Not sent, or temporarily refused.
            OutcomeUnknown: Sent, but no usable response.
            ProviderRefused: It requires a client certificate, or the host is not allowed.
        """
        if options.get("cert") is not None:
            raise ProviderRefused(
                "client certificates are not supported",
                hint="Use a credential_source with a file, URL or program",
                code="vertex-unsupported-credentials",
            )
        content = body.encode() if isinstance(body, str) else body or b""
        request = Request(method=method, url=url, headers=_fitting(headers or {}), body=content)
        self.last = response = self._exchange(request)
        now = self._clock.now().wall
        host = urlsplit(url).hostname or ""
        warn_of_skew(response.headers, now, host)
        self.behind = seconds_behind(response.headers, now)
        # An exception ends google-auth's own retry loops.
        # See docs/decisions.md, "google-auth uses freshkey's HTTP client, and gets one attempt".
        if _may_pass(response):
            message = f"{host} is temporarily unavailable: {read_refusal(response)}"
            after = plugin.retry_after(response.headers, now)
            raise TransientError(message, retry_after=after, code="server-unavailable")
        return Answer(response)

    def _exchange(self, request: Request) -> Response:
        parts = urlsplit(request.url)
        if parts.scheme == "http" and parts.hostname in self._plain_hosts:
            return metadata_http.exchange(request, deadline=self._plain_deadline)
        return self._send(request)


def allowed_hosts(settings: VertexSettings) -> tuple[str, ...]:
    """Return the hosts in the settings, sorted."""
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
    """Return the transport for google-auth's requests.

    Args:
        profile: The profile.
        clock: Provides the time of each response.
        hosts: Hosts in a credentials file.
        plain_hosts: Metadata servers, which use http.
        plain_deadline: Timeout of requests to those, in seconds.
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
    """Return headers as strings; google-auth passes some as bytes."""
    return {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in headers.items()}


def _may_pass(response: Response) -> bool:
    status = response.status
    if status in TRANSIENT_STATUSES or status >= 500:  # noqa: PLR2004  RFC 9110, section 15.6
        return True
    return status >= 400 and read_refusal(response).code in _PASSING_CODES  # noqa: PLR2004  section 15.5
