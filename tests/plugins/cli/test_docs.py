"""docs/cli.md matches the program: its commands, JSON members, error example and configuration."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cli_doubles import FakeKeeper, Run
from freshkey import errors
from freshkey._config.configuration import Configuration
from freshkey._config.project import load
from freshkey._plugins.discovery import load_provider, load_store
from freshkey._plugins.hook_caller import HookCaller
from freshkey._plugins.wiring import wire
from freshkey.model.description import Description
from freshkey_cli import commands
from typed_profile import typed


TEXT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text("utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


def test_command_table_is_complete() -> None:
    table = TEXT.split("| command | what it does")[1].split("\n\n")[0]

    assert re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE) == [
        "login",
        "logout",
        "refresh",
        "status",
        "whoami",
        "explain",
        "providers",
        "trust",
        "token",
        "export",
        "exec",
        "new-provider",
        "demo",
    ]
    assert {*commands.OWN, commands.DEMO} == set(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE))


@pytest.mark.parametrize("command", ["token", "export", "login", "refresh", "logout", "status", "whoami", "explain"])
def test_members_of_a_result_are_documented(run: Run, command: str) -> None:
    line = next(line for line in TEXT.split("Results as JSON")[1].splitlines() if re.match(rf"\| .*`{command}`", line))
    result = run(command, "--json").json
    members = set(result)
    for inner in ("profiles", "selection", "steps"):
        for value in result.get(inner, []):
            members |= set(value)

    assert not {member for member in members if f"`{member}`" not in line}


def test_error_example_is_what_is_printed(run: Run, keeper: FakeKeeper) -> None:
    keeper.fails = errors.LoginRequired(
        "no credential found", profile="me", hint="Run: freshkey login me", code="no-credential-found"
    )

    assert run("token", "--json").err.strip() == block("json").strip()
    assert json.loads(block("json"))["error"]["exit_code"] == 3


def claude() -> Description:
    manager = wire(
        "claude_oauth",
        load_provider("claude_oauth"),
        store=("store memory", load_store("memory")),
        store_is_configured=True,
        observers={},
    )
    return HookCaller(manager, "claude_oauth", lambda event: None).describe(None)


def test_configuration_example_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.touch(mode=0o600)
    file.write_text(block("toml"))
    description = claude()
    configuration = Configuration.load({"FRESHKEY_CONFIG_DIR": str(tmp_path)})
    profile = typed(configuration, configuration.select().name, description)

    assert (profile.name, profile.provider, profile.store, profile.lead) == ("me", "claude_oauth", "keyring", 300.0)
    assert description.source(str(profile.source)) is not None


def test_project_file_example_is_accepted(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(profile = .*?)```", TEXT, re.DOTALL)
    file = tmp_path / ".freshkey.toml"
    file.write_text(text)
    file.chmod(0o600)
    project = load(file, own=["work"], configuration=tmp_path / "config.toml")

    assert project.profile == "work"
    wishes = project.wishes("ci", claude().settings)
    assert wishes.commands == {"api_key_helper": ("./tools/key", "--fresh")}
    assert wishes.choices == {"source": "api-key-helper"}
    assert claude().source(str((project.table("ci") or {})["source"])) is not None
