"""Asks botocore's default chain for AWS keys and a region, with the limits of `freshkey_vertex.aws_providers`."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from freshkey.errors import FreshkeyError
from freshkey.plugin import is_implausible
from freshkey_vertex import aws_errors
from freshkey_vertex.aws_files import read_files
from freshkey_vertex.aws_machine import on_instance
from freshkey_vertex.aws_own import ensure_https
from freshkey_vertex.aws_providers import Notes


if TYPE_CHECKING:
    from botocore.session import Session

Keys = tuple[str, str, str | None]
"""Access key ID, secret access key and session token."""

_MAX_NAME: Final = 256

_UNUSABLE: Final = re.compile(r"[\s\"']")
"""In no key: it would be a space, a quote or a comment of the file."""


class Lookup:
    """One look at the chain; a new one for each, to see what other tools have written meanwhile.

    Args:
        region: Where to assume a role; botocore reads only ``AWS_DEFAULT_REGION``. None for the configured region.
    """

    def __init__(self, region: str | None = None) -> None:
        from botocore.config import Config
        from botocore.configprovider import ConstantProvider
        from botocore.session import Session as NewSession

        self._session: Session = NewSession()
        # Variables and files can name another endpoint for each service, and botocore accepts any scheme.
        self._session.register("before-send", lambda request, **_facts: ensure_https(request.url))
        # Retries are the core's job.
        once = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=10)
        self._session.set_default_client_config(once)
        # For botocore, an empty variable is set.
        name = os.environ.get("AWS_DEFAULT_PROFILE") or os.environ.get("AWS_PROFILE") or None
        if name and is_implausible(name, _MAX_NAME):
            raise aws_errors.unusable(
                "AWS_DEFAULT_PROFILE or AWS_PROFILE is not a plausible name of an AWS profile, and may be a secret",
                "Set it to the name of an AWS profile, or unset it",
            )
        self._session.get_component("config_store").set_config_provider("profile", ConstantProvider(name))
        if region is not None:
            self._session.set_config_variable("region", region)
        self._notes: Notes | None = None

    def region(self) -> str | None:
        """Return the region in the configuration.

        Raises:
            ConfigurationError: An AWS file is malformed.
        """
        self._read()
        region = self._session.get_config_variable("region")
        return str(region) if region else None

    def keys(self) -> Keys:
        """Return the current keys.

        Raises:
            FreshkeyError: There are none, or they have ended, or cannot be used.
        """
        self._notes = notes = self._read()
        self._session.register("after-call", notes.note_answer)
        chain = self._session.get_component("credential_provider")
        for provider in chain.providers:
            notes.change(provider)
        found = chain.load_credentials()
        if found is None:
            raise self._none_found()
        keys = found.get_frozen_credentials()
        return checked((keys.access_key, keys.secret_key, keys.token), str(found.method))

    def explained(self, error: Exception) -> FreshkeyError:
        """Return the error for what botocore raised during this look."""
        why = self._why_missing() if _lacks_keys(error) else None
        if why is not None:
            return why
        dated = self._notes.dated if self._notes else ("", 0.0)
        starting = self._is_starting("ContainerProvider")
        return aws_errors.explained(error, self._session, dated=dated, starting=starting)

    def _read(self) -> Notes:
        files = read_files(self._session)
        self._session._config = files.merged()  # noqa: SLF001  botocore reads no byte order marks
        return Notes(files=files)

    def _is_starting(self, kind: str) -> bool:
        listener = self._notes.listeners.get(kind) if self._notes else None
        return listener is not None and listener.starting

    def _why_missing(self) -> FreshkeyError | None:
        """Return the error for keys that were passed over, or of which botocore drops a setting."""
        if self._notes is None:
            return None
        return self._notes.ended or self._notes.files.doubling(self._session.profile or "default")

    def _none_found(self) -> FreshkeyError:
        # botocore swallows what the metadata service of an instance answers, also while it starts.
        # See docs/decisions.md, "AWS keys for federation come from botocore, where google-auth would not find them".
        wait = self._session.profile is None and on_instance(os.environ)
        if wait and self._is_starting("InstanceMetadataProvider"):
            return aws_errors.unavailable(starting=True)
        return self._why_missing() or aws_errors.none_found()


def _lacks_keys(error: Exception) -> bool:
    """Return whether botocore found no keys to assume a role with, in a source profile or in the environment."""
    source = str((getattr(error, "kwargs", None) or {}).get("provider"))
    return type(error).__name__ == "InvalidConfigError" or source.lower() == "environment"


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
