"""Faults that a test sets for an endpoint: unusual responses, lost responses, outages and late responses."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final

from freshkey_testing.server.wire import Answer


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MAX_HOLD: Final = 60.0


class Faults:
    """The faults to come, by endpoint; thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._instead: dict[str, deque[Answer]] = defaultdict(deque)
        self._outages: dict[str, Answer] = {}
        self._lost: dict[str, int] = defaultdict(int)
        self._held: set[str] = set()
        self._held_answers: dict[str, int] = defaultdict(int)

    def instead(self, endpoint: str, answer: Answer) -> None:
        """Send `answer` to the next request without acting on it."""
        with self._changed:
            self._instead[endpoint].append(answer)

    def outage(self, endpoint: str, answer: Answer) -> None:
        """Send `answer` to every request until `recover`, without acting on any."""
        with self._changed:
            self._outages[endpoint] = answer

    def recover(self, endpoint: str) -> None:
        """End an outage."""
        with self._changed:
            self._outages.pop(endpoint, None)

    def lose_answers(self, endpoint: str, times: int) -> None:
        """Act on the next requests, but close the connection without a response."""
        with self._changed:
            self._lost[endpoint] += times

    def hold(self, endpoint: str) -> None:
        """Act on requests, but hold the responses until `release`."""
        with self._changed:
            self._held.add(endpoint)

    def release(self, endpoint: str | None = None) -> None:
        """Send the held responses of `endpoint`, or of all endpoints."""
        with self._changed:
            self._held -= {endpoint} if endpoint else set(self._held)
            self._changed.notify_all()

    def wait_until_held(self, endpoint: str, count: int, timeout: float) -> None:
        """Block until `count` responses are being held.

        Raises:
            TimeoutError: There were fewer after `timeout` real seconds.
        """
        end = time.monotonic() + timeout
        with self._changed:
            while self._held_answers[endpoint] < count:
                if not self._changed.wait(end - time.monotonic()):
                    raise TimeoutError(
                        f"{self._held_answers[endpoint]} responses are held after {timeout:g} s, expected {count}"
                    )

    def play(self, endpoint: str, act: Callable[[], Answer], note: Callable[[str], None]) -> Answer:
        """Respond to one request: with a fault if one is set, otherwise with the result of `act`.

        Args:
            endpoint: The endpoint that received the request.
            act: Handles the request normally.
            note: Called with the name of each fault.
        """
        planned = self._planned(endpoint)
        if planned is not None:
            note(f"{endpoint} answered {planned.status}" if not planned.broken else f"{endpoint} did not act")
        answer = act() if planned is None else planned
        self._wait(endpoint)
        if self._loses(endpoint):
            note(f"{endpoint} lost its answer")
            return Answer(status=0, broken=True)
        return answer

    def _planned(self, endpoint: str) -> Answer | None:
        with self._changed:
            queue = self._instead[endpoint]
            return queue.popleft() if queue else self._outages.get(endpoint)

    def _wait(self, endpoint: str) -> None:
        end = time.monotonic() + _MAX_HOLD
        with self._changed:
            if endpoint not in self._held:
                return
            self._held_answers[endpoint] += 1
            self._changed.notify_all()
            while endpoint in self._held and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            self._held_answers[endpoint] -= 1

    def _loses(self, endpoint: str) -> bool:
        with self._changed:
            losing = self._lost[endpoint] > 0
            self._lost[endpoint] -= losing
            return losing


def outage_answer(status: int, retry_after: str | None) -> Answer:
    """Return the response of a server during an outage, with ``Retry-After`` (RFC 9110, section 10.2.3)."""
    headers: Mapping[str, str] = {} if retry_after is None else {"Retry-After": retry_after}
    return Answer(status=status, body=b"the server is down", headers={"Content-Type": "text/plain", **headers})
