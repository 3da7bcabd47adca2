"""An API key that the user enters and freshkey stores."""

from __future__ import annotations

import re
from typing import Final

from freshkey.errors import LoginRequired, ProviderRefused, sign_in_command
from freshkey.plugin import MAX_LINE, Interaction, Profile, is_token, looks_like
from freshkey_claude_oauth.formats import ClaudeApiKey


SOURCE: Final = "stored-api-key"


def acquire(profile: Profile, interaction: Interaction) -> ClaudeApiKey:
    """Prompt for the key, without echo.

    Raises:
        LoginRequired: The user cannot be prompted, or entered nothing.
        ProviderRefused: The input cannot be an API key.
    """
    entered = interaction.read_secret("Paste your API key from the Claude Console:")
    if not entered:
        raise LoginRequired(
            "no API key was entered",
            profile=profile.name,
            hint=f"Run: {sign_in_command(profile.word)} --api-key, then paste the key, or pipe it to standard input",
            code="no-key-entered",
        )
    shape = looks_like(entered.reveal()) or _other_key(entered.reveal())
    if shape is not None or not is_token(entered.reveal(), MAX_LINE):
        flaw = "is too long or contains spaces or non-ASCII characters" if shape is None else f"looks like {shape}"
        raise ProviderRefused(
            f"the input is not an API key: it {flaw}",
            profile=profile.name,
            hint="Copy only the key, in one piece, without quotes, spaces or line breaks",
            code="claude-invalid-api-key",
        )
    return ClaudeApiKey(obtained=profile.clock.now(), key=entered)


_OTHERS: Final = {
    ("sk-ant-oat", "sk-ant-ort"): "a token of a Claude subscription, not a key",
    ("sk-ant-sid",): "a session cookie of claude.ai, not a key",
    ("sk-ant-admin",): "a key for the Admin API, which gives no access to models",
    ("ABSK", "bedrock-api-key-"): "a Bedrock API key",
}
"""What begins like something that the API does not take for a key, by how it begins."""

_ACCESS_KEY_ID: Final = re.compile(r"A(?:KIA|SIA)[A-Z0-9]{16}")


def _other_key(text: str) -> str | None:
    """Return what a text is if it is something else that the API does not take for a key."""
    if _ACCESS_KEY_ID.fullmatch(text):
        return "the ID of an AWS access key"
    other = next((what for beginnings, what in _OTHERS.items() if text.startswith(beginnings)), None)
    return "two keys" if other is None and text.count("sk-ant-") > 1 else other
