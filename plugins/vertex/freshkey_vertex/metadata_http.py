"""One plain exchange with a metadata server, which speaks http on an address that only this machine reaches."""

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
"""Bytes of an answer that are read at most."""


def exchange(request: Request, *, deadline: float) -> Response:
    """Do one exchange, with neither proxy nor redirect, and return the answer, whatever its status.

    It runs on a thread of its own: outside of a cloud even the name of such a server can take half a minute to be
    looked up in vain.

    Args:
        request: What to send, over http.
        deadline: Seconds until the answer has to be there.

    Raises:
        TransientError: There was no answer in time; asking again does no harm.
        ProtocolError: It is too large, or a redirect.
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
    """One exchange while it runs."""

    def __init__(self, request: Request, deadline: float) -> None:
        self._host = urlsplit(request.url).hostname or ""
        self._deadline = deadline
        self._request = request
        self.answers: queue.SimpleQueue[Response | FreshkeyError] = queue.SimpleQueue()

    def run(self) -> None:
        """Do it, and hand over what came of it."""
        try:
            self.answers.put(self._exchanged())
        except (OSError, http.client.HTTPException, ValueError):
            self.answers.put(self.no_answer())

    def no_answer(self) -> TransientError:
        """Return the error for a server that is not there."""
        return TransientError(f"the metadata server {self._host} does not answer")

    def _exchanged(self) -> Response | FreshkeyError:
        request, address = self._request, urlsplit(self._request.url)
        target = (address.path or "/") + (f"?{address.query}" if address.query else "")
        connection = http.client.HTTPConnection(self._host, address.port or 80, timeout=self._deadline)
        with contextlib.closing(connection):
            connection.request(request.method, target, request.body or None, dict(request.headers))
            answer = connection.getresponse()
            body = answer.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES or not 200 <= answer.status < 600 or 300 <= answer.status < 400:  # noqa: PLR2004  RFC 9110, 15
            return ProtocolError(f"the metadata server {self._host} answers with a redirect, or with too much")
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Response(status=answer.status, headers=headers, body=body)
