"""Settings that are given for one run, as those of ``--set``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from attrs import Attribute

from freshkey._config.schema import check_keys
from freshkey._config.toml_file import Document


SET: Final = Document(place="--set")
"""Where such a setting is, for messages."""


def check_overrides(overrides: Mapping[str, object], profile: str, known: Mapping[str, Attribute[Any]]) -> None:
    """Refuse what is no setting of the provider, and secrets: others can read the arguments of a process."""
    check_keys(SET, profile, overrides, known)
    for key in overrides:
        if re.search(r"\bSecret\b", str(known[key].type)):
            message = f"{key!r} is a secret, and others can read the arguments of a process"
            raise SET.error(message, profile=profile, hint="Write it into the configuration file")
