"""An authorization server in a process of its own, which says on one line of JSON where it listens."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any, ClassVar, Self

import httpx


class ServerProcess:
    """An authorization server on loopback; a context manager.

    The program gets its options as one JSON argument, prints `{"issuer": …}` once it accepts connections, ends when its
    stdin is closed, and has `/_events` and `/_faults` beside its own endpoints. `paths` are those of its endpoints by
    short names (`token`, `authorize`, …), which the plain client and the tests use.
    """

    name = "the server"
    paths: ClassVar[Mapping[str, str]] = {}

    def __init__(self, command: Sequence[str], folder: Path, client_id: str, options: Mapping[str, object]) -> None:
        self.client_id = client_id
        self.issuer = ""
        self._command = command
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._messages: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self._messages = TemporaryFile()
        self._process = subprocess.Popen(
            [*self._command, json.dumps(self._options)],
            cwd=self._folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
        )
        self.issuer = self._wait_until_ready(self._process)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> str:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            message = self._said()
            self.stop()
            raise RuntimeError(f"{self.name} did not start: {message}")
        return str(json.loads(line)["issuer"])

    def _said(self) -> str:
        assert self._messages is not None
        self._messages.seek(0)
        return self._messages.read().decode(errors="replace")

    def stop(self) -> None:
        """Stop the server at once; afterwards the port refuses connections."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
        if self._messages is not None:
            self._messages.close()
            self._messages = None

    @property
    def origin(self) -> str:
        """The scheme, host and port that it listens on."""
        return "/".join(self.issuer.split("/")[:3])

    @property
    def port(self) -> int:
        """The loopback port it listens on."""
        return int(self.origin.rpartition(":")[2])

    @property
    def pid(self) -> int:
        """The process id, for a test that stops it with a signal."""
        assert self._process is not None
        return self._process.pid

    def url(self, path: str) -> str:
        """Return the URL of a path, such as one of `paths`."""
        return self.origin + path

    def events(self) -> list[dict[str, Any]]:
        """Return the events so far, oldest first: their kind, time and facts, without any token."""
        events: list[dict[str, Any]] = httpx.get(self.url("/_events"), trust_env=False, timeout=20).json()
        return events

    def count(self, kind: str, **facts: object) -> int:
        """Return the number of events of this kind, such as `count("grant.success", grant_type="refresh_token")`."""
        wanted = {"kind": kind, **facts}.items()
        return sum(wanted <= event.items() for event in self.events())

    def refuse(self, times: int, status: int = 503) -> None:
        """Respond to the next requests to the token endpoint with this status and an empty body, without acting."""
        self._fault({"refuse": times, "status": status})

    def lose_answers(self, times: int = 1) -> None:
        """Act on the next requests to the token endpoint, but close the connection without a response."""
        self._fault({"lose": times})

    def _fault(self, fault: dict[str, int]) -> None:
        httpx.post(self.url("/_faults"), json=fault, trust_env=False, timeout=20).raise_for_status()
