"""A credential process of AWS's tools, as botocore starts it: bounded, checked, and never quoted."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from freshkey.errors import ConfigurationError, ProtocolError, frameless
from freshkey.helpers import run_helper
from freshkey.secret import Secret


VERSION: Final = 1
"""The only version of what a credential process prints."""

_SHARE: Final = 0.9
"""Of the whole look-up's time, so that the error names the process."""

_NEEDED: Final = ("AccessKeyId", "SecretAccessKey")
_TEXTS: Final = (*_NEEDED, "SessionToken", "Expiration", "AccountId")


class Process:
    """Stands in for ``subprocess.Popen`` in botocore, as far as botocore uses it.

    Args:
        argv: The program and its arguments.
        deadline: Seconds that the look-up as a whole may take.
    """

    def __init__(self, argv: Sequence[str], deadline: float) -> None:
        self._argv = argv
        self._deadline = deadline
        self.returncode = 0

    def communicate(self) -> tuple[bytes, bytes]:
        """Run it and return what it printed.

        It sees the whole environment, as it does when AWS's tools start it.

        Raises:
            ConfigurationError: There is no such program.
            TransientError: It failed or took too long.
            ProtocolError: It printed too much, or something else than credentials.
        """
        if not self._argv:
            raise ConfigurationError("credential_process names no program")
        printed = run_helper(self._argv, timeout=self._deadline * _SHARE, environ=dict(os.environ))
        check_process_output(printed, f"the credential process {Path(self._argv[0]).name}")
        return printed.reveal().encode(), b""


@frameless
def check_process_output(output: Secret, program: str) -> dict[str, Any]:
    """Return the members of what a credential process printed, if botocore will understand them.

    Args:
        output: What it printed.
        program: How to call it in an error.

    Raises:
        ProtocolError: It is no JSON object, of another version than 1, lacks a key or has one that is no text.
    """
    facts = _facts(output)
    if isinstance(facts, str):
        hint = 'It prints one JSON object: {"Version": 1, "AccessKeyId": …, "SecretAccessKey": …}'
        raise ProtocolError(f"{program} printed {facts}", hint=hint)
    return facts


def _facts(output: Secret) -> dict[str, Any] | str:
    """Return the members, or what is wrong with them."""
    try:
        facts = json.loads(output.reveal())
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        return "no JSON object"
    version = facts.get("Version")
    if version != VERSION or isinstance(version, bool):
        return "something of another version than 1" if isinstance(version, int) else "no version, which must be 1"
    if missing := [name for name in _NEEDED if not facts.get(name)]:
        return f"no {missing[0]}"
    if odd := [name for name in _TEXTS if not isinstance(facts.get(name), str | None)]:
        return f"a {odd[0]} that is no text"
    return facts
