"""What the system says in an error, which Windows says in its own words and in the user's language."""

from __future__ import annotations

import ctypes
import errno
import os
import sys


NO_FILE = ctypes.FormatError(2).strip() if sys.platform == "win32" else os.strerror(errno.ENOENT)
"""That a file does not exist (ERROR_FILE_NOT_FOUND)."""
