"""A credential process of AWS's tools, as botocore starts it: bounded, checked, and never quoted."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey.plugin import run_helper
from freshkey_bedrock import process_form


_MARGIN: Final = 2.0
"""Seconds, half of the rest at the most, that are left when a process is ended, so that the error names it."""


class Process:
    """Stands in for ``subprocess.Popen`` in botocore, as far as botocore uses it.

    Args:
        argv: The program and its arguments.
        ends: When the look-up as a whole has to be over, by `time.monotonic`.
        asker: Name of freshkey's profile that the credentials are for.
    """

    def __init__(self, argv: Sequence[str], ends: float, asker: str) -> None:
        self._argv = argv
        self._ends = ends
        self._asker = asker
        self.returncode = 0

    def communicate(self) -> tuple[bytes, bytes]:
        """Run it and return what it printed.

        It sees the whole environment, as it does when AWS's tools start it.

        Raises:
            ConfigurationError: There is no such program, or it would ask for what is being looked for here.
            TransientError: It failed or took too long.
            ProtocolError: It printed too much, or something else than credentials.
        """
        if not self._argv:
            raise ConfigurationError("credential_process names no program")
        if _is_export_of(self._asker, self._argv):
            # Each would wait for the other until time is up.
            raise ConfigurationError(
                f"the credential_process of AWS's tools asks freshkey for {self._asker!r}, which asks AWS's tools",
                hint=f"Say where {self._asker!r} gets its credentials from: set source or aws_profile",
            )
        left = max(self._ends - time.monotonic(), 0.0)
        printed = run_helper(self._argv, timeout=left - min(_MARGIN, left / 2), environ=dict(os.environ))
        process_form.read(printed, f"the credential process {Path(self._argv[0]).name!r}")
        return printed.reveal().encode(), b""


def _is_export_of(profile: str, argv: Sequence[str]) -> bool:
    """Tell whether a command line is ``freshkey export`` of a profile, as ``~/.aws/config`` may name it."""
    return "freshkey" in {Path(word).stem for word in argv[:3]} and "export" in argv and profile in argv
