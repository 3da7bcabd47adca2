"""A credential process of AWS's tools, as botocore starts it: bounded, checked, and never quoted."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey.helpers import run_helper
from freshkey_bedrock import process_form


_MARGIN: Final = 2.0
"""Seconds, half of the rest at the most, that are left when a process is ended, so that the error names it."""


class Process:
    """Stands in for ``subprocess.Popen`` in botocore, as far as botocore uses it.

    Args:
        argv: The program and its arguments.
        ends: When the look-up as a whole has to be over, by `time.monotonic`.
    """

    def __init__(self, argv: Sequence[str], ends: float) -> None:
        self._argv = argv
        self._ends = ends
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
        left = max(self._ends - time.monotonic(), 0.0)
        printed = run_helper(self._argv, timeout=left - min(_MARGIN, left / 2), environ=dict(os.environ))
        process_form.read(printed, f"the credential process {Path(self._argv[0]).name!r}")
        return printed.reveal().encode(), b""
