"""The places on an AWS machine that hand out keys: whether they are there, and whether they have started."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final


DMI: Final = Path("/sys/class/dmi/id")
"""Firmware information on Linux; world-readable files of one line each."""

_VENDORS: Final = ("sys_vendor", "bios_vendor", "board_vendor")
"""Those that AWS documents for recognizing its instances ("Identify EC2 instances")."""


def metadata_disabled(environ: Mapping[str, str]) -> bool:
    """Return whether the user has turned off the instance metadata service."""
    return environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true"


def on_instance(environ: Mapping[str, str], dmi: Path = DMI) -> bool:
    """Return whether a variable or the firmware says that there is an instance metadata service."""
    if metadata_disabled(environ):
        return False
    return bool(environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT")) or any(
        "amazon" in _line(dmi / name).lower() for name in _VENDORS
    )


def _line(path: Path) -> str:
    try:
        return path.read_text("ascii", errors="replace")[:200]
    except OSError:
        return ""


class Listener:
    """Wraps the HTTP session of one of botocore's fetchers, which drop what a place answered.

    Args:
        session: The session.

    Attributes:
        status: Status of the last response; None if there was none.
        dated: The header ``Date`` of the last response, and when it arrived, by this machine's clock.
        encrypted: Whether the last request was encrypted, and so not to a place on this machine.
    """

    def __init__(self, session: Any) -> None:  # noqa: ANN401  botocore has no types
        self._session = session
        self.status: int | None = None
        self.encrypted = False
        self.dated = ("", 0.0)

    def send(self, request: Any) -> Any:  # noqa: ANN401  botocore has no types
        """Send a request."""
        self.status, self.encrypted = None, str(request.url).startswith("https:")
        response = self._session.send(request)
        self.status = response.status_code
        self.dated = str(response.headers.get("Date", "")), time.time()
        return response

    @property
    def starting(self) -> bool:
        """Whether the place has probably not started: it does not respond, or fails."""
        failed = self.status is None or self.status == 408 or self.status >= 500  # noqa: PLR2004  RFC 9110, section 15
        return failed and not self.encrypted
