"""The files of AWS's tools of one made-up user, and a metadata service like that of an EC2 instance."""

from __future__ import annotations

import json
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final

from loopback_server import Exchange, LoopbackServer
from python_program import command_line, written_program


PROGRAM: Final = Path(sys.executable).name if sys.platform == "win32" else "print-credentials"
"""The name of a program of `AwsHome` in messages; Windows does not read which interpreter a script names."""


class AwsHome:
    """The config file, the credentials file, and programs that they name."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.config_file = directory / "config"
        self.credentials_file = directory / "credentials"

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables by which AWS's tools find them."""
        return {"AWS_CONFIG_FILE": str(self.config_file), "AWS_SHARED_CREDENTIALS_FILE": str(self.credentials_file)}

    def config(self, text: str) -> None:
        self.config_file.write_text(text, "utf-8")

    def credentials(self, text: str) -> None:
        self.credentials_file.write_text(text, "utf-8")

    def program(self, script: str) -> list[str]:
        """Write a Python program, and return the command that runs it."""
        return written_program(self.directory / "print-credentials", script)

    def process(self, script: str) -> str:
        """Write a Python program, and return its value for ``credential_process``."""
        return command_line(self.program(script))

    def rotating_process(self, secret: str, *, seconds: int, access_key_id: str = "") -> str:
        """Return a program that prints another session token each time, valid for this many seconds."""
        return self.process(
            f"""
import datetime, json, pathlib
runs = pathlib.Path({str(self.directory / "runs")!r})
runs.open("a").write("x")
count = len(runs.read_text())
end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds={seconds})
print(json.dumps({{"Version": 1, "AccessKeyId": {access_key_id!r} or f"ASIARUN{{count}}",
                   "SecretAccessKey": {secret!r}, "SessionToken": f"token-{{count}}",
                   "Expiration": end.isoformat()}}))
"""
        )


class Metadata(LoopbackServer):
    """Instance metadata service, version 2, with a role whose keys change at each request; a context manager."""

    def __init__(self, *, seconds: int = 3600, silent: bool = False) -> None:
        super().__init__()
        self.seconds = seconds
        self.silent = silent
        self.questions: list[str] = []
        self._over = threading.Event()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        super().__exit__(kind, error, trace)

    def serve(self, exchange: Exchange) -> None:
        """Respond to any request."""
        exchange.answer(200, self._answer(exchange.path).encode())

    def _answer(self, path: str) -> str:
        self.questions.append(path)
        if self.silent:
            self._over.wait(60)
        if path.endswith("/api/token"):
            return "a-metadata-token"
        if path.endswith("/security-credentials/"):
            return "the-role"
        end = datetime.now(UTC) + timedelta(seconds=self.seconds)
        return json.dumps(
            {
                "AccessKeyId": f"ASIAINSTANCE{len(self.questions)}",
                "SecretAccessKey": "made up for the instance",
                "Token": "a-token-of-the-instance",
                "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )
