"""A separate process that gets a token of an Anthropic profile: ``anthropic_process.py WHAT STATE_DIR``.

The profile comes from the environment, as for any program. It prints the token's last characters, or the error.
``crash`` ends it after the response has arrived and before anything is written, like a power failure.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from freshkey.errors import FreshkeyError
from freshkey.model.profile import Profile
from freshkey_claude_oauth.anthropic_cli import renewal
from freshkey_claude_oauth.anthropic_cli.source import acquire
from freshkey_claude_oauth.description import description
from freshkey_claude_oauth.settings import ClaudeSettings
from sending import sending


def main(what: str, state_dir: str) -> None:
    made = Profile(
        name=f"of {os.getpid()}",
        provider="claude_oauth",
        settings=ClaudeSettings(),
        state_dir=Path(state_dir),
        allow_insecure_loopback=True,
    )
    profile = sending(made, description)
    if what == "crash":
        vars(renewal)["write_tokens"] = _crash
    try:
        sys.stdout.write(acquire(profile, "anthropic-profile").access_token.reveal()[-8:])
    except FreshkeyError as error:
        sys.stdout.write(f"{type(error).__name__}: {error}")


def _crash(*_: object) -> NoReturn:
    os._exit(9)


if __name__ == "__main__":
    main(*sys.argv[1:])
