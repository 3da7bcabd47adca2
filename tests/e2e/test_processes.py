"""Two processes share a store and a rotating refresh token: one renewal per expiry (ROT-1, FAULT-24)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from counterparts.oidc import OidcServer, sign_in
from freshkey_testing import ScriptedUser
from home import Home
from promises import proves
from renewing_process import TOO_LATE


pytestmark = pytest.mark.counterpart

WORKER = Path(__file__).parents[1] / "support" / "renewing_process.py"
EXPIRIES = 10


@proves("FAULT-24", "ROT-1")
def test_two_processes_keep_working_through_ten_expiries(home: Home) -> None:
    with OidcServer(access_token_seconds=2) as server:
        home.use(server)
        with home.keeper() as keeper, ScriptedUser(browser=sign_in) as user:
            keeper.login("me", interaction=user)
        command = [sys.executable, str(WORKER), "me", str(EXPIRIES + 1), server.url("/me")]
        workers = [
            subprocess.Popen(command, env=home.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        outputs = [worker.communicate(timeout=100) for worker in workers]
        seen = [[json.loads(line) for line in stdout.splitlines()] for stdout, _ in outputs]

        assert [(worker.returncode, stderr) for worker, (_, stderr) in zip(workers, outputs, strict=True)] == [
            (0, ""),
            (0, ""),
        ]
        assert [len(tokens) for tokens in seen] == [EXPIRIES + 1, EXPIRIES + 1]
        answers = [token["status"] for tokens in seen for token in tokens]
        assert set(answers) <= {200, TOO_LATE}
        assert answers.count(TOO_LATE) <= 2, "this happens only if the machine pauses"
        different = {token["token"] for tokens in seen for token in tokens}
        renewals = server.count("grant.success", grant_type="refresh_token")
        # A process may have exited during the renewal after its last one.
        assert len(different) - 1 <= renewals <= len(different)
        assert server.count("refresh_token.consumed") == renewals
        assert server.count("grant.revoked") == 0
        assert server.count("grant.error") == 0
