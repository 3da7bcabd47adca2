"""A service account's key, from its file to a token through the public API and the command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from freshkey import Keeper
from freshkey_vertex.formats import GoogleCredential
from google_cloud import ROBOT, GoogleCloud


def test_a_key_becomes_a_token(
    cloud: GoogleCloud, write_file: Callable[..., Path], keeper: Callable[..., Keeper]
) -> None:
    credential = keeper(credentials_file=str(write_file(cloud.service_account()))).get("work")
    assert isinstance(credential, GoogleCredential)
    assert cloud.tokens[credential.access_token.reveal()].whose == ROBOT
    assert (credential.source, credential.kind, credential.project) == (
        "credentials-file",
        "service account",
        "demo-project",
    )
    assert credential.identity.email == ROBOT
    assert credential.lifetime is not None
    assert 3590 < credential.lifetime <= 3600
    assert not credential.renewable


def test_the_command_line_prints_it(
    cloud: GoogleCloud, write_file: Callable[..., Path], configure: Callable[..., None]
) -> None:
    configure(credentials_file=str(write_file(cloud.service_account())))
    done = subprocess.run(
        [sys.executable, "-m", "freshkey", "token", "work"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert cloud.tokens[done.stdout.strip()].whose == ROBOT
