"""The plugin's README lists the sources and settings that exist, with their defaults, and its examples work."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import pytest

from freshkey_claude_oauth import settings as module
from freshkey_claude_oauth.description import VARIABLES, description
from freshkey_claude_oauth.settings import ClaudeSettings
from source_tree import ROOT


README = (ROOT / "plugins" / "claude_oauth" / "README.md").read_text("utf-8")
CODE = re.compile(r"`([^`]+)`")


def section(title: str) -> str:
    """Return the text under a heading, up to the next one of the same or a higher level."""
    level = title.partition(" ")[0]
    _, found, after = README.partition(f"\n{title}\n")
    assert found, f"there is no heading {title!r}"
    return re.split(rf"\n#{{1,{len(level)}}} ", after)[0]


def rows(text: str) -> list[list[str]]:
    """Return the cells of the first table, without the header row."""
    lines = text[text.index("\n|") + 1 :].split("\n\n", maxsplit=1)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def names(cell: str) -> list[str]:
    return CODE.findall(cell)


SOURCES = rows(section("## Which credential is used"))
SETTINGS = rows(section("## Settings"))
DEFAULTS = {name: row[1] for row in SETTINGS for name in names(row[0])}


def test_sources_are_listed_in_order_of_precedence() -> None:
    assert [names(row[0]) for row in SOURCES] == [[source.id] for source in description(None).sources]
    assert {len(row) for row in SOURCES} == {5}


def test_stored_sources_are_the_owned_ones() -> None:
    stored = {row[0].strip("`") for row in SOURCES if row[2] == "yes"}
    assert stored == {source.id for source in description(None).sources if source.owned}


def test_only_existing_variables_are_named() -> None:
    named = {name for row in SOURCES for name in names(row[1]) if name.isupper()}
    assert named <= set(VARIABLES)
    assert {"ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR"} <= named


def test_what_is_allowed_is_explained_for_every_source() -> None:
    judged = {name for row in rows(section("### What Anthropic allows with each")) for name in names(row[1])}
    assert {source.id for source in description(None).sources} <= judged


def test_all_settings_are_listed() -> None:
    listed = [name for row in SETTINGS for name in names(row[0])]
    assert sorted(listed) == sorted(field.name for field in attrs.fields(ClaudeSettings))


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(ClaudeSettings)])
def test_default_matches_the_code(name: str) -> None:
    default = getattr(ClaudeSettings(), name)
    shown = names(DEFAULTS[name])
    if name in {"redirect_host", "redirect_path"}:
        assert json.dumps(default) in shown
    elif name in {"authorize_url", "token_url", "revoke_url", "profile_url", "paste_redirect_url"}:
        assert shown == [getattr(module, name.removesuffix("_redirect_url").removesuffix("_url").upper() + "_URL")]
        assert urlsplit(shown[0]).scheme == "https"
    elif name == "scopes":
        assert tuple(shown) == default
    elif default is None:
        assert DEFAULTS[name] in {"none", "as `ant`"}
    else:
        plain = list(default) if isinstance(default, tuple) else default
        assert [json.loads(shown[0])] == [plain]


def test_every_federation_setting_is_explained() -> None:
    explained = {names(row[0])[0] for row in rows(section("## Workload identity federation"))}
    listed = next(names(row[0]) for row in SETTINGS if "federation_rule_id" in row[0])
    assert explained == set(listed)


def block(marker: str, language: str) -> str:
    """Return the code block after a marker."""
    found = re.search(rf"<!-- test: {marker} -->\n```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found.group(1)


def test_sdk_example_works_as_pasted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if sys.platform == "win32":
        pytest.importorskip("anthropic", reason="Wine 8 does not load pydantic_core", exc_type=ImportError)
    monkeypatch.setenv("FRESHKEY_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("FRESHKEY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("CLAUDE_CODE_OAUTH_TOKEN", "canary-token-of-the-readme")
    (tmp_path / "config.toml").write_text('[profiles.me]\nprovider = "claude_oauth"\n')
    made: dict[str, object] = {}
    exec(compile(block("sdk", "python"), "README.md", "exec"), made)  # noqa: S102  our own README
    client = made["client"]
    assert client.credentials().token == "canary-token-of-the-readme"  # type: ignore[attr-defined]
    client.close()  # type: ignore[attr-defined]
    assert "canary" not in caplog.text


def test_claude_code_example_is_complete() -> None:
    given = json.loads(block("claude", "json"))
    assert given["apiKeyHelper"] == "freshkey token me --check"
    assert given["env"] == {"ANTHROPIC_BETAS": ClaudeSettings().beta}


def test_claude_code_version_is_the_one_tests_install() -> None:
    package = json.loads((ROOT / "tests" / "counterparts" / "package.json").read_text())
    assert package["dependencies"]["@anthropic-ai/claude-code"] in section("## With Claude Code")
