"""What a start of a program costs that has a profile of this provider."""

from __future__ import annotations

import subprocess
import sys


PROGRAM = """
import sys
import freshkey_oidc
freshkey_oidc.describe(profile=None, credential=None)
heavy = ("freshkey.oauth.", "freshkey._http.client", "joserfc", "httpx")
print(sorted(name for name in sys.modules if name.startswith(heavy)))
"""


def test_a_description_loads_neither_the_toolkit_nor_what_signs_and_sends() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
