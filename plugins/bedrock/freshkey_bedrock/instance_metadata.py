"""The instance metadata service (IMDS): whether to query it, and with what limits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final


LIMITS: Final = (("metadata_service_timeout", 1), ("metadata_service_num_attempts", 1))
"""Timeout (seconds) and attempts for each IMDS request; they override the AWS configuration."""

DMI: Final = Path("/sys/class/dmi/id")
"""Firmware information on Linux; world-readable files of one line each."""


def on_instance(environ: Mapping[str, str] = os.environ, dmi: Path = DMI) -> bool:
    """Return whether to query IMDS: not if disabled; otherwise if an endpoint is set or the vendor is Amazon.

    The vendor names are those that AWS documents for recognizing its instances ("Identify EC2 instances").
    """
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return False
    if environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT"):
        return True
    return any("amazon" in _line(dmi / name).lower() for name in ("sys_vendor", "bios_vendor", "board_vendor"))


def _line(path: Path) -> str:
    try:
        return path.read_text("ascii", errors="replace")[:200]
    except OSError:
        return ""
