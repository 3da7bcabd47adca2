"""An authorization server to try a provider with: ``python -m freshkey_testing.server PROVIDER``.

It prints the profile that uses it, then what it does, and ends with Ctrl-C.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from typing import TYPE_CHECKING, Final

from freshkey import Configuration
from freshkey_testing.server import AuthorizationServer, Entry, Policy


if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_LIFETIME: Final = 86400

_POLL_INTERVAL: Final = 0.2
"""Seconds between two looks at what the server did."""


def _provider(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]+", text) is None:
        raise argparse.ArgumentTypeError("the ID of a provider has letters, digits, hyphens and underscores only")
    return text


def _lifetime(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= _MAX_LIFETIME:
        raise argparse.ArgumentTypeError(f"from 1 to {_MAX_LIFETIME} seconds")
    return seconds


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m freshkey_testing.server",
        description="Run an OAuth authorization server on this machine, until Ctrl-C. It approves every sign-in.",
    )
    parser.add_argument("provider", type=_provider, metavar="PROVIDER", help="ID of the provider to try")
    parser.add_argument(
        "--lifetime",
        type=_lifetime,
        default=3600.0,
        metavar="SECONDS",
        help="how long an access token is valid (default: an hour)",
    )
    return parser.parse_args(argv)


def profile_lines(provider: str, server: AuthorizationServer) -> list[str]:
    """Return the profile that signs in at a server, as lines for ``config.toml``."""
    return [
        f"[profiles.{provider}]",
        f'provider = "{provider}"',
        f'issuer = "{server.urls.issuer}"',
        f'client_id = "{server.client_id}"',
        "allow_insecure_loopback = true",
    ]


def _told(entry: Entry) -> str:
    return " ".join(part for part in (f"# {entry.kind}", entry.detail) if part)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server until it is interrupted; return the exit code."""
    given = _arguments(argv)
    with AuthorizationServer(Policy(lifetime=given.lifetime)) as server:
        _say(f"# Add these lines to {Configuration.load().path}:")
        _say("\n".join(profile_lines(given.provider, server)))
        _say("# The server runs until Ctrl-C. What it does:")
        told = 0
        try:
            while True:
                for entry in server.log[told:]:
                    _say(_told(entry))
                    told += 1
                time.sleep(_POLL_INTERVAL)
        except KeyboardInterrupt:
            return 0


if __name__ == "__main__":
    sys.exit(main())
