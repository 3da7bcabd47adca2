"""One user's configuration and state, for this process and for others that a test starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from attrs import define, field

from counterparts.oidc import OidcServer
from freshkey import Configuration, Keeper


@define
class Home:
    """Configuration and state of one user, for this process and for others."""

    root: Path
    store: str
    variables: dict[str, str] = field(factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of this user's subprocesses."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC")}
        return {**inherited, **self.variables}

    def configure(self, *, provider: object = "claude_oauth", **settings: object) -> None:
        """Write the profile ``me`` with these settings."""
        folder = self.root / "config"
        folder.mkdir(mode=0o700, exist_ok=True)
        lines = ['default = "me"', "[profiles.me]", f'provider = "{provider}"', f'store = "{self.store}"']
        lines += [f"{name} = {_toml(value)}" for name, value in settings.items()]
        (folder / "config.toml").write_text("\n".join(lines) + "\n", "utf-8")

    def use(self, server: OidcServer, **settings: object) -> None:
        """Configure the profile ``me`` for a real authorization server."""
        self.configure(
            client_id=server.client_id,
            issuer=server.issuer,
            profile_url=server.url("/me"),
            scopes=["openid", "offline_access"],
            authorize_parameters={"prompt": "consent"},
            allow_insecure_loopback=True,
            **settings,
        )

    def keeper(self) -> Keeper:
        """Return a keeper for this user in this process."""
        return Keeper(configuration=Configuration.load(self.environment))

    def freshkey(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command line as this user."""
        return subprocess.run(
            [sys.executable, "-m", "freshkey", *arguments],
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {_toml(inner)}" for name, inner in value.items()) + "}"
    return json.dumps(value)
