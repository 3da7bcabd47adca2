"""Names in commands that a hint shows: quoted for the shell into which the user pastes them."""

from __future__ import annotations

import sys

from freshkey_bedrock.cli_caches import cli_command


def test_plain_name_is_not_quoted() -> None:
    assert cli_command("login", "team-1") == "aws login --profile team-1"
    assert cli_command("login", "default") == "aws login"


def test_name_with_spaces_is_quoted_for_the_shell_of_the_system() -> None:
    """cmd.exe takes single quotes for part of the name."""
    wanted = '"my team"' if sys.platform == "win32" else "'my team'"
    assert cli_command("login", "my team") == f"aws login --profile {wanted}"
