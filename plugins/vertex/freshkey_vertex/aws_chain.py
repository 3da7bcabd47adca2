"""Asks botocore's default chain for AWS keys and a region: each place once, without prompts, and skips ended keys."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from freshkey.errors import FreshkeyError, ProviderRefused
from freshkey.plugin import NotRegularError, TooLongError, read_bounded
from freshkey_vertex import aws_ends, aws_errors
from freshkey_vertex.aws_machine import Listener, on_instance
from freshkey_vertex.credentials_file import MAX_BYTES, without_byte_order_mark


if TYPE_CHECKING:
    from botocore.session import Session

Keys = tuple[str, str, str | None]
"""Access key ID, secret access key and session token."""

_FETCHERS: Final = {"ContainerProvider": "_fetcher", "InstanceMetadataProvider": "_role_fetcher"}
_UNUSABLE: Final = re.compile(r"[\s\"']")
"""In no key: it would be a space, a quote or a comment of the file."""


class Lookup:
    """One look at the chain; a new one for each, to see what other tools have written meanwhile.

    Args:
        region: Where to assume a role; botocore reads only ``AWS_DEFAULT_REGION``. None for the configured region.
    """

    def __init__(self, region: str | None = None) -> None:
        from botocore.config import Config
        from botocore.session import Session as NewSession

        self._session: Session = NewSession()
        # Retries are the core's job.
        once = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=10)
        self._session.set_default_client_config(once)
        if region is not None:
            self._session.set_config_variable("region", region)
        self._listeners: dict[str, Listener] = {}

    def region(self) -> str | None:
        """Return the region in the configuration."""
        region = self._session.get_config_variable("region")
        return str(region) if region else None

    def keys(self) -> Keys:
        """Return the current keys.

        Raises:
            FreshkeyError: There are none, or they have ended, or cannot be used.
        """
        chain = self._session.get_component("credential_provider")
        self._prepare(chain)
        ended: FreshkeyError | None = None
        end = aws_ends.of_environment(os.environ) if os.environ.get("AWS_ACCESS_KEY_ID") else None
        if end is not None and end.passed:
            ended = expired("in the environment", end)
            chain.remove("env")
        for _ in range(len(chain.providers)):
            found = chain.load_credentials()
            if found is None:
                break
            keys = found.get_frozen_credentials()
            section = self._session.full_config["profiles"].get(self._session.profile or "default", {})
            written = aws_ends.of_section(section) if section.get("aws_access_key_id") == keys.access_key else None
            if written is None or not written.passed:
                return checked((keys.access_key, keys.secret_key, keys.token), str(found.method))
            ended = ended or expired(f"of AWS profile {self._session.profile or 'default'!r}", written)
            chain.remove(found.method)
        raise ended or self._none_found()

    def explained(self, error: Exception) -> FreshkeyError:
        """Return the error for what botocore raised during this look."""
        return aws_errors.explained(error, self._session, starting=self._is_starting("ContainerProvider"))

    def _prepare(self, chain: Any) -> None:  # noqa: ANN401  botocore has no types
        for provider in chain.providers:
            kind = type(provider).__name__
            if kind in _FETCHERS:
                fetcher = getattr(provider, _FETCHERS[kind])
                # botocore has no setting for this; it would send each request three times, with pauses.
                fetcher.RETRY_ATTEMPTS, fetcher._sleep = 1, lambda _seconds: None  # noqa: SLF001
                fetcher._session = self._listeners[kind] = Listener(fetcher._session)  # noqa: SLF001
            elif kind == "AssumeRoleWithWebIdentityProvider":
                provider._token_loader_cls = _TokenFile  # noqa: SLF001
        # botocore would prompt at the terminal, even for a renewal that no one asked for, and turn off its echo.
        chain.get_provider("assume-role")._prompter = _refuse_to_ask  # noqa: SLF001

    def _is_starting(self, kind: str) -> bool:
        return kind in self._listeners and self._listeners[kind].starting

    def _none_found(self) -> FreshkeyError:
        # botocore swallows what the metadata service of an instance answers, also while it starts.
        # See docs/decisions.md, "AWS keys for federation come from botocore, where google-auth would not find them".
        wait = self._session.profile is None and on_instance(os.environ)
        if wait and self._is_starting("InstanceMetadataProvider"):
            return aws_errors.unavailable(starting=True)
        return aws_errors.none_found()


def checked(keys: Keys, where: str) -> Keys:
    """Return keys that can be sent; neither botocore nor google-auth looks at what it found.

    Raises:
        ConfigurationError: They cannot.
    """
    if all(map(_is_plain, (*keys[:2], keys[2] or "none"))):
        return keys
    raise aws_errors.unusable(
        f"the AWS keys from {where} are empty or contain characters that no key has",
        "Copy each value again: alone on its line, without quotes, spaces or a comment",
    )


def _is_plain(text: object) -> bool:
    plain = isinstance(text, str) and text.isascii() and text.isprintable()
    return plain and _UNUSABLE.search(str(text) or " ") is None


class _TokenFile:
    """Reads an identity token in place of botocore, which sends a byte order mark and a line break along.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self) -> str:
        flaw = "is empty"
        try:
            if token := without_byte_order_mark(read_bounded(Path(self._path), MAX_BYTES)).decode().strip():
                return token
        except UnicodeDecodeError:
            flaw = "is not text"
        except NotRegularError:
            flaw = "is not a regular file"
        except TooLongError:
            flaw = f"is larger than {MAX_BYTES} bytes"
        raise aws_errors.unusable(
            f"the AWS identity token file {flaw}", "Check AWS_WEB_IDENTITY_TOKEN_FILE or web_identity_token_file"
        )


def expired(where: str, end: aws_ends.End) -> FreshkeyError:
    """Return the error for keys that have ended, according to the tool that wrote them."""
    return aws_errors.expired(
        f"the AWS keys {where} expired at {end.at:%Y-%m-%d %H:%M:%S} UTC, according to {end.name}"
    )


def _refuse_to_ask(_prompt: str) -> str:
    raise ProviderRefused(
        "the AWS role requires an MFA code, and freshkey cannot prompt for one",
        hint="Use an AWS profile without mfa_serial, such as one that aws sso login signs in",
        code="vertex-no-identity-token",
    )
