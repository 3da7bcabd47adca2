"""Says what a release was built from: an in-toto statement with SLSA's provenance predicate.

Nothing here signs it. It is worth as much as the signature on the checksums beside it, or as the rebuild that gives the
same ones. Formats: in-toto Statement v1 (https://in-toto.io/Statement/v1) and SLSA v1
(https://slsa.dev/spec/v1.0/provenance).
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final


FILE: Final = "freshkey.provenance.json"


def provenance(subjects: Mapping[str, str], *, commit: str, tag: str | None, lock_digest: str) -> str:
    """Return the statement as JSON text.

    Args:
        subjects: SHA-256 of the files that it is about, by name.
        commit: The commit that they were built from.
        tag: Its tag, if it has one.
        lock_digest: SHA-256 of `requirements.lock` in that commit.
    """
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": value}} for name, value in sorted(subjects.items())],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "scripts/release",
                "externalParameters": {"commit": commit, "tag": tag},
                "internalParameters": {
                    "python": platform.python_version(),
                    "build": version("build"),
                    "hatchling": version("hatchling"),
                },
                "resolvedDependencies": [
                    {"name": "the sources", "digest": {"gitCommit": commit}},
                    {"name": "requirements.lock", "digest": {"sha256": lock_digest}},
                ],
            },
            "runDetails": {"builder": {"id": "scripts/release"}},
        },
    }
    return json.dumps(statement, indent=2) + "\n"
