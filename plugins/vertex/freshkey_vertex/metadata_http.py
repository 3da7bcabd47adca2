"""A single request to a metadata server, which uses plain http on an address reachable only from this machine."""

from __future__ import annotations

import contextlib
import http.client
import queue
import threading
from typing import Final
from urllib.parse import urlsplit

from freshkey.errors import FreshkeyError, ProtocolError, TransientError
from freshkey.plugin import Request, Response


MAX_BYTES: Final = 65536
"""Maximum size of a response body, in bytes."""


def exchange(request: Request, *, deadline: float) -> Response:
    """Send a request without proxy or redirects and return the response, whatever its status.

    It runs in a separate thread: outside a cloud, just looking up the server's name can take half a minute.

    Args:
        request: The request, with an http URL.
        deadline: Timeout in seconds.

    Raises:
        TransientError: No response in time; trying again is safe.
        ProtocolError: The response is too large, or a redirect.
    """
    running = _Exchange(request, deadline)
    try:
        threading.Thread(target=running.run, name="freshkey metadata", daemon=True).start()
        answer = running.answers.get(timeout=deadline)
    except (queue.Empty, RuntimeError):
        answer = running.no_answer()
    if isinstance(answer, FreshkeyError):
        raise answer
    return answer


class _Exchange:
    """A request in progress."""

    def __init__(self, request: Request, deadline: float) -> None:
        self._host = urlsplit(request.url).hostname or ""
        self._deadline = deadline
        self._request = request
        self.answers: queue.SimpleQueue[Response | FreshkeyError] = queue.SimpleQueue()

    def run(self) -> None:
        """Send the request and put the response or error into the queue."""
        try:
            self.answers.put(self._exchanged())
        except (OSError, http.client.HTTPException, ValueError):
            self.answers.put(self.no_answer())

    def no_answer(self) -> TransientError:
        """Return the error for a server that does not respond."""
        message = f"the metadata server {self._host} does not respond"
        # A setting, a variable or a credentials file says that it is there.
        return TransientError(message, local=True, starting=True, code="vertex-metadata-server-unavailable")

    def _exchanged(self) -> Response | FreshkeyError:
        request, address = self._request, urlsplit(self._request.url)
        target = (address.path or "/") + (f"?{address.query}" if address.query else "")
        connection = http.client.HTTPConnection(self._host, address.port or 80, timeout=self._deadline)
        with contextlib.closing(connection):
            connection.request(request.method, target, request.body or None, dict(request.headers))
            answer = connection.getresponse()
            body = answer.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES or not 200 <= answer.status < 600 or 300 <= answer.status < 400:  # noqa: PLR2004  RFC 9110, 15
            return ProtocolError(f"the response of the metadata server {self._host} is a redirect or too large")
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Response(status=answer.status, headers=headers, body=body)
