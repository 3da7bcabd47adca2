"""A credential process of AWS's tools, as botocore starts it: bounded, checked, and never quoted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey.helpers import run_helper
from freshkey_bedrock import process_form


_MARGIN: Final = 2.0
"""Seconds, half of the whole at the most, that are left when a process is ended, so that the error names it."""


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
        timeout = self._deadline - min(_MARGIN, self._deadline / 2)
        printed = run_helper(self._argv, timeout=timeout, environ=dict(os.environ))
        process_form.read(printed, f"the credential process {Path(self._argv[0]).name!r}")
        return printed.reveal().encode(), b""
