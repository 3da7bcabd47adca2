"""Instance metadata (IMDS): whether they are worth asking, and how long for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final


LIMITS: Final = (("metadata_service_timeout", 1), ("metadata_service_num_attempts", 1))
"""Seconds and attempts for each question to instance metadata, whatever AWS's configuration says."""

DMI: Final = Path("/sys/class/dmi/id")
"""What the firmware says of the machine, on Linux; world-readable files of one line."""


def on_instance(environ: Mapping[str, str] = os.environ, dmi: Path = DMI) -> bool:
    """Whether instance metadata are worth asking: never where they are disabled, else where they can be known to be.

    Names of the vendor are those that AWS documents for telling its instances ("Identify EC2 instances").
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
