"""Settings for a single run, such as those of ``--set``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from attrs import Attribute

from freshkey._config.schema import check_keys
from freshkey._config.toml_file import Document


SET: Final = Document(place="--set")
"""The place of such settings, for messages."""


def check_overrides(overrides: Mapping[str, object], profile: str, known: Mapping[str, Attribute[Any]]) -> None:
    """Reject unknown settings, and secrets: other users can read the arguments of a process."""
    check_keys(SET, profile, overrides, known)
    for key in overrides:
        # See docs/decisions.md, "`--set` is for provider settings".
        if re.search(r"\bSecret\b", str(known[key].type)):
            message = f"{key!r} is a secret, and other users can read command-line arguments"
            hint = f"Set {key!r} in the configuration file instead"
            raise SET.error(message, profile=profile, hint=hint, code="secret-on-command-line")
