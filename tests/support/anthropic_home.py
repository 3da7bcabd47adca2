"""The config directory of Anthropic's own tools, with profiles that a test writes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from attrs import frozen


@frozen
class AnthropicHome:
    """The directory set by ``ANTHROPIC_CONFIG_DIR``."""

    base: Path

    def config_file(self, name: str) -> Path:
        return self.base / "configs" / f"{name}.json"

    def credentials_file(self, name: str) -> Path:
        return self.base / "credentials" / f"{name}.json"

    def write_config(self, name: str, **facts: object) -> Path:
        """Write a config file, by default that of a user's sign-in that another program renews."""
        path = self.config_file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"version": "1.0", "authentication": {"type": "user_oauth"}, **facts}))
        path.chmod(0o644)
        return path

    def write_credentials(self, name: str, **facts: object) -> Path:
        """Write a credentials file that only its owner can read."""
        path = self.credentials_file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"version": "1.0", "type": "oauth_token", **facts}))
        path.chmod(0o600)
        return path

    def read_credentials(self, name: str) -> dict[str, Any]:
        facts = json.loads(self.credentials_file(name).read_text())
        assert isinstance(facts, dict)
        return facts

    def activate(self, name: str) -> None:
        self.base.mkdir(parents=True, exist_ok=True)
        (self.base / "active_config").write_text(f"{name}\n")


def in_seconds(seconds: float) -> int:
    """Return the Unix time this many seconds from now."""
    return int(time.time() + seconds)
