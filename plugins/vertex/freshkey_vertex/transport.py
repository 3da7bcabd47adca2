"""Sends google-auth's requests with freshkey's HTTP client: time-limited, without redirects or retries, and recorded.

google-auth has its own retries and pauses (28 s for a metadata server that responds with 503). Here, a temporary
failure ends the whole attempt with a freshkey error instead, because retries are the core's job. The last response is
kept, because google-auth's errors contain it only as text.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from freshkey import plugin
from freshkey.errors import IntermediaryAnswer, ProviderRefused, TransientError
from freshkey.oauth import (
    TRANSIENT_CODES,
    TRANSIENT_STATUSES,
    read_members,
    read_refusal,
    refusal_error,
    retryable,
    seconds_behind,
    warn_of_skew,
)
from freshkey.plugin import Profile, Request, Response
from freshkey_vertex import metadata_http
from freshkey_vertex.settings import VertexSettings


DEADLINE: Final = 20.0
"""Timeout of one request, in seconds."""

GOOGLE_HOSTS: Final = frozenset({"oauth2.googleapis.com", "sts.googleapis.com", "iamcredentials.googleapis.com"})
"""Hosts that google-auth calls regardless of the file: tokens, exchanges and impersonation."""

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_STARTING: Final = frozenset({408, *range(500, 600)})
"""Statuses of a metadata server that has not started yet; 429 is the answer of one that has."""

_PASSING_CODES: Final = TRANSIENT_CODES | {"internal_failure"}  # google-auth retries after the latter too

_OWN_CODES: Final = frozenset(
    {
        *("admin_policy_enforced", "org_internal", "deleted_client", "disabled_client", "restricted_client"),
        *("invalid_rapt", "rapt_required"),  # usually `error_subtype`
    }
)
"""Codes of Google's OAuth servers that OAuth does not have."""

_STATUSES: Final = frozenset(
    {
        *("CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
        *("PERMISSION_DENIED", "UNAUTHENTICATED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED"),
        *("OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"),
    }
)
"""The ``status`` of an error of Google's APIs (google.rpc.Status), in words (``google/rpc/code.proto``)."""


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

    A metadata server, or what a credentials file names on this machine, is known to be there: as long as it does not
    respond or fails, it counts as starting.

    Args:
        profile: Sends the requests, and provides the time of each response.
        plain_hosts: Metadata servers, the only hosts that may be called with http.
        plain_deadline: Timeout of requests to those, in seconds.
        sources: URLs of identity tokens; longer ones that begin so belong to them. They answer in any form.

    Attributes:
        last: The last response.
        last_url: The URL it came from.
        behind: Seconds by which this machine's clock is behind that of the last server; None if unknown.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        plain_hosts: Collection[str] = (),
        plain_deadline: float = DEADLINE,
        sources: Collection[str] = (),
    ) -> None:
        self._profile = profile
        self._plain_hosts = frozenset(plain_hosts)
        self._plain_deadline = plain_deadline
        self._sources = tuple(sources)
        self.last: Response | None = None
        self.last_url = ""
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
        self.last_url = url
        now = self._profile.clock.now().wall
        host = urlsplit(url).hostname or ""
        warn_of_skew(response.headers, now, host)
        self.behind = seconds_behind(response.headers, now)
        # An exception ends google-auth's own retry loops.
        # See docs/decisions.md, "google-auth uses freshkey's HTTP client, and gets one attempt".
        if _may_pass(response):
            limited = response.status == HTTPStatus.TOO_MANY_REQUESTS
            what = "is limiting the rate of requests" if limited else "is temporarily unavailable"
            message = f"{host} {what}: {read_refusal(response)}"
            after, local = plugin.retry_after(response.headers, now), self._is_near(url)
            starting = local and response.status in _STARTING
            raise TransientError(message, retry_after=after, local=local, starting=starting, code="server-unavailable")
        if response.status >= 400 and not self._answers_for_itself(url, response):  # noqa: PLR2004  RFC 9110, section 15.5
            error = refusal_error(response, now)
            if isinstance(error, TransientError | IntermediaryAnswer) and not _is_googles(response):
                raise retryable(error)
        return Answer(response)

    @property
    def of_machine(self) -> bool:
        """Whether the last response came from a metadata server."""
        return self._is_plain(self.last_url)

    @property
    def of_source(self) -> bool:
        """Whether the last response came from a source of identity tokens that is no metadata server."""
        return self._is_source(self.last_url) and not self.of_machine

    def _is_plain(self, url: str) -> bool:
        parts = urlsplit(url)
        return parts.scheme == "http" and parts.hostname in self._plain_hosts

    def _is_near(self, url: str) -> bool:
        return self._is_plain(url) or (self._is_source(url) and urlsplit(url).hostname in _LOOPBACK)

    def _answers_for_itself(self, url: str, response: Response) -> bool:
        """Return whether a refusal in any form is the server's word: nothing is on the way, or no proxy writes JSON."""
        return self._is_near(url) or (self._is_source(url) and read_members(response) is not None)

    def _is_source(self, url: str) -> bool:
        return url.startswith(self._sources)

    def _exchange(self, request: Request) -> Response:
        if self._is_plain(request.url):
            return metadata_http.exchange(request, deadline=self._plain_deadline)
        try:
            return self._profile.send(request, deadline=DEADLINE)
        except TransientError as error:
            error.starting = error.code == "connection-failed" and self._is_near(request.url)
            raise


def allowed_hosts(settings: VertexSettings) -> tuple[str, ...]:
    """Return the hosts in the settings, sorted."""
    called = (settings.token_url, settings.revoke_url, settings.tokeninfo_url, settings.iam_url)
    return tuple(sorted({urlsplit(url).hostname or "" for url in called} | GOOGLE_HOSTS))


def build_transport(
    profile: Profile,
    *,
    hosts: Collection[str] = (),
    plain_hosts: Collection[str] = (),
    plain_deadline: float = DEADLINE,
    sources: Collection[str] = (),
) -> Transport:
    """Return the transport for google-auth's requests.

    Args:
        profile: The profile.
        hosts: Hosts in a credentials file.
        plain_hosts: Metadata servers, which use http.
        plain_deadline: Timeout of requests to those, in seconds.
        sources: URLs of identity tokens, in a credentials file.
    """
    return Transport(
        profile.with_hosts(hosts),
        plain_hosts=plain_hosts,
        plain_deadline=plain_deadline,
        sources=sources,
    )


def _fitting(headers: Mapping[str, object]) -> dict[str, str]:
    """Return headers as strings; google-auth passes some as bytes."""
    return {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in headers.items()}


def _is_googles(response: Response) -> bool:
    """Return whether a word that is none of OAuth is Google's; web filters have words of their own."""
    if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return False
    error = (read_members(response) or {}).get("error")
    status = error.get("status") if isinstance(error, dict) else None
    return (isinstance(status, str) and status in _STATUSES) or read_refusal(response).code in _OWN_CODES


def _may_pass(response: Response) -> bool:
    status = response.status
    if status in TRANSIENT_STATUSES or status >= 500:  # noqa: PLR2004  RFC 9110, section 15.6
        return True
    return status >= 400 and read_refusal(response).code in _PASSING_CODES  # noqa: PLR2004  section 15.5
