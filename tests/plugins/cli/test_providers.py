"""providers: lists the installed providers without importing them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli_doubles import Run


def test_providers_lists_what_is_installed(run: Run) -> None:
    found = {one["name"]: one["distribution"] for one in run("providers", "--json").json["providers"]}
    assert found["claude_oauth"] == "freshkey-claude-oauth"
    assert "claude_oauth" in run("providers").out


def test_providers_imports_none() -> None:
    program = (
        "import sys; import freshkey_cli; code = freshkey_cli.run(['providers']);"
        "loaded = {name.partition('.')[0] for name in sys.modules if name.startswith('freshkey_')};"
        "sys.exit(code or (loaded != {'freshkey_cli'}) * 50)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "claude_oauth" in done.stdout


def test_all_lists_stores_and_observers_too(run: Run) -> None:
    found = run("providers", "--all", "--json").json
    assert {one["name"]: one["distribution"] for one in found["stores"]}["keyring"] == "freshkey"
    assert found["observers"] == []
    assert found["providers"] == run("providers", "--json").json["providers"]
    assert "store     keyring" in run("providers", "--all").out


def test_one_provider_is_shown(run: Run) -> None:
    shown = run("providers", "bedrock", "--json").json
    assert (shown["name"], shown["distribution"], shown["contract"]) == ("bedrock", "freshkey-bedrock", 1)
    sources = {one["id"]: one for one in shown["sources"]}
    assert sources["sso"] == {**sources["sso"], "owned": True, "interactive": True}
    assert sources["default-chain"]["owned"] is False
    settings = {one["name"]: one for one in shown["settings"]}
    assert settings["deadline"]["type"] == "a number"
    assert settings["deadline"]["default"] == "60.0"
    assert "in seconds" in settings["deadline"]["about"]
    assert settings["sso_flow"]["default"] == '"browser"'
    assert settings["region"]["default"] is None
    assert shown["exports"] == ["credential-process"]

    text = run("providers", "bedrock").out
    assert "  sso: AWS IAM Identity Center sign-in (owned, interactive)\n" in text
    assert '  sso_flow: one of: browser, device, by default "browser"\n' in text
    assert "Exports: credential-process\n" in text


def test_unknown_provider_is_an_error_and_lists_the_others(run: Run) -> None:
    done = run("providers", "bedrok")
    assert (done.code, done.out, done.error_code) == (6, "", "unknown-plugin")
    assert "bedrock" in done.err


def test_provider_that_cannot_be_loaded_says_why(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "freshkey_acme-0.3.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: freshkey-acme\nVersion: 0.3.1\n")
    (info / "entry_points.txt").write_text("[freshkey.providers]\nacme = fixture_acme_shown:nothing\n")
    (tmp_path / "fixture_acme_shown.py").write_text("FRESHKEY_CONTRACT = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    done = run("providers", "acme")
    assert (done.code, done.out, done.error_code) == (6, "", "plugin-not-loadable")
    assert "provider 'acme' of freshkey-acme 0.3.1" in done.err
    assert "names 'nothing', which fixture_acme_shown does not have" in done.err
    assert "bedrock" in run("providers").out
