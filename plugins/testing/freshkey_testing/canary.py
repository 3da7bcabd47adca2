"""Made-up secrets that are looked for in everything that a test leaves behind."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from freshkey import Secret
from freshkey_testing.overheard import Overheard
from freshkey_testing.secret_scan import leaks


HIDDEN: Final = "[a canary was here]"


class Canary:
    """Makes secrets that must not appear in output, logs, warnings or files of a test.

    Args:
        folder: Where files are looked at, `tmp_path` of the test.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._allowed: list[Path] = []
        self._values: list[str] = []
        self._overheard = Overheard()

    def __call__(self, prefix: str = "canary-") -> Secret:
        """Return a new secret; its value begins with `prefix`, for providers that look at the shape."""
        value = f"{prefix}{secrets.token_hex(16)}"
        self._values.append(value)
        return Secret(value)

    def allow(self, path: Path) -> None:
        """Let a file, or all files in a folder, hold these secrets."""
        self._allowed.append(path)

    def is_in(self, text: str) -> bool:
        """Return whether a text holds one of the secrets, plain or encoded."""
        return leaks(text, self._values)

    def hidden(self, text: str) -> str:
        """Return a text without the secrets."""
        for value in self._values:
            text = text.replace(value, HIDDEN)
        return HIDDEN if self.is_in(text) else text

    def leaked(self) -> list[str]:
        """Return a sentence for each log record, warning and file that holds one of the secrets."""
        said = [f"{where} holds a canary" for where, text in self._overheard.said if self.is_in(text)]
        return [*said, *(f"the file {path} holds a canary" for path in self._files())]

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Record log records of every level and warnings within the block."""
        with self._overheard.records():
            yield

    def _files(self) -> Iterator[Path]:
        for path in sorted(self._folder.rglob("*")):
            allowed = any(path.is_relative_to(each) for each in self._allowed)
            if not allowed and path.is_file() and self.is_in(path.read_bytes().decode("utf-8", "replace")):
                yield path.relative_to(self._folder)
