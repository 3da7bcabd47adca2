"""providers: lists the installed providers without importing them."""

from __future__ import annotations

import subprocess
import sys

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
