"""The README matches the provider: every source in order, every setting, and an example that works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

import freshkey_vertex
from freshkey_vertex import metadata
from freshkey_vertex.credentials_file import REQUIRED_MEMBERS
from freshkey_vertex.project import PROJECT_VARIABLES
from freshkey_vertex.settings import VertexSettings
from freshkey_vertex.sources import SOURCES


FOLDER = Path(freshkey_vertex.__file__).parents[1]
README = (FOLDER / "README.md").read_text("utf-8")


def table(first_column: str) -> list[list[str]]:
    """Return the words in backquotes in each row of the table with this title of the first column."""
    _, _, rest = README.partition(f"| {first_column} |")
    rows = rest.split("\n\n")[0].splitlines()[2:]
    return [re.findall(r"`([^`]+)`", row.split("|")[1]) for row in rows]


def test_every_source_in_order() -> None:
    assert [row[0] for row in table("`source`")] == [source.id for source in SOURCES]


def test_every_setting() -> None:
    told = [name for row in table("Setting") for name in row]
    assert sorted(told) == sorted(field.name for field in attrs.fields(VertexSettings))


def test_every_default_address() -> None:
    for name in ("authorize_url", "token_url", "revoke_url", "tokeninfo_url", "iam_url"):
        assert f"| `{name}` | `{getattr(VertexSettings(), name)}` |" in README


@pytest.mark.parametrize("name", [*REQUIRED_MEMBERS, *metadata.VARIABLES, *PROJECT_VARIABLES, "CLOUD_ML_REGION"])
def test_every_type_and_variable(name: str) -> None:
    assert f"`{name}`" in README


def test_example_works_as_pasted(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.importorskip("anthropic", reason="Wine 8 does not load pydantic_core", exc_type=ImportError)
    config, code = re.findall(r"^```(?:toml|python)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)[:2]
    (tmp_path / "config.toml").write_text(config, "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nassert client.credentials.quota_project_id is None\nkeeper.close()"],
        env={
            **os.environ,
            "FRESHKEY_CONFIG_DIR": str(tmp_path),
            "FRESHKEY_STATE_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
