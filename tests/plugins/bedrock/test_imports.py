"""What is imported when, and that the distribution needs no libraries of other providers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest


PROGRAM = """
import json, sys
@work@
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def loaded(work: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM.replace("@work@", work)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


HEAVY = {"botocore", "boto3", "dateutil", "jmespath", "urllib3", "httpx", "cryptography", "keyring", "cattrs"}


def test_loaded_modules_are_detected() -> None:
    assert {"botocore", "dateutil", "jmespath"} <= loaded("import botocore.session")


@pytest.mark.parametrize(
    "work",
    [
        "import freshkey_bedrock",
        "from freshkey_bedrock import describe; describe(profile=None, credential=None)",
        "import freshkey; freshkey.Keeper().close(); import freshkey_bedrock",
    ],
)
def test_importing_and_describing_loads_nothing_heavy(work: str) -> None:
    assert loaded(work) & HEAVY == set()


LOOK = """
import os, pathlib
from freshkey.model.profile import Profile
from freshkey_bedrock.settings import BedrockSettings
from freshkey_bedrock.sources import SOURCES
os.environ.update(AWS_ACCESS_KEY_ID="A", AWS_BEARER_TOKEN_BEDROCK="B", AWS_REGION="eu-west-1")
profile = Profile(name="p", provider="bedrock", settings=BedrockSettings(), state_dir=pathlib.Path("/nowhere"))
assert sum(source.detect(profile) is not None for source in SOURCES) == 3
"""


def test_detecting_all_sources_loads_no_aws_library() -> None:
    assert loaded(LOOK) & (HEAVY - {"cattrs"}) == set()


ALONE = """
import builtins, os, pathlib
real = builtins.__import__
def import_without_others(name, *rest, **named):
    if name.partition(".")[0] in {others!r}:
        raise ImportError(f"{{name}} is not a requirement of freshkey-bedrock")
    return real(name, *rest, **named)
builtins.__import__ = import_without_others
import freshkey
os.environ.update(AWS_ACCESS_KEY_ID="A", AWS_SECRET_ACCESS_KEY="B", AWS_REGION="eu-west-1")
keeper = freshkey.Keeper(configuration=freshkey.Configuration.of(
    {{"work": {{"provider": "bedrock", "store": "memory"}}}}, state_dir=pathlib.Path({state!r})))
assert "Authorization" in keeper.get("work").headers("POST", "https://example.amazonaws.com/", b"")
keeper.close()
"""
OTHERS = {"anthropic", "awscli", "boto3", "freshkey_claude_oauth", "freshkey_vertex", "google", "moto", "requests"}


def test_provider_works_without_libraries_of_other_providers(tmp_path: Path) -> None:
    seen = loaded(ALONE.format(others=OTHERS, state=str(tmp_path)))
    assert "botocore" in seen
    assert seen & OTHERS == set()


def requirements(distribution: str) -> set[str]:
    """Return the installed requirements of a distribution, transitively, without extras; includes itself."""
    found: set[str] = set()
    waiting = [distribution]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            needed = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        waiting += [re.split(r"[^A-Za-z0-9._-]", one, maxsplit=1)[0] for one in needed if "extra ==" not in one]
    return found


def test_distribution_requires_no_libraries_of_other_providers() -> None:
    needed = requirements("freshkey-bedrock")
    assert {"freshkey", "botocore"} <= needed
    others = re.compile(r"boto3|aws|anthropic|google|claude|vertex|moto|requests|aiohttp|grpc")
    assert {name for name in needed - {"freshkey-bedrock"} if others.search(name)} == set()
