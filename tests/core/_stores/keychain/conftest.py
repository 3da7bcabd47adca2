"""Which of these tests are not for Windows: those of keychains on the session bus, whose library is not there."""

from __future__ import annotations

import sys


collect_ignore = ["test_kwallet.py", "test_prompts.py"] if sys.platform == "win32" else []
