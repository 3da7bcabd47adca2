"""A log of what the authorization server did, without tokens."""

from __future__ import annotations

import threading
import time

from attrs import frozen


@frozen(kw_only=True)
class Entry:
    """One thing the server did.

    Attributes:
        time: Seconds since 1970-01-01T00:00:00Z by the server's clock.
        kind: ``grant.authorization_code``, ``grant.refresh_token``, ``grant.device_code``,
            ``grant.client_credentials``: tokens were issued;
            ``refresh_token.reused``, ``refresh_token.graced``, ``refresh_token.unknown``, ``refresh_token.expired``,
            ``code.reused``: an invalid code or token was used; ``grant.revoked``: a sign-in and everything it issued
            was revoked; ``revoked``: a client requested a revocation (RFC 7009); ``authorization.approved``,
            ``authorization.denied``, ``device.issued``, ``device.approved``, ``device.denied``, ``device.answered``:
            steps of a sign-in; ``request.refused``: an error response (RFC 6749, section 5.2), its code in `detail`;
            ``profile.read``, ``userinfo.read``, ``resource.read``, ``bearer.refused``: use of an access token;
            ``fault``: a scripted fault occurred.
        grant: Number of the sign-in concerned, counted from 1, or None.
        detail: More detail, such as the error code of a response.
    """

    time: float
    kind: str
    grant: int | None = None
    detail: str = ""


class Log:
    """Collects entries; thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._entries: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """Append `entry` and wake the threads waiting for it."""
        with self._changed:
            self._entries.append(entry)
            self._changed.notify_all()

    def entries(self) -> list[Entry]:
        """Return everything so far, oldest first."""
        with self._changed:
            return list(self._entries)

    def count(self, kind: str) -> int:
        """Return the number of entries of `kind`."""
        with self._changed:
            return sum(entry.kind == kind for entry in self._entries)

    def wait_for(self, kind: str, count: int, timeout: float) -> None:
        """Block until there are at least `count` entries of `kind`.

        Raises:
            TimeoutError: There were fewer after `timeout` real seconds.
        """
        end = time.monotonic() + timeout
        with self._changed:
            while (seen := sum(entry.kind == kind for entry in self._entries)) < count:
                if not self._changed.wait(end - time.monotonic()):
                    raise TimeoutError(f"the server logged {kind!r} {seen} times within {timeout:g} s, not {count}")
