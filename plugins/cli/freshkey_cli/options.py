"""Options shared by several commands, and the types of their values."""

from __future__ import annotations

import argparse
from contextlib import suppress


def add_profile(parser: argparse.ArgumentParser, *, bare: bool = False) -> None:
    """Declare the profile, and the options that change it for one run.

    Args:
        parser: The command's parser.
        bare: Whether the command supports ``--bare``.
    """
    parser.add_argument(
        "profile",
        nargs="?",
        metavar="PROFILE",
        help="name of a profile or provider; PROFILE/ACCOUNT for one of its accounts",
    )
    parser.add_argument("--store", metavar="NAME", help="override the profile's store (such as keyring or file)")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        type=_override,
        action="append",
        default=[],
        dest="overrides",
        help="override a provider setting for this run (repeatable; secrets are refused)",
    )
    if bare:
        parser.add_argument(
            "--bare", action="store_true", help="use only explicitly provided credentials: no keychain, no stored files"
        )


def add_min_ttl(parser: argparse.ArgumentParser) -> None:
    """Declare the minimum remaining lifetime of the credential."""
    parser.add_argument(
        "--min-ttl",
        metavar="SECONDS",
        type=_seconds,
        default=0.0,
        help="require at least SECONDS of remaining lifetime",
    )


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 <= (seconds := float(text)) < float("inf"):
            return seconds
    raise argparse.ArgumentTypeError("expected a number of seconds")  # the text itself may be a secret


def read_override(text: str) -> tuple[str, object]:
    """Return the key and the value of ``KEY=VALUE``.

    The value is TOML, as after the equals sign in ``config.toml``; anything that is not valid TOML is a string.

    Raises:
        ValueError: The key or the equals sign is missing.
    """
    key, equals, value = text.partition("=")
    if not key.strip() or not equals:
        message = "expected KEY=VALUE"
        raise ValueError(message)
    return key.strip(), _value(value)


def _value(text: str) -> object:
    import tomllib

    from freshkey.admin import is_nested_too_deeply

    written = f"value = {text}"
    try:
        if is_nested_too_deeply(written):
            return text
        read = tomllib.loads(written)
    except (ValueError, RecursionError):
        return text
    return read["value"] if len(read) == 1 else text  # more than one: a line break in it made further keys


def _override(text: str) -> tuple[str, object]:
    try:
        return read_override(text)
    except ValueError:
        raise argparse.ArgumentTypeError("expected KEY=VALUE") from None
