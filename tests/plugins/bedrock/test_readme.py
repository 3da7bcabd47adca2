"""The README is correct: its tables are complete, and its examples run."""

from __future__ import annotations

import configparser
import json
import re
import sys
import tomllib
from pathlib import Path

import attrs
import pytest

from freshkey import Configuration, Keeper
from freshkey.errors import ProtocolError
from freshkey.secret import Secret
from freshkey_bedrock.credential_process import read_credentials
from freshkey_bedrock.settings import BedrockSettings
from freshkey_bedrock.sources import SOURCES
from raises_code import raises_code


README = (Path(__file__).parents[3] / "plugins" / "bedrock" / "README.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(README) if found == language]


def first_column(heading: str) -> list[str]:
    """Return the names in the first column of the table under a heading."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([\w-]+)`", section, re.MULTILINE)


def test_table_lists_the_sources_in_order() -> None:
    assert [name for name in first_column("Which credential is used") if name != "source"] == [
        source.id for source in SOURCES
    ]


def test_table_says_which_sources_are_stored() -> None:
    section = README.partition("## Which credential is used")[2].partition("\n## ")[0]
    for source in SOURCES:
        row = next(line for line in section.splitlines() if line.startswith(f"| `{source.id}`"))
        assert row.endswith(f"| {'yes' if source.owned else 'no'} |")


def test_table_lists_all_settings() -> None:
    assert sorted(first_column("Settings")) == sorted(field.name for field in attrs.fields(BedrockSettings))


def test_table_marks_the_settings_of_projects() -> None:
    named = {field.name for field in attrs.fields(BedrockSettings) if field.metadata.get("project")}
    assert set(re.findall(r"^\| `(\w+)`.*a project may set it", README, re.MULTILINE)) == named


@pytest.mark.parametrize("text", blocks("toml"))
def test_configuration_example_is_valid(text: str, tmp_path: Path) -> None:
    if sys.platform == "win32":  # where such a path depends on the current drive
        text = text.replace('"/opt/', '"C:/opt/')
    profiles = tomllib.loads(text)["profiles"]
    tables = {name: {**table, "store": "memory"} for name, table in profiles.items()}
    with Keeper(configuration=Configuration.of(tables, state_dir=tmp_path)) as keeper:
        for name in profiles:
            assert keeper.describe(name).title == "Amazon Bedrock"


@pytest.mark.parametrize("text", blocks("json"))
def test_credential_format_example_can_be_read(text: str) -> None:
    assert json.loads(text)
    with raises_code(ProtocolError, "invalid-command-output"):
        read_credentials(Secret(text), "it")  # the placeholder is not a valid key
    assert read_credentials(Secret(text.replace("…", "x")), "it").expires_at is not None


def test_aws_config_example_runs_freshkey_export() -> None:
    parser = configparser.ConfigParser()
    parser.read_string(blocks("ini")[0])
    words = parser["profile freshkey"]["credential_process"].split()
    assert words[0].endswith("/bin/freshkey")
    assert words[1:] == ["export", "work", "--format", "credential-process", "--min-ttl", "120"]


@pytest.mark.parametrize("number", range(3))
def test_python_example_runs(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(blocks("python")) == 3
    text = blocks("python")[number]
    if sys.platform == "win32" and "anthropic" in text:
        pytest.importorskip("anthropic", reason="Wine 8 does not load pydantic_core", exc_type=ImportError)
    config = tmp_path / "freshkey-config"
    config.mkdir(mode=0o700)
    (config / "config.toml").write_text('[profiles.work]\nprovider = "bedrock"\nregion = "eu-west-1"\n')
    (tmp_path / "aws" / "config").write_text("[profile freshkey]\nregion = eu-west-1\n")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAREADME",
        "AWS_SECRET_ACCESS_KEY": "of the README",
        "FRESHKEY_CONFIG_DIR": str(config),
        "FRESHKEY_STATE_DIR": str(tmp_path / "state"),
    }.items():
        monkeypatch.setenv(name, value)
    with Keeper() as keeper:
        names: dict[str, object] = {"keeper": keeper, "url": "https://example.com/", "body": b""}
        exec(compile(text, "README.md", "exec"), names)  # noqa: S102  our own example
        made = names["keeper"]
        assert isinstance(made, Keeper)
        assert made.get("work").environment()["AWS_ACCESS_KEY_ID"] == "AKIAREADME"
        made.close()
