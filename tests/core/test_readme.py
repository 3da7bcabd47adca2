"""The README's example works as written, with and without a credential, and the modules it names exist."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from page_blocks import blocks


README = (Path(__file__).parents[2] / "core" / "README.md").read_text("utf-8")


def example(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    (block,) = blocks("core/README.md", "python")
    places = {name: str(tmp_path / name) for name in ("FRESHKEY_CONFIG_DIR", "FRESHKEY_STATE_DIR")}
    no_bus = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={tmp_path}/no-bus"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", block.text + "\nprint(*headers)"],
        env={"PATH": os.environ["PATH"], **places, **no_bus, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_example_works_as_written(tmp_path: Path) -> None:
    done = example(tmp_path, ANTHROPIC_API_KEY="sk-ant-api03-made-up-for-this-test")

    assert (done.returncode, done.stderr) == (0, "")
    assert "x-api-key" in done.stdout.lower()


def test_the_example_without_a_credential_says_what_to_do(tmp_path: Path) -> None:
    done = example(tmp_path)

    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert "claude_oauth" in done.stderr


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(freshkey\.[a-z]+)`", README))))
def test_every_module_in_the_readme_exists(name: str) -> None:
    assert importlib.import_module(name).__doc__
