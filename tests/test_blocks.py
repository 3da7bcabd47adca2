"""Every fenced block of every page works as written, or says why it is not run: see `page_blocks` for the markers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from freshkey import Configuration
from freshkey._config.project import load
from freshkey._plugins.discovery import load_provider
from page_blocks import Block, blocks, pages
from source_tree import ROOT
from typed_profile import typed


SUPPORT = ROOT / "tests" / "support"
SHELLS = {"sh", "console"}
MARKERS = {
    "python": {"", "setup", "pytest", "file", "test", "not run"},
    "toml": {"", "project", "profile", "pyproject", "file", "not run"},
    "json": {"", "file", "test", "not run"},
    **{shell: {"run", "run in", "command", "test", "not run"} for shell in SHELLS},
}
"""The markers that a block may have, by language; a block in another language is a file or not run."""

ALL = [block for page in pages() for block in blocks(page)]
TOML = [block for block in ALL if block.language == "toml" and block.marker in {"", "project", "profile", "pyproject"}]


def named(block: Block) -> str:
    return f"{block.page}:{block.line}"


@pytest.mark.parametrize("block", ALL, ids=named)
def test_block_is_run_or_says_why_not(block: Block) -> None:
    allowed = MARKERS.get(block.language, {"file", "not run"})
    assert block.marker in allowed, f"put one of {sorted(allowed)} before it: see tests/support/page_blocks.py"
    if block.marker == "not run":
        assert len(block.about.split()) >= 3, "say why"


def test_every_fence_was_read() -> None:
    for page in pages():
        fences = [line for line in (ROOT / page).read_text("utf-8").splitlines() if line.startswith("```")]
        assert len(fences) == 2 * len(blocks(page)), page


# --- configuration ---------------------------------------------------------------------------------------------------


def portable(text: str) -> str:
    """Return configuration with paths that are absolute here."""
    if sys.platform != "win32":
        return text
    return text.replace('"/opt/', '"C:/opt/').replace('"/var/', '"C:/var/')


@pytest.mark.parametrize("block", TOML, ids=named)
def test_toml_is_valid(block: Block, tmp_path: Path) -> None:
    table = tomllib.loads(portable(block.text))
    file = tmp_path / (".freshkey.toml" if block.marker == "project" else "config.toml")
    head = f'[profiles.it]\nprovider = "{block.about}"\n' if block.marker == "profile" else ""
    file.write_text(head + portable(block.text), "utf-8")
    file.chmod(0o600)
    if block.marker == "project":
        own = [table["profile"]] if table["profile"] not in table.get("profiles", {}) else []
        assert load(file, own=own, configuration=tmp_path / "config.toml").profile == table["profile"]
    elif block.marker != "pyproject":
        configuration = Configuration.load({"FRESHKEY_CONFIG_DIR": str(tmp_path)})
        for name, profile in tomllib.loads(head + portable(block.text)).get("profiles", {}).items():
            provider = load_provider(profile["provider"])
            description = provider.describe(profile=None, credential=None)  # type: ignore[attr-defined]
            assert typed(configuration, name, description).provider == profile["provider"]


@pytest.mark.parametrize("block", [block for block in ALL if block.language == "json"], ids=named)
def test_json_is_valid(block: Block) -> None:
    json.loads(block.text)


# --- code ------------------------------------------------------------------------------------------------------------


def step(block: Block) -> dict[str, object] | None:
    """Return what `page_process` does with a block, or None."""
    ran = {"page": block.page, "line": block.line, "text": portable(block.text)}
    if block.marker in {"not run", "command", "test"}:
        return None
    if block.marker == "file":
        return {**ran, "kind": "file", "path": block.about}
    if block.language == "toml" and not block.marker:
        return {**ran, "kind": "config", "path": "config/config.toml"}
    if block.language in SHELLS:
        return {**ran, "kind": "sh", "folder": block.about if block.marker == "run in" else "."}
    if block.language == "python":
        return {**ran, "kind": "pytest" if block.marker == "pytest" else "python", "setup": block.about}
    return None


STEPS = {page: [*filter(None, map(step, blocks(page)))] for page in pages()}
RUN = [page for page, steps in STEPS.items() if any(one["kind"] not in {"file", "config"} for one in steps)]


@pytest.mark.parametrize("page", RUN)
def test_page_works_as_written(page: str, tmp_path: Path) -> None:
    for name in ("config", "state"):
        (tmp_path / name).mkdir(mode=0o700)
    environ = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(SUPPORT), str(ROOT / "docs" / "examples")]),
        "HOME": str(tmp_path),
        "USERPROFILE": str(tmp_path),
        "ANTHROPIC_API_KEY": "sk-ant-api03-made-up-for-this-test",
        "FRESHKEY_CONFIG_DIR": str(tmp_path / "config"),
        "FRESHKEY_STATE_DIR": str(tmp_path / "state"),
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={tmp_path}/no-bus",
        **{name: os.environ[name] for name in ("SYSTEMROOT", "TEMP") if name in os.environ},
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", str(SUPPORT / "page_process.py")],
        input=json.dumps(STEPS[page]),
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "made-up" not in done.stdout + done.stderr
