"""An API key that the user gives to freshkey to keep."""

from __future__ import annotations

import threading
from typing import Final

from freshkey.errors import LoginRequired, ProviderRefused, sign_in_command
from freshkey.plugin import MAX_LINE, Clock, Interaction, Profile, is_token
from freshkey_claude_oauth.formats import ClaudeApiKey


SOURCE: Final = "stored-api-key"


def acquire(profile: Profile, interaction: Interaction, *, clock: Clock) -> ClaudeApiKey:
    """Ask for the key, without echo.

    Raises:
        LoginRequired: There is no user to ask, or nothing was entered.
        ProviderRefused: It cannot be a key.
    """
    entered = interaction.read_code("Paste the API key of the Claude Console:", threading.Event())
    if entered is None or not entered:
        message = "no API key was entered"
        raise LoginRequired(message, profile=profile.name, hint=f"Run: {sign_in_command(profile.name)} --api-key")
    if not is_token(entered.reveal(), MAX_LINE):
        message = "what was entered cannot be an API key: it is too long or has odd characters"
        raise ProviderRefused(message, profile=profile.name, hint="Copy the key alone, without spaces")
    return ClaudeApiKey(obtained=clock.now(), key=entered)
