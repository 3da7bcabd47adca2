"""What the system says in an error, which Windows says in its own words and in the user's language."""

from __future__ import annotations

import ctypes
import errno
import os
import sys


if sys.platform == "win32":
    NO_FILE = ctypes.FormatError(2).strip()  # ERROR_FILE_NOT_FOUND
else:
    NO_FILE = os.strerror(errno.ENOENT)
