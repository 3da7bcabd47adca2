"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import argparse


def add_profile(parser: argparse.ArgumentParser, *, bare: bool = False) -> None:
    """Declare the profile, and what changes it for one run.

    Args:
        parser: The command's.
        bare: Whether the command has a mode without keychain and files.
    """
    parser.add_argument("profile", nargs="?", metavar="PROFILE", help="name of a profile or a provider")
    parser.add_argument("--store", metavar="NAME", help="keyring, file or another, instead of the profile's")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        type=_override,
        action="append",
        default=[],
        dest="overrides",
        help="a setting of the provider for this run; never a secret; may be repeated",
    )
    if bare:
        parser.add_argument("--bare", action="store_true", help="use only what is handed in: no keychain, no file")


def add_min_ttl(parser: argparse.ArgumentParser) -> None:
    """Declare for how long the credential has to be good."""
    parser.add_argument(
        "--min-ttl", metavar="SECONDS", type=_seconds, default=0.0, help="be good for so long at the least"
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError(text)
    return seconds


_seconds.__name__ = "number of seconds"  # argparse names the function in its message


def read_override(text: str) -> tuple[str, object]:
    """Return the key and the value of ``KEY=VALUE``.

    The value is TOML, as after the equals sign in ``config.toml``; what is no TOML is a string without its quotes.

    Raises:
        ValueError: There is no key, or no equals sign.
    """
    key, equals, value = text.partition("=")
    if not key.strip() or not equals:
        message = "it is not KEY=VALUE"
        raise ValueError(message)
    return key.strip(), _value(value)


def _value(text: str) -> object:
    import tomllib

    try:
        read = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return read["value"] if len(read) == 1 else text  # more than one: a line break within made further keys


def _override(text: str) -> tuple[str, object]:
    try:
        return read_override(text)
    except ValueError:
        raise argparse.ArgumentTypeError("write KEY=VALUE") from None  # the text itself may be what nobody should see
