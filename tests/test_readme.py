"""Every code block of the README works: Python blocks are run here, shell blocks by the CI script."""

from __future__ import annotations

import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from freshkey import Configuration, Keeper
from page_blocks import blocks


ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
PYTHON = [block.text for block in blocks("README.md", "python")]
SHELL = [block.text for block in blocks("README.md", "sh")]


def test_every_block_is_run() -> None:
    assert {block.language for block in blocks("README.md")} == {"python", "sh"}
    assert len(PYTHON) == 2
    for marker in ("demo", "tests"):
        assert f"<!-- command: {marker} -->\n```sh\n" in README
    assert len(SHELL) == 2


def test_commands_are_one_line_each() -> None:
    assert [len(block.splitlines()) for block in SHELL] == [1, 1]


def test_usage_example_works_as_pasted(tmp_path: Path) -> None:
    environment = {
        "ANTHROPIC_API_KEY": "sk-ant-api03-made-up-for-this-test",
        "FRESHKEY_CONFIG_DIR": str(tmp_path / "config"),
        "FRESHKEY_STATE_DIR": str(tmp_path / "state"),
    }
    code = PYTHON[0] + '\nassert "made-up" in environment["ANTHROPIC_API_KEY"]\nassert len(headers) >= 1\n'
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "Obtained" in ran.stdout
    assert "made-up" not in ran.stdout + ran.stderr


def test_usage_example_without_a_credential_says_what_to_do(tmp_path: Path) -> None:
    environment = {
        "FRESHKEY_CONFIG_DIR": str(tmp_path / "config"),
        "FRESHKEY_STATE_DIR": str(tmp_path / "state"),
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={tmp_path}/no-bus",
    }
    ran = subprocess.run(
        [sys.executable, "-c", PYTHON[0]], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "claude_oauth" in ran.stderr


def test_readme_is_short() -> None:
    lines = PYTHON[0].strip().splitlines()
    assert len(lines) <= 16
    assert len([line for line in PYTHON[1].splitlines() if line.strip()]) <= 29
    assert len(BLOCK.sub("", README).split()) < 750


def test_provider_example_works_as_pasted(tmp_path: Path) -> None:
    provider = types.ModuleType("freshkey_example")
    exec(compile(PYTHON[1], "README.md", "exec"), provider.__dict__)  # noqa: S102  text of the README
    token = tmp_path / "token"
    token.write_text("from-the-agent\n", "ascii")
    configuration = Configuration.of(
        {"me": {"provider": "example", "path": str(token)}}, state_dir=tmp_path / "state", default="me"
    )
    with Keeper(configuration=configuration, providers={"example": provider}) as keeper:
        credential = keeper.get()
        assert credential.headers() == {"Authorization": "Bearer from-the-agent"}
        assert keeper.get() is credential
        token.write_text("a-newer-one", "ascii")
        assert keeper.refresh().headers() == {"Authorization": "Bearer a-newer-one"}


def test_provider_example_passes_the_strictest_type_check(tmp_path: Path) -> None:
    example = tmp_path / "freshkey_example.py"
    example.write_text(PYTHON[1], "utf-8")
    # With a cache of its own, beside those of the other checks: only the first run takes seconds.
    options = ["--strict", "--follow-imports=silent", "--cache-dir", str(ROOT / ".mypy_cache" / "readme")]
    command = [sys.executable, "-m", "mypy", "--config-file=", *options, str(example)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_every_link_has_a_target(link: str) -> None:
    assert (ROOT / link).exists()


def test_layout_lists_every_folder() -> None:
    folders = [*ROOT.glob("*/"), *(ROOT / "plugins").glob("*/")]
    shown = {path.relative_to(ROOT).as_posix() for path in folders if not path.name.startswith((".", "_"))}
    with_code = {name for name in shown if any((ROOT / name).rglob("*.py")) or name in {"docs", "scripts"}}
    tracked = with_code - {"plugins", "build"}  # scripts/site writes to build
    assert {name for name in tracked if f"[{name}]({name})" not in README} == set()


def test_install_commands_include_the_command_line() -> None:
    assert README.count("install 'freshkey[cli]'") == 3


def test_readme_of_the_test_helpers_lists_every_helper() -> None:
    support = ROOT / "tests" / "support"
    helpers = {path.relative_to(support).as_posix() for path in support.rglob("*.py")} - {"counterparts/__init__.py"}
    named = set(re.findall(r"`([\w/]+\.py)`", (support / "README.md").read_text("utf-8")))
    assert helpers - named == set()
    assert {name for name in named if "/conftest" not in name} - helpers == set()
