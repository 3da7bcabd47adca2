"""The accounts of a profile that have a sign-in: keychains cannot list what they hold, so a directory of files does.

One small file an account: noting one costs the same however many there are, and needs no lock. The directory is advice,
like hints: what is missing comes back when the account is used, and nothing in it is secret.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from freshkey._files.private import file_name, remove_private
from freshkey._files.state_file import StateFile
from freshkey._interprocess.notifier import harmless
from freshkey.errors import ConfigurationError
from freshkey.model.account import account_digest, checked_account


DIRECTORY: Final = "accounts"

_FANOUT: Final = 2
"""Digits of the hash that name a directory: 256 of them hold a hundred thousand accounts without a long list."""


class AccountIndex:
    """The accounts of one profile, given by its key without an account."""

    def __init__(self, state_dir: Path, profile: str) -> None:
        self._state_dir = state_dir
        self._below = (DIRECTORY, file_name(profile))

    def note(self, account: str) -> None:
        """Add an account, if it is not there; if that fails, log it and continue."""
        file = self._file(account_digest(account))
        if not os.path.lexists(file.path):
            with harmless("the list of accounts"):
                file.create({"account": account})

    def remove(self, account: str) -> None:
        """Remove an account, if it is there; if that fails, log it and continue."""
        with harmless("the list of accounts"):
            remove_private(self._file(account_digest(account)).path)

    def accounts(self) -> Iterator[str]:
        """Yield the accounts, in no order; files that are damaged or another account's are passed over."""
        for directory in _names(self._state_dir.joinpath(*self._below)):
            for name in _names(self._state_dir.joinpath(*self._below, directory)):
                file = StateFile(self._state_dir, *self._below, directory, name)
                account = file.read(lambda found: _account(found["account"]))
                if account is not None and self._file(account_digest(account)).path == file.path:
                    yield account

    def _file(self, digest: str) -> StateFile:
        return StateFile(self._state_dir, *self._below, digest[:_FANOUT], f"{digest[_FANOUT:]}.json")


def _names(directory: Path) -> list[str]:
    try:
        return [each.name for each in directory.iterdir()]
    except OSError:
        return []


def _account(found: object) -> str | None:
    try:
        return checked_account(found)
    except ConfigurationError:
        return None
