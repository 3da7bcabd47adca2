"""No flow leaks a secret into output, logs, exceptions, files or arguments (LEK-1, LEK-3, LEK-4, NET-8, FAULT-60)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from freshkey_testing import assert_no_secret
from home import Home
from onlooker import files_below, watched_arguments
from promises import proves


pytestmark = pytest.mark.counterpart

FLOWS = Path(__file__).parents[1] / "support" / "every_flow.py"


@proves("FAULT-60", "LEK-1", "LEK-3", "LEK-4", "NET-8")
def test_every_flow_with_the_root_logger_at_debug(home: Home, tmp_path: Path) -> None:
    made = tmp_path / "made.json"
    with watched_arguments() as arguments:
        ran = subprocess.run(
            [sys.executable, str(FLOWS), str(made), str(tmp_path / "state")],
            env={**home.environment, "STORE": home.store},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
    assert ran.returncode == 0, "the flows did not finish"
    secrets = json.loads(made.read_text("ascii"))

    # The flows actually ran and were logged: three sign-ins, their renewals and their failures.
    assert len(secrets) > 20
    assert ran.stdout.count("SignedOut(") == 3 * 2 * 2
    assert "DEBUG" in ran.stderr
    assert "Traceback" in ran.stderr
    assert_no_secret(ran.stdout, secrets, "standard output")
    assert_no_secret(ran.stderr, secrets, "log or traceback")
    assert_no_secret("\n".join(arguments), secrets, "an argument list")
    for path, content in files_below(tmp_path / "state"):
        assert_no_secret(content, secrets, f"the file {path.name}")


def test_search_finds_a_leaked_secret() -> None:
    with pytest.raises(AssertionError):
        assert_no_secret("GET /callback?code=canary-0123456789", {"canary-0123456789"}, "this")
